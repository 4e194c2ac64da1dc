"""What JAX compiles, kept beside the runs so that the next run need not compile it again.

The folder is hidden, may be deleted at any time, and is no run: nothing of a run is read from it
but programs, which JAX finds by a hash of their source, its version and the machine.
"""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from keras_ccsam import backend
from keras_ccsam.runs.folders import PROGRAMS, PathLike, kind_of


@contextmanager
def kept_programs(choice: PathLike, out: Path, announce: bool) -> Iterator[None]:
    """Keep what is compiled in the block, where the backend can; never a reason to fail.

    Args:
        choice: a folder; `"off"`, which leaves JAX as it is; or `"auto"`: the folder that JAX has
            been given by its user, else `PROGRAMS` in the parent of `out`.
        out: the folder that is written.
        announce: print where.
    """
    folder = _folder(choice, out)
    problem = None if folder is None else _unusable(folder, trusted=choice != "auto")
    if problem is not None:
        warnings.warn(f"compiled programs are not kept: {problem}", stacklevel=3)
    if folder is None or problem is not None:
        yield
        return
    if announce:
        print(f"compiled programs are kept in {folder}", flush=True)
    with backend.keep_programs(str(folder)):
        yield


def programs_of(run: Path) -> AbstractContextManager[None]:
    """Keep and take what looking at a finished run compiles, where its training kept its own.

    Args:
        run: the run's folder. Of a run in a comparison or a reproduction, the programs lie beside
            that.
    """
    whole = run.absolute()
    while kind_of(whole.parent) in ("comparison", "reproduction"):
        whole = whole.parent
    return kept_programs("auto", whole, announce=False)


def _folder(choice: PathLike, out: Path) -> Path | None:
    if choice == "off" or not backend.can_keep_programs():
        return None
    if choice != "auto":
        return Path(choice).absolute()
    return None if backend.program_folder() else out.absolute().parent / PROGRAMS


def _unusable(folder: Path, trusted: bool) -> str | None:
    """Make the folder; say why it cannot be used, if so.

    Whoever can write into it can make this process run code, and the parent of a run may be a
    folder that everybody shares.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{folder} cannot be written"
    owned = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    if not trusted and (not owned or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return f"others can write into {folder}; name a folder if that is meant"
    return None
