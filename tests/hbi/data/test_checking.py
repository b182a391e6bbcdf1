import json
import subprocess
import sys
from pathlib import Path

import pytest

import hbi.data
import hbi.data.checking
from hbi.config import ShapesConfig
from hbi.errors import InputError


@pytest.fixture
def mine(config: ShapesConfig, tmp_path: Path) -> ShapesConfig:
    """The small data set once more, to be damaged."""
    mine = config.model_copy(update={"root": str(tmp_path / "shapes")})
    hbi.data.load(mine, tmp_path)
    return mine


def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The videos that are read from now on."""
    seen: list[Path] = []
    read = hbi.data.checking.read_frames

    def counting(path: Path, *arguments: object) -> object:
        seen.append(path)
        return read(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(hbi.data.checking, "read_frames", counting)
    return seen


def test_a_second_check_opens_only_what_has_changed(mine, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    seen, calls = opened(monkeypatch), []
    dataset = hbi.data.check(mine, tmp_path, lambda what, done, total: calls.append((done, total)))
    assert calls == [(done, 21) for done in range(1, 22)]
    assert len(seen) == 21

    seen.clear()
    assert hbi.data.check(mine, tmp_path) == dataset
    assert seen == []

    one = dataset.splits["val"].videos[2].path
    one.write_bytes(dataset.splits["val"].videos[1].path.read_bytes())
    hbi.data.check(mine, tmp_path)
    assert seen == [one]

    next(tmp_path.glob("checked-*.json")).write_text("{ damaged")
    hbi.data.check(mine, tmp_path)
    assert len(seen) == 22


def test_missing_and_damaged_videos_are_counted_and_the_first_named(mine: ShapesConfig, tmp_path: Path) -> None:
    videos = Path(mine.root or "") / "videos"
    (videos / "video0.mp4").unlink()
    (videos / "video1.mp4").write_text("not a video")
    for number in range(2, 8):
        (videos / f"video{number}.mp4").write_bytes(b"")
    for _ in range(2):  # what was bad is not remembered as good
        with pytest.raises(InputError, match=r"8 of 21 videos of data set shapes cannot be used: ") as caught:
            hbi.data.check(mine, tmp_path)
        message = str(caught.value)
        assert "video0.mp4: cannot be read (No such file" in message
        assert "video4.mp4: the file is empty" in message
        assert message.endswith("and 3 more")
        assert "\n" not in message


def test_an_empty_caption_is_found_before_anything_runs(mine: ShapesConfig, tmp_path: Path) -> None:
    path = Path(mine.root or "") / "anns" / "MSRVTT_data.json"
    data = json.loads(path.read_text())
    data["sentences"][4]["caption"] = "  "
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"sentences\.4\.caption: empty caption"):
        hbi.data.check(mine, tmp_path)


def test_the_package_does_not_import_torch_nor_a_decoder() -> None:
    loaded = (
        "import sys, hbi.data; print([name for name in ('torch', 'decord', 'av', 'open_clip') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True) == "[]\n"
