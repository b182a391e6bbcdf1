"""Features of files: rows, order, and what is left out; of every system that can and none that cannot."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import hbi.data
import hbi.extract
from hbi.config import SYSTEMS, ClipSystemConfig, ShapesConfig, SystemConfig
from hbi.data.dataset import Video
from hbi.data.decode import decode
from hbi.errors import InputError, RunFailure
from hbi.extract import ONE_VECTOR, extract_captions, extract_videos, video_files
from hbi.models import System, build

CONFIG = ShapesConfig(train=4, val=1, test=5, size=32, max_frames=4, max_words=16)
ROWS = ["a.jpg", "b/clip.mp4", "b/clip2.MP4", "clip.mp4", "z/y/x.mp4"]
CAPTIONS = ["a red circle moves left", "a blue square", "a green circle moves up", "a red circle"]


def model_of(system: str, **options: object) -> System:
    family = SYSTEMS[system]
    smallest = {"encoder": "tiny", "temporal_layers": 1} if issubclass(family, ClipSystemConfig) else {}
    return build(family.model_validate({**smallest, **options}), seed=0).eval()


@pytest.fixture(scope="module")
def model() -> System:
    return model_of("bridgeformer")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos and an image; also what is none: text, a hidden file, a hidden folder."""
    place = tmp_path_factory.mktemp("videos")
    made = [video.path for video in hbi.data.load(CONFIG, place / "cache").splits["train"].videos]
    for name, file in zip(ROWS[1:], made, strict=True):
        (place / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place / "mine" / name)
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(picture).save(place / "mine" / "a.jpg")
    (place / "mine" / "notes.txt").write_text("no video")
    (place / "mine" / "._clip.mp4").write_bytes(b"a shadow of another system")
    shutil.copytree(place / "mine" / "b", place / "mine" / ".trash")
    return place / "mine"


@pytest.fixture
def own(videos: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(videos, tmp_path / "own"))


def index_of(into: Path) -> pd.DataFrame:
    return pd.read_csv(into.with_suffix(".tsv"), sep="\t")


def test_a_row_is_what_the_model_makes_of_a_file_alone(model: System, videos: Path, tmp_path: Path) -> None:
    into = tmp_path / "new" / "out.npy"
    done = extract_videos(model, videos, into, CONFIG, workers=2, made={"variant": "mine"})
    found = np.load(into, mmap_mode="r")
    assert isinstance(found, np.memmap)
    assert (found.dtype, found.shape) == (np.float32, (5, 64))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    for name, row in zip(ROWS, found, strict=True):
        frames = torch.from_numpy(decode(Video(name, videos / name), CONFIG, model.image_size).frames)[None]
        with torch.no_grad():
            alone = model.encode_video(frames, torch.ones(frames.shape[:2], dtype=torch.bool))["vector"][0]
        np.testing.assert_allclose(row, alone, atol=2e-6)
    index = index_of(into)
    assert index.columns.tolist() == ["row", "path", "frames", "bytes"]
    assert index["row"].tolist() == [0, 1, 2, 3, 4]
    assert index["path"].tolist() == ROWS
    assert index["frames"].tolist() == [1, 4, 4, 4, 4]
    assert index["bytes"].tolist() == [(videos / name).stat().st_size for name in ROWS]
    told = json.loads(into.with_suffix(".json").read_text())
    assert told == {"rows": 5, "width": 64, "left_out": {}, "made": {"variant": "mine"}} == done.model_dump()
    assert sorted(path.name for path in into.parent.iterdir()) == ["out.json", "out.npy", "out.tsv"]


