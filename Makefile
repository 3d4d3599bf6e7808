# Every target makes .venv by itself where it is missing; a second call does only what is left to do.
PYTHON ?= python3
BIN := .venv/bin
CONSTRAINTS := .ci/constraints.txt
BUDGET ?= 200
SEED ?= 0
export OMP_NUM_THREADS ?= 2

.PHONY: help study test lint verify verdicts search docs bench package coverage kills fuzz studies-quick clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ :/' | column -t -s ':'

.venv/core: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"  # older ones know no groups
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[data]"
	@touch $@

.venv/full: .venv/core pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) \
	  -e ".[data,torch,certify,distributed,slurm,xarray]" --group docs --group dev
	@touch $@

.venv/bench: .venv/full
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) --group bench
	@touch $@

study: .venv/core  ## does AdaGrad keep its advantage at large batch size? (under five minutes)
	$(BIN)/python studies/large_batch.py

test: .venv/full  ## the whole test suite, doctests included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

lint: .venv/full  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml

coverage: .venv/full  ## which lines of the package the suite runs, in htmlcov
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report html --cov-report term:skip-covered

studies-quick: .venv/full  ## the quick form of every study
	@set -e; for study in studies/[!_]*.py; do echo "== $$study --quick"; $(BIN)/python $$study --quick; done

verify: .venv/full  ## every bound on its certified setup; exit code 4 on a violation
	$(BIN)/anisotropic verify --all

verdicts: .venv/full  ## 2,000 random true theorems against random runs: none may be called violated
	ANISOTROPIC_VERDICTS=2000 $(BIN)/python -m pytest -q tests/test_true_theorems.py

search: .venv/full  ## the worst instances known, into docs/mutation.json (resumable; SEED=1 searches once more)
	$(BIN)/python -m anisotropic.evidence.mutations docs/mutation.json $(BUDGET) $(SEED)

docs: .venv/full  ## the site in docs/_build/html, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: .venv/bench  ## speed against peers, as ratios in one run
	$(BIN)/python tests/benchmarks/run.py

.venv/release: .venv/full
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group release
	@touch $@

package: .venv/release  ## build the sdist and the wheel, and use them as a stranger would in an empty environment
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*
	PYTHON=$(PYTHON) sh tests/package.sh dist/*.whl

kills: .venv/full  ## a thousand kills of running studies; the table in docs/explanation/survival.md (half an hour)
	$(BIN)/python tests/kills.py 1000

fuzz: .venv/full  ## a million inputs by a coverage-guided fuzzer; the table in docs/explanation/fuzzing.md (an hour)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	$(BIN)/python tests/fuzz.py 1000000

clean:  ## remove what the targets made
	rm -rf .venv dist htmlcov .coverage docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
