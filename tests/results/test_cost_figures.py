from pathlib import Path

import pytest
from matplotlib.figure import Figure

from results.cost_scaling import Growth, growths
from results.figures.growth import scaling
from results.figures.style import drawing, save
from tests.results.cost_report import case, points, report


def grown(*labels: str) -> list[Growth]:
    return growths(report({label: case() for label in labels}, {label: points() for label in labels}))


def write_figure(name: str, growing: list[Growth], folder: Path) -> list[Path]:
    with drawing():
        return [path for drawn in scaling(name, growing) for path in save(drawn, folder)]


def test_writes_vectors_and_pixels(tmp_path: Path) -> None:
    pdf, svg, png = write_figure("cost.scaling", grown("no-hbi", "hbi"), tmp_path)
    assert [path.name for path in (pdf, svg, png)] == [f"cost.scaling.{ending}" for ending in ("pdf", "svg", "png")]
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"/Subtype /Image" not in pdf.read_bytes()
    assert png.read_bytes().startswith(b"\x89PNG")
    before = pdf.read_bytes()
    write_figure("cost.scaling", grown("no-hbi", "hbi"), tmp_path)
    assert pdf.read_bytes() == before


@pytest.mark.parametrize("label", ["$x_{", "_hidden", "a\nb", "%" * 90, "é → 100 %"])
def test_any_label(tmp_path: Path, label: str) -> None:
    assert write_figure("t", grown(label, "b"), tmp_path)


@pytest.mark.parametrize("sizes", [("gallery",), ("words", "batch"), ("words", "frames", "gallery")])
def test_any_sizes_and_many_rows(tmp_path: Path, sizes: tuple[str, ...]) -> None:
    many = [one for one in grown(*(f"row {n}" for n in range(12))) if one.size in sizes]
    assert write_figure("t", many, tmp_path)


def test_nothing_to_show_makes_no_file(tmp_path: Path) -> None:
    assert write_figure("t", [], tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_figure("t", grown("a"), tmp_path)
    before = (tmp_path / "t.pdf").read_bytes()

    def breaks(self, file, **options) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", breaks)
    with pytest.raises(OSError, match="No space left"):
        write_figure("t", grown("a", "b"), tmp_path)
    assert (tmp_path / "t.pdf").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.pdf", "t.png", "t.svg"]