def test_neither_batches_nor_processes_nor_the_window_change_it(
    model: System, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for block, workers, held in ((32, 1, 2**30), (2, 3, 1), (1, 2, 2 * 4 * 3 * 32 * 32)):
        monkeypatch.setattr(hbi.extract, "BLOCK", block)
        monkeypatch.setattr(hbi.extract, "HELD_BYTES", held)
        extract_videos(model, videos, tmp_path / "out.npy", CONFIG, workers=workers)
        assert index_of(tmp_path / "out.npy")["path"].tolist() == ROWS
        found.append(np.load(tmp_path / "out.npy"))
    np.testing.assert_allclose(found[1], found[0], atol=2e-6)
    np.testing.assert_allclose(found[2], found[0], atol=2e-6)


def test_again_it_is_the_same_to_the_last_bit(model: System, videos: Path, tmp_path: Path) -> None:
    for name in ("one.npy", "two.npy"):
        extract_videos(model, videos, tmp_path / name, CONFIG, workers=3)
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()


@pytest.mark.parametrize("block", [1, 2, 32])
def test_a_damaged_file_has_no_row_and_stops_nothing(
    model: System, own: Path, tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hbi.extract, "BLOCK", block)
    extract_videos(model, own, tmp_path / "whole.npy", CONFIG)
    whole = dict(zip(ROWS, np.load(tmp_path / "whole.npy"), strict=True))
    (own / "b" / "clip.mp4").write_bytes((own / "b" / "clip.mp4").read_bytes()[:200])
    (own / "z" / "y" / "x.mp4").write_bytes(b"")
    (own / "gone.mp4").symlink_to(own / "nowhere.mp4")
    told: list[tuple[str, int, int]] = []
    done = extract_videos(model, own, tmp_path / "out.npy", CONFIG, progress=lambda *what: told.append(what))
    assert set(done.left_out) == {"b/clip.mp4", "gone.mp4", "z/y/x.mp4"}
    assert all(str(own / name) in why and "\n" not in why for name, why in done.left_out.items())
    index, found = index_of(tmp_path / "out.npy"), np.load(tmp_path / "out.npy", mmap_mode="r")
    assert index["path"].tolist() == ["a.jpg", "b/clip2.MP4", "clip.mp4"]
    assert found.shape == (3, 64)
    assert (tmp_path / "out.npy").stat().st_size == 128 + found.nbytes
    for name, row in zip(index["path"], found, strict=True):
        np.testing.assert_allclose(row, whole[name], atol=2e-6)
    assert told == [("encoding video", done, 6) for done in range(1, 7)]


def test_where_no_file_can_be_used_what_was_there_stays(model: System, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bad.mp4").write_bytes(b"no video")
    for name in ("out.npy", "out.json"):
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(InputError, match=r"none of 1 files can be used: .*bad\.mp4: is not an MP4"):
        extract_videos(model, tmp_path / "mine", tmp_path / "out.npy", CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out.json", "out.npy"]
    assert (tmp_path / "out.npy").read_bytes() == (tmp_path / "out.json").read_bytes() == b"old"


def test_where_the_description_is_the_array_is_its_own(
    model: System, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between the files, it leaves no description of another array."""
    into = tmp_path / "out.npy"
    into.with_suffix(".json").write_text("of an earlier array")
    into.with_suffix(".tsv").mkdir()  # so that the index cannot be written
    with pytest.raises(InputError, match="cannot be written"):
        extract_videos(model, videos, into, CONFIG)
    assert not into.with_suffix(".json").exists()


def empty(place: Path) -> str:
    (place / "notes.txt").write_text("no video")
    return "no video and no image is in it"


def missing(place: Path) -> str:
    place.rmdir()
    return "no such folder"


def two_lines(place: Path) -> str:
    (place / "a\nb.mp4").touch()
    return r"'a\\nb.mp4' has a control character"


def no_utf8(place: Path) -> str:
    Path(bytes(place).decode(), b"caf\xe9.mp4".decode(errors="surrogateescape")).touch()
    return r"'caf\\udce9.mp4' has a control character, or a byte that is no UTF-8"


@pytest.mark.parametrize("make", [empty, missing, two_lines, no_utf8])
def test_a_folder_that_cannot_be_used_is_one_line(make: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    message = make(tmp_path / "mine")
    with pytest.raises(InputError, match=message) as caught:
        video_files(tmp_path / "mine")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "mine") in str(caught.value)


def test_names_of_any_language_are_kept(tmp_path: Path) -> None:
    names = ["Ärger: “was?”.mp4", "a　b.webm", "日本語/動画.mp4", "👩‍🚀.gif"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert video_files(tmp_path) == sorted(names)


@pytest.mark.parametrize("name", ["out", "out.npz", "folder.npy"])
def test_an_array_is_called_npy(name: str, model: System, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(InputError, match=r"call it NAME\.npy"):
        extract_videos(model, videos, tmp_path / name, CONFIG)


def test_no_row_is_written_of_weights_that_are_not_finite(videos: Path, tmp_path: Path) -> None:
    broken = model_of("bridgeformer")
    torch.nn.init.constant_(broken.get_parameter("video_projection.weight"), float("nan"))
    with pytest.raises(RunFailure, match="not finite"):
        extract_videos(broken, videos, tmp_path / "out.npy", CONFIG)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("system", [*ONE_VECTOR, "drl-dp"])
def test_features_compare_as_the_system_does(system: str, videos: Path, tmp_path: Path) -> None:
    name = system.removesuffix("-dp")
    model = model_of(name, **({"interaction": "dp"} if name != system else {}))
    (tmp_path / "captions.txt").write_text("\n".join(CAPTIONS) + "\n")
    extract_captions(model, tmp_path / "captions.txt", tmp_path / "text.npy", CONFIG)
    extract_videos(model, videos, tmp_path / "video.npy", CONFIG)
    frames = np.zeros((5, 4, 3, model.image_size, model.image_size), np.uint8)
    mask = torch.zeros(5, 4, dtype=torch.bool)
    for row, file in enumerate(ROWS):
        clip = decode(Video(file, videos / file), CONFIG, model.image_size).frames
        frames[row, : len(clip)], mask[row, : len(clip)] = clip, True
    with torch.no_grad():
        text = model.encode_text(*model.tokenize(CAPTIONS, CONFIG.max_words))
        similarity = model.similarity(text, model.encode_video(torch.from_numpy(frames), mask))
    found = np.load(tmp_path / "text.npy") @ np.load(tmp_path / "video.npy").T
    np.testing.assert_allclose(found, similarity, atol=2e-6)
    index = index_of(tmp_path / "text.npy")
    assert index.columns.tolist() == ["row", "caption"]
    assert index["caption"].tolist() == CAPTIONS


MORE_THAN_ONE = [n for n, family in SYSTEMS.items() if issubclass(family, SystemConfig) and n not in ONE_VECTOR]


@pytest.mark.parametrize("system", MORE_THAN_ONE)
def test_what_has_no_single_vector_is_refused_before_anything_is_read(system: str, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a red circle\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "clip.mp4").write_bytes(b"not looked at")
    model = model_of(system)
    for extract, source in ((extract_videos, tmp_path / "mine"), (extract_captions, tmp_path / "captions.txt")):
        with pytest.raises(InputError, match=r"of a video, not one vector; bridgeformer, .* do$") as caught:
            extract(model, source, tmp_path / "out.npy", CONFIG)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a red circle\n\na blue one\n", r"captions\.txt:2: is blank"),
        (b"", r"captions\.txt:1: is blank"),
        (b"a red\tcircle\n", r"captions\.txt:1: has a tab"),
        (b"caf\xe9\n", r"captions\.txt: cannot be read as UTF-8"),
    ],
)
def test_a_file_of_captions_that_is_none_is_one_line(text: bytes, message: str, model: System, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_bytes(text)
    with pytest.raises(InputError, match=message):
        extract_captions(model, tmp_path / "captions.txt", tmp_path / "out.npy", CONFIG)


def test_line_n_is_row_n_whatever_ends_the_lines(model: System, tmp_path: Path) -> None:
    into = tmp_path / "out.npy"
    for text in ("a red circle\r\na \x85 square\r\n", "a red circle\na \x85 square"):
        (tmp_path / "captions.txt").write_bytes(text.encode())
        extract_captions(model, tmp_path / "captions.txt", into, CONFIG)
        assert index_of(into)["caption"].tolist() == ["a red circle", "a \x85 square"]
