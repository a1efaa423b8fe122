"""Chapter 00's ladder at full size: on the simulated service, with each effect switched off alone,
on ml-latest-small, and the closed forms on the NCF split.

Settings for the simulated service are chosen on days 20 to 23 of world 100, which no figure comes
from: the learned rungs by log-loss, the closed forms by NDCG@10 of the films clicked in those days
(the truth is not asked). Twelve settings a rung. On real data they are chosen on the validation
item.
"""

from __future__ import annotations

import torch

from recsys_book.data import load, simulate
from recsys_book.data.world import EFFECTS, SIZES
from recsys_book.evaluate import full_catalogue, leave_one_out, sampled_candidates
from recsys_book.experiments import ladder_films as films
from recsys_book.experiments.ladder import (
    CLOSED,
    LEARNED,
    RUNGS,
    Settings,
    Task,
    climb,
    logits,
    make_task,
    shares,
    train_click_model,
)
from recsys_book.experiments.ladder_films import grid
from recsys_book.metrics import log_loss
from recsys_book.models.baselines import EASE, IALS, ItemKNN
from recsys_book.reproduce.record import Run

NAME = "ladder"
SEEDS, TUNING_WORLD, MAX_EPOCHS = (0, 1, 2), 100, 5
SMALL = {"n_users": 800, "n_films": 400}  # the chapter's live size, and that of the ablations

GRIDS = {
    "Popularity": grid(lr=(0.02, 0.04, 0.08), weight_decay=(0.0, 1e-5, 3e-5, 1e-4)),
    "MF": grid(dim=(8, 16, 32), lr=(0.01,), weight_decay=(1e-5, 3e-5, 6e-5, 1e-4)),
    "FM": grid(dim=(8, 16), lr=(0.006, 0.012), weight_decay=(3e-5, 1e-4, 3e-4)),
    "DNN": grid(dim=(8, 16), lr=(0.006, 0.012), weight_decay=(3e-5, 1e-4, 3e-4)),
    "ItemKNN": grid(k=(20, 50, 100, 200), shrinkage=(0, 10, 50)),
    "EASE": grid(l2=(10, 20, 50, 100, 150, 200, 300, 500, 700, 1_000, 2_000, 5_000)),
    "IALS": grid(dim=(8, 16, 32), l2=(0.01, 0.03), unobserved_weight=(0.1, 0.3)),
}
FILM_GRIDS = {
    "ItemKNN": grid(k=(20, 50, 100, 200), shrinkage=(0, 10)),
    "EASE": grid(l2=(20, 50, 100, 200, 300, 500, 1_000, 2_000)),
    "IALS": grid(dim=(16, 32), l2=(0.003, 0.01), unobserved_weight=(0.1, 0.3)),
    "MF": grid(dim=(16, 64), lr=(0.005,), weight_decay=(0.0, 1e-6, 1e-5, 1e-4)),
    "FM": grid(dim=(16, 64), lr=(0.005,), weight_decay=(0.0, 1e-6, 1e-5, 1e-4)),
    "DNN": grid(dim=(16, 32), lr=(0.002,), weight_decay=(0.0, 1e-6, 1e-5, 1e-4)),
}
FILM_EPOCHS, FILM_PATIENCE = 12, 2
NCF_GRIDS = {
    "ItemKNN": grid(k=(50, 100), shrinkage=(0, 10), damping=(0.0, 0.5)),
    "EASE": grid(l2=(200, 500, 700, 1_000, 1_500, 2_000)),
    "IALS": grid(dim=(64,), unobserved_weight=(0.1, 0.3), l2=(0.003, 0.007, 0.01)),
}


def choose_settings(task: Task, every: int = 1) -> dict[str, dict]:
    """rung → what did best on the validation days; the learned rungs with their epochs.

    Args:
        task: of a world that no figure comes from.
        every: fit on every so manieth impression only; the closed forms are left out then.
    """
    rows = task.before(20)
    held = ((task.day >= 20) & (task.day < 24)).nonzero().squeeze(1)
    examples, chosen = task.examples[held], {}
    for rung in LEARNED:
        best = {}
        for i, options in enumerate(GRIDS[rung]):
            settings = Settings(**options, epochs=MAX_EPOCHS)
            score = lambda model: -log_loss(examples.label, logits(model, examples))
            _, history = train_click_model(
                task, rung, settings, rows[::every], seed=0, validate=score
            )
            best[i] = history.best_score, history.best_epoch + 1
        i = max(best, key=lambda i: best[i][0])
        chosen[rung] = GRIDS[rung][i] | {"epochs": best[i][1]}
        print(rung, chosen[rung], f"validation log-loss {-best[i][0]:.4f}", flush=True)
    if every > 1:
        return chosen
    log = task.world.log
    train, later = log[rows].clicks(), log[held].clicks()
    later = later[~torch.isin(later.keys(), train.keys())]
    for rung, make in CLOSED.items():
        figures = [
            float(full_catalogue(make(train, **options).score, later, train).ndcg.mean())
            for options in GRIDS[rung]
        ]
        chosen[rung] = GRIDS[rung][max(range(len(figures)), key=figures.__getitem__)]
        print(rung, chosen[rung], f"validation NDCG@10 {max(figures):.4f}", flush=True)
    return chosen


