"""Depth and negatives beside the race: the whole run in small worlds."""

from dataclasses import asdict
from statistics import mean

from recsys_book.chapters.ch03_neumf import race
from recsys_book.chapters.ch03_neumf import runs_sides as run
from recsys_book.chapters.ch03_neumf.care import Draw
from recsys_book.service import simulate

DRAWS = [Draw(2, 2, 0.02, 1e-6, 2, 256, 0.9), Draw(2, 4, 0.005, 1e-6, 1, 256, 1.0)]


def test_each_depth_has_a_setting_of_its_own_and_negatives_change_alone(monkeypatch):
    courses = {
        seed: race.course(simulate(seed=seed, n_users=80, n_films=60), n_users=50)
        for seed in (0, 100)
    }
    monkeypatch.setattr(run, "course", courses.__getitem__)
    monkeypatch.setattr(run, "SEEDS", (0,))
    monkeypatch.setattr(run, "TUNING_WORLDS", (100,))
    monkeypatch.setattr(run, "LONGEST", 2)
    monkeypatch.setattr(run, "NEGATIVES", (1, 3))
    finals = [[asdict(draw), 0.1] for draw in DRAWS]
    of_mlp = {"best": asdict(DRAWS[0]), "rounds": [[], finals, []]}
    search = dict.fromkeys(("MF", "NeuMF", "MLP"), of_mlp)
    monkeypatch.setattr(run, "read_record", lambda name: {"figures": {"search": search}})
    work = run.Work()
    figures = work.figures()
    assert list(figures["depth"]) == ["0", "1", "2", "3", "4"]
    for depth, best in figures["by depth"].items():
        scores = [mean([work.tried(f"MLP, {depth} layers", d, 100)["score"]]) for d in DRAWS]
        assert Draw(**best) == DRAWS[scores.index(max(scores))]
    for name in run.MODELS:
        assert list(figures["negatives"][name]) == ["1", "3"]
        [row] = figures["negatives"][name]["3"]
        again = work.tested(name, Draw(2, 2, 0.02, 1e-6, 3, 256, 0.9), 0)
        assert row == again and set(race.MEASURES) <= set(row)
