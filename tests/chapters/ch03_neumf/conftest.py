"""A made-up split of the form of NCF's, for the tests of this chapter."""

import pytest
import torch

from recsys_book.chapters.ch03_neumf import lab
from recsys_book.data.interactions import Interactions
from recsys_book.data.ncf_ml_1m import NCFSplit
from recsys_book.data.splits import leave_any_out
from recsys_book.evaluate import sampled_candidates

U, N = 60, 160  # so many items that everybody has 99 unseen ones


@pytest.fixture(scope="module")
def split() -> NCFSplit:
    """A made-up split of the real one's form: users like films of their own remainder mod 3."""
    generator = torch.Generator().manual_seed(0)
    user, item = torch.arange(U).repeat_interleave(N), torch.arange(N).repeat(U)
    chance = torch.where(user % 3 == item % 3, 0.4, 0.05)
    kept = torch.rand(U * N, generator=generator) < chance
    log = Interactions(user[kept], item[kept], U, N)
    parts = leave_any_out(log)
    held = torch.zeros(2, U, dtype=torch.int64)
    for row, part in zip(held, (parts.validation, parts.test), strict=True):
        row[part.user] = part.item
    return NCFSplit(
        parts.train, parts.train_and_validation, torch.arange(U), held[0],
        sampled_candidates(held[1], log), 0, None,
    )  # fmt: skip


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(lab, "MAX_EPOCHS", 4)
    monkeypatch.setattr(lab, "SGD_EPOCHS", 2)
