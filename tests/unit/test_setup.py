"""What the set-up cell of a chapter does, and what it says where it cannot."""

import os
import tomllib
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info

import recsys_book
from recsys_book import machine
from recsys_book.show import notebook

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture
def as_it_was(monkeypatch):
    """Threads, and the way of tiny numbers, are put back."""
    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, str(before)))
    yield
    machine.use_threads(before)
    torch.set_flush_denormal(False)


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


def test_a_reader_chooses_the_number_of_threads(monkeypatch, capsys, as_it_was):
    monkeypatch.setenv(machine.THREADS_VARIABLE, "2")
    notebook.setup()
    assert torch.get_num_threads() == 2 and "2 threads" in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["0", "-1", "two", "", "1.5"])
def test_a_number_of_threads_that_is_none_is_told(monkeypatch, bad):
    monkeypatch.setenv(machine.THREADS_VARIABLE, bad)
    with pytest.raises(ValueError, match=f"RECSYS_BOOK_THREADS is '{bad}'; it must be a whole"):
        notebook.setup()


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3}, raising=False)
    assert machine.cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert machine.cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1


@pytest.mark.parametrize(
    ("python", "torch_version", "says"),
    [
        ((3, 10), "2.13.0", "needs Python 3.11 or newer; this is 3.10"),
        ((3, 11), "2.3.1+cpu", "needs PyTorch 2.4 or newer; this is 2.3.1"),
        ((3, 12), "1.13.1", "needs PyTorch 2.4 or newer; this is 1.13.1"),
        ((3, 12), None, "needs PyTorch 2.4 or newer; none here"),
    ],
)
def test_what_is_too_old_is_said_in_one_line(python, torch_version, says):
    with pytest.raises(ImportError, match=says) as told:
        recsys_book._check_versions(python, torch_version)
    assert "\n" not in str(told.value)


def test_what_is_new_enough_is_not_refused_and_the_bounds_are_those_of_the_project():
    for torch_version in ("2.4.0", "2.10.1+cu128", "3.0", "2.14.0a0+git1234"):
        recsys_book._check_versions((3, 11), torch_version)
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=" + ".".join(map(str, recsys_book.OLDEST_PYTHON))
    assert "torch>=" + ".".join(map(str, recsys_book.OLDEST_TORCH)) in project["dependencies"]
    assert project["version"] == recsys_book.__version__
