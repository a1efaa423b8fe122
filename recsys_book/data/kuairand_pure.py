"""KuaiRand-Pure: impressions of a short-video service with real watch time.

Gao, Li, Zhang, Chen, Li, Lei, Jiang, He: KuaiRand: An Unbiased Sequential Recommendation Dataset
with Randomly Exposed Videos. CIKM 2022, https://doi.org/10.1145/3511808.3557624. Here the log of
the service's own policy, 25 April to 8 May 2022: 228,329 rows, 25,156 users, 6,361 videos.

What a loader must handle, and what this one does:

- 5,885 rows repeat a user, a video and a millisecond, mostly whole. One is kept, the one played
  longest where they differ.
- 3,568 rows are of 176 videos whose length is written as 0, that is, unknown. They stay; whether
  such a video was watched to its end is not known, and counts as no.
- Nearly half of all rows were not clicked and were played all the same: on some pages videos start
  by themselves. `watch_seconds` counts clicked rows only. That leaves out the time of whoever let
  a video run and liked it.
- The published file begins three days earlier; these days are cut off. Both forms give the same
  tensors, and one digest of the sorted content checks either.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from recsys_book.data.fetch import DataUnavailable, RemoteFile, find, read_tar_member
from recsys_book.data.frames import EncodedFields, encode_fields
from recsys_book.data.interactions import Interactions

NAME = "kuairand-pure"
FIRST_DATE = 20_220_425
POSITIVES = ("click", "long view", "completed")

_LOG_COLUMNS = (
    "user_id", "video_id", "date", "time_ms", "is_click", "long_view", "play_time_ms",
    "duration_ms", "tab",
)  # fmt: skip
_VIDEO_COLUMNS = ("video_id", "video_type", "upload_type", "tag")
_USER_COLUMNS = ("user_id", "user_active_degree")


@dataclass(frozen=True)
class KuaiRand:
    """Impressions in the order of time, M rows; U = 27,285 users and N = 7,583 videos, of whom not
    all occur. Ids are those of the files, which run from 0.

    Attributes:
        user, video: `[M]` int64.
        time: `[M]` int64, seconds since 1970.
        day: `[M]` int64 from 0, 25 April 2022, as the file dates the row (in China's zone; a few
            rows are dated an hour or two ahead of their time, so cut by one or the other, never by
            both).
        tab: `[M]` int64, the page of the app, 0 to 14.
        clicked, long_view: `[M]` bool, as the service counts them.
        play_seconds: `[M]` float32, how long the video played, clicked or not.
        duration: `[N]` float32, length of the videos in seconds; 0 where it is not known.
        user_fields: one field of the users, how active they are; `ids` is `[U, 1]`.
        video_fields: type, way of upload and first tag of the videos; `ids` is `[N, 3]`.
        n_repeats: rows left out as repeats.
    """

    user: Tensor
    video: Tensor
    time: Tensor
    day: Tensor
    tab: Tensor
    clicked: Tensor
    long_view: Tensor
    play_seconds: Tensor
    duration: Tensor
    user_fields: EncodedFields
    video_fields: EncodedFields
    n_repeats: int

    def __len__(self) -> int:
        return len(self.user)

    def __getitem__(self, rows: Tensor | slice) -> KuaiRand:
        """The impressions at `rows` (a slice, a mask `[M]` or positions)."""
        of_rows = ("user", "video", "time", "day", "tab", "clicked", "long_view", "play_seconds")
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return KuaiRand(**{k: v[rows] if k in of_rows else v for k, v in columns.items()})

    @property
    def n_users(self) -> int:
        return len(self.user_fields.ids)

    @property
    def n_videos(self) -> int:
        return len(self.video_fields.ids)

    @property
    def watch_seconds(self) -> Tensor:
        """`[M]` float32: seconds played of clicked rows, 0 of the others."""
        return torch.where(self.clicked, self.play_seconds, 0.0)

    @property
    def completed(self) -> Tensor:
        """`[M]` bool: clicked and played for the video's whole length, where that is known."""
        length = self.duration[self.video]
        return self.clicked & (length > 0) & (self.play_seconds >= length)

    def watches(self, positive: str) -> Interactions:
        """The rows that count as a watch, every one of them, with times; weight in seconds played.

        Args:
            positive: one of `POSITIVES`. "completed" is the paper's (Covington et al. 2016, section
                3.1), and too strict for this log: 31,041 rows and hardly a history of ten.

        Raises:
            ValueError: another word.
        """
        masks = {"click": self.clicked, "long view": self.long_view, "completed": self.completed}
        if positive not in masks:
            raise ValueError(f"positive is {positive!r}; it must be one of {', '.join(POSITIVES)}")
        rows = masks[positive]
        return Interactions(
            self.user[rows],
            self.video[rows],
            self.n_users,
            self.n_videos,
            time=self.time[rows],
            weight=self.play_seconds[rows],
        )

    def __str__(self) -> str:
        autoplay = int((~self.clicked & (self.play_seconds > 0)).sum())
        unknown = int((self.duration[self.video] == 0).sum())
        return (
            f"{NAME}: {len(self):,} impressions ({self.n_repeats:,} repeats left out) of "
            f"{len(self.video.unique()):,} videos to {len(self.user.unique()):,} users, "
            f"{float(self.clicked.double().mean()):.1%} clicked; {autoplay:,} not clicked and "
            f"played all the same, {unknown:,} of a length not known"
        )


