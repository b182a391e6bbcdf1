"""Which runs share a job array: those that ask for the same resources and wait for the same others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from slurm.profile import Asked
from suites.expand import Run


@dataclass(frozen=True)
class Group:
    """The runs of one job array."""

    asked: Asked
    runs: tuple[Run, ...]
    level: int
    """How many runs of this plan, one behind the other, come before each of them."""
    after: tuple[int, ...] = ()
    """The groups of the plan, by number, that end before this one starts."""
    at_once: int | None = None
    """Most jobs of the array that run at one time."""


def groups(
    runs: Sequence[Run], asked: Callable[[Run], Asked], largest: int, max_parallel: int | None = None
) -> list[Group]:
    """``runs`` as arrays of at most ``largest`` jobs; a group stands behind those it waits for.

    With ``max_parallel``, at no time do more jobs of the plan run than that: levels follow each other, and the arrays
    of a level share the number; where there are more arrays than that, one waits for another.
    """
    runs = list({run.run_id: run for run in reversed(runs)}.values())[::-1]  # under two labels it is one job
    levels = _levels(runs)
    alike: dict[tuple[int, Asked], list[Run]] = {}
    for run in runs:
        alike.setdefault((levels[run.run_id], asked(run)), []).append(run)
    found = [
        Group(wish, tuple(members[start : start + largest]), level)
        for (level, wish), members in sorted(alike.items(), key=lambda item: item[0][0])
        for start in range(0, len(members), largest)
    ]
    if max_parallel is None:
        return [replace(group, after=_needed(group, found)) for group in found]
    return _shared(found, max_parallel)


def _levels(runs: Sequence[Run]) -> dict[str, int]:
    """Of each run by id; what it needs and is not among ``runs`` is done, or in other hands."""
    among = {run.run_id: run for run in runs}
    levels: dict[str, int] = {}

    def level(run: Run) -> int:
        if run.run_id not in levels:
            needed = run.needed and among.get(run.needed.run_id)
            levels[run.run_id] = 1 + level(needed) if needed else 0
        return levels[run.run_id]

    for run in runs:
        level(run)
    return levels


def _needed(group: Group, found: Sequence[Group]) -> tuple[int, ...]:
    wanted = {run.needed.run_id for run in group.runs if run.needed}
    return tuple(n for n, other in enumerate(found) if wanted & {run.run_id for run in other.runs})


def _shared(found: Sequence[Group], max_parallel: int) -> list[Group]:
    planned: list[Group] = []
    before: tuple[int, ...] = ()
    for level in range(1 + max((group.level for group in found), default=-1)):
        members = [group for group in found if group.level == level]
        first = len(planned)
        parts = shares([len(group.runs) for group in members[:max_parallel]], max_parallel)
        for n, group in enumerate(members):
            behind = (first + n - max_parallel,) if n >= max_parallel else before
            planned.append(replace(group, after=behind, at_once=parts[n] if n < max_parallel else 1))
        before = tuple(range(first, len(planned)))
    return planned


def shares(sizes: Sequence[int], total: int) -> list[int]:
    """``total`` places for arrays of these sizes: one each at least, the others where most jobs wait for a place."""
    parts = [1] * len(sizes)
    for _ in range(total - len(sizes)):
        n = max(range(len(sizes)), key=lambda n: (sizes[n] - parts[n]) / parts[n], default=0)
        if not sizes or sizes[n] <= parts[n]:
            break
        parts[n] += 1
    return parts
