"""Mirror, then cache, then network; archives that are damaged."""

import functools
import http.server
import os
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys_book.data import fetch, load, ncf_ml_1m
from recsys_book.data.fetch import DataUnavailable, RemoteFile, check_sha256, find, read_member
from recsys_book.data.interactions import ABSENT, Interactions

CONTENT = b"hello, data"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty mirror, an empty cache, and a web folder served on this machine."""
    monkeypatch.setenv(fetch.MIRROR_VARIABLE, str(tmp_path / "mirror"))
    monkeypatch.setattr(fetch.pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    (tmp_path / "web").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def small_file(urls) -> RemoteFile:
    import hashlib

    return RemoteFile("a.txt", urls, check_sha256(hashlib.sha256(CONTENT).hexdigest()))


def test_mirror_then_cache_then_network(place):
    root, url = place
    (root / "web" / "a.txt").write_bytes(CONTENT)
    file = small_file([url + "a.txt"])
    downloaded = find("d", file)
    assert downloaded == root / "cache" / "recsys-book" / "d" / "a.txt"
    (root / "web" / "a.txt").unlink()
    assert find("d", file) == downloaded  # from the cache, no network needed
    (root / "mirror" / "d").mkdir(parents=True)
    (root / "mirror" / "d" / "a.txt").write_bytes(CONTENT)
    assert find("d", file) == root / "mirror" / "d" / "a.txt"


def test_a_second_address_is_tried(place):
    root, url = place
    (root / "web" / "a.txt").write_bytes(CONTENT)
    assert find("d", small_file([url + "gone.txt", url + "a.txt"])).read_bytes() == CONTENT


def test_a_broken_download_is_never_used_or_kept(place):
    root, url = place
    (root / "web" / "a.txt").write_bytes(CONTENT[:5])
    with pytest.raises(DataUnavailable, match="truncated or altered"):
        find("d", small_file([url + "a.txt"]))
    assert list((root / "cache" / "recsys-book" / "d").iterdir()) == []
    (root / "web" / "a.txt").write_bytes(CONTENT)  # the host recovers
    assert find("d", small_file([url + "a.txt"])).read_bytes() == CONTENT


def test_a_broken_copy_is_refused(place):
    root, _ = place
    (root / "mirror" / "d").mkdir(parents=True)
    (root / "mirror" / "d" / "a.txt").write_bytes(CONTENT + b"!")
    with pytest.raises(ValueError, match=r"a\.txt is truncated or altered"):
        find("d", small_file([]))


def test_no_copy_and_no_network_is_one_clear_error(place):
    root, url = place
    with pytest.raises(DataUnavailable) as caught:
        find("d", small_file([url + "gone.txt", "http://127.0.0.1:9/closed.txt"]))
    told = str(caught.value)
    for part in ("a.txt", "gone.txt", "closed.txt", fetch.MIRROR_VARIABLE, str(root / "mirror")):
        assert part in told
    assert "\n" not in told


def test_an_unwritable_cache_is_one_clear_error(place):
    root, url = place
    (root / "cache").write_text("a file where the folder should be")  # holds for root as well
    with pytest.raises(DataUnavailable, match=r"cache folder .* cannot be written"):
        find("d", small_file([url + "a.txt"]))


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/etc/evil", "a/../../evil", "c:\\evil", "..\\evil"]
)
def test_an_archive_that_writes_outside_its_folder_is_refused(tmp_path, name):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("good.txt", "good")
        made.writestr(name, "evil")
    with pytest.raises(ValueError, match="outside its folder"):
        read_member(archive, "good.txt")


def test_damaged_archives(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("good.txt", "good")
    assert read_member(archive, "good.txt") == b"good"
    with pytest.raises(ValueError, match="holds no 'other.txt'"):
        read_member(archive, "other.txt")
    archive.write_bytes(archive.read_bytes()[:20])
    with pytest.raises(ValueError, match="truncated or altered"):
        read_member(archive, "good.txt")


TRAIN = [(u, i, 1 + (u + i) % 5) for u in range(3) for i in range(u, u + 4)]


@pytest.fixture
def small_split(place, monkeypatch):
    """The NCF files' form in small: 3 users, 8 items, 2 negatives, one repeated positive."""
    import hashlib

    root, _ = place
    folder = root / "mirror" / ncf_ml_1m.NAME
    folder.mkdir(parents=True)
    triples = np.array(sorted(TRAIN), dtype="<i4")
    digest = hashlib.sha256(triples.tobytes()).hexdigest()
    constants = {"N_USERS": 3, "N_ITEMS": 8, "N_TRAIN": len(TRAIN), "N_NEGATIVES": 2}
    for name, value in (constants | {"_TRAIN_CONTENT": digest}).items():
        monkeypatch.setattr(ncf_ml_1m, name, value)
    (folder / "ml-1m.test.rating").write_text("0\t7\t5\t1\n1\t7\t4\t2\n2\t0\t3\t3\n")
    (folder / "ml-1m.test.negative").write_text("(0,7)\t5\t6\n(1,7)\t7\t0\n(2,0)\t1\t7\n")
    for name in ("TEST", "NEGATIVES"):
        old = getattr(ncf_ml_1m, name)
        digest = hashlib.sha256((folder / old.name).read_bytes()).hexdigest()
        monkeypatch.setattr(ncf_ml_1m, name, RemoteFile(old.name, (), check_sha256(digest)))

    def write_train(rows):
        text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        (folder / "ml-1m.train.rating").write_text(text)

    write_train(TRAIN)
    return write_train


