"""Matrices as they lie in files: of the same numbers, not copied where that is not needed, and never written to."""

from pathlib import Path

import numpy as np
import pytest

from hbi.cost.memory import peak_memory
from hbi.errors import InputError
from hbi.metrics.saved import read_similarity

MB = 2**20
rng = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("kept", "read"),
    [
        *(("f2", "f4"), ("f4", "f4"), ("f8", "f8"), (">f4", "f4"), (">f8", "f8")),
        *(("i1", "f4"), ("u2", "f4"), ("i4", "f8"), ("i8", "f8")),
    ],
)
def test_numbers_are_read_exactly(tmp_path: Path, kept: str, read: str) -> None:
    scores = (100 * rng.standard_normal((5, 3))).astype(kept)
    np.save(tmp_path / "scores.npy", scores)
    np.savez(tmp_path / "scores.npz", similarity=scores)
    for name in ("scores.npy", "scores.npz"):
        found = read_similarity(tmp_path / name).similarity
        assert found.dtype == np.dtype(read)
        np.testing.assert_array_equal(found, scores)


def test_what_is_written_into_a_matrix_does_not_reach_its_file(tmp_path: Path) -> None:
    file = tmp_path / "scores.npy"
    np.save(file, np.zeros((2, 2), np.float32))
    before = file.read_bytes()
    read_similarity(file).similarity[0, 0] = 1
    assert file.read_bytes() == before


@pytest.mark.parametrize("order", ["C", "F"])
def test_either_order_of_a_file(tmp_path: Path, order: str) -> None:
    scores = rng.standard_normal((4, 6))
    np.save(tmp_path / "scores.npy", np.asarray(scores, order=order))  # type: ignore[call-overload]
    np.testing.assert_array_equal(read_similarity(tmp_path / "scores.npy").similarity, scores)


def test_objects_alone_in_a_file_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "scores.npy", np.array([[None]]), allow_pickle=True)
    with pytest.raises(InputError, match="holds objects, not numbers"):
        read_similarity(tmp_path / "scores.npy")


def test_a_large_file_is_not_copied(tmp_path: Path) -> None:
    """64 MB of numbers; their pages count as they are read, but once."""
    np.save(tmp_path / "scores.npy", rng.standard_normal((4000, 4000), dtype=np.float32))
    arguments = {"file": str(tmp_path / "scores.npy")}
    assert peak_memory(f"{__name__}:read", arguments).bytes < (64 + 32) * MB


def read(file: str) -> None:
    read_similarity(Path(file))


def test_scores_of_videos_of_their_own_are_read_and_must_fit(tmp_path: Path) -> None:
    scores, other = rng.standard_normal((2, 4, 3)).astype("f4")
    np.savez(tmp_path / "two.npz", similarity=scores, video_to_text=other)
    found = read_similarity(tmp_path / "two.npz")
    np.testing.assert_array_equal(found.scores("t2v"), scores)
    np.testing.assert_array_equal(found.scores("v2t"), other)
    np.savez(tmp_path / "two.npz", similarity=scores, video_to_text=other.T)
    with pytest.raises(InputError, match=r"video_to_text \[3, 4\] does not fit similarity \[4, 3\]"):
        read_similarity(tmp_path / "two.npz")
