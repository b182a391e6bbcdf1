import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hbi.data
from hbi.config import PairsConfig, ShapesConfig
from hbi.data.batches import video_batches
from hbi.data.clips import Clips
from hbi.data.dataset import Dataset, Phrases
from hbi.data.frame_cache import frame_cache
from hbi.data.prepare import examine, prepare
from hbi.data.tables import read_table, spelt
from hbi.errors import InputError
from tests.hbi.data.small_sets import write

Read = Callable[..., Dataset]


@pytest.fixture
def read(config: ShapesConfig, cache: Path, dataset: Dataset, tmp_path: Path) -> Read:
    """The data set of tables with these contents, whose media are in media/."""

    def load(files: dict[str, str], **options: object) -> Dataset:
        (tmp_path / "media").mkdir(exist_ok=True)
        write(tmp_path, files)
        test = config.model_dump()
        tables = [str(tmp_path / name) for name in files]
        return hbi.data.load(
            PairsConfig.model_validate({"root": str(tmp_path / "media"), "tables": tables, "test": test, **options}),
            cache,
        )

    return load


def table(*rows: str, header: str = "path,caption,nouns,verbs") -> str:
    return "\n".join([header, *rows, ""])


def test_captions_of_shapes_as_a_table_have_the_phrases_of_its_grammar(read: Read, dataset: Dataset) -> None:
    train = dataset.splits["train"]
    assert train.phrases
    rows = [
        "\t".join([f"{video.id}.mp4", caption, spelt(phrases.nouns), spelt(phrases.verbs)])
        for video, caption, phrases in zip(train.videos, train.captions, train.phrases, strict=True)
    ]
    header = "path\tcaption\tnouns\tverbs"
    root = train.videos[0].path.parent
    found = read({"shapes.tsv": table(*rows, header=header)}, root=str(root))
    assert found.splits["train"] == replace(
        train, videos=tuple(replace(video, id=f"{video.id}.mp4") for video in train.videos)
    )
    assert found.splits["test"] == dataset.splits["test"]
    assert found.splits["val"] == dataset.splits["val"]
    assert list(found.splits) == ["train", "val", "test"]
    assert hbi.data.differences(found) == []


def test_a_comma_a_quotation_mark_and_the_end_of_a_line_in_quotes(read: Read) -> None:
    rows = ('a.mp4,"a dog, ""Rex"",\nruns"', "", "b/c d.jpg,NA", "1.mp4,007")
    train = read({"a.csv": "\ufeff" + table(*rows, header="path,caption")}).splits["train"]
    assert train.captions == ('a dog, "Rex",\nruns', "NA", "007")
    assert [video.id for video in train.videos] == ["a.mp4", "b/c d.jpg", "1.mp4"]
    assert train.phrases is None


def test_a_quotation_mark_in_a_tsv_is_itself(read: Read) -> None:
    content = 'caption\tother\tpath\n"stop\tx\ta.mp4\nsay ""go""\t\tb.mp4\r\n'
    assert read({"a.tsv": content}).splits["train"].captions == ('"stop', 'say ""go""')


