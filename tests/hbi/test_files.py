"""Files are whole or absent, and a refusal of the disk is an OSError whoever was writing."""

import subprocess
import sys
import textwrap

import pytest

from hbi.files import write_atomically


def test_replaces_a_file_in_one_go_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "file"
    write_atomically(path, "one")
    write_atomically(path, lambda file: file.write(b"two"))
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fails(file):
        file.write(b"half")
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        write_atomically(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["b'x' * 10_000", "lambda file: torch.save(torch.zeros(10_000), file)"])
def test_a_full_disk_is_an_oserror_also_from_within_torch(tmp_path, content):
    code = f"""
        import resource, torch
        from pathlib import Path
        from hbi.files import write_atomically
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        try:
            write_atomically(Path({str(tmp_path / "file")!r}), {content})
        except OSError as error:
            print("refused", error.errno)
    """
    answer = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert answer.stdout.startswith("refused"), answer.stderr
    assert not list(tmp_path.iterdir())
