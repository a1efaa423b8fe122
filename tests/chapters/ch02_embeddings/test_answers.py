"""Chapter 02: the same model on two logs, and the directions that a table fills."""

import pytest
import torch

from recsys_book.chapters.ch02_embeddings import answers, lab, runs_answers
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, make_task, new_click_model


def test_film_vectors_leave_out_the_row_of_the_unseen():
    task = make_task(simulate(n_users=40, n_films=50, seed=0))
    model = new_click_model(task, "MF", Settings(dim=3), seed=0)
    vectors = answers.film_vectors(model)
    assert vectors.shape == (50, 3)
    rows = task.examples[torch.arange(4)]
    found = vectors[rows.ids[:, 1] - 1]
    assert torch.equal(found, model.model.item_vectors(rows.ids[:, 1]))


def test_spectra_and_directions_of_known_tables():
    generator = torch.Generator().manual_seed(0)
    line = torch.randn(200, 1, generator=generator) @ torch.randn(1, 16, generator=generator)
    assert answers.directions(answers.spectrum(line)) == pytest.approx(1, abs=0.01)
    even = torch.randn(100_000, 16, generator=generator)
    assert answers.directions(answers.spectrum(even)) == pytest.approx(16, abs=0.1)
    # A direction that all rows share is no difference between them.
    assert answers.spectrum(line + 100.0) == pytest.approx(answers.spectrum(line), abs=1e-3)


def test_two_logs_in_small():
    task = make_task(simulate(n_users=80, n_films=60, seed=0))
    clicks = {"dim": 4, "lr": 0.02, "weight_decay": 1e-5, "epochs": 2}
    found = answers.two_logs(task, clicks, {"dim": 4, "epochs": 1}, l2=10.0, seed=0)
    assert set(found) == {"clicks", "impressions", "EASE"}
    for name in ("clicks", "impressions"):
        assert set(found[name]) == {"ndcg", "clicks", "purity", "random"}
        assert 0 <= found[name]["purity"] <= 1
    assert found["clicks"]["random"] == found["impressions"]["random"]
    assert all(one["clicks"] < 1 for one in found.values())


def test_the_run_takes_its_settings_from_other_records(monkeypatch):
    monkeypatch.setattr(runs_answers, "SEEDS", (0,))
    monkeypatch.setattr(runs_answers, "STARTS", (0, 1))
    monkeypatch.setattr(runs_answers, "simulate", lambda seed: simulate(60, 70, seed=seed))
    log = lab.clicked_before(simulate(60, 70, seed=9))
    monkeypatch.setattr(runs_answers, "_films", lambda: log)
    found = runs_answers.Work().figures()
    assert found["settings"]["clicks"]["dim"] == lab.DIM
    assert len(found["two logs"]) == 1
    for ways in found["spectra"].values():
        assert list(ways) == ["epochs", "epochs and penalty"]
        for lengths in ways.values():
            assert [len(lengths[d]) for d in ("8", "256")] == [2, 2]
            assert all(one[0] == 1 and one == sorted(one, reverse=True) for one in lengths["256"])
