"""Files that are whole or absent: written beside their target, flushed, then moved into place.

It imports the standard library alone.
"""

import contextlib
import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

NO_ROOM = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""What the system says where a disk, or somebody's share of it, is full."""

# As `replacing` and `deployment.export` name what they have not finished.
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}\.(.+)")

# What file systems say that cannot flush a folder: several of networks, and Windows.
_NOT_OFFERED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR}


class NoRoom(OSError):
    """A disk is full: it says how much was needed there, and how much is free."""

    exit_code = 1


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], needed: int | None = None) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends, and vanishes if it fails.

    Its name ends as `path` does, because Keras and NumPy look at the suffix.

    Args:
        path: the file.
        needed: its size in bytes, where it is known.

    Raises:
        NoRoom: the disk is full.
    """
    target = Path(path)
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.{target.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        flush_folder(target.parent)
    except OSError as error:
        # A full disk names no file, and the temporary one is nobody's.
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        if error.errno not in NO_ROOM or isinstance(error, NoRoom):
            raise type(error)(error.errno, error.strerror, str(target)) from error
        had = temporary.stat().st_size if temporary.is_file() else 0
        temporary.unlink(missing_ok=True)
        if needed is None:
            raise no_room(error, target, had, least=True) from error
        raise no_room(error, target, needed) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep(folder: str | os.PathLike[str], name: str = "", older: float = 86_400.0) -> None:
    """Remove what writers that were killed have left beside their targets: none of it is whole.

    Args:
        folder: of the targets.
        name: of the target; "" for any, in a folder that is ours alone.
        older: seconds since it was written last. What is younger may be another process's.
    """
    latest = time.time() - older
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            found = _TEMPORARY.fullmatch(path.name)
            if found is None or name not in ("", found[1]) or path.is_symlink():
                continue
            if path.stat().st_mtime > latest:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def made_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder and those above it for a block; if it fails, those made go, if empty."""
    folder = Path(path)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # it holds something, which stays
            for each in made:
                each.rmdir()
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    r"""Write `text` as UTF-8.

    Of a file's name, bytes that are no UTF-8 are lone surrogates in Python. They are written as
    `\udce9`, which JSON reads as what it was.
    """
    content = encoded(text)
    with replacing(path, len(content)) as temporary:
        temporary.write_bytes(content)


def encoded(text: str) -> bytes:
    """Return text as `write_text` writes it."""
    return text.encode("utf-8", errors="backslashreplace")


def flush_folder(folder: str | os.PathLike[str]) -> None:
    """Put the names in a folder onto the disk, where its file system can: a rename is one of them.

    Raises:
        OSError: the folder is gone, or the disk failed.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise OSError(error.errno, error.strerror, os.fspath(folder)) from error


def no_room(
    error: OSError, path: str | os.PathLike[str], needed: int, *, least: bool = False
) -> NoRoom:
    """Word that a disk is full: how much was needed there, and how much is free.

    Args:
        error: what the system said, one of `NO_ROOM`.
        path: what did not fit. What was written of it has been taken away.
        needed: its size, in bytes.
        least: whether it needs somewhat more than that.
    """
    there = Path(path).absolute()
    existing = next((p for p in (there, *there.parents) if p.exists()), there)
    free = ""
    with contextlib.suppress(OSError):
        free = f", {shutil.disk_usage(existing).free:,} are free"
    words = error.strerror or os.strerror(error.errno or errno.ENOSPC)
    size = f"at least {needed:,}" if least else f"{needed:,}"
    return NoRoom(error.errno, f"{words}, {size} bytes were needed{free}", os.fspath(path))
