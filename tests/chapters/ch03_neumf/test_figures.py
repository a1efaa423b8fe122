"""Chapter 03's figures, over the recorded run of the paper's table."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from recsys_book.chapters.ch03_neumf import figures, race
from recsys_book.maps import neighbour_purity
from recsys_book.models.ncf import NeuMF
from recsys_book.reproduce import read_record
from recsys_book.service import simulate
from recsys_book.show.intervals import Interval, t_interval


@pytest.fixture(scope="module")
def record() -> dict:
    return read_record("ch03/paper")


def test_every_cell_of_the_paper_is_there(record):
    table = figures.paper_table(record)
    assert list(table.index) == [8, 16, 32, 64] and list(table["seeds"]) == [3, 1, 3, 1]
    assert not table.isna().any().any()


def test_figures_are_of_models_refitted_and_chosen_on_validation(record):
    for runs in record["figures"]["cells"].values():
        for run in runs:
            assert run["epochs"] == int(np.argmax(run["validation"])) + 1
            rule = run["protocols"]["refit/validation"]["sampled"]["worst"]
            assert rule == pytest.approx(run["test"])


@pytest.fixture(scope="module")
def recipe() -> dict:
    return read_record("ch03/recipe_32")


def test_the_recipes_rate_and_epochs_are_those_that_validation_likes_best(recipe):
    cells, tried = recipe["figures"]["cells"], recipe["figures"]["tried"]
    for name in ("GMF/32", "MLP/32", "NeuMF/32"):
        best = {float(rate): max(one["validation"]) for rate, one in tried[name].items()}
        [row] = cells[name].values()
        assert len(best) == 3 and row["rate"] == max(best, key=best.get)
        assert row["epochs"] == int(np.argmax(row["validation"])) + 1
        assert row["epochs"] < len(row["validation"])  # it went on until validation turned
    [row] = cells["NeuMF, pre-trained/32"].values()  # the start is the first of what is chosen from
    assert row["epochs"] == int(np.argmax(row["validation"]))


def test_a_dot_of_the_recipe_is_what_its_people_say(recipe):
    for key, rows in recipe["figures"]["cells"].items():
        name, size = key.rsplit("/", 1)
        hits = figures.recipe_hits([recipe], name, int(size))
        assert hits.shape == (len(rows), 6_040)
        assert hits.mean(1) == pytest.approx([row["test"][0] for row in rows.values()])
    alt = figures.recipe_figure([recipe]).alt
    assert alt.startswith("GMF with 32 factors 0.698") and "the paper's 0.726" in alt
    with pytest.raises(ValueError, match="'MLP' with 5 factors"):
        figures.recipe_hits([recipe], "MLP", 5)


def test_cells_of_the_recipe_take_the_place_of_older_ones(record, recipe):
    table = figures.with_recipe(record, [recipe])
    for name in ("GMF", "MLP", "NeuMF", "NeuMF-pre"):
        [run] = figures.cells(table, name, 32)
        rule = run["protocols"]["refit/validation"]
        assert rule["sampled"]["worst"] == pytest.approx(run["test"], abs=1e-6)
        assert rule["full"]["worst"][0] < 0.11 < run["test"][0]
        assert figures.cells(table, name, 8) is figures.cells(record, name, 8)
    assert len(figures.cells(record, "GMF", 32)) == 3  # the record itself stays as it is


def test_words_under_folds_hold_what_the_records_hold(record, recipe):
    hit_rate = lambda key: next(iter(recipe["figures"]["cells"][key].values()))["test"][0]
    older = lambda name: np.mean([test[0] for test in figures.tests(record, name, 32)])
    told = {
        ".688": hit_rate("MLP, 4 layers/32"), ".681": hit_rate("MLP, script/32"),
        ".672": older("MLP"), ".703": older("GMF"), ".706": older("NeuMF-pre"),
    }  # fmt: skip
    for words, value in told.items():
        assert words in figures.REPLICATION and float(words) == pytest.approx(value, abs=6e-4)
    rates = {n: recipe["figures"]["cells"][f"{n}/32"]["0"]["rate"] for n in ("GMF", "NeuMF", "MLP")}
    assert rates == {"GMF": 0.0005, "NeuMF": 0.0005, "MLP": 0.005}
    more = read_record("ch03/simulated")["figures"]["more"]
    leads = [
        world["negatives"][f"NeuMF/{n}"] - world["negatives"][f"MF/{n}"]
        for world in more
        for n in (1, 2, 3, 4, 6, 8, 10)
    ]
    assert (
        min(leads) > 0 and "NeuMF is ahead of MF at every number" in figures.SIDES["negatives"][1]
    )


def test_popularity_scores_what_it_scores_everywhere(record):
    popular = figures.honest_table(record, digits=4).loc["Popularity"]
    assert popular["HR@10 among 99"] == pytest.approx(0.4535, abs=0.001)
    [run] = record["figures"]["baselines"]["Popularity"]["runs"]
    assert run["test"][1] == pytest.approx(0.2543, abs=0.001)


def test_the_order_is_compared_by_unrounded_figures(record):
    table = figures.honest_table(record, digits=None)
    tau, swapped, pairs = figures.order_kept(record)
    assert pairs == len(table) * (len(table) - 1) // 2
    assert tau == pytest.approx(1 - 2 * swapped / pairs)  # no ties


def test_switches_start_at_the_table_and_let_three_models_win(record, recipe):
    record = figures.with_recipe(record, [recipe])
    widget = figures.switches(record)
    table = figures.honest_table(record, digits=None)["HR@10 among 99"]
    shown = widget.shown()
    for racer, row in (("item model", "EASE"), ("MF", "MF, 64, tuned"), ("NeuMF", "NeuMF, 32")):
        assert shown[racer] == pytest.approx(table[row], abs=1e-6)
    values = np.frombuffer(widget.data, dtype="<f4").reshape(-1, len(widget.models))
    ordered = np.sort(values, axis=1)
    clear = values[ordered[:, -1] - ordered[:, -2] > widget.margin]
    winners = {widget.models[i] for i in clear.argmax(1)}
    assert winners == {"item model", "MF", "NeuMF"}


def verdict(widget, **positions) -> str | None:
    """Who wins by more than the margin, with a switch or two flipped from where they start."""
    rules = list(figures.RULES)
    index = [0] * len(rules)
    for name, position in positions.items():
        rule = name.replace("_", " ")
        index[rules.index(rule)] = figures.RULES[rule].index(position)
    widget.index = index
    (first, best), (_, second) = sorted(widget.shown().items(), key=lambda pair: -pair[1])[:2]
    return first if best - second > widget.margin else None


def test_the_widget_says_what_the_chapter_says(record, recipe):
    """Tuned rivals are too close to tell; NeuMF wins over neglected ones, and over no others."""
    widget = figures.switches(figures.with_recipe(record, [recipe]))
    assert widget.margin == figures.SETTLED
    assert verdict(widget) is None
    assert verdict(widget, item_model_is="ItemKNN", MF_is="as it comes") == "NeuMF"
    assert verdict(widget, item_model_is="ItemKNN") == "MF"
    assert verdict(widget, MF_is="as it comes") == "item model"
    neglected = {"item_model_is": "ItemKNN", "MF_is": "as it comes"}
    assert verdict(widget, **neglected, ranked_among="all films") is None


def test_under_a_hundredth_nothing_is_settled(record):
    gap = lambda mean, half: Interval(mean, mean - half, mean + half, 3)
    assert figures.settled(gap(0.02, 0.01)) and figures.settled(gap(-0.01, 0.002))
    assert not figures.settled(gap(0.02, 0.03))  # seeds do not agree
    assert not figures.settled(gap(0.009, 0.001)) and not figures.settled(gap(-0.009, 0.001))
    # Half of a 95 % interval where two models disagree about one person in six.
    assert figures.SETTLED == pytest.approx(1.96 * (1 / 6 / 6_040) ** 0.5, abs=5e-4)


def test_sizes_in_the_names_are_those_of_the_settings(record):
    for name in ("MF", "NeuMF"):
        size = record["figures"]["tuned"][name]["factors"]
        runs = figures.honest_runs(record)[f"{name}, {size}, tuned"]
        assert runs is record["figures"]["cells"][figures.tuned_key(record, name)]


def test_a_lucky_epoch_is_what_choosing_on_the_test_gains(record):
    before = figures.gains_by_test(record)
    doctored = copy.deepcopy(record)
    for run in doctored["figures"]["cells"]["NeuMF/8"]:
        run["test_by_epoch"].append([run["test"][0] + 0.1, 0.0])
    after = figures.gains_by_test(doctored)
    assert after["NeuMF, 8"].mean == pytest.approx(0.1)
    assert {who for who in before if after[who] != before[who]} == {"NeuMF, 8"}
    mean = np.mean([gain.mean for gain in after.values()])
    assert figures.mean_gain_by_test(doctored).value == pytest.approx(mean)
    assert figures.mean_gain_by_test(doctored).gap.n == 3


def test_what_counts_as_no_is_told_as_recorded():
    answers, ladder = read_record("ch02/answers"), read_record("ch00/simulated")
    table = figures.by_what_counts_as_no(answers, ladder)
    worlds = answers["figures"]["two logs"]
    told = [world["impressions"]["clicks"] for world in worlds]
    assert table["clicks of its ten films"]["MF (chapter 0)"] == t_interval(told).text(2)
    full = ladder["figures"]["full"]
    popular = [world["Most clicked"]["ndcg"] for world in full]
    share = [(w["DNN"]["ndcg"] - p) / (1 - p) for w, p in zip(full, popular, strict=True)]
    row = table.loc["DNN (chapter 0)"]
    assert row["finds the best ten (NDCG@10)"] == t_interval(share).text(2)
    clicks = [w["Most clicked"]["clicks"] for w in full]
    share = [
        (w["Ids-only oracle"]["clicks"] - p) / (1 - p) for w, p in zip(full, clicks, strict=True)
    ]
    row = table.loc["The truth, without hour and screen"]
    assert row["clicks of its ten films"] == t_interval(share).text(2)
    # The same training of MF on impressions, judged by the same people, in both records.
    ours = [(w["MF"]["ndcg"] - p) / (1 - p) for w, p in zip(full, popular, strict=True)]
    assert [w["impressions"]["ndcg"] for w in worlds] == pytest.approx(ours, abs=0.02)


def test_the_race_is_drawn_and_told_as_recorded():
    race = read_record("ch03/race")
    worlds = race["figures"]["worlds"]
    assert figures.shares(race, "NeuMF") == [world["ndcg"] for world in worlds["NeuMF"]]
    alt = figures.race_figure(race).alt
    for measure, words in figures.MEASURES.items():
        part = next(told for told in alt.split("; ") if told.startswith(words))
        for name in worlds:
            mean = f"{np.mean(figures.shares(race, name, measure)):.3f}"
            assert f"{figures.NAMES.get(name, name)} {mean}" in part
    table, chosen = figures.settings_table(race), race["figures"]["search"]
    assert list(table.index) == [figures.NAMES.get(name, name) for name in chosen]
    assert f"rate {chosen['GMF']['best']['lr']:g}, " in table.loc["GMF", "chosen"]
    assert "tower" not in table.loc["GMF", "chosen"] and "tower" in table.loc["MLP", "chosen"]
    assert (table["tried"] >= 24).all()


@pytest.mark.parametrize(("which", "rows"), [("negatives", 7), ("depth", 5), ("amounts", 4)])
def test_side_questions_are_told_as_recorded(which, rows):
    older = read_record("ch03/simulated")
    table = figures.side_table(older, which)
    assert len(table) == rows and not table.isna().any().any()
    recorded = older["figures"]
    if which == "amounts":
        clicks = [int(name.split()[0].replace(",", "")) for name in table.index]
        assert clicks == sorted(clicks)
        told = recorded["amounts"]["EASE"]["1.0000"]["share"]
        assert table["EASE"].iloc[-1] == t_interval(told).text(3)
    elif which == "depth":
        told = [world["depth"]["4"] for world in recorded["more"]]
        assert table.loc["4 hidden", "MLP"] == t_interval(told).text(3)
    else:
        told = [world["negatives"]["NeuMF/10"] for world in recorded["more"]]
        assert table.loc["10 per click", "NeuMF"] == t_interval(told).text(3)


class Liking:
    """Likes films in a given order, whoever asks."""

    def __init__(self, order):
        self.order = order

    def score(self, users):
        return self.order.float().expand(len(users), -1)


def test_lists_hold_no_film_that_was_clicked_and_are_counted_against_the_truth():
    world = simulate(n_users=150, n_films=120)
    course = race.course(world, n_users=50)
    up, down = Liking(torch.arange(120)), Liking(-torch.arange(120))
    people = course.ranking.relevant.user.unique()
    lists = figures.tens(course, {"up": up, "again": up, "down": down}, people)
    seen = set(
        zip(course.ranking.seen.user.tolist(), course.ranking.seen.item.tolist(), strict=True)
    )
    for films in lists.values():
        assert films.shape == (50, 10)
        pairs = zip(people.repeat_interleave(10).tolist(), films.flatten().tolist(), strict=True)
        assert not seen & set(pairs)
    found = figures.shared_films([course], [{"up": up, "again": up, "down": down}])
    assert found["up", "again"] == [10] and found["up", "down"] == [0]
    assert found["up", "The oracle"] == found["again", "The oracle"]
    table = figures.shared_table(found)
    assert table.loc["up", "again"] == "10.0" and table.loc["up", "up"] == ""
    widget = figures.ten_films_frames(world, course, {"up": up}, people[:2].tolist())
    assert len(widget.alts) == 2 and "The oracle: " in widget.alts[0]
    assert "10 of the best ten" in widget.alts[0].split("The oracle")[1]


def test_the_map_shows_every_film_by_both_tables():
    world = simulate(n_users=150, n_films=120)
    log = world.log.clicks().without_repeats()
    model = NeuMF(150, 120, 4, 8, (8, 4))
    widget = figures.two_tables_explorer(world, log, model, perplexity=10)
    assert widget.axis["labels"] == ["GMF's", "the tower's"] and len(widget.titles) == 120
    genre = torch.from_numpy(world.film.genre)
    for part, caption in zip((model.gmf, model.mlp), widget.captions, strict=True):
        pure = neighbour_purity(normalize(part.item_vectors.weight.detach()), genre)
        assert f"neighbour purity {pure:.2f}" in caption


def test_pictures_name_what_they_show(record):
    assert "change places" in figures.two_rulers_figure(record).alt
