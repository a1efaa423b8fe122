"""What the set-up cell of a chapter leaves behind."""

import pytest
import torch

from recsys_book import notebook


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_gpu_is_chosen_where_there_is_one(monkeypatch, at_hand):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: at_hand)
    assert notebook.best_device() == torch.device("cuda" if at_hand else "cpu")


def test_seeds_threads_and_tiny_numbers(monkeypatch, capsys):
    before = torch.get_num_threads()
    monkeypatch.setenv(notebook.THREADS_VARIABLE, "1")
    try:
        device = notebook.setup(seed=5)
        drawn = torch.rand(3)
        assert (
            torch.get_num_threads() == 1
            and f"1 threads, device {device}" in capsys.readouterr().out
        )
        notebook.setup(seed=5)
        assert torch.equal(torch.rand(3), drawn)
        tiny = torch.tensor([1e-38]) * 0.01  # below float32's usual form
        assert float(tiny) == 0
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)
