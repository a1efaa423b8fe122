"""KuaiRand-Pure: its quirks, on a made-up copy that goes the common way, and as published."""

import io
import tarfile

import pytest
import torch

from recsys_book.chapters.ch04_youtube_dnn.kuairand import label_table
from recsys_book.data import fetch, kuairand_pure, load
from recsys_book.data.fetch import DataUnavailable

LOG = """user_id,video_id,date,hourmin,time_ms,is_click,long_view,play_time_ms,duration_ms,tab
1,2,20220424,0,1650700000000,1,1,9000,9000,1
1,0,20220425,0,1650870002000,1,1,9500,8000,1
0,2,20220425,0,1650870001500,0,0,3000,9000,4
0,2,20220425,0,1650870001500,0,0,3000,9000,4
0,1,20220426,0,1650960000000,1,0,700,0,1
0,1,20220426,0,1650960000000,1,0,1200,0,1
1,2,20220426,0,1650970000000,1,1,5000,9000,0
"""
VIDEOS = """video_id,author_id,video_type,upload_dt,upload_type,tag
0,5,NORMAL,2022-04-10,Web,"39,7"
1,6,AD,2022-04-10,Web,
2,5,NORMAL,2022-04-11,Kmovie,39
"""
USERS = "user_id,user_active_degree,x\n0,full_active,1\n1,UNKNOWN,2\n2,full_active,3\n"
CONTENTS = {
    kuairand_pure.LOG.name: LOG,
    kuairand_pure.VIDEOS.name: VIDEOS,
    kuairand_pure.USERS.name: USERS,
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the made-up copy goes, with checks that know it."""
    for file in kuairand_pure.FILES:
        monkeypatch.setattr(file, "known", file.digest(CONTENTS[file.name].encode()))
    monkeypatch.setenv(fetch.MIRROR_VARIABLE, str(tmp_path))
    monkeypatch.setattr(fetch.pooch, "os_cache", lambda name: tmp_path / "cache")
    made = tmp_path / "kuairand-pure"
    made.mkdir()
    return made


def write(folder, contents=CONTENTS):
    for name, text in contents.items():
        (folder / name).write_text(text)


def pack(folder, contents=CONTENTS):
    with tarfile.open(folder / "KuaiRand-Pure.tar.gz", "w:gz") as made:
        for name, text in contents.items():
            info = tarfile.TarInfo(f"KuaiRand-Pure/data/{name}")
            info.size = len(text.encode())
            made.addfile(info, io.BytesIO(text.encode()))


@pytest.mark.parametrize("put", [write, pack])
def test_every_quirk_is_handled_and_told(folder, put):
    put(folder)
    k = load("kuairand-pure", download=False)
    assert len(k) == 4 and k.n_repeats == 2 and (k.n_users, k.n_videos) == (3, 3)
    assert k.user.tolist() == [0, 1, 0, 1] and k.video.tolist() == [2, 0, 1, 2]
    assert k.time.tolist() == [1650870001, 1650870002, 1650960000, 1650970000]
    assert k.day.tolist() == [0, 0, 1, 1]  # the day before is cut off
    # Not clicked: 3 seconds of autoplay are no watch time. Of two repeats the longer one stays.
    assert k.play_seconds.tolist() == pytest.approx([3, 9.5, 1.2, 5])
    assert k.watch_seconds.tolist() == pytest.approx([0, 9.5, 1.2, 5])
    assert k.duration.tolist() == [8, 0, 9]
    assert k.completed.tolist() == [False, True, False, False]  # a length of 0 is not known
    assert k.user_fields.ids.flatten().tolist() == [1, 2, 1]
    assert k.video_fields.ids[:, 2].tolist() == [1, 2, 1]  # "39,7" has the first tag 39
    assert "2 repeats left out" in str(k) and "1 not clicked and played all the same" in str(k)


def test_the_positive_is_a_named_choice(folder):
    write(folder)
    k = load("kuairand-pure", download=False)
    videos = {word: k.watches(word).item.tolist() for word in kuairand_pure.POSITIVES}
    assert videos == {"click": [0, 1, 2], "long view": [0, 2], "completed": [0]}
    watches = k.watches("long view")
    assert watches.time.tolist() == [1650870002, 1650970000]
    assert watches.weight.tolist() == pytest.approx([9.5, 5])
    with pytest.raises(ValueError, match="positive is 'like'"):
        k.watches("like")


def test_rows_can_be_taken(folder):
    write(folder)
    k = load("kuairand-pure", download=False)
    later = k[k.day == 1]
    assert later.video.tolist() == [1, 2] and later.n_videos == 3
    assert later.watch_seconds.tolist() == pytest.approx([1.2, 5])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (kuairand_pure.LOG.name, ("9500", "9501")),
        (kuairand_pure.LOG.name, ("play_time_ms", "play")),
        (kuairand_pure.VIDEOS.name, ("Kmovie", "Web")),
        (kuairand_pure.USERS.name, ("UNKNOWN", "known")),
    ],
)
@pytest.mark.parametrize("put", [write, pack])
def test_an_altered_file_is_refused(folder, put, name, change):
    put(folder, CONTENTS | {name: CONTENTS[name].replace(*change)})
    with pytest.raises(ValueError, match="truncated or altered"):
        load("kuairand-pure", download=False)


def test_what_is_not_used_may_differ_and_so_may_the_order_of_rows(folder):
    head, *rows = LOG.splitlines()
    shuffled = "\n".join([head, *reversed(rows)]).replace("\n1,0,20220425,0,", "\n1,0,20220425,7,")
    write(folder)
    one = load("kuairand-pure", download=False)
    write(folder, CONTENTS | {kuairand_pure.LOG.name: shuffled + "\n"})
    other = load("kuairand-pure", download=False)
    for name in ("user", "video", "time", "clicked", "play_seconds", "tab"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_truncated_archive_is_refused(folder):
    pack(folder)
    path = folder / "KuaiRand-Pure.tar.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"KuaiRand-Pure.tar.gz is truncated or altered"):
        load("kuairand-pure", download=False)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x"])
def test_an_archive_that_reaches_outside_its_folder_is_refused(tmp_path, name):
    path = tmp_path / "bad.tar.gz"
    with tarfile.open(path, "w:gz") as made:
        made.addfile(tarfile.TarInfo("fine"), io.BytesIO())
        made.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match="lies outside its folder"):
        fetch.read_tar_member(path, "fine")


def test_as_published():
    try:
        k = load("kuairand-pure", download=False)
    except DataUnavailable as reason:
        pytest.skip(str(reason)[:90])
    assert len(k) + k.n_repeats == 228_329 and k.n_repeats == 5_885
    assert len(k.user.unique()) == 25_156 and len(k.video.unique()) == 6_361
    assert (k.n_users, k.n_videos) == (27_285, 7_583)
    assert k.day.unique().tolist() == list(range(14))
    assert int((k.duration[k.video] == 0).sum()) == 3_568
    assert len(k.watches("completed")) == 31_041
    assert bool((k.watch_seconds[~k.clicked] == 0).all())


def test_labels_are_counted(folder):
    write(folder)
    table = label_table(load("kuairand-pure", download=False))
    assert table.loc["click"].tolist() == ["3", "75.0%", "0", "5"]
    assert table["rows"].tolist() == ["3", "2", "1"]
