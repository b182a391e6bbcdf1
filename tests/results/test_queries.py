"""The texts behind the ranks, shared by all runs of a test split."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hbi.errors import InputError
from results.queries import read_queries, write_queries

CAPTIONS, VIDEOS, VIDEO_OF = ["a ring turns", "Ein Würfel — 🎲", "it turns"], ["v1", "v2"], [0, 1, 0]


def file_of(runs: Path, digest: str) -> Path:
    return runs / "queries" / f"{digest}.json"


def test_what_is_read_is_what_was_written_and_another_order_is_another_digest(tmp_path: Path) -> None:
    digest = write_queries(tmp_path, CAPTIONS, VIDEOS, VIDEO_OF)
    found = read_queries(tmp_path, digest)
    assert found.model_dump() == {
        "version": 1, "captions": tuple(CAPTIONS), "videos": tuple(VIDEOS), "video_of": tuple(VIDEO_OF),
    }  # fmt: skip
    assert write_queries(tmp_path, CAPTIONS[::-1], VIDEOS, VIDEO_OF) != digest
    assert read_queries(tmp_path, digest) == found


def test_they_are_written_once_whoever_comes(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: write_queries(tmp_path, CAPTIONS, VIDEOS, VIDEO_OF), range(32)))
    (digest,) = digests
    assert [path.name for path in (tmp_path / "queries").iterdir()] == [f"{digest}.json"]
    written = file_of(tmp_path, digest).stat().st_mtime_ns
    write_queries(tmp_path, CAPTIONS, VIDEOS, VIDEO_OF)
    assert file_of(tmp_path, digest).stat().st_mtime_ns == written


def test_an_annotation_that_is_no_text_does_not_lose_a_run(tmp_path: Path) -> None:
    digest = write_queries(tmp_path, ["half \ud83d a pair"], ["v"], [0])
    assert read_queries(tmp_path, digest).captions == ("half ? a pair",)


def test_what_is_missing_damaged_or_no_digest_is_one_line(tmp_path: Path) -> None:
    digest = write_queries(tmp_path, CAPTIONS, VIDEOS, VIDEO_OF)
    file = file_of(tmp_path, digest)
    changed = json.loads(file.read_text()) | {"captions": ["another", "b", "c"]}
    file.write_text(json.dumps(changed))
    for wanted, message in ((digest, "is not what its name says"), ("0" * 16, "no such file"), ("../x", "no digest")):
        with pytest.raises(InputError, match=message) as caught:
            read_queries(tmp_path, wanted)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("video_of", "message"), [([0, 2, 0], "columns of the 2 videos"), ([0, 1], "3 captions, but 2 columns")]
)
def test_columns_that_do_not_fit_are_refused(tmp_path: Path, video_of: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_queries(tmp_path, CAPTIONS, VIDEOS, video_of)
