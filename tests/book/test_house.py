"""Rules of the repository: layers, addresses, clean and portable notebooks, honest records."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from recsys_book import BOOK, REPOSITORY
from recsys_book.reproduce.closure import closure, records_read

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "recsys_book"
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))


SECOND = ("00", "01", "02", "03")  # chapters of the second edition


def test_there_are_chapters():
    assert NOTEBOOKS


def cells(path, kind=None):
    every = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [c for c in every if kind in (None, c["cell_type"])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_clean_and_portable(path):
    for cell in cells(path, "code"):
        tags = set(cell["metadata"].get("tags", []))
        if cell["outputs"]:
            assert {"nbval-check-output", "keep_output"} <= tags, "outputs in an untagged cell"
        assert ("nbval-check-output" in tags) == bool(cell["outputs"]), "a check without output"
        # nbval wants a count on a cell whose output it checks; nowhere else does one belong.
        assert cell["execution_count"] == (1 if cell["outputs"] else None)
    text = "\n".join("".join(c["source"]) for c in cells(path, "markdown"))
    assert not re.search(r"```\{|:::|\{[a-z:]+\}`", text), "MyST shows as raw text elsewhere"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_anatomy(path):
    text = "\n".join("".join(c["source"]) for c in cells(path, "markdown"))
    headings = ["The question", "The idea", "Build it", "The experiment", "Where it breaks"]
    remembered = path.stem[:2] in (*SECOND, "05")
    headings += ["The map", "What to remember"] if remembered else ["The map"]
    assert re.findall(r"^## (.*)$", text, re.M) == headings
    for block in ("Check yourself", "Exercises", "What the papers really say", "Further reading"):
        assert f"<b>{block}</b>" in text
    code = cells(path, "code")
    assert len(code) <= 40
    shown = [c for c in code if "hide-input" not in c["metadata"].get("tags", [])]
    lengths = sorted(len([x for x in c["source"] if x.strip()]) for c in shown)
    assert lengths[len(lengths) // 2] <= 6
    assert text.count("Predict before you run") >= 2
    assert sum("claim(" in "".join(c["source"]) for c in code) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_claims_are_one_line_and_hidden_in_the_page(path):
    for cell in cells(path, "code"):
        source = "".join(cell["source"])
        if "claim(" not in source:
            continue
        assert "hide-input" in cell["metadata"].get("tags", []), source
        for call in ast.walk(ast.parse(source)):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "claim":
                assert call.lineno == call.end_lineno, ast.unparse(call)
                assert not any(isinstance(part, ast.Lambda) for part in ast.walk(call))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_badge_and_set_up_cell_name_the_repository(path):
    text = path.read_text(encoding="utf-8")
    owner = REPOSITORY.removeprefix("https://github.com/")
    assert f"github/{owner}/blob/main/chapters/{path.name}" in text
    assert f"git+{REPOSITORY}" in text


def test_addresses_stand_in_one_place():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"] == REPOSITORY
    assert config["html"]["baseurl"] == BOOK
    assert config["sphinx"]["config"]["ogp_site_url"] == BOOK
    assert config["sphinx"]["config"]["ogp_image"].startswith(BOOK)
    assert BOOK.endswith(config["sphinx"]["config"]["notfound_urls_prefix"])
    for name in ("pyproject.toml", "CITATION.cff", "README.md", "book/running-it.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found = re.findall(r"https://github\.com/[\w-]+/[\w-]+", text)
        assert found == [] or set(found) == {REPOSITORY}, name


def test_records_are_complete():
    from recsys_book.reproduce.record import PROVENANCE

    records = sorted(PACKAGE.glob("chapters/*/records/*.json"))
    assert records
    for path in records:
        record = json.loads(path.read_text())
        assert set(PROVENANCE) <= set(record), path
        assert re.fullmatch(r"[0-9a-f]{10}", record["commit"]), f"{path}: not a clean commit"


def test_the_lock_file_records_no_address():
    assert "resolved" not in (ROOT / "book" / "package-lock.json").read_text()


def test_no_large_file_is_tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    large = [f for f in listed.stdout.split("\0") if f and (ROOT / f).stat().st_size > 1_000_000]
    assert not large


@pytest.fixture
def small_house(tmp_path, monkeypatch):
    """A repository of two chapters, of which each has a module and a record of its own."""
    import build

    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.delenv("RECSYS_BOOK_DATA", raising=False)
    for part in ("recsys_book/widgets", "recsys_book/chapters/ch00_a/records", "chapters"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "book").mkdir()
    for name, text in {
        "constraints.txt": "one", "requirements.txt": "one", "book/page.md": "# Prose",
        "recsys_book/__init__.py": "", "recsys_book/widgets/__init__.py": "",
        "recsys_book/shared.py": "", "recsys_book/widgets/play.js": "one",
        "recsys_book/widgets/play.py": "SCRIPT = 'play.js'",
        "recsys_book/chapters/ch00_a/exercises.py": "no page imports this",
        "recsys_book/first.py": "def lazy():\n    import recsys_book.shared\nread_record('ch00/a')",
        "recsys_book/second.py": "import recsys_book.widgets.play\nread_record('ch00/b')",
        "recsys_book/chapters/ch00_a/records/a.json": "{}",
        "recsys_book/chapters/ch00_a/records/b.json": "{}",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    write_chapter(tmp_path, "00_first", "%pip install x\nimport recsys_book.first\n1 + 1")
    write_chapter(tmp_path, "01_second", "from recsys_book import second\n'x' * 3")
    return tmp_path


def write_chapter(root, name, code, prose="Prose."):
    cells = [nbformat.v4.new_markdown_cell(prose), nbformat.v4.new_code_cell(code)]
    path = root / "chapters" / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_pages_key_follows_what_it_imports_and_no_prose(small_house, monkeypatch):
    import build

    first, second = build.pages_that_run()
    keys = lambda: (build.key(first), build.key(second))
    before = keys()
    for name, changes in {
        "book/page.md": (False, False),
        "recsys_book/chapters/ch00_a/exercises.py": (False, False),
        "recsys_book/first.py": (True, False),
        "recsys_book/shared.py": (True, False),  # imported inside a function
        "recsys_book/second.py": (False, True),
        "recsys_book/widgets/play.js": (False, True),
        "recsys_book/chapters/ch00_a/records/a.json": (True, False),
        "recsys_book/chapters/ch00_a/records/b.json": (False, True),
        "recsys_book/__init__.py": (True, True),
        "constraints.txt": (True, True),
    }.items():
        path = small_house / name
        path.write_text(path.read_text() + ("\n" if name.endswith(".json") else "\n# edited"))
        now = keys()
        assert tuple(a != b for a, b in zip(before, now, strict=True)) == changes, name
        before = now
    write_chapter(small_house, "01_second", build.read(second).cells[1].source, prose="Other.")
    assert keys() == before
    (small_house / "data" / "ncf-ml-1m").mkdir(parents=True)
    monkeypatch.setenv("RECSYS_BOOK_DATA", str(small_house / "data"))
    assert all(a != b for a, b in zip(before, keys(), strict=True))


def test_a_record_whose_name_is_worked_out_may_be_any(small_house):
    import build

    path = write_chapter(small_house, "02_third", "read_record('ch00/' + 'b')")
    before = build.key(path)
    (small_house / "recsys_book/chapters/ch00_a/records/b.json").write_text("{ }")
    assert build.key(path) != before


def test_every_chapter_reads_records_by_name_so_that_no_other_executes_it():
    import build

    for path in build.pages_that_run():
        code = "\n".join(c.source for c in build.read(path).cells if c.cell_type == "code")
        files = {str(f.relative_to(PACKAGE)) for f in closure(code)}
        assert not any(f.startswith("check/") for f in files)
        own = build.asking(closure(code), PACKAGE)
        assert records_read([code, *map(build.read_text, own)]) is not None
    assert len(build.pages_that_run()) >= len(NOTEBOOKS) + 3


def test_a_failed_build_keeps_the_last_good_book(tmp_path, monkeypatch, capfd):
    import build

    finished = tmp_path / "html"
    finished.mkdir()
    (finished / "index.html").write_text("good")
    monkeypatch.setattr(build, "BUILD", tmp_path)
    monkeypatch.setattr(build, "FINISHED", finished)
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(build, "execute", lambda jobs, pages: (False, []))

    class Failed:
        returncode = 1

    monkeypatch.setattr(build.subprocess, "run", lambda *a, **k: Failed())
    monkeypatch.setattr(sys, "argv", ["build.py"])
    for name in (*build.FOR_KERNELS, "IPYTHONDIR"):
        monkeypatch.setenv(name, "0")  # this puts them back
    assert build.main() == 1
    assert (finished / "index.html").read_text() == "good"
    assert "the last good book stays" in capfd.readouterr().err
    monkeypatch.setattr(
        build, "execute", lambda jobs, pages: (True, ["00_first.ipynb:\nZeroDivision"])
    )
    assert build.main() == 1
    told = capfd.readouterr().err
    assert "00_first.ipynb:\nZeroDivision" in told and "the last good book stays" in told


def test_where_nothing_has_changed_nothing_is_done(small_house, monkeypatch, capfd):
    import build

    made = small_house / "_build/work/_build/html"
    made.mkdir(parents=True)
    (made / "index.html").write_text("a book")
    monkeypatch.setattr(build, "BUILD", small_house / "_build")
    monkeypatch.setattr(build, "WORK", small_house / "_build/work")
    monkeypatch.setattr(build, "FINISHED", small_house / "_build/html")
    monkeypatch.setattr(build, "execute", lambda jobs, pages: (False, []))
    monkeypatch.setattr(build, "hand_out", lambda made: None)
    monkeypatch.setattr(build.slides, "make_all", lambda made, cache: None)
    monkeypatch.setattr(sys, "argv", ["build.py"])
    for name in (*build.FOR_KERNELS, "IPYTHONDIR"):
        monkeypatch.setenv(name, "0")  # this puts them back
    asked = []

    class Done:
        returncode = 0

    def sphinx(command, **options):
        asked.append(command)
        return Done

    monkeypatch.setattr(build.subprocess, "run", sphinx)

    def did_something():
        asked.clear()
        returned = build.main()
        assert returned == Done.returncode if asked else returned == 0
        return bool(asked)

    assert did_something() and not did_something()
    assert "Nothing has changed" in capfd.readouterr().out
    for name in (
        "_config.yml", "_toc.yml", "constraints.txt", "book/page.md", "book/new.css",
        "book/exercises/release/a.ipynb", "recsys_book/second.py",
        "recsys_book/chapters/ch00_a/records/a.json", "recsys_book/chapters/ch00_a/exercises.py",
        "recsys_book/widgets/play.js", "chapters/00_first.ipynb",
    ):  # fmt: skip
        path = small_house / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + "\n")
        assert did_something() and not did_something(), name
    (small_house / "book/page.md").unlink()
    assert did_something() and not did_something()
    (small_house / "data" / "ncf-ml-1m").mkdir(parents=True)
    monkeypatch.setenv("RECSYS_BOOK_DATA", str(small_house / "data"))
    assert did_something() and not did_something()
    for name in ("recsys_book/__pycache__/x.pyc", "book/exercises/submitted/ada.ipynb"):
        path = small_house / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("of no page")
        assert not did_something(), name
    shutil.rmtree(small_house / "_build/html")
    assert did_something() and not did_something()
    (small_house / "_toc.yml").write_text("broken")
    Done.returncode = 1
    assert did_something() and did_something()  # a failed build is tried again
    (small_house / "_toc.yml").write_text("mended")
    Done.returncode = 0
    assert did_something() and not did_something()


def test_what_is_executed_is_found_again_and_a_failing_page_is_told(small_house, capfd):
    import build
    from jupyter_cache import get_cache

    bad = write_chapter(small_house, "02_bad", "1 / 0")
    (small_house / "book" / "lively.md").write_text(
        "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# A page\n\n"
        "```{code-cell} ipython3\n2 * 21\n```\n"
    )
    for name in ("first", "second"):  # the cells run with the package that is installed
        code = {"first": "1 + 1", "second": "'x' * 3"}[name]
        write_chapter(small_house, f"0{int(name == 'second')}_{name}", code)
    executed, failures = build.execute(2)
    assert executed and len(failures) == 1
    assert failures[0].startswith("02_bad.ipynb:") and "ZeroDivisionError" in failures[0]
    cache = get_cache(small_house / "cache")
    shown = lambda path: cache.merge_match_into_notebook(build.read(path))[1].cells[1].outputs[0]
    assert shown(small_house / "chapters/01_second.ipynb").data["text/plain"] == "'xxx'"
    assert shown(small_house / "book/lively.md").data["text/plain"] == "42"
    capfd.readouterr()
    bad.unlink()
    shown = small_house / "cache" / build.UNSHOWN  # taken away by a build that ends well
    assert build.execute(2) == (True, [])  # the failed build has shown nothing yet
    assert "executed" not in capfd.readouterr().out  # what is there is not executed again
    shown.unlink()
    assert build.execute(2) == (False, [])
    write_chapter(small_house, "00_first", "1 + 1", prose="Other words.")
    assert build.execute(2) == (False, [])
    write_chapter(small_house, "00_first", "1 + 2")
    assert build.execute(2) == (True, [])
    assert capfd.readouterr().out.count("executed in") == 1
    (small_house / "constraints.txt").write_text("two")
    assert build.execute(2) == (True, [])
    assert capfd.readouterr().out.count("executed in") == 3


def test_a_number_of_jobs_that_is_none_is_told(monkeypatch, capsys):
    import build

    monkeypatch.setattr(sys, "argv", ["build.py"])
    for bad in ("two", "0", "-1", ""):
        monkeypatch.setenv("RECSYS_BOOK_JOBS", bad)
        with pytest.raises(SystemExit):
            build.main()
        assert f"RECSYS_BOOK_JOBS is {bad!r}" in capsys.readouterr().err


def test_swapping_in_replaces_the_book(tmp_path, monkeypatch):
    import build

    monkeypatch.setattr(build, "FINISHED", tmp_path / "html")
    for text in ("one", "two"):
        made = tmp_path / "made"
        made.mkdir(exist_ok=True)
        (made / "index.html").write_text(text)
        build.swap_in(made)
        assert (tmp_path / "html" / "index.html").read_text() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["html", "made"]


ROOMS = sorted(p.parent for p in PACKAGE.glob("chapters/*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda p: p.name)
def test_a_rooms_readme_has_a_line_for_each_file_and_its_places_are_there(room):
    text = (room / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^- `([\w.]+)/?`: ", text, re.M)
    there = {p.name for p in room.iterdir()} - {"README.md", "__init__.py", "__pycache__"}
    assert len(named) == len(set(named)) and set(named) == there
    for place in re.findall(r"`((?:book|chapters|tests)/[^`]+)`", text):
        assert (ROOT / place).exists(), place
    for run in re.findall(r"`(\w+/\w+)`: ", text):
        assert (room / f"runs_{run.split('/')[1]}.py").is_file()


def test_tests_stand_where_the_modules_do():
    wings = {"library": "", "library/data": "data", "library/models": "models"}
    wings |= {name: name for name in ("service", "show", "widgets", "check", "reproduce")}
    wings |= {f"chapters/{room.name}": f"chapters/{room.name}" for room in ROOMS}
    themes = {"awkward_calls", "awkward_logs", "gpu", "versions", "try_your_own"}
    for tests, modules in wings.items():
        for path in (ROOT / "tests" / tests).glob("test_*.py"):
            module = path.stem.removeprefix("test_")
            assert module in themes or (PACKAGE / modules / f"{module}.py").is_file(), path


def test_a_chapter_that_there_is_not_is_told_by_the_ones_there_are(monkeypatch, capsys):
    import build

    for bad in ("99", "3", "", "*"):
        monkeypatch.setattr(sys, "argv", ["build.py", "--chapter", bad])
        with pytest.raises(SystemExit):
            build.main()
        told = capsys.readouterr().err
        assert f"chapter is {bad!r}; the chapters are 00, 01, 02" in told
