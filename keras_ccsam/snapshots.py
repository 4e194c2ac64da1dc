"""States of a run on disk: the newest that is whole is the one to go on from.

A snapshot is a folder, `snapshot-000007`, of three files: `arrays.npz` (uncompressed), `facts.json`
and `manifest.json` with the version of this format and the SHA-256 of the other two. It is written
beside its place, flushed, moved there and read back before an older one is removed. So whenever the
power goes, one that is whole remains. They are numbered; no clock says which is newer.

It imports NumPy and the standard library alone.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_ccsam import atomic, manifest

VERSION = 1
ARRAYS, FACTS, MANIFEST = "arrays.npz", "facts.json", "manifest.json"

_KIND = "snapshot"
_NAME = re.compile(r"snapshot-(\d{6,})")
_WRITING = re.compile(r"\.snapshot-\d{6,}\.[0-9a-f]{8}\.writing")
# What a file that is no longer what was written makes of its readers.
_DAMAGE: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, TypeError, AttributeError)
_DAMAGE += (zipfile.BadZipFile, EOFError, RuntimeError, SyntaxError, MemoryError)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A state that was written, and is whole.

    Attributes:
        path: its folder.
        arrays: the arrays by name, writable, of the dtypes that were written.
        facts: what else was written, as JSON types.
    """

    path: Path
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


def write(
    folder: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    facts: Mapping[str, Any],
    *,
    keep: int = 2,
) -> Path:
    """Write a snapshot, and remove those before the last `keep` once it has been read back.

    One process and thread at a time writes into a folder. What a writer that was killed left half
    done is swept away.

    Args:
        folder: where the snapshots are. It is made; the folder that it is in must be there.
        arrays: by any names; bfloat16 and the float8 types too, objects not.
        facts: JSON types, with text for keys. NaN and the infinities come back as they were.
        keep: how many stay, this one among them; 1 or more.

    Returns:
        The folder of the new snapshot.

    Raises:
        ValueError: an array holds objects, a fact is no JSON, or `keep` is less than 1. Nothing
            has been written.
        OSError: the disk is full (it names the folder, how many bytes were needed and how many
            are free), read-only or gone, or what was read back is not what was written. All
            earlier snapshots are still there.
    """
    if keep < 1:
        raise ValueError(f"the newest snapshot is always kept. Received: keep={keep!r}")
    folder, text = Path(folder), _as_json(facts)
    held = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in held.items():
        if array.dtype.hasobject:
            raise ValueError(f"objects are not written. Received: {name}, of {array.dtype}")
        if "\0" in name:  # an archive ends the name there
            raise ValueError(f"an array's name has no zero byte. Received: {name!r}")
    if not folder.is_dir():
        folder.mkdir()
        atomic.flush_folder(folder.parent)
    present = _present(folder)
    number = present[-1][0] + 1 if present else 1
    target = folder / f"snapshot-{number:06d}"
    temporary = folder / f".{target.name}.{uuid.uuid4().hex[:8]}.writing"
    try:
        _sweep(folder)
        temporary.mkdir()
        _fill(temporary, held, text)
        os.rename(temporary, target)
        atomic.flush_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if error.errno in atomic.NO_ROOM:
            needed = sum(array.nbytes + 512 for array in held.values()) + len(text) + 1024
            raise atomic.no_room(error, folder, needed) from error
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    try:
        _verify(target)
    except _DAMAGE as error:
        shutil.rmtree(target, ignore_errors=True)
        words = f"what was read back is not what was written: {_reason(error)}"
        raise OSError(errno.EIO, words, str(target)) from error
    for _, older in present[: len(present) + 1 - keep]:
        shutil.rmtree(older, ignore_errors=True)
    return target


