"""The training of the learned estimator, in the form in which every model is trained."""

from pathlib import Path

import torch
from torch import Tensor, nn

from hbi.config import EstimatorConfig
from hbi.games import TokenGame, interaction
from hbi.games.estimator import BanzhafEstimator, estimation_error, save_estimator
from hbi.games.token_game import Padding
from hbi.models.base import Encoded, System, initialised
from hbi.models.hbi import HBI
from hbi.seeds import spread


class EstimatorTraining(System):
    """Learns the interactions of words and frames as the trained model ``source`` sees them; that stays as it is.

    The source is no submodule: neither optimiser nor checkpoint nor the result holds its weights.
    """

    def __init__(self, config: EstimatorConfig, seed: int, source: HBI) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        with initialised(seed, "estimator"):
            self.network = BanzhafEstimator(config.width, config.scale)
        self._source = [source.train().requires_grad_(False)]  # in training mode it encodes every level it has
        self.image_size, self.context_length = source.image_size, source.context_length

    @property
    def source(self) -> HBI:
        return self._source[0]

    @property
    def logit_scale(self) -> nn.Parameter:
        return self.source.logit_scale

    @torch.no_grad()
    def encode_text(self, token_ids: Tensor, mask: Tensor) -> Encoded:
        return self.source.to(token_ids.device).encode_text(token_ids, mask)

    @torch.no_grad()
    def encode_video(self, frames: Tensor, mask: Tensor) -> Encoded:
        return self.source.to(frames.device).encode_video(frames, mask)

    def losses_of(self, text: Encoded, video: Encoded, targets: Encoded) -> dict[str, Tensor]:
        """The squared error at the entity level, in units of 1/scale; as published, merged tokens are not learned."""
        config, game = self.config, self.padded(self.source.game("entity", text, video))
        generator = torch.Generator(game.similarity.device).manual_seed(spread(self.seed, "labels", self.step))
        labels = interaction(game, config.index, method=config.labels, samples=config.samples, generator=generator)
        return {"total": estimation_error(self.network, game, labels)}

    def padded(self, game: TokenGame) -> TokenGame:
        """``game`` with the padding that the network is trained with."""
        padding: Padding = "released" if self.config.padding == "released" else "neutral"
        words, frames = game.text, game.video
        return TokenGame(game.similarity, words.scores, frames.scores, words.mask, frames.mask, padding)

    def recompute_activations(self) -> None:
        """Nothing to do: the encoder carries no gradient here."""

    def save(self, path: Path) -> None:
        save_estimator(path, self.network, self.config.index)
