"""Figures and widgets of chapter 05."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from recsys_book.chapters.ch05_wide_and_deep import lab
from recsys_book.chapters.ch05_wide_and_deep.lab import FIELDS, Task
from recsys_book.models.wide_and_deep import Wide, WideAndDeep
from recsys_book.optim import FTRL
from recsys_book.service.click_models import FILM
from recsys_book.service.world import AGES, DAYPARTS, DEVICES, GENRES, REGIONS, TONES
from recsys_book.show.claims import Comparison, by_training, by_world
from recsys_book.show.explorers import explorer
from recsys_book.show.intervals import t_interval
from recsys_book.show.plots import PALETTE, Picture, seed_dots, show, to_png
from recsys_book.widgets import EmbeddingExplorer, Frames

COLOURS = {
    "wide": "orange",
    "wide, more crosses": "vermilion",
    "deep": "blue",
    "wide & deep": "green",
    "average": "purple",
}
#: What BARS reports for Frappe_x1: AUC and log-loss, rows split at random.
BARS = {
    "LR": (0.9356, 0.3076),
    "FM": (0.9671, 0.2065),
    "deep, Adam": (0.9833, 0.1622),
    "wide & deep": (0.9841, 0.1490),
}


#: Who chose settings on an older task: kinds that are trained without FTRL.
WITHOUT_FTRL = tuple(name for name, (_, by) in lab.KINDS.items() if "FTRL" not in by)


def older_pieces(record: dict) -> str:
    """What a reader must know of a record whose pieces are of more than one commit; "" for one of a
    single commit.

    Args:
        record: `ch05/simulated`.
    """
    commits = dict(record.get("pieces", {}).get("commits", {}))
    older = {commit: n for commit, n in commits.items() if commit != record["commit"]}
    if not older:
        return ""
    n, told = sum(older.values()), ", ".join(older)
    text = f"{n} of {sum(commits.values())} pieces are of an earlier commit ({told})"
    if n == 2 * len(WITHOUT_FTRL):  # in two tuning worlds, as the commit of the record says
        text += (
            f":\nthe tries of settings of {'; '.join(WITHOUT_FTRL)}.\nTheir histories still held "
            "hidden sequels and their last batches were smaller: these kinds were tuned on "
            "another task than those with FTRL, and tested on the same"
        )
    return text + "."


# ---------------------------------------------------------------- FTRL on one weight


def ftrl_walk(pulls: Sequence[float], lr: float = 0.3, l1: float = 0.0) -> list[float]:
    """One weight of FTRL after each of a row of gradients."""
    weight = nn.Parameter(torch.zeros(1))
    optimizer, walk = FTRL([weight], lr=lr, l1=l1), []
    for pull in pulls:
        weight.grad = torch.tensor([float(pull)])
        optimizer.step()
        walk.append(weight.item())
    return walk


def l1_figure(n: int = 60, seed: int = 0) -> Picture:
    """Two weights under three L1s: one with evidence, one with noise alone."""
    random = np.random.RandomState(seed)
    noise = np.where(random.random_sample(n) < 0.5, 0.5, -0.5)
    evidence = np.where(random.random_sample(n) < 0.75, -0.5, 0.5)
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.8), sharey=True)
    told = []
    for ax, (name, pulls) in zip(
        axes, (("nothing to learn", noise), ("something to learn", evidence)), strict=True
    ):
        for l1, colour in ((0.0, "grey"), (1.0, "sky"), (4.0, "blue")):
            walk = ftrl_walk(pulls, l1=l1)
            ax.plot(range(1, n + 1), walk, color=PALETTE[colour], label=f"L1 = {l1:g}")
            zeros = sum(w == 0 for w in walk)
            told.append(f"{name}, L1 {l1:g}: zero after {zeros} of {n} steps, {walk[-1]:.2f} last")
        ax.set(title=name, xlabel="examples that hold the pair")
        ax.axhline(0, color="#999999", lw=0.8, zorder=0)
    axes[0].set_ylabel("the pair's weight")
    axes[0].legend(fontsize=9)
    return show(figure, alt=f"One weight of FTRL, step by step: {'; '.join(told)}")


# ---------------------------------------------------------------- what is remembered


def values_of(rows: Sequence[dict], part: str, figure: str = "excess") -> list[float]:
    """A figure of one part of the test, a world each."""
    return [row["parts"][part][figure] for row in rows]


def memory_table(memory: Mapping[str, Sequence[dict]], figure: str = "excess") -> pd.DataFrame:
    """Models by parts of the test, mean and interval; for "lift" the truth stands below."""
    parts = lab.PARTS if figure == "excess" else ("seen pairs", "hidden pairs")
    digits = 4 if figure == "excess" else 2
    rows = {
        name: {part: t_interval(values_of(runs, part, figure)).text(digits) for part in parts}
        for name, runs in memory.items()
    }
    if figure == "lift":
        runs = next(iter(memory.values()))
        rows["truth"] = {p: t_interval(values_of(runs, p, "true_lift")).text(2) for p in parts}
    return pd.DataFrame(rows).T


def memory_figure(memory: Mapping[str, Sequence[dict]], names: Sequence[str]) -> Picture:
    """Log-loss above the oracle's, part by part: a dot a world."""
    parts = ("seen pairs", "hidden pairs", "the others")
    figure, axes = plt.subplots(1, 3, figsize=(7.6, 0.9 + 0.34 * len(names)), sharey=True)
    told = []
    for ax, part in zip(axes, parts, strict=True):
        for y, name in enumerate(reversed(names)):
            values = values_of(memory[name], part)
            interval = t_interval(values)
            colour = PALETTE[COLOURS.get(name, "grey")]
            seed_dots(ax, y, values, interval.high - interval.mean, colour)
            told.append(f"{part}, {name} {interval.mean:.3f}")
        ax.set_title(part, fontsize=10)
        ax.set_ylim(-0.6, len(names) - 0.4)
    axes[0].set_yticks(range(len(names)), list(reversed(names)))
    axes[1].set_xlabel("log-loss above the oracle's, in nats: left is better")
    return show(figure, alt=f"Log-loss above the oracle's: {'; '.join(told)}")


