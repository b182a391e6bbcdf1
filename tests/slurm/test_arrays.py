"""Which runs share a job array: properties that hold for every plan, by a scheduler that starts what it may."""

import random

from hypothesis import given
from hypothesis import strategies as st

from hbi.config import HBIConfig, ShapesConfig
from slurm.arrays import groups, shares
from suites.expand import Run
from suites.spec import RunSpec
from tests.slurm.examples import ASKED

SPEC = RunSpec(variant="hbi", data=ShapesConfig(), model=HBIConfig())
WISHES = [ASKED.model_copy(update={"minutes": minutes}) for minutes in (10, 20, 30)]


@st.composite
def plans(draw):
    """Runs in any order, each needing one of the others or none, some of which are done already; and their wishes."""
    found, wishes = [], {}
    for number in range(draw(st.integers(0, 24))):
        needed = draw(st.none() | st.sampled_from(found)) if found else None
        found.append(Run(f"run {number}", f"id{number}", SPEC, needed))
        wishes[f"id{number}"] = draw(st.sampled_from(WISHES))
    done = draw(st.sets(st.integers(0, 23), max_size=6))
    return draw(st.permutations([run for number, run in enumerate(found) if number not in done])), wishes


sizes = st.integers(1, 8)


def planned(plan, largest=1000, max_parallel=None):
    runs, wishes = plan
    return groups(runs, lambda run: wishes[run.run_id], largest, max_parallel)


def within(group):
    return {run.run_id for run in group.runs}


@given(plans(), sizes, st.none() | sizes)
def test_every_run_is_in_one_array_of_its_like_and_none_is_too_large(plan, largest, max_parallel):
    runs, wishes = plan
    found = planned(plan, largest, max_parallel)
    assert sorted(run.run_id for group in found for run in group.runs) == sorted(run.run_id for run in runs)
    assert all(1 <= len(group.runs) <= largest for group in found)
    assert all(wishes[run.run_id] == group.asked for group in found for run in group.runs)


@given(plans(), sizes, st.none() | sizes)
def test_arrays_wait_for_earlier_ones_alone(plan, largest, max_parallel):
    for number, group in enumerate(planned(plan, largest, max_parallel)):
        assert all(0 <= other < number for other in group.after)


@given(plans(), sizes)
def test_without_a_limit_an_array_waits_for_just_those_that_it_needs(plan, largest):
    found = planned(plan, largest)
    for group in found:
        needed = {run.needed.run_id for run in group.runs if run.needed}
        assert set(group.after) == {n for n, other in enumerate(found) if within(other) & needed}
        assert group.at_once is None


@given(plans())
def test_one_array_for_each_set_of_resources_and_place_in_the_chain(plan):
    runs, wishes = plan
    submitted = {run.run_id for run in runs}

    def place(run):
        return 1 + place(run.needed) if run.needed and run.needed.run_id in submitted else 0

    kinds = {(place(run), wishes[run.run_id]) for run in runs}
    assert len(planned(plan)) == len(kinds)


@given(plans(), sizes, st.none() | sizes, st.randoms(use_true_random=False))
def test_a_scheduler_ends_them_all_in_order_and_never_runs_too_many(plan, largest, max_parallel, chance):
    found = planned(plan, largest, max_parallel)
    began, ended = simulate(found, max_parallel, chance)
    for group in found:
        for run in group.runs:
            if run.needed and run.needed.run_id in ended:
                assert began[run.run_id] >= ended[run.needed.run_id]


def simulate(found, max_parallel, chance: random.Random):
    """When the runs began and ended, where a free cluster starts whatever it may, in any order."""
    waiting = [[run.run_id for run in group.runs] for group in found]
    running: list[dict[str, int]] = [{} for _ in found]
    began, ended = {}, {}
    clock = 0
    while any(waiting) or any(running):
        numbers = list(range(len(found)))
        chance.shuffle(numbers)
        for n in numbers:
            if any(waiting[other] or running[other] for other in found[n].after):
                continue
            while waiting[n] and len(running[n]) < (found[n].at_once or len(found[n].runs)):
                run = waiting[n].pop(chance.randrange(len(waiting[n])))
                running[n][run], began[run] = clock + chance.randint(1, 9), clock
        busy = sum(map(len, running))
        assert busy, "nothing runs, and something waits for ever"
        assert max_parallel is None or busy <= max_parallel
        clock = min(end for jobs in running for end in jobs.values())
        for jobs in running:
            for run in [run for run, end in jobs.items() if end == clock]:
                ended[run] = jobs.pop(run)
    return began, ended


def test_the_same_run_under_two_labels_is_one_job():
    first, second = Run("ours", "id", SPEC), Run("theirs", "id", SPEC)
    (group,) = groups([first, second], lambda run: ASKED, 10)
    assert len(group.runs) == 1


def test_a_limit_above_all_leaves_arrays_of_independent_runs_side_by_side():
    runs = [Run(f"run {n}", f"id{n}", SPEC) for n in range(12)]
    found = groups(runs, lambda run: WISHES[int(run.run_id[2:]) % 3], 100, max_parallel=50)
    assert [(len(group.runs), group.at_once, group.after) for group in found] == [(4, 4, ())] * 3


@given(st.lists(st.integers(1, 50), max_size=8), st.integers(1, 60))
def test_shares(lengths, total):
    lengths = lengths[:total]
    parts = shares(lengths, total)
    assert sum(parts) == min(total, sum(lengths))  # no place is left empty while a job waits
    assert all(1 <= part <= length for part, length in zip(parts, lengths, strict=True))
    ranked = sorted(zip(lengths, parts, strict=True))
    assert [part for _, part in ranked] == sorted(parts)  # a longer array gets no less
