# Two commands on a fresh machine: `make demo` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.complete

# Tiny models run fastest on one thread, and two test processes must not fight over the cores.
export OMP_NUM_THREADS ?= 1
# A worker a core; whoever is done takes over from the others.
PARALLEL := -n auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test check lint mutants soak sbom bench bench-gpu notebooks format clean docs picture wheel

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

demo: $(SETUP) ## train, attack and compare five small CNNs on embedded data (about three minutes after set-up)
	$(BIN)/robustcnn demo

test: $(SETUP) ## all tests, on all cores
	$(BIN)/python -m pytest $(PARALLEL)

check: lint ## format, lint, types, imports, fast tests
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not data"

lint: $(SETUP) ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

soak: $(SETUP) ## the tests that take an hour: every network of the zoo, bounds on many networks
	$(BIN)/python -m pytest $(PARALLEL) -m soak

mutants: $(SETUP) ## apply a hundred small mistakes, one at a time, and see which the tests notice (an hour)
	$(BIN)/python tests/mutants/run.py

sbom: $(SETUP) ## what is installed (CycloneDX, with a digest beside it) and what is known against it, in mlruns/sbom
	@mkdir -p mlruns/sbom
	$(BIN)/cyclonedx-py environment --output-reproducible --of JSON -o mlruns/sbom/robustcnn.cdx.json $(BIN)/python
	cd mlruns/sbom && sha256sum robustcnn.cdx.json > robustcnn.cdx.json.sha256
	-$(BIN)/pip-audit -r constraints.txt --no-deps --disable-pip > mlruns/sbom/audit.txt

bench: $(SETUP) ## what work costs beside other ways, how it grows, whether it became slower (five minutes)
	$(BIN)/python experiments/44_what_it_costs.py

bench-gpu: $(SETUP) ## how fast gradient attacks run on the first GPU, and how near to its limit (five minutes)
	$(BIN)/python experiments/bench_gpu.py

notebooks: $(SETUP) ## run the notebooks and write them as pages to mlruns/notebooks
	$(BIN)/jupytext --quiet --sync notebooks/*.py
	$(BIN)/jupyter nbconvert --execute --to html --output-dir mlruns/notebooks notebooks/*.ipynb

docs: $(SETUP) ## the documentation as a site, in site/, without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

picture: $(SETUP) ## train, attack and draw the README's picture anew
	$(BIN)/robustcnn demo --runs mlruns/picture/checkpoints --out mlruns/picture/comparison
	$(BIN)/python docs/picture.py mlruns/picture/checkpoints plain regularised adversarial

wheel: $(SETUP) ## wheel and source distribution, in dist/, checked
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

format: $(SETUP) ## rewrite the sources in house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/jupytext --quiet --sync notebooks/*.py
	$(BIN)/python docs/help_pages.py

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Made anew whenever the requirements or the pins change.
$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "robustcnn needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@echo "setting up $(VENV) (two to three minutes, 6 GB; once)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