def chance_table(
    tasks: Sequence[Task], models: Mapping[str, Sequence[nn.Module]], part: str
) -> pd.DataFrame:
    """Mean predicted chance of a click on a part of the test, a world each; what was clicked last.

    Args:
        tasks: one a world.
        models: kind → a model a world.
        part: of `lab.PARTS`.
    """
    examples = [task.examples[lab.part_rows(task, part)] for task in tasks]
    chance = lambda model, some: float(lab.predict(model, some).sigmoid().mean())
    rows = {
        kind: [chance(*pair) for pair in zip(some, examples, strict=True)]
        for kind, some in models.items()
    }
    rows["clicked"] = [float(some.label.mean()) for some in examples]
    return pd.DataFrame(rows).T.rename_axis(columns="world")


def lead(
    memory: Mapping[str, Sequence[dict]], a: str, b: str, part: str, figure: str = "excess"
) -> Comparison:
    """a minus b, paired over worlds."""
    return by_world(values_of(memory[a], part, figure), values_of(memory[b], part, figure))


def lift_learned(runs: Sequence[dict], part: str = "seen pairs") -> Comparison:
    """The lift that was learned beside the true one, over worlds."""
    return by_world(values_of(runs, part, "lift"), values_of(runs, part, "true_lift"), ratio=True)


def recipes_table(memory: Mapping[str, Sequence[dict]], one: str = "wide & deep") -> pd.DataFrame:
    """One recipe minus each other of the same model, over the whole test: log-loss and AUC."""
    rows = {}
    for name in memory:
        if name.startswith(f"{one}, "):
            rows[f"minus {name.removeprefix(f'{one}, ')} for all"] = {
                "log-loss": lead(memory, one, name, "all").text(4, sign="+"),
                "AUC": lead(memory, one, name, "all", "auc").text(4, sign="+"),
            }
    return pd.DataFrame(rows).T.rename_axis("FTRL and AdaGrad")


