"""A rehearsal: every model and set of resources once, as large as in the suite, on generated data, under other ids."""

from suites.expand import in_order
from suites.identity import run_id
from suites.rehearsal import rehearsal

SUITE = """
data: {name: msrvtt, root: /nowhere, max_words: 17, max_frames: 5, hold_out_validation: true}
training: {epochs: 30, batch_size: 6, selection: validation, select_every: 10, precision: bf16}
runtime: {processes: 2, workers: 3}
resources: {partition: gpu, minutes: 600}
seeds: 3
variants: [no-hbi, hbi]
"""


def test_one_run_for_each_variant_and_what_it_asks_for(runs):
    found = rehearsal(runs(SUITE + "grid: {training.lr: [1, 2]}"))
    assert [run.spec.variant for run in found] == ["no-hbi", "hbi"]
    large = SUITE.replace("hbi]", "hbi, {name: hbi, label: large, resources: {gpu_type: h100}}]")
    assert [run.label for run in rehearsal(runs(large))] == ["no-hbi", "hbi", "large"]


def test_the_model_and_what_memory_depends_on_are_those_of_the_suite(runs):
    for run, small in zip(runs(SUITE)[::3], rehearsal(runs(SUITE)), strict=True):
        assert small.spec.model == run.spec.model
        assert small.spec.runtime == run.spec.runtime
        assert (small.spec.data.max_words, small.spec.data.max_frames) == (17, 5)
        assert (small.spec.training.batch_size, small.spec.training.precision) == (6, "bf16")


def test_it_takes_two_steps_on_generated_videos_and_a_quarter_of_an_hour(runs):
    for small in rehearsal(runs(SUITE)):
        assert small.spec.data.name == "shapes"
        assert small.spec.data.train == 2 * small.spec.training.batch_size
        assert (small.spec.training.epochs, small.spec.training.selection) == (1, "last")
        assert small.resources.model_dump(exclude_unset=True) == {"partition": "gpu", "minutes": 15}


def test_its_ids_are_right_and_none_of_the_suite(runs):
    suite = runs(SUITE)
    found = in_order(rehearsal(suite))
    assert [run.run_id for run in found] == [run_id(run.spec) for run in found]
    assert not {run.run_id for run in found} & {run.run_id for run in suite}


def test_runs_that_are_needed_come_along_in_their_order(runs):
    text = "data: shapes\nseeds: 2\nvariants: [hbi-estimated, hbi-no-banzhaf]\nresources: {gpus: 2}"
    source, estimator, user = found = in_order(rehearsal(runs(text)))
    assert [run.spec.variant for run in found] == ["hbi-no-banzhaf", "estimator", "hbi-estimated"]
    assert (source.spec.after, estimator.spec.after, user.spec.after) == (None, source.run_id, estimator.run_id)
    assert [run.run_id for run in found] == [run_id(run.spec) for run in found]
    assert {(run.resources.gpus, run.resources.minutes) for run in found} == {(2, 15)}
    assert not {run.run_id for run in found} & {run.run_id for run in in_order(runs(text))}


def test_needed_runs_keep_the_weights_that_others_start_from(runs):
    found = in_order(rehearsal(runs("data: shapes\nvariants: [hbi-estimated]\nkeep: []")))
    assert [run.spec.keep for run in found] == [("weights",), ("weights",), ()]


def test_questions_are_rehearsed_on_questions(runs, tmp_path):
    labels = tmp_path / "labels.json"
    labels.write_text('{"one": 0}')
    (small,) = rehearsal(runs(f"data: {{name: msrvtt-qa, labels: {labels}, max_words: 9}}\nvariants: [hbi-qa]"))
    assert (small.spec.data.name, small.spec.data.max_words) == ("shapes-qa", 9)
    assert small.spec.files == {}  # the vocabulary is that of the generated questions
    assert small.run_id == run_id(small.spec)


def test_weights_that_are_given_are_rehearsed_as_such(runs, tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"weights")
    (small,) = rehearsal(runs(f"data: msrvtt\ncheckpoint: {file}\nvariants: [hbi]"))
    assert small.spec.checkpoint == str(file)
    assert list(small.spec.files) == ["checkpoint"]


def test_what_reads_videos_on_the_nodes_is_rehearsed_too(runs):
    """A reader that is missing there is just what a rehearsal is for."""
    (small,) = rehearsal(runs("data: {name: msrvtt, reader: pyav, augmentation: randaugment}\nvariants: [hbi]"))
    assert small.spec.data.reader == "pyav"
    assert small.spec.data.augmentation == "randaugment"
