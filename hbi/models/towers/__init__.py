"""The two transformers of MCQ and MILES, and their sizes."""

from hbi.models.towers.sizes import TextSizes, TowerSizes, VideoSizes, read_sizes, tokens_in, vocabulary_of
from hbi.models.towers.text import TextTower
from hbi.models.towers.video import VideoTower

__all__ = [
    "TextSizes",
    "TextTower",
    "TowerSizes",
    "VideoSizes",
    "VideoTower",
    "read_sizes",
    "tokens_in",
    "vocabulary_of",
]
