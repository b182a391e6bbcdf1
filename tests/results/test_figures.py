"""Figures: which a suite has, that they show the records' numbers, and that any label and any gap is borne."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from xml.etree import ElementTree

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text

from hbi.cost.report import CaseCost
from results.figures import Drawn, figures, save
from results.figures.pareto import front
from results.figures.style import COLUMN, PAGE, READABLE, drawing, line_style, short_labels
from results.record import Epoch, Record
from suites.expand import Run, expand
from suites.load import load_suite
from suites.schema import Suite
from tests.results.conftest import build_failure, build_record
from tests.results.cost_report import case, count, points, report

R1 = "t2v/R@1"
WEIGHTS = """
name: weights
data: shapes
seeds: 3
variants: [no-hbi, hbi]
grid:
  model.teacher.weight: [0.01, 0.1, 1]
"""


def write_figures(suite: Suite, runs: Sequence[Run], records: Mapping[str, Record], folder: Path) -> list[Path]:
    return [path for drawn in figures(suite, runs, records) for path in save(drawn, folder)]


def suite_of(text: str, folder: Path) -> tuple[Suite, list[Run]]:
    file = folder / "suite.yaml"
    file.write_text(text, encoding="utf-8")
    suite = load_suite(file)
    return suite, expand(suite)


def value_of(run: Run) -> float:
    """Another for every run."""
    return 40 + int(run.run_id[-4:], 16) / 65536 + run.spec.seed


def record_of(run: Run, value: float, epochs: int = 3) -> Record:
    curve = tuple(
        Epoch(
            epoch=n,
            step=4 * n,
            losses={"total": 3 / n + value / 100},
            metrics={R1: value * n / epochs},
            learning_rate=1e-3,
            logit_scale=14.3,
            seconds=1.0,
        )
        for n in range(1, epochs + 1)
    )
    changes = {"run_id": run.run_id, "spec": run.spec, "curve": curve, "selection_split": "validation"}
    return build_record(run.spec.variant, run.spec.seed, value).model_copy(update=changes)


def records_of(runs: Sequence[Run], value: Callable[[Run], float] = value_of) -> dict[str, Record]:
    return {run.run_id: record_of(run, value(run)) for run in runs if run.in_tables}


def with_cost(runs: Sequence[Run], records: Mapping[str, Record], cases: Mapping[str, CaseCost]) -> dict[str, Record]:
    measuring = next(run for run in runs if run.alone)
    found = build_record("cost", metrics={}, curve=(), cost=report(dict(cases)), run_id=measuring.run_id)
    return {**records, measuring.run_id: found.model_copy(update={"spec": measuring.spec})}


def named(drawn: Sequence[Drawn]) -> dict[str, Drawn]:
    return {one.name: one for one in drawn}


def lines_of(panel: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in panel.lines if not str(line.get_label()).startswith("_")}


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


# ---- which figures there are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("variants: [no-hbi, hbi]", []),
        ("variants: [hbi]\ngrid: {model.teacher.weight: [0.1, 1], model.neighbours: [2, 3]}",
         ["model.teacher.weight", "model.neighbours"]),
        ("variants: [hbi]\nzip: {model.text_merge_rates: [[0.25, 0.5], [0.5, 0.5]], "
         "model.video_merge_rates: [[0.25, 0.5], [0.5, 0.5]]}", ["model.text_merge_rates"]),
        ("variants: [hbi]\ngrid: {evaluation.post_processing: [none, dsl]}", []),
        ("variants: [hbi]\nzip: {model.teacher.index: [banzhaf, shapley], model.neighbours: [2, 3]}", []),
        ("variants:\n" + "".join(f"  - hbi-sampled: {{label: s {n}, model: {{teacher: {{samples: {n}}}}}}}\n"
                                 for n in (10, 100, 1000)), ["model.teacher.samples"]),
        ("variants: [hbi, {name: hbi, label: two, model: {neighbours: 2}}]", []),
    ],
    ids=["nothing", "grid", "zip", "text", "with a text", "entries", "a switch"],
)  # fmt: skip
def test_a_suite_has_a_figure_for_each_number_that_it_sweeps(tmp_path: Path, text: str, names: list[str]) -> None:
    suite, runs = suite_of(f"name: s\ndata: shapes\n{text}", tmp_path)
    drawn = figures(suite, runs, records_of(runs))
    assert [one.name for one in drawn] == [*(f"s.{name}" for name in names), "s.curves"]


def test_nothing_done_makes_no_figure_and_no_file(tmp_path: Path) -> None:
    suite, runs = suite_of(WEIGHTS, tmp_path)
    failed = {run.run_id: build_failure("hbi").model_copy(update={"run_id": run.run_id}) for run in runs}
    for records in ({}, failed):
        assert figures(suite, runs, records) == []
        assert write_figures(suite, runs, records, tmp_path / "figures") == []
    assert not (tmp_path / "figures").exists()


# ---- sweeps ---------------------------------------------------------------------------------------------------------


def test_a_sweep_shows_means_deviations_and_seeds_of_the_records(tmp_path: Path) -> None:
    suite, runs = suite_of(WEIGHTS, tmp_path)
    records = records_of(runs)
    drawn = named(figures(suite, runs, records))["weights.model.teacher.weight"]
    [panel] = drawn.figure.axes
    values: dict[float | None, list[float]] = {}
    for run in runs:
        teacher = run.spec.model.teacher
        values.setdefault(teacher.weight if teacher else None, []).append(records[run.run_id].metrics[R1])
    baseline = values.pop(None)

    line = lines_of(panel)["hbi"]
    assert list(line.get_xdata()) == [0.01, 0.1, 1]
    assert list(line.get_ydata()) == pytest.approx([fmean(values[x]) for x in (0.01, 0.1, 1)])
    low, high = (line for line in panel.lines if line.get_label() == "_edges")
    assert list(low.get_ydata()) == pytest.approx([fmean(seeds) - stdev(seeds) for seeds in values.values()])
    assert list(high.get_ydata()) == pytest.approx([fmean(seeds) + stdev(seeds) for seeds in values.values()])
    seeds = [line for line in panel.lines if line.get_label() == "_seeds"]
    assert [sorted(one.get_ydata()) for one in seeds] == [sorted(of) for of in values.values()]
    assert set(lines_of(panel)["no-hbi"].get_ydata()) == {fmean(baseline)}
    assert legend_of(drawn.figure) == ["hbi", "no-hbi"]
    assert panel.get_xscale() == "log"
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["0.01", "0.1", "1"]
    for said in ("n = 3", "standard deviation", "n − 1", "no-hbi", "model.teacher.weight"):
        assert said in drawn.caption


def test_one_seed_has_no_band(tmp_path: Path) -> None:
    suite, runs = suite_of(WEIGHTS.replace("seeds: 3", "seeds: 1"), tmp_path)
    for drawn in figures(suite, runs, records_of(runs)):
        for panel in drawn.figure.axes:
            assert not panel.collections
            assert not panel.patches
            assert all(str(line.get_label()) not in ("_edges", "_seeds") for line in panel.lines)
        assert "no spread" in drawn.caption


def test_draws_what_is_there_and_says_what_is_not(tmp_path: Path) -> None:
    suite, runs = suite_of(WEIGHTS, tmp_path)
    records = records_of(runs)
    gone = [run for run in runs if run.spec.variant == "hbi" and run.spec.model.teacher.weight == 0.1]
    for run in gone:
        del records[run.run_id]
    [failing, broken, *_] = [run for run in runs if run.spec.variant == "hbi" and run not in gone]
    records[failing.run_id] = build_failure("hbi").model_copy(update={"run_id": failing.run_id, "spec": failing.spec})
    unsound = records[broken.run_id].model_copy(update={"metrics": {R1: float("nan")}})
    records[broken.run_id] = unsound
    drawn = named(figures(suite, runs, records))["weights.model.teacher.weight"]
    line = lines_of(drawn.figure.axes[0])["hbi"]
    assert list(line.get_xdata()) == [0.01, 1]
    assert "5 of 12 runs have no result" in drawn.caption
    assert "n = 1 to 3" in drawn.caption
    assert "where n > 1" in drawn.caption


def test_the_baseline_is_the_one_that_the_suite_names(tmp_path: Path) -> None:
    rows = ["no-hbi", "entity-only", "action-only", "event-only", "hbi-no-banzhaf"]
    entries = [f"{{name: {row}, model: {{neighbours: 3}}}}" for row in rows]
    text = f"name: b\ndata: shapes\nbaseline: event-only\nvariants: [{', '.join(entries)}, hbi]\n"
    suite, runs = suite_of(text + "grid: {model.neighbours: [2, 3, 4]}", tmp_path)
    drawn = named(figures(suite, runs, records_of(runs)))["b.model.neighbours"]
    assert legend_of(drawn.figure) == ["hbi", "event-only"]
    assert "4 rows beside the sweep" in drawn.caption


@pytest.mark.parametrize(
    ("values", "scale", "ticks"),
    [
        ("[0.1, 0.2, 0.3, 0.4]", "linear", ["0.1", "0.2", "0.3", "0.4"]),
        ("[0.03, 0.1, 0.3, 1, 3]", "log", ["0.03", "0.1", "0.3", "1", "3"]),
        ("[0, 0.01, 0.1, 1]", "symlog", ["0", "0.01", "0.1", "1"]),
    ],
)
def test_the_axis_suits_the_values(tmp_path: Path, values: str, scale: str, ticks: list[str]) -> None:
    text = f"name: x\ndata: shapes\nvariants: [hbi]\ngrid: {{model.distillation_weight: {values}}}"
    suite, runs = suite_of(text, tmp_path)
    panel = named(figures(suite, runs, records_of(runs)))["x.model.distillation_weight"].figure.axes[0]
    assert panel.get_xscale() == scale
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ticks


def test_lists_are_told_by_the_number_that_varies_or_else_in_turn(tmp_path: Path) -> None:
    text = "name: l\ndata: shapes\nvariants: [hbi]\ngrid: {model.text_merge_rates: %s}"
    suite, runs = suite_of(text % "[[0.5, 0.5], [0.25, 0.5]]", tmp_path)
    panel = figures(suite, runs, records_of(runs))[0].figure.axes[0]
    assert list(lines_of(panel)["hbi"].get_xdata()) == [0.25, 0.5]
    assert panel.get_xlabel() == "model.text_merge_rates, number 1 of 2"
    suite, runs = suite_of(text % "[[0.5, 0.5], [0.25, 1]]", tmp_path)
    panel = figures(suite, runs, records_of(runs))[0].figure.axes[0]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["0.5, 0.5", "0.25, 1.0"]
    assert "not to scale" in panel.get_xlabel()


def test_numbers_of_samples_stand_beside_the_exact_teacher(tmp_path: Path) -> None:
    entries = "".join(
        f"  - hbi-sampled: {{label: hbi-sampled {n}, model: {{teacher: {{samples: {n}}}}}}}\n" for n in (10, 100, 1000)
    )
    suite, runs = suite_of(f"name: g\ndata: shapes\nvariants:\n  - hbi\n{entries}", tmp_path)
    drawn = named(figures(suite, runs, records_of(runs)))["g.model.teacher.samples"]
    assert list(lines_of(drawn.figure.axes[0])["hbi-sampled"].get_xdata()) == [10, 100, 1000]
    assert legend_of(drawn.figure) == ["hbi-sampled", "hbi"]


def test_a_line_for_each_value_of_the_other_option(tmp_path: Path) -> None:
    suite, runs = suite_of(WEIGHTS + "  model.neighbours: [2, 3]\n", tmp_path)
    drawn = named(figures(suite, runs, records_of(runs)))
    by_weight, by_neighbours = (drawn[f"weights.model.{option}"] for option in ("teacher.weight", "neighbours"))
    assert legend_of(by_weight.figure)[:2] == ["hbi neighbours=2", "hbi neighbours=3"]
    assert {"hbi teacher.weight=0.01", "hbi teacher.weight=0.1"} <= set(legend_of(by_neighbours.figure))
    assert list(lines_of(by_neighbours.figure.axes[0])["hbi teacher.weight=0.1"].get_xdata()) == [2, 3]


def test_many_lines_have_a_panel_each(tmp_path: Path) -> None:
    text = WEIGHTS + "  model.distillation_weight: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]\n"
    suite, runs = suite_of(text.replace("seeds: 3", "seeds: 1"), tmp_path)
    drawn = named(figures(suite, runs, records_of(runs)))["weights.model.teacher.weight"]
    panels = [panel for panel in drawn.figure.axes if panel.axison]
    assert len(panels) == 10
    assert [panel.get_title() for panel in panels[:2]] == ["hbi distillation_weight=0.1", "hbi distillation_weight=0.2"]
    assert drawn.figure.get_figwidth() == PAGE


# ---- quality against FLOPs ------------------------------------------------------------------------------------------


def priced(similarity: float, *unpriced: str) -> CaseCost:
    stages = {"encode text": count(6e9), "encode video": count(106e9), "similarity": count(similarity, *unpriced)}
    return case().model_copy(update={"stages": stages})


COSTS = "name: c\ndata: {}\nseeds: 2\ncost: {{}}\nvariants: [no-hbi, entity-only, hbi, hbi-shapley]\n"
QUALITY = {"no-hbi": 41.0, "entity-only": 43.0, "hbi": 42.0, "hbi-shapley": 44.0}
HEADS = {"no-hbi": priced(1e9), "entity-only": priced(20e9), "hbi": priced(30e9), "hbi-shapley": priced(300e9)}


def trade_offs(folder: Path, data: str = "shapes", heads: Mapping[str, CaseCost] = HEADS) -> dict[str, Drawn]:
    suite, runs = suite_of(COSTS.format(data), folder)
    records = records_of(runs, lambda run: QUALITY[run.label] + run.spec.seed / 10)
    return named(figures(suite, runs, with_cost(runs, records, heads)))


def bars_of(panel: Axes) -> dict[str, tuple[float, float]]:
    """Where the rows stand."""
    bars = [bar for bar in panel.containers if isinstance(bar, ErrorbarContainer)]
    return {str(bar.get_label()): (bar.lines[0].get_xdata()[0], bar.lines[0].get_ydata()[0]) for bar in bars}


def test_quality_against_flops(tmp_path: Path) -> None:
    drawn = trade_offs(tmp_path)
    assert {"c.pareto.head", "c.pareto.query"} <= drawn.keys()
    panel = drawn["c.pareto.head"].figure.axes[0]
    means = {label: quality + 0.05 for label, quality in QUALITY.items()}
    flops = {"no-hbi": 1, "entity-only": 20, "hbi": 30, "hbi-shapley": 300}
    assert bars_of(panel) == {label: pytest.approx((flops[label], means[label])) for label in QUALITY}
    query = bars_of(drawn["c.pareto.query"].figure.axes[0])
    assert query["hbi-shapley"] == pytest.approx((6 + 300 / 1000, means["hbi-shapley"]))
    steps = lines_of(panel)["Pareto front"]
    corners = list(zip(steps.get_xdata(), steps.get_ydata(), strict=True))
    assert [(x, y) for x, y in bars_of(panel).values() if (x, y) in corners] == [
        pytest.approx((flops[label], means[label])) for label in ("no-hbi", "entity-only", "hbi-shapley")
    ]
    assert "1 MAC = 2 FLOPs" in drawn["c.pareto.head"].caption


def test_published_heads_stand_beside_their_data_set_alone(tmp_path: Path) -> None:
    assert "GLSCL" not in texts_of(trade_offs(tmp_path)["c.pareto.head"].figure)
    drawn = trade_offs(tmp_path, "msrvtt")
    assert {"GLSCL", "X-CLIP"} <= set(texts_of(drawn["c.pareto.head"].figure))
    assert "MACs" in drawn["c.pareto.head"].caption
    assert "GLSCL" not in texts_of(drawn["c.pareto.query"].figure)
    other_gallery = {label: one.model_copy(update={"gallery": 500}) for label, one in HEADS.items()}
    assert "GLSCL" not in texts_of(trade_offs(tmp_path, "msrvtt", other_gallery)["c.pareto.head"].figure)


def test_names_of_points_cover_neither_each_other_nor_the_edge(tmp_path: Path) -> None:
    figure = trade_offs(tmp_path, "msrvtt")["c.pareto.head"].figure
    figure.draw_without_rendering()
    names = [name for name in figure.axes[0].texts if isinstance(name, Annotation)]
    boxes = [Text.get_window_extent(name) for name in names]
    assert len(boxes) == 4 + 9
    for n, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:n]) == 0
        assert figure.axes[0].get_window_extent().padded(1).count_contains(box.corners()) == 4


def test_a_count_that_misses_operations_is_called_so(tmp_path: Path) -> None:
    heads = {**HEADS, "hbi": priced(30e9, "aten.x [2] 1 times")}
    said = "a lower bound, for operations without a formula: hbi."
    assert said in trade_offs(tmp_path, heads=heads)["c.pareto.head"].caption
    assert "lower bound" not in trade_offs(tmp_path)["c.pareto.head"].caption


def test_cost_alone_has_no_trade_off(tmp_path: Path) -> None:
    suite, runs = suite_of(COSTS.format("shapes"), tmp_path)
    cases = {"no-hbi": priced(1e9), "hbi": priced(3e9)}
    records = with_cost(runs, {}, cases)
    grown = records[next(run.run_id for run in runs if run.alone)]
    assert figures(suite, runs, records) == []
    found = report(cases, {"hbi": points()})
    records = {grown.run_id: grown.model_copy(update={"cost": found})}
    assert [one.name for one in figures(suite, runs, records)] == ["c.scaling"]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    def dominated(one: tuple[int, int]) -> bool:
        return any(x <= one[0] and y >= one[1] and (x, y) != one for x, y in points)

    kept = front(points)
    assert sorted(kept) == [at for at, point in enumerate(points) if not dominated(point)]
    assert [points[at][0] for at in kept] == sorted(points[at][0] for at in kept)


# ---- learning curves ------------------------------------------------------------------------------------------------


def test_curves_show_loss_and_metric_of_complete_runs(tmp_path: Path) -> None:
    suite, runs = suite_of("name: s\ndata: shapes\nseeds: 2\nvariants: [no-hbi, hbi, hbi-shapley]", tmp_path)
    records = records_of(runs)
    for run in runs:
        if run.label == "hbi-shapley":
            records[run.run_id] = records[run.run_id].model_copy(update={"outcome": "failed"})
    [drawn] = figures(suite, runs, records)
    assert drawn.name == "s.curves"
    assert legend_of(drawn.figure) == ["no-hbi", "hbi"]
    loss, metric = drawn.figure.axes
    pair = [records[run.run_id].curve for run in runs if run.label == "hbi"]
    assert list(lines_of(loss)["hbi"].get_xdata()) == [1, 2, 3]
    assert list(lines_of(loss)["hbi"].get_ydata()) == pytest.approx(
        [fmean(epoch.losses["total"] for epoch in epochs) for epochs in zip(*pair, strict=True)]
    )
    assert list(lines_of(metric)["hbi"].get_ydata()) == pytest.approx(
        [fmean(epoch.metrics[R1] for epoch in epochs) for epochs in zip(*pair, strict=True)]
    )
    assert "validation split" in drawn.caption


def test_curves_without_a_selection_split_are_losses_alone(tmp_path: Path) -> None:
    suite, runs = suite_of("name: s\ndata: shapes\nvariants: [no-hbi]", tmp_path)
    records = records_of(runs)
    for run_id, record in records.items():
        curve = tuple(epoch.model_copy(update={"metrics": {}}) for epoch in record.curve)
        records[run_id] = record.model_copy(update={"curve": curve})
    [drawn] = figures(suite, runs, records)
    assert [panel.get_ylabel() for panel in drawn.figure.axes] == ["total loss"]


def test_curves_of_many_rows_are_those_of_the_first(tmp_path: Path) -> None:
    text = WEIGHTS.replace("[0.01, 0.1, 1]", "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]")
    suite, runs = suite_of(text, tmp_path)
    drawn = named(figures(suite, runs, records_of(runs)))["weights.curves"]
    assert len(legend_of(drawn.figure)) == READABLE
    assert f"{READABLE} of 10 rows" in drawn.caption


# ---- files and style ------------------------------------------------------------------------------------------------


def test_the_same_records_make_the_same_bytes(tmp_path: Path) -> None:
    suite, runs = suite_of(COSTS.format("msrvtt") + "grid: {model.neighbours: [2, 3]}\n", tmp_path)
    records = records_of(runs)
    labels = dict.fromkeys(run.label for run in runs if run.in_tables)
    records = with_cost(runs, records, {label: priced(1e9 * n) for n, label in enumerate(labels, start=1)})
    first = write_figures(suite, runs, records, tmp_path / "a")
    with matplotlib.rc_context({"font.size": 20, "text.usetex": True, "svg.fonttype": "none"}):  # of the user
        second = write_figures(suite, runs, records, tmp_path / "b")
    assert [path.name for path in first] == [
        f"c.{name}.{ending}"
        for name in ("model.neighbours", "pareto.head", "pareto.query", "curves")
        for ending in ("pdf", "svg", "png")
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    for path in first:
        if path.suffix == ".pdf":
            assert path.read_bytes().startswith(b"%PDF")
            assert b"/Subtype /Image" not in path.read_bytes()
            assert b"/Type3" not in path.read_bytes()


LABELS = ["$x_{", r"\frac{1}{2} & 100 %", "_hidden", "</title><script>alert(1)</script>", "a --> b", "中文", "é" * 100]


@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_any_label_makes_a_sound_vector_graphic(tmp_path: Path, label: str) -> None:
    entries = f"variants: [{{name: hbi, label: {label!r}}}, {{name: hbi-shapley, label: '{label[:98]}.'}}, no-hbi]"
    suite, runs = suite_of(WEIGHTS.replace("variants: [no-hbi, hbi]", entries) + "cost: {}\n", tmp_path)
    records = records_of(runs)
    labels = dict.fromkeys(run.label for run in runs if run.in_tables)
    records = with_cost(runs, records, {label: priced(1e9 * n) for n, label in enumerate(labels, start=1)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as one of a letter that the font lacks
        paths = write_figures(suite, runs, records, tmp_path)
    assert len(paths) == 4 * 3
    for path in paths:
        if path.suffix != ".svg":
            continue
        for element in ElementTree.parse(path).iter():
            assert not element.tag.endswith("script")
            for name, value in element.attrib.items():
                assert not name.endswith("href") or value.startswith("#")
                assert not name.startswith("on")
                assert "url(" not in value or "url(#" in value
                assert "://" not in value
        text = path.read_text(encoding="utf-8")
        assert text.startswith("<svg")
        assert f"<title>{path.stem}</title>" in text


def test_labels_are_written_as_they_are(tmp_path: Path) -> None:
    text = WEIGHTS.replace("[no-hbi, hbi]", "[{name: no-hbi, label: _base}, {name: hbi, label: $a_1$ 中}]")
    suite, runs = suite_of(text, tmp_path)
    drawn = named(figures(suite, runs, records_of(runs)))["weights.model.teacher.weight"]
    assert legend_of(drawn.figure) == [r"$a_1$ \u4e2d", "_base"]


@given(st.lists(st.text(min_size=1, max_size=200), max_size=8, unique=True))
def test_two_labels_never_read_the_same(labels: list[str]) -> None:
    short = short_labels(labels)
    assert list(short) == labels
    assert len(set(short.values())) == len(labels)
    assert all(len(line) <= 50 for text in short.values() for line in text.split("\n"))
    assert all(letter.isprintable() or letter == "\n" for text in short.values() for letter in text)


def test_lines_differ_in_grey_and_are_readable(tmp_path: Path) -> None:
    styles = [line_style(n, READABLE) for n in range(READABLE)]
    assert len({(str(style["linestyle"]), style["marker"]) for style in styles}) == READABLE
    assert len({to_rgb(style["color"]) for style in styles}) == READABLE
    suite, runs = suite_of(WEIGHTS, tmp_path)
    for drawn in figures(suite, runs, records_of(runs)):
        assert drawn.figure.get_figwidth() in (COLUMN, PAGE)
        assert min(text.get_fontsize() for text in drawn.figure.findobj(Text) if text.get_text()) >= 6


def test_a_figure_for_a_page_is_the_one_in_the_file(tmp_path: Path) -> None:
    suite, runs = suite_of(WEIGHTS, tmp_path)
    [drawn, *_] = figures(suite, runs, records_of(runs))
    before = drawn.svg
    with drawing():
        _, svg, _ = save(drawn, tmp_path)
    assert svg.read_text(encoding="utf-8") == before == drawn.svg
