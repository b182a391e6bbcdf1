"""Cluster profiles: every mistake has its place, nothing slips past the harness, and a suite goes over a profile."""

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hbi.errors import InputError
from slurm.profile import OWNED, PROFILES, Cluster, asked, read_profile
from tests.slurm.examples import runs_of

fuzzed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path):
    """The profile with the given text."""

    def read(text: str | bytes) -> Cluster:
        path = tmp_path / "mine.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_profile(str(path))

    return read


@pytest.fixture
def mistakes(tmp_path, read):
    """The lines of the error that a profile ends in, without the folder it lies in."""

    def mistakes(text: str | bytes) -> list[str]:
        with pytest.raises(InputError) as error:
            read(text)
        return str(error.value).replace(f"{tmp_path}/", "").splitlines()

    return mistakes


# ---- files ----------------------------------------------------------------------------------------------------------


def test_ours_are_read_by_name_and_by_file():
    names = {file.stem for file in PROFILES.glob("*.yaml")}
    assert names == {"single_gpu", "multi_node", "testbed"}
    for name in names:
        assert read_profile(name) == read_profile(str(PROFILES / f"{name}.yaml"))
        assert read_profile(name).summary


def test_each_of_ours_fits_an_ordinary_run(tmp_path):
    (run,) = runs_of(tmp_path, "data: shapes\nvariants: [hbi]\nruntime: {processes: 2}\nresources: {nodes: 2}")
    told = {name: asked(run, read_profile(name)) for name in ("single_gpu", "multi_node", "testbed")}
    assert {name: (wish.gpus, wish.gpu_type) for name, wish in told.items()} == {
        "single_gpu": (1, "a100"),
        "multi_node": (1, None),
        "testbed": (0, None),
    }


def test_a_file_of_the_same_name_goes_before_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "testbed").write_text("summary: mine")
    assert read_profile("testbed").summary == "mine"


@pytest.mark.parametrize("name", ["singel_gpu", "single_gpu.yaml", "elsewhere/single_gpu.yml"])
def test_a_missing_file_brings_the_nearest_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        read_profile(name)
    assert str(error.value) == f"--cluster: there is no file {name}; did you mean 'single_gpu'?"


