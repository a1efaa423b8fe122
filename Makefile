# Two commands: `make book` and `make test`. Both work from a fresh clone with Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.txt
# One thread a process, a process a core (of those this command may use; eight are enough).
export OMP_NUM_THREADS := 1
COUNT := import os; f = getattr(os, "sched_getaffinity", None); n = len(f(0)) if f else os.cpu_count()
JOBS := $(shell $(PYTHON) -c '$(COUNT); print(min(n or 1, 8))')
PYTEST := $(BIN)/python -m pytest -n $(JOBS)
BOOK := $(BIN)/python book/tools/build.py
# All tests but those that need the built book, nbgrader or an environment of their own.
COMPUTING := $(addprefix tests/,library service chapters)
UNIT := $(COMPUTING) $(addprefix tests/,show widgets check reproduce book)
# The least that a processor of this kind can do: vectors of the oldest kind, no bfloat16.
PLAIN := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
	FAISS_OPT_LEVEL=generic RECSYS_BOOK_PROCESSOR=plain

.PHONY: book slides test chapter unit plain notebooks classroom pages wheel serve exercises jupyter lint \
	format clean links

book: $(STAMP)  ## build the book into _build/html
	$(BOOK)

slides: book  ## a deck a chapter, made with the book
	@ls _build/html/slides/*.html

test: $(STAMP) unit notebooks classroom pages  ## unit tests, notebooks, nbgrader, pages in a browser

unit: $(STAMP)
	$(PYTEST) $(UNIT)

plain: $(STAMP)  ## unit tests of what computes, with the processor's capabilities cut down
	$(PLAIN) $(PYTEST) $(COMPUTING)

notebooks: $(STAMP)  ## chapters and solved exercises under nbval; the limits only end what hangs
	TQDM_DISABLE=1 $(PYTEST) --nbval-lax --nbval-current-env --nbval-cell-timeout 3600 \
		--dist loadfile --timeout 7200 chapters book/exercises/source

# The page is executed beside the tests: one after the other would take half as long again.
chapter: $(STAMP)  ## one chapter's tests, notebook, exercises and page: make chapter CH=03
	@test -n "$(CH)" || { echo "Which chapter? make chapter CH=03"; exit 2; }
	$(BOOK) --chapter $(CH) & page=$$!; TQDM_DISABLE=1 $(PYTEST) --nbval-lax --nbval-current-env \
		--nbval-cell-timeout 3600 --dist loadfile --timeout 7200 chapters/$(CH)_*.ipynb \
		book/exercises/source/chapter_$(CH) tests/chapters/ch$(CH)_*; tests=$$?; \
		wait $$page && exit $$tests

classroom: $(STAMP)  ## the exercises, handed out and graded by nbgrader
	$(PYTEST) tests/classroom

pages: $(STAMP)  # built without the reader's data, as the published book is
	env -u RECSYS_BOOK_DATA $(BOOK)
	$(PYTEST) tests/pages

wheel: $(STAMP)  ## chapters and exercises from a wheel, in an environment of its own
	$(BIN)/python -m pytest tests/install

serve: book  ## look at the book on http://127.0.0.1:8000
	$(BIN)/python book/tools/serve.py

exercises: $(STAMP)  ## make the students' copies from the instructor's notebooks
	$(BIN)/python book/tools/exercises.py

jupyter: $(STAMP)  ## open the chapters in Jupyter
	$(BIN)/jupyter lab chapters

lint: $(STAMP)  ## style, who imports whom, types, clean notebooks, valid workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/nbstripout --keep-count --verify chapters/*.ipynb book/exercises/*/*/*.ipynb
	$(BIN)/python book/tools/lint_workflows.py

format: $(STAMP)  ## put code and notebooks in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/nbstripout --keep-count chapters/*.ipynb book/exercises/source/*/*.ipynb

links: $(STAMP)  ## check the links to other sites (needs the network)
	$(BOOK) --builder linkcheck

clean:  ## remove what was built; keeps the virtual environment
	rm -rf _build book/_static/generated book/_extra/_static/vendor book/node_modules

# TORCH_INDEX=https://… takes PyTorch from another index, such as the one with CPU builds.
$(STAMP): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v < (3, 11) and "This book needs Python 3.11 or newer; $(PYTHON) is %d.%d." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what the book is built and tested with into $(VENV): some minutes the first time."
	test -z "$(TORCH_INDEX)" || $(BIN)/python -m pip install "torch>=2.4,<2.14" --index-url "$(TORCH_INDEX)"
	$(BIN)/python -m pip install -r requirements.txt -c constraints.txt
	touch $(STAMP)
