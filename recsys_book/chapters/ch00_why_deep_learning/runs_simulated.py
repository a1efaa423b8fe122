"""Chapter 00's ladder on the simulated service, at full size, and with each effect switched off.

Settings are chosen on days 20 to 23 of world 100, which no figure comes
from: the learned rungs by log-loss, the closed forms by NDCG@10 of the films clicked in those days
(the truth is not asked). Twelve settings a rung.
"""

from __future__ import annotations

import torch

from recsys_book.chapters.ch00_why_deep_learning.films import grid
from recsys_book.chapters.ch00_why_deep_learning.lab import CLOSED, LEARNED, RUNGS, climb, shares
from recsys_book.evaluate import full_catalogue
from recsys_book.metrics import log_loss
from recsys_book.service import simulate
from recsys_book.service.click_models import Settings, Task, logits, make_task, train_click_model
from recsys_book.service.world import EFFECTS, SIZES

NAME = "ch00/simulated"
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


def figures() -> dict:
    """What the record holds; printed as it is found."""
    tuning = make_task(simulate(seed=TUNING_WORLD))
    settings, quarter = choose_settings(tuning), choose_settings(tuning, every=4)
    found = {"sizes": SIZES, "settings": settings, "settings_quarter": quarter}
    found |= {"full": [], "small": [], "quarter": [], "without": {}}
    for size, kept in (({}, found["full"]), (SMALL, found["small"])):
        for seed in SEEDS:
            kept.append(climb(make_task(simulate(**size, seed=seed)), settings, seed=seed))
            print(size, seed, shares(kept[-1], "log_loss"), shares(kept[-1], "ndcg"), flush=True)
    for seed in SEEDS:
        task = make_task(simulate(**SMALL, seed=seed))
        some = task.before(task.test_from)[::4]
        kept = climb(task, quarter, seed=seed, rungs=LEARNED, rows=some)
        found["quarter"].append(kept)
        print("a quarter", seed, shares(kept, "log_loss"), flush=True)
    for effect in EFFECTS:
        rows = []
        for seed in SEEDS:
            world = simulate(**SMALL, seed=seed, without=[effect])
            rows.append(climb(make_task(world), settings, seed=seed, rungs=RUNGS))
        found["without"][effect] = rows
        print("without", effect, [shares(row, "log_loss") for row in rows], flush=True)
    return found