def test_several_tables_and_several_captions_of_a_video(read: Read) -> None:
    one = table("a.mp4,a dog,2:5,", "b.mp4,a cat,,", "a.mp4,it runs,,3:7")
    other = table("c.jpg,a cat", "a.mp4,a tail", header="path,caption")
    train = read({"one.csv": one, "other.csv": other}).splits["train"]
    assert [video.id for video in train.videos] == ["a.mp4", "b.mp4", "c.jpg"]
    assert train.video_of == (0, 1, 0, 2, 0)
    none = Phrases()
    assert train.phrases == (Phrases(nouns=((2, 5),)), none, Phrases(verbs=((3, 7),)), none, none)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"t\.csv: is empty; the first line must name the columns"),
        ("path,caption\n", r"t\.csv: lists no pair"),
        ("path,title\na,b\n", r"t\.csv:1: no column 'caption' in the header"),
        ("a.mp4,a dog\n", r"t\.csv:1: no column 'path' in the header"),
        (table("a.mp4,a dog, running", header="path,caption"), r"t\.csv:2: more fields than the header; quote"),
        (table("a,b", "a,b, c", header="path,caption"), r"t\.csv:3: more fields than the header; quote"),
        (table('a,"b', "c,d", header="path,caption"), r"t\.csv:2: unexpected end of data; correct the line"),
        (table("a,b,,", "", "b,  ,,"), r"t\.csv:4: column caption: '  ' is an empty caption; correct"),
        (table("a", header="path,caption"), r"t\.csv:2: column caption: '' is an empty caption"),
        (table('a,"b\nc",,', ",b,,"), r"t\.csv:4: column path: '' is no path inside"),
        (table("../a,b,,", "../a,b,,"), r"t\.csv:2: column path: '\.\./a' is no path inside .* \(and 1 more\)"),
        (table("a/../../b,b,,"), "column path"),
        (table("/etc/passwd,b,,"), "column path"),
        (table("./a,b,,"), "column path"),
        (table("a//b,b,,"), "column path"),
        (table("a/,b,,"), "column path"),
        (table('"a\nb",b,,'), "column path"),
        (table("a,a dog,2:6,"), r"t\.csv:2: column nouns: '2:6' holds a span that is not inside the caption"),
        (table("a,a dog,,3:3"), "column verbs: '3:3' holds a span that is not inside"),
        (table("a,a dog,,4:3"), "column verbs: '4:3' holds a span that is not inside"),
        (table("a,a dog,0:1  2:5,"), 'column nouns: .* is not spans as "2:12 31:42"'),
        (table("a,a dog,dog,"), "column nouns: 'dog' is not spans"),
        (table("a,a dog,-1:2,"), "column nouns: '-1:2' is not spans"),
        (table("a,a dog,²:3,"), "column nouns: '²:3' is not spans"),
        (table("a,été,0:4,"), "column nouns: '0:4' holds a span"),
        (table("a,b,,", "c,b,,", "a,b,,"), r"t\.csv:4: a has this caption also at \S+t\.csv:2; remove one"),
    ],
)
def test_a_wrong_row_is_named_in_one_line(content: str, message: str, read: Read) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read({"t.csv": content})
    assert "\n" not in str(caught.value)


def test_a_pair_in_two_tables_is_named_with_both(read: Read) -> None:
    one, other = table("a,b", "c,d", header="path,caption"), table("d\tc", "\nb\ta", header="caption\tpath")
    with pytest.raises(InputError, match=r"\S+two\.tsv:2: c has this caption also at \S+one\.csv:3 \(2 such rows\)"):
        read({"one.csv": one, "two.tsv": other})


