# make demo    train CC-SAM beside its baselines on real images, in its own environment; a report
# make test    the whole suite under JAX, PyTorch and TensorFlow, in its own environment
# make check   lint, types and test: what continuous integration runs
# make test-fast     what is quick of it, under one backend: for daily work
# make test-distributed   every method on several devices, under each backend; some minutes
# make test-ray      the tests of runs on a Ray cluster, which it installs first (240 MB)
# make test-lowest   the suite under JAX with the lowest versions that pyproject.toml allows
# make docs    write the method cards, the tables of the pages and the recipes' schema anew
# make bench-check   has anything got slower than where this branch left main? Some minutes
#
# Nothing but make and Python >= 3.11 has to be installed. A suite runs in one process per core, up
# to four; `make test-jax ARGS="-k radius"` passes options on to pytest, and ARGS="-n 0 --pdb" has
# it all in one process.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
	&& echo $$python && break; done)
BACKENDS := jax torch tensorflow
DEMO := .venv-demo
DEMO_RUNS := runs/demo-$(shell date +%Y%m%d-%H%M%S)
DEMO_LANDSCAPES = $(addprefix $(DEMO_RUNS)/,ce-seed0 crt-continued-seed0 sam-seed0 ccsam-seed0)
TEST := .venv-test
LOWEST := .venv-lowest
ARGS ?=
# The demo installs a copy of the package, so it is installed again when the package changes.
SOURCES := $(shell find keras_ccsam cli -name '*.py' -o -name '*.toml' -o -name '*.json' \
	-o -name py.typed -o -path '*/templates/*')

# One thread per process: on a small machine a second one costs more in waiting than it brings.
export OMP_NUM_THREADS ?= 1
# The files of tests are compiled by the first suite, for all of them.
export PYTHONDONTWRITEBYTECODE :=

# A file's tests stay in one process, where they share what they have compiled and trained; the long
# files come first (tests/conftest.py).
PYTEST := -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	--durations 10

.PHONY: help demo test $(BACKENDS:%=test-%) test-fast test-distributed test-ray test-lowest lint \
	format types check docs bench-check clean

help:
	@sed -n 's/^# make/make/p' $(firstword $(MAKEFILE_LIST))

demo: $(DEMO)/.installed
	$(DEMO)/bin/ccsam compare ce crt crt-continued sam ccsam --data digits-lt --backend jax --seeds 3 \
		--out $(DEMO_RUNS)
	$(DEMO)/bin/ccsam landscape $(DEMO_LANDSCAPES) --backend jax --quiet > /dev/null
	$(DEMO)/bin/ccsam report $(DEMO_RUNS) --backend jax

test: $(BACKENDS:%=test-%)

# Each backend in a process of its own: Keras chooses one when it is imported. What shows nothing of
# a backend's own runs under PyTorch alone.
$(BACKENDS:%=test-%): test-%: $(TEST)/.installed
	KERAS_BACKEND=$* $(TEST)/bin/python $(PYTEST) \
		$(if $(filter torch,$*),,-m "not any_backend") $(ARGS)

# PyTorch has nothing to compile and starts first.
test-fast: $(TEST)/.installed
	KERAS_BACKEND=torch $(TEST)/bin/python $(PYTEST) -m "not slow" $(ARGS)

# Apart from `test`: to start a cluster takes as long as a hundred tests.
test-distributed: $(TEST)/.installed
	for backend in $(BACKENDS); do ALL_METHODS=1 KERAS_BACKEND=$$backend $(TEST)/bin/python -m pytest \
		-q tests/distributed/test_equals_one_device.py $(ARGS) || exit 1; done

test-ray: $(TEST)/.installed
	$(TEST)/bin/python -m pip install --quiet -c constraints.txt -e ".[ray]"
	KERAS_BACKEND=torch $(TEST)/bin/python -m pytest -q tests/launching/test_ray.py $(ARGS)

test-lowest: $(LOWEST)/.installed
	KERAS_BACKEND=jax $(LOWEST)/bin/python $(PYTEST) $(ARGS)

lint: $(TEST)/.installed
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .

format: $(TEST)/.installed
	$(TEST)/bin/ruff check --fix .
	$(TEST)/bin/ruff format .

types: $(TEST)/.installed
	$(TEST)/bin/mypy keras_ccsam cli

check: lint types test

# From what the methods declare and what the benchmarks recorded; the tests say when it is due.
docs: $(TEST)/.installed
	KERAS_BACKEND=torch $(TEST)/bin/python benchmarks/page_tables.py
	KERAS_BACKEND=torch $(TEST)/bin/python docs/cards.py
	KERAS_BACKEND=torch $(TEST)/bin/python docs/recipe_schema.py

# Not part of `check`: it takes minutes, more of them where other programs run.
bench-check: $(TEST)/.installed
	$(TEST)/bin/python benchmarks/check.py $(ARGS)

clean:
	rm -rf $(DEMO) $(TEST) $(LOWEST) build dist *.egg-info

# A stamp is written last, so an interrupted installation is started over.
$(DEMO)/.installed: pyproject.toml $(SOURCES)
	$(call environment,$(DEMO))
	rm -rf build
	$(DEMO)/bin/python -m pip install --quiet ".[jax,report]"
	touch $@

$(TEST)/.installed: pyproject.toml constraints.txt
	$(call environment,$(TEST))
	$(TEST)/bin/python -m pip install --quiet -c constraints.txt \
		-e ".[jax,tensorflow,torch,table,onnx,fast,crops,hub,auto,slurm,report,dev]"
	touch $@

# On the oldest Python that is here: the oldest versions know no newer one.
$(LOWEST)/.installed: pyproject.toml .ci/lowest.py
	$(call environment,$(LOWEST))
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet -c $(LOWEST)/constraints.txt \
		-e ".[jax,auto,report]" pytest pytest-xdist
	touch $@

$(LOWEST)/.installed: PYTHON := $(shell python3.11 -c '' 2> /dev/null && echo python3.11 || \
	echo "$(PYTHON)")

define environment
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef
