"""Finding a data set's files: the reader's mirror, then the cache, then the network.

A file that has not passed its check is never used, and never takes the place of one that has.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from recsys_book.reading.packed import DAMAGED

#: RuntimeError, NotImplementedError among them: a member with a password, or packed in a way that
#: is not known here, as damage may have it.
_ZIP_DAMAGED: tuple[type[Exception], ...] = (*DAMAGED, RuntimeError)
_UNREADABLE: tuple[type[Exception], ...] = (*DAMAGED, OSError)

#: The variable that names the reader's own folder of data sets.
MIRROR_VARIABLE = "RECSYS_BOOK_DATA"


class DataUnavailable(RuntimeError):
    """A data set is nowhere to be had: not in the mirror, not in the cache, not on the network."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set.

    Attributes:
        name: its name on disk.
        urls: where it can be downloaded, in order of preference.
        check: raises ValueError unless the file at a path is whole and unaltered.
    """

    name: str
    urls: Sequence[str]
    check: Callable[[Path], None]


def mirror_folder(dataset: str) -> Path | None:
    """The data set's folder in $RECSYS_BOOK_DATA, or None where there is none."""
    root = os.environ.get(MIRROR_VARIABLE)
    folder = Path(root).expanduser() / dataset if root else None
    return folder if folder is not None and folder.is_dir() else None


def cache_folder(dataset: str) -> Path:
    """Where downloads of the data set are kept."""
    return Path(pooch.os_cache("recsys-book")) / dataset


def find(dataset: str, file: RemoteFile, *, download: bool = True) -> Path:
    """Path of a file that has passed its check.

    Looks in $RECSYS_BOOK_DATA/<dataset>/, then in the cache, then downloads.

    Args:
        dataset: the data set's name.
        file: what is wanted.
        download: False stops after mirror and cache.

    Raises:
        ValueError: a copy is there but truncated or altered.
        DataUnavailable: no copy, and none of the addresses answered with the right file; or the
            cache cannot be written.
    """
    for folder in (mirror_folder(dataset), cache_folder(dataset)):
        if folder is not None and (folder / file.name).is_file():
            file.check(folder / file.name)
            return folder / file.name
    problems = ["no address, as downloading was not asked for"]
    if download:
        folder = _writable(cache_folder(dataset), file)
        problems = []
        for url in file.urls:
            try:
                return _download(url, file, folder)
            # A host that does not answer, and a file that fails its check: try the next address.
            except (requests.RequestException, OSError, ValueError) as error:
                problems.append(f"{url} ({_first_line(error)})")
    raise DataUnavailable(
        f"{file.name} of data set {dataset!r} was not found. "
        f"Looked in {_mirror_note(dataset)} and {cache_folder(dataset)}; "
        f"tried {'; '.join(problems) or 'no address (none is known)'}. "
        f"Put the file in a folder <somewhere>/{dataset}/ and set {MIRROR_VARIABLE}=<somewhere>."
    )


def _download(url: str, file: RemoteFile, folder: Path) -> Path:
    """Fetch to a temporary name, check, and only then give the file its own name."""
    partial = pooch.retrieve(
        url, known_hash=None, fname=file.name + ".partial", path=folder, progressbar=True
    )
    partial = Path(partial)
    try:
        file.check(partial)
    except ValueError:
        partial.unlink()
        raise
    os.replace(partial, folder / file.name)
    return folder / file.name


def _writable(folder: Path, file: RemoteFile) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / (file.name + ".partial")).unlink(missing_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise DataUnavailable(
            f"the cache folder {folder} cannot be written ({_first_line(error)}), so {file.name} "
            f"cannot be kept. Free it, or set {MIRROR_VARIABLE} to a folder that holds the data."
        ) from error
    return folder


def _mirror_note(dataset: str) -> str:
    root = os.environ.get(MIRROR_VARIABLE)
    if root is None:
        return f"${MIRROR_VARIABLE} (not set)"
    return f"{Path(root) / dataset}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def check_sha256(*known: str) -> Callable[[Path], None]:
    """A check that the file's SHA-256 is one of `known`."""

    def check(path: Path) -> None:
        with open(path, "rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found not in known:
            raise ValueError(
                f"{path} is truncated or altered: its SHA-256 is {found[:16]}…, "
                f"it must be {' or '.join(k[:16] + '…' for k in known)}"
            )

    return check


def read_member(archive: Path, member: str) -> bytes:
    """One member of a zip archive, read in memory: nothing is written to disk.

    Raises:
        ValueError: the archive is damaged, lacks the member, or holds a name that would be written
            outside its own folder (a sign that it is not what it claims to be).
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                _check_member_name(archive, name)
            return opened.read(member)
    except KeyError:
        raise ValueError(f"{archive} holds no {member!r}") from None
    except _ZIP_DAMAGED as error:
        raise ValueError(f"{archive} is truncated or altered: {error}") from error


def read_member_called(archive: Path, name: str, sha256: str) -> bytes:
    """The member of a zip archive with this last part of its name, in whatever folder it lies.

    Raises:
        ValueError: none of them has the SHA-256 that it must have, or as in `read_member`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [m for m in opened.namelist() if m.rsplit("/", 1)[-1] == name]
    except _ZIP_DAMAGED as error:
        raise ValueError(f"{archive} is truncated or altered: {error}") from error
    for member in members:
        content = read_member(archive, member)
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    raise ValueError(f"{archive} is truncated or altered: {name} in it is missing or another one")


def read_tar_member(archive: Path, member: str) -> bytes:
    """`read_member` for a tar archive, packed with gzip or not."""
    try:
        with tarfile.open(archive) as opened:
            for name in opened.getnames():
                _check_member_name(archive, name)
            stream = opened.extractfile(member)
            if stream is None:
                raise ValueError(f"{archive} holds {member!r}, which is no file")
            return stream.read()
    except KeyError:
        raise ValueError(f"{archive} holds no {member!r}") from None
    except _UNREADABLE as error:
        raise ValueError(f"{archive} is truncated or altered: {error}") from error


def _check_member_name(archive: Path, name: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
        raise ValueError(f"{archive} holds {name!r}, which lies outside its folder; it is refused")
