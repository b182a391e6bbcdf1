"""A comparison in words: by how much one row is better than another, how sure that is, and of what."""

from decimal import Decimal

from results.estimates import Interval
from results.metrics import metric
from results.numerals import rounded
from results.significance import Comparison


def verdict(found: Comparison, a: str, b: str) -> str:
    """By how much the row b is better or worse than a, where it is so: 2.1 points (95 % interval 0.4 to 3.8)."""
    shown = metric(found.metric)
    way = "better" if (found.difference > 0) == shown.higher_is_better else "worse"
    ends = sorted(end if found.difference > 0 else -end for end in found.interval)
    by, lower, upper = (signed(end, shown.decimals).removeprefix("+") for end in (abs(found.difference), *ends))
    return f"{b} is {way} than {a} by {by} {unit(found.metric)} (95 % interval {lower} to {upper})"


def unit(name: str) -> str:
    """Of a metric's differences."""
    return "ranks" if name.endswith(("/MdR", "/MnR")) else "points"


def between(interval: Interval, decimals: int) -> str:
    """The ends of a difference's interval: +0.4 to +3.8."""
    return " to ".join(signed(end, decimals) for end in interval)


def signed(number: float, decimals: int) -> str:
    """With a minus that is no hyphen; what rounds to zero has no sign."""
    text = rounded(abs(number), decimals)
    return text if not Decimal(text) else f"{'−' if number < 0 else '+'}{text}"


def p_text(p: float) -> str:
    """With the sign that stands before it in a sentence."""
    return "< 0.001" if p < 0.001 else f"= {rounded(p, 3)}"


def over(seeds: int) -> str:
    """What a comparison could see to vary, and what follows for the one who reads it."""
    if seeds > 1:
        return f"over queries and {seeds} seeds"
    return "over queries, of one seed: it holds for these trained models alone"
