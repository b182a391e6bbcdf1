"""Numbers as they are printed: three significant digits, in a unit with the SI prefix that suits all of a column."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal

PREFIXES = {"n": 1e-9, "µ": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
"""From small to large."""

_DIGITS = 3
_ALL_DIGITS = Context(prec=400)  # of any float, also a stranger's 1e300
_MOST = 1e5  # a number with more digits is hard to read


def prefix(numbers: Iterable[float], least: str = "n") -> str:
    """The largest under which no number is below 1; a larger one where some would have more than five digits.

    Never below ``least``, and zeros do not count.
    """
    known = list(PREFIXES)[list(PREFIXES).index(least) :]
    given = [number for number in numbers if number > 0]
    if not given:
        return ""
    fine = [name for name in known if PREFIXES[name] <= min(given)] or known[:1]
    short = [name for name in known if max(given) / PREFIXES[name] < _MOST] or known[-1:]
    return max(fine[-1], short[0], key=known.index)


def numeral(number: float, prefix: str = "") -> str:
    """With three significant digits, or all of a whole part that has more."""
    if isinstance(number, int) and not prefix:
        return str(number)
    number /= PREFIXES[prefix]
    return rounded(number, decimals(number))


def scaled(number: float) -> str:
    """Under a prefix of its own: 1.20 M."""
    own = prefix([number], least="")
    return f"{numeral(number, own)} {own}".rstrip()


def exponent(number: float) -> str:
    """With two decimals, and a minus that is no hyphen."""
    return f"{round(number, 2) + 0.0:.2f}".replace("-", "−")


def decimals(number: float) -> int:
    """Digits behind the point that make three significant ones."""
    significant = Context(prec=_DIGITS, rounding=ROUND_HALF_UP).create_decimal(repr(number))
    return max(0, _DIGITS - 1 - significant.adjusted()) if significant else 0


def rounded(number: float, decimals: int) -> str:
    """Halves up, as on paper."""
    return str(Decimal(repr(number)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, _ALL_DIGITS))
