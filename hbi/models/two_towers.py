"""What MCQ and MILES share: a vector of DistilBERT for a caption, and one of a vision transformer for a video."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hbi.config import Choice, TwoTowerConfig
from hbi.data.preprocess import normalise
from hbi.data.tokens import Tokens, wordpiece
from hbi.models.base import Encoded, System, initialised
from hbi.models.contrastive import contrastive
from hbi.models.pooling import zero_padded
from hbi.models.towers import TextTower, TowerSizes, VideoTower, read_sizes, tokens_in, vocabulary_of
from hbi.seeds import spread
from hbi.weights import check_names_and_shapes, read_weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels of ImageNet, which the published towers expect."""


class TwoTowers(System):
    """Captions [N,T] and videos [M,F,3,S,S] → a vector each, compared by their cosine.

    text    ReLU and a linear map of the first token's last hidden state
    video   a linear map of the class token behind the last norm

    A subclass has ``_video_tower``. What it adds for its pre-training is no part of evaluation.
    """

    config: TwoTowerConfig
    encoder_prefix = ("text_tower.", "video_tower.")
    published_encoders = (*encoder_prefix, "text_projection.", "video_projection.")

    def __init__(self, config: TwoTowerConfig, seed: int = 0, sizes: TowerSizes | None = None) -> None:
        """``sizes``: none: ``config.towers`` names them."""
        super().__init__()
        self.config, self.seed = config, seed
        self.sizes = sizes or read_sizes(config.towers)
        text, video = self.sizes.text, self.sizes.video
        self.image_size, self.context_length = video.image_size, text.positions
        with initialised(seed, "text tower"):
            self.text_tower = TextTower(text, (sizes and text.vocabulary) or tokens_in(config, self.sizes))
        with initialised(seed, "video tower"):
            self.video_tower = self._video_tower()
        with initialised(seed, "projections"):
            self.text_projection = nn.Linear(text.width, self.sizes.projection)
            self.video_projection = nn.Linear(video.width, self.sizes.projection)
        self.log_scale = nn.Parameter(-torch.tensor(config.temperature).log(), requires_grad=False)
        if config.text_weights:
            self.text_tower.start_from(read_weights(Path(config.text_weights)), config.text_weights)
        if config.video_weights:
            self.video_tower.start_from(read_weights(Path(config.video_weights)), config.video_weights)
        self._add_pretraining()
        if config.weights:
            self.start_from(read_weights(Path(config.weights)), config.weights)

    def _video_tower(self) -> VideoTower:
        raise NotImplementedError

    def _add_pretraining(self) -> None:
        """Makes the parts that ``config`` wants for pre-training; none by default."""

    @property
    def logit_scale(self) -> nn.Parameter:
        return self.log_scale

    @property
    def gathers_whole_gradient(self) -> bool:
        return self.config.departures.gathered_gradients == "correct"

    def tokenize(self, captions: Sequence[str], max_words: int) -> Tokens:
        return wordpiece(vocabulary_of(self.config))(captions, max_words)

    def start_from(self, state: Mapping[str, Tensor], origin: Path | str) -> None:
        """Loads the weights of evaluation, and those of pre-training that are there, from a published checkpoint or one
        of ours; what this model has beyond them stays as it is. InputError where one is missing or misshapen."""
        from hbi.models import released  # here, because it imports all systems

        if released.is_published(state):
            released.fill(self, state, origin)
            return
        own = {name: weight for name, weight in self.state_dict().items() if name != TEMPERATURE}
        given = {n: weight for n, weight in state.items() if n in own or not n.startswith((TEMPERATURE, *EXTRA))}
        if not any(name.startswith(EXTRA) for name in given):  # what pre-training adds is given whole, or not at all
            own = {name: weight for name, weight in own.items() if not name.startswith(EXTRA)}
        check_names_and_shapes(own, given, origin)
        self.load_state_dict(given, strict=False)

    def encode_text(self, token_ids: Tensor, mask: Tensor) -> Encoded:
        """ "vector" [N,D] of unit length."""
        return Encoded({"vector": unit(self.caption_vector(self.text_tower(token_ids, mask)[-1]))})

    def encode_video(self, frames: Tensor, mask: Tensor) -> Encoded:
        """ "vector" [M,D] of unit length."""
        return Encoded({"vector": unit(self.video_vector(self.video_states(frames, mask)[-1]))})

    def caption_vector(self, state: Tensor) -> Tensor:
        """Last hidden state [N,T,·] → [N,D]."""
        return self.text_projection(state[:, 0].relu())  # type: ignore[no-any-return]

    def video_vector(self, state: Tensor) -> Tensor:
        """Last state [M,1+F·P,·] → [M,D]."""
        return self.video_projection(self.video_tower.norm(state[:, 0]))  # type: ignore[no-any-return]

    def video_states(self, frames: Tensor, mask: Tensor) -> list[Tensor]:
        """As the video tower gives them."""
        return self.video_tower(*self.as_seen(frames, mask))  # type: ignore[no-any-return]

    def as_seen(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised frames, and which of them are seen."""
        frames = frames if frames.is_floating_point() else normalise(frames, MEAN, STD)
        if self.config.departures.padded_frames == "released":
            return zero_padded(frames, mask), torch.ones_like(mask)
        return frames, mask

    def similarity(self, text: Encoded, video: Encoded) -> Tensor:
        return text["vector"] @ video["vector"].mT

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """ "contrastive", which is all there is."""
        loss = self.matched(text, video, targets)
        return {"total": loss, "contrastive": loss}

    def contrast(self, queries: Tensor, answers: Tensor, same: Tensor, choice: Choice) -> Tensor:
        """InfoNCE both ways of matching unit vectors [B,D]; ``same`` and ``choice`` as ``contrastive`` has them."""
        return contrastive(self.logit_scale.exp() * queries @ answers.mT, same, choice)

    def matched(self, text: Encoded, video: Encoded, targets: Encoded) -> Tensor:
        """The contrastive loss of captions and their videos."""
        choice = self.config.departures.same_video
        return self.contrast(text["vector"], video["vector"], targets["video_index"], choice)

    def drawn(self, purpose: str, videos: Tensor, count: int) -> Tensor:
        """[M,count] in [0,1) for the videos that are numbered so [M], by seed and step: however a batch is split up."""
        draw = torch.Generator()
        seeds = (spread(self.seed, purpose, self.step, video) for video in videos.tolist())
        rows = [torch.rand(count, generator=draw.manual_seed(seed)) for seed in seeds]
        return torch.stack(rows).to(videos.device)

    def recompute_activations(self) -> None:
        self.video_tower.recomputes = True
        self.text_tower.recompute_activations()


EXTRA = ("bridge.", "snapshot.", "hidden_patch")
"""How the names of the weights begin that pre-training alone uses, of all systems."""

TEMPERATURE = "log_scale"
"""A parameter, for all systems have one, that is an option here and is not learned: no weights bring it."""


def unit(vectors: Tensor) -> Tensor:
    """[N,D] → of unit length; norms below 1e-8 count as that, as published."""
    return F.normalize(vectors.float(), dim=-1, eps=1e-8)
