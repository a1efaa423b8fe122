"""Rules of the repository: layers, addresses, clean and portable notebooks, honest records."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recsys_book import BOOK, REPOSITORY

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "recsys_book"
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
sys.path.insert(0, str(ROOT / "book" / "tools"))

#: A room may import from rooms of a lower number.
LEVELS = {
    "checks": 0, "machine": 0, "data": 1, "layers": 2, "metrics": 2, "calibration": 2, "maps": 2,
    "embeddings": 2, "content": 2, "optim": 2, "models": 3, "losses": 3, "sampling": 3,
    "bandits": 3, "train": 4, "evaluate": 4, "serving": 4, "claims": 5, "plots": 5, "widgets": 6,
    "experiments": 7, "diagrams": 7, "notebook": 7, "reproduce": 8, "try_your_own": 9,
    "check": 9,
}  # fmt: skip


def test_imports_run_downward_only():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
                if node.module == "recsys_book":
                    modules = [f"recsys_book.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            for module in modules:
                parts = module.split(".")
                if parts[0] != "recsys_book" or parts[1:2] == [room]:
                    continue
                if LEVELS[parts[1]] >= LEVELS[room]:
                    wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


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
    assert re.findall(r"^## (.*)$", text, re.M) == [
        "The question", "The idea", "Build it", "The experiment", "Where it breaks", "The map",
    ]  # fmt: skip
    for block in ("Check yourself", "Exercises", "What the papers really say", "Further reading"):
        assert f"<b>{block}</b>" in text
    code = cells(path, "code")
    assert len(code) <= 40
    lengths = sorted(len([x for x in c["source"] if x.strip()]) for c in code)
    assert lengths[len(lengths) // 2] <= 6
    assert text.count("Predict before you run") >= 2
    assert sum("claim(" in "".join(c["source"]) for c in code) >= 3


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
    for name in ("pyproject.toml", "CITATION.cff", "README.md", "book/how-to-read.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        found = re.findall(r"https://github\.com/[\w-]+/[\w-]+", text)
        assert found == [] or set(found) == {REPOSITORY}, name


def test_records_are_complete():
    from recsys_book.reproduce.record import PROVENANCE

    records = sorted((PACKAGE / "records").glob("*.json"))
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


def test_the_cache_key_follows_the_package_and_not_the_prose(tmp_path, monkeypatch):
    import build

    for part in ("recsys_book/records", "book/tools"):
        (tmp_path / part).mkdir(parents=True)
    for name in ("constraints.txt", "requirements.txt", "recsys_book/model.py", "book/page.md"):
        (tmp_path / name).write_text("one")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.delenv("RECSYS_BOOK_DATA", raising=False)
    before = build.cache_key()
    (tmp_path / "book/page.md").write_text("two")
    (tmp_path / "recsys_book/check").mkdir()
    (tmp_path / "recsys_book/check/core.py").write_text("no chapter imports this")
    assert build.cache_key() == before
    assert not any("recsys_book.check" in path.read_text(encoding="utf-8") for path in NOTEBOOKS)
    for name in ("recsys_book/model.py", "constraints.txt"):
        (tmp_path / name).write_text("two")
        assert build.cache_key() != before
        before = build.cache_key()
    (tmp_path / "data" / "ncf-ml-1m").mkdir(parents=True)
    monkeypatch.setenv("RECSYS_BOOK_DATA", str(tmp_path / "data"))
    assert build.cache_key() != before


def test_a_failed_build_keeps_the_last_good_book(tmp_path, monkeypatch, capfd):
    import build

    finished = tmp_path / "html"
    finished.mkdir()
    (finished / "index.html").write_text("good")
    monkeypatch.setattr(build, "FINISHED", finished)
    monkeypatch.setattr(build, "drop_stale_cache", lambda jobs: False)

    class Failed:
        returncode = 1

    monkeypatch.setattr(build.subprocess, "run", lambda *a, **k: Failed())
    monkeypatch.setattr(sys, "argv", ["build.py"])
    for name in ("TQDM_DISABLE", "PYTHONHASHSEED"):  # main sets them; this puts them back
        monkeypatch.setenv(name, "0")
    assert build.main() == 1
    assert (finished / "index.html").read_text() == "good"
    assert "the last good book stays" in capfd.readouterr().err


def test_chapters_executed_ahead_are_found_in_the_cache_and_a_failing_one_is_left(
    tmp_path, monkeypatch
):
    import build
    import nbformat
    from jupyter_cache import get_cache

    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    (tmp_path / "chapters").mkdir()
    for name, code in {"00_good": "1 + 1", "01_bad": "1 / 0", "02_good": "'x' * 3"}.items():
        cells = [nbformat.v4.new_code_cell(code)]
        path = tmp_path / "chapters" / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert build.execute_ahead(1) == 0  # nothing is done ahead
    assert build.execute_ahead(2) == 2
    cache = get_cache(tmp_path / "cache")
    read = lambda name: nbformat.read(tmp_path / "chapters" / f"{name}.ipynb", as_version=4)
    found = cache.merge_match_into_notebook(read("02_good"))[1]
    assert found.cells[0].outputs[0].data["text/plain"] == "'xxx'"
    with pytest.raises(KeyError):
        cache.match_cache_notebook(read("01_bad"))
    assert build.execute_ahead(2) == 0  # what is there is not executed again
    (tmp_path / "cache" / "recsys-book-key.txt").write_text("now")
    monkeypatch.setattr(build, "cache_key", lambda: "now")
    assert not build.drop_stale_cache(jobs=2)
    assert build.drop_stale_cache(jobs=1)  # its times had company: they are not published
    assert not build.drop_stale_cache(jobs=1)


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
