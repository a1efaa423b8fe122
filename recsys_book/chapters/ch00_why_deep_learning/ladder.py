"""Chapter 00: one task, one protocol, every rung from popularity to a deep model, and the oracle.

The task, on the log of a simulated service: the impressions of the last four days are the test,
everything before is for fitting. Settings are chosen on days 20 to 23 of a world that is never
reported (`runs_simulated`); here each rung is fitted once and scored once.

"Popularity" is a number per film that is learned from the impressions: how often it is clicked
where it is shown. "Most clicked" is the list of what was clicked most often.

Two questions to each rung:

- **clicks**: how well does it give the chance of a click on an impression? Log-loss.
- **ranking**: how well does it order the whole catalogue, for a user in a context drawn for the
  user? NDCG@10, where the relevant films are the ten with the highest true chance of a click among
  those that the user has not watched; and the clicks to expect from its ten films.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from recsys_book.metrics import auc, log_loss, share_of_learnable
from recsys_book.models.baselines import EASE, IALS, ItemKNN, Popularity
from recsys_book.service.click_models import (
    Examples,
    Settings,
    Task,
    logits,
    train_click_model,
)
from recsys_book.service.oracle import (
    Ranking,
    expected_clicks,
    ids_only_chance,
    ids_only_truth,
    make_ranking,
    oracle_ndcg,
    scorer,
)

RUNGS = ("Popularity", "ItemKNN", "EASE", "IALS", "MF", "FM", "DNN")
CLOSED = {"ItemKNN": ItemKNN, "EASE": EASE, "IALS": IALS}
LEARNED = ("Popularity", "MF", "FM", "DNN")


def climb(
    task: Task,
    settings: Mapping[str, dict],
    *,
    seed: int,
    rungs: Sequence[str] = RUNGS,
    rows: Tensor | None = None,
) -> dict[str, dict]:
    """Fit every rung on all days before the test, and score it once.

    Args:
        task: from `make_task`.
        settings: rung → keyword arguments of `Settings`, or of the closed form.
        seed: of the training.
        rungs: which.
        rows: positions of the impressions that the learned rungs are fitted on, all of them before
            the test; None for every such impression.

    Returns:
        rung → {"ndcg" and "clicks" (see `judged`), "seconds" to fit, and of those that give
        probabilities "log_loss", "auc" and "parameters"}; among them "Oracle", "Ids-only oracle"
        and "Most clicked", the list of what was clicked most often.
    """
    ranking = make_ranking(task, seed=seed)
    test = (task.day >= task.test_from).nonzero().squeeze(1)
    examples = task.examples[test]
    ids_only = ids_only_truth(task, ranking)
    figures = {
        "Oracle": judged(ranking, lambda users: ranking.truth[users])
        | predicted(examples, as_logits(task.world.log.click_probability[test])),
        "Ids-only oracle": judged(ranking, lambda users: ids_only[users])
        | predicted(examples, as_logits(ids_only_chance(task, ranking, test))),
        "Most clicked": judged(ranking, Popularity(task.clicks()).score),
    }
    rows = task.before(task.test_from) if rows is None else rows
    for rung in rungs:
        start = time.perf_counter()
        if rung in CLOSED:
            closed = CLOSED[rung](task.clicks(), **settings[rung])
            seconds = time.perf_counter() - start
            figures[rung] = {"seconds": seconds} | judged(ranking, closed.score)
            continue
        model, _ = train_click_model(task, rung, Settings(**settings[rung]), rows, seed=seed)
        seconds = time.perf_counter() - start
        figures[rung] = {
            "seconds": seconds,
            "parameters": sum(p.numel() for p in model.parameters()),
            **judged(ranking, scorer(task, ranking, model)),
            **predicted(examples, logits(model, examples)),
        }
    return figures


def judged(ranking: Ranking, score: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Against the truth: "ndcg", NDCG@10 against the oracle's ten films, and "clicks", to expect
    from the ten films on top, as a share of the best ten."""
    return {"ndcg": oracle_ndcg(ranking, score), "clicks": expected_clicks(ranking, score)}


def predicted(examples: Examples, given: Tensor) -> dict[str, float]:
    """ "log_loss" and "auc" of logits `[B]` on impressions."""
    return {"log_loss": log_loss(examples.label, given), "auc": auc(examples.label, given)}


def as_logits(chance: Tensor) -> Tensor:
    """Logits of chances; a film that is not clicked again keeps a finite one."""
    return chance.double().clamp(1e-12, 1 - 1e-9).logit()


def shares(figures: Mapping[str, dict], measure: str) -> dict[str, float]:
    """rung → share of the learnable, by "log_loss", "auc", "ndcg" or "clicks"."""
    popularity, oracle = figures["Popularity"][measure], figures["Oracle"][measure]
    return {
        rung: share_of_learnable(row[measure], popularity, oracle)
        for rung, row in figures.items()
        if measure in row
    }
