"""The page of a pair's games, read and used in a real browser; and the files beside it."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hbi.explain import Explanation
from results.explain_page import Explained, html, plain, summary, write
from tests.chromium import Chromium
from tests.hbi.explain.conftest import explained, model_of

KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27, "End": 35, "Home": 36}
HOSTILE = (
    """</script><img src=x onerror="window.harmed = true"><script>window.harmed = true</script> \u202e &amp; <!--"""
)
LONG = "a man is skateboarding; then the flibbertigibbet camera pans left to hamburgers and skewers on the lawn, and "


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def usual() -> Explanation:
    return explained()


@pytest.fixture(scope="module")
def other() -> Explanation:
    return explained(model=model_of(seed=1))


def content(*found: Explanation, methods: Sequence[str] = ("exact",), **changes: Any) -> Explained:
    runs = [(f"hbi.s{seed}", one) for seed, one in enumerate(found)]
    made = Explained("clip.mp4", None, runs, "banzhaf", methods, "2026-01-02 03:04 UTC", "0123", "run_suite.py explain")
    return replace(made, **changes)


def show(browser: Chromium, folder: Path, page: Explained) -> None:
    path = folder / "page.html"
    path.write_text(html(page), encoding="utf-8")
    browser.open(path)


def press(browser: Chromium, key: str) -> None:
    if key not in KEYS:
        browser.press(key)
        return
    for kind in ("keyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key])


def hover(browser: Chromium, element: str) -> None:
    browser.evaluate(f"({element}).scrollIntoView({{block: 'center'}})")
    box = browser.evaluate(f"({element}).getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def choose(browser: Chromium, label: str, group: str) -> None:
    buttons = f"[...document.querySelectorAll('[data-choice=\"{group}\"] button')]"
    browser.click(f"{buttons}.find((one) => one.textContent === {label!r})")


def text(browser: Chromium, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector({selector!r}).innerText"))


def texts(browser: Chromium, selector: str) -> list[str]:
    found: list[str] = browser.evaluate(f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)")
    return found


def pressed(browser: Chromium) -> list[str]:
    return texts(browser, "#controls [aria-pressed=true]")


def cells(browser: Chromium) -> list[list[str]]:
    rows = "[...document.querySelectorAll('#matrix tbody tr')]"
    found: list[list[str]] = browser.evaluate(
        f"{rows}.map((row) => [...row.querySelectorAll('td[data-word]')].map((cell) => cell.textContent))"
    )
    return [row for row in found if row]


def number(told: str) -> float:
    return float(told.replace("−", "-"))


def test_it_needs_nothing_but_itself(browser, tmp_path, usual):
    show(browser, tmp_path, content(usual))
    assert browser.errors == []
    assert [address for address in browser.requests if not address.startswith("data:")] == [
        (tmp_path / "page.html").resolve().as_uri()
    ]
    assert text(browser, "h1") == f"“{usual.caption}”"
    assert f"{usual.similarity:.4f}" in text(browser, ".summary")
    assert pressed(browser) == ["entity", "Banzhaf", "exact", "none"]


def test_the_matrix_holds_the_numbers(browser, tmp_path, usual):
    show(browser, tmp_path, content(usual))
    matrix = usual.level("entity").interactions["banzhaf"]["exact"]
    found = cells(browser)
    assert (len(found), len(found[0])) == matrix.shape
    unit = {"⁻³": 1e-3, "⁻⁴": 1e-4, "⁻⁵": 1e-5, "⁻²": 1e-2}[text(browser, "#units").split(";")[0][-2:]]
    for row, wanted in zip(found, matrix, strict=True):
        assert [number(cell) * unit for cell in row] == pytest.approx(wanted.tolist(), abs=0.051 * unit)
    signs = "[...document.querySelectorAll('td.negative')].every((cell) => cell.textContent.startsWith('−'))"
    assert browser.evaluate(signs)
    assert len(texts(browser, "#matrix td.top")) == len(texts(browser, "#strongest tbody tr")) == 5


def test_pointing_at_a_word_shows_its_frames_and_a_frame_its_words(browser, tmp_path, usual):
    show(browser, tmp_path, content(usual))
    matrix = usual.level("entity").interactions["banzhaf"]["exact"]
    assert "".join(texts(browser, "#film .number")) == ""
    hover(browser, "document.querySelectorAll('#sentence .player')[4]")
    shown = [number(told) for told in texts(browser, "#film .number")]
    assert [round(one) for one in shown] == [round(one) for one in map(number, cells(browser)[4])]
    assert text(browser, "#told").startswith("“skateboarding”: most with ")
    hover(browser, "document.querySelectorAll('#film .player')[2]")
    shown = [number(told) for told in texts(browser, "#sentence .number")]
    assert shown.index(max(shown)) == matrix[:, 2].argmax()
    assert "".join(texts(browser, "#film .number")) == ""
    browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    assert "".join(texts(browser, "#sentence .number")) == ""


def test_it_works_with_the_keyboard_alone(browser, tmp_path, usual):
    show(browser, tmp_path, content(usual))
    for _ in range(40):
        press(browser, "Tab")
        if browser.evaluate("document.activeElement.dataset.kind") == "word":
            break
    press(browser, "ArrowRight")
    assert text(browser, "#told").startswith("“a”: most with")
    press(browser, "Enter")
    held = "document.querySelector('.player[aria-pressed=true] .text').textContent"
    assert browser.evaluate(held) == "a"
    press(browser, "Tab")
    assert browser.evaluate("document.activeElement.dataset.kind") == "frame"
    press(browser, "End")
    assert text(browser, "#told").startswith("5.5 s: most with")
    press(browser, "Escape")
    assert browser.evaluate("document.querySelector('.player[aria-pressed=true]')") is None
    browser.evaluate("document.querySelector('#matrix td[data-word]').focus()")
    press(browser, "ArrowDown")
    press(browser, "ArrowRight")
    assert text(browser, "#told").startswith("“a” with 0.5 s: ")
    assert texts(browser, "#matrix th.met") == ["0.5 s", "a"]
    press(browser, "ArrowUp")
    press(browser, "ArrowUp")
    assert text(browser, "#told").startswith("“[start]” with 0.5 s: ")


def test_levels_indices_and_methods_switch(browser, tmp_path, usual):
    show(browser, tmp_path, content(usual))
    choose(browser, "action", "Level")
    choose(browser, "Shapley", "Index")
    choose(browser, "sampled", "Method")
    assert pressed(browser) == ["action", "Shapley", "sampled", "none"]
    assert browser.evaluate("document.activeElement.textContent") == "sampled"  # the focus stays
    game = usual.level("action")
    matrix = game.interactions["shapley"]["sampled"]
    assert texts(browser, "#sentence .text") == [usual.text_of(word) for word in game.words]
    assert texts(browser, "#film .text") == [usual.time_of(frame) for frame in game.frames]
    pictures = "[...document.querySelectorAll('#film .player')].map((one) => one.querySelectorAll('img').length)"
    assert browser.evaluate(pictures) == [len(frame) for frame in game.frames]
    found = [[number(cell) for cell in row] for row in cells(browser)]
    ratio = found[0][0] / matrix[0, 0]
    assert found[-1][-1] / matrix[-1, -1] == pytest.approx(ratio, rel=0.2)
    choose(browser, "released", "Method") if "released" in texts(browser, "[data-choice=Method] button") else None
    assert texts(browser, "[data-choice=Method] button") == ["exact", "sampled"]  # released is Banzhaf's
    assert browser.errors == []


def test_the_difference_of_methods_and_of_runs(browser, tmp_path, usual, other):
    show(browser, tmp_path, content(usual, other, methods=["exact"]))
    assert pressed(browser) == ["hbi.s0", "entity", "Banzhaf", "exact", "exact of hbi.s1"]
    one, two = (found.level("entity").interactions["banzhaf"]["exact"] for found in (usual, other))
    largest = abs(one - two).max()
    strongest = text(browser, "#strongest tbody .sign")
    assert abs(number(strongest)) == pytest.approx(largest, rel=0.01)
    choose(browser, "action", "Level")  # they merge differently: no difference
    assert pressed(browser) == ["hbi.s0", "action", "Banzhaf", "exact", "none"]
    assert browser.evaluate("document.querySelector('[data-choice=\"Difference to\"] button:disabled').title")
    choose(browser, "sampled", "Difference to")
    assert "less sampled" in text(browser, "#meaning")
    assert texts(browser, "#matrix .value") == []  # of one game: equal, and exact
    choose(browser, "hbi.s1", "Run")
    assert pressed(browser)[0] == "hbi.s1"
    assert browser.errors == []


def test_two_runs_by_two_methods_come_back_to_where_they_began(browser, tmp_path, usual, other):
    show(browser, tmp_path, content(usual, other, methods=["exact", "sampled"]))
    began = ["hbi.s0", "entity", "Banzhaf", "exact", "sampled of hbi.s1"]
    assert pressed(browser) == began
    choose(browser, "none", "Difference to")
    choose(browser, "sampled of hbi.s1", "Difference to")
    assert pressed(browser) == began
    assert "own value" in text(browser, "#matrix thead")


def test_words_that_are_repeated_are_told_apart(browser, tmp_path):
    found = explained("a red ring grows and a blue ring grows")
    show(browser, tmp_path, content(found))
    named = [
        "[start]",
        "a (1)",
        "red",
        "ring (1)",
        "grows (1)",
        "and",
        "a (2)",
        "blue",
        "ring (2)",
        "grows (2)",
        "[end]",
    ]
    assert texts(browser, "#sentence .text") == named
    told = set(texts(browser, "#strongest tbody td:nth-child(3)"))
    assert told <= set(named)
    table = found.interactions_frame()
    assert set(table[table.level == "entity"].text) == set(named)


def test_the_number_of_strongest_pairs_stays_while_it_is_no_number(browser, tmp_path, usual):
    show(browser, tmp_path, content(usual))
    for typed in ("7", "", "e"):
        browser.evaluate(
            f"(() => {{ const count = document.querySelector('#count'); count.value = {typed!r};"
            " count.dispatchEvent(new Event('input')); })()"
        )
        assert len(texts(browser, "#strongest tbody tr")) == 7
    browser.evaluate("document.querySelector('#count').dispatchEvent(new Event('change'))")
    assert browser.evaluate("document.querySelector('#count').value") == "7"


def test_what_the_table_counts_in_is_not_cut_on_a_narrow_page(browser, tmp_path, usual):
    browser.width(400)
    show(browser, tmp_path, content(usual))
    assert "own values as they are" in text(browser, "#units")
    assert browser.evaluate("document.querySelector('#units').getBoundingClientRect().right <= innerWidth")


def test_the_hatch_of_a_cell_crosses_no_digit(browser, tmp_path, usual):
    """It lies at the left edge, and the digits right of it."""
    show(browser, tmp_path, content(usual))
    hover(browser, "document.querySelectorAll('#sentence .player')[4]")
    free = """[...document.querySelectorAll('td.negative, .player.negative .text')].map((cell) => {
      const range = document.createRange(); range.selectNodeContents(cell);
      const hatched = cell.closest('.negative'), hatch = parseFloat(getComputedStyle(hatched).backgroundSize);
      return range.getBoundingClientRect().left - hatched.getBoundingClientRect().left - hatch; })"""
    found = browser.evaluate(free)
    assert len(found) > 5
    assert min(found) > 0


def test_much_is_thinned_out_by_a_threshold(browser, tmp_path):
    show(browser, tmp_path, content(explained(4 * LONG, 64, max_words=64, max_frames=64)))
    assert len(cells(browser)[0]) == 64
    box = "document.querySelector('#matrix')"
    assert browser.evaluate(f"{box}.scrollWidth > {box}.clientWidth && {box}.scrollHeight > {box}.clientHeight")
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    slide = "const share = document.querySelector('#share'); share.value = 50; share.dispatchEvent(new Event('input'))"
    browser.evaluate(slide)
    found = cells(browser)
    assert len(found) * len(found[0]) < 2000
    assert "have such a pair" in text(browser, "#kept")
    rows = "[...document.querySelectorAll('#matrix tbody tr')].filter((row) => row.querySelector('[data-word]'))"
    assert browser.evaluate(f"{rows}.every((row) => row.querySelector('td[data-word]:not(.weak)'))")
    count = "const count = document.querySelector('#count'); count.value = 12; count.dispatchEvent(new Event('input'))"
    browser.evaluate(count)
    assert len(texts(browser, "#strongest tbody tr")) == 12
    browser.width(400)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stay_legible_on_the_strongest_colours(browser, tmp_path, usual, scheme):
    """A contrast of 4.5, as WCAG has it, measured on the colours that the browser computes."""
    browser.media(scheme=scheme)
    show(browser, tmp_path, content(usual))
    luminance = """(colour) => {
      const context = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
      context.fillStyle = colour; context.fillRect(0, 0, 1, 1);
      const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((x) => x / 255)
        .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b; }"""
    contrast = f"""(() => {{ const luminance = {luminance};
      return ["positive", "negative"].map((sign) => {{
        const cell = document.querySelector("#matrix td." + sign); cell.style.setProperty("--s", "100%");
        const style = getComputedStyle(cell);
        const [a, b] = [luminance(style.color), luminance(style.backgroundColor)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }}); }})()"""
    assert min(browser.evaluate(contrast)) >= 4.5


def test_nothing_in_a_caption_does_harm(browser, tmp_path):
    found = explained(HOSTILE, 2, max_words=40)
    show(browser, tmp_path, content(found, video="<b>x</b>.mp4", command="--query '<i>'"))
    assert browser.evaluate("window.harmed") is None
    assert browser.errors == []
    assert browser.evaluate("document.querySelector('h1 img, .summary b b, code i')") is None
    assert "\u202e" not in html(content(found))


def test_one_frame_and_one_word(browser, tmp_path):
    show(browser, tmp_path, content(explained("run", 1)))
    assert [len(row) for row in cells(browser)] == [1, 1, 1]
    hover(browser, "document.querySelectorAll('#sentence .player')[1]")
    assert text(browser, "#told").startswith("“run”: most with 0 s (")
    assert browser.errors == []


def test_on_paper_all_of_it_is_there(browser, tmp_path, usual):
    show(browser, tmp_path, content(usual))
    browser.media("print")
    assert browser.evaluate("getComputedStyle(document.querySelector('#controls')).display") == "none"
    assert browser.evaluate("getComputedStyle(document.querySelector('#matrix')).overflow") == "visible"
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


# ---- files ----------------------------------------------------------------------------------------------------------


def test_the_files_hold_the_numbers(tmp_path, usual):
    page = content(usual, methods=["exact", "sampled"], number=7)
    paths = write(page, tmp_path)
    name = "hbi.s0.q7.clip.exact-sampled"
    endings = ["pdf", "svg", "png", "difference.pdf", "difference.svg", "difference.png"]
    endings += ["html", "json", "interactions.csv", "values.csv"]
    assert [path.name for path in paths] == [f"{name}.{ending}" for ending in endings]
    assert all(path.stat().st_size > 1000 for path in paths)
    assert json.loads((tmp_path / f"{name}.json").read_text()) == json.loads(json.dumps(plain(page)))
    rows = list(csv.DictReader((tmp_path / f"{name}.interactions.csv").open()))
    first = usual.level("entity").interactions["banzhaf"]["exact"][0, 0]
    assert float(rows[0]["interaction"]) == first
    before = {path.name: path.read_bytes() for path in paths}
    assert {path.name: path.read_bytes() for path in write(page, tmp_path)} == before


def test_files_are_named_by_what_they_show(usual, other):
    names = [
        content(usual, **options).name
        for options in ({"index": "shapley"}, {"methods": ["sampled"]}, {"methods": ["exact", "sampled"]})
    ]
    assert [name.removeprefix("hbi.s0.") for name in [*names, content(usual, other).name]] == [
        f"{content(usual).name.removeprefix('hbi.s0.')}{ending}"
        for ending in (".shapley", ".sampled", ".exact-sampled", ".less-hbi.s1")
    ]


def test_an_old_difference_does_not_stay_beside_new_numbers(tmp_path, usual):
    other = explained("a dog runs", 3)
    page = content(usual, explained(model=model_of(seed=1)))
    drawn = {path for path in write(page, tmp_path) if ".difference." in path.name}
    assert len(drawn) == 3
    write(replace(page, runs=[page.runs[0], ("hbi.s1", other)]), tmp_path)  # no player is the same
    assert not [path for path in drawn if path.exists()]


def test_models_that_merge_differently_have_a_difference_at_the_entity_level_alone(tmp_path, usual, other):
    page = content(usual, other)
    svg = next(path for path in write(page, tmp_path) if path.name.endswith("difference.svg"))
    assert "no difference" in svg.read_text()
    assert "similarity" in "\n".join(summary(page))


@pytest.mark.parametrize(
    ("caption", "start"),
    [
        ("a dog runs", "hbi.s0.a-dog-runs.clip"),
        ("日本", "hbi.s0."),
        ("../../etc/passwd", "hbi.s0."),
        ("word " * 60, "hbi.s0.word-word"),
    ],
)
def test_files_are_named_in_plain_letters(caption, start, usual):
    name = content(replace(usual, caption=caption)).name
    assert name.startswith(start)
    assert name.isascii()
    assert "/" not in name
    assert len(name) < 100


def test_captions_that_begin_alike_have_files_of_their_own(usual):
    names = {content(replace(usual, caption="word " * 60 + end)).name for end in ("a", "b")}
    assert len(names) == 2


def test_what_is_printed(usual):
    told = summary(content(usual, methods=["sampled"]))
    assert told[0] == f"“{usual.caption}” with clip.mp4"
    assert told[1].startswith(f"similarity {usual.similarity:.4f} by hbi.s0")
    entity = next(line for line in told if line.startswith("entity level"))
    assert entity.endswith("strongest by banzhaf, sampled:")
    assert sum("of signs right" in line for line in told) == 6
