"""What a suite gives ready-made: weights that are evaluated instead of trained, and other files that options name."""

from collections.abc import Sequence
from pathlib import Path

from hbi.config import DataConfig, ModelConfig, SystemConfig
from hbi.files import sha256
from suites.resolve import Settings, open_options
from suites.schema import Suite, VariantEntry


class NoFile(ValueError):
    """A file that an option names cannot be read."""

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(f"{option}: {reason}")
        self.option = option


def checkpoint_of(suite: Suite, entry: VariantEntry) -> str | None:
    """The file of weights that is evaluated for this entry; none: they are trained."""
    return entry.checkpoint or suite.checkpoint


def seeds_of(suite: Suite, entry: VariantEntry) -> Sequence[int]:
    """Given weights are evaluated once: nothing is random in it, and equal numbers would look like no spread."""
    seeds = entry.seeds or suite.seeds
    return seeds[:1] if checkpoint_of(suite, entry) else seeds


def options_of(suite: Suite, entry: VariantEntry, fixed: Settings) -> list[str]:
    """The swept options that concern this entry: those of the training do not where weights are given."""
    options = open_options(suite, fixed)
    if not checkpoint_of(suite, entry):
        return options
    return [option for option in options if option == "training.precision" or not option.startswith("training.")]


def digests(model: ModelConfig, data: DataConfig, checkpoint: str | None) -> dict[str, str]:
    """sha256 of every file that options of the model and the data name, by option. Raises NoFile."""
    if checkpoint and isinstance(model, SystemConfig):
        model = model.without_weights()  # they are replaced
    files = {f"model.{option}": path for option, path in model.files.items()}
    files |= {f"data.{option}": path for option, path in data.files.items()}
    if checkpoint:
        files["checkpoint"] = checkpoint
    return {option: _digest(option, Path(path)) for option, path in files.items()}


def _digest(option: str, file: Path) -> str:
    if not file.is_file():
        raise NoFile(option, f"no such file: {file}")
    try:
        return sha256(file)
    except OSError as error:
        raise NoFile(option, f"{file}: {error.strerror}") from error
