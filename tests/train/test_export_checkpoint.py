"""`python -m train.export_checkpoint`: arguments in, exit code out; the import itself is tested in
`tests/hub`."""

import torch

from train import export_checkpoint
from train.export_checkpoint import main


def test_the_options_reach_the_import(tmp_path, monkeypatch, capsys):
    seen = {}
    monkeypatch.setattr(
        export_checkpoint,
        "import_published",
        lambda weights, folder, options: seen.update(weights=weights, folder=folder, options=options),
    )

    code = main(
        [
            "--weights",
            "w.pth",
            "--out",
            str(tmp_path / "mine"),
            "--categories",
            "bottle",
            "cable",
            "--path",
            "scan",
        ]
    )

    assert code == 0
    assert (seen["options"].name, seen["options"].path) == ("mine", "scan")
    assert seen["options"].categories == ("bottle", "cable")
    assert "calibrated" in capsys.readouterr().out


def test_a_foreign_file_is_refused(tmp_path, capsys):
    torch.save({"other.weight": torch.zeros(2)}, tmp_path / "w.pth")

    code = main(["--weights", str(tmp_path / "w.pth"), "--out", str(tmp_path / "mine")])

    assert code == 1
    assert "no published mambaad checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
