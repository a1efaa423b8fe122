"""Maps that lie, and how it is told."""

from recsys_book.chapters.ch02_embeddings import figures


def test_lies_are_lies():
    found = figures.lies(seeds=(0,))
    truth, drawn = found["one group far away"]
    assert truth[0] > 8 and drawn[0] < 2
    truth, drawn = found["one tight, one wide"]
    assert truth[0] > 8 and drawn[0] < 2
    truth, drawn = found["pure noise"]
    assert drawn[0] > truth[0] + 0.1
