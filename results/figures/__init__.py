"""The figures of a suite, drawn from its records: sweeps, quality against FLOPs, learning curves, growth of costs."""

from collections.abc import Iterator, Mapping, Sequence

from results.cost_scaling import growths
from results.figures.curves import learning_curves
from results.figures.growth import scaling
from results.figures.pareto import trade_offs
from results.figures.style import Drawn, drawing, save
from results.figures.sweep import swept
from results.record import Record
from suites.expand import Run
from suites.schema import Suite

__all__ = ["Drawn", "figures", "save"]


def figures(suite: Suite, runs: Sequence[Run], records: Mapping[str, Record]) -> list[Drawn]:
    """What can be drawn of ``runs``, those of ``suite``, from ``records`` by run id; docs/figures.md says when.

    Complete runs alone are drawn; where none is, the list is empty. Names are unique: SUITE.OPTION for every option
    that is swept, SUITE.pareto.head and SUITE.pareto.query, SUITE.curves, SUITE.scaling.
    """
    with drawing():
        return list(_drawn(suite, runs, records))


def _drawn(suite: Suite, runs: Sequence[Run], records: Mapping[str, Record]) -> Iterator[Drawn]:
    yield from swept(suite, runs, records)
    found = (records[run.run_id].cost for run in runs if run.alone and run.run_id in records)
    report = next((cost for cost in found if cost), None)
    if report:
        yield from trade_offs(suite, runs, records, report)
    yield from learning_curves(suite, runs, records)
    if report:
        yield from scaling(f"{suite.name}.scaling", growths(report))
