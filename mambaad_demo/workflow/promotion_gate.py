"""What two replays of a golden set say about a new version: whether it may pass, and why, in plain words.

A version is blocked when it accepts a known defect that was not accepted before. False rejects cost money
but let nothing through: they are told, and do not block.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.workflow.golden_set import GoldenPicture, GoldenReport


@dataclass(frozen=True, slots=True)
class Pair:
    """One golden picture under both versions."""

    before: GoldenPicture | None
    """None where there is no version before, or its report does not have the picture."""
    after: GoldenPicture

    @property
    def is_changed(self) -> bool:
        """Whether the versions judge differently."""
        return self.before is not None and self.before.verdict is not self.after.verdict

    @property
    def is_new_escape(self) -> bool:
        """Whether a defective part is accepted that nobody knew to be accepted."""
        return self.after.is_escape and not (self.before and self.before.is_escape)

    @property
    def is_cured_escape(self) -> bool:
        """Whether a defective part that was accepted no longer is."""
        return self.before is not None and self.before.is_escape and not self.after.is_escape

    @property
    def is_new_false_reject(self) -> bool:
        """Whether a good part is rejected that was not, as far as anybody knows."""
        return self.after.is_false_reject and not (self.before and self.before.is_false_reject)

    @property
    def is_cured_false_reject(self) -> bool:
        """Whether a good part that was rejected no longer is."""
        return self.before is not None and self.before.is_false_reject and not self.after.is_false_reject


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The judgement over a version; pictures keep the order of the golden set."""

    before: GoldenReport | None
    after: GoldenReport
    pairs: tuple[Pair, ...]

    @property
    def escapes(self) -> tuple[Pair, ...]:
        """All defective parts that the version accepts."""
        return tuple(pair for pair in self.pairs if pair.after.is_escape)

    @property
    def new_escapes(self) -> tuple[Pair, ...]:
        """Those that were not accepted before; all of them where there is nothing before."""
        return tuple(pair for pair in self.pairs if pair.is_new_escape)

    @property
    def cured_escapes(self) -> tuple[Pair, ...]:
        """Defective parts that were accepted and no longer are."""
        return tuple(pair for pair in self.pairs if pair.is_cured_escape)

    @property
    def new_false_rejects(self) -> tuple[Pair, ...]:
        """Good parts that were not rejected before; all of them where there is nothing before."""
        return tuple(pair for pair in self.pairs if pair.is_new_false_reject)

    @property
    def cured_false_rejects(self) -> tuple[Pair, ...]:
        """Good parts that were rejected and no longer are."""
        return tuple(pair for pair in self.pairs if pair.is_cured_false_reject)

    @property
    def is_blocked(self) -> bool:
        """Whether only a written reason lets the version pass."""
        return bool(self.new_escapes)

    @property
    def headline(self) -> str:
        """The judgement in one sentence."""
        new, known = len(self.new_escapes), len(self.escapes)
        if new and self.before is not None:
            return f"Blocked: {_parts(new, 'defective')} that did not get through before would be accepted."
        if new:
            return f"Blocked: {_parts(new, 'known defective')} would be accepted."
        if not self.after.pictures:
            return "Nothing was tried: the golden set is empty."
        if not self.after.known(Finding.DEFECT):
            return "Nothing blocks it, but no known defect was tried."
        if known:
            return f"Passed: nothing new gets through, but {_parts_are(known, 'defective')} still accepted."
        return "Passed: no defective part of the golden set is accepted."

    @property
    def sentences(self) -> tuple[str, ...]:
        """What changed, most serious first; empty where nothing did."""
        return tuple(self._sentences())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the judgement does not rest on."""
        return tuple(self._warnings())

    def _sentences(self) -> Iterator[str]:
        if self.cured_escapes:
            yield f"{_parts_are(len(self.cured_escapes), 'defective')} no longer accepted."
        doubtful = sum(
            pair.after.verdict is Verdict.CHECK
            and pair.before is not None
            and pair.before.verdict is Verdict.REJECT
            for pair in self.pairs
            if pair.after.finding is Finding.DEFECT
        )
        if doubtful:
            yield f"{_parts_are(doubtful, 'defective')} only to be checked, no longer rejected."
        if self.new_false_rejects:
            since = "" if self.before is None else ", but not before"
            yield f"{_parts_are(len(self.new_false_rejects), 'good')} rejected (false rejects){since}."
        if self.cured_false_rejects:
            yield f"{_parts_are(len(self.cured_false_rejects), 'good')} no longer rejected."

    def _warnings(self) -> Iterator[str]:
        after = self.after
        if not after.pictures:
            yield (
                "Nothing stands between a bad version and production: mark known parts as golden on the "
                "Review page."
            )
        elif not after.known(Finding.DEFECT):
            yield (
                "The golden set holds no defective part, so no escape can show. Mark known defects as golden "
                "on the Review page."
            )
        elif not after.known(Finding.GOOD):
            yield (
                "The golden set holds no good part, so no false reject can show. Mark some as golden on the "
                "Review page."
            )
        if after.limits.reject is None:
            yield (
                f"{after.checkpoint} has no limits for {after.category}, so a person has to look at every "
                "part. Calibrate it first."
            )
        if self.before is not None and self.before.digest != after.digest:
            yield "The two reports are over different golden sets; parts that one of them lacks count as new."


def compare(before: GoldenReport | None, after: GoldenReport) -> Gate:
    """Judge a version by its report and that of the version before, if there is one."""
    earlier = {} if before is None else {one.sha256: one for one in before.pictures}
    return Gate(
        before=before,
        after=after,
        pairs=tuple(Pair(_same_part(earlier.get(one.sha256), one), one) for one in after.pictures),
    )


def _same_part(before: GoldenPicture | None, after: GoldenPicture) -> GoldenPicture | None:
    """What was said before, unless the part was taken for something else then."""
    return before if before is not None and before.finding is after.finding else None


def _parts(count: int, kind: str) -> str:
    return f"1 {kind} part" if count == 1 else f"{count} {kind} parts"


def _parts_are(count: int, kind: str) -> str:
    return f"{_parts(count, kind)} {'is' if count == 1 else 'are'}"