def load_kuairand_pure(*, download: bool = True) -> KuaiRand:
    """Load and check the set. See `recsys_book.data.load` for where it looks."""
    contents = _contents(download)
    log = _read_log(contents[LOG.name])
    kept, n_repeats = _without_repeats(log)
    tensor = lambda name: torch.from_numpy(kept[name].to_numpy(dtype=np.int64).copy())
    seconds = tensor("time_ms") // 1_000
    date = pd.to_datetime(kept["date"].astype(str), format="%Y%m%d")
    videos, users = _read_videos(contents[VIDEOS.name]), _read_users(contents[USERS.name])
    duration = np.zeros(len(videos), dtype=np.float32)
    duration[kept["video_id"]] = kept["duration_ms"] / 1_000  # one length a video, in every row
    return KuaiRand(
        user=tensor("user_id"),
        video=tensor("video_id"),
        time=seconds,
        day=torch.tensor((date - pd.Timestamp(str(FIRST_DATE))).dt.days.tolist()),
        tab=tensor("tab"),
        clicked=tensor("is_click").bool(),
        long_view=tensor("long_view").bool(),
        play_seconds=(tensor("play_time_ms").double() / 1_000).float(),
        duration=torch.from_numpy(duration),
        user_fields=encode_fields(users, _USER_COLUMNS[1:]),
        video_fields=encode_fields(videos, _VIDEO_COLUMNS[1:]),
        n_repeats=n_repeats,
    )


def _without_repeats(log: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """One row for each user, video and millisecond, in the order of time."""
    key = ["time_ms", "user_id", "video_id"]
    ordered = log.sort_values([*key, "play_time_ms", "is_click", "long_view", "date", "tab"])
    kept = ordered.drop_duplicates(key, keep="last")
    return kept, len(log) - len(kept)


# ---------------------------------------------------------------- reading and checking


def _table(content: bytes, name: str, columns: Sequence[str], **how) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(content), usecols=list(columns), **how)[list(columns)]
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{name} is truncated or altered: {error}") from error


def _read_log(content: bytes) -> pd.DataFrame:
    """The columns used, from `FIRST_DATE` on."""
    log = _table(content, LOG.name, _LOG_COLUMNS, dtype=np.int64)
    return log[log["date"] >= FIRST_DATE]


def _read_videos(content: bytes) -> pd.DataFrame:
    videos = _table(content, VIDEOS.name, _VIDEO_COLUMNS, dtype=str, keep_default_na=False)
    return videos.assign(tag=videos["tag"].str.split(",").str[0])


def _read_users(content: bytes) -> pd.DataFrame:
    return _table(content, USERS.name, _USER_COLUMNS, dtype=str, keep_default_na=False)


def _log_digest(content: bytes) -> str:
    rows = _read_log(content).to_numpy().astype("<i8")
    rows = rows[np.lexsort(rows.T[::-1])]
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()


def _text_digest(read: Callable[[bytes], pd.DataFrame]) -> Callable[[bytes], str]:
    """Of a table of texts; its first column must count 0, 1, 2, …, as rows are looked up by it."""

    def digest(content: bytes) -> str:
        text = read(content).to_csv(index=False, lineterminator="\n")
        return hashlib.sha256(text.encode()).hexdigest()

    return digest


@dataclass
class _File:
    """One of the set's files, judged by what of it is used."""

    name: str
    digest: Callable[[bytes], str]
    known: str

    def check(self, content: bytes, where: object) -> None:
        found = self.digest(content)
        if found != self.known:
            raise ValueError(
                f"{where} is truncated or altered: the content used has SHA-256 {found[:16]}…, "
                f"it must be {self.known[:16]}…"
            )

    def remote(self) -> RemoteFile:
        return RemoteFile(self.name, (), lambda path: self.check(path.read_bytes(), path))


LOG = _File(
    "log_standard_4_22_to_5_08_pure.csv",
    _log_digest,
    "c92d3b918428e6119eb22c3a81e1cefaec7e299363e074d764d03adf9d7bc376",
)
VIDEOS = _File(
    "video_features_basic_pure.csv",
    _text_digest(_read_videos),
    "5f043b86a482884921a49a8b671a02bf1e1ad0ce95cd10c6a1068544f7516f6f",
)
USERS = _File(
    "user_features_pure.csv",
    _text_digest(_read_users),
    "2ba74c949e0f979ac66b7874cb3d469b117970ea8344e64480ccfa4b6167a7ae",
)
FILES = (LOG, VIDEOS, USERS)


def _in_archive(path: Path, file: _File) -> bytes:
    return read_tar_member(path, f"KuaiRand-Pure/data/{file.name}")


def _check_archive(path: Path) -> None:
    """The archive is judged by the files in it: that is what is used."""
    for file in FILES:
        file.check(_in_archive(path, file), f"{file.name} in {path}")


ARCHIVE = RemoteFile(
    "KuaiRand-Pure.tar.gz",
    ("https://zenodo.org/records/10439422/files/KuaiRand-Pure.tar.gz",),
    _check_archive,
)


def _contents(download: bool) -> dict[str, bytes]:
    try:
        return {f.name: find(NAME, f.remote(), download=False).read_bytes() for f in FILES}
    except DataUnavailable:
        archive = find(NAME, ARCHIVE, download=download)
        return {f.name: _in_archive(archive, f) for f in FILES}
