"""A profile is complete, says what it could not measure, finds a slower row, and stops when it is told to."""

import math

import numpy as np
import pytest
import torch

from hbi.config import CaseConfig, CostConfig, HBIConfig, HBIQAConfig, MILESConfig, TeacherConfig
from hbi.cost import latency, profile
from hbi.cost.calls import ALL, ANSWER, ONE, QUERY, STEP, VIDEO
from hbi.cost.memory import Peak
from hbi.cost.report import CostReport
from hbi.cost.stages import stages
from hbi.errors import InputError

CPU = torch.device("cpu")
ODD = 'released / "β" ×'
ANSWERING = HBIQAConfig(temporal_layers=1, answers=20, head_width=16, teacher=None)
ROWS = {
    "exact": HBIConfig(temporal_layers=1),
    ODD: HBIConfig(
        temporal_layers=1, levels=("entity",), distillation_weight=0, teacher=TeacherConfig(method="sampled", samples=5)
    ),
    "questions": ANSWERING,
}


def config_of(rows=ROWS, **options):
    cases = tuple(CaseConfig(label=label, model=model, words=8, frames=4, batch=3) for label, model in rows.items())
    return CostConfig(**{"cases": cases, "gallery": 20, "rounds": 8, "seconds": 0.2} | options)


def silent(what, done, total):
    pass


@pytest.fixture
def forgetful(monkeypatch):
    """Memory is said to be a gigabyte, in no time."""
    monkeypatch.setattr(profile, "peak_memory", lambda *given: Peak(10**9, 0, "stand-in"))


@pytest.fixture(scope="module")
def measured():
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile, "peak_memory", lambda *given: Peak(10**9, 0, "stand-in"))
        config = config_of(scaling={"words": [4, 8], "gallery": [10, 20]})
        report, samples = profile.profile(config, CPU, 3, lambda *progress: told.append(progress))
    return report, samples, told


# ---- what it holds --------------------------------------------------------------------------------------------------


def test_every_stage_of_every_case_is_counted(measured):
    report, _, _ = measured
    assert list(report.cases) == list(ROWS)
    for label, case in report.cases.items():
        assert not any(count.unpriced for count in case.stages.values()), label
        assert all(count.flops > 0 for count in case.stages.values())
        assert case.parameters == case.trainable > 0
        assert (case.words, case.frames, case.resolution, case.gallery, case.batch) == (8, 4, 32, 20, 3)
    expected = stages(ROWS["exact"], 8, 4, batch=3, gallery=(20, 20))
    assert {name: count.flops for name, count in report.cases["exact"].stages.items()} == {
        name: found.total for name, found in expected.items()
    }
    assert "answer" in report.cases["questions"].stages
    evaluations = {label: case.evaluations for label, case in report.cases.items()}
    assert evaluations == {
        "exact": {"entity": 0, "action": 0, "event": 0},
        ODD: {"entity": 4 * 5 * 8 * 4},
        "questions": {},
    }


def test_every_call_is_timed_and_compared_with_the_first_row_that_has_it(measured):
    report, samples, _ = measured
    calls = {label: list(case.latency) for label, case in report.cases.items()}
    assert calls == {
        "exact": [QUERY, VIDEO, ONE, ALL],
        ODD: [QUERY, VIDEO, ONE, ALL],
        "questions": [QUERY, VIDEO, ANSWER],
    }
    assert list(samples)[:11] == [
        *(f"{label}/{name}" for name in (QUERY, VIDEO) for label in ROWS),
        *(f"{label}/{name}" for name in (ONE, ALL) for label in ("exact", ODD)),
        f"questions/{ANSWER}",
    ]
    assert {times.shape for times in samples.values()} == {(8,)}
    assert len(samples) == 11 + sum(len(point.seconds) for points in report.scaling.values() for point in points)
    for label, points in report.scaling.items():
        for point in points:
            for name, median in point.seconds.items():
                assert median == np.median(samples[f"{label}/{name} at {point.size} {point.value}"])
    for label, case in report.cases.items():
        for name, found in case.latency.items():
            times = samples[f"{label}/{name}"]
            assert found.p50.value == pytest.approx(np.median(times))
            assert found.throughput == pytest.approx(found.items / times.mean())
            assert found.rounds == 8
            assert found.p99.interval[1] is None  # too few rounds to bound it
            assert found.joules is None
            first = label == "exact" or name == ANSWER
            assert (found.against is None) == (found.against_interval is None) == first
    assert {found.items for found in report.cases["exact"].latency.values()} == {1, 20, 400}
    assert (report.clock, report.precision, report.seed) == ("perf_counter", "fp32", 3)
    assert all(state.load is None or state.load >= 0 for state in report.power)


