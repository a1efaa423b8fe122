"""Rare groups are put together."""

import pytest

from recsys_book.chapters.own_log import lab as own_log


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(own_log, "EPOCHS", 2)
    one = {name: options[:1] for name, options in own_log.SETTINGS.items()}
    monkeypatch.setattr(own_log, "SETTINGS", one)


def test_rare_groups_are_put_together():
    from recsys_book.show.explorers import frequent

    names = [f"g{i}" for i in range(30) for _ in range(i + 1)]
    shorter = frequent(names, 5)
    assert len(set(shorter)) == 5 and shorter.count("other") == sum(range(1, 27))
    assert frequent(["a", "b"], 2) == ["a", "b"]
