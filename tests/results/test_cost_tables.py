import csv
import io
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hbi.cost.machine import Hardware, PowerState
from results import cost_tables
from results.cost_scaling import CALLS, growths
from results.layout import Entry, Layout
from results.numerals import exponent, numeral, prefix, scaled
from results.tables import latex, markdown
from results.terminal import terminal
from tests.results.cost_report import case, count, example, latency, points, report

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "tables"
FORMATS = {"txt": terminal, "md": markdown, "tex": latex}
TABLES = ("flops", "stages", "latency", "scaling", "heads")


def layout_of(kind: str, found: cost_tables.CostReport | None = None) -> Layout:
    return {one.name: one for one in cost_tables.layouts("cost", found or example())}[f"cost.{kind}"]


def column(layout: Layout, heading: str, group: str = "") -> list[Entry]:
    (index,) = [i for i, one in enumerate(layout.columns) if (one.heading, one.group) == (heading, group)]
    return [line.entries[index] for line in layout.lines]


def shown(entries: list[Entry]) -> list[str]:
    return [entry.text + entry.rest + entry.symbol for entry in entries]


def golden(name: str, text: str) -> None:
    """UPDATE_GOLDEN=1 rewrites the files; look at the difference before you keep it."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("kind", TABLES)
def test_golden(kind: str, ending: str) -> None:
    golden(f"cost.{kind}.{ending}", FORMATS[ending](layout_of(kind)))


def test_golden_csv() -> None:
    lines = cost_tables.comma_separated(example()).splitlines(keepends=True)
    golden("cost.csv", "".join(line for line in lines if "exponent/" not in line))  # the last digits of fits differ


# ---- form -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TABLES)
def test_fits_a_terminal_and_is_aligned(kind: str) -> None:
    layout = layout_of(kind)
    lines = terminal(layout).splitlines()
    assert max(map(len, lines)) <= 120
    for block in "\n".join(lines).split("\n\n")[1:-1]:
        rules = [line for line in block.splitlines() if line.startswith("──")]
        assert len({len(rule) for rule in rules}) == 1
        assert max(map(len, block.splitlines())) == len(rules[0])
    assert max(map(len, terminal(layout, width=60).rpartition("\n\n")[2].splitlines())) <= 60
    assert re.sub(r"\x1b\[\dm", "", terminal(layout, styled=True)) == terminal(layout)


def test_numbers_are_aligned_on_the_point() -> None:
    rows = [line for line in terminal(layout_of("flops")).splitlines() if line.startswith(("no-hbi ", "hbi"))][:3]
    assert len({row.index(".") for row in rows}) == 1


@pytest.mark.parametrize("kind", TABLES)
def test_latex_structure(kind: str) -> None:
    layout = layout_of(kind)
    text = latex(layout)
    assert re.sub(r"\\.", "", text).count("{") == re.sub(r"\\.", "", text).count("}")
    body = text.partition("\\midrule")[2].partition("\\bottomrule")[0].strip().splitlines()
    rows = [row for row in body if row != "\\midrule" and not row.startswith("\\multicolumn")]
    assert len(rows) == len(layout.lines)
    assert all(row.endswith(r"\\") and len(re.findall(r"(?<!\\)&", row)) == len(layout.columns) for row in rows)
    assert text.isascii()
    assert all(len(line) < 200 for line in text.partition("\\bottomrule")[2].splitlines())


@pytest.mark.parametrize("kind", TABLES)
def test_markdown_has_one_cell_a_column(kind: str) -> None:
    layout = layout_of(kind)
    lines = [line for line in markdown(layout).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(layout.columns) + 2}


def test_hostile_names_stay_on_their_line() -> None:
    hostile = "a|b & 50%_\n\x1b[31m\\input{x}"
    cases = {hostile: case(), "$x$": case(stages={"encode text": count(1e9, "evil\n\x1b[2J|op")})}
    for layout in cost_tables.layouts("cost", report(cases, {label: points() for label in cases})):
        for render in FORMATS.values():
            assert "\x1b" not in render(layout)
        assert layout.lines[0].label == "a|b & 50%_ [31m\\input{x}"
        assert r"a\textbar{}b \& 50\%\_ {[}31m\textbackslash{}input\{x\}" in latex(layout)


# ---- what is said ---------------------------------------------------------------------------------------------------


def test_stages_of_all_levels_are_added_up() -> None:
    game = {"game/entity": count(20e6), "estimator/action": count(1.5e6)}
    layout = layout_of("flops", report({"a": case(stages=game, evaluations={"entity": 40, "action": 5}), "b": case()}))
    assert shown(column(layout, "MFLOPs", "interactions")) == ["21.5", "–"]
    assert shown(column(layout, "evaluations", "interactions")) == ["45", "–"]
    assert shown(column(layout, "GFLOPs", "encode text")) == ["–", "1.76"]
    assert ("–", "no such part") in layout.notes


def test_parts_of_a_pair_and_of_all_levels() -> None:
    parts = {"similarity": count(4e8), "merge/text/action": count(2e6), "merge/video/event": count(1e6)}
    parts |= {"game/entity": count(20e6), "student/entity": count(3e7), "student/action": count(5e6)}
    layout = layout_of("stages", report({"a": case(stages=parts), "b": case(gallery=500)}))
    assert shown(column(layout, "kFLOPs", "similarity, a pair")) == ["0.400", "1201"]
    assert shown(column(layout, "MFLOPs", "token merging")) == ["3.00", "–"]
    assert shown(column(layout, "MMACs", "token merging")) == ["1.47", "–"]
    assert shown(column(layout, "MFLOPs", "interactions, a pair")) == ["20.0", "–"]
    assert shown(column(layout, "MFLOPs", "student, a pair")) == ["35.0", "–"]
    assert shown(column(layout, "GFLOPs", "frame encoder")) == ["–", "106"]
    assert ("student:", "the network that learns them, over all levels; in training alone") in layout.notes


def test_counts_say_whether_they_are_complete() -> None:
    whole = layout_of("flops", report({"a": case()}))
    assert ("", "Every operation that ran is priced; no FLOPs are missing.") in whole.notes
    stages = {"encode text": count(2e9, "aten.x [2,3] 4 times", "aten.y [1] 1 times"), "encode video": count(3e9)}
    partial = layout_of("flops", report({"a": case(), "b": case(stages=stages)}))
    assert shown(column(partial, "GFLOPs", "encode text")) == ["1.76", "2.00*"]
    assert shown(column(partial, "GFLOPs", "encode video")) == ["106", "3.00"]
    assert ("*", "lower bound: no formula for aten.x [2,3] 4 times, aten.y [1] 1 times") in partial.notes
    assert not any("no FLOPs are missing" in text for _, text in partial.notes)


def test_sizes_are_a_note_where_they_are_the_same_and_columns_where_not() -> None:
    layout = layout_of("flops", report({"a": case(), "b": case(words=32, gallery=500)}))
    assert [one.heading for one in layout.columns if one.kept] == ["words", "gallery"]
    assert shown(column(layout, "words")) == ["24", "32"]
    assert ("", "a video of 12 frames, frames of 224 × 224 pixels, a training step of 128 pairs") in layout.notes
    assert "score N × N" in {one.group for one in layout.columns}
    assert "score 1000 × 1000" in {one.group for one in layout_of("flops").columns}
    assert shown(column(layout_of("latency", report({"a": case(), "b": case(words=32)})), "words"))[:3] == [
        "24",
        "32",
        "24",
    ]


def test_what_is_not_measured_is_missing_with_its_reason() -> None:
    layout = layout_of("latency")
    assert [section for section, _ in layout.sections] == [
        "encode one query, 100 rounds",
        "encode one video, 100 rounds",
        "score 1 × 1000, 100 rounds",
        "score 1000 × 1000, 100 rounds",
        "training step",
    ]
    *_, peaks = [column(layout, one.heading, one.group) for one in layout.columns]
    assert [entry.text for entry in peaks[12:]] == ["812", "862", "1413", "–", "812", "862", "1413", "–"]
    assert (peaks[15].symbol, "memory: the process was killed") in layout.notes
    assert ("–", "not measured") in layout.notes
    without = report({"a": case(memory={}, latency={"encode one query": latency(1.0)})})
    assert [one.heading for one in layout_of("latency", without).columns] == [
        *("time", "95 % interval") * 3,
        "items/s",
    ]
    assert [one.name for one in cost_tables.layouts("t", report({"a": case(memory={}, latency={}, gallery=5)}))] == [
        "t.flops",
        "t.stages",
    ]


def test_intervals_without_an_end() -> None:
    unbounded = latency(0.02, 1.5, against_interval=(0.0, None))
    open_ = unbounded.model_copy(update={"p50": unbounded.p50.model_copy(update={"interval": (0.0, None)})})
    layout = layout_of("latency", report({"a": case(latency={"x": latency(0.02)}), "b": case(latency={"x": open_})}))
    assert shown(column(layout, "95 % interval", "p50, ms"))[:2] == ["[19.6, 20.3]", "[0.0, ∞)"]
    assert shown(column(layout, "95 % interval", "p99, ms"))[:2] == ["[22.0, ∞)", "[33.0, ∞)"]
    assert shown(column(layout, "99 % interval", "by the first row"))[:2] == ["", "[0.00, ∞)"]
    assert shown(column(layout, "time", "p99, ms"))[1] == "42.0"
    assert ("∞:", "too few rounds to bound the interval from above") in layout.notes
    bounded = latency(0.02)
    bounded = bounded.model_copy(update={"p99": bounded.p95})
    assert "∞:" not in dict(layout_of("latency", report({"a": case(latency={"x": bounded})})).notes)


def test_a_row_that_takes_longer_is_marked() -> None:
    layout = layout_of("latency")
    ratios = shown(column(layout, "ratio", "by the first row"))[:4]
    (mark,) = [symbol for symbol, text in layout.notes if text.startswith("differs from the first row")]
    assert ratios == ["1", f"1.06{mark}", f"1.74{mark}", "0.999"]


def test_times_say_where_they_are_from() -> None:
    notes = "\n".join(text for _, text in layout_of("latency").notes)
    assert "A Processor 9000, 2 cores, 2 threads; torch 2.15.0" in notes
    assert "before the first round: governor performance, processor 2400–3100 MHz, load 0.31; after the last" in notes
    assert "fp32; clock perf_counter" in notes
    assert "all times are from one run" in notes
    assert "NVML" not in notes


def test_a_gpu_tells_more() -> None:
    machine = Hardware("A Processor", 1, 1, "2.15.0", "A GPU", "550.1")
    states = (PowerState(gpu_mhz=1980, gpu_memory_mhz=2619, gpu_watts=0.4, gpu_celsius=45), PowerState())
    one = case(latency={"x": latency(0.02, joules=0.0123)}, memory={})
    layout = layout_of("latency", report({"a": one}, hardware=machine, power=states, clock="CUDA events"))
    assert shown(column(layout, "mJ a call")) == ["12.3"]
    notes = "\n".join(text for _, text in layout.notes)
    assert "A GPU, driver 550.1; A Processor, 1 core, 1 thread; torch 2.15.0" in notes
    assert "round: GPU 1980 MHz, its memory 2619 MHz, 0 W, 45 °C; after the last: clocks and load not told" in notes


def test_a_gpu_that_tells_nothing() -> None:
    machine = Hardware("A Processor", 1, 1, "2.15.0", "A GPU", None)
    layout = layout_of("latency", report({"a": case()}, hardware=machine))
    assert ("", "no clocks, power and energy: NVML is not there (pip install nvidia-ml-py)") in layout.notes
    states = (PowerState(), PowerState(gpu_mhz=1980))
    layout = layout_of("latency", report({"a": case()}, hardware=machine, power=states))
    assert not any("NVML" in text for _, text in layout.notes)


def test_exponents() -> None:
    layout = layout_of("scaling")
    flops, time = (column(layout, measure, "score N × N") for measure in ("FLOPs", "time"))
    assert [line.section for line in layout.lines[::4]] == [
        *("words 8, 16, 32, 64", "frames 4, 8, 16, 32", "gallery 250, 500, 1000, 2000", "batch 32, 64, 128")
    ]
    assert [entry.text for entry in flops[::4]] == ["–", "–", "2.00", "–"]
    assert flops[8].deviation == "0.00"
    assert 1.5 < float(time[8].text) < 2
    two = {"a": tuple(point for point in points() if point.value in (250, 2000))}
    (found,) = [
        one for one in growths(report({"a": case()}, two)) if (one.quantity, one.measure) == ("score N × N", "FLOPs")
    ]
    assert found.exponent == pytest.approx(2)
    assert math.isinf(found.interval[1])
    assert column(layout_of("scaling", report({"a": case()}, two)), "FLOPs", "score N × N")[0] == Entry("2.00")


def test_heads_stand_beside_published_ones_only_where_the_gallery_is_theirs() -> None:
    answers = case(stages={**case().stages, "answer": count(1e6)})
    cases = {"ours": case(words=8, frames=2), "another gallery": case(gallery=500), "ranks nothing": answers}
    layout = layout_of("heads", report(cases))
    assert [line.label for line in layout.lines][:2] == ["ours", "CLIP4Clip"]
    counted = shown(column(layout, "GFLOPs", "1000 captions × 1000 videos"))
    assert counted[:3] == ["300", "1.02*", "–"]
    assert shown(column(layout, "GFLOPs", "as published"))[:2] == ["–", "0.5"]
    assert ("*", "not run: one product, 512 wide") in layout.notes
    sizes = {heading: shown(column(layout, heading))[:2] for heading in ("words", "frames", "parameters, M")}
    assert sizes == {"words": ["8", "–"], "frames": ["2", "–"], "parameters, M": ["164", "–"]}
    del cases["ours"]
    assert "cost.heads" not in {one.name for one in cost_tables.layouts("cost", report(cases))}


def test_csv_keeps_full_precision() -> None:
    found = example()
    read = list(csv.DictReader(io.StringIO(cost_tables.comma_separated(found))))
    rows = {(row["label"], row["quantity"]): row for row in read}
    assert len(rows) == len(read)
    for label, one in found.cases.items():
        for stage, counted in one.stages.items():
            assert int(rows[label, f"flops/{stage}"]["value"]) == counted.flops
        for call, time in one.latency.items():
            row = rows[label, f"p99/{call}"]
            assert (float(row["value"]), float(row["lower"]), row["upper"]) == (
                time.p99.value,
                time.p99.interval[0],
                "",
            )
        assert int(rows[label, "rounds/encode one query"]["value"]) == 100
        assert int(rows[label, "calls per sample/encode one query"]["value"]) == 1
    assert [rows[label, "different/encode one query"]["value"] for label in ("hbi", "a_b|c & 100%\n#1")] == ["1", "0"]
    assert ("no-hbi", "different/encode one query") not in rows
    assert rows["hbi", "exponent/FLOPs/score N × N over gallery"]["value"].startswith(("2.0", "1.99"))


# ---- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (45, "45"), (0.9996, "1.00"), (9.996, "10.0"), (99.96, "100"), (1234.5, "1235"), (0.01234, "0.0123")],
)
def test_three_digits(number: float, text: str) -> None:
    assert numeral(number) == text


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([], ""), ([0.0], ""), ([1.5e9, 3e11], "G"), ([9e8, 3e11], "G"), ([2e-3, 50.0], "m"), ([2e-4, 50.0], "m")],
)
def test_prefix(numbers: list[float], expected: str) -> None:
    assert prefix(numbers) == expected


def test_exponents_have_a_minus_and_no_negative_zero() -> None:
    assert [exponent(number) for number in (-1.336, -0.001, 2)] == ["−1.34", "0.00", "2.00"]


def test_scaled() -> None:
    assert [scaled(number) for number in (0.5, 12.0, 1_234_567.0)] == ["0.500", "12.0", "1.23 M"]


# ---- files ----------------------------------------------------------------------------------------------------------


def test_files() -> None:
    expected = {f"cost.{kind}.{ending}" for kind in TABLES for ending in ("md", "tex", "html")}
    assert set(cost_tables.files("cost", example())) == expected | {"cost.cost.csv"}


def test_tables_need_neither_torch_nor_matplotlib() -> None:
    code = """
import sys
sys.modules.update(dict.fromkeys(["torch", "matplotlib"]))
from results import cost_tables
from results.terminal import terminal
from tests.results.cost_report import example
print(*map(terminal, cost_tables.layouts("cost", example())))
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert "score 1000 × 1000" in answer.stdout


def test_names_are_those_of_the_measurement() -> None:
    calls = pytest.importorskip("hbi.cost.calls")
    assert set(CALLS) | {"score N × N"} <= set(calls.TIMED)
    assert calls.STEP == "training step"