def test_memory_of_the_calls_that_there_are(measured):
    report, _, _ = measured
    assert list(report.cases["exact"].memory) == [VIDEO, ALL, STEP]
    assert list(report.cases["questions"].memory) == [VIDEO, STEP]
    assert report.cases["exact"].memory[ALL].bytes == 10**9


def test_a_point_for_every_size_with_all_stages_and_the_calls_that_it_changes(measured):
    report, _, _ = measured
    for label, case in report.cases.items():
        points = {(point.size, point.value): point for point in report.scaling[label]}
        assert list(points) == [("words", 4), ("words", 8), ("gallery", 10), ("gallery", 20)]
        assert all(list(point.flops) == list(case.stages) for point in points.values())
        own = {name: count.flops for name, count in case.stages.items()}
        assert points["words", 8].flops == points["gallery", 20].flops == own
        assert points["words", 4].flops["text encoder"] < own["text encoder"]
        assert points["words", 4].flops["frame encoder"] == own["frame encoder"]
        quarter = points["gallery", 10].flops["similarity"]
        assert quarter == pytest.approx(own["similarity"] / 4, rel=0.01)
        assert points["gallery", 10].flops == own | {"similarity": quarter}
        answers = label == "questions"
        assert list(points["words", 4].seconds) == ([QUERY, ANSWER] if answers else [QUERY, ONE, ALL])
        assert list(points["gallery", 10].seconds) == ([] if answers else [ONE, ALL])


def test_of_two_towers(forgetful):
    rows = {"exact": ROWS["exact"], "towers": MILESConfig(masking={})}
    report, _ = profile.profile(config_of(rows, scaling={"frames": [2, 4]}, resolution=16), CPU, 0, silent)
    clip, towers = report.cases.values()
    assert towers.resolution == clip.resolution == 16
    assert towers.parameters > towers.trainable > 0  # the copy follows
    assert list(towers.latency) == [QUERY, VIDEO, ONE, ALL]
    assert list(towers.memory) == [VIDEO, ALL, STEP]
    assert not any(count.unpriced for count in towers.stages.values())
    two, four = report.scaling["towers"]
    assert two.flops["encode video"] < four.flops["encode video"] == towers.stages["encode video"].flops
    assert list(two.seconds) == [VIDEO, ONE, ALL]


def test_goes_through_json(measured):
    report, _, _ = measured
    assert CostReport.model_validate_json(report.model_dump_json()) == report


def test_tells_what_it_is_doing(measured):
    _, _, told = measured
    whats = dict.fromkeys(what for what, _, _ in told)
    assert [f"timing {name}" in whats for name in (QUERY, VIDEO, ONE, ALL, ANSWER)] == [True] * 5
    assert {"counting FLOPs", f"memory of {STEP}", f"timing {ALL} at gallery 10"} <= set(whats)
    for what in whats:
        done = [(done, total) for name, done, total in told if name == what]
        assert all(0 <= one <= total for one, total in done)
    assert (f"timing {ALL}", 8, 8) in told


# ---- what may happen ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["counting FLOPs", f"memory of {VIDEO}", "building models", f"timing {QUERY}"])
def test_stops_where_it_is_told_to(where, forgetful):
    class Stopped(Exception):
        pass

    def progress(what, done, total):
        if what == where:
            raise Stopped

    with pytest.raises(Stopped):
        profile.profile(config_of({"a": ANSWERING}), CPU, 0, progress)


@pytest.mark.parametrize(
    "error",
    [MemoryError("does not fit in 23.4 GB"), TimeoutError("run did not end within 600 s"), RuntimeError("run failed")],
    ids=lambda error: type(error).__name__,
)
def test_memory_that_cannot_be_measured_is_said_to_be_so(error, monkeypatch):
    def fail(*given):
        raise error

    monkeypatch.setattr(profile, "peak_memory", fail)
    found = profile._remembered(config_of(), CPU, silent)
    assert {one.bytes for of in found.values() for one in of.values()} == {None}
    assert {one.how for of in found.values() for one in of.values()} == {str(error)}


