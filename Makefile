# make quickstart: from a bare clone to a table of results.   make test: the whole test suite.   make lint: style and types.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install quickstart test lint benchmark benchmark-compare slurm chromium clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

quickstart: install
	$(BIN)/python run_suite.py run suites/quickstart.yaml --executor local
	$(BIN)/python run_suite.py tables suites/quickstart.yaml

# two processes, for much of it is waiting; torch in each of them takes one core
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Minutes. The table is printed also where a benchmark has failed; no time is a failure.
MEASURED := runs/benchmarks
benchmark: NEW := $(MEASURED)/$(shell date -u +%Y%m%d-%H%M%S)
benchmark: install
	@mkdir -p $(MEASURED)
	@$(BIN)/python -m pytest tests/benchmarks/bench_*.py --verbose --benchmark-enable --benchmark-quiet \
		--benchmark-json $(NEW).part; status=$$?; \
	mv $(NEW).part $(NEW).json && \
	$(BIN)/python -m tests.benchmarks.ratios $(NEW).json >$(NEW).md && cat $(NEW).md && \
	printf '\nwrote %s.json and %s.md\n' $(NEW) $(NEW) && exit $$status

# the newest of them beside an earlier one: make benchmark-compare BASE=runs/benchmarks/20260102-030405.json
BASE ?= $(MEASURED)
benchmark-compare: install
	@$(BIN)/python -m tests.benchmarks.ratios $(MEASURED) $(BASE)

# SLURM itself, for the tests marked slurm and for slurm/testbed/up.sh: Debian or Ubuntu, as root. Nothing is started.
# The input is empty because a package may ask a question in spite of all.
slurm:
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		slurm-wlm munge slurmdbd mariadb-server-core mariadb-client-core </dev/null

# The browser of the tests of reports: Debian or Ubuntu, as root.
chromium:
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium </dev/null

clean:
	rm -rf $(VENV)
