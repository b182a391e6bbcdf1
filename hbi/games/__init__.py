"""Word–frame games: exact, enumerated and sampled interactions and values."""

from hbi.games.indices import interaction, value
from hbi.games.pairwise import pairwise_interaction
from hbi.games.sampling import sampled_interaction
from hbi.games.token_game import TokenGame, worth

__all__ = ["TokenGame", "interaction", "pairwise_interaction", "sampled_interaction", "value", "worth"]
