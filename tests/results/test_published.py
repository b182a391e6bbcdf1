from pathlib import Path

import pytest

from hbi.errors import InputError
from results.published import published_heads


def test_figures_with_their_sources() -> None:
    heads = {head.system: head for head in published_heads()}
    assert [heads[name].gflops for name in ("CLIP4Clip", "GLSCL", "X-CLIP", "X-Pool")] == [0.5, 1.0, 220.9, 275.0]
    assert heads["GLSCL"].r_at_1 == 48.1
    assert "HBI" not in heads  # none is published
    assert all("2405.12710" in head.source and head.status == "confirmed" for head in heads.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heads: [{system: A, gflops: x, r_at_1: 3, source: s, status: confirmed}]", "1:29: gflops should be a number"),
        ("heads: [{system: A, gflops: 1, r_at_1: 3, source: s, status: guess}]", "1:62: status should be 'confirmed'"),
        ("heads: [{system: A, gflops: 1, r_at_1: 3, source: s}]", "1:9: status is missing"),
        ("heads: !!python/object/apply:os.system [ls]", "1:8: the tag"),
        ("heads: [", "1:9: "),
    ],
)
def test_mistakes_are_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "flops.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        published_heads(file)
    assert str(error.value).startswith(f"{file}:{message}")
    assert "\n" not in str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        published_heads(tmp_path / "none.yaml")
