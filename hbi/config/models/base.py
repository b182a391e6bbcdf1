"""What all systems share, and what all those share that are built on a CLIP."""

from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from hbi.config.base import Choice, Config


class ModelConfig(Config):
    """What a run trains."""

    system: str

    @property
    def needs(self) -> str | None:
        """Variant whose trained model this one starts from: its run comes first. None: it needs no other."""
        return None

    @property
    def files(self) -> dict[str, str]:
        """Paths of the files that options name, by option. Their content is part of a run's identity."""
        return {}


class SystemConfig(ModelConfig):
    """What every retrieval system shares."""

    builder: ClassVar[str]
    task: ClassVar[Literal["retrieval", "qa"]] = "retrieval"

    @property
    def asks(self) -> tuple[Literal["noun", "verb"], ...]:
        """Kinds of phrases that training asks for: its captions have them marked."""
        return ()

    @property
    def starts_whole(self) -> bool:
        """Whether all its weights are given, so that without training no seed changes anything."""
        return False

    @classmethod
    def published(cls) -> dict[str, Any]:
        """What the published code sets otherwise than our defaults."""
        departures: CommonDeparturesConfig = cls.model_fields["departures"].default
        return {"departures": departures.all_released().model_dump()}

    def without_weights(self) -> Self:
        """The same, with no weights to start from: they are replaced anyway."""
        return self


def is_file(pretrained: str) -> bool:
    """Whether these weights are a file's: open_clip's tags hold neither dots nor slashes."""
    return "/" in pretrained or "." in pretrained


class CommonDeparturesConfig(Config):
    """Where published code departs from its paper, or lets padding count: "released" does as it does.

    These are of all systems; each adds its own.
    """

    same_video: Choice = Field(
        "correct", description="Other captions of a pair's video in the batch: positives as well; or negatives."
    )
    gathered_gradients: Choice = Field(
        "correct",
        description="Gradient through the features gathered from several processes: of the whole loss; or of the "
        "local part alone, which leaves the encoder 1/processes of it.",
    )

    @classmethod
    def all_released(cls) -> Self:
        """Every one of them as published."""
        return cls.model_validate(dict.fromkeys(cls.model_fields, "released"))


class ClipSystemConfig(SystemConfig):
    """A system whose words and frames are a CLIP's, with a temporal part over frames."""

    encoder: str = Field(
        "tiny",
        description="A name of open_clip's or OpenAI's (ViT-B/32), one of ours (hbi/models/encoders), or a FILE.json.",
    )
    pretrained: str | None = Field(
        None, description="Weights of the encoder: an open_clip tag or a file; none trains it from scratch."
    )
    temporal_layers: int = Field(4, ge=1, description="Layers of the temporal transformer over frames.")
    freeze: Literal["nothing", "patches", "embeddings", "encoder"] = Field(
        "nothing",
        description="Part of the encoder that stays as it is: the embedding of patches, as in the published retrieval; "
        "those of patches, words and positions, as in the published question answering; or all of it, whose features "
        "of frames are then computed once.",
    )
    departures: CommonDeparturesConfig = Field(
        CommonDeparturesConfig(), description="Each place where the published code departs from the paper."
    )

    @property
    def files(self) -> dict[str, str]:
        named = {"encoder": self.encoder} if self.encoder.endswith(".json") else {}
        return named | ({"pretrained": self.pretrained} if self.pretrained and is_file(self.pretrained) else {})

    def without_weights(self) -> Self:
        return self.model_copy(update={"pretrained": None})

    @property
    def trains_encoder(self) -> bool:
        """Whether any of the encoder is trained; where it is not, the features of frames are computed once."""
        return self.freeze != "encoder"
