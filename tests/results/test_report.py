"""The report of a suite, and tables as HTML, read and used in a real browser."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results.collect import Table
from results.html import html, html_file
from results.layout import Column, Entry, Layout, Line, lay_out
from results.record import ClusterJob, Failure, Record
from results.report import MOST_OF_A_DIFF, Page, PlannedRun, report
from tests.chromium import Chromium
from tests.results.conftest import build_failure, build_record

HOSTILE = (
    """</script></style></pre>"'><img src=x onerror="window.harmed = true"><script>window.harmed = true</script>"""
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="100"><rect id="patch_1" width="9" height="9"/></svg>'

SORTABLE = Layout(
    "sortable",
    "variant",
    (Column("seeds", kept=True), Column("R@1 ↑", "text → video"), Column("MnR ↓", "text → video"), Column("items/s")),
    tuple(
        Line(label, "", (Entry("3"), Entry(*r1), Entry(mnr), Entry("1", rest=rate)), section)
        for section, label, r1, mnr, rate in (
            ("measured here", "b", ("9.5", "0.1"), "12.5", ".20 M"),
            ("measured here", "d", ("–",), "–", ""),
            ("measured here", "a", ("48.6", "0.2", "", "*", 1), "9.0", ".90 k"),
            ("measured here", "c", ("48.1", "11.2", "", "", 2), "10.0", "20 k"),
            ("as published", "f", ("44.5",), "15.3", "3"),
            ("as published", "e", ("99.9",), "1.0", "2"),
        )
    ),
    (("*", "one of the runs failed"),),
)


def planned(record: Record, **changes: Any) -> PlannedRun:
    failure = record.failure
    state, why = ("failed", f"{failure.kind}: {failure.message}") if failure else ("complete", "recorded on CPU")
    run = PlannedRun(
        record.spec.variant, record.spec.seed, record.run_id, state, why, record.outcome == "failed", record
    )
    return replace(run, **changes)


def on(record: Record, **changes: Any) -> Record:
    return record.model_copy(update={"provenance": record.provenance.model_copy(update=changes)})


def runs() -> list[PlannedRun]:
    """Complete on two kinds of hardware, with changed code, failed, under way, waiting."""
    hopper = {"gpu": "NVIDIA H100", "host": "gpu-7"}
    job = ClusterJob(number="812", task=3, restarts=2, cluster="alps", nodes="gpu-7")
    return [
        planned(build_record("no-hbi", 0, 32.25)),
        planned(build_record("hbi", 0, 43.5)),
        planned(on(build_record("hbi", 1, 44.8), **hopper, job=job)),
        planned(on(build_record("hbi-shapley", 0, 44.0), dirty_diff="-old = 1\n+new = 2\n" + "+ more\n" * 9000)),
        planned(build_failure("hbi-sampled", 0)),
        PlannedRun("hbi-sampled", 1, "hbi-sampled-1", "running", "epoch 3 of 5, process 17 on node"),
        PlannedRun("hbi-sampled", 2, "hbi-sampled-2", "waiting", "no record yet"),
    ]


def content(**changes: Any) -> Page:
    page = Page(
        suite="example",
        summary="What this suite is for.",
        source="data: shapes\nvariants: [no-hbi, hbi]\n",
        layouts=[SORTABLE],
        figures=[("R@1 against samples", SVG), ("Learning curves", SVG)],
        runs=runs(),
        problems=["runs/store/broken/record.json: half-written"],
        made="2026-01-02 03:04 UTC",
        commit="0123456789abcdef",
        command="run_suite.py report example",
    )
    return replace(page, **changes)


@pytest.fixture
def shown(browser: Chromium, tmp_path: Path) -> Chromium:
    show(browser, tmp_path, report(content()))
    return browser


def show(browser: Chromium, folder: Path, text: str) -> None:
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    browser.open(path)


