"""Chapter 02: how long vectors should be, what they know, where popularity goes, what a hash costs.

The simulated service: settings are chosen on the validation days of world 100, which no figure
comes from; figures come from worlds 0 to 2. MovieLens small: one tenth of the ratings to choose by,
another to test; three starts. The grids of rates and penalties were widened while this
was written, and a run prints its test figures as it goes: take that test for one that has been
seen. Figures only, no titles.
"""

from __future__ import annotations

import torch

from recsys_book import maps
from recsys_book.chapters.ch02_embeddings import lab
from recsys_book.data import load
from recsys_book.service import simulate
from recsys_book.service.click_models import Cut
from recsys_book.service.judge import Judge, judge_world

NAME = "ch02/embeddings"
SEEDS, TUNING_WORLD = (0, 1, 2), 100
DIMS = (2, 4, 8, 16, 32, 64, 128, 256)
CHAPTER_EPOCHS = 12  # at most, so that the chapter stays quick
SHARES = (1.0, 0.5, 0.25, 0.125)  # of rows to films, in the hashed table


def sweep(tuning: Judge, judges: list[Judge]) -> dict:
    """Every length three ways: chosen on `tuning`, then one judge a seed."""
    ways = {way: {} for way in lab.WAYS}
    for dim in DIMS:
        known: dict[str, list[float]] = {}  # two ways may choose the same
        for way, setting in lab.choose(tuning, dim).items():
            if str(setting) not in known:
                known[str(setting)] = [
                    lab.test_once(judge, dim, setting, seed)
                    for seed, judge in zip(SEEDS, judges, strict=True)
                ]
            runs = known[str(setting)]
            ways[way][str(dim)] = {"setting": setting, "ndcg": runs}
            print(dim, way, setting, [round(x, 4) for x in runs], flush=True)
    return {"ways": ways, "popularity": [judge.popularity for judge in judges]}


def hashing(judges: list[Judge], setting: dict) -> dict:
    """Films in tables of fewer rows than films, with one hash and with two; three worlds each.

    "hashed" has the films' biases in such a table too, "own" leaves each film its own.
    """
    pairs = list(zip(SEEDS, judges, strict=True))
    result = {"whole": [lab.test_once(judge, lab.DIM, setting, seed) for seed, judge in pairs]}
    for bias in ("hashed", "own"):
        for n_hashes in (1, 2):
            for share in SHARES:
                n = round(share * judges[0].refit.n_items)
                runs = [
                    lab.hashed_score(judge, n, n_hashes, setting, seed, own_bias=bias == "own")
                    for seed, judge in pairs
                ]
                result[f"{bias}/{n_hashes}/{share}"] = runs
                print("bias", bias, "hashes", n_hashes, "share", share, runs, flush=True)
    return result


def on_worlds(setting: dict) -> dict:
    """Purity by epoch, and where popularity went, in three worlds."""
    result = {"purity": [], "length": []}
    for seed in SEEDS:
        world = simulate(seed=seed)
        log = Cut(world).clicks().without_repeats()
        genre = torch.from_numpy(world.film.genre)
        counts = log.item_counts()
        told = lab.train_and_watch(log, dim=lab.DIM, **setting, seed=seed)
        result["purity"].append([maps.purities(v, genre, counts, seed) for v in told.items])
        models = lab.three_models(log, lab.DIM, setting, seed)
        result["length"].append(
            {name: lab.length_and_popularity(v, counts) for name, v in models.items()}
        )
        print("world", seed, result["purity"][-1][-1], result["length"][-1], flush=True)
    return result


def on_films(setting: dict) -> dict:
    """The same on MovieLens small, for films rated ten times or more, and for the 1,000 top."""
    films = load("ml-latest-small")
    log, counts = films.ratings, films.ratings.item_counts()
    genres = maps.genre_table(films.genres)
    groups = {
        "ten ratings or more": (counts >= 10).nonzero().squeeze(1),
        "the thousand most rated": maps.most_popular(counts, 1_000),
    }
    result = {"purity": {name: [] for name in groups}, "length": []}
    result["films"] = {name: len(rows) for name, rows in groups.items()}
    for seed in SEEDS:
        told = lab.train_and_watch(log, dim=lab.FILM_DIM, **setting, seed=seed)
        for name, rows in groups.items():
            found = [maps.purities(v[rows], genres[rows], counts[rows], seed) for v in told.items]
            result["purity"][name].append(found)
            print("films", seed, name, found[-1], flush=True)
        models = lab.three_models(log, lab.FILM_DIM, setting, seed)
        rows = groups["ten ratings or more"]
        result["length"].append(
            {name: lab.length_and_popularity(v[rows], counts[rows]) for name, v in models.items()}
        )
        print("films", seed, result["length"][-1], flush=True)
    return result


def figures() -> dict:
    """What the record holds; printed as it is found."""
    tuning = judge_world(simulate(seed=TUNING_WORLD))
    worlds = [judge_world(simulate(seed=seed)) for seed in SEEDS]
    films = lab.judge_films(load("ml-latest-small"))
    best = lab.WAYS[-1]
    settings = {
        "simulated": lab.choose(tuning, lab.DIM, epochs=CHAPTER_EPOCHS)[best],
        "films": lab.choose(films, lab.FILM_DIM, epochs=CHAPTER_EPOCHS)[best],
    }
    print(settings, flush=True)
    return {
        "settings": settings,
        "simulated": on_worlds(settings["simulated"]),
        "films": on_films(settings["films"]),
        "hashing": hashing(worlds, settings["simulated"]),
        "sweep": {
            "simulated": sweep(tuning, worlds),
            "films": sweep(films, [films] * len(SEEDS)),
        },
    }
