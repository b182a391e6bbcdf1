"""The page of the queries that changed most: what it shows and what not, and how it is used in a real browser."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

import hbi.data
from hbi.config import DataConfig, EvaluationConfig
from hbi.data import Video
from hbi.errors import InputError, RunFailure
from hbi.metrics.ranking import ranked_by
from hbi.metrics.retrieval import ranks
from hbi.metrics.saved import SIMILARITY, Saved
from results.changed_page import changed_page
from results.compare import Ran, compare_rows
from results.queries import write_queries
from results.store import run_folder
from results.thumbnails import WIDTH, thumbnails
from tests.chromium import Chromium
from tests.results.suite_store import leave, ran, run_of
from tests.results.test_report import CONTRASTS, HOSTILE

ROOT = Path(__file__).parents[2]
SUITE = """
data: {name: shapes, train: 2, val: 2, test: 12, size: 32}
metrics: [t2v/R@1, t2v/MnR, v2t/R@1]
variants: [no-hbi, hbi]
"""
VIDEOS = 12
DIAGONAL = np.arange(VIDEOS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where twelve generated test videos are."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def mine(tmp_path: Path, data: Path) -> Ran:
    """The suite, without a record; its data are at hand."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(data)
    return ran(tmp_path, SUITE)


def cosines(seed: int, best: float = 0.0) -> NDArray[np.float32]:
    """[12,12], all different; ``best`` is added to those of matching pairs."""
    scores = np.random.default_rng(seed).uniform(-0.5, 0.5, (VIDEOS, VIDEOS))
    return (scores + best * np.eye(VIDEOS)).astype(np.float32)


def keep(ran: Ran, label: str, scores: NDArray[Any], seed: int = 0, groups: ArrayLike = DIAGONAL, **more: Any) -> None:
    """A run that has these scores, ranks by them, and keeps them; ``more``: of its record."""
    run = run_of(ran, label, seed)
    found, asked = Saved(scores, np.asarray(groups)), run.spec.evaluation
    ranked = {w: ranks(ranked_by(found, w, asked), w, found.groups.tolist(), asked.ties) for w in ("t2v", "v2t")}
    leave(ran, label, seed, ranked | {"video": groups}, **more)
    np.savez(run_folder(ran.runs, run.run_id) / SIMILARITY, similarity=scores, groups=groups)


def named(ran: Ran) -> str:
    """The digest of the generated test split."""
    split = split_of(ran)
    return write_queries(ran.runs, split.captions, [video.id for video in split.videos], split.video_of)


def split_of(ran: Ran) -> hbi.data.Split:
    return hbi.data.load(ran.wanted[0].spec.data, ran.runs / "data").splits["test"]


def never(folder: Path, evaluation: EvaluationConfig) -> Saved:
    raise AssertionError("scores are kept")


def quiet(what: str, done: int, total: int) -> None:
    pass


def made(ran: Ran, a: str = "no-hbi", b: str = "hbi", most: int = 20, again: Any = never) -> tuple[str, list[str]]:
    return changed_page(ran, compare_rows(ran, a, b, most).pairs[0], again, quiet, "2026-01-02", "run_suite.py compare")


def show(browser: Chromium, folder: Path, text: str) -> None:
    (folder / "page.html").write_text(text, encoding="utf-8")
    browser.open(folder / "page.html")


@pytest.fixture
def two(mine: Ran) -> Ran:
    """Two rows of one seed, the second better for most queries."""
    digest = named(mine)
    keep(mine, "no-hbi", cosines(0), queries=digest)
    keep(mine, "hbi", cosines(1, best=0.4), queries=digest)
    return mine


@pytest.fixture
def shown(browser: Chromium, two: Ran, tmp_path: Path) -> Chromium:
    text, missing = made(two)
    assert missing == []
    show(browser, tmp_path, text)
    return browser


