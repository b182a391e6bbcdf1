"""How runs that need another are shown and started."""

from results.record import Provenance, Record
from slurm.local import _next
from slurm.plan import plan
from slurm.under_way import ProgressFile, progress
from suites.expand import expand, in_order
from suites.load import load_suite


def record_of(run):
    return Record(
        run_id=run.run_id,
        spec=run.spec,
        outcome="complete",
        timings={"total": 2.0},
        provenance=Provenance(python="3", packages={}, host="here", cpu="some", threads=2, decoder="none"),
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:00:00+00:00",
    )


def chain(folder):
    (folder / "suite.yaml").write_text("data: shapes\nvariants: [hbi-estimated, hbi]")
    return in_order(expand(load_suite(folder / "suite.yaml")))


def test_a_plan_says_what_a_run_waits_for(tmp_path):
    source, estimator, user, other = chain(tmp_path)
    why = {step.run.run_id: step.why for step in plan([source, estimator, user, other], {}, tmp_path)}
    assert why[user.run_id] == f"waits for {estimator.run_id}"
    assert why[estimator.run_id] == f"waits for {source.run_id}"
    assert not any("waits" in why[run.run_id] for run in (source, other))


def test_processes_beside_each_other_start_no_run_before_the_one_it_needs(tmp_path):
    source, estimator, user, other = chain(tmp_path)
    waiting = [other, user, estimator]  # the last comes first
    assert _next(waiting, [source]) is other
    assert _next([user, estimator], [source]) is None
    assert _next([user, estimator], []) is estimator
    assert _next([user], [estimator]) is None
    assert _next([user], []) is user


def test_a_run_that_measures_cost_has_the_machine_for_itself(tmp_path):
    (tmp_path / "suite.yaml").write_text("data: shapes\nvariants: [no-hbi, hbi]\ncost: {}")
    first, second, cost = expand(load_suite(tmp_path / "suite.yaml"))
    assert _next([cost, second], [first]) is second
    assert _next([cost], [first]) is None
    assert _next([cost], []) is cost
    assert _next([first, second], [cost]) is None


def test_no_estimate_is_made_from_a_measurement_or_for_one(tmp_path):
    (tmp_path / "suite.yaml").write_text("data: shapes\nvariants: [no-hbi]\ncost: {}")
    training, cost = expand(load_suite(tmp_path / "suite.yaml"))
    record = record_of(training)
    assert [step.seconds for step in plan([cost], {training.run_id: record}, tmp_path)] == [None]


def test_how_far_a_measurement_is_can_be_seen_from_outside(tmp_path):
    ProgressFile(tmp_path, epochs=5).event({"event": "measuring", "what": "timing score N × N", "done": 3, "total": 50})
    assert progress(tmp_path).told == "timing score N × N 3 of 50"
