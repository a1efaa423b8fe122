"""Build the book: fetch scripts, draw the art, execute the notebooks, render, make the slides, and
only then swap.

- Notebook outputs are cached. myst-nb's cache looks at a notebook's code alone; here it is also
  thrown away when the package, the recorded runs, the installed versions or the data at hand
  change.
- Warnings and failing cells fail the build with a non-zero exit, and the last good book stays.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import slides
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "_build"
CACHE = BUILD / "notebook-cache"
WORK = BUILD / "work"  # sphinx's own tree: a failed build may leave it half made
FINISHED = BUILD / "html"
JOBS_VARIABLE = "RECSYS_BOOK_JOBS"  # notebooks to execute side by side
SIDE_BY_SIDE = "side-by-side.txt"  # in the cache: which chapters were


def cache_key() -> str:
    """Digest of all that a notebook's output depends on besides its own code."""
    from recsys_book.data import DATASETS
    from recsys_book.data.fetch import cache_folder, mirror_folder

    digest = hashlib.sha256()
    sources = [ROOT / "constraints.txt", ROOT / "requirements.txt"]
    # No chapter imports the checks of the exercises: one may change and nothing runs anew.
    checks = ROOT / "recsys_book" / "check"
    sources += [p for p in sorted((ROOT / "recsys_book").rglob("*.py")) if checks not in p.parents]
    sources += sorted((ROOT / "recsys_book").rglob("*.js")) + sorted(
        (ROOT / "recsys_book").rglob("*.css")
    )
    sources += sorted((ROOT / "recsys_book" / "records").glob("*.json"))
    for path in sources:
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    for name in sorted(DATASETS):
        at_hand = mirror_folder(name) is not None or cache_folder(name).is_dir()
        digest.update(f"{name}: {at_hand}".encode())
    digest.update(sys.version.encode())
    return digest.hexdigest()


def drop_stale_cache(jobs: int = 1) -> bool:
    """Empty the notebook cache unless it was made under the present key; True if it was stale.

    What was executed side by side is stale, too, for a build that takes one chapter at a time: the
    times in it are not to be published.
    """
    stamp = CACHE / "recsys-book-key.txt"
    key = cache_key()
    fit = jobs > 1 or not (CACHE / SIDE_BY_SIDE).exists()
    if fit and stamp.exists() and stamp.read_text() == key:
        return False
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    stamp.write_text(key)
    return True


def execute_ahead(jobs: int) -> int:
    """Execute the chapters that the notebook cache lacks, some side by side with a thread each.

    Sphinx, which executes one at a time, then finds them in the cache. One that fails is left out:
    Sphinx comes to it again and tells what failed. Times that a chapter measures are worse for
    company, so this is for tests and not for the book that is published.

    Args:
        jobs: how many at a time; 1 leaves everything to Sphinx.

    Returns:
        number of chapters executed and cached.
    """
    if jobs < 2:
        return 0
    cache = get_cache(CACHE)
    wanting = []
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            wanting.append((path, notebook))

    def execute(path: Path, notebook: nbformat.NotebookNode) -> ExecutionResult:
        return single_nb_execution(notebook, str(path.parent), timeout=300, allow_errors=False)

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(execute, *zip(*wanting, strict=True))) if wanting else []
    done = 0
    for (path, notebook), result in zip(wanting, results, strict=True):
        if result.err is None:
            cache.add_nb_to_project(str(path))
            data = {"execution_seconds": result.time}
            bundle = CacheBundleIn(notebook, str(path), data=data)
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            done += 1
            with (CACHE / SIDE_BY_SIDE).open("a", encoding="utf-8") as mark:
                mark.write(f"{path.name}\n")
            print(f"{path.name} executed in {result.time:.0f} s")
    return done


def hand_out(made: Path) -> None:
    """Put the students' copies of the exercises into a finished site, where its links lead."""
    folder = made / "book" / "exercises" / "release"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        ROOT / "book" / "exercises" / "release",
        folder,
        ignore=shutil.ignore_patterns(".ipynb_checkpoints"),
    )


def swap_in(made: Path) -> None:
    """Put a finished site in the place of the last one, in two renames."""
    fresh, old = FINISHED.with_name("html.new"), FINISHED.with_name("html.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(made, fresh)
    if FINISHED.exists():
        FINISHED.rename(old)
    fresh.rename(FINISHED)
    shutil.rmtree(old, ignore_errors=True)


def last_good() -> str:
    """What a failed build leaves behind, in words."""
    return f"the last good book stays in {FINISHED}" if FINISHED.exists() else "no book was made"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builder", default="html", help="html, or linkcheck")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds for the whole build")
    arguments = parser.parse_args()
    told = os.environ.get(JOBS_VARIABLE, "1")
    if not told.isdigit() or int(told) < 1:
        parser.error(f"{JOBS_VARIABLE} is {told!r}; it must be a whole number above 0")
    jobs, tools = int(told), Path(__file__).parent
    for script in ("vendor.py", "art.py"):
        subprocess.run([sys.executable, str(tools / script)], check=True)
    everything = ["--all"] if drop_stale_cache(jobs) else []
    os.environ |= {"TQDM_DISABLE": "1", "PYTHONHASHSEED": "0"}  # kernels inherit it
    if jobs > 1:
        os.environ["RECSYS_BOOK_THREADS"] = "1"
        execute_ahead(jobs)
    command = [
        str(Path(sys.executable).parent / "jupyter-book"), "build", str(ROOT),
        "--path-output", str(WORK), "--builder", arguments.builder,
        "-W", "-n", "--keep-going", *everything,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, timeout=arguments.timeout)
    except subprocess.TimeoutExpired:
        print(f"The build took more than {arguments.timeout} s and was stopped.", file=sys.stderr)
        return 1
    if done.returncode != 0:
        print(f"The build failed; {last_good()}.", file=sys.stderr)
        return done.returncode
    if arguments.builder != "html":
        return 0
    made = WORK / "_build" / "html"
    try:
        slides.make_all(made, cache=CACHE)
    except slides.SlidesError as error:
        print(f"No slides: {error}; {last_good()}.", file=sys.stderr)
        return 1
    hand_out(made)
    swap_in(made)
    print(f"The book is in {FINISHED / 'index.html'}, its slides in {FINISHED / 'slides'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
