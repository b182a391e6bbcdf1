"""The comparison of ways to compute an interaction, as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from ablations.game_methods import Comparison

HEADINGS = ["level", "method", "mean abs. error", "correlation", "sign right", "KL of softmax", "seconds a batch"]


def game_table(found: Sequence[Comparison]) -> str:
    """One row a level and method."""
    rows = [
        [
            one.level,
            one.method,
            f"{one.agreement.mean_absolute_error:.2e}",
            f"{one.agreement.correlation:.4f}",
            f"{100 * one.agreement.sign:.1f} %",
            f"{one.agreement.divergence:.2e}",
            f"{one.seconds:.4f}",
        ]
        for one in found
    ]
    align = ["left", "left"] + ["right"] * (len(HEADINGS) - 2)
    return tabulate(rows, HEADINGS, tablefmt="pipe", disable_numparse=True, colalign=align)