def beside_ladder(record: dict, ladder_record: dict, figure: str) -> dict[str, list[float]]:
    """Model → "log_loss" or "auc" on the last days of the service's own log, a world each, for the
    worlds of both records: chapter 00's DNN beside the models of this chapter. Nothing is hidden
    from either.

    Args:
        record: `ch05/simulated`.
        ladder_record: of the run "ladder".
        figure: "log_loss" or "auc".
    """
    worlds = [seed for seed in ladder_record["seeds"] if seed in record["seeds"]]
    own = record["figures"]["in_charge"]["service"]
    rows = {
        name: [own[name][record["seeds"].index(seed)][figure] for seed in worlds]
        for name in ("wide & deep", "deep")
    }
    full = ladder_record["figures"]["full"]
    places = [ladder_record["seeds"].index(seed) for seed in worlds]
    rows["DNN of chapter 0"] = [full[place]["DNN"][figure] for place in places]
    return rows


def beside_ladder_table(record: dict, ladder_record: dict) -> pd.DataFrame:
    """Chapter 00's DNN beside this chapter's models: log-loss and AUC, with how each is trained."""
    trained = {name: lab.KINDS[name][1] for name in ("wide & deep", "deep")}
    trained["DNN of chapter 0"] = "Adam"
    columns = {
        words: {
            name: t_interval(values).text(4)
            for name, values in beside_ladder(record, ladder_record, figure).items()
        }
        for words, figure in (("log-loss", "log_loss"), ("AUC", "auc"))
    }
    return pd.DataFrame({"trained by": trained} | columns)


def ladder_gap(record: dict, ladder_record: dict, figure: str) -> Comparison:
    """Chapter 00's DNN minus wide & deep on the service's own log, paired over worlds."""
    values = beside_ladder(record, ladder_record, figure)
    return by_world(values["DNN of chapter 0"], values["wide & deep"])


# ---------------------------------------------------------------- L1


def path_frames(record: dict) -> Frames:
    """The widget: L1 against the pairs kept and against AUC."""
    path = {float(l1): runs for l1, runs in record["figures"]["path"].items()}
    steps = list(path)
    place = range(len(steps))
    kept = [np.mean([run["kept"]["pairs"] for run in path[l1]]) for l1 in steps]
    met = np.mean([run["pairs_met"] for run in path[steps[0]]])
    whole = [t_interval(values_of(path[l1], "all", "auc")) for l1 in steps]
    seen = [t_interval(values_of(path[l1], "seen pairs", "auc")) for l1 in steps]
    top = [np.mean([run["sequels"]["on top"] for run in path[l1]]) for l1 in steps]
    pairs = np.mean([run["sequels"]["n"] for run in path[steps[0]]])
    images, alts = [], []
    for i in place:
        figure, axes = plt.subplots(1, 3, figsize=(8.2, 2.9))
        axes[0].semilogy(place, np.maximum(kept, 0.5), "-o", ms=4, color=PALETTE["orange"])
        axes[0].set_title("pairs whose weight is not 0", fontsize=9)
        for ax, values, words in (
            (axes[1], whole, "AUC, all of the test"), (axes[2], seen, "AUC, seen sequels"),
        ):  # fmt: skip
            means = [v.mean for v in values]
            reach = [v.high - v.mean for v in values]
            ax.errorbar(place, means, yerr=reach, fmt="-o", ms=4, capsize=3, color=PALETTE["blue"])
            ax.set_title(words, fontsize=9)
        for ax, y in zip(axes, (max(kept[i], 0.5), whole[i].mean, seen[i].mean), strict=True):
            ax.plot(i, y, "o", ms=14, mfc="none", mew=2, mec=PALETTE["vermilion"])
            ax.set_xticks(place, [f"{l1:g}" for l1 in steps], fontsize=8)
            ax.tick_params(axis="y", labelsize=8)
            ax.set_xlabel("L1", fontsize=9)
        told = (
            f"L1 {steps[i]:g}: {kept[i]:,.0f} of {met:,.0f} pairs kept, AUC {whole[i].mean:.4f}; "
            f"{top[i]:.1f} of the {pairs:.0f} largest weights are sequels"
        )
        figure.suptitle(told, fontsize=10)
        images.append(to_png(figure, colors=48))
        alts.append(told)
    labels = [f"{l1:g}" for l1 in steps]
    return Frames.from_images(
        images, {"L1": [float(x) for x in labels]}, alts, title="How much to keep", start=[3]
    )


