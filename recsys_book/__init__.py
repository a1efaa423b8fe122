"""Code behind the book "Deep Learning Foundations of Recommender Systems".

One idea a file. Who may import whom stands in pyproject.toml. Chapters import from the modules by
name, so this file stays empty of shortcuts.
"""

import sys
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.1.0"

#: The one place where the repository's and the book's addresses are written for code to read.
#: A test holds every badge, set-up cell and configuration file against them.
REPOSITORY = "https://github.com/recsys-book/recsys-book"
BOOK = "https://recsys-book.github.io/recsys-book/"

#: The oldest Python and PyTorch that the package is tested with, as in pyproject.toml.
OLDEST_PYTHON, OLDEST_TORCH = (3, 11), (2, 4)


def _check_versions(python: tuple[int, ...], torch: str | None) -> None:
    """Say in one line what is too old, before something further down breaks over it.

    Args:
        python: major, minor.
        torch: version of the installed PyTorch; None where there is none.

    Raises:
        ImportError: either is older than the oldest, or PyTorch is missing.
    """
    written = lambda numbers: ".".join(map(str, numbers))
    if python < OLDEST_PYTHON:
        raise ImportError(
            f"recsys-book needs Python {written(OLDEST_PYTHON)} or newer; this is {written(python)}"
        )
    if torch is None:
        raise ImportError(f"recsys-book needs PyTorch {written(OLDEST_TORCH)} or newer; none here")
    major, minor = torch.split(".")[:2]
    if (int(major), int("".join(filter(str.isdigit, minor)))) < OLDEST_TORCH:
        raise ImportError(
            f"recsys-book needs PyTorch {written(OLDEST_TORCH)} or newer; this is {torch}"
        )


def _torch_version() -> str | None:
    try:
        return version("torch")
    except PackageNotFoundError:
        return None


_check_versions(sys.version_info[:2], _torch_version())
