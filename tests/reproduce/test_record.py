"""Where records are read and where runs write, in a checkout and from a wheel."""

import json
from importlib import import_module
from importlib.metadata import version

import pytest

from recsys_book import rooms
from recsys_book.reproduce import read_record
from recsys_book.reproduce import record as module
from recsys_book.reproduce.pieces import Store
from recsys_book.reproduce.record import Run

PARTS = {part: 0 for part in module.PROVENANCE}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as a wheel leaves it: no repository around it. Returns its folder."""
    package = tmp_path / "site-packages" / "recsys_book"
    (package / "chapters" / "ch01_xor").mkdir(parents=True)
    monkeypatch.setattr(module, "PACKAGE", package)
    monkeypatch.setattr(rooms, "chapters", lambda: package / "chapters")
    monkeypatch.delenv(module.RESULTS_VARIABLE, raising=False)
    return package


def test_every_run_has_a_record_in_the_package():
    from recsys_book.reproduce.runs import runs

    assert set(module.recorded()) == set(runs())
    for name, where in runs().items():
        assert import_module(where).NAME == name
    where = module.provenance(read_record("ch01/xor"))
    assert "repeat with: python -m recsys_book.reproduce ch01/xor" in where


def test_a_readers_own_record_comes_first_and_the_others_stay(tmp_path, monkeypatch):
    monkeypatch.setenv(module.RESULTS_VARIABLE, str(tmp_path))
    books = read_record("ch01/xor")
    (tmp_path / "ch01").mkdir()
    (tmp_path / "ch01" / "xor.json").write_text(json.dumps(PARTS | {"machine": "my own"}))
    assert read_record("ch01/xor")["machine"] == "my own" != books["machine"]
    assert read_record("ch01/additive")["machine"] != "my own"


def test_a_name_that_there_is_not(monkeypatch):
    monkeypatch.delenv(module.RESULTS_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=r"'ch01/xro'; the records are .*ch01/xor.*ch06/samplers"):
        read_record("ch01/xro")
    for name in ("xor", "ch01/", "ch01/../xor", "ch01/xor/1", 1):
        with pytest.raises(ValueError, match="must be a room and a run"):
            read_record(name)
    with pytest.raises(ValueError, match=r"'ch99/xor'; the rooms are ch00, .*own_log"):
        read_record("ch99/xor")


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_wheel_without_its_records_names_itself_and_its_version(installed, folder):
    if folder == "empty":
        (installed / "chapters" / "ch01_xor" / "records").mkdir()
    with pytest.raises(ValueError) as told:
        read_record("ch01/xor")
    assert f"recsys-book {version('recsys-book')} is installed without its records" in str(
        told.value
    )
    assert str(installed / "chapters") in str(told.value)


def test_from_a_wheel_nothing_is_written_beside_the_package(installed, tmp_path, monkeypatch):
    for start in (lambda: Run("ch01/x", [0], {}), lambda: Store("ch01/x", "a")):
        with pytest.raises(ValueError, match="set RECSYS_BOOK_RESULTS to the folder"):
            start()
    assert not list((installed / "chapters" / "ch01_xor").iterdir())
    monkeypatch.setenv(module.RESULTS_VARIABLE, str(tmp_path / "mine" / "new"))
    Run("ch01/x", [0], {}).write({"a": 1})
    assert read_record("ch01/x")["figures"] == {"a": 1}
    assert [p.name for p in (tmp_path / "mine" / "new" / "ch01").iterdir()] == ["x.json"]


def test_in_a_checkout_runs_write_the_books_records(monkeypatch):
    monkeypatch.delenv(module.RESULTS_VARIABLE, raising=False)
    assert module.place("ch01/xor").samefile(module.shipped("ch01/xor"))


def test_a_folder_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(module.RESULTS_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ValueError, match="must name a folder"):
        Run("ch01/x", [0], {})
    monkeypatch.setenv(module.RESULTS_VARIABLE, str(tmp_path / "file" / "below"))
    for start in (lambda: Run("ch01/x", [0], {}), lambda: Store("ch01/x", "a")):
        with pytest.raises(ValueError, match=r"cannot be written \(Not a directory\); set RECSYS"):
            start()

    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setenv(module.RESULTS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(module.tempfile, "TemporaryFile", read_only)
    with pytest.raises(ValueError, match="Read-only file system"):
        Run("ch01/x", [0], {})


def test_a_record_that_lacks_its_provenance_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(module.RESULTS_VARIABLE, str(tmp_path))
    (tmp_path / "ch01").mkdir()
    (tmp_path / "ch01" / "half.json").write_text(json.dumps({"figures": {}}))
    with pytest.raises(ValueError, match="lacks command, commit"):
        read_record("ch01/half")


def test_records_are_whole_and_name_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_BOOK_RESULTS", str(tmp_path))
    Run("ch01/r", [0, 1], {}).write({"x": 1.5})
    assert read_record("ch01/r")["figures"] == {"x": 1.5}
    with pytest.raises(ValueError, match="name is 'ch01/q'; the records are"):
        read_record("ch01/q")
    (tmp_path / "ch01" / "r.json").write_text("{}")
    with pytest.raises(ValueError, match="lacks command"):
        read_record("ch01/r")
    with pytest.raises(ValueError):
        Run("ch01/r", [0], {}).write({"x": float("nan")})


def test_a_badge_is_small_and_opens_to_where_the_figures_come_from():
    record = read_record("ch01/xor")
    shown = module.badge(record)
    assert repr(shown) == module.provenance(record)
    page = shown._repr_html_()
    assert page.startswith('<details class="recorded"><summary') and "<br>" in page
    for line in module.provenance(record).split("\n"):
        assert line.replace("&", "&amp;") in page
    current = record | {"code": module.code_of_run("ch01/xor")}
    assert ">recorded</summary>" in module.badge(current)._repr_html_()
    old = current | {"code": {"gone.py": "0"}}
    assert ">recorded earlier</summary>" in module.badge(old)._repr_html_()
