"""How runs that need another are shown and started."""

from slurm.local import _next
from slurm.plan import plan
from suites.expand import expand, in_order
from suites.load import load_suite


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
