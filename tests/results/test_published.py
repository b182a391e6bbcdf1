"""Published figures: what the files hold, that this is what ../shared/published.md has, what a mistake is answered."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from hbi.config import DATASETS
from hbi.errors import InputError
from hbi.metrics.registry import OURS
from results.published import (
    CAPTIONING,
    FOLDER,
    PublishedRow,
    empty_slots,
    published,
    published_heads,
    reproductions,
    sources,
)

ROOT = Path(__file__).parents[2]
FACTS = ROOT.parent / "shared" / "published.md"
OTHERS = {"flops", "sources", "reproductions", "hbi_ablations"}
ON = sorted({file.stem for file in FOLDER.glob("*.yaml")} - OTHERS)
rows_on = cache(published)


def row(dataset: str, label: str) -> PublishedRow:
    return {found.label: found for found in rows_on(dataset)}[label]


# ---- what is there --------------------------------------------------------------------------------------------------


def test_every_data_set_of_real_videos_has_a_file() -> None:
    ours = {name for name in DATASETS if not name.startswith("shapes")} - {"pairs"}  # it is tested on another
    assert ours <= set(ON)
    assert set(ON) - ours == {"msrvtt-captioning"}
    assert published("shapes") == ()


@pytest.mark.parametrize("dataset", ON)
def test_every_file_loads_and_its_metrics_are_those_of_records(dataset: str) -> None:
    rows = published(dataset)
    assert rows
    assert {name for found in rows for name in found.metrics} <= {*OURS, *CAPTIONING}


def test_no_source_is_unused() -> None:
    assert sources().keys() == {key for on in ON for found in rows_on(on) for key in found.sources if ":" not in key}


def test_figures_of_hbi() -> None:
    assert row("msrvtt", "HBI").metrics == {
        "t2v/R@1": 48.6,
        "t2v/R@5": 74.6,
        "t2v/R@10": 83.4,
        "t2v/MdR": 2,
        "t2v/MnR": 12.0,
        "v2t/R@1": 46.8,
        "v2t/R@5": 74.3,
        "v2t/R@10": 84.3,
        "v2t/MdR": 2,
        "v2t/MnR": 8.9,
    }
    assert row("msrvtt", "HBI, released estimator, epoch 6").metrics == {"t2v/R@1": 48.2}
    assert row("activitynet", "HBI").metrics["v2t/R@10"] == 86.0
    assert row("didemo", "HBI").metrics["t2v/MnR"] == 12.1
    assert row("msrvtt-qa", "HBI").metrics == {"accuracy/in_vocabulary": 46.2}  # its code drops the other questions


def test_figures_of_others() -> None:
    assert row("msrvtt", "GLSCL, QB-Norm").metrics["t2v/MdR"] == 1.5
    assert row("msrvtt", "X-CLIP, CLIP ViT-B/16").metrics["t2v/R@1"] == 49.3
    assert row("msrvtt", "DRL, WTI+seqTransf").training_hours == 2.6
    assert row("msvd", "MILES").t2v == (53.9, 83.5, 90.2, 1, None)
    assert row("msvd", "EMCL-Net").t2v == (42.1, 71.3, 81.1, 2, 17.6)
    assert row("msvd", "EMCL-Net").v2t == (54.3, 81.3, 88.1, 1, 5.6)
    assert row("lsmdc", "MCQ, CLIP-initialised, zero-shot").metrics["t2v/MnR"] == 97.9
    assert row("didemo", "DiCoSA").t2v != row("didemo", "DiCoSA, run by GLSCL").t2v
    assert row("msrvtt-captioning", "EMCL-Net").metrics["CIDEr"] == 54.6


def test_figures_that_are_second_hand_or_disputed_say_so() -> None:
    assert row("msrvtt", "X-CLIP").status == "second-hand"
    assert "DREAM prints t2v R@5 74.3" in row("msrvtt", "X-CLIP").note
    assert row("msrvtt", "GLSCL").status == "confirmed"


@pytest.mark.parametrize("dataset", ["msvd", "lsmdc", "msvd-qa"])
def test_hbi_has_an_empty_row_where_nothing_is_published(dataset: str) -> None:
    hbi = row(dataset, "HBI")
    assert hbi.status == "not found"
    assert not hbi.metrics


def test_ablation_tables_of_hbi_are_empty_slots() -> None:
    slots = empty_slots()
    ablations = {"components", "levels", "interaction", "coalitions", "merge ratio", "loss weights", "cost"}
    for paper in ("CVPR 2023", "TPAMI"):
        assert ablations <= {slot.table for slot in slots if slot.paper == paper}
    for slot in slots:
        assert "looked for" in slot.why
        assert slot.suite is None or (ROOT / "suites" / f"{slot.suite}.yaml").is_file()
        assert not any(isinstance(value, int | float) for value in slot.model_dump().values())


def test_reproductions_are_compared_with_figures_that_are_here() -> None:
    for found in reproductions():
        values = {r.metrics.get(found.metric) for r in rows_on(found.dataset) if r.system == found.system}
        assert not values or found.published in values, found
    hbi = next(found for found in reproductions() if found.system == "HBI")
    assert (hbi.published, hbi.found) == (48.6, (48.5,))


def test_flops_of_heads_with_their_sources() -> None:
    heads = {head.system: head for head in published_heads()}
    assert [heads[name].gflops for name in ("CLIP4Clip", "GLSCL", "X-CLIP", "X-Pool")] == [0.5, 1.0, 220.9, 275.0]
    assert heads["GLSCL"].r_at_1 == 48.1
    assert "HBI" not in heads  # none is published
    assert all("2405.12710" in head.source and head.status == "confirmed" for head in heads.values())
    for head in heads.values():  # the same table as that of GLSCL-T1's rows
        assert any(r.t2v and r.t2v[0] == head.r_at_1 for r in rows_on("msrvtt") if r.system == head.system)


def test_the_page_names_every_file_status_and_slot() -> None:
    page = (ROOT / "docs" / "published.md").read_text()
    assert all(f"`{status}`" in page for status in get_args(PublishedRow.model_fields["status"].annotation))
    assert all(f"`{file.name}`" in page for file in FOLDER.glob("*.yaml"))
    assert all(f"| {slot.table} |" in page for slot in empty_slots())


# ---- against ../shared/published.md ---------------------------------------------------------------------------------

NUMBER = r"(?:\d+(?:\.\d+)?|-)"
SERIES = re.compile(rf"(?<![\d.]){NUMBER}(?: / {NUMBER}){{3,4}}")
FULL, NO_MDR, NO_MNR = (0, 1, 2, 3, 4), (0, 1, 2, 4), (0, 1, 2, 3)
"""Which of R@1, R@5, R@10, MdR, MnR a series of numbers is."""

Claim = tuple[str, str, str, str, tuple[int, ...], str]
"""Data set, label, direction, cell, what a series in it is, cell of sources."""

NOT_THERE = {
    ("DRL, DP", "v2t"): (43.0, 71.1, 81.1, 2, 11.8),
    ("DRL, DP+seqTransf", "v2t"): (44.1, 70.9, 80.9, 2, 11.7),
    ("DRL, XTI", "v2t"): (42.7, 70.8, 80.2, 2, 12.5),
    ("DRL, XTI+seqTransf", "v2t"): (40.1, 69.2, 79.6, 2, 15.8),
    ("DRL, DP+seqTransf+CDCR", "v2t"): (42.3, 70.3, 81.1, 2, 11.4),
    ("DRL, TI+seqTransf+CDCR", "v2t"): (43.3, 71.8, 82.7, 2, 8.9),
    ("CLIP-ViP, authors' log", "t2v"): (50.1, 74.8, 84.6, None, None),
}
"""On MSR-VTT; read at the source from which published.md has the rest of these rows."""


@pytest.fixture(scope="module")
def facts() -> str:
    if not FACTS.is_file():
        pytest.skip(f"{FACTS} is not at hand")
    return re.sub(r" ?/ ?", " / ", FACTS.read_text().replace("**", ""))


def section(facts: str, number: str) -> str:
    """The text under the heading that begins with ``number``."""
    return re.split(r"\n#+ ", re.split(rf"\n#+ {re.escape(number)}\.? ", facts)[1])[0]


def table(text: str) -> list[list[str]]:
    """The cells of all lines of all tables in ``text``."""
    lines = [line for line in text.splitlines() if line.startswith("|") and set(line) - set("|-: ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def claims(facts: str) -> Iterator[Claim]:
    """Every cell with results."""
    for number, dataset in (("2.1", "msrvtt"), ("2.2", "activitynet"), ("2.3", "didemo")):
        for label, t2v, v2t, source in table(section(facts, number))[1:]:
            yield dataset, label, "t2v", t2v, FULL, source
            yield dataset, label, "v2t", v2t, FULL, source
    for label, *results, source in table(section(facts, "2.4"))[1:]:
        ways = [(dataset, way) for dataset in ("msvd", "lsmdc") for way in ("t2v", "v2t")]
        for (dataset, way), cell in zip(ways, results, strict=True):
            yield dataset, label, way, cell, NO_MDR, source
    training = ""
    for label, *results in table(section(facts, "4")):
        if label:
            training = next((word for word in ("zero-shot", "fine-tuned") if word in label), training)
            name = re.sub("^(zero-shot|fine-tuned|zs|ft) ", "", label)
            name += {"zs": ", zero-shot", "ft": ", fine-tuned"}.get(label[:2], f", {training}")
            for dataset, cell in zip(("msrvtt", "msvd", "lsmdc", "didemo"), results, strict=False):
                yield dataset, name, "t2v", cell, NO_MNR if len(results) == 4 else FULL, ""
    for line in section(facts, "2.1").splitlines():  # what stands outside its table
        if line.startswith("ViT-B / 16"):
            for name, cell in re.findall(rf"([\w-]+(?:\(QB\))?) ({SERIES.pattern})", line):
                yield "msrvtt", f"{name} ViT-B/16", "t2v", cell, FULL, "GLSCL-T1"
        for name, cell in re.findall(rf"([\w+]+) ({SERIES.pattern})", line.partition("Other rows:")[2]):
            yield "msrvtt", f"DRL {name.replace('+CDCR', '+seqTransf+CDCR')}", "t2v", cell, FULL, "DRL-README"
    baseline = re.search(rf'"Baseline" .*?({SERIES.pattern}) t2v, ({SERIES.pattern}) v2t', section(facts, "1.5"))
    log = re.search(r"v2t ([\d.]+ / [\d.]+ / [\d.]+), exactly", section(facts, "5"))
    assert baseline
    assert log
    yield "msrvtt", "GARE baseline", "t2v", baseline[1], FULL, "GARE"
    yield "msrvtt", "GARE baseline", "v2t", baseline[2], FULL, "GARE"
    yield "msrvtt", "CLIP-ViP authors' log", "v2t", log[1], FULL, "https://github.com/microsoft/XPretrain/issues/13"


def meant(dataset: str, label: str) -> list[PublishedRow]:
    """The rows that a label in published.md can stand for."""
    systems = [found.system for found in rows_on(dataset) if label.startswith(found.system)]
    assert systems, f"{dataset} has no row of {label}"
    rows = [found for found in rows_on(dataset) if found.system == max(systems, key=len)]
    setting = max((found.setting for found in rows if found.setting in label), key=len, default="")
    return [
        found
        for found in rows
        if setting in ("", found.setting)
        and not ("zero-shot" in label and found.training != "zero-shot")
        and not ("fine-tuned" in label and found.training != "fine-tuned")
        and not (re.search(r"\([\w' ]*run\)", label) and not found.run_by)
        and ("QB" in label and "no QB" not in label) == (found.post_processing == "QB-Norm")
        and ("ViT-B/16" in label) == (found.backbone == "CLIP ViT-B/16")
    ]


def test_every_number_of_its_tables_is_in_the_row_and_the_rows_have_no_others(facts: str) -> None:
    confirmed = set()
    for dataset, label, way, cell, order, source in claims(facts):
        if cell == "-":
            continue
        rows = meant(dataset, label)
        values = {found.label: getattr(found, way) or () for found in rows}
        notes = " ".join(found.note for found in rows)
        where = f"{dataset}, {label}, {way}"
        text = re.sub(r" *\(.*?\)", "", cell) + "".join(re.findall(r"\(.*?\)", cell))  # asides stand amid a series
        for series in SERIES.findall(text):
            printed = [None if number == "-" else float(number) for number in series.split(" / ")]
            places = FULL if len(printed) == 5 else order
            same = [found for found in rows if [(*values[found.label], *[None] * 5)[at] for at in places] == printed]
            assert len(same) == 1 or series in notes, f"{where}: {series}"
            for found in same:
                confirmed.add((dataset, found.label, way))
                assert not source or any(key in source + cell for key in found.sources), f"{where}: source"
                assert "[C2]" not in source or found.status == "second-hand", f"{where}: status"
        alone = {float(number) for number in re.findall(r"(?<![\d.])\d+\.\d+", SERIES.sub("", text))}
        for number in alone:
            assert any(number in of_row for of_row in values.values()) or str(number) in notes, f"{where}: {number}"
        confirmed |= {(dataset, name, way) for name, of_row in values.items() if alone and {*of_row} - {None} == alone}
    ways = ("t2v", "v2t")
    ours = {(on, found.label, way) for on in ON for found in rows_on(on) for way in ways if getattr(found, way)}
    assert ours == confirmed | {("msrvtt", name, way) for name, way in NOT_THERE}
    for (name, way), values in NOT_THERE.items():
        assert getattr(row("msrvtt", name), way) == values


def test_its_other_numbers_are_there(facts: str) -> None:
    assert "MSRVTT-QA 46.2 [C]" in section(facts, "2.5")
    assert f"EMCL-QA MSRVTT-QA {row('msrvtt-qa', 'EMCL-QA').in_vocabulary} [C2]" in section(facts, "2.5")
    captions = row("msrvtt-captioning", "EMCL-Net").metrics.items()
    assert ", ".join(f"{name} {value}" for name, value in captions) in section(facts, "2.5")
    hours = section(facts, "2.1").partition("training time on 4 GPUs (hours): ")[2].partition(".  ")[0]
    timed = [found for found in rows_on("msrvtt") if found.training_hours]
    for found in timed:
        name = found.setting or found.system
        assert f"{name} {found.training_hours};" in hours or found.training_hours == 2.6  # TI, WTI and +CDCR: "all 2.6"
        assert found.gpus == 4
    assert len(timed) == 10
    heads = {(head.system, f"{head.gflops} G", str(head.r_at_1)) for head in published_heads()}
    assert heads == {tuple(cells) for cells in table(section(facts, "3.1"))[1:]}


def test_its_reproductions_are_there(facts: str) -> None:
    lines = section(facts, "6").replace(" / ", "/").splitlines()
    for found in reproductions():
        repository, number = found.source.removeprefix("https://github.com/").split("/issues/")
        line = next(line for line in lines if repository in line and re.search(rf"/{number}\b", line))
        assert all(str(value) in line for value in found.found), line


def test_its_ablation_tables_are_slots(facts: str) -> None:
    rows = table(section(facts, "1.5"))[1:]
    assert all("[NF]" in cell for _, *cells in rows for cell in cells)
    named = {slot.table for slot in empty_slots() if slot.paper == "CVPR 2023"}
    assert len(rows) == len(named)


# ---- mistakes -------------------------------------------------------------------------------------------------------

ROW = """rows:
  - system: A
    backbone: null
    sources: [https://a.b]
    status: confirmed
"""
GOOD = "    t2v: [1, 2, 3, 4, 5]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW + "    t2v: [101, 2, 3, 4, 5]", "6:11: t2v should be less than or equal to 100, not '101'"),
        (ROW + "    t2v: [1, 2, 3, 0.5, 5]", "6:20: t2v should be greater than or equal to 1, not '0.5'"),
        (ROW + "    t2v: [1, 2, 3, 4]", "6:10: t2v has 4 values, not 5: R@1, R@5, R@10, MdR, MnR"),
        (ROW + "    t2v: [3, 2, 1, 4, 5]", "2:5: t2v: R@1 ≤ R@5 ≤ R@10 does not hold; if it is printed so"),
        (ROW + "    accuracy: x", "6:15: accuracy should be a number, not 'x'"),
        (ROW + "    acuracy: 1", "6:5: unknown key 'acuracy'; did you mean 'accuracy'?"),
        (ROW, "2:5: there is no value; say so by status: not found"),
        (ROW.replace("confirmed", "not found") + GOOD, "2:5: status is 'not found', yet there are values"),
        (ROW.replace("confirmed", "guess") + GOOD, "5:13: status should be 'confirmed'"),
        (ROW.replace("https://a.b", "GLSCL-T9") + GOOD, "4:15: unknown source 'GLSCL-T9'; did you mean 'GLSCL-T1'?"),
        (ROW + GOOD + (ROW + GOOD).removeprefix("rows:\n"), "7:5: a second row 'A'; tell it apart by its setting"),
        ("rows: !!python/object/apply:os.system [ls]", "1:7: the tag"),
        ("rows: [", "1:8: "),
    ],
)
def test_a_mistake_in_a_row_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "sources.yaml").write_text("sources: {GLSCL-T1: a table}")
    file = tmp_path / "clips.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        published("clips", tmp_path)
    assert str(error.value).startswith(f"{file}:{message}")
    assert "\n" not in str(error.value)


def test_a_row_may_be_printed_against_the_order(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("sources: {}")
    (tmp_path / "clips.yaml").write_text(ROW + "    t2v: [3, 2, null, 4, 5]\n    note: R@5 is 2 (sic)\n")
    (found,) = published("clips", tmp_path)
    assert found.metrics == {"t2v/R@1": 3, "t2v/R@5": 2, "t2v/MdR": 4, "t2v/MnR": 5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heads: [{system: A, gflops: x, r_at_1: 3, source: s, status: confirmed}]", "1:29: gflops should be a number"),
        ("heads: [{system: A, gflops: 1, r_at_1: 3, source: s, status: guess}]", "1:62: status should be 'confirmed'"),
        ("heads: [{system: A, gflops: 1, r_at_1: 3, source: s}]", "1:9: status is missing"),
        ("heads: !!python/object/apply:os.system [ls]", "1:8: the tag"),
        ("heads: [", "1:9: "),
    ],
)
def test_mistakes_about_heads_are_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "flops.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        published_heads(file)
    assert str(error.value).startswith(f"{file}:{message}")
    assert "\n" not in str(error.value)


def test_an_unknown_metric_of_a_reproduction(tmp_path: Path) -> None:
    file = tmp_path / "reproductions.yaml"
    entry = "system: A, dataset: msvd, metric: t2v/R1, published: 2, found: [1], source: https://a.b"
    file.write_text(f"reproductions: [{{{entry}}}]")
    with pytest.raises(InputError, match="1:52: unknown metric 't2v/R1'; did you mean 't2v/R@1'"):
        reproductions(file)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read"):
        published_heads(tmp_path / "none.yaml")
