"""One process at a time writes into a folder: a lock that ends with the process that holds it.

The lock is the system's (`flock`), on a file that says whose it is. A process that was killed holds
none, whatever its file says, and on the network disks that pass locks on (NFS among them) that is
so across machines. Where a disk or a system has no such locks, the file itself is the lock: one of
a process of this machine that is gone is taken over, one of another machine has to be removed by
hand. Readers look at the file and hold nothing.

It imports the standard library alone.
"""

import contextlib
import json
import os
import platform
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_ccsam import writer

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


class Held(ValueError):
    """Another process is at work in a folder."""


# The open file of each folder that this process holds; None where the file itself is the lock.
_held: dict[Path, int | None] = {}


def take(folder: Path) -> bool:
    """Hold a folder until `drop`, or until this process ends.

    Returns:
        Whether it was free; False where this process holds it already.

    Raises:
        Held: another process holds it: which one, and on which machine.
        OSError: nothing can be written into the folder.
    """
    key = folder.resolve()
    if key in _held and _still(key):
        return False
    _held.pop(key, None)
    if fcntl is None:
        _named(folder)
    _held[key] = None if fcntl is None else _locked(folder)
    return True


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[None]:
    """Take a folder, and let it go again only where the block fails.

    Raises:
        ValueError: as `take`.
    """
    new = take(folder)
    try:
        yield
    except BaseException:
        if new:
            drop(folder)
        raise


def drop(folder: Path) -> None:
    """Let a folder go; one that is not held stays as it is."""
    key = folder.resolve()
    if key not in _held:
        return
    descriptor = _held.pop(key)
    # While it is still locked: who comes in between sees that this file is no longer the folder's.
    with contextlib.suppress(OSError):
        (key / NAME).unlink(missing_ok=True)
    if descriptor is not None:
        os.close(descriptor)


def holder(folder: Path) -> str | None:
    """Name the other process of this machine that writes into a folder; None where none does."""
    told = _told(folder / NAME)
    return _words(told) if writer.standing(told) == writer.HERE else None


def refusal(told: Any, folder: Path) -> Held:
    """Say that another process is at work in a folder.

    Args:
        told: what its file says of it.
        folder: that was asked for.
    """
    return Held(
        f"another process ({_words(told)}) trains in this folder; let it end, or name another "
        f"folder. Received: out={str(folder)!r}"
    )


def _words(told: Any) -> str:
    """`4711 on node07`."""
    if not isinstance(told, dict) or "pid" not in told:
        return "which has only just begun"
    host = told.get("host")
    return f"{told['pid']} on {host}" if host else str(told["pid"])


def _still(folder: Path) -> bool:
    """Whether the file that this process holds is the folder's: that one may have been removed."""
    descriptor = _held[folder]
    if descriptor is None:
        return (folder / NAME).exists()
    if _is_file(descriptor, folder / NAME):
        return True
    os.close(descriptor)
    return False


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _locked(folder: Path) -> int | None:
    """Lock the folder's file."""
    path = folder / NAME
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise refusal(_told(path), folder) from None
        except OSError:  # this disk has no locks
            os.close(descriptor)
            _named(folder)
            return None
        # Its last owner may have removed it between the two calls.
        if not _is_file(descriptor, path):
            os.close(descriptor)
            continue
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _own(), 0)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _named(folder: Path) -> None:
    """Make the folder's file, where there are no locks."""
    path = folder / NAME
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            told = _told(path)
            standing = writer.standing(told)
            if standing == writer.OWN:
                return
            empty = told is None and path.stat().st_size == 0 and fcntl is not None
            if standing != writer.GONE and not empty:
                words = str(refusal(told, folder))
                if standing == writer.UNKNOWN:
                    words += f". If that process is gone, remove {str(path)!r}"
                raise ValueError(words) from None
            _move_away(path, told)
            continue
        os.write(descriptor, _own())
        os.close(descriptor)
        return
    raise refusal(_told(path), folder)


def _move_away(path: Path, told: Any) -> None:
    """Remove the file of a process that is gone. Two may find it at once: one of them moves it."""
    stale = path.with_name(f"{NAME}.{uuid.uuid4().hex[:8]}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, stale)
        if _told(stale) == told:
            stale.unlink()
        else:  # the other one's, who was faster
            os.rename(stale, path)


def _own() -> bytes:
    return json.dumps(writer.this_process() | {"host": platform.node()}).encode()


def _told(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _forget() -> None:
    """A forked child holds nothing: a lock that it kept open would outlive its parent."""
    for descriptor in _held.values():
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
