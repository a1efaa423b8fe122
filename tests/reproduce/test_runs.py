"""Runs: found in their rooms, made whole, and known to be of the code as it is or not."""

import inspect
import json
import re
import sys
from importlib import import_module

import pytest

from recsys_book.reproduce import __main__ as command
from recsys_book.reproduce import closure, read_record, record, runs
from recsys_book.reproduce.pieces import Pieces, Store

RUNS = runs.runs()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_all_that_the_engine_asks_for(name):
    module = import_module(RUNS[name])
    assert name == module.NAME and runs.seeds_of(module)
    assert hasattr(module, "Work") != callable(getattr(module, "figures", None))
    for optional in ("report", "ready", "quick"):
        assert callable(getattr(module, optional, print))


@pytest.mark.parametrize("name", [n for n in RUNS if hasattr(import_module(RUNS[n]), "Work")])
def test_what_a_record_wants_are_pieces_that_can_be_asked_for(name):
    work = import_module(RUNS[name]).Work(store={})  # nothing is there yet
    assert isinstance(work, Pieces)
    _, wanted = work.attempt(("figures",))
    assert wanted
    for method, *arguments in wanted:
        inspect.signature(getattr(work, method)).bind(*arguments)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A package with one run, which imports two modules, reads a record, and says so."""
    package = tmp_path / "recsys_book"
    room = package / "chapters" / "ch01_xor"
    (room / "records").mkdir(parents=True)
    for name, text in {
        "__init__.py": "", "losses.py": '"""A word."""\nX = 1  # a word\n', "other.py": "",
        "reproduce/__init__.py": "def read_record(name): ...\n",
        "chapters/__init__.py": "", "chapters/ch01_xor/__init__.py": "",
        "chapters/ch01_xor/lab.py": "from recsys_book import losses\n",
        "chapters/ch01_xor/runs_first.py":
            "from recsys_book.chapters.ch01_xor import lab\n"
            "from recsys_book.reproduce import read_record\n"
            "chosen = lambda: read_record('ch01/second')\n",
        "chapters/ch01_xor/records/second.json": json.dumps(
            dict.fromkeys(record.PROVENANCE, 0) | {"figures": {"lr": 1}}
        ),
    }.items():  # fmt: skip
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    monkeypatch.setattr(record, "PACKAGE", package)
    monkeypatch.setattr(record.rooms, "chapters", lambda: package / "chapters")
    monkeypatch.setattr(record, "code_of", lambda module: closure.code_of(module, package))
    monkeypatch.delenv(record.RESULTS_VARIABLE, raising=False)
    (tmp_path / "pyproject.toml").touch()
    return package


def test_a_record_knows_whether_its_code_is_as_it_was(small):
    code = record.code_of_run("ch01/first")
    assert set(code) == {
        "__init__.py", "losses.py", "chapters/__init__.py", "chapters/ch01_xor/__init__.py",
        "chapters/ch01_xor/lab.py", "chapters/ch01_xor/runs_first.py", "record ch01/second",
    }  # fmt: skip
    record.Run("ch01/first", [0], code).write({"x": 1.5})
    state = lambda: record.state(read_record("ch01/first"))
    assert state() == "with the code as it is"
    for name, text in {
        "losses.py": '"""Other words."""\n\nX = 1\n', "other.py": "X = 1",
        "reproduce/__init__.py": "def read_record(name): return None\n",
    }.items():  # fmt: skip
        (small / name).write_text(text)
        assert state() == "with the code as it is", name
    (small / "losses.py").write_text("X = 2\n")
    assert state() == "the code has changed since: losses.py"
    (small / "chapters/ch01_xor/lab.py").write_text("import recsys_book.other\n")
    second = small / "chapters/ch01_xor/records/second.json"
    second.write_text(second.read_text().replace('"lr": 1', '"lr": 2'))
    assert record.changed(read_record("ch01/first")) == [
        "chapters/ch01_xor/lab.py", "losses.py", "other.py", "record ch01/second",
    ]  # fmt: skip
    assert state().endswith("chapters/ch01_xor/lab.py, losses.py, other.py and 1 more")


def test_older_records_say_that_they_do_not_know():
    old = {"name": "ch01/xor", "pieces": {"commits": {"a": 1, "b": 2}}}
    assert record.changed(old) is None
    assert record.state(old).startswith("put together from pieces of several commits, ")
    assert record.state({"name": "ch01/xor"}) == "before records kept a digest of their code"


def test_a_digest_is_the_same_in_every_version_of_python(tmp_path):
    """Fields of the syntax tree come and go with versions; empty ones never count."""
    (tmp_path / "a.py").write_text(
        '"""Doc."""\n\ndef f(x, *, y: int = 1):\n    """D."""\n    return f"{x}"\n'
    )
    tree = closure.ast.parse("def f(x, *, y: int = 1):\n    pass\n    return f'{x}'\n")
    for node in closure.ast.walk(tree):
        for field in ("type_params", "type_comment", "kind"):
            node.__dict__.pop(field, None)
    tree.body.insert(0, closure.ast.Pass())
    plain = repr(closure._plain(tree)).encode()
    assert closure._digest(tmp_path / "a.py") == closure.hashlib.sha256(plain).hexdigest()[:12]


def test_nothing_is_read_by_a_name_that_is_worked_out():
    """But where the leaderboard shows its own record beside an entry."""
    for name in RUNS:
        for file in record.code_of_run(name):
            if file.endswith(".py") and not file.startswith("reproduce/"):
                source = (record.PACKAGE / file).read_text(encoding="utf-8")
                worked_out = closure.records_read([source]) is None
                assert worked_out == (file == "chapters/closing/runs_leaderboard.py"), file


def test_a_figure_that_is_none_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(record.RESULTS_VARIABLE, str(tmp_path))
    for bad, told in ((float("nan"), "nan"), (float("inf"), "inf"), ({1}, r"\{1\}")):
        with pytest.raises(ValueError, match=rf"figures\['a'\]\[1\] is {told}; a record holds"):
            record.Run("ch01/x", [0], {}).write({"a": [1.5, bad]})


def test_a_process_of_other_code_does_not_begin(monkeypatch, tmp_path):
    monkeypatch.setenv(record.RESULTS_VARIABLE, str(tmp_path))
    digest = runs.digest(record.code_of_run("ch06/one_epoch"))
    store = Store("ch06/one_epoch", digest)
    assert runs.make_worker("ch06/one_epoch", digest, store).store is store
    with pytest.raises(ValueError, match="has changed since the run began"):
        runs.make_worker("ch06/one_epoch", "another", store)


# ---------------------------------------------------------------- the command


def say(monkeypatch, capsys, *arguments):
    """What the command prints, and its exit code."""
    monkeypatch.setattr(sys, "argv", ["reproduce", *arguments])
    try:
        command.main()
        code = 0
    except SystemExit as end:
        code = end.code
    told = capsys.readouterr()
    return code, told.out + told.err


def test_stale_names_every_record_that_is_not_of_the_code_as_it_is(monkeypatch, capsys):
    code, told = say(monkeypatch, capsys, "--stale")
    found = runs.stale()
    assert code == 0 and told.count("\n") == len(found) + 1
    assert all(re.search(f"^{name}: ", told, re.M) for name in found)
    assert f"{len(RUNS) - len(found)} of {len(RUNS)} records are of the code as it is" in told


def test_all_prints_the_hours_first_and_makes_what_others_read_before_them(monkeypatch, capsys):
    left = {"ch06/one_epoch": None, "ch06/repairs": ["a.py"], "ch01/xor": None}
    made = []

    class Done:
        def __init__(self, command):
            made.append(command[-1])
            self.returncode = int(command[-1] == "ch01/xor")  # no data here, say
            if not self.returncode:
                del left[command[-1]]
            if command[-1] == "ch06/repairs":
                left["closing/leaderboard"] = ["record ch06/repairs"]  # stale by now

    monkeypatch.setattr(command, "stale", lambda: dict(left))
    monkeypatch.setattr(command.subprocess, "run", Done)
    code, told = say(monkeypatch, capsys, "all")
    assert made == ["ch06/repairs", "ch06/one_epoch", "ch01/xor", "closing/leaderboard"]
    assert code == 1 and "not made: ch01/xor" in told
    assert told.index("core hours") < told.index("--- ch06/repairs")


def test_a_run_knows_which_records_it_reads():
    assert runs.records_of("ch06/one_epoch") == {"ch06/repairs"}
    assert "ch03/simulated" in runs.records_of("closing/leaderboard")
    assert runs.records_of("ch01/xor") == set()


@pytest.mark.parametrize(
    "arguments, rule",
    [
        ((), "which run?"),
        (("--stale", "ch01/xor"), "--stale stands alone"),
        (("ch03/paper", "--quick", "--policy", "a:b"), "two things"),
        (("ch01/xro",), "invalid choice: 'ch01/xro'"),
        (("all", "--quick"), "all takes no --quick"),
        (("ch01/xor", "--quick"), "ch01/xor has no --quick"),
        (("ch01/xor", "--policy", "a:b"), "ch01/xor takes no --policy"),
    ],
)
def test_a_bad_call_is_told(arguments, rule, monkeypatch, capsys):
    code, told = say(monkeypatch, capsys, *arguments)
    assert code == 2 and rule in told


def test_a_run_in_one_go_writes_figures_seeds_and_code(monkeypatch, tmp_path):
    monkeypatch.setenv(record.RESULTS_VARIABLE, str(tmp_path))
    module = runs.module_of("ch06/speed")
    monkeypatch.setattr(module, "figures", lambda: {"x": 1.5})
    path = runs.remake("ch06/speed")
    assert path == tmp_path / "ch06" / "speed.json"
    made = read_record("ch06/speed")
    assert made["figures"] == {"x": 1.5} and made["seeds"] == list(module.SEEDS)
    assert made["code"] == record.code_of_run("ch06/speed") and record.changed(made) == []
    with pytest.raises(ValueError, match="name is 'ch01/xro'; the runs are ch00/crossed"):
        runs.remake("ch01/xro")
