"""Every error this project raises on purpose.

DemoError
├── InputError (ValueError)              the person can fix it: upload, choice, number
│   ├── UnreadableImageError             the bytes are no picture we read
│   ├── ImageTooLargeError               more pixels or bytes than the budget allows
│   ├── TooFewImagesError                a folder or upload holds fewer images than the job needs
│   ├── UnknownCategoryError             a category the checkpoint was not trained on
│   ├── PromotionBlockedError            the golden set speaks against a version, and no reason is given
│   └── FolderLayoutError                a data folder is not laid out as MVTec AD is
├── CheckpointError
│   ├── UnknownReleaseError (LookupError)
│   ├── CheckpointNotFoundError (FileNotFoundError)
│   ├── HubUnreachableError (ConnectionError)
│   ├── CheckpointCorruptError           hash, format, non-finite weights or self-test
│   └── CheckpointMismatchError          keys or shapes differ; carries decoder, missing, unexpected
├── PublishingError                      the Hub did not take what was sent to it
├── KernelUnavailableError (RuntimeError)  a scan backend was asked for that cannot run here
├── DivergedError                        training lost its way; carries step, learning_rate
├── NonFiniteMapError                    the network returned NaN; there is no verdict
└── StorageError                         the label store or its files failed; nothing was changed
    ├── StoreBusyError                   other writers did not let go in time
    └── SchemaTooNewError                a newer version of this program wrote the store

Programmer mistakes stay `ValueError` and `TypeError` and are never caught. A message says what happened, with
the value, and what to do next; it never holds a server path.
"""

from collections.abc import Sequence
from typing import Any


class DemoError(Exception):
    """Base of all errors below; its text may be shown to the person at the screen. All can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        """By fields, without the constructor, whose arguments differ."""
        return _restored, (type(self), *self.args), self.__dict__


def _restored(kind: type[DemoError], *args: object) -> DemoError:
    """One without its fields, which pickle adds."""
    return kind.__new__(kind, *args)


class InputError(DemoError, ValueError):
    """The person can fix it: another file, another choice, another number."""


class UnreadableImageError(InputError):
    """The file is not a picture of a kind we decode, or it is damaged."""


class ImageTooLargeError(InputError):
    """The file declares more pixels, or holds more bytes, than the budget allows."""


class TooFewImagesError(InputError):
    """A folder or upload holds fewer images than the job needs."""


class UnknownCategoryError(InputError):
    """The checkpoint has no calibration for this category."""


class PromotionBlockedError(InputError):
    """A version accepts known defects, and nobody wrote down why it shall be promoted all the same."""


class FolderLayoutError(InputError):
    """A data folder does not follow the MVTec AD layout."""


class CheckpointError(DemoError):
    """A checkpoint cannot be found, fetched, trusted or loaded."""


class UnknownReleaseError(CheckpointError, LookupError):
    """No embedded checkpoint, folder or listed release has this name."""


class CheckpointNotFoundError(CheckpointError, FileNotFoundError):
    """The folder or repository lacks a file that a checkpoint needs."""


class HubUnreachableError(CheckpointError, ConnectionError):
    """The files are not cached and the Hub did not answer."""


class CheckpointCorruptError(CheckpointError):
    """A hash, a schema, a weight or the golden self-test is wrong."""


class CheckpointMismatchError(CheckpointError):
    """Weights and configuration do not describe the same network."""

    def __init__(
        self, message: str, *, decoder: str, missing: Sequence[str] = (), unexpected: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.decoder = decoder
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)


class PublishingError(DemoError):
    """Files could not be sent to the Hub, or it refused them; no commit was confirmed."""


class KernelUnavailableError(DemoError, RuntimeError):
    """A selective-scan backend was asked for by name and cannot run on this machine or device."""


class DivergedError(DemoError):
    """The training loss became NaN or infinite; the weights of that run are worthless."""

    def __init__(self, *, step: int, learning_rate: float) -> None:
        super().__init__(
            f"The loss became NaN or infinite at step {step} with learning rate {learning_rate:g}. "
            "Leave out photos that look odd and start again, or train from the command line with a smaller "
            "`--learning-rate`."
        )
        self.step = step
        self.learning_rate = learning_rate


class NonFiniteMapError(DemoError):
    """The network returned NaN or infinite values, so that nothing can be judged."""


class StorageError(DemoError):
    """The store of pictures and labels failed; what was being written was not."""


class StoreBusyError(StorageError):
    """Other writers did not let go in time."""


class SchemaTooNewError(StorageError):
    """The store has a schema that this version does not know."""
