"""The scores of a finished run, found again with the weights that it has left."""

from pathlib import Path

import torch
from torch import Tensor

from ablations.trained import finished, given, weights_of
from ablations.work import Work, device_of
from hbi.config import EvaluationConfig
from hbi.data.dataset import Progress
from hbi.metrics.saved import Saved
from hbi.models import Encoded, System


def similarities(folder: Path, evaluation: EvaluationConfig, cache: Path, progress: Progress) -> Saved:
    """Of the test split, by the model of the complete run in ``folder``, and of the bank that ``evaluation`` asks for.

    Computed on the run's device with its number of threads; nothing is written into ``folder``. ``progress`` is called
    while videos are generated, read and encoded. Raises RunFailure("need") where the run has left no weights,
    InputError where its data, or the device that it names, are not here.
    """
    spec = finished(folder).spec
    changes = {"checkpoint": str(weights_of(folder)), "evaluation": evaluation}
    spec = spec.model_copy(update=changes)  # as one that does not train: it reads the test split alone
    threads = torch.get_num_threads()
    torch.set_num_threads(spec.runtime.threads)
    try:
        work = Work(
            spec,
            given(spec),
            cache,
            device_of(spec.runtime.device),
            log=lambda event: progress(event["what"], event["done"], event["total"]),
        )
        _count(work.model, sum(len(clips) for clips in work.clips.values()), progress)
        return work.similarities("test")
    finally:
        torch.set_num_threads(threads)


def _count(model: System, total: int, progress: Progress) -> None:
    """Makes ``model`` tell ``progress`` of every block of the ``total`` videos that it encodes."""
    encode, done = model.encode_video, 0

    def counting(frames: Tensor, mask: Tensor) -> Encoded:
        nonlocal done
        done += len(frames)
        progress("encoding video", done, total)
        return encode(frames, mask)

    model.encode_video = counting  # type: ignore[method-assign]
