"""The rungs of the ladder: baselines, DNN, BPR, full-catalogue ranking, share of the learnable."""

import math

from recsys_book.chapters.ch00_why_deep_learning.figures import luck_of_people, price_table


def test_the_price_table_takes_its_seconds_from_the_record_and_its_counts_are_whole():
    run = lambda seconds: (
        {
            rung: {
                "auc": 0.7,
                "log_loss": 0.4,
                "ndcg": 0.2,
                "parameters": 1_234,
                "seconds": seconds,
            }
            for rung in ("Popularity", "MF", "FM", "DNN")
        }
        | {"EASE": {"ndcg": 0.1, "seconds": seconds}, "Oracle": {"auc": 0.8, "ndcg": 1.0}}
    )
    table = price_table([run(99.0)] * 3, [run(1.0), run(2.0), run(40.0)], n_films=20)
    assert table.loc["DNN", "seconds, recorded"] == table.loc["EASE", "seconds, recorded"] == "2.00"
    assert table.loc["DNN", "numbers learned"] == "1,234"
    assert table.loc["EASE", "numbers learned"] == "380" and table.loc["EASE", "AUC"] == ""
    assert table.loc["Oracle", "NDCG@10"] == "1.000" and table.loc["Oracle", "log-loss"] == ""


def test_the_luck_of_people_is_that_of_two_shares():
    rungs = {name: {"runs": [{"hit_rate": h}]} for name, h in {"EASE": 0.5, "DNN": 0.1}.items()}
    told = luck_of_people({"figures": {"films": {"users": 100, "rungs": rungs}}}, "EASE", "DNN")
    error = math.sqrt((0.5 * 0.5 + 0.1 * 0.9) / 100)
    assert "difference 0.400" in told and f"100 people may move it by ±{1.96 * error:.3f}" in told
