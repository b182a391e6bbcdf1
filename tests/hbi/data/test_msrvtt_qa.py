import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hbi.data
from hbi.config import MSRVTTQAConfig
from hbi.data.msrvtt_qa import read_msrvtt_qa
from hbi.errors import InputError

ANNOTATIONS = Path(__file__).parents[4] / "shared" / "annotations" / "MSRVTT-QA"
REAL = pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="the published annotation files are not at hand")


def line(video_id: object, question: object, answer: object) -> str:
    kind = str(question).split(" ")[0]
    return json.dumps({"answer": answer, "question": question, "video_id": video_id, "answer_type": kind})


TRAIN = "\n".join(
    [
        line("video3", "what plays?", "music"),
        line("video1", "who sings?", "woman"),
        line("video3", "who plays?", "band"),
        line("video2", "who sings?", "woman"),
    ]
)
TEST = "\n".join([line("video9", "what is cooked?", "rice"), line("video8", "who cooks?", "woman")])
LABELS = '{"woman": 1, "music": 0, "band": 2}'


def write(root: Path, **files: str) -> Path:
    """A small data set of MSRVTT-QA's layout; ``files`` replaces or adds the content of its parts."""
    names = {"train": "train.jsonl", "test": "test.jsonl", "val": "val.jsonl", "labels": "train_ans2label.json"}
    (root / "qa").mkdir(parents=True, exist_ok=True)
    for part, content in ({"train": TRAIN, "test": TEST} | files).items():
        (root / "qa" / names[part]).write_text(content, newline="")
    return root


def read(root: Path, **options: object) -> hbi.data.Dataset:
    return hbi.data.load(MSRVTTQAConfig.model_validate({"root": str(root), **options}), root / "cache")


def test_questions_are_in_the_order_of_their_file_and_videos_in_that_of_first_mention(tmp_path: Path) -> None:
    dataset = read(write(tmp_path, labels=LABELS))
    train = dataset.splits["train"]
    assert [video.id for video in train.videos] == ["video3", "video1", "video2"]
    assert train.videos[0].path == tmp_path / "videos" / "video3.mp4"
    assert train.captions == ("what plays?", "who sings?", "who plays?", "who sings?")
    assert train.video_of == (0, 1, 0, 2)
    assert train.answers == ("music", "woman", "band", "woman")
    assert dataset.splits.keys() == {"train", "test"}
    assert read(write(tmp_path, val=line("video5", "what?", "music"))).splits["val"].answers == ("music",)


def test_the_vocabulary_is_that_of_the_file_given_or_of_the_one_beside_or_is_made(tmp_path: Path) -> None:
    made = read(write(tmp_path))
    assert made.vocabulary == ("band", "music", "woman")
    assert made.labels("train") == [1, 2, 0, 2]
    assert made.labels("test") == [-1, 2]
    assert read(tmp_path, most_frequent=2).vocabulary == ("band", "woman")  # of two that occur once, the first
    assert read(tmp_path, most_frequent=1).labels("train") == [-1, 0, -1, 0]
    beside = read(write(tmp_path, labels=LABELS))
    assert beside.vocabulary == ("music", "woman", "band")
    assert beside.labels("train") == [0, 1, 2, 1]
    (tmp_path / "mine.json").write_text('{"rice": 0, "woman": 1}')
    assert read(tmp_path, labels=str(tmp_path / "mine.json")).labels("test") == [0, 1]


@given(data=st.data(), answers=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30))
def test_the_made_vocabulary_holds_the_most_frequent_in_whatever_order_the_lines_are(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, answers: list[str]
) -> None:
    size = data.draw(st.integers(1, 8))
    root = tmp_path_factory.mktemp("shuffled")
    found = set()
    for order in (answers, data.draw(st.permutations(answers))):
        write(root, train="\n".join(line("video1", "what?", answer) for answer in order))
        found.add(read(root, most_frequent=size).vocabulary)
    (vocabulary,) = found
    assert vocabulary is not None
    assert list(vocabulary) == sorted(set(vocabulary))
    counts = Counter(answers)
    assert len(vocabulary) == min(size, len(counts))
    left = [counts[answer] for answer in counts if answer not in vocabulary]
    assert min(counts[answer] for answer in vocabulary) >= max(left, default=0)