def path_table(record: dict) -> pd.DataFrame:
    """L1 by pairs kept, sequels kept, sequels among the largest weights."""
    rows = {}
    for l1, runs in record["figures"]["path"].items():
        mean = lambda name, key, runs=runs: np.mean([run[name][key] for run in runs])
        rows[l1] = {
            "pairs kept": f"{mean('kept', 'pairs'):,.0f}",
            "sequel pairs kept": f"{mean('sequels', 'kept'):.1f} of {mean('sequels', 'n'):.1f}",
            "sequels among as many largest": f"{mean('sequels', 'on top'):.1f}",
            "lift of seen pairs": t_interval(values_of(runs, "seen pairs", "lift")).text(2),
            "log-loss above the oracle's": t_interval(values_of(runs, "all")).text(4),
        }
    return pd.DataFrame(rows).T.rename_axis("L1")


def strongest_pairs(task: Task, wide: Wide, n: int = 8) -> pd.DataFrame:
    """The pairs with the largest weights, and what they are."""
    pairs, titles = wide.cross_weights(0).detach(), task.world.titles
    top, sequel_of = pairs.flatten().topk(n), task.world.film.sequel_of
    rows = []
    for weight, place in zip(top.values.tolist(), top.indices.tolist(), strict=True):
        watched, shown = place // len(pairs) - 1, place % len(pairs) - 1
        sequel = "yes" if sequel_of[shown] == watched else ""
        rows.append((titles[watched], titles[shown], round(weight, 2), sequel))
    return pd.DataFrame(rows, columns=["watched", "shown", "weight", "sequel"])


def hashed_table(record: dict) -> pd.DataFrame:
    """Buckets by what they cost, the exact cross below."""
    figures = record["figures"]
    rows = {f"{int(n):,} buckets": runs for n, runs in figures["hashed"].items()}
    rows["exact, a weight a pair"] = figures["memory"]["wide & deep"]
    return pd.DataFrame(
        {
            name: {
                "all": t_interval(values_of(runs, "all")).text(4),
                "seen pairs": t_interval(values_of(runs, "seen pairs")).text(4),
                "lift of seen pairs": t_interval(values_of(runs, "seen pairs", "lift")).text(2),
                "weights not 0": f"{np.mean([run['kept']['pairs'] for run in runs]):,.0f}",
            }
            for name, runs in rows.items()
        }
    ).T


# ---------------------------------------------------------------- one impression


def impression_frames(
    task: Task, model: WideAndDeep, rows: Sequence[int], n_pairs: int = 3
) -> Frames:
    """The widget: the logits of some impressions taken apart.

    Args:
        task: whose impressions.
        model: trained.
        rows: positions of the impressions.
        n_pairs: pairs shown one by one; the others are summed.
    """
    rows = torch.as_tensor(rows)
    examples = task.examples[rows]
    parts = model.eval().explain(examples.ids, examples.bags())
    history = examples.bags()[FILM][0]
    titles = task.world.titles
    reach = 1.1 * float(
        torch.cat([parts.fields.flatten(), parts.crosses[0].flatten(), parts.deep]).abs().max()
    )
    images, alts = [], []
    for i in range(len(rows)):
        film = int(examples.ids[i, FILM]) - 1
        bars = [("bias", float(parts.bias), "grey")]
        bars += [
            (f"{name}: {value_name(task, f, int(examples.ids[i, f]))}", float(parts.fields[i, f]),
             "sky")
            for f, name in enumerate(FIELDS) if parts.fields[i, f] != 0
        ]  # fmt: skip
        pairs = parts.crosses[0][i]
        strongest = pairs.abs().topk(min(n_pairs, len(pairs))).indices
        strongest = [int(p) for p in strongest if pairs[p] != 0]
        for place in strongest:
            watched = titles[int(history[i, place]) - 1]
            bars.append((f"watched “{watched}”"[:34], float(pairs[place]), "orange"))
        rest = float(pairs.sum() - pairs[strongest].sum())
        bars.append(("all other watched × shown", rest, "orange"))
        bars.append(("deep side", float(parts.deep[i]), "blue"))
        total = sum(value for _, value, _ in bars)
        chance, truth = 1 / (1 + np.exp(-total)), float(task.chance[rows[i]])
        kind = "no sequel for this person"
        if task.sequel[rows[i]]:
            kind = f"sequel of a {'hidden' if task.of_hidden[rows[i]] else 'seen'} pair"
        images.append(_bars(bars, f"“{titles[film]}”, {kind}", chance, truth, reach))
        told = ", ".join(f"{name} {value:+.2f}" for name, value, _ in bars)
        alts.append(f"{titles[film]}, {kind}: {told}; chance {chance:.0%}, true {truth:.0%}")
    labels = list(range(1, len(rows) + 1))
    return Frames.from_images(images, {"impression": labels}, alts, title="One logit, taken apart")


