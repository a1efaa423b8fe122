"""One thread a process, and a plain processor where that is asked for.

RECSYS_BOOK_PROCESSOR=plain reports bfloat16 as absent, as `make plain` does besides capping what
PyTorch, oneDNN, MKL and FAISS may use of the processor; =bfloat16 reports it as present.
"""

import os

import torch

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
