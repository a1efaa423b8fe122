"""Chapter 02: the same model on two logs, and the directions that a table fills."""

from types import SimpleNamespace

import pytest
import torch

from recsys_book.chapters.ch02_embeddings import answers, lab, runs_answers
from recsys_book.data.interactions import Interactions
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, make_task, new_click_model
from recsys_book.service.loop import Service
from recsys_book.service.world import PREFERENCES


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
    found_logs = ("clicks", "impressions")
    task = make_task(simulate(n_users=80, n_films=60, seed=0))
    clicks = {"dim": 4, "lr": 0.02, "weight_decay": 1e-5, "epochs": 2}
    impressions = {"dim": 3, "lr": 0.01, "weight_decay": 1e-5, "epochs": 1, "fall": 0.5}
    found = answers.two_logs(task, clicks, impressions, l2=10.0, seed=0)
    trained = {f"{log}{other}" for log in found_logs for other in ("", ", other setting")}
    assert set(found) == {*trained, "EASE", "truth"}
    for name in trained:
        assert set(found[name]) == {"ndcg", "clicks", "purity", "random"}
        assert 0 <= found[name]["purity"] <= 1
    assert found["clicks"]["random"] == found["impressions"]["random"]
    assert all(found[name]["clicks"] < 1 for name in (*trained, "EASE"))
    assert found["truth"]["purity"] > 2 * found["truth"]["random"]


def test_a_world_of_the_service_is_that_of_simulate():
    size = {"n_users": 50, "n_films": 60, "days": 10}
    ours, theirs = answers.world_of(Service, 3, size=size).log, simulate(50, 60, 10, seed=3).log
    for name in ("user", "film", "clicked", "position", "daypart"):
        assert torch.equal(getattr(ours, name), getattr(theirs, name)), name


def test_a_service_that_keeps_no_guess_shows_everybody_every_genre():
    size = {"n_users": 300, "n_films": 200}
    largest = {}
    for service in (Service, answers.Wavering):
        world = answers.world_of(service, 0, PREFERENCES, size)
        genre = torch.from_numpy(world.film.genre).long()[world.log.film.long()]
        shown = torch.zeros(300, 12).index_put_(
            (world.log.user.long(), genre), torch.ones(len(genre)), accumulate=True
        )
        share = shown / shown.sum(1, keepdim=True)
        largest[service] = float(share.max(1).values[shown.sum(1) > 60].mean())
    assert largest[Service] > 0.2 > 0.16 > largest[answers.Wavering]


def test_true_profiles_hold_no_popularity():
    world = simulate(60, 70, seed=0)
    profiles = answers.true_profiles(world, n_users=40)
    assert profiles.shape == (70, 40)
    assert profiles.mean(0).abs().max() < 1e-4 and profiles.mean(1).abs().max() < 1e-4
    nobody = simulate(60, 70, seed=0, without=[*PREFERENCES, "three_way"])
    assert answers.true_profiles(nobody, n_users=40).abs().max() < profiles.abs().max() / 3


def made_up_films():
    """Films 0 to 29 are clicked by the first half of people, the others by the second."""
    user = torch.arange(60).repeat_interleave(30)
    film = torch.arange(30).repeat(60) + 30 * (user >= 30)
    return SimpleNamespace(
        ratings=Interactions(user, film, 60, 60),
        titles=[f"Film {i}" for i in range(60)],
    )


def test_nearest_titles_are_those_of_the_same_people():
    films = made_up_films()
    log = films.ratings
    told = lab.train_and_watch(log, dim=4, lr=0.05, weight_decay=0.0, epochs=5)
    found = answers.nearest_titles(films, told.items[-1], ["Film 3", "Film 40"], n=5)
    assert all(int(title.split()[1]) < 30 for title in found["Film 3"])
    assert all(int(title.split()[1]) >= 30 for title in found["Film 40"])
    with pytest.raises(ValueError, match="titles contains 'Jaws', which is no film of this set"):
        answers.nearest_titles(films, told.items[-1], ["Jaws"])


def test_the_run_takes_its_settings_from_other_records(monkeypatch):
    monkeypatch.setattr(runs_answers, "SEEDS", (0,))
    monkeypatch.setattr(runs_answers, "STARTS", (0, 1))
    monkeypatch.setattr(runs_answers, "simulate", lambda seed: simulate(60, 70, seed=seed))
    small = {"n_users": 60, "n_films": 70}
    monkeypatch.setattr(
        runs_answers, "world_of", lambda *arguments: answers.world_of(*arguments, size=small)
    )
    films = made_up_films()
    monkeypatch.setattr(runs_answers, "_films", lambda: films)
    monkeypatch.setattr(runs_answers, "TITLES", ("Film 3",))
    found = runs_answers.Work().figures()
    assert found["settings"]["clicks"]["dim"] == lab.DIM
    assert len(found["two logs"]) == 1
    assert len(found["handwriting"]) == 4
    kinds = {"clicks", "impressions", "random"}
    assert all(set(rows[0]) == kinds for rows in found["handwriting"].values())
    assert len(set(found["neighbours"]["Film 3"]) - {"Film 3"}) == 3
    for ways in found["spectra"].values():
        assert list(ways) == ["epochs", "epochs and penalty"]
        for lengths in ways.values():
            assert [len(lengths[d]) for d in ("8", "256")] == [2, 2]
            assert all(one[0] == 1 and one == sorted(one, reverse=True) for one in lengths["256"])
