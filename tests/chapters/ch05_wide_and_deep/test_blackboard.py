"""Chapter 05's drawings say what they draw."""

from recsys_book.chapters.ch05_wide_and_deep import blackboard as lab


def test_a_cross_is_one_where_both_are():
    row = lab.crossed("part one", "part two")
    assert sum(row) == 3 and row[:3] == [1, 0, 0] and row[3:6] == [0, 1, 0]
    assert row[6:] == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert "a 1 in column 2 of the pairs" in lab.one_hot_with_cross().alt


def test_the_threshold_is_where_l1_says():
    alt = lab.soft_threshold(l1=1.0).alt
    assert "between -1.0 and 1.0" in alt
    assert "between -2.0 and 2.0" in lab.soft_threshold(l1=2.0).alt


def test_whoever_writes_the_log_is_named():
    assert "(me, you)" in lab.who_asks_whom(("me", "you")).alt
