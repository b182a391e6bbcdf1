"""What there is to choose from, with what plug-ins bring: variants, suites, data sets, encoders, metrics."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

from ablations.registry import did_you_mean
from hbi.config import datasets
from hbi.errors import InputError


def listing(what: str) -> list[tuple[str, str]]:
    """Names with their meanings; raises InputError for a kind of thing that is not listed."""
    if what not in LISTINGS:
        raise InputError(f"list: unknown kind {what!r}; {did_you_mean(what, LISTINGS)}")
    return LISTINGS[what]()


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """One line each."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {meaning}".rstrip() for name, meaning in rows)


def _variants() -> list[tuple[str, str]]:
    from ablations import registry

    return [(name, registry.get(name).summary) for name in registry.names()]


def _suites() -> list[tuple[str, str]]:
    import suites
    from suites.load import load_suite

    files = sorted(Path(suites.__path__[0]).glob("*.yaml"))
    return [(file.stem, load_suite(file).summary) for file in files]


def _datasets() -> list[tuple[str, str]]:
    return [(name, (inspect.getdoc(config) or "").splitlines()[0]) for name, config in datasets().items()]


def _encoders() -> list[tuple[str, str]]:
    import hbi

    ours = sorted(Path(hbi.__path__[0], "models", "encoders").glob("*.json"))
    rows = [(file.stem, "ours, small, for training from scratch") for file in ours]
    return [
        *rows,
        ("ViT-B-32-quickgelu …", "any CLIP of open_clip with a vision transformer"),
        ("FILE.json", "sizes of your own"),
    ]


def _metrics() -> list[tuple[str, str]]:
    from hbi.metrics.registry import known_metrics

    return [(name, f"{'higher' if higher else 'lower'} is better") for name, higher in known_metrics().items()]


LISTINGS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "variants": _variants,
    "suites": _suites,
    "datasets": _datasets,
    "encoders": _encoders,
    "metrics": _metrics,
}
