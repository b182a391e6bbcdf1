"""Seeing the game: which words of a caption play with which frames of a video, as numbers and as a picture."""

from hbi.explain.explanation import Agreement, Explanation, LevelGame
from hbi.explain.figure import interaction_figure
from hbi.explain.pair import explain

__all__ = ["Agreement", "Explanation", "LevelGame", "explain", "interaction_figure"]