def _bars(bars: list, title: str, chance: float, truth: float, reach: float) -> bytes:
    figure, ax = plt.subplots(figsize=(6.8, 0.9 + 0.27 * 16))
    names, values, colours = zip(*bars, strict=True)
    y = [-i for i in range(len(bars))]
    ax.barh(y, values, color=[PALETTE[c] for c in colours], height=0.7)
    ax.axvline(0, color="#333333", lw=0.8)
    ax.set_yticks(y, names, fontsize=8)
    ax.set_ylim(-15.6, 0.6)
    ax.set_xlim(-reach, reach)
    ax.set_xlabel("part of the logit", fontsize=9)
    ax.set_title(f"{title}\nmodel {chance:.0%}, truth {truth:.0%}", fontsize=10)
    return to_png(figure, colors=48)


def value_name(task: Task, field: int, number: int) -> str:
    """What an id of a field stands for."""
    if number == 0:
        return "unknown"
    name = FIELDS[field]
    if name == "film":
        return str(task.world.titles[number - 1])[:24]
    words = {
        "age": AGES, "region": REGIONS, "genre": GENRES, "second_genre": GENRES, "tone": TONES,
        "device": DEVICES, "daypart": DAYPARTS,
    }  # fmt: skip
    return str(words[name][number - 1]) if name in words else str(number)


def telling_impressions(task: Task, wide: Wide, seed: int = 0) -> list[int]:
    """Eight impressions of the test: three sequels of seen pairs that have a weight (others, where
    there are too few), two of hidden pairs, three that are no sequels. The first is of the seen
    pair whose weight training left the largest; the others are drawn at random."""
    random, chosen = np.random.RandomState(seed), []
    sequel_of = torch.from_numpy(task.world.film.sequel_of).long()
    pairs = wide.cross_weights(0).detach()
    for part, n in (("seen pairs", 3), ("hidden pairs", 2), ("the others", 3)):
        rows = lab.part_rows(task, part)
        rows = rows[(task.examples.history[rows] > 0).sum(1) >= 5]
        rows = rows[torch.from_numpy(random.permutation(len(rows)))]
        film = task.examples.ids[rows, FILM]
        weight = pairs[sequel_of[film - 1] + 1, film]
        order = (weight == 0).long().argsort(stable=True)
        if part == "seen pairs":
            first = int(weight.argmax())
            order = torch.cat([torch.tensor([first]), order[order != first]])
        chosen += rows[order][:n].tolist()
    return chosen


# ---------------------------------------------------------------- the map


def sequel_roles(task: Task) -> list[str]:
    """What each film is to the experiment."""
    sequel_of = task.world.film.sequel_of
    hidden = set((task.examples.ids[task.of_hidden, FILM].unique() - 1).tolist())
    roles = ["no sequel"] * len(sequel_of)
    for film in np.flatnonzero(sequel_of >= 0):
        kind = "hidden" if film in hidden else "seen"
        roles[film] = f"part two, {kind}"
        roles[sequel_of[film]] = f"part one, {kind}"
    return roles


