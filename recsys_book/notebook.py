"""What the set-up cell of every chapter does."""

from __future__ import annotations

import html
import inspect
import os
import platform
import random
from importlib.metadata import version

import numpy as np
import torch
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from recsys_book import plots

#: Threads for torch; set to 1 where two notebooks run side by side.
THREADS_VARIABLE = "RECSYS_BOOK_THREADS"


def setup(seed: int = 0) -> torch.device:
    """Seed everything, set the threads and the figures' style, and choose a device.

    Args:
        seed: for Python, NumPy and PyTorch.

    Returns:
        CUDA where there is one, else the CPU. `fit`, samplers and metrics work where model and data
        are. Apple's MPS is left out: it has no float64, in which samplers draw and metrics count.
    """
    seed_everything(seed)
    torch.set_num_threads(int(os.environ.get(THREADS_VARIABLE, os.cpu_count() or 1)))
    # Averages in Adam shrink to numbers that some processors are several times slower with.
    torch.set_flush_denormal(True)
    plots.use_style()
    device = best_device()
    print(
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"recsys-book {version('recsys-book')}, {torch.get_num_threads()} threads, device {device}"
    )
    return device


def seed_everything(seed: int) -> None:
    """Seed the three global streams that a notebook may touch."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 — a reader's own cells may use the old stream
    torch.manual_seed(seed)


def best_device() -> torch.device:
    """CUDA, then CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Source:
    """The source of a class or function, folded until it is wanted."""

    def __init__(self, thing) -> None:
        self.name, self.code = thing.__name__, inspect.getsource(thing)

    def __repr__(self) -> str:
        return self.code

    def _repr_html_(self) -> str:
        # Pygments' own classes: the book's theme colours them, other places show them plain.
        code = highlight(self.code, PythonLexer(), HtmlFormatter(cssclass="highlight"))
        summary = f"The code: <code>{html.escape(self.name)}</code>"
        return f'<details class="book-source"><summary>{summary}</summary>{code}</details>'


def source(thing) -> Source:
    """Show the source of a class or function as it runs, folded."""
    return Source(thing)