@pytest.mark.parametrize(
    ("failing", "left"), [(ALL, [QUERY, VIDEO, ONE]), (VIDEO, [QUERY]), (STEP, [QUERY, VIDEO, ONE, ALL])]
)
def test_a_call_that_does_not_fit_is_not_timed_and_loses_no_other(failing, left, monkeypatch):
    def remember(function, given, *others):
        if (given["case"]["label"], given["call"]) == ("large", failing):
            raise MemoryError("does not fit in 23.4 GB")
        return Peak(10**9, 0, "stand-in")

    monkeypatch.setattr(profile, "peak_memory", remember)
    model = ROWS["exact"]
    rows = {"large": model, "small": model.model_copy(update={"levels": ("entity",), "distillation_weight": 0})}
    report, samples = profile.profile(config_of(rows, scaling={"gallery": [5, 10]}), CPU, 0, silent)
    assert list(report.cases["large"].latency) == left
    assert list(report.cases["small"].latency) == [QUERY, VIDEO, ONE, ALL]
    assert report.cases["small"].latency[QUERY].against is not None
    assert (report.cases["small"].latency[ALL].against is None) == (ALL not in left)
    assert [list(point.seconds) for point in report.scaling["large"]] == [[x for x in (ONE, ALL) if x in left]] * 2
    assert {f"large/{name}" for name in left} <= set(samples)


def test_where_no_video_fits_queries_are_measured(monkeypatch):
    def fail(*given):
        raise TimeoutError("run did not end within 600 s")

    monkeypatch.setattr(profile, "peak_memory", fail)
    report, samples = profile.profile(config_of({"a": ANSWERING}), CPU, 0, silent)
    assert list(report.cases["a"].latency) == [QUERY]
    assert list(samples) == [f"a/{QUERY}"]


def test_galleries_are_built_for_the_calls_that_are_timed(monkeypatch, forgetful):
    """One kind of call at a time, and none for a size that changes no call."""
    events = []
    monkeypatch.setattr(profile, "timed_call", lambda name, model, case, options: events.append(name) or (lambda: None))
    told = lambda what, done, total: events.append(what) if done == total else None  # noqa: E731
    profile.profile(config_of({"a": ROWS["exact"]}, scaling={"batch": [2, 4]}), CPU, 0, told)
    assert events == [of for name in (QUERY, VIDEO, ONE, ALL) for of in (name, f"timing {name}")]


def test_memory_of_equal_cases_is_measured_once(monkeypatch):
    asked = []
    monkeypatch.setattr(profile, "peak_memory", lambda *given: asked.append(given) or Peak(1, 0, "stand-in"))
    model = ROWS["exact"]
    found = profile._remembered(config_of({"a": model, "b": model, "c": ANSWERING}), CPU, silent)
    assert found["a"] == found["b"]
    assert len(asked) == 3 + 2


def test_a_slower_row_is_found(monkeypatch, forgetful):
    """By a clock that moves as it is told: the second row takes a tenth longer to encode a query, and nothing else."""
    now = 0.0
    generator = np.random.default_rng(0)

    def lasts(seconds):
        def run():
            nonlocal now
            now += seconds * math.exp(0.02 * generator.standard_normal())

        return run

    def call(name, model, case, options):
        return lasts(1.1 if (name, case.label) == (QUERY, "slower") else 1.0)

    monkeypatch.setattr(latency, "perf_counter", lambda: now)
    monkeypatch.setattr(profile, "timed_call", call)
    monkeypatch.setattr(profile, "stages", lambda *given: {})
    config = config_of({"first": ANSWERING, "slower": ANSWERING}, rounds=100, seconds=1000)
    monkeypatch.setattr(latency, "_clock", lambda device: (latency._seconds, 1e-6))
    report, _ = profile.profile(config, CPU, 0, silent)
    found = report.cases["slower"].latency
    assert found[QUERY].different
    assert found[QUERY].against == pytest.approx(1.1, rel=0.02)
    assert found[QUERY].against_interval[0] <= 1.1 <= found[QUERY].against_interval[1]
    assert not found[VIDEO].different


def test_sizes_that_no_encoder_reaches_are_refused_before_anything_is_timed(monkeypatch, forgetful):
    monkeypatch.setattr(profile, "measure", None)
    with pytest.raises(InputError, match="reaches 77"):
        profile.profile(config_of({"a": ANSWERING}, scaling={"frames": [4, 78]}), CPU, 0, silent)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu(precision):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    report, samples = profile.profile(config_of(precision=precision), torch.device("cuda"), 0, silent)
    assert report.clock == "CUDA events"
    assert report.hardware.gpu
    for case in report.cases.values():
        assert all(one.bytes and one.how == "CUDA allocator" for one in case.memory.values())
        assert all(found.joules is None or found.joules > 0 for found in case.latency.values())
    assert all((times > 0).all() for times in samples.values())