def pairs_figure(task: Task, model: WideAndDeep) -> Picture:
    """Each sequel pair: how near its parts lie in the deep side, and its wide weight."""
    two = torch.from_numpy(np.flatnonzero(task.world.film.sequel_of >= 0))
    one = torch.from_numpy(task.world.film.sequel_of).long()[two]
    roles = sequel_roles(task)
    near = _cosine(task, model, one, two)
    weight = model.wide.cross_weights(0).detach()[one + 1, two + 1]
    figure, ax = plt.subplots(figsize=(6.2, 3.4))
    told = []
    for kind, colour in (("seen", "green"), ("hidden", "vermilion")):
        of = torch.tensor([roles[int(film)] == f"part two, {kind}" for film in two])
        x, y = near[of].numpy(), weight[of].numpy()
        ax.scatter(x, y, s=26, alpha=0.8, color=PALETTE[colour], label=f"{kind} pairs")
        told.append(f"{kind}: {int((weight[of] > 0).sum())} of {int(of.sum())} weights above 0")
    ax.axhline(0, color="#333333", lw=0.8)
    ax.set(xlabel="cosine of the two films in the deep side", ylabel="wide weight of the pair")
    ax.legend(fontsize=9)
    return show(figure, alt=f"Sequel pairs by nearness and by wide weight. {'; '.join(told)}")


def nearness(task: Task, model: WideAndDeep) -> dict[str, float]:
    """Mean cosine, in the deep side's film vectors, of the two parts of seen and hidden pairs, and
    of unrelated films that share what the parts of a pair share: both genres and the theme."""
    film, roles = task.world.film, sequel_roles(task)
    two = np.flatnonzero(film.sequel_of >= 0)
    found = {}
    for kind in ("seen", "hidden"):
        some = torch.tensor([f for f in two if roles[f] == f"part two, {kind}"])
        one = torch.from_numpy(film.sequel_of).long()[some]
        found[f"{kind} pairs"] = float(_cosine(task, model, one, some).mean())
    kind = (film.genre.astype(int) * 100 + film.second_genre) * 100 + film.theme
    alike = np.triu(kind[:, None] == kind[None, :], 1)
    alike[film.sequel_of[two], two] = alike[two, film.sequel_of[two]] = False
    one, other = (torch.from_numpy(side) for side in alike.nonzero())
    found["films as alike"] = float(_cosine(task, model, one, other).mean())
    return found


def _cosine(task: Task, model: WideAndDeep, one: Tensor, other: Tensor) -> Tensor:
    vectors = film_vectors(task, model)
    return cosine_similarity(vectors[one], vectors[other])


def film_vectors(task: Task, model: WideAndDeep) -> Tensor:
    """`[N, D]`, of the deep side."""
    start = int(model.vectors.offsets[FILM]) + 1
    return model.vectors.table.weight.detach()[start : start + task.world.n_films].clone()


def field_vectors(task: Task, model: WideAndDeep) -> Tensor:
    """`[N + values, D]`: films, and every value of the small fields."""
    small = [f for f, name in enumerate(FIELDS) if name not in ("user", "film")]
    table, offsets = model.vectors.table.weight.detach(), model.vectors.offsets
    rows = [table[int(offsets[f]) + 1 : int(offsets[f]) + task.cardinalities[f]] for f in small]
    return torch.cat([film_vectors(task, model), *rows]).clone()


def fields_explorer(
    task: Task, snapshots: Sequence[Tensor], epochs: Sequence[int], model: WideAndDeep
) -> EmbeddingExplorer:
    """The map: the deep side's vectors of films and of all small fields.

    Args:
        task: whose films.
        snapshots: `field_vectors` of each epoch shown.
        epochs: which they are.
        model: the trained one, for the wide weights told of sequels.
    """
    world, roles = task.world, sequel_roles(task)
    weights = model.wide.cross_weights(0).detach()
    details, part_two = [], {int(one): two for two, one in enumerate(world.film.sequel_of)}
    for film in range(world.n_films):
        text, first = GENRES[world.film.genre[film]], int(world.film.sequel_of[film])
        if first >= 0:
            weight = float(weights[first + 1, film + 1])
            text += f"; part two of “{world.titles[first]}”, wide weight {weight:.2f}"
        elif film in part_two:
            text += f"; part one of “{world.titles[part_two[film]]}”"
        details.append(text)
    small = [f for f, name in enumerate(FIELDS) if name not in ("user", "film")]
    values = [(f, v) for f in small for v in range(1, task.cardinalities[f])]
    names = [f"{FIELDS[f]}: {value_name(task, f, v)}" for f, v in values]
    genre = [GENRES[g] for g in world.film.genre]
    shown = torch.bincount(world.log.film.long(), minlength=world.n_films).tolist()
    return explorer(
        snapshots, epochs, None, [*map(str, world.titles), *names],
        [*details, *("a value of the field " + FIELDS[f] for f, _ in values)],
        {
            "sequels": [*roles, *["another field"] * len(values)],
            "genre": [*genre, *["another field"] * len(values)],
            "times shown": [*shown, *[0] * len(values)],
        },
        title="Vectors of the deep side: films and the values of all small fields", noun="value",
    )  # fmt: skip