def test_a_folder_is_no_profile(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*; known: multi_node, single_gpu, testbed$"):
        read_profile(str(tmp_path))


# ---- mistakes -------------------------------------------------------------------------------------------------------

ONE_LINE = {
    "key": ("partitoin: gpu", "mine.yaml:1:1: unknown key 'partitoin'; did you mean 'partition'"),
    "key, further down": ("partition: gpu\ngpus: 1\nwarning: 60", "mine.yaml:3:1: unknown key 'warning'; did you mean"),
    "type": ("gpus: many", "mine.yaml:1:7: gpus should be a whole number, not 'many'"),
    "negative": ("gpus: -1", "mine.yaml:1:7: gpus should be greater than or equal to 0, not '-1'"),
    "no nodes": ("nodes: 0", "mine.yaml:1:8: nodes should be greater than or equal to 1, not '0'"),
    "memory without unit": ("memory: 64", "mine.yaml:1:9: memory should be"),
    "memory with a blank": ("memory: 64 G", "mine.yaml:1:9: memory should match"),
    "memory in the wrong unit": ("memory: 64GB", "mine.yaml:1:9: memory should match"),
    "no memory": ("memory: 0G", "mine.yaml:1:9: memory should match"),
    "warning": ("warning_seconds: 1", "mine.yaml:1:18: warning_seconds should be greater than or equal to 10"),
    "no time between polls": ("poll_seconds: 0", "mine.yaml:1:15: poll_seconds should be greater than or equal to"),
    "setup is one line": ("setup: module load x", "mine.yaml:1:8: setup should be a list"),
    "setup of two lines": ('setup:\n- "module load x\\nrm -rf y"', "mine.yaml:2:3: one line of printable text"),
    "setup that sets an option": (
        "setup:\n- module load x\n- '#SBATCH --array=0-9'",  # sbatch reads it where no command stands before it
        "mine.yaml:3:3: ",
    ),
    "python of two lines": ('python: "python\\nx"', "mine.yaml:1:9: one line of printable text"),
    "line break in a word": ('partition: "gpu\\n"', "mine.yaml:1:12: partition should match"),
    "option in a word": ('account: "me\\n#SBATCH --uid=0"', "mine.yaml:1:10: account should match"),
    "blank in a word": ("qos: a b", "mine.yaml:1:6: qos should match"),
    "command in a word": ("constraint: $(ls)", "mine.yaml:1:13: constraint should match"),
    "options are a list": ("options: [exclusive]", "mine.yaml:1:10: options should be a mapping"),
    "line break in an option": ('options: {reservation: "a\\nb"}', "mine.yaml:1:24: reservation "),
    "nothing behind an option": ("options: {exclusive: }", "mine.yaml:1:21: exclusive "),
    "fraction behind an option": ("options: {nice: 1.5}", "mine.yaml:1:17: nice "),
    "name of an option": ("options: {Exclusive: true}", "mine.yaml:1:22: Exclusive should match"),
    "option in the name of an option": ('options: {"a\\n#SBATCH --uid": 0}', "mine.yaml:1:"),
    "option that the harness sets": ("options: {output: x}", "mine.yaml:1:10: options: output is set by the harness"),
    "empty": ("", "mine.yaml:1:1: "),
    "list": ("- partition", "mine.yaml:1:1: "),
    "deep": ("options: " + "[" * 5000, "mine.yaml:1:41: nested more than 32 levels deep"),
    "tab": ("options:\n\texclusive: true", "mine.yaml:2:1: a tab character"),
    "two documents": ("gpus: 1\n---\ngpus: 2", "mine.yaml:2:1: "),
    "repeated key": ("gpus: 1\ngpus: 2", "mine.yaml:2:1: the key 'gpus' stands here twice"),
    "object": ("summary: !!python/object/apply:os.system [ls]", "mine.yaml:1:10: the tag !!python/object/apply"),
    "tag": ("summary: !mine x", "mine.yaml:1:10: the tag !mine is not used"),
    "unknown alias": ("partition: *a", "mine.yaml:1:12: found undefined alias 'a'"),
    "endless alias": ("setup: &a [*a]", "mine.yaml:1:8: aliases that stand for too many values"),
    "billion laughs": (
        "a0: &a0 [x, x, x, x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 20)),
        "mine.yaml:1:",
    ),
    "huge": ("#" * 200_001, "mine.yaml:1:1: more than 200000 characters"),
    "no text": (bytes(range(256)), "mine.yaml:"),
}


@pytest.mark.parametrize(("text", "line"), ONE_LINE.values(), ids=ONE_LINE)
def test_one_clear_line(mistakes, text, line):
    found = mistakes(text)
    assert len(found) == 1, found
    assert found[0].startswith(line)


@pytest.mark.parametrize("text", ["", "- partition", "summary: !mine x"])
def test_a_profile_is_not_called_a_suite(mistakes, text):
    assert "suite" not in mistakes(text)[0]


def test_all_mistakes_at_once_in_the_order_of_the_text(mistakes):
    found = mistakes("partitoin: gpu\ngpus: x\nmemory: 3\nsetup: [1]\noptions: {array: 0-3}")
    assert [line.split(": ")[0] for line in found] == [f"mine.yaml:{n}" for n in ("1:1", "2:7", "3:9", "4:9", "5:10")]


@pytest.mark.parametrize("name", OWNED)
def test_options_that_the_harness_relies_on_are_refused(mistakes, name):
    (line,) = mistakes(f"options: {{{name}: x}}")
    assert f"{name} is set by the harness" in line


@pytest.mark.parametrize("name", ["arr", "outpu", "partitio", "depend", "job-nam", "open-mod"])
def test_options_that_the_harness_relies_on_are_refused_when_cut_short(mistakes, name):
    """sbatch takes them so, as every getopt_long does."""
    (line,) = mistakes(f"options: {{{name}: x}}")
    assert "is set by the harness" in line


@pytest.mark.parametrize(
    "options", [{"exclusive": True}, {"reservation": "paper"}, {"nice": 100}, {"mail-type": "END"}]
)
def test_other_options_are_taken(read, options):
    assert read(yaml.safe_dump({"options": options})).options == options


texts = st.text(max_size=8) | st.sampled_from(
    ["a", "\n", "\r", "\v", "\x85", "\u2028", "#SBATCH --uid=0", " ", "'", "\\"]
)
joined = st.lists(texts, max_size=4).map("".join)


@fuzzed
@given(joined, st.sampled_from(["partition", "account", "qos", "constraint", "gpu_type", "python"]))
@example("gpu\n", "partition")
@example("a\n#SBATCH --uid=0", "account")
def test_no_value_brings_a_line_of_its_own(read, value, key):
    try:
        found = getattr(read(yaml.safe_dump({key: value})), key)
    except InputError:
        return
    assert len(f"{found}.".splitlines()) == 1


@fuzzed
@given(joined, joined)
@example("#SBATCH --uid=0", "")
@example("  #SBATCH --uid=0", "")
def test_no_line_of_the_setup_is_read_by_sbatch(read, value, other):
    try:
        found = read(yaml.safe_dump({"setup": [value, other], "options": {"comment": other or "x"}}))
    except InputError:
        return
    lines = "\n".join([*found.setup, str(found.options["comment"])]).splitlines()
    assert len(lines) <= 3
    assert not [line for line in lines if line.startswith("#SBATCH")]


keys = [*Cluster.model_fields, "array", "gpu", ""]
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(keys)
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys) | st.text(max_size=5), inner),
    max_leaves=6,
)


