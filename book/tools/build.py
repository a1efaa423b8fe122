"""Build the book: fetch scripts, draw the art, execute the notebooks, render, make the slides, and
only then swap.

- Notebooks are executed as many at a time as there are cores, one thread each, and their outputs
  are cached. A page is executed again when its own code changes, a module that it really imports, a
  record that it reads, the installed versions or the data at hand; never for its prose.
- Where nothing has changed since the last finished book, nothing is done.
- Warnings and failing cells fail the build with a non-zero exit, and the last good book stays.
- No clock decides whether the book builds: the limits below only end what hangs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path

import nbformat
import slides
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from myst_nb.core.read import read_myst_markdown_notebook

from recsys_book import rooms
from recsys_book.machine import THREADS_VARIABLE, cores
from recsys_book.reproduce.closure import closure, records_read
from recsys_book.reproduce.record import state

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "_build"
CACHE = BUILD / "notebook-cache"
WORK = BUILD / "work"  # sphinx's own tree: a failed build may leave it half made
FINISHED = BUILD / "html"
MADE_FROM = "made-from.txt"  # beside the finished book: digest of all it was made from
UNSHOWN = "unshown.txt"  # in the cache: pages were executed that no finished build has shown
KEYS = "recsys-book-keys.json"  # in the cache: what each page was executed under
JOBS_VARIABLE = "RECSYS_BOOK_JOBS"  # notebooks to execute side by side, if not one a core
FOR_KERNELS = {
    "TQDM_DISABLE": "1", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", THREADS_VARIABLE: "1",
}  # fmt: skip
JUPYTER_BOOK = str(Path(sys.executable).parent / "jupyter-book")
CELL_SECONDS, HANGS = 3_600, 7_200  # many times what a cell and Sphinx take on a slow machine


def pages_that_run() -> list[Path]:
    """The pages whose cells are executed: the chapters, and pages of book/ that say so on top."""
    pages = [p for p in sorted((ROOT / "book").glob("*.md")) if _is_notebook(p)]
    return sorted((ROOT / "chapters").glob("*.ipynb")) + pages


def _is_notebook(page: Path) -> bool:
    return "file_format: mystnb" in page.read_text(encoding="utf-8")[:400]


def read(path: Path) -> nbformat.NotebookNode:
    """A page that runs, as the cache knows it."""
    if path.suffix == ".ipynb":
        return nbformat.read(path, as_version=4)
    text = path.read_text(encoding="utf-8")
    return read_myst_markdown_notebook(text, path=path, add_source_map=True)


def key(path: Path) -> str:
    """Digest of all that a page's outputs depend on besides its own code.

    That is the modules it imports and what they import, the records it reads and whether their code
    has changed since, the installed versions, and which data sets are at hand. Prose, other
    chapters' modules and the checks of the exercises are not among it.
    """
    package = ROOT / "recsys_book"
    code = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")
    files = closure(code, package)
    names = records_read([code, *map(read_text, asking(files, package))])
    states = []
    for file in sorted((package / "chapters").glob("*/records/*.json")):
        name = f"{rooms.short(file.parents[1].name)}/{file.stem}"
        if names is None or name in names:
            files.append(file)
            states.append(state({"name": name} | json.loads(file.read_text(encoding="utf-8"))))
    files += [ROOT / "constraints.txt", ROOT / "requirements.txt"]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update("\n".join([*states, *data_at_hand(), sys.version]).encode())
    return digest.hexdigest()


def asking(files: Sequence[Path], package: Path) -> list[Path]:
    """The modules that may ask for records. The engine asks for any, by whatever name it is given;
    what is meant stands where it is called."""
    return [f for f in files if f.suffix == ".py" and f.parent != package / "reproduce"]


def read_text(file: Path) -> str:
    """Of a module."""
    return file.read_text(encoding="utf-8")


def data_at_hand() -> list[str]:
    """A line for each data set: whether a page that asks for it finds it."""
    from recsys_book.data import DATASETS
    from recsys_book.data.fetch import cache_folder, mirror_folder

    # A download that failed may leave an empty folder.
    cached = lambda name: cache_folder(name).is_dir() and any(cache_folder(name).iterdir())
    return [f"{n}: {mirror_folder(n) is not None or cached(n)}" for n in sorted(DATASETS)]


def sources() -> Iterator[Path]:
    """Every file that the finished book may depend on."""
    made = {"__pycache__", "node_modules", "generated", "vendor"}
    handed_in = {"downloaded", "submitted", "autograded", "feedback"}
    for name in ("_config.yml", "_toc.yml", "constraints.txt", "requirements.txt"):
        yield ROOT / name
    for part in ("book", "chapters", "recsys_book"):
        for folder, folders, names in os.walk(ROOT / part):
            leave = made | (handed_in if Path(folder).name == "exercises" else set())
            folders[:] = [f for f in folders if f not in leave and not f.startswith(".")]
            yield from (Path(folder, n) for n in names if not n.startswith((".", "gradebook.db")))


def all_it_is_made_from() -> str:
    """Digest of the sources, the installed packages and the data at hand."""
    digest = hashlib.sha256()
    for file in sorted(set(sources())):
        if file.is_file():
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.relative_to(ROOT)} {content}\n".encode())
    installed = {f"{d.name}=={d.version}" for d in distributions()}
    digest.update("\n".join([*sorted(installed), *data_at_hand(), sys.version]).encode())
    return digest.hexdigest()


def execute(jobs: int, pages: Sequence[Path] | None = None) -> tuple[bool, list[str]]:
    """Execute the pages that the cache lacks, or whose code's surroundings have changed.

    Sphinx then finds every page in the cache and executes none.

    Args:
        jobs: how many at a time, one thread each.
        pages: which; all by default.

    Returns:
        whether the cache holds runs that no finished build has shown, and what went wrong: a
        traceback for each page that failed.
    """
    cache, keys = get_cache(CACHE), CACHE / KEYS
    kept = json.loads(keys.read_text(encoding="utf-8")) if keys.is_file() else {}
    wanting = []
    for path in pages_that_run() if pages is None else pages:
        notebook, name, now = read(path), str(path.relative_to(ROOT)), key(path)
        try:
            record = cache.match_cache_notebook(notebook)
        except KeyError:
            wanting.append((path, notebook, now))
            continue
        if kept.get(name) != now:
            cache.remove_cache(record.pk)
            wanting.append((path, notebook, now))
    unshown = CACHE / UNSHOWN
    if not wanting:
        return unshown.exists(), []
    unshown.touch()  # Sphinx would not read a page again whose file is as it was
    print(f"Executing {len(wanting)} pages, {min(jobs, len(wanting))} at a time …", flush=True)

    def run(path: Path, notebook: nbformat.NotebookNode) -> ExecutionResult:
        result = single_nb_execution(notebook, str(path.parent), CELL_SECONDS, allow_errors=False)
        how = f"in {result.time:.0f} s" if result.err is None else "and FAILED"
        print(f"  {path.name} executed {how}", flush=True)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(run, *zip(*((p, n) for p, n, _ in wanting), strict=True)))
    failures = []
    for (path, notebook, now), result in zip(wanting, results, strict=True):
        if result.err is not None:
            failures.append(f"{path.name}:\n{result.exc_string}")
            continue
        cache.add_nb_to_project(str(path), read_data=_reader(path))
        data = {"execution_seconds": result.time}
        bundle = CacheBundleIn(notebook, str(path), data=data)
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        kept[str(path.relative_to(ROOT))] = now
    keys.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return True, failures


def _reader(path: Path) -> dict:
    return {"name": "nbformat" if path.suffix == ".ipynb" else "myst_nb_md", "type": "plugin"}


def alone(chapter: Path) -> int:
    """Render the page of one chapter, to look at while it is written; the book stays as it is.

    Links to other pages lead nowhere there, so warnings do not fail this.
    """
    made = BUILD / "chapter"
    made.mkdir(parents=True, exist_ok=True)
    toc = made / "toc.yml"
    pages = (
        f"root: chapters/{chapter.stem}\nchapters:\n- file: book/bibliography\n"  # one is too few
    )
    toc.write_text(f"format: jb-book\n{pages}", encoding="utf-8")
    command = [JUPYTER_BOOK, "build", str(ROOT), "--toc", str(toc), "--path-output", str(made)]
    done = subprocess.run([*command, "--all", "--quiet"], timeout=HANGS)
    if done.returncode == 0:
        print("The page is", made / "_build" / "html" / "chapters" / f"{chapter.stem}.html")
    return done.returncode


def own_ipython() -> Path:
    """A folder of settings for the kernels: none of the reader's own, which could change a page,
    and no warning that a kernel on this machine talks to this machine unencrypted."""
    profile = BUILD / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    quiet = "get_config().IPKernelApp.log_level = 'ERROR'\n"
    (profile / "ipython_kernel_config.py").write_text(quiet, encoding="utf-8")
    return profile.parent


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
    parser.add_argument("--chapter", metavar="NN", help="the page of one chapter alone")
    arguments = parser.parse_args()
    chapter = None
    if arguments.chapter is not None:
        found = sorted((ROOT / "chapters").glob(f"{arguments.chapter}_*.ipynb"))
        if len(found) != 1:
            known = ", ".join(p.stem[:2] for p in sorted((ROOT / "chapters").glob("*.ipynb")))
            parser.error(f"chapter is {arguments.chapter!r}; the chapters are {known}")
        chapter = found[0]
    told = os.environ.get(JOBS_VARIABLE, str(cores()))
    if not told.isdecimal() or int(told) < 1:
        parser.error(f"{JOBS_VARIABLE} is {told!r}; it must be a whole number above 0")
    from_what, stamp = all_it_is_made_from(), FINISHED.with_name(MADE_FROM)
    there = stamp.read_text(encoding="utf-8") if stamp.is_file() and FINISHED.is_dir() else None
    if arguments.builder == "html" and chapter is None and there == from_what:
        print(f"Nothing has changed since the book in {FINISHED / 'index.html'} was made.")
        return 0
    tools = Path(__file__).parent
    for script in ("vendor.py", "art.py"):
        subprocess.run([sys.executable, str(tools / script)], check=True)
    os.environ |= FOR_KERNELS | {"IPYTHONDIR": str(own_ipython())}
    CACHE.mkdir(parents=True, exist_ok=True)
    executed, failures = execute(int(told), None if chapter is None else [chapter])
    if failures:
        print(*failures, sep="\n", file=sys.stderr)
        print(f"The build failed; {last_good()}.", file=sys.stderr)
        return 1
    if chapter is not None:
        return alone(chapter)
    command = [
        JUPYTER_BOOK, "build", str(ROOT), "--path-output", str(WORK), "--builder",
        arguments.builder, "-W", "-n", "--keep-going", *(["--all"] if executed else []),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, timeout=HANGS)
    except subprocess.TimeoutExpired:
        print(f"Sphinx hangs: stopped after {HANGS} s; {last_good()}.", file=sys.stderr)
        return 1
    if done.returncode != 0:
        print(f"The build failed; {last_good()}.", file=sys.stderr)
        return done.returncode
    if arguments.builder != "html":
        return 0
    (CACHE / UNSHOWN).unlink(missing_ok=True)
    made = WORK / "_build" / "html"
    try:
        slides.make_all(made, cache=CACHE)
    except slides.SlidesError as error:
        print(f"No slides: {error}; {last_good()}.", file=sys.stderr)
        return 1
    hand_out(made)
    stamp.unlink(missing_ok=True)
    swap_in(made)
    stamp.write_text(from_what, encoding="utf-8")
    print(f"The book is in {FINISHED / 'index.html'}, its slides in {FINISHED / 'slides'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