def on_films() -> dict:
    """Every rung on ml-latest-small: chosen on validation, refitted, tested once, 3 seeds."""
    task = films.make_film_task(load("ml-latest-small"))
    split, result = task.split, {}
    told = lambda report: {
        "hit_rate": float(report.hit_rate.mean()),
        "ndcg": float(report.ndcg.mean()),
    }
    result["users"] = int(split.test.user_counts().gt(0).sum())
    result["rungs"] = {}
    for rung, make in films.CLOSED.items():
        options = FILM_GRIDS.get(rung, [{}])
        scores = [films.validation_ndcg(task, make(split.train, **o).score) for o in options]
        best = options[max(range(len(scores)), key=scores.__getitem__)]
        seeds = SEEDS if rung == "IALS" else SEEDS[:1]  # the others draw nothing
        runs = []
        for seed in seeds:
            more = {"seed": seed} if rung == "IALS" else {}
            model = make(split.train_and_validation, **best, **more)
            runs.append(told(films.final_report(task, model.score)))
        result["rungs"][rung] = {"settings": best, "runs": runs}
        print(rung, best, runs, flush=True)
    for rung in films.LEARNED:
        tried = []
        for options in FILM_GRIDS[rung]:
            validate = lambda model: films.validation_ndcg(task, model.score, every=3)
            _, history = films.train_film_model(
                task, rung, split.train, **options, epochs=FILM_EPOCHS, seed=0,
                validate=validate, patience=FILM_PATIENCE,
            )  # fmt: skip
            tried.append((history.best_score, options | {"epochs": history.best_epoch + 1}))
        best = max(tried, key=lambda t: t[0])[1]
        runs = []
        for seed in SEEDS:
            model, _ = films.train_film_model(
                task, rung, split.train_and_validation, **best, seed=seed
            )
            model.eval()
            runs.append(told(films.final_report(task, model.score)))
        result["rungs"][rung] = {"settings": best, "runs": runs}
        print(rung, best, runs, flush=True)
    return result


def on_ncf() -> dict:
    """The closed forms on the NCF split, beside Ferrari Dacrema et al. 2021, table 55."""
    split, result = load("ncf-ml-1m"), {}
    candidates = sampled_candidates(split.validation, split.train_and_validation)
    for rung, make in {"ItemKNN": ItemKNN, "EASE": EASE, "IALS": IALS}.items():
        scores = [
            float(leave_one_out(make(split.train, **o), split.users, candidates).ndcg.mean())
            for o in NCF_GRIDS[rung]
        ]
        best = NCF_GRIDS[rung][max(range(len(scores)), key=scores.__getitem__)]
        report = leave_one_out(
            make(split.train_and_validation, **best), split.users, split.test_candidates
        )
        result[rung] = {
            "settings": best,
            "hit_rate": float(report.hit_rate.mean()),
            "ndcg": float(report.ndcg.mean()),
        }
        print("NCF split:", rung, best, report, flush=True)
    return result


def main() -> None:
    """Run it all, print it, record it."""
    run = Run(NAME, f"python -m recsys_book.reproduce {NAME}", list(SEEDS))
    tuning = make_task(simulate(seed=TUNING_WORLD))
    settings, quarter = choose_settings(tuning), choose_settings(tuning, every=4)
    figures = {"sizes": SIZES, "settings": settings, "settings_quarter": quarter}
    figures |= {"full": [], "small": [], "quarter": [], "without": {}}
    for size, kept in (({}, figures["full"]), (SMALL, figures["small"])):
        for seed in SEEDS:
            kept.append(climb(make_task(simulate(**size, seed=seed)), settings, seed=seed))
            print(size, seed, shares(kept[-1], "log_loss"), shares(kept[-1], "ndcg"), flush=True)
    for seed in SEEDS:
        task = make_task(simulate(**SMALL, seed=seed))
        some = task.before(task.test_from)[::4]
        kept = climb(task, quarter, seed=seed, rungs=LEARNED, rows=some)
        figures["quarter"].append(kept)
        print("a quarter", seed, shares(kept, "log_loss"), flush=True)
    for effect in EFFECTS:
        rows = []
        for seed in SEEDS:
            world = simulate(**SMALL, seed=seed, without=[effect])
            rows.append(climb(make_task(world), settings, seed=seed, rungs=RUNGS))
        figures["without"][effect] = rows
        print("without", effect, [shares(row, "log_loss") for row in rows], flush=True)
    figures["films"] = on_films()
    figures["ncf"] = on_ncf()
    print("written to", run.write(figures))