def test_a_file_of_another_name_and_one_that_is_not_there(read: Read, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is called neither \.csv nor \.tsv, which tells what parts its columns"):
        read({"t.txt": "path,caption\na,b\n"})
    with pytest.raises(InputError, match=r"no such file; data\.tables names tables with the columns path and caption"):
        read({}, tables=[str(tmp_path / "no.csv")])
    (tmp_path / "utf16.csv").write_bytes("path,caption\n".encode("utf-16"))
    with pytest.raises(InputError, match="cannot be read as UTF-8 text"):
        read({}, tables=[str(tmp_path / "utf16.csv")])
    with pytest.raises(InputError, match="no root is given; set it to the folder that holds the videos and images"):
        read({"t.csv": "path,caption\na,b\n"}, root=None)


def test_files_that_are_not_there_are_left_out_where_that_is_asked_for(read: Read, tmp_path: Path) -> None:
    media = tmp_path / "media"
    (media / "in").mkdir(parents=True)
    for name in ("a.mp4", "in/b.mp4"):
        (media / name).touch()
    (media / "linked.mp4").symlink_to(media / "a.mp4")
    (media / "broken.mp4").symlink_to(media / "nowhere.mp4")
    paths = ["c.mp4", "a.mp4", "in/b.mp4", "out/d.mp4", "linked.mp4", "broken.mp4", "c.mp4"]
    files = {"t.csv": table(*(f"{path},caption {n},0:7," for n, path in enumerate(paths)))}
    assert len(read(files).splits["train"].videos) == 6
    train = read(files, missing="drop").splits["train"]
    assert [video.id for video in train.videos] == ["a.mp4", "in/b.mp4", "linked.mp4"]
    assert train.captions == ("caption 1", "caption 2", "caption 4")
    assert (train.video_of, len(train.phrases or ())) == ((0, 1, 2), 3)
    assert train.left_out == ("c.mp4", "out/d.mp4", "broken.mp4")
    with pytest.raises(InputError, match="none of the 1 training files is there; put them into it"):
        read({"t.csv": table("c.mp4,a,,")}, missing="drop")


@pytest.mark.parametrize("link", ["none", "folder", "file"])
def test_a_test_video_among_the_training_files_is_refused(
    link: str, read: Read, dataset: Dataset, tmp_path: Path
) -> None:
    video = dataset.splits["test"].videos[2].path
    media = tmp_path / "media"
    media.mkdir()
    if link == "folder":
        (media / "in").symlink_to(video.parent)
    if link == "file":
        (media / "a.mp4").symlink_to(video)
    root, path = {
        "none": (video.parent, video.name),
        "folder": (media, f"in/{video.name}"),
        "file": (media, "a.mp4"),
    }[link]
    with pytest.raises(InputError, match=rf"{path}: is also a video of split test; take it out of the tables"):
        read({"t.csv": table(f"b.mp4,a,,\n{path},b,,")}, root=str(root))


def test_it_is_tested_on_another_data_set_of_captions() -> None:
    given = {"root": "x", "tables": ["a.csv", "b.tsv"]}
    config = PairsConfig.model_validate({**given, "test": "msrvtt"})
    assert config.test_videos == 1000
    assert config.files == {"tables.0": "a.csv", "tables.1": "b.tsv"}
    for test in ("shapes-qa", {**given, "name": "pairs", "test": "shapes"}):
        with pytest.raises(ValueError, match="has no captions to be tested on; take a data set that has"):
            PairsConfig.model_validate({**given, "test": test})
    whole = {**given, "test": "shapes"}
    for missing in ("tables", "test"):
        with pytest.raises(ValueError, match=missing):
            PairsConfig.model_validate({key: value for key, value in whole.items() if key != missing})


def test_images_and_videos_are_read_checked_prepared_and_cached(
    read: Read, config: ShapesConfig, dataset: Dataset, tmp_path: Path
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (48, 32, 3), np.uint8)
    Image.fromarray(picture).save(media / "a.png")
    os.link(dataset.splits["train"].videos[0].path, media / "b.mp4")
    found = read({"t.csv": table("a.png,a picture,,", "b.mp4,a video,,")})
    settings = PairsConfig(root=str(media), tables=("t.csv",), test=config, sampler="ranges", max_frames=4)
    plain = list(video_batches(Clips(found.splits["train"], settings, 16), 2))
    assert plain[0][1].sum(1).tolist() == [1, 4]
    assert not examine(found, settings, 16, tmp_path, workers=1).bad
    done = prepare(found, settings, 16, tmp_path, workers=1)
    assert (done.bad, done.decoded) == ({}, 2 + 4 + 7)
    cache = frame_cache(found, settings, 16, tmp_path)
    assert all(cache.find(video, settings) for video in found.splits["train"].videos)
    (media / "a.png").write_bytes((media / "a.png").read_bytes()[:300])
    with pytest.raises(InputError, match=r"1 of 13 videos .* cannot be used: \S+a\.png: does not decode"):
        hbi.data.checking.check_videos(found, settings, tmp_path)


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "twice.tsv").write_text("path\tcaption\tcaption\na.mp4\tone\ttwo\n")
    with pytest.raises(InputError, match=r"twice\.tsv:1: two columns are called 'caption'; rename one"):
        read_table(tmp_path / "twice.tsv")
