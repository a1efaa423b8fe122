"""For all tests: one thread a process, a plain processor where that is asked for, a made-up Frappe.

RECSYS_BOOK_PROCESSOR=plain reports bfloat16 as absent, as `make plain` does besides capping what
PyTorch, oneDNN, MKL and FAISS may use of the processor; =bfloat16 reports it as present.
"""

import hashlib
import os

import pytest
import torch
from made_up_frappe import content

from recsys_book.data import fetch, frappe
from recsys_book.machine import use_threads

REPORTED = {"plain": {}, "bfloat16": {"avx512_bf16": True}}


def pytest_configure(config):
    use_threads(1)
    wanted = os.environ.get("RECSYS_BOOK_PROCESSOR")
    if wanted is None:
        return
    if wanted not in REPORTED:
        raise ValueError(f"RECSYS_BOOK_PROCESSOR is {wanted!r}; plain or bfloat16 can be reported")
    torch.cpu.get_capabilities = lambda: REPORTED[wanted]
    if wanted == "plain" and (found := torch.backends.cpu.get_cpu_capability()) != "DEFAULT":
        raise ValueError(f"PyTorch uses {found}; set ATEN_CPU_CAPABILITY=default, or `make plain`")


@pytest.fixture
def frappe_folder(tmp_path, monkeypatch):
    """A small set of the same form, in the reader's folder."""
    text = content()
    known = {name: hashlib.sha256(t.encode()).hexdigest() for name, t in text.items()}
    monkeypatch.setattr(frappe, "_SHA256", known)
    files = {n: fetch.RemoteFile(n, (), fetch.check_sha256(k)) for n, k in known.items()}
    monkeypatch.setattr(frappe, "FILES", files)
    monkeypatch.setenv("RECSYS_BOOK_DATA", str(tmp_path))
    monkeypatch.setattr(fetch, "cache_folder", lambda dataset: tmp_path / "cache" / dataset)
    (tmp_path / "frappe").mkdir()
    for name, t in text.items():
        (tmp_path / "frappe" / name).write_text(t, encoding="utf-8")
    return tmp_path / "frappe"


@pytest.fixture
def as_it_was(monkeypatch):
    """Threads, and the way of tiny numbers, are put back."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, str(before)))
    yield
    use_threads(before)
    torch.set_flush_denormal(False)
