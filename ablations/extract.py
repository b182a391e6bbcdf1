"""Features of a user's own files, by a model with its weights, with all that has made them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ablations.provenance import provenance
from ablations.work import device_of
from hbi.config import DataConfig
from hbi.data.dataset import Progress
from hbi.data.feature_file import Extracted
from hbi.data.video import decoder_version
from hbi.errors import InputError
from hbi.extract import extract_captions, extract_videos
from hbi.models import System

SAMPLING = ("max_words", "max_frames", "frame_rate", "sampler", "resize")
"""Of the options of data, those that decide what is seen of a file."""


def extract(
    source: Path,
    into: Path,
    model: System,
    data: DataConfig,
    precision: str,
    device: str,
    workers: int,
    made: Mapping[str, Any],
    progress: Progress,
) -> Extracted:
    """Writes the features of the folder of videos ``source``, or of the captions in it where it is a .txt file.

    ``data``: how files become words and frames. ``made``: what they are made by, beside what is known here. Raises
    as ``extract_videos`` does, and InputError where ``source`` is neither.
    """
    place = device_of(device)
    origin = provenance(place, torch.get_num_threads(), decoder_version(data.reader), 0)
    told = {
        **made,
        "data": data.model_dump(mode="json", include={*SAMPLING}),
        "precision": precision,
        "provenance": origin.model_dump(mode="json", exclude={"parameters", "job", "dirty_diff"}),
        "uncommitted_changes": origin.dirty_diff is not None,
    }
    model = model.to(place)
    if source.suffix == ".txt" and not source.is_dir():
        return extract_captions(model, source, into, data, precision, told, progress)
    if source.is_file():
        raise InputError(f"{source}: is neither a folder of videos nor a .txt file of captions")
    return extract_videos(model, source, into, data, precision, workers, told, progress)
