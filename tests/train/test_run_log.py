"""The log of a run: each step once, also over interruptions, and never over another run's."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.training import Step
from train import run_log as module
from train.run_log import METRICS, described, require_log_folder, run_log

HEADER = "step,seconds,loss,learning_rate,held_out_loss"


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)


def _step(number: int) -> Step:
    return Step(number=number, loss=1 / number, learning_rate=1e-3, progress=0.5, seconds=2.0 * number)


def _lines(folder: Path) -> list[str]:
    return (folder / METRICS).read_text(encoding="utf-8").splitlines()


def _write(folder: Path, steps: range, *, resumed_at: int = 0) -> None:
    with run_log(folder, resumed_at=resumed_at) as log:
        for number in steps:
            log.write(_step(number), 0.25 if number == 2 else None)


def test_every_step_is_a_row_and_on_disk_at_once(tmp_path: Path) -> None:
    with run_log(tmp_path, resumed_at=0) as log:
        log.write(_step(1))
        log.write(_step(2), 0.25)

        assert _lines(tmp_path) == [HEADER, "1,2.000,1,0.001,", "2,4.000,0.5,0.001,0.25"]


def test_a_resumed_run_repeats_no_step_and_drops_those_it_does_again(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 6))
    with (tmp_path / METRICS).open("a", encoding="utf-8") as file:
        file.write("6,12.0")  # the power went out

    require_log_folder(tmp_path, resume=True)
    _write(tmp_path, range(4, 7), resumed_at=3)

    assert [line.split(",")[0] for line in _lines(tmp_path)] == ["step", "1", "2", "3", "4", "5", "6"]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with run_log(None, resumed_at=0) as log:
        log.write(_step(1))
    require_log_folder(None, resume=False)

    assert list(tmp_path.iterdir()) == []


def test_the_log_of_another_run_is_kept(tmp_path: Path) -> None:
    _write(tmp_path, range(1, 3))
    before = _lines(tmp_path)

    with pytest.raises(InputError, match="holds the log of another run"):
        require_log_folder(tmp_path, resume=False)
    assert _lines(tmp_path) == before


@pytest.mark.parametrize("resume", [True, False])
def test_a_table_of_something_else_is_kept(tmp_path: Path, resume: bool) -> None:
    (tmp_path / METRICS).write_text("part,price\n1,2\n", encoding="utf-8")

    with pytest.raises(InputError, match="no log of a training"):
        require_log_folder(tmp_path, resume=resume)


def test_a_run_that_never_made_a_step_leaves_a_folder_that_can_be_used(tmp_path: Path) -> None:
    require_log_folder(tmp_path / "logs", resume=False)
    _write(tmp_path / "logs", range(0))

    require_log_folder(tmp_path / "logs", resume=False)
    require_log_folder(tmp_path / "new" / "logs", resume=False)


def test_a_file_is_no_folder_for_logs(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()

    with pytest.raises(InputError, match="'logs' cannot hold logs") as caught:
        require_log_folder(tmp_path / "logs", resume=False)
    assert str(tmp_path) not in str(caught.value)


class _Writer:
    """Remembers what TensorBoard would get."""

    made: list["_Writer"]

    def __init__(self, **options: Any) -> None:
        self.options, self.scalars, self.is_closed = options, [], False
        self.made.append(self)

    def add_scalar(self, *scalar: Any) -> None:
        self.scalars.append(scalar)

    def close(self) -> None:
        self.is_closed = True


def test_tensorboard_gets_the_same_figures_and_hides_what_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    monkeypatch.setattr(_Writer, "made", [], raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=_Writer))  # type: ignore[arg-type]

    _write(tmp_path, range(1, 3))
    _write(tmp_path, range(2, 3), resumed_at=1)

    first, second = _Writer.made
    assert first.options == {"log_dir": str(tmp_path), "purge_step": None}
    assert second.options["purge_step"] == 2
    assert ("loss/training", 0.5, 2) in first.scalars
    assert ("loss/held_out", 0.25, 2) in first.scalars
    assert first.is_closed
    assert second.is_closed
    assert "TensorBoard files beside it" in described(tmp_path)


def test_without_tensorboard_the_run_says_so(tmp_path: Path) -> None:
    assert "the package tensorboard is not installed" in described(tmp_path)


def test_tensorboard_reads_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr(module, "find_spec", lambda name: name)
    _write(tmp_path, range(1, 5))
    _write(tmp_path, range(3, 6), resumed_at=2)

    events = accumulator.EventAccumulator(str(tmp_path)).Reload()

    assert [event.step for event in events.Scalars("loss/training")] == [1, 2, 3, 4, 5]
