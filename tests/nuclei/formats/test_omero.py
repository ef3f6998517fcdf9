"""Tables of ROIs as OMERO's script "Batch ROI Export" writes them."""

from __future__ import annotations

from pathlib import Path

from muse_core.nuclei import read_nuclei

HEAD = (
    "image_id,image_name,roi_id,shape_id,type,text,z,t,channel,area (pixels),length (pixels),"
    "points,min,max,sum,mean,std_dev,X,Y,Width,Height,RadiusX,RadiusY,X1,Y1,X2,Y2,Points\n"
)


def _row(shape: int, kind: str, text: str, channel: str, place: str) -> str:
    return f'7,"s.svs",{shape},{shape},{kind},"{text}",1,1,{channel},,,1,5,5,5,5,0,{place}\n'


def test_texts_of_points_and_ellipses_are_classes(tmp_path: Path) -> None:
    path = tmp_path / "roi_intensities.csv"
    point, ellipse = "10.5,20.5,,,,,,,,,", "30.5,20.5,,,3,4,,,,,"
    rows = [_row(1, "point", "tumor", c, point) for c in ("Red", "Green", "Blue")]
    rows += [_row(2, "ellipse", "", c, ellipse) for c in ("Red", "Green", "Blue")]
    rows += [_row(3, "polygon", "stroma", "Red", ',,,,,,,,,,"1,2 3,4 5,6"')]
    rows += [_row(4, "rectangle", "stroma", "Red", "5,6,7,8,,,,,,,")]
    path.write_text(HEAD + "".join(rows))
    content = read_nuclei(path)
    found = content.table[["x", "y", "class_name"]]
    assert found.values.tolist() == [[10.5, 20.5, "tumor"], [30.5, 20.5, "unclassified"]]
    assert "Left out of other shapes than points and ellipses: 2 rows." in content.notes
    assert any(note.startswith("4 nuclei repeat others") for note in content.notes)


def test_other_tables_keep_their_column_of_types(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("x_px,y_px,type,text\n1,2,tumor,seen twice\n3,4,stroma,\n")
    assert read_nuclei(path).table["class_name"].tolist() == ["tumor", "stroma"]
