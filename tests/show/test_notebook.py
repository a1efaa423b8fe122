"""What the set-up cell does."""

import pytest
import torch
from threadpoolctl import threadpool_info

import recsys_book
from recsys_book import machine
from recsys_book.layers import MLP
from recsys_book.show import notebook
from recsys_book.show.notebook import source


@pytest.mark.parametrize("at_hand", [True, False])
def test_a_gpu_is_chosen_where_there_is_one(monkeypatch, at_hand):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: at_hand)
    assert notebook.best_device() == torch.device("cuda" if at_hand else "cpu")


def test_one_line_seeds_one_thread_and_no_tiny_numbers(monkeypatch, capsys, as_it_was):
    monkeypatch.delenv(machine.THREADS_VARIABLE, raising=False)
    torch.set_num_threads(2)
    device = notebook.setup(seed=5)
    drawn = torch.rand(3)
    told = capsys.readouterr().out
    assert told.count("\n") == 1 and f", 1 thread, device {device}" in told
    assert f"recsys-book {recsys_book.__version__}" in told and torch.__version__ in told
    assert torch.get_num_threads() == 1
    assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    notebook.setup(seed=5)
    assert torch.equal(torch.rand(3), drawn)
    tiny = torch.tensor([1e-38]) * 0.01  # below float32's usual form
    assert float(tiny) == 0


def test_source_shows_the_code_folded():
    shown = source(MLP)
    assert "class MLP" in repr(shown) and shown._repr_html_().startswith("<details")
