"""Small data sets in the layout of a published one, written and read back."""

from collections.abc import Mapping
from pathlib import Path

import hbi.data
from hbi.config import DataConfig


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Every file by its name, line ends as they are; returns ``root``."""
    for name, content in files.items():
        (root / name).write_text(content, newline="")
    return root


def load(config: type[DataConfig], root: Path, **options: object) -> hbi.data.Dataset:
    """The data set under ``root``, by ``config`` with these options."""
    return hbi.data.load(config.model_validate({"root": str(root), **options}), root / "cache")
