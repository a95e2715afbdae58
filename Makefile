# CellFleet. `make` lists the targets; each does its own set-up, and nothing twice.
#
# PYTHON=/path/to/python3.11          the Python to use (default: the first 3.12 or 3.11 that runs)
# CELLFLEET_CELLPROFILER=/path/to/cp  a CellProfiler to use instead of building one
# CELLFLEET_CACHE=/path/to/folder     where CellProfiler is built (default: ~/.cache/cellfleet)

PYTHON ?=
VENV := .venv/bin/python
ROOMS := chalicelib commandline worker local scripts functions benchmarks examples
# A room may still be empty, and mypy refuses folders without Python files.
TYPED := $(wildcard app.py run.py) $(foreach r,$(ROOMS),$(if $(wildcard $r/*.py $r/*/*.py),$r))
# Nothing here may reach a real account by accident.
OFFLINE := env -u AWS_PROFILE -u AWS_SESSION_TOKEN -u AWS_ENDPOINT_URL \
	AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1

.DEFAULT_GOAL := help
.PHONY: help install cellprofiler-path demo test sweep check fmt bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## make .venv with the pinned requirements
	@python="$$(sh scripts/find_python.sh '$(PYTHON)')" && "$$python" -m scripts.install

cellprofiler-path: install ## print the headless CellProfiler's path; build it if there is none
	@$(VENV) -m scripts.cellprofiler_env

demo: install ## run the sample plate on this machine: real CellProfiler, AWS embedded
	@cellprofiler="$$($(VENV) -m scripts.cellprofiler_env)" && \
		CELLFLEET_CELLPROFILER="$$cellprofiler" $(VENV) run.py demo

test: install ## all tests, real CellProfiler included (ARGS='-k naming' picks some)
	@cellprofiler="$$($(VENV) -m scripts.cellprofiler_env)" && \
		$(OFFLINE) CELLFLEET_CELLPROFILER="$$cellprofiler" $(VENV) -m pytest $(ARGS)

sweep: install ## the simulator: a fault at every call of a run's life, and thousands of seeds
	@$(OFFLINE) $(VENV) -m tests.sim.sweep $(ARGS)

check: install ## lint, format, types, rooms, templates, and docs that are in step
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy $(TYPED)
	$(VENV) -m pytest -q tests/test_architecture.py
	$(if $(wildcard infra/*.yaml),.venv/bin/cfn-lint $(wildcard infra/*.yaml))
	$(if $(wildcard scripts/config_reference.py),$(VENV) -m scripts.config_reference --check)

fmt: install ## format, and mend what ruff can mend
	$(VENV) -m ruff format .
	$(VENV) -m ruff check --fix .

bench: install ## run the benchmarks; each prints its figures
	@for name in $(patsubst benchmarks/%.py,%,$(filter-out %/__init__.py %_stub.py,$(wildcard benchmarks/*.py))); do \
		echo "== benchmarks/$$name.py" && $(OFFLINE) $(VENV) -m "benchmarks.$$name" || exit; done

clean: ## remove what was made in this folder (not CellProfiler, which all clones share)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-output build dist
	rm -rf .chalice/deployments
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