def test_line_ends_and_odd_characters_of_a_file_do_not_matter(tmp_path: Path) -> None:
    plain = read(write(tmp_path)).splits["train"]
    for written in (TRAIN + "\n", TRAIN.replace("\n", "\r\n") + "\r\n", "\ufeff" + TRAIN, TRAIN + "\n\n"):
        assert read(write(tmp_path, train=written)).splits["train"] == plain
    odd = '{"answer": "a", "question": "what is\u2028\u0085this?", "video_id": "video1"}'
    assert read(write(tmp_path, train=odd)).splits["train"].captions == ("what is\u2028\u0085this?",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train": TRAIN + "\n{ not json"}, r"train.jsonl:5: Invalid JSON"),
        ({"train": TRAIN[:-5]}, r"train.jsonl:4: Invalid JSON"),
        ({"train": TRAIN + "\n\n[1]\n"}, r"train.jsonl:6: Input should be an object"),
        ({"train": '{"answer": "a", "question": "b?"}'}, r"train.jsonl:1: video_id: Field required"),
        ({"train": line("video1", " ", "a")}, r"train.jsonl:1: question: empty"),
        ({"train": line("video1", "what?", "")}, r"train.jsonl:1: answer: empty"),
        ({"train": line("video1", "what?", None)}, r"train.jsonl:1: answer: Input should be a valid string"),
        ({"train": line(12, "what?", "a")}, r"train.jsonl:1: video_id: Input should be a valid string"),
        ({"test": line("../../etc/x", "what?", "a")}, r"test.jsonl:1: video_id: '../../etc/x' is no video id"),
        ({"test": line("/etc/x", "what?", "a")}, r"is no video id"),
        ({"val": "\n"}, r"val.jsonl: holds no question"),
        ({"train": ""}, r"train.jsonl: holds no question"),
        ({"test": line("video3", "what?", "a")}, r"test.jsonl: video3 is also in train.jsonl"),
        ({"val": line("video9", "what?", "a")}, r"test.jsonl: video9 is also in val.jsonl"),
        ({"labels": "{ not json"}, r"train_ans2label.json: Invalid JSON"),
        ({"labels": '["woman"]'}, r"train_ans2label.json: Input should be an object"),
        ({"labels": "{}"}, r"train_ans2label.json: holds no answer"),
        ({"labels": '{"": 0}'}, r"train_ans2label.json: .*empty"),
        ({"labels": '{"woman": "0"}'}, r"train_ans2label.json: woman: Input should be a valid integer"),
        ({"labels": '{"woman": true}'}, r"train_ans2label.json: woman: Input should be a valid integer"),
        ({"labels": '{"woman": 0, "band": 0}'}, r"no answer has label 1; 2 answers take the labels 0 to 1, each once"),
        ({"labels": '{"woman": 1, "band": 2}'}, r"no answer has label 0"),
        ({"labels": '{"woman": -1, "band": 0}'}, r"no answer has label 1"),
        ({"labels": '{"man": 0}'}, r"train_ans2label.json: no training question has an answer of this file"),
    ],
)
def test_bad_files_are_named_with_place_in_one_line(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(write(tmp_path, **files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no such folder; data set msrvtt-qa is expected there, with qa/ and videos/"),
        (lambda root: (root / "qa" / "test.jsonl").unlink(), "test.jsonl: no such file; the data set needs"),
        (lambda root: (root / "qa" / "train.jsonl").write_bytes(b"\xff\xfe\x00"), "cannot be read as UTF-8"),
        (lambda root: (root / "qa" / "train_ans2label.json").mkdir(), "train_ans2label.json: cannot be read"),
    ],
)
def test_missing_files_are_named(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    root = write(tmp_path / "root")
    damage(root)
    with pytest.raises(InputError, match=message):
        read(root)


def test_no_root_and_no_label_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no root is given"):
        hbi.data.load(MSRVTTQAConfig(root=None), tmp_path)
    with pytest.raises(InputError, match=r"none.json: no such file; data.labels is a JSON"):
        read(write(tmp_path), labels=str(tmp_path / "none.json"))


def test_videos_that_are_not_there_are_named(tmp_path: Path) -> None:
    config = MSRVTTQAConfig(root=str(write(tmp_path)))
    with pytest.raises(InputError, match=r"5 of 5 videos of data set msrvtt-qa cannot be used: .*video3.mp4"):
        hbi.data.check(config, tmp_path / "cache")


@REAL
def test_the_published_validation_questions_and_labels(tmp_path: Path) -> None:
    root = write(tmp_path)
    for name in ("val.jsonl", "train_ans2label.json"):
        shutil.copy(ANNOTATIONS / name, root / "qa")
    dataset = read_msrvtt_qa("msrvtt-qa", root, labels=None)
    val = dataset.splits["val"]
    assert (len(val.videos), len(val.captions)) == (497, 12278)
    assert {video.id for video in val.videos} == {f"video{number}" for number in range(6513, 7010)}
    assert dataset.vocabulary is not None
    assert len(dataset.vocabulary) == 1500
    assert list(dataset.vocabulary) == sorted(dataset.vocabulary)
    assert sum(label >= 0 for label in dataset.labels("val")) == 11419
    kinds = Counter(question.split()[0] for question in val.captions)
    assert kinds == {"what": 8337, "who": 3439, "how": 344, "when": 106, "where": 52}
