# make lab    set up, then open the course in JupyterLab          make test   set up, then run every test
# make quick  what a developer runs every two minutes             make build  rebuild the notebooks from course/
# PYTHON=/path/to/python3.12 chooses the interpreter. Without make: see README.md.

PY := .venv/bin/python
# One thread each for two workers. A test file stays on one worker; the notebooks, slow and single, are shared out.
PYTEST := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2
NOTEBOOKS := tests/test_notebooks.py

.PHONY: lab test quick build setup setup-dev clean
.NOTPARALLEL:

lab: setup
	@$(PY) -m tutorial_lib lab

test: setup-dev
	$(PY) -m ruff check .
	@failed=0; \
	$(PYTEST) --dist loadfile --ignore $(NOTEBOOKS) || failed=1; \
	$(PYTEST) --dist load $(NOTEBOOKS) || failed=1; \
	exit $$failed

quick: setup-dev
	$(PY) -m ruff check .
	$(PYTEST) --dist loadfile -m "not slow and not browser"

build: setup-dev
	$(PY) course/build.py

setup:
	@PYTHON="$(PYTHON)" sh scripts/setup.sh

setup-dev:
	@PYTHON="$(PYTHON)" sh scripts/setup.sh dev

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