READ = """[...document.querySelectorAll('#t2v-better article, #t2v-worse article')].map((article) => ({
  caption: article.querySelector('h3').textContent,
  rows: [...article.querySelectorAll('.tiles')].map((row) => [...row.querySelectorAll('.tile')].map((tile) => ({
    rank: Number(tile.querySelector('b').textContent), id: tile.querySelector('.id').textContent,
    right: tile.textContent.includes('✓ right'), said: tile.querySelector('.said').textContent,
    after: tile.previousElementSibling?.className === 'gap',
  }))),
}))"""


# ---- what is shown --------------------------------------------------------------------------------------------------


def test_the_best_five_and_the_right_one_in_the_order_of_the_scores(shown: Chromium, two: Ran) -> None:
    split, scores = split_of(two), (cosines(0), cosines(1, best=0.4))
    articles = shown.evaluate(READ)
    assert len(articles) > 6
    for article in articles:
        query = split.captions.index(article["caption"])
        for row, matrix in zip(article["rows"], scores, strict=True):
            order = np.argsort(-matrix[query])
            rank = 1 + order.tolist().index(query)
            expected = [*order[:5], query][: 5 if rank <= 5 else 6]
            assert [tile["id"] for tile in row] == [split.videos[column].id for column in expected]
            assert [tile["rank"] for tile in row] == [*range(1, 6), rank][: len(expected)]
            assert [tile["said"] for tile in row] == [split.captions[column] for column in expected]
            assert [tile["id"] for tile in row if tile["right"]] == [split.videos[query].id]
            assert [tile["after"] for tile in row] == [False] * 5 + [rank > 6] * (rank > 5)


def test_video_to_text_shows_captions_and_the_video_that_asks(shown: Chromium, two: Ran) -> None:
    split, scores = split_of(two), cosines(1, best=0.4)
    article = "document.querySelector('#v2t-better article')"
    query = [video.id for video in split.videos].index(shown.evaluate(f"{article}.querySelector('h3').textContent"))
    texts = shown.evaluate(
        f"[...{article}.querySelectorAll('.row:last-child .text')].map(one => one.textContent)",
    )
    assert texts[:5] == [split.captions[row] for row in np.argsort(-scores[:, query])[:5]]
    assert shown.evaluate(f"{article}.querySelector('.query use').getBBox().width") == WIDTH
    assert shown.evaluate(f"{article}.querySelector('.right').textContent").count("✓ right") == 1


def test_every_picture_is_in_the_file_once(two: Ran) -> None:
    text, _ = made(two)
    pictures = re.findall(r'<image id="frame-(\d+)"', text)
    assert len(set(pictures)) == len(pictures) <= VIDEOS
    assert set(re.findall(r'href="#frame-(\d+)"', text)) == set(pictures)
    assert len(text) < 200_000


