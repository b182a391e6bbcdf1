"""LSMDC (Rohrbach et al., CVPR 2015), the annotation files of its 2016 challenge, tab-separated, without header:

LSMDC16_annos_training.csv                  clip id, four times that are not needed (clips are cut), sentence
LSMDC16_annos_val.csv
LSMDC16_challenge_1000_publictect.csv       test; spelt so
videos/**/<clip id>.*                       any extension, in any sub-folders
"""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from hbi.config import LSMDCConfig
from hbi.data.annotations import Caption, VideoId, first, lines, refuse_shared, root_of
from hbi.data.dataset import Counts, Dataset, Progress
from hbi.data.video_files import splits
from hbi.errors import InputError

_NAMES = {
    "train": "LSMDC16_annos_training.csv",
    "val": "LSMDC16_annos_val.csv",
    "test": "LSMDC16_challenge_1000_publictect.csv",
}
_FILES = f"the data set needs {', '.join(_NAMES.values())}, and videos/"
_TRAIN_VIDEOS = 101_079


def load(config: LSMDCConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """LSMDC under ``config.root``: every line a pair, in the order of the files, but for the clips of ``config.drop``.

    A clip with several lines has several captions. Those of val are one group then (``Split.video_of``), where the
    published loaders take each line for a video of its own; in test no clip is repeated.

    Raises InputError where a file is missing or malformed, or a clip is in two of them or has two files.
    """
    root = root_of(config, "the annotation files and videos/")
    files = {split: root / name for split, name in _NAMES.items()}
    read = {split: _read(file) for split, file in files.items()}
    refuse_shared(files, {split: dict(found) for split, found in read.items()})
    pairs = {split: [pair for pair in found if pair[0] not in config.drop] for split, found in read.items()}
    dropped = len(dict(read["train"]).keys() & set(config.drop))
    published = {"train": Counts((_TRAIN_VIDEOS - dropped,)), "test": Counts((1000,), (1000,))}
    return Dataset("lsmdc", splits(pairs, root / "videos", config.missing), published=published)


class _Line(BaseModel):
    clip: VideoId
    sentence: Caption


def _read(path: Path) -> list[tuple[str, str]]:
    pairs = []
    for number, line in lines(path, _FILES):
        fields = line.split("\t")  # not by csv: a stray quotation mark would swallow lines
        if len(fields) != 6:
            raise InputError(f"{path}:{number}: {len(fields)} fields, not 6 parted by tabs; correct the line")
        try:
            found = _Line(clip=fields[0].strip(), sentence=fields[5].strip())
        except ValidationError as error:
            raise InputError(f"{path}:{number}: {first(error)}; correct the line") from error
        pairs.append((found.clip, found.sentence))
    if not pairs:
        raise InputError(f"{path}: holds no sentence")
    return pairs
