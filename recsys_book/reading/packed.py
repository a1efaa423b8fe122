"""Files as they come: plain, or packed by gzip, bzip2, xz, zstd, zip or tar."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from recsys_book.arguments import shown

#: What unpacking damaged files raises, besides OSError.
DAMAGED: tuple[type[Exception], ...] = (
    EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError,
)  # fmt: skip
try:
    from lzma import LZMAError
except ImportError:  # a Python built without it
    pass
else:
    DAMAGED += (LZMAError,)

Stream = Any  # of bytes, to be read; Python's own classes of them have no common type

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # of an archive with nothing in it
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
}
_ENDINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
_TAR = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz)$", re.IGNORECASE)


def unpacked(path: Path, open_files: ExitStack) -> Stream:
    """The bytes of the text. What the name says and what the file holds must agree: where they do
    not, something went wrong on the file's way here."""
    raw = open_files.enter_context(open(path, "rb"))
    start = raw.peek(8)[:8]
    if not start:
        raise ValueError(f"{path} is empty; it must hold a header line and rows")
    if _TAR.search(path.name):
        return _only_member_of_tar(raw, path, open_files)
    found = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    said = _ENDINGS.get(path.suffix.lower())
    if said is None and found is not None:
        raise ValueError(
            f"{path} is packed with {found}, which its name does not say; unpack it, or save it "
            "as text (CSV) if it is a spreadsheet"
        )
    if said != found:
        raise ValueError(
            f"{path} is damaged or misnamed: its name ends in {path.suffix}, but what it holds "
            f"does not begin as a file packed with {said} does"
        )
    if said is None:
        return raw
    try:
        opened = _OPENERS[said](raw, path, open_files)
    except ImportError as error:
        remedy = "pip install zstandard, or unpack it" if said == "zstd" else "unpack it first"
        raise ValueError(
            f"{path} is packed with {said}, which this Python cannot unpack ({error}); {remedy}"
        ) from error
    return open_files.enter_context(opened)


def _gzip(raw: Stream, path: Path, open_files: ExitStack) -> Stream:
    import gzip

    return gzip.open(raw)


def _bzip2(raw: Stream, path: Path, open_files: ExitStack) -> Stream:
    import bz2

    return bz2.open(raw)


def _xz(raw: Stream, path: Path, open_files: ExitStack) -> Stream:
    import lzma

    return lzma.open(raw)


def _zstd(raw: Stream, path: Path, open_files: ExitStack) -> Stream:
    try:
        from compression import zstd  # Python 3.14 and later
    except ImportError:
        return io.BytesIO(_by_zstandard(raw.read()))
    try:
        return io.BytesIO(zstd.decompress(raw.read()))
    except zstd.ZstdError as error:
        raise EOFError(str(error)) from error


def _by_zstandard(packed: bytes) -> bytes:
    import zstandard

    parts = []
    while packed:  # one frame after another
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            parts.append(frame.decompress(packed))
        except zstandard.ZstdError as error:
            raise EOFError(str(error)) from error
        if not frame.eof:
            raise EOFError("it ends before its last frame does")
        packed = frame.unused_data
    return b"".join(parts)


def _zip(raw: Stream, path: Path, open_files: ExitStack) -> Stream:
    archive = open_files.enter_context(zipfile.ZipFile(raw))
    # A Mac puts a shadow of each file beside it; it holds no data.
    names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
    return archive.open(_only(names, path))


def _only_member_of_tar(raw: Stream, path: Path, open_files: ExitStack) -> Stream:
    archive = open_files.enter_context(tarfile.open(fileobj=raw))
    names = [member.name for member in archive.getmembers() if member.isfile()]
    member, whole = archive.extractfile(_only(names, path)), archive.fileobj
    assert member is not None and whole is not None  # it is a file, in an archive that is open
    content = member.read()
    while whole.read(1 << 20):  # the checksum of what packs the archive is at its end
        pass
    return io.BytesIO(content)


def _only(names: Sequence[str], path: Path) -> str:
    if len(names) != 1:
        there = ", ".join(shown(name) for name in names[:5]) or "none"
        raise ValueError(f"{path} holds {len(names)} files ({there}); it must hold one")
    return names[0]


_OPENERS = {"gzip": _gzip, "bzip2": _bzip2, "xz": _xz, "zstd": _zstd, "zip": _zip}


def first_line(error: BaseException) -> str:
    """Of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200] or type(error).__name__
