"""Maps that lie, and how it is told."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys_book.chapters.ch02_embeddings import figures
from recsys_book.chapters.ch02_embeddings.answers import directions
from recsys_book.reproduce import read_record
from recsys_book.service import simulate
from recsys_book.service.world import GENRES

ROOT = Path(__file__).parents[3]


def test_lies_are_lies():
    found = figures.lies(seeds=(0,))
    truth, drawn = found["one group far away"]
    assert truth[0] > 8 and drawn[0] < 2
    truth, drawn = found["one tight, one wide"]
    assert truth[0] > 8 and drawn[0] < 2
    truth, drawn = found["pure noise"]
    assert drawn[0] > truth[0] + 0.1


def test_figures_of_the_answers_tell_their_means():
    record = read_record("ch02/answers")
    key = "preferences off, guess on"
    kept = figures.handwriting(record, key)
    assert len(kept["clicks"]) == 5
    mean = f"{np.mean(kept['clicks']):.2f}".replace("0.", ".")
    assert f"{key}, MF on clicks, negatives drawn: {mean}" in figures.handwriting_figure(record).alt
    table = figures.handwriting_table(record)
    assert table.loc["nobody prefers a genre", "the service keeps its guess"] == mean
    assert len(set(table.to_numpy().ravel())) == 4
    real_no = figures.handwriting_table(record, "impressions")
    mean = f"{np.mean(kept['impressions']):.2f}".replace("0.", ".")
    assert real_no.loc["nobody prefers a genre", "the service keeps its guess"] == mean
    worth = np.mean(figures.two_logs_values(record, "impressions", "clicks"))
    told = f"MF on impressions, clicks its ten films would earn: {worth:.2f}".replace("0.", ".")
    assert told in figures.two_logs_figure(record).alt
    table = figures.swapped_table(record)
    assert list(table.index) == [
        "clicks", "clicks, other setting", "impressions", "impressions, other setting",
    ]  # fmt: skip
    alt = figures.spectra_figure(record).alt
    assert alt.count("equal directions") == 6


def test_two_maps_tell_the_purity_of_what_they_draw():
    world = simulate(n_users=150, n_films=120, seed=0)
    genre = torch.from_numpy(world.film.genre)
    known = torch.nn.functional.one_hot(genre.long(), len(GENRES)).float() + 0.01 * torch.randn(
        120, len(GENRES)
    )
    found = {"known": (world, known), "noise": (world, torch.randn(120, 8))}
    told = dict(re.findall(r"(known|noise): .*?purity ([.\d]+)", figures.two_maps(found).alt))
    assert float(told["known"]) > 0.6 > 0.3 > float(told["noise"])


def test_arrows_after_a_click_turn_towards_each_other_and_apart_without():
    alt = figures.click_arrows(torch.tensor([1.0, 0.3]), torch.tensor([0.2, 1.0]), lr=1.0).alt
    assert "a click, dot product from 0.50 to 1.38" in alt
    assert "no click, dot product from 0.50 to −0.63" in alt


def test_words_under_folds_hold_what_the_records_hold():
    answers, old = read_record("ch02/answers")["figures"], read_record("ch02/embeddings")["figures"]
    clicks, shown = answers["settings"]["clicks"], answers["settings"]["impressions"]
    assert (clicks["dim"], clicks["lr"], clicks["epochs"]) == (32, 0.02, 12)
    assert (shown["dim"], shown["lr"], shown["fall"], shown["epochs"]) == (8, 0.04, 0.6, 6)
    assert "32 dimensions" in figures.SWAPPED and "six passes" in figures.SWAPPED
    without = [run["MF without"]["correlation"] for run in old["films"]["length"]]
    assert np.mean(without) == pytest.approx(0.69, abs=0.006) and ".69" in figures.LENGTHS
    tuned = answers["spectra"]["films"]["epochs and penalty"]["256"]
    assert round(np.mean([directions(one) for one in tuned])) == 55
    assert "55 equal" in figures.SPECTRA


def test_the_tribes_end_as_the_chapter_says():
    """The numbers in the text are typed; elsewhere a training may end a little differently."""
    text = (ROOT / "chapters/02_embeddings.ipynb").read_text(encoding="utf-8")
    said = {
        way: tuple(float(number.replace("−", "-")) for number in numbers)
        for way, *numbers in re.findall(
            r"- \*\*([\w ]+)\*\* \((?:mean cosine )?(−?[.\d]+), (?:purity )?([.\d]+)\)", text
        )
    }
    assert len(said) == 4
    alts = figures.tribes_frames(steps=(0, 30)).alts
    for numbers, alt in zip(said.values(), alts[1::2], strict=True):
        cosine, purity = re.search(r"films (−?[.\d]+), neighbour purity ([.\d]+)", alt).groups()
        assert numbers[0] == pytest.approx(float(cosine.replace("−", "-")), abs=0.06)
        assert numbers[1] == pytest.approx(float(purity), abs=0.1)
