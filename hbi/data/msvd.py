"""MSVD (Chen and Dolan, ACL 2011), in the lists and captions that CLIP4Clip's repository names:

{train,val,test}_list.txt     a clip id a line: <YouTube id>_<start>_<end>
raw-captions.json             {clip id: [[word, …], …]}, made from raw-captions.pkl by hbi.data.msvd_captions
videos/**/<clip id>.*         any extension
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hbi.config import MSVDConfig
from hbi.data.annotations import listed, parsed, refuse_shared, refuse_without_caption, root_of
from hbi.data.dataset import Counts, Dataset, Progress, Split
from hbi.data.msvd_captions import Captions
from hbi.data.video_files import splits
from hbi.errors import InputError

_FILES = "the data set needs train_list.txt, val_list.txt, test_list.txt and raw-captions.json, and videos/"
_PUBLISHED = {
    "train": Counts((1200,), (48_774,)),
    "val": Counts((100,), (4290,)),
    "test": Counts((670,), (27_763,)),
}


def load(config: MSVDConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """MSVD under ``config.root``: every caption of the listed clips, clip after clip in the order of the lists.

    In val and test a clip's captions are one group (``Split.video_of``): text to video every caption has a rank,
    video to text a clip is as good as the best of its captions. ``config.grouping`` "released" takes each group one
    row earlier, as ``_one_off`` says.

    Raises InputError where a file is missing or malformed, a clip is in two lists or has no caption or two files.
    """
    root = root_of(config, "the lists, raw-captions.json and videos/")
    files = {split: root / f"{split}_list.txt" for split in ("train", "val", "test")}
    ids = {split: listed(file, _FILES) for split, file in files.items()}
    refuse_shared(files, ids)
    json = root / "raw-captions.json"
    if not json.exists() and (pickle := json.with_suffix(".pkl")).exists():
        raise InputError(
            f"{json}: no such file; make it from {pickle.name}: python -m hbi.data.msvd_captions {pickle} {json}"
        )
    captions = parsed(json, Captions, _FILES).root
    for split, found in ids.items():
        refuse_without_caption(json, split, (id for id in found if id not in captions))
    pairs = {split: [(id, " ".join(words)) for id in found for words in captions[id]] for split, found in ids.items()}
    made = splits(pairs, root / "videos")
    if config.grouping == "released":
        made |= {split: _one_off(made[split], root) for split in ("val", "test")}
    return Dataset("msvd", made, published=_PUBLISHED)


def _one_off(split: Split, root: Path) -> Split:
    """The groups as EMCL-Net, DiCoSA, GLSCL and DiffusionRet score them: one is subtracted twice from their ends.

    With 3, 2 and 4 captions the groups are rows [0,2) [2,4) [4,8): from the second on a group begins with the last
    caption of the clip before, and the last caption of all is in none. Both directions are scored so.
    Raises InputError where a clip has one caption: that code then takes the clip before it for its video.
    """
    captions = Counter(split.video_of)
    for column, video in enumerate(split.videos):
        if captions[column] < 2:
            raise InputError(f"{root}: grouping released needs two captions a clip; {video.id} has one: take correct")
    return replace(split, captions=split.captions[:-1], video_of=split.video_of[1:])