# ---------------------------------------------------------------- offline and online


def charge_values(record: dict, logging: str) -> dict[str, dict[str, list[float]]]:
    """Model → offline "auc" and "log_loss" and, in charge, "clicks" as a share of the oracle's."""
    kinds = record["figures"]["in_charge"][logging]
    best = [run["clicks"] for run in kinds["oracle"]]
    return {
        name: {
            "auc": [run["auc"] for run in runs],
            "log_loss": [run["log_loss"] for run in runs],
            "clicks": [run["clicks"] / top for run, top in zip(runs, best, strict=True)],
        }
        for name, runs in kinds.items()
        if name != "oracle"
    }


LOG_WORDS = {
    "service": "logged by the service",
    "wide": "logged by a wide model",
    "random": "logged by chance",
}


def charge_figure(record: dict) -> Picture:
    """Offline AUC against clicks in charge, by who made the log."""
    figure, axes = plt.subplots(1, 3, figsize=(8.2, 3.1), sharey=True)
    told = []
    for ax, (logging, words) in zip(axes, LOG_WORDS.items(), strict=True):
        for name, values in charge_values(record, logging).items():
            x, y = t_interval(values["auc"]), t_interval(values["clicks"])
            ax.errorbar(
                x.mean, y.mean, xerr=x.high - x.mean, yerr=y.high - y.mean, fmt="o", ms=6,
                capsize=2, color=PALETTE[COLOURS[name]], label=name,
            )  # fmt: skip
            told.append(f"{words}, {name}: AUC {x.mean:.3f}, clicks {y.mean:.2f}")
        ax.set_title(words, fontsize=9)
        ax.set_xlabel("AUC offline", fontsize=9)
        ax.tick_params(labelsize=8)
    axes[0].set_ylabel("clicks in charge,\nshare of the oracle's", fontsize=9)
    axes[0].legend(fontsize=8)
    return show(figure, alt=f"Offline AUC and clicks online: {'; '.join(told)}")


def charge_gap(record: dict, logging: str, a: str, b: str, figure: str) -> Comparison:
    """a minus b, of "auc", "log_loss" or "clicks", paired over worlds."""
    values = charge_values(record, logging)
    return by_world(values[a][figure], values[b][figure])


# ---------------------------------------------------------------- real data


def frappe_table(record: dict) -> pd.DataFrame:
    """Models by AUC (each row of the test against two sampled apps that its user never used) and by
    the number of epochs chosen, under both splits, beside what BARS reports."""
    test, settings = record["figures"]["test"], record["figures"]["settings"]
    rows = {}
    for name in test["by row"]:
        rows[name] = {}
        for split in ("by pair", "by row"):
            auc = t_interval([run["auc"] for run in test[split][name]])
            rows[name][f"AUC, {split}"] = auc.text(3)
            rows[name][f"epochs, {split}"] = settings[split][name]["epochs"]
        rows[name]["BARS Frappe_x1"] = f"{BARS[name][0]:.3f}" if name in BARS else ""
    return pd.DataFrame(rows).T


def frappe_gap(record: dict, split: str, a: str, b: str, figure: str = "auc") -> Comparison:
    """a minus b, paired over seeds."""
    test = record["figures"]["test"][split]
    return by_training(*([run[figure] for run in test[name]] for name in (a, b)))
