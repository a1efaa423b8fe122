"""What the machine has, and how a process uses it: one thread a process, a process a core.

Threads of one process wait for each other in a loop. On two cores, two of them beside any other
busy program wait more than they work, at a tenth of one thread's speed; and models of this book's
size gain little from a second one.
"""

from __future__ import annotations

import ctypes
import os

import torch
from threadpoolctl import threadpool_limits

#: How many threads a process of the book works with, where one is not what is wanted.
THREADS_VARIABLE = "RECSYS_BOOK_THREADS"


def cores() -> int:
    """How many cores this process may run on, which may be fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # neither macOS nor Windows can tell
        return os.cpu_count() or 1


def threads_wanted() -> int:
    """The number in $RECSYS_BOOK_THREADS, or 1.

    Raises:
        ValueError: the variable holds something else than a whole number above 0.
    """
    text = os.environ.get(THREADS_VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{THREADS_VARIABLE} is {text!r}; it must be a whole number above 0")
    return int(text)


def use_threads(n: int) -> None:
    """Let PyTorch, NumPy's matrix products and scikit-learn work with n threads in this process.

    Args:
        n: threads, 1 or more.
    """
    # Libraries that are not loaded yet read these; those that are loaded are told.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(n)
    threadpool_limits(n)
    torch.set_num_threads(n)


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 itself; otherwise it would only be slower."""
    known: dict = getattr(torch.cpu, "get_capabilities", dict)()  # newer PyTorch only
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def keep_freed_memory() -> None:
    """Ask the C library to keep large pieces of memory it was given back, where it can (glibc).

    Otherwise every large tensor of every step is fetched from the system anew, page by page.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library: nothing to ask
    trim_threshold, mmap_threshold = -1, -3  # as malloc.h names them
    mallopt(mmap_threshold, 1 << 30)
    mallopt(trim_threshold, (1 << 31) - 1)
