from __future__ import annotations

from pathlib import Path

from muse_core.pretrain.curves import Curves


def test_rows_after_the_checkpoint_go_and_files_of_others_stay(tmp_path: Path) -> None:
    curves = Curves(tmp_path, 0, ("log",))
    for step in (1, 2, 3):
        curves.add("log", step, {"loss": step / 2})
    curves.close()
    other = tmp_path / "nuclei.csv"
    other.write_text("x,y,class\n7.5,1,a\n900,2,b\n")
    Curves(tmp_path, 2, ("log",)).close()
    assert (tmp_path / "log.csv").read_text().split() == ["step,loss", "1,0.5", "2,1"]
    assert other.read_text() == "x,y,class\n7.5,1,a\n900,2,b\n"
