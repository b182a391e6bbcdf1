"""The data set ``shapes-qa``: the generated videos of ``shapes`` with their questions, read by MSRVTT-QA's reader."""

from pathlib import Path

from hbi.config import ShapesQAConfig
from hbi.data.dataset import Dataset, Progress
from hbi.data.msrvtt_qa import LABELS, read_msrvtt_qa
from hbi.data.shapes import generated


def load(config: ShapesQAConfig, cache: Path, progress: Progress | None = None) -> Dataset:
    """The questions about the generated videos; raises InputError as ``generated`` does."""
    root = generated(config, cache, progress)
    return read_msrvtt_qa("shapes-qa", root, labels=root / "qa" / LABELS)
