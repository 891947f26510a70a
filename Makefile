# make figures      the default analysis, from nothing to results/report.html
# make abide        the same questions on open data, which are downloaded where they are not found (config/abide.yaml)
# make cobre        the paper's questions on open data: COBRE, ABIDE and MNIST, downloaded in the same way (config/paper.yaml)
# make test         every test that needs no root
# make test-quick   the everyday tests, under five minutes
# make test-browser both pages of a run in headless Chromium; installs Debian's where there is none, which needs root
# make test-slurm   tests on a real SLURM of one node; needs root, and installs Debian's packages
# make rulegraph    draw the rules in the README anew
# make lock         choose the versions in requirements.lock anew
# make clean        remove what these commands made: environment, results, logs, checkpoints; never data
#
# CORES=n sets how many jobs run at once; PYTHON=path chooses the interpreter (3.11 or later).

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: figures abide cobre test test-quick test-browser test-slurm rulegraph lock clean

CORES ?= $(shell n=$$(nproc 2>/dev/null || sysctl -n hw.ncpu); echo $$((n < 8 ? n : 8)))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

READY := .venv/ready
SNAKEMAKE = .venv/bin/python workflow/unlock.py && .venv/bin/snakemake --cores $(CORES) \
	--rerun-incomplete --show-failed-logs --logger rich

figures: $(READY)
	$(SNAKEMAKE)
	@echo "The report is results/report.html."

abide: $(READY)
	$(SNAKEMAKE) --configfile config/abide.yaml
	@echo "The report is results/abide/report.html."

cobre: $(READY)
	$(SNAKEMAKE) --configfile config/paper.yaml
	@echo "The report is results/paper/report.html."

# Continuous integration runs the browser's tests by themselves, and so not here too.
test: $(READY)
	.venv/bin/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder --ignore tests/slurm \
		$(if $(CI),--ignore tests/browser)

test-quick: $(READY)
	.venv/bin/python -m pytest -n $(CORES) --dist loadfile --no-loadscope-reorder --ignore tests/slurm -m "not slow"

test-browser: $(READY)
	@command -v chromium >/dev/null || test "$$(id -u)" = 0 || \
		{ echo "make test-browser needs Chromium, or root to install Debian's." >&2; exit 1; }
	command -v chromium >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends chromium >/dev/null; }
	.venv/bin/python -m pytest tests/browser

test-slurm: $(READY)
	@test "$$(id -u)" = 0 || { echo "make test-slurm needs root: it installs and starts a SLURM." >&2; exit 1; }
	command -v slurmctld >/dev/null || { apt-get update -qq -o Acquire::Retries=3 && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq -o Acquire::Retries=3 --no-install-recommends slurm-wlm munge >/dev/null; }
	.venv/bin/python -m pytest tests/slurm

$(READY): requirements.lock
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found. Install one, or give PYTHON=path." >&2; exit 1; }
	@echo "Setting up .venv, once, in about two minutes."
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install -qq --disable-pip-version-check --requirement requirements.lock
	touch $@

config/README.md: workflow/schemas/config.schema.yaml workflow/autospec/options.py | $(READY)
	PYTHONPATH=workflow .venv/bin/python -m autospec.options

rulegraph: $(READY)
	.venv/bin/python workflow/rulegraph.py

# The accelerator packages are left out, since torch asks for those that its build needs.
# uv reads pip's setting of find-links only under its own name.
lock:
	$(PYTHON) -m venv --clear .venv/lock
	.venv/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	set -o pipefail; { sed '/^#/!d' requirements.lock; UV_FIND_LINKS="$$PIP_FIND_LINKS" .venv/lock/bin/uv pip compile \
		--quiet --all-extras --universal --python-version 3.11 --no-annotate --no-header --output-file .venv/lock/all \
		pyproject.toml && sed -E '/^(nvidia-|cuda-|triton=)/d; s/^(torch==[0-9.]+).*/\1/' .venv/lock/all | uniq; } \
		> .venv/lock/new
	mv .venv/lock/new requirements.lock

clean:
	rm -rf .venv .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis build logs checkpoints
	find results -mindepth 1 -not -name .gitkeep -delete
