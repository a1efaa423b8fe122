"""Cores and threads."""

import os
import tomllib
from pathlib import Path

import pytest
import torch

import recsys_book
from recsys_book import machine
from recsys_book.show import notebook

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


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


def test_what_is_new_enough_is_not_refused_and_the_bounds_are_those_of_the_project():
    for torch_version in ("2.4.0", "2.10.1+cu128", "3.0", "2.14.0a0+git1234"):
        recsys_book._check_versions((3, 11), torch_version)
    whole = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))
    project = whole["project"]
    assert project["requires-python"] == ">=" + ".".join(map(str, recsys_book.OLDEST_PYTHON))
    assert "torch>=" + ".".join(map(str, recsys_book.OLDEST_TORCH)) in project["dependencies"]
    assert "version" in project["dynamic"]  # it stands in one place
    assert whole["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "recsys_book.__version__"
