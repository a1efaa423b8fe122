"""What the set-up cell of every chapter does."""

from __future__ import annotations

import html
import inspect
import platform
import random
from importlib.metadata import version

import numpy as np
import torch
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from recsys_book.machine import threads_wanted, use_threads
from recsys_book.show import plots


def setup(seed: int = 0) -> torch.device:
    """Seed everything, set the threads and the figures' style, choose a device, print one line.

    Args:
        seed: for Python, NumPy and PyTorch.

    Raises:
        ValueError: $RECSYS_BOOK_THREADS is not a whole number above 0.

    Returns:
        CUDA where there is one, else the CPU. `fit`, samplers and metrics work where model and data
        are. Apple's MPS is left out: it has no float64, in which samplers draw and metrics count.
    """
    seed_everything(seed)
    use_threads(threads_wanted())
    # Averages in Adam shrink to numbers that some processors are several times slower with.
    torch.set_flush_denormal(True)
    plots.use_style()
    device = best_device()
    threads = torch.get_num_threads()
    print(
        f"recsys-book {version('recsys-book')}, Python {platform.python_version()}, torch "
        f"{torch.__version__}, {threads} thread{'s' * (threads > 1)}, device {device}"
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
