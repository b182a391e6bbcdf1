import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hbi.data import msvd_captions
from hbi.data.msvd_captions import convert
from hbi.errors import InputError

CAPTIONS = {"ab-_9xYz012_5_15": [["a", "dog", "runs"], ["ein", "café"]], "-Qr5tUvWx34_40_52": [["rain", "falls"]]}


def converted(tmp_path: Path, content: bytes) -> Any:
    (tmp_path / "raw-captions.pkl").write_bytes(content)
    convert(tmp_path / "raw-captions.pkl", tmp_path / "raw-captions.json")
    return json.loads((tmp_path / "raw-captions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_captions_come_out_as_they_went_in(protocol: int, tmp_path: Path) -> None:
    assert converted(tmp_path, pickle.dumps(CAPTIONS, protocol)) == CAPTIONS


@pytest.mark.parametrize(
    "content",
    [
        b"(dp0\nS'v_1_2'\np1\n(lp2\n(lp3\nS'a'\np4\naS'dog'\np5\naa(lp6\ng4\nag5\naas.",
        b"(dp1\nS'v_1_2'\np2\n(lp3\n(lp4\nVa\np5\naVdog\np6\naa(lp7\ng5\nag6\naas.",
        b"\x80\x02}q\x01U\x05v_1_2q\x02]q\x03(]q\x04(U\x01aq\x05U\x03dogq\x06e]q\x07(h\x05T\x03\x00\x00\x00dogees.",
        pickle.dumps({b"v_1_2": [[b"a", b"dog"], [b"a", b"dog"]]}, 3),
        pickle.dumps({b"v_1_2": [[b"a", b"dog"], ["a", "dog"]]}, 4),
    ],
    ids=["python 2, 0", "python 2 unicode, 0", "python 2, 2", "bytes, 3", "bytes and text, 4"],
)
def test_byte_strings_and_python_2_are_read(content: bytes, tmp_path: Path) -> None:
    assert converted(tmp_path, content) == {"v_1_2": [["a", "dog"], ["a", "dog"]]}


def test_byte_strings_are_utf_8(tmp_path: Path) -> None:
    assert converted(tmp_path, pickle.dumps({b"v_1_2": [["café".encode()]]}, 4)) == {"v_1_2": [["café"]]}
    with pytest.raises(InputError, match="'utf-8' codec can't decode"):
        converted(tmp_path, pickle.dumps({b"v_1_2": [["café".encode("latin-1")]]}, 4))


class Calls:
    """Pickled, it is a program that makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


def wrapped(instructions: bytes) -> bytes:
    """A caption file one of whose words is what ``instructions`` leave."""
    return b"\x80\x04}X\x05\x00\x00\x00v_1_2]](" + instructions + b"easas."


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_runs_a_command_is_refused_and_runs_nothing(protocol: int, tmp_path: Path) -> None:
    for trapped in (Calls(tmp_path / "run"), {"v_1_2": [["a", Calls(tmp_path / "run")]]}):
        with pytest.raises(InputError, match=r"holds the instruction .*GLOBAL, which captions do not need"):
            converted(tmp_path, pickle.dumps(trapped, protocol))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw-captions.pkl"]


@pytest.mark.parametrize(
    ("instructions", "name"),
    [
        (b"cos\nsystem\n(Vtouch run\ntR", "GLOBAL"),
        (b"Vos\nVsystem\n\x93Vtouch run\n\x85R", "STACK_GLOBAL"),
        (b"(Vtouch run\nios\nsystem\n", "INST"),
        (b"(cos\nsystem\nVtouch run\no", "GLOBAL"),
        (b"Va\n}b", "BUILD"),
        (b"Va\n)\x81", "EMPTY_TUPLE"),
        (b"Va\nVb\nR", "REDUCE"),
        (b"Pmine\n", "PERSID"),
        (b"Va\nQ", "BINPERSID"),
        (b"\x82\x01", "EXT1"),
        (b"\x97", "NEXT_BUFFER"),
        (b"K\x01", "BININT1"),
        (b"N", "NONE"),
        (b"Va\n2", "DUP"),
    ],
)
def test_every_instruction_that_captions_do_not_need_is_refused(
    instructions: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"holds the instruction {name}, which captions do not need"):
        converted(tmp_path, wrapped(instructions))
    assert not (tmp_path / "run").exists()


def test_the_loader_itself_gives_out_no_class_and_no_outside_object(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(msvd_captions, "_refuse_other_instructions", lambda content: None)
    monkeypatch.chdir(tmp_path)
    for trap, message in ((b"cos\nsystem\n(Vtouch run\ntR", "asks for os.system"), (b"Pmine\n", "of elsewhere")):
        with pytest.raises(InputError, match=message):
            converted(tmp_path, wrapped(trap))
    assert not (tmp_path / "run").exists()


def test_bombs_are_refused_before_they_take_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="numbers its object"):  # the table of objects would take 64 GB
        converted(tmp_path, wrapped(b"Va\nr\xff\xff\xff\xff"))
    with pytest.raises(InputError, match="expected 1099511627776 bytes"):
        converted(tmp_path, wrapped(b"\x8d" + (2**40).to_bytes(8, "little")))
    word = "x" * 1000
    caption = [word] * 1000
    with pytest.raises(InputError, match="more than 100000000 characters"):  # 5 kB for 1 TB
        converted(tmp_path, pickle.dumps({f"v{n}": [caption] * 1000 for n in range(1000)}, 4))
    monkeypatch.setattr(msvd_captions, "MAX_INSTRUCTIONS", 10)
    with pytest.raises(InputError, match="more than 10 instructions"):
        converted(tmp_path, pickle.dumps(CAPTIONS))
    monkeypatch.setattr(msvd_captions, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="larger than 10 bytes"):
        converted(tmp_path, pickle.dumps(CAPTIONS))


def test_a_truncated_file_is_damaged_wherever_it_ends(tmp_path: Path) -> None:
    for protocol in (0, 2, 4):
        whole = pickle.dumps(CAPTIONS, protocol)
        for length in range(len(whole)):
            with pytest.raises(InputError, match="damaged, or not MSVD's captions") as caught:
                converted(tmp_path, whole[:length])
            assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw-captions.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["a"], "holds a list where captions have a dict"),
        ({"v_1_2": {"a": "b"}}, "holds a dict where captions have a list"),
        ({"v_1_2": ["a dog runs"]}, "holds a str where captions have a list"),
        ({"v_1_2": [[["a"]]]}, "holds a list where captions have a str"),
        ({"v_1_2": []}, "v_1_2: List should have at least 1 item"),
        ({"v_1_2": [["a"], []]}, "v_1_2.1: List should have at least 1 item"),
        ({"../../etc/x": [["a"]]}, "'../../etc/x' is no video id"),
        ({"v_1_2": [["\ud800"]]}, "surrogates not allowed"),
    ],
)
def test_what_is_no_captions_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        converted(tmp_path, pickle.dumps(content, 4))


def test_a_file_of_another_digest_is_refused_and_the_old_json_stays(tmp_path: Path) -> None:
    content = pickle.dumps(CAPTIONS)
    source, target = tmp_path / "raw-captions.pkl", tmp_path / "raw-captions.json"
    source.write_bytes(content)
    target.write_text("old")
    with pytest.raises(InputError, match=r"its sha256 is .*, not 00ff; fetch the file again"):
        convert(source, target, "00ff")
    assert target.read_text() == "old"
    convert(source, target, hashlib.sha256(content).hexdigest().upper())
    assert json.loads(target.read_text(encoding="utf-8")) == CAPTIONS
    with pytest.raises(InputError, match=r"none.pkl: cannot be read \(No such file"):
        convert(tmp_path / "none.pkl", target)


def test_it_is_a_command(tmp_path: Path) -> None:
    source, target = tmp_path / "raw-captions.pkl", tmp_path / "raw-captions.json"
    command = [sys.executable, "-m", "hbi.data.msvd_captions", str(source), str(target)]
    source.write_bytes(pickle.dumps(CAPTIONS))
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(target.read_text(encoding="utf-8")) == CAPTIONS
    source.write_bytes(pickle.dumps(Calls(tmp_path / "run")))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "which captions do not need" in done.stderr