def latest(folder: str | os.PathLike[str]) -> tuple[Snapshot | None, list[str]]:
    """Return the newest snapshot that is whole.

    Args:
        folder: where `write` put them; it may be absent.

    Returns:
        The snapshot, or None where none is whole, and one sentence on each newer one that was
        passed over: truncated, changed, with a file missing, of a later version, or foreign.
    """
    passed_over: list[str] = []
    for _, path in reversed(_present(Path(folder))):
        try:
            return _read(path), passed_over
        except _DAMAGE as error:
            passed_over.append(f"{str(path)!r} was passed over: {_reason(error)}.")
    return None, passed_over


def _present(folder: Path) -> list[tuple[int, Path]]:
    """The snapshots of a folder by number, whole or not; links to other places are none."""
    if not folder.is_dir():
        return []
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted(
        (int(found[1]), path)
        for found, path in named
        if found and path.is_dir() and not path.is_symlink()
    )


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed left behind."""
    for path in folder.iterdir():
        if _WRITING.fullmatch(path.name) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _as_json(facts: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(dict(facts), indent=1, ensure_ascii=True).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"facts are JSON types: {error}. Received: {sorted(facts)}") from error


class _Hashing:
    """A file that is written from its beginning to its end, and the SHA-256 of what went in.

    It cannot be sought in, so an archive writes its sizes behind its members, not before them.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        self._bytes = 0

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        self._bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def facts(self) -> dict[str, Any]:
        return {"bytes": self._bytes, "sha256": self._sha256.hexdigest()}


@contextlib.contextmanager
def _written(path: Path) -> Iterator[_Hashing]:
    """A new file, on the disk when the block ends."""
    with open(path, "xb") as file:
        yield _Hashing(file)
        file.flush()
        os.fsync(file.fileno())


def _fill(folder: Path, arrays: dict[str, np.ndarray], facts: bytes) -> None:
    """Write the three files of a snapshot."""
    # numpy.savez takes no array that is called "file", and hashes nothing.
    with _written(folder / ARRAYS) as stored, zipfile.ZipFile(stored, "x") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # of 1980: no clock
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _plain(array), allow_pickle=False)
    with _written(folder / FACTS) as told:
        told.write(facts)
    content = {
        "kind": _KIND,
        "version": VERSION,
        "files": {ARRAYS: stored.facts(), FACTS: told.facts()},
        "dtypes": {name: a.dtype.name for name, a in arrays.items() if _is_extension(a.dtype)},
    }
    with _written(folder / MANIFEST) as told:
        told.write(json.dumps(manifest.sealed(content), indent=1).encode())
    atomic.flush_folder(folder)


def _is_extension(dtype: np.dtype) -> bool:
    """Whether a dtype is none of NumPy's own, of which its files keep the bytes alone."""
    return dtype.isbuiltin == 2


def _plain(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.dtype.itemsize}") if _is_extension(array.dtype) else array


def _as_dtype(name: str) -> np.dtype:
    with contextlib.suppress(ImportError):  # it comes with Keras, and tells NumPy of these types
        import ml_dtypes  # noqa: F401
    return np.dtype(name)


def _verify(folder: Path) -> dict[str, Any]:
    """Read a snapshot's files once and compare them with its manifest, which is returned."""
    try:
        content = manifest.opened(folder / MANIFEST, _KIND, VERSION)
    except FileNotFoundError:
        raise ValueError(f"{MANIFEST} is no longer there") from None
    for name in (ARRAYS, FACTS):
        if lack := manifest.difference(folder / name, content["files"][name]):
            raise ValueError(f"{name} {lack}")
    return content


def _read(folder: Path) -> Snapshot:
    content = _verify(folder)
    arrays = {}
    with zipfile.ZipFile(folder / ARRAYS) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            with archive.open(member) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            if name in content["dtypes"]:
                arrays[name] = arrays[name].view(_as_dtype(content["dtypes"][name]))
    facts = json.loads((folder / FACTS).read_bytes())
    return Snapshot(folder, arrays, facts)


def _reason(error: BaseException) -> str:
    """What is wrong, as the end of a sentence."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