def same(a: Interactions, b: Interactions) -> bool:
    return all(torch.equal(getattr(a, n), getattr(b, n)) for n in ("user", "item", "rating"))


def test_three_columns_and_four_in_any_order_give_the_same_tensors(small_split):
    short = load("ncf-ml-1m", download=False)
    small_split([(*row, 978_300_000 + n) for n, row in enumerate(reversed(TRAIN))])
    long = load("ncf-ml-1m", download=False)
    assert same(short.train, long.train)
    assert same(short.train_and_validation, long.train_and_validation)
    assert torch.equal(short.validation, long.validation)


def test_the_three_parts_are_disjoint_and_the_repeated_positive_is_dropped(small_split):
    split = load("ncf-ml-1m", download=False)
    assert split.n_repeated_positives == 1
    assert split.test_candidates.tolist() == [[7, 5, 6], [7, ABSENT, 0], [0, 1, 7]]
    key = lambda users, items: set(zip(users.tolist(), items.tolist(), strict=True))
    train = key(split.train.user, split.train.item)
    validation = key(split.users, split.validation)
    test = key(split.users, split.test_candidates[:, 0])
    assert not train & validation and not train & test and not validation & test
    both = split.train_and_validation
    assert train | validation == key(both.user, both.item)
    keys = split.train_and_validation.keys()
    assert (keys.diff() > 0).all()  # sorted by user, then item


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (TRAIN[:-1], "truncated or altered: 11 rows"),
        ([(0, 0, 5), *TRAIN[1:]], "is altered"),
        ([row[:2] for row in TRAIN], "has 2 columns"),
        ([("x", 0, 1), *TRAIN[1:]], "truncated or altered"),
    ],
)
def test_an_altered_training_file_is_refused(small_split, rows, message):
    small_split(rows)
    with pytest.raises(ValueError, match=message):
        load("ncf-ml-1m", download=False)


has_data = (Path(os.environ.get(fetch.MIRROR_VARIABLE, "")) / ncf_ml_1m.NAME).is_dir()


@pytest.mark.skipif(
    not (os.environ.get(fetch.MIRROR_VARIABLE) and has_data),
    reason=f"the NCF split is not in ${fetch.MIRROR_VARIABLE}",
)
def test_the_real_split_and_popularity():
    from recsys_book.evaluate import leave_one_out
    from recsys_book.models.baselines import Popularity

    split = load("ncf-ml-1m", download=False)
    assert split.n_repeated_positives == 156
    assert len(split.train_and_validation) == 994_169
    assert len(split.train) == 994_169 - 6_040
    report = leave_one_out(
        Popularity(split.train_and_validation), split.users, split.test_candidates
    )
    assert round(float(report.hit_rate.mean()), 4) == 0.4531
    assert report.n_not_ranked == 0
    # The draw of the validation items is the same on every machine.
    assert split.validation[:5].tolist() == [34, 106, 128, 63, 311]
