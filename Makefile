# Two commands: `make book` and `make test`. Both work from a fresh clone with Python 3.11+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed.txt
# Where two notebooks run side by side, one thread each.
NBVAL := RECSYS_BOOK_THREADS=1 TQDM_DISABLE=1 $(BIN)/python -m pytest --nbval-lax --nbval-current-env \
	--nbval-cell-timeout 120 --dist loadfile -n 2 --timeout 600 chapters
BOOK := $(BIN)/python book/tools/build.py

.PHONY: book slides test unit notebooks classroom pages serve exercises jupyter lint format clean links

book: $(STAMP)  ## build the book into _build/html
	$(BOOK)

slides: book  ## a deck a chapter, made with the book
	@ls $(CURDIR)/_build/html/slides/*.html

test: $(STAMP) unit notebooks classroom pages  ## unit tests, notebooks, nbgrader, pages in a browser

unit: $(STAMP)
	$(BIN)/python -m pytest tests/unit -n 2

notebooks: $(STAMP)
	$(NBVAL)

classroom: $(STAMP)  ## the exercises, handed out and graded by nbgrader
	RECSYS_BOOK_THREADS=1 $(BIN)/python -m pytest tests/classroom -n 2 --dist loadgroup

pages: $(STAMP)  # built without the reader's data, as the published book is
	env -u RECSYS_BOOK_DATA RECSYS_BOOK_JOBS=2 $(BOOK)
	$(BIN)/python -m pytest tests/pages -n 2

serve: book  ## look at the book on http://127.0.0.1:8000
	$(BIN)/python book/tools/serve.py

exercises: $(STAMP)  ## make the students' copies from the instructor's notebooks
	$(BIN)/python book/tools/exercises.py

jupyter: $(STAMP)  ## open the chapters in Jupyter
	$(BIN)/jupyter lab chapters

lint: $(STAMP)  ## style of code and notebooks, clean notebooks, valid workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
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
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -z "$(TORCH_INDEX)" || $(BIN)/python -m pip install --quiet "torch>=2.4,<2.14" --index-url "$(TORCH_INDEX)"
	$(BIN)/python -m pip install --quiet -r requirements.txt -c constraints.txt
	touch $(STAMP)