def text(browser: Chromium, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({selector!r}).innerText"))


def labels(browser: Chromium, table: str = "#table-1", section: int = 0) -> list[str]:
    """Of the rows that are shown, without the section's title."""
    rows = f"[...document.querySelector('{table} table').tBodies[{section}].rows]"
    found: list[str] = browser.evaluate(
        f"{rows}.filter(row => row.className !== 'section' && !row.hidden).map(row => row.cells[0].innerText)"
    )
    return found


def heading(name: str, table: str = "#table-1") -> str:
    """The button that sorts by a column, as an expression."""
    return f"[...document.querySelectorAll('{table} th button')].find(one => one.textContent === '{name}')"


# ---- the page -------------------------------------------------------------------------------------------------------


def test_opens_from_a_file_without_an_error_and_asks_for_nothing(shown: Chromium) -> None:
    assert shown.errors == []
    assert shown.requests[0].startswith("file:///")
    assert all(request.startswith("data:image/svg+xml") for request in shown.requests[1:])
    assert not re.search(r"""(src|href|url|import)\s*[=(]?\s*["']?\s*(https?:)?//""", report(content()))


def test_the_policy_lets_no_other_script_run(shown: Chromium) -> None:
    shown.evaluate(
        "(() => { const one = document.createElement('script'); one.textContent = 'window.harmed = true';"
        " document.body.append(one); })()"
    )
    assert shown.evaluate("window.harmed") is None


def test_the_header_tells_failures_first(shown: Chromium) -> None:
    assert text(shown, "h1") == "example"
    assert text(shown, ".states").split("\n") == ["1 failed", "4 of 7 runs complete", "1 running", "1 waiting"]


def test_what_calls_for_attention(shown: Chromium) -> None:
    told = text(shown, "#attention")
    assert "1 run failed nan: the loss is nan in epoch 2\nhbi-sampled, seed 0" in told
    assert "Seeds of a row ran on different hardware: hbi" in told
    assert "runs/store/broken/record.json: half-written" in told


def test_rows_whose_seeds_differ_in_hardware(shown: Chromium) -> None:
    assert text(shown, "#mixed tbody") == "hbi\ta cpu, 2 threads (0); NVIDIA H100, 2 threads (1)"


def test_all_is_well_and_nothing_calls_for_attention(browser: Chromium, tmp_path: Path) -> None:
    show(browser, tmp_path, report(content(runs=runs()[:2], problems=[])))
    assert text(browser, ".states") == "2 of 2 runs complete"
    assert browser.evaluate("document.querySelector('#attention')") is None


def test_a_suite_of_which_nothing_is_there(browser: Chromium, tmp_path: Path) -> None:
    waiting = [PlannedRun("hbi", 0, "hbi-0", "waiting", "no record yet")]
    show(browser, tmp_path, report(content(layouts=[], figures=[], runs=waiting, problems=[], commit=None)))
    assert browser.errors == []
    assert "0 of 1 run complete" in text(browser, ".states")
    assert "No run has left a record yet." in text(browser, "#runs")
    assert labels(browser, "#plan") == ["hbi"]


def test_every_link_of_the_contents_leads_somewhere(shown: Chromium) -> None:
    links = shown.evaluate("[...document.querySelectorAll('a')].map(link => link.getAttribute('href'))")
    assert {"#attention", "#table-1", "#figure-2", "#plan", "#runs", "#hardware", "#suite", "#page"} <= set(links)
    for link in links:
        assert shown.evaluate(f"document.getElementById('{link[1:]}') !== null"), link


def test_figures_and_the_suite_are_in_the_page(shown: Chromium) -> None:
    widths = shown.evaluate("[...document.images].map(image => [image.naturalWidth, image.alt])")
    assert widths == [[600, "R@1 against samples"], [600, "Learning curves"]]
    assert text(shown, "#suite pre") == content().source
    assert "run_suite.py report example" in text(shown, "#page")


def test_a_run_tells_where_it_comes_from(shown: Chromium) -> None:
    shown.click("document.querySelector('#plan tbody tr:nth-child(3) a')")
    assert shown.evaluate("document.querySelectorAll('.run[open]').length") == 1
    told = text(shown, ".run[open]")
    for fact in (
        *("hbi-shapes-s1-0123abcd", "0123456789abcdef0123456789abcdef01234567, clean", "gpu-7", "NVIDIA H100"),
        *("fp32", "decord 0.6.0", "python 3.11.7, torch 2.9.0", "2026-01-02T03:04:05+00:00", "30.0 s"),
        *("training 14.2 s; evaluation 0.8 s", "812.0 MB of the GPU", "812_3, cluster alps, gpu-7, requeued 2 times"),
        *("t2v/R@1\n44.8",),
    ):
        assert fact in told


def test_what_a_commit_lacks_is_shown_once_and_not_without_end(shown: Chromium) -> None:
    shown.click("document.querySelector('#changes-1 summary')")
    told = text(shown, "#changes-1")
    assert "+new = 2" in told
    assert "characters more, in the record" in told
    assert len(told) < MOST_OF_A_DIFF + 200


def test_hardware_and_how_many_runs_on_each(shown: Chromium) -> None:
    rows = text(shown, "#hardware tbody").split("\n")
    assert rows == ["none\ta cpu\t4\tnode (4)", "NVIDIA H100\ta cpu\t1\tgpu-7 (1)"]


def test_nothing_from_a_record_is_more_than_text(browser: Chromium, tmp_path: Path) -> None:
    harm = HOSTILE + "\x1b[2J\u202e"
    record = on(
        build_record(HOSTILE, 0, outcome="failed", failure=Failure(kind=harm, message=harm), run_id=harm, metrics={}),
        **{"host": harm, "cpu": harm, "gpu": harm, "decoder": harm, "commit": harm, "dirty_diff": harm},
        packages={harm: harm},
        job=ClusterJob(number=harm, cluster=harm, nodes=harm),
    ).model_copy(update={"metrics": {harm: 1.0}, "started": harm, "finished": harm, "timings": {harm: 1.0}})
    run = PlannedRun(harm, 0, harm, harm, harm, True, record)
    layout = Layout(harm, harm, (Column(harm, harm),), (Line(harm, "*", (Entry(harm, harm),), harm),), ((harm, harm),))
    page = Page(harm, harm, harm, [layout], [(harm, SVG + harm)], [run], [harm], harm, harm, harm)
    show(browser, tmp_path, report(page))
    assert browser.evaluate("window.harmed") is None
    assert browser.errors == []
    assert browser.evaluate("document.querySelectorAll('img').length") == 1
    assert HOSTILE in text(browser, "#attention")
    assert "\x1b" not in report(page)
    assert "\u202e" not in report(page)
    show(browser, tmp_path, html_file(layout))
    assert browser.evaluate("window.harmed") is None
    assert HOSTILE in text(browser, "caption")


# ---- tables ---------------------------------------------------------------------------------------------------------


def test_a_page_has_the_numbers_of_its_table(browser: Chromium, tmp_path: Path, example: Table) -> None:
    layout = lay_out(example)
    show(browser, tmp_path, html_file(layout))
    assert browser.errors == []
    cells = browser.evaluate(
        "[...document.querySelectorAll('tbody tr:not(.section)')].map(row => [...row.cells].map(one => one.innerText))"
    )
    expected = [
        [
            line.label + line.symbols,
            *(e.text + (f" ±{e.deviation}" if e.deviation else "") + e.rest + e.symbol for e in line.entries),
        ]
        for line in layout.lines
    ]
    assert cells == expected
    best = browser.evaluate("[...document.querySelectorAll('td strong, td u')].map(e => [e.tagName, e.innerText])")
    tags = {1: "STRONG", 2: "U"}
    assert best == [[tags[e.place], e.text] for line in layout.lines for e in line.entries if e.place]
    notes = browser.evaluate("[...document.querySelectorAll('.notes li')].map(note => note.innerText)")
    assert notes == [f"{symbol} {meaning}".strip() for symbol, meaning in layout.notes]


def test_numbers_are_aligned_whatever_follows_them(shown: Chromium) -> None:
    right = shown.evaluate(
        "[...document.querySelectorAll('#table-1 td:nth-child(3)')].map(cell => {"
        " const range = document.createRange(); range.selectNode(cell.firstChild);"
        " return Math.round(range.getBoundingClientRect().right); })"
    )
    assert len(right) == 6
    assert len(set(right)) == 1


def test_headings_say_what_they_head() -> None:
    text = html(SORTABLE)
    assert '<th scope="colgroup" colspan="2"><span>text → video</span></th>' in text
    assert '<th scope="col" rowspan="2" data-column="1">seeds</th>' in text
    assert '<th scope="rowgroup" colspan="5">as published</th>' in text
    assert text.count('<th scope="row">') == 6
    assert 'rowspan="2"' not in html(replace(SORTABLE, columns=tuple(map(Column, "abcd"))))


def test_a_table_without_rows_is_one(browser: Chromium, tmp_path: Path) -> None:
    show(browser, tmp_path, html_file(replace(SORTABLE, lines=(), notes=())))
    assert browser.errors == []
    assert "R@1 ↑" in text(browser, "thead")


def test_three_clicks(shown: Chromium) -> None:
    """Best first by number, not by letters; then worst; then as it was. Sections stay; what is missing stays low."""
    button = heading("R@1 ↑")
    state = f"{button}.closest('th').getAttribute('aria-sort')"
    shown.click(button)
    assert [labels(shown, section=n) for n in (0, 1)] == [["a", "c", "b", "d"], ["e", "f"]]
    assert shown.evaluate(state) == "descending"
    shown.click(button)
    assert [labels(shown, section=n) for n in (0, 1)] == [["b", "c", "a", "d"], ["f", "e"]]
    assert shown.evaluate(state) == "ascending"
    shown.click(button)
    assert [labels(shown, section=n) for n in (0, 1)] == [["b", "d", "a", "c"], ["f", "e"]]
    assert shown.evaluate(state) is None


def test_another_column_takes_over(shown: Chromium) -> None:
    shown.click(heading("R@1 ↑"))
    shown.click(heading("MnR ↓"))
    assert labels(shown) == ["a", "c", "b", "d"]
    assert shown.evaluate("document.querySelectorAll('#table-1 [aria-sort]').length") == 1
    shown.click(heading("items/s"))
    assert labels(shown) == ["d", "a", "c", "b"]  # 1, 1.90 k, 120 k, 1.20 M
    shown.click(heading("variant"))
    assert labels(shown) == ["a", "b", "c", "d"]


def test_sorted_by_keyboard(shown: Chromium) -> None:
    for _ in range(60):
        shown.press("Tab")
        if shown.evaluate(f"document.activeElement === {heading('R@1 ↑')}"):
            break
    else:
        pytest.fail("Tab does not come to the heading")
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.press("Enter")
    assert labels(shown) == ["a", "c", "b", "d"]


def test_the_plan_can_be_sorted_too(shown: Chromium) -> None:
    shown.click(heading("seed", "#plan"))
    seeds = "[...document.querySelectorAll('#plan tbody td:nth-child(2)')].map(cell => cell.innerText).join('')"
    assert shown.evaluate(seeds) == "0000112"


# ---- use ------------------------------------------------------------------------------------------------------------


def test_the_filter(shown: Chromium) -> None:
    shown.click("document.querySelector('#plan input')")
    shown.send("Input.insertText", text="HBI-s failed")
    assert labels(shown, "#plan") == ["hbi-sampled"]
    assert text(shown, "#plan output") == "1 of 7 runs"
    visible = "[...document.querySelectorAll('.run')].filter(run => run.checkVisibility()).length"
    assert shown.evaluate(visible) == 1
    assert shown.evaluate("document.querySelector('#runs input').value") == "HBI-s failed"
    shown.click("document.querySelector('#runs input')")
    shown.evaluate("document.activeElement.select()")
    shown.send("Input.insertText", text="gpu-7")  # a host, which the plan does not name
    assert labels(shown, "#plan") == ["hbi"]
    shown.evaluate("document.activeElement.select()")
    shown.send("Input.insertText", text=" ")
    assert len(labels(shown, "#plan")) == 7
    assert text(shown, "#plan output") == ""


def test_without_scripts_all_but_sorting_is_there(browser: Chromium, tmp_path: Path) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    show(browser, tmp_path, report(content()))
    assert browser.evaluate("document.querySelectorAll('button').length") == 0
    assert not browser.evaluate("document.querySelector('.filter').checkVisibility()")
    assert labels(browser) == ["b", "d", "a", "c"]
    browser.click("document.querySelector('.run summary')")
    assert "decord 0.6.0" in text(browser, ".run")


def test_on_paper_everything_is_open(shown: Chromium, tmp_path: Path) -> None:
    closed = "document.querySelectorAll('details:not([open])').length"
    before = shown.evaluate(closed)
    shown.evaluate(f"addEventListener('beforeprint', () => window.unseen = {closed})")
    shown.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert shown.evaluate("window.unseen") == 0
    assert shown.evaluate(closed) == before > 0


@pytest.mark.parametrize("width", [320, 400, 1300])
def test_nothing_is_wider_than_the_window(shown: Chromium, width: int) -> None:
    shown.width(width)
    shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert shown.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    if width < 500:
        assert shown.evaluate("(box => box.scrollWidth > box.clientWidth)(document.querySelector('#table-1 .scroll'))")


CONTRASTS = """(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = channels(colour).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const colour = element ? getComputedStyle(element).backgroundColor : 'rgb(255, 255, 255)';
    return channels(colour)[3] === 0 ? behind(element.parentElement) : colour;
  };
  const found = {};
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (!element.checkVisibility()) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const name = element.tagName + '.' + element.className;
    found[name] = Math.min(ratio, found[name] ?? ratio);
  }
  return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(shown: Chromium, scheme: str) -> None:
    shown.media(scheme=scheme)
    shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    ratios = shown.evaluate(CONTRASTS)
    assert len(ratios) > 15
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    background = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 300) == (scheme == "dark")


def test_a_thousand_runs(browser: Chromium, tmp_path: Path) -> None:
    """Less than five megabytes, and there before one wonders; measured: a second, on two busy cores."""
    many = [
        planned(
            on(build_record("hbi", seed, run_id=f"run-{row}-{seed}"), host=f"node{seed}"), label=f"hbi, weight {row}"
        )
        for row in range(200)
        for seed in range(5)
    ]
    line = SORTABLE.lines[0]
    layout = replace(SORTABLE, lines=tuple(replace(line, label=f"hbi, weight {row}") for row in range(200)))
    page = report(content(runs=many, layouts=[layout]))
    assert len(page) < 5_000_000
    show(browser, tmp_path, page)
    assert browser.evaluate("performance.now()") < 10_000
    assert len(labels(browser, "#plan")) == 1000
