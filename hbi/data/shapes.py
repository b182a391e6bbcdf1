"""The data set ``shapes``: generated once, written in MSR-VTT's own layout, read by MSR-VTT's own reader.

The same folder holds its questions, in the layout of MSRVTT-QA: the data set ``shapes-qa``.
"""

import hashlib
import json
import secrets
import shutil
from dataclasses import replace
from pathlib import Path

from hbi.config import ShapesConfig
from hbi.data.dataset import Dataset, Progress
from hbi.data.msrvtt import read_msrvtt
from hbi.data.shapes_questions import questions
from hbi.data.shapes_scenes import caption, phrases, scenes
from hbi.data.shapes_video import draw, encode
from hbi.errors import InputError
from hbi.files import write_atomically

VERSION = 1
"""Goes up when the same parameters begin to give other videos or captions."""


def load(config: ShapesConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """The generated videos with their captions and the phrases of these; raises InputError as ``generated`` does."""
    root = generated(config, cache, progress)
    dataset = read_msrvtt("shapes", root, "MSRVTT_train.9k.csv", hold_out_validation=True)
    told = {name: replace(split, phrases=tuple(map(phrases, split.captions))) for name, split in dataset.splits.items()}
    return replace(dataset, splits=told)


def generated(config: ShapesConfig, cache: Path, progress: Progress | None = None) -> Path:
    """The folder of the data set: ``config.root``, or one under ``cache``; generates it where it is absent.

    Raises InputError where ``config.root`` holds anything but the data set of these parameters.
    """
    parameters = json.dumps(
        {"version": VERSION, **config.model_dump(include={"train", "val", "test", "size", "generator_seed"})},
        sort_keys=True,
    )
    short_hash = hashlib.sha256(parameters.encode()).hexdigest()[:10]
    root = Path(config.root) if config.root else cache / f"shapes-{short_hash}"
    if not root.exists():
        _generate(root, config, parameters, progress)
    description = root / "shapes.json"
    if not description.is_file() or description.read_text(errors="replace") != parameters:
        raise InputError(f"{root}: not the data set of these parameters ({parameters}); remove it or give another root")
    return root


def _generate(root: Path, config: ShapesConfig, parameters: str, progress: Progress | None) -> None:
    """Writes the data set under a temporary name, then renames it: ``root`` is whole or absent.

    Several processes may do so at once. The first to end wins and removes what the others have so far, and
    what a killed one has left; the others notice, and use its data.
    """
    part = root.with_name(f".{root.name}.{secrets.token_hex(4)}.part")
    try:
        (part / "videos").mkdir(parents=True)
        _write(part, config, progress)
        write_atomically(part / "shapes.json", parameters)
        part.rename(root)
    except OSError:
        if not root.exists():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    for other in root.parent.glob(f".{root.name}.*.part"):
        shutil.rmtree(other, ignore_errors=True)


def _write(root: Path, config: ShapesConfig, progress: Progress | None) -> None:
    videos = {
        split: scenes(config.generator_seed, split, count, distinct=split == "test")
        for split, count in (("train", config.train), ("val", config.val), ("test", config.test))
    }
    ids: dict[str, list[str]] = {}
    first = 0
    for split, found in videos.items():
        ids[split] = [f"video{number}" for number in range(first, first + len(found))]
        first += len(found)

    sentences: list[dict[str, str]] = []
    for split, found in videos.items():
        lines = []
        for id, scene in zip(ids[split], found, strict=True):
            encode(draw(scene, config.size), root / "videos" / f"{id}.mp4")
            if progress:
                progress("generating video", len(sentences) + 1, first)
            sentences.append({"video_id": id, "caption": caption(scene)})
            for question, answer in questions(scene):
                kind = question.split()[0]
                lines.append({"answer": answer, "question": question, "video_id": id, "answer_type": kind})
        write_atomically(root / "qa" / f"{split}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        if split == "train":
            answers = sorted({line["answer"] for line in lines})
            labels = {answer: label for label, answer in enumerate(answers)}
            write_atomically(root / "qa" / "train_ans2label.json", json.dumps(labels))

    annotations = root / "anns"
    for split, name in (("train", "train.9k"), ("val", "val.full")):
        write_atomically(annotations / f"MSRVTT_{name}.csv", "\n".join(["video_id", *ids[split], ""]))
    rows = ["key,vid_key,video_id,sentence"]
    for row, (id, scene) in enumerate(zip(ids["test"], videos["test"], strict=True)):
        rows.append(f'ret{row},{id.replace("video", "msr")},{id},"{caption(scene)}"')
    write_atomically(annotations / "MSRVTT_JSFUSION_test.csv", "\n".join([*rows, ""]))
    data = {"videos": [{"video_id": id} for split in ids for id in ids[split]], "sentences": sentences}
    write_atomically(annotations / "MSRVTT_data.json", json.dumps(data))