@fuzzed
@given(st.dictionaries(st.sampled_from(keys), anything, max_size=5))
@example({"options": {"a\nb": "x"}})
def test_any_data_is_read_or_refused_in_lines_with_their_place(tmp_path, read, data):
    said = ""
    try:
        read(yaml.safe_dump(data))
    except InputError as error:
        said = str(error)
    odd = [line for line in said.splitlines() if not line.startswith(f"{tmp_path}/mine.yaml:") and line != "and more"]
    assert odd == []


# ---- what a run asks for --------------------------------------------------------------------------------------------

PROFILE = "{partition: gpu, gpus: 2, gpu_type: a100, cpus: 8, memory: 64G, minutes: 240, warning_seconds: 60}"


@pytest.fixture
def wish(tmp_path, read):
    """What the one run of a suite asks for."""

    def wish(suite: str = "", profile: str = PROFILE, variant: str = "hbi"):
        (run,) = runs_of(tmp_path, f"data: shapes\nvariants: [{variant}]\n{suite}")
        return asked(run, read(profile))

    return wish


def test_a_suite_goes_over_the_profile_and_a_variant_over_the_suite(wish):
    assert (wish().minutes, wish().memory) == (240, "64G")
    suite = "resources: {minutes: 30, memory: 8G}"
    assert (wish(suite).partition, wish(suite).minutes, wish(suite).memory) == ("gpu", 30, "8G")
    own = wish(suite, variant="hbi: {resources: {memory: 16G}}")
    assert (own.partition, own.minutes, own.memory) == ("gpu", 30, "16G")


def test_a_suite_can_take_back_what_the_profile_says(wish):
    assert wish("resources: {gpu_type: null}").gpu_type is None
    assert wish("resources: {gpus: 0}").gpus == 0


def test_what_nobody_says(wish):
    plain = wish("runtime: {threads: 3, workers: 4}", "summary: a cluster")
    assert (plain.gpus, plain.cpus, plain.minutes, plain.nodes, plain.processes) == (1, 7, 60, 1, 1)
    assert (plain.partition, plain.memory, plain.exclude) == (None, None, None)


def test_no_gpus_for_a_run_on_the_cpu(wish):
    told = wish("runtime: {device: cpu}\nresources: {gpus: 4}")
    assert (told.gpus, told.gpu_type) == (0, None)


def test_gpus_and_cores_are_those_of_a_process_and_processes_those_of_a_node(wish):
    told = wish("runtime: {processes: 8}\nresources: {nodes: 2}")
    assert (told.nodes, told.processes, told.gpus, told.cpus) == (2, 4, 8, 8)


@pytest.mark.parametrize(
    ("suite", "message"),
    [
        (
            "runtime: {processes: 8}\nresources: {nodes: 3}",
            "hbi: resources.nodes 3 do not share runtime.processes 8 evenly; make runtime.processes a multiple of 3",
        ),
        ("resources: {nodes: 2}", "hbi: resources.nodes 2 do not share runtime.processes 1 evenly"),
        ("resources: {minutes: 1}", "hbi: 1 minutes leave no time to work in before the warning"),
    ],
)
def test_wishes_that_do_not_fit_are_refused_in_a_line(wish, suite, message):
    with pytest.raises(InputError) as error:
        wish(suite)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_warning_before_the_beginning_is_refused(wish):
    with pytest.raises(InputError, match=r"hbi: 5 minutes leave no time .* 300 seconds before the end"):
        wish("", "{minutes: 5, warning_seconds: 300}")
    assert wish("", "{warning_seconds: 300}").minutes == 60


def test_runs_that_ask_for_the_same_can_be_found(wish):
    same = wish(), wish("resources: {minutes: 240}")
    assert len(set(same)) == 1
    assert wish("resources: {minutes: 241}") not in same
