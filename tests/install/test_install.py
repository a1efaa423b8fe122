"""The book as most readers have it: a wheel in an environment of its own, notebooks in a folder,
and neither the repository nor any data set around them.

RECSYS_BOOK_VERSIONS chooses what is installed beside the wheel: "pinned" (constraints.txt),
"lowest" (what pyproject.toml allows), "colab" (what Colab's image had lately), or "newest" (no
bound).
TORCH_INDEX, if set, is where PyTorch comes from.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from recsys_book.machine import cores

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
VERSIONS = {
    "pinned": ROOT / "constraints.txt",
    "lowest": HERE / "lowest.txt",
    "colab": HERE / "colab.txt",
    "newest": None,
}
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
INSTRUCTORS = sorted((ROOT / "book" / "exercises" / "source").glob("*/*.ipynb"))
STUDENTS = sorted((ROOT / "book" / "exercises" / "release").glob("*/*.ipynb"))
KINDS = {"chapters": CHAPTERS, "instructors": INSTRUCTORS, "students": STUDENTS}
NOTEBOOKS = [f"{kind}/{path.name}" for kind, paths in KINDS.items() for path in paths]

# Everything is made once, by the first test that asks; this only ends what hangs.
pytestmark = pytest.mark.timeout(10_800)


def run(*command: str | Path, **options) -> str:
    """A command's output; where it fails, all it said is the error."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("reader")
    yield made
    shutil.rmtree(made, ignore_errors=True)  # an environment with PyTorch is large


@pytest.fixture(scope="session")
def wheel(folder) -> Path:
    """Built from the files that git has, as `pip install git+…` does."""
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "source" / name)
    run(
        sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder / "dist",
        folder / "source",
    )  # fmt: skip
    shutil.rmtree(folder / "source")
    [made] = (folder / "dist").glob("*.whl")
    return made


@dataclass
class Environment:
    """Where the wheel is installed, and which PyTorch was there before and after."""

    python: Path
    package: Path
    torch_before: str
    torch_after: str


@pytest.fixture(scope="session")
def environment(folder, wheel) -> Environment:
    wanted = os.environ.get("RECSYS_BOOK_VERSIONS", "pinned")
    if wanted not in VERSIONS:
        pytest.fail(f"RECSYS_BOOK_VERSIONS is {wanted!r}; it must be one of {', '.join(VERSIONS)}")
    bounds = ["-c", VERSIONS[wanted]] if VERSIONS[wanted] else []
    run(sys.executable, "-m", "venv", folder / "env")
    python = folder / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [python, "-m", "pip", "install", "--quiet", *bounds]
    index = os.environ.get("TORCH_INDEX")
    torch = "torch" if wanted == "newest" else "torch>=2.4,<2.14"
    run(*pip, torch, *(["--index-url", index] if index else []))
    show = lambda: run(python, "-c", "import torch; print(torch.__version__)").strip()
    before = show()
    run(*pip, wheel, "nbclient", "ipykernel")
    where = "import recsys_book; print(recsys_book.__path__[0])"
    place = Path(run(python, "-c", where, cwd=folder).strip())
    return Environment(python, place, before, show())


def files(package: Path) -> set[str]:
    """What lies in the installed package, but for what Python compiled."""
    return {str(p.relative_to(package)) for p in package.rglob("*") if "__pycache__" not in p.parts}


@pytest.fixture(scope="session")
def runs(folder, environment) -> dict[str, dict]:
    """Every notebook, run in the empty folder; as many at a time as there are cores."""
    for kind, paths in KINDS.items():
        (folder / "notebooks" / kind).mkdir(parents=True)
        for path in paths:
            shutil.copy(path, folder / "notebooks" / kind)
    shutil.copy(HERE / "run_notebook.py", folder)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECSYS_BOOK_", "PYTHON"))}
    settings = kept | {
        "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "home" / "cache"),
        "PYTHONNOUSERSITE": "1", "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    (folder / "home").mkdir()

    def one(name: str) -> dict:
        path = folder / "notebooks" / name
        stop = ["--to-first-check"] if name.startswith("students") else []
        command = [environment.python, folder / "run_notebook.py", path, *stop]
        done = subprocess.run(
            [*map(str, command)], cwd=path.parent, env=settings, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{name}\n{done.stderr}"
        return json.loads(done.stdout)

    before = files(environment.package)
    with ThreadPoolExecutor(cores()) as pool:
        found = dict(zip(NOTEBOOKS, pool.map(one, NOTEBOOKS), strict=True))
    found["written beside the package"] = sorted(files(environment.package) - before)
    return found


def test_the_wheel_brings_the_records_and_the_widgets(environment):
    there = files(environment.package)
    for pattern in ("chapters/*/records/*.json", "widgets/*.js", "widgets/*.css", "**/*.py"):
        expected = {
            str(p.relative_to(ROOT / "recsys_book")) for p in (ROOT / "recsys_book").glob(pattern)
        }
        assert expected and expected <= there, pattern
    assert not (environment.package.parent / "tests").exists()


def test_a_torch_that_is_there_stays(environment):
    assert environment.torch_after == environment.torch_before


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs(runs, name):
    found = runs[name]
    if name.startswith("students"):
        # Nothing is answered yet: the first check says so, or the answer's cell itself stops.
        answer = "NotImplementedError" in (found["error"] or "")
        assert answer or "Likeliest: no answer yet." in (found["error"] or "no error")
        assert found["ran"] == found["to_run"] - answer
    else:
        assert found["error"] is None, f"cell {found['cell']} of {name}:\n{found['error']}"
        assert found["ran"] == found["to_run"]
    assert found["to_run"] > 2
    one_line = r"recsys-book [\d.]+, Python [\d.]+, torch \S+, 1 thread, device (cpu|cuda\S*)\n"
    assert re.fullmatch(one_line, found["set_up"]), found["set_up"]


def test_nothing_is_written_beside_the_package(runs):
    assert runs["written beside the package"] == []


def test_a_run_from_a_wheel_asks_for_a_folder(environment, folder):
    settings = {k: v for k, v in os.environ.items() if k != "RECSYS_BOOK_RESULTS"}
    command = [environment.python, "-m", "recsys_book.reproduce", "ch01/xor"]
    done = subprocess.run(
        [*map(str, command)], cwd=folder, env=settings, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "set RECSYS_BOOK_RESULTS to the folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_lowest_versions_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = {}
    for requirement in project["dependencies"]:
        name, version = re.fullmatch(r"([\w-]+)>=([\d.]+)", requirement).groups()
        allowed[name] = version.split(".")
    lines = (HERE / "lowest.txt").read_text(encoding="utf-8").splitlines()
    lowest = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert lowest.keys() == allowed.keys()
    for name, version in lowest.items():
        parts = version.split(".")
        assert parts[: len(allowed[name])] == allowed[name], name
        assert set(parts[len(allowed[name]) :]) <= {"0"}, name
