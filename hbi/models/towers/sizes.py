"""Sizes of two towers: NAME.json in this folder, or a file of the same layout. Free of torch."""

from pathlib import Path

from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from hbi.config import Config, TwoTowerConfig
from hbi.errors import InputError

OURS = Path(__file__).parent
TINY_VOCABULARY = OURS.parent / "encoders" / "tiny-vocabulary.txt"


class TextSizes(Config):
    """Of a DistilBERT."""

    vocabulary: int | None = Field(None, ge=1, description="Tokens; none: those of the vocabulary file.")
    positions: int = Field(ge=1, description="Most tokens of a caption.")
    width: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    hidden: int = Field(ge=1, description="Width between the two maps of a block.")


class VideoSizes(Config):
    """Of a vision transformer; between the two maps of a block it is four times as wide."""

    image_size: int = Field(ge=1, description="Side of a frame, pixels.")
    patch_size: int = Field(ge=1, description="Side of a patch, pixels.")
    width: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    frames: int = Field(ge=1, description="Most frames of a video, where they have positions (MILES).")

    @model_validator(mode="after")
    def _whole_patches(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(f"frames of {self.image_size} pixels are no whole number of patches of {self.patch_size}")
        return self

    @property
    def patches(self) -> int:
        """Of one frame."""
        return int((self.image_size // self.patch_size) ** 2)


class TowerSizes(Config):
    """Both towers, and the width in which they meet."""

    projection: int = Field(ge=1)
    text: TextSizes
    video: VideoSizes

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        for side in (self.text, self.video):
            if side.width % side.heads:
                raise ValueError(f"a width of {side.width} is no multiple of {side.heads} heads")
        return self


def read_sizes(name: str) -> TowerSizes:
    """Of towers ``name``: those of this folder, or a FILE.json. Raises InputError for a name or a file that is none."""
    file = Path(name) if name.endswith(".json") else OURS / f"{Path(name).name}.json"
    known = ", ".join(sorted(path.stem for path in OURS.glob("*.json")))
    if not file.is_file():
        raise InputError(f"model.towers: no towers {name!r}; known: {known}, or a FILE.json")
    try:
        return TowerSizes.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def vocabulary_of(config: TwoTowerConfig) -> Path:
    """The file of its tokens."""
    return Path(config.vocabulary) if config.vocabulary else TINY_VOCABULARY


def tokens_in(config: TwoTowerConfig, sizes: TowerSizes) -> int:
    """Of its vocabulary. Raises InputError where the file is missing, or has not the tokens that ``sizes`` name."""
    file = vocabulary_of(config)
    try:
        found = len(file.read_bytes().splitlines())
    except OSError as error:
        raise InputError(f"model.vocabulary: {file}: {error.strerror}") from None
    if sizes.text.vocabulary not in (None, found):
        named = "" if config.vocabulary else "; give model.vocabulary, the vocab.txt of DistilBERT"
        raise InputError(f"{file}: {found} tokens, but towers {config.towers} have {sizes.text.vocabulary}{named}")
    return found
