# make run   execute the whole course, write it as web pages, print a report
# make lab   open the student notebooks in JupyterLab
# make test  lint, types, imports, package tests, both editions of every notebook: four to nine minutes on two cores
# make test-all  that, and what takes long or needs a browser: some 20 minutes more
# make bench time training and grading beside a textbook loop, a library and plain nbgrader: some four hours
# make build make the student notebooks from solutions/ with nbgrader
# make system install what sandboxed grading and some tests need (Debian, Ubuntu)
#
# Each target sets the environment up first; a second call skips that.
# On machines without make, the README has the same steps as plain commands.

PYTHON ?= python3
# Set in somebody's shell, it would have pip install beside the environment.
export PIP_USER := 0
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run lab test test-all bench build system clean

# What `make test-all` adds to `make test`.
LONG := slow or scale or browser
PYTEST := COURSE_BUDGET=smoke COURSE_DATASET=digits TQDM_DISABLE=1 OMP_NUM_THREADS=1 \
	$(BIN)/python -m pytest -q -n auto --dist loadscope --no-loadscope-reorder

run: $(READY)
	$(BIN)/course run

# Asked before minutes of installation: as root, JupyterLab starts only where it is told to.
.PHONY: may-start
may-start:
	@test "$$(id -u)" != 0 || test -n "$(findstring --allow-root,$(LAB))" || \
		{ echo "JupyterLab would run with root's rights: call make as an ordinary user, or, in a container, make lab LAB='--allow-root --ip=0.0.0.0'"; exit 1; }

lab: may-start $(READY)
	$(BIN)/jupyter lab --config=jupyter_lab_config.py $(LAB)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2
	$(BIN)/lint-imports
	$(PYTEST) tests solutions notebooks -m "not ($(LONG))" --nbval-lax --nbval-current-env --nbval-cell-timeout 600

test-all: test
	$(PYTEST) tests -m "$(LONG)"

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/course bench --model VAE --model ConvVAE
	$(BIN)/python tests/speed.py

build: $(READY)
	$(BIN)/course build

# What sandboxed grading and some tests need of the system, on Debian and Ubuntu.
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
system:
	@missing="$$(command -v bwrap >/dev/null || echo bubblewrap) \
		$$(PATH="$$PATH:/sbin" ldconfig -p | grep -q libseccomp || echo libseccomp2) \
		$$(ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql) \
		$$(command -v chromium >/dev/null || command -v chromium-browser >/dev/null || echo chromium)"; \
	test -z "$$(echo $$missing)" || { $(SUDO) apt-get update -q && \
		$(SUDO) apt-get install -qy --no-install-recommends $$missing; }

# Trainings that are kept in build/models stay: `course cache --empty` deletes them.
clean:
	test ! -d build || find build -mindepth 1 -maxdepth 1 ! -name models -exec rm -rf {} +
	rm -rf .pytest_cache .ruff_cache .mypy_cache .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo "The course needs Python 3.10 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>/dev/null || echo 'not here'). Call: make PYTHON=/path/to/newer/python $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "'$(PYTHON)' cannot make virtual environments: install its venv package (Debian, Ubuntu: python3-venv)."; exit 1; }
	@echo "Setting up .venv (once; PyTorch is a large download) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $(READY)