@pytest.mark.parametrize("post_processing", ["dsl"])
def test_a_row_with_post_processing_shows_the_order_that_counts(
    tmp_path: Path, data: Path, post_processing: str
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(data)
    grid = SUITE + "grid: {evaluation.post_processing: [none, dsl]}\nevaluation: {dsl_scale: 9}\n"
    mine = ran(tmp_path, grid.replace("[no-hbi, hbi]", "[hbi]"))
    plain, processed = "hbi post_processing=none", f"hbi post_processing={post_processing}"
    digest, scores = named(mine), cosines(0, best=0.2)
    for label in (plain, processed):
        keep(mine, label, scores, queries=digest)
    order = ranked_by(Saved(scores), "t2v", EvaluationConfig(post_processing="dsl", dsl_scale=9))
    text, _ = made(mine, plain, processed)
    split = split_of(mine)
    compared = 0
    for article in text.split("<article>")[1:]:
        caption = re.search("<h3>(.*?)</h3>", article)
        if caption and caption[1] in split.captions:
            query = split.captions.index(caption[1])
            ids = [re.findall('<span class="id quiet">(.*?)</span>', row) for row in article.split('<div class="row">')]
            for found, matrix in zip(ids[1:], (scores, order), strict=True):
                assert found[:5] == [split.videos[column].id for column in np.argsort(-matrix[query])[:5]]
            compared += 1
    assert compared


def test_ties_have_the_rank_that_is_recorded(mine: Ran) -> None:
    digest, flat = named(mine), cosines(0)
    flat[3] = 0.25
    keep(mine, "no-hbi", flat, queries=digest)
    keep(mine, "hbi", cosines(0, best=2), queries=digest)
    text, _ = made(mine)
    (article,) = [one for one in text.split("<article>")[1:] if f"<h3>{split_of(mine).captions[3]}</h3>" in one]
    assert "rank <b>6.5</b> in A, <b>1</b> in B" in article
    assert article.count("<b>6.5</b> <span") == 5


def test_of_several_captions_the_best_stands_for_its_video(mine: Ran) -> None:
    split = split_of(mine)
    groups = np.repeat(np.arange(4), 3)
    ids = [video.id for video in split.videos[:4]]
    digest = write_queries(mine.runs, split.captions, ids, groups.tolist())
    scores = [cosines(seed)[:, :4] for seed in (0, 5)]
    for label, matrix in zip(("no-hbi", "hbi"), scores, strict=True):
        keep(mine, label, matrix, groups=groups, queries=digest)
    text, _ = made(mine)
    for article in text.partition('id="v2t-better"')[2].split("<article>")[1:]:
        query = ids.index(re.search("<h3>(.*?)</h3>", article)[1])  # type: ignore[index]
        rows = [re.findall('<span class="text">(.*?)</span>', row) for row in article.split('<div class="row">')[1:]]
        for found, matrix in zip(rows, scores, strict=True):
            best = matrix[:, query].reshape(4, 3)
            expected = [3 * video + best[video].argmax() for video in np.argsort(-best.max(1))]
            assert found == [split.captions[caption] for caption in expected]
    assert "(and 2 more)" in text


def test_of_several_seeds_the_first_that_both_have(tmp_path: Path, data: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(data)
    mine = ran(tmp_path, SUITE + "seeds: 3\n")
    digest = named(mine)
    for seed in (0, 1, 2):
        keep(mine, "no-hbi", cosines(seed), seed, queries=digest)
    for seed in (1, 2):
        keep(mine, "hbi", cosines(10 + seed, best=0.4), seed, queries=digest)
    text, _ = made(mine)
    assert "that of seed 1, the first of the 2 that both have" in text
    article = text.split("<article>")[1]
    query = split_of(mine).captions.index(re.search("<h3>(.*?)</h3>", article)[1])  # type: ignore[index]
    told = re.search(r"rank <b>([\d.]+) \(([\d.]+), ([\d.]+)\)</b> in A", article)
    assert told
    mean, *by_seed = (float(number) for number in told.groups())
    assert by_seed == [1 + (cosines(seed)[query] > cosines(seed)[query, query]).sum() for seed in (1, 2)]
    assert mean == pytest.approx(np.sqrt(np.prod(by_seed)), abs=0.06)
    ids = re.findall('<span class="id quiet">(.*?)</span>', article)
    assert ids[:5] == [split_of(mine).videos[column].id for column in np.argsort(-cosines(1)[query])[:5]]


# ---- what is not known ----------------------------------------------------------------------------------------------


def test_without_kept_scores_the_weights_are_asked(two: Ran) -> None:
    run = run_of(two, "hbi")
    (run_folder(two.runs, run.run_id) / SIMILARITY).unlink()
    asked = []

    def again(folder: Path, evaluation: EvaluationConfig) -> Saved:
        asked.append((folder, evaluation))
        return Saved(cosines(1, best=0.4), DIAGONAL)

    kept_and_found, missing = made(two, again=again)
    assert asked == [(run_folder(two.runs, run.run_id), run.spec.evaluation)]
    assert missing == []
    assert "by its weights, evaluated again for this page" in kept_and_found


def test_without_weights_either_the_ranks_are_shown_and_what_to_do_is_told(two: Ran) -> None:
    for label in ("no-hbi", "hbi"):
        (run_folder(two.runs, run_of(two, label).run_id) / SIMILARITY).unlink()

    def again(folder: Path, evaluation: EvaluationConfig) -> Saved:
        raise RunFailure("need", f"{folder.name} has kept no weights")

    text, missing = made(two, again=again)
    assert len(missing) == 2
    for line in missing:
        assert re.fullmatch(
            r".*: order unknown \(.* has kept no weights\); with `keep: \[weights, similarity\]`.*", line
        )
    assert split_of(two).captions[0] in text
    assert text.count("<article>") > 6
    assert 'class="tile' not in text


def test_scores_of_something_else_are_not_shown(two: Ran) -> None:
    file = run_folder(two.runs, run_of(two, "hbi").run_id) / SIMILARITY
    np.savez(file, similarity=cosines(7))
    text, missing = made(two)
    assert re.search(r"order unknown \(\d+ of 12 ranks t2v by its scores are not those recorded\)", missing[0])
    assert "<h4>B" not in text
    assert "<h4>A" in text
    np.savez(file, similarity=cosines(1)[:5, :5])
    assert "its scores give 5 ranks t2v, its record has 12" in made(two)[1][0]
    file.write_bytes(b"PK\3\4 damaged")
    assert "not readable as npy or npz" in made(two)[1][0]


def test_a_query_with_another_rank_is_not_shown(two: Ran) -> None:
    """One of twelve, as rounding might make it."""
    scores = cosines(1, best=0.4)
    query = next(n for n in range(VIDEOS) if scores[n].argmax() != n)
    scores[query, query] = scores.max() + 1
    np.savez(run_folder(two.runs, run_of(two, "hbi").run_id) / SIMILARITY, similarity=scores)
    text, missing = made(two)
    assert missing == []
    assert re.search(r"; \d of 24 ranks are others than those recorded", text)
    for article in text.partition('id="v2t-better"')[0].split("<article>")[1:]:
        other = f"<h3>{split_of(two).captions[query]}</h3>" in article
        assert ("not shown: by these scores the right one has another rank" in article) == other


def test_a_video_that_does_not_decode_is_a_grey_box(browser: Chromium, two: Ran, tmp_path: Path) -> None:
    shutil.copytree(two.runs / "data", tmp_path / "copy")
    (two.runs / "data").unlink()
    (tmp_path / "copy").rename(two.runs / "data")
    broken = split_of(two).videos[4]
    broken.path.write_bytes(b"no video")
    text, missing = made(two)
    assert missing == ["1 of 12 videos cannot be read: a grey box with the id"]
    show(browser, tmp_path, text)
    boxes = browser.evaluate("[...document.querySelectorAll('.tile .unseen')].map(one => one.textContent)")
    assert set(boxes) == {broken.id}
    tile = "document.querySelector('.tile:has(.unseen)')"
    other = "document.querySelector('.tile:has(svg)')"
    heights = [browser.evaluate(f"{one}.firstElementChild.getBoundingClientRect().height") for one in (tile, other)]
    assert heights[0] == pytest.approx(heights[1], abs=1)


def test_texts_that_no_one_knows(mine: Ran) -> None:
    keep(mine, "no-hbi", cosines(0))
    keep(mine, "hbi", cosines(1, best=0.4))
    text, missing = made(mine)
    assert missing == ["no picture is shown: which videos these are is not known"]
    assert re.search(r"<h3>caption \d+</h3>", text)
    assert "✓ right" in text


def test_data_that_are_elsewhere(tmp_path: Path) -> None:
    mine = ran(tmp_path, SUITE.replace("data: {name: shapes, train: 2, val: 2, test: 12, size: 32}", "data: msrvtt"))
    digest = write_queries(
        mine.runs, [f"caption {n}" for n in DIAGONAL], [f"v{n}" for n in DIAGONAL], DIAGONAL.tolist()
    )
    for seed, label in enumerate(("no-hbi", "hbi")):
        keep(mine, label, cosines(seed), queries=digest)
    text, (missing,) = made(mine)
    assert missing.startswith("no picture is shown: data/MSR-VTT")
    assert "✓ right" in text


QA = "data: shapes-qa\nvariants: [no-hbi-qa, hbi-qa]\n"


def test_questions_have_no_page(tmp_path: Path) -> None:
    mine = ran(tmp_path, QA)
    for label, right in (("no-hbi-qa", [0, 1, 0, 1]), ("hbi-qa", [1, 1, 1, 0])):
        arrays = {"correct": right, "in_vocabulary": [1] * 4, "kind": [0] * 4, "video": [0, 1, 2, 3]}
        leave(mine, label, 0, arrays)
    with pytest.raises(InputError, match="it is of retrieval"):
        made(mine, "no-hbi-qa", "hbi-qa")


def test_rows_that_are_not_compared_have_none_either(mine: Ran) -> None:
    keep(mine, "no-hbi", cosines(0))
    with pytest.raises(InputError, match="no page, for no-hbi and hbi are not compared: B has no result"):
        made(mine)


def test_nothing_has_changed(mine: Ran) -> None:
    for label in ("no-hbi", "hbi"):
        keep(mine, label, cosines(0))
    text, missing = made(mine)
    assert missing == []
    assert "No query is shown" in text


def test_nothing_from_a_file_is_more_than_text(browser: Chromium, mine: Ran, tmp_path: Path) -> None:
    texts = [f"{HOSTILE}\x1b[2J\u202e {n}" for n in range(VIDEOS)]
    digest = write_queries(mine.runs, texts, [f"{HOSTILE}{n}" for n in range(VIDEOS)], DIAGONAL.tolist())
    keep(mine, "no-hbi", cosines(0), queries=digest)
    keep(mine, "hbi", cosines(1, best=0.4), queries=digest)
    text, _ = made(mine)
    show(browser, tmp_path, text)
    assert browser.evaluate("window.harmed") is None
    assert browser.errors == []
    assert HOSTILE in browser.evaluate("document.querySelector('h3').textContent")
    assert "\x1b" not in text
    assert "\u202e" not in text


# ---- pictures -------------------------------------------------------------------------------------------------------


def test_a_thumbnail_is_small_and_of_the_frame_that_shows_most(two: Ran, tmp_path: Path) -> None:
    """Whatever is filmed: noise is the worst."""
    import av

    path = tmp_path / "noise.mp4"
    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=2, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(10):
            noise = generator.integers(0, 255, (120, 160, 3), np.uint8) if number == 2 else np.zeros((120, 160, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode())
    config: DataConfig = two.wanted[0].spec.data.model_copy(update={"frame_rate": 1.0, "max_frames": 5})
    told: list[tuple[str, int, int]] = []
    noise, none = thumbnails([Video("a", path), Video("b", tmp_path / "no.mp4")], config, lambda *p: told.append(p))
    assert none is None
    assert noise
    assert 3_000 < len(noise) < 20_000  # sampled are 0, 2, 4, 6, 8; a black frame has 1 kB
    assert told == [("reading video", 1, 2), ("reading video", 2, 2)]


# ---- use ------------------------------------------------------------------------------------------------------------


def test_opens_from_a_file_without_an_error_and_asks_for_nothing(shown: Chromium) -> None:
    assert shown.errors == []
    assert shown.requests[0].startswith("file:///")
    assert all(request.startswith("data:image/jpeg") for request in shown.requests[1:])
    assert len(shown.requests) > 5
    assert shown.evaluate("[...document.querySelectorAll('use')].every(one => one.getBBox().height > 0)")


def test_a_caption_appears_on_focus_and_on_hover(shown: Chromium) -> None:
    said = "document.querySelector('.tile .said')"
    assert not shown.evaluate(f"{said}.checkVisibility()")
    for _ in range(10):
        shown.press("Tab")
        if shown.evaluate("document.activeElement === document.querySelector('.tile')"):
            break
    else:
        pytest.fail("Tab does not come to the first picture")
    assert shown.evaluate(f"{said}.checkVisibility()")
    assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    shown.press("Tab")
    assert shown.evaluate("document.activeElement === document.querySelectorAll('.tile')[1]")
    assert not shown.evaluate(f"{said}.checkVisibility()")
    box = shown.evaluate("document.querySelector('.tile').getBoundingClientRect().toJSON()")
    shown.send("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + 20, y=box["y"] + 20)
    assert shown.evaluate(f"{said}.checkVisibility()")
    shown.send("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)


@pytest.mark.parametrize("width", [400, 1300])
def test_a_caption_leaves_the_heading_of_the_next_row_free(shown: Chromium, width: int) -> None:
    shown.width(width)
    free = """[...document.querySelectorAll('.tile')].every((tile) => {
      const said = tile.querySelector('.said'), row = tile.parentElement; tile.focus();
      const line = said.firstChild.length < 60 && innerWidth > 1000, box = said.getBoundingClientRect();
      const below = !line || box.top >= tile.getBoundingClientRect().bottom;
      return box.height > 10 && box.bottom <= row.getBoundingClientRect().bottom + 1 && below; })"""
    assert shown.evaluate(free)


def test_the_contents_lead_somewhere(shown: Chromium) -> None:
    links = shown.evaluate("[...document.querySelectorAll('nav a')].map(link => link.getAttribute('href'))")
    assert links == ["#t2v-better", "#t2v-worse", "#v2t-better", "#v2t-worse", "#notes"]
    assert all(shown.evaluate(f"document.getElementById('{link[1:]}') !== null") for link in links)


@pytest.mark.parametrize("width", [320, 400, 900, 1300])
def test_nothing_is_wider_than_the_window(shown: Chromium, width: int) -> None:
    shown.width(width)
    for focused in ("", "document.querySelectorAll('.tile')[4].focus(), "):
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not shown.evaluate(f"({focused}{wider})")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(shown: Chromium, scheme: str) -> None:
    shown.media(scheme=scheme)
    shown.evaluate("document.querySelector('.tile').focus()")
    found = shown.evaluate(CONTRASTS)
    assert "SPAN.said" in found
    assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}


def test_on_paper_the_captions_are_there_and_six_pictures_stand_in_a_line(shown: Chromium, tmp_path: Path) -> None:
    shown.media("print")
    shown.width(720)
    assert shown.evaluate("[...document.querySelectorAll('.said')].every(one => one.checkVisibility())")
    tops = shown.evaluate(
        "[...document.querySelectorAll('.tiles')].map(row =>"
        " [...row.querySelectorAll('.tile')].map(tile => Math.round(tile.getBoundingClientRect().top)))"
    )
    assert max(map(len, tops)) == 6
    assert all(len(set(row)) == 1 for row in tops)
    assert shown.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    shown.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


# ---- the command ----------------------------------------------------------------------------------------------------


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process that cannot import torch."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["torch", "open_clip", "mlflow", "submitit"]))
sys.path.insert(0, {str(ROOT)!r})
sys.argv = ["run_suite.py", *{arguments!r}]
import run_suite
run_suite.main()
"""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_command_writes_it_without_torch_where_scores_are_kept(two: Ran, tmp_path: Path) -> None:
    done = call(tmp_path, "compare", "mine.yaml", "no-hbi", "hbi", "--page", "new/page.html")
    assert done.returncode == 0, done.stderr
    assert "hbi (B) against no-hbi (A)" in done.stdout
    assert done.stdout.endswith("wrote new/page.html\n")
    page = (tmp_path / "new" / "page.html").read_text()
    assert page.count("✓ right") == 2 * page.count("<article>") + 1
    assert "compare mine.yaml no-hbi hbi --page new/page.html" in page
    short = call(tmp_path, "compare", "mine.yaml", "no-hbi", "hbi", "--page", "short.html", "--top", "1", "--json")
    assert short.stderr.endswith("wrote short.html\n")
    assert short.stdout.startswith("{")
    assert (tmp_path / "short.html").read_text().count("<article>") == 4


def test_what_cannot_be_a_page_is_one_line(two: Ran, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(SUITE)
    of_suites = call(tmp_path, "compare", "mine.yaml", "other.yaml", "--page", "page.html")
    assert (of_suites.returncode, of_suites.stdout) == (2, "")
    assert of_suites.stderr == "compare: a page is of two rows of one suite; name them\n"
    folder = call(tmp_path, "compare", "mine.yaml", "no-hbi", "hbi", "--page", "runs")
    assert (folder.returncode, folder.stderr) == (2, "compare: runs is a folder; name a file for the page\n")
