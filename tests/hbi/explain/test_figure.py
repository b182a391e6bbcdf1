"""The figure: nothing lies on anything else or outside, signs are told without colour, long inputs are cut to fit."""

import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from hbi.explain import interaction_figure
from hbi.explain.figure import HATCHED_FROM, WIDTH, figure_caption
from tests.hbi.explain.conftest import explained, model_of

ROOT = Path(__file__).parents[3]
HOSTILE = "日本 $x^2$ <b> supercalifragilisticexpialidociousantidisestablishmentarianism_{ \\alpha 🙂"


def texts_of(figure):
    """Each text that is drawn, with its place in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


CASES = {
    "usual": lambda usual, long: usual,
    "long": lambda usual, long: long,
    "one frame": lambda usual, long: explained("a dog runs", 1),
    "one word": lambda usual, long: explained("run", 12),
    "hostile": lambda usual, long: explained(HOSTILE, 5),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_or_lies_on_another(case, usual, long):
    figure = interaction_figure(CASES[case](usual, long))
    texts = texts_of(figure)
    width, height = figure.get_size_inches() * figure.dpi
    assert figure.get_size_inches()[0] <= WIDTH + 1e-6
    for text, box in texts:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
    for (one, a), (other, b) in combinations(texts, 2):
        across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across < 1 or down < 1.5, (one, other)


def test_negative_cells_are_hatched_and_positive_ones_are_not(usual):
    figure = interaction_figure(usual, levels=["entity"])
    matrix = usual.level("entity").interactions["banzhaf"]["exact"]
    wanted = np.sum(matrix <= -HATCHED_FROM * np.abs(matrix).max())
    _, scale = figure.axes[0].patches, 10  # cells of the scale that are negative
    cells = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle) and patch.get_hatch()]
    hatched = [patch for patch in cells if patch.get_height() > 0.1]
    assert 0 < wanted == len(hatched)
    assert len(cells) - len(hatched) >= scale


def test_every_frame_that_fits_is_shown_and_of_more_those_that_interact_most(usual, long):
    assert len(interaction_figure(usual).axes[0].images) == 3 * 12
    assert "are drawn" not in figure_caption(usual, "banzhaf", "exact", None)
    figure = interaction_figure(long, levels=["entity"])
    assert len(figure.axes[0].images) == 16
    size = f"entity level, 24 of {len(long.level('entity').words)} × 16 of 64, similarity"
    assert [text for text, _ in texts_of(figure) if text.startswith(size)]
    caption = figure_caption(long, "banzhaf", "exact", None)
    words = len(long.level("entity").words)
    assert f"entity level: 24 of {words} words and 16 of 64 frames are drawn, those that interact most" in caption
    best = long.level("entity").strongest("banzhaf", "exact", 1)[0]
    assert long.text_of(long.level("entity").words[best.word]) in {text for text, _ in texts_of(figure)}
    assert figure.get_size_inches()[1] < 6


def test_the_difference_of_methods_and_of_models(usual):
    other = explained(model=model_of(seed=1))
    caption = figure_caption(usual, "banzhaf", "exact", (other, "exact"))
    figure = interaction_figure(usual, less=(other, "exact"))
    titles = [text for text, _ in texts_of(figure)]
    assert any("entity level" in title and "this model − the other" in title for title in titles)
    assert not any("action level" in title for title in titles)  # they merge differently
    assert "merge differently" in caption
    figure = interaction_figure(usual, method="sampled", less=(usual, "exact"))
    titles = [text for text, _ in texts_of(figure)]
    assert sum("sampled − exact" in title for title in titles) == 3
    assert not any(title.startswith("value") for title in titles)  # equal, and exact
    with pytest.raises(ValueError, match="no level"):
        interaction_figure(usual, less=(other, "exact"), levels=["action"])


def test_the_library_is_there_without_matplotlib_and_pandas():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'pandas'])); import hbi.explain; "
        "assert hbi.explain.interaction_figure"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
