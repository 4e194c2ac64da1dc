"""Whether a folder may be written into, or is one of ours.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import datetime
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_ccsam.runs import lock

PathLike = str | os.PathLike[str]

# What `atomic.replacing` leaves where it is killed.
_HALF = re.compile(r"\.[0-9a-f]{8}\.")

PROGRAMS = ".jax-cache"
"""The folder that `compiled_programs` keeps."""


PARENT = "runs"
"""Where folders are made that nobody has named."""


def fresh(name: str, parent: PathLike = PARENT) -> Path:
    """Return the path of a folder that does not exist yet: <parent>/<name>-<date>-<time>."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    first = Path(parent) / f"{name}-{stamp}"
    path, count = first, 1
    while path.exists():
        count += 1
        path = first.with_name(f"{first.name}-{count}")
    return path


def named(out: PathLike, argument: str = "out") -> Path:
    """Return the path of a folder that a user named.

    Raises:
        ValueError: its name is empty, which Python takes for the working folder.
    """
    if not os.fspath(out).strip():
        raise ValueError(f"a folder needs a name. Received: {argument}={os.fspath(out)!r}")
    return Path(out)


def require_free(path: Path) -> None:
    """Refuse a path that cannot be made or written into, or is a folder with anything in it.

    Raises:
        ValueError: `path` cannot be taken for new files.
    """
    with _worded(path):
        # Runs leave their compiled programs in their parent; those are nobody's results.
        taken = path.is_dir() and _holds_something(path)
    if taken and (other := lock.holder(path)):
        raise ValueError(
            f"another process ({other}) trains in this folder; name another. "
            f"Received: out={str(path)!r}"
        )
    if taken:
        raise ValueError(
            "the output folder exists and is not empty, and runs are never overwritten; name "
            f"another. Received: out={str(path)!r}"
        )
    require_room(path)


def require_room(path: Path) -> None:
    """Refuse a path that cannot be made or written into; what a folder holds is not looked at.

    Raises:
        ValueError: as said.
    """
    with _worded(path):
        existing = _existing(path)
        is_folder = existing.is_dir()
    if not is_folder:
        raise _not_made(path, f"{str(existing)!r} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _not_made(path, f"nothing may be written into {str(existing)!r}")
    # The system's word is not enough of what is no file system of files, such as /proc.
    with _worded(path), tempfile.TemporaryDirectory(prefix=".", dir=existing):
        pass


def _holds_something(path: Path) -> bool:
    """Whether anything is in a folder that must not be written over.

    What a run leaves that was killed while its folder was made is nothing: environment.json is the
    last file of that, and nothing was trained.
    """
    names = {p.name for p in path.iterdir() if not _HALF.match(p.name)} - {PROGRAMS, lock.NAME}
    folders = {"checkpoints", "plots"}
    if names - folders - {"state.json", "manifest.json", "recipe.toml"}:
        return True
    # A recipe.toml alone is somebody's own.
    ours = names <= folders or kind_of(path) == "run"
    inside = [path / name for name in names & folders]
    return not ours or any(p.is_symlink() or not p.is_dir() or any(p.iterdir()) for p in inside)


def require_writable(path: Path, instead: str) -> None:
    """Refuse a folder, also one that is not there yet, that nothing may be written into.

    Args:
        path: the folder.
        instead: what can be done about it.

    Raises:
        ValueError: with that.
    """
    existing = _existing(path)
    if existing.is_dir() and not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"nothing may be written there; {instead}. Received: path={str(path)!r}")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


def make(path: Path) -> None:
    """Make a folder, and those above it.

    Raises:
        ValueError: the system refuses it.
    """
    with _worded(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def _worded(path: Path) -> Iterator[None]:
    """Word what the system says of a path: a name that is too long, a folder that is read-only."""
    try:
        yield
    except OSError as error:
        raise _not_made(path, (error.strerror or type(error).__name__).lower()) from None


def _not_made(path: Path, reason: str) -> ValueError:
    shown = str(path) if len(str(path)) <= 200 else f"{str(path)[:40]}..."
    return ValueError(
        f"the output folder cannot be made: {reason}; name another. Received: out={shown!r}"
    )


_SET_ASIDE = re.compile(r"\.(incomplete|damaged)-\d+$")


def is_set_aside(path: Path) -> bool:
    """Whether a folder is a run that a comparison has set aside to train it again."""
    return _SET_ASIDE.search(path.name) is not None


def kind_of(path: Path) -> str | None:
    """Return what a folder's state.json says it is: "run", "comparison", ...; None without one.

    One that is damaged says nothing: then what lies beside it tells a run and a comparison.
    """
    try:
        content = json.loads((path / "state.json").read_text(encoding="utf-8"))
    except OSError:
        return None
    except (ValueError, RecursionError):
        return _looks_like(path)
    kind = content.get("kind") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) else None


def _looks_like(path: Path) -> str | None:
    if (path / "recipe.toml").is_file():
        return "run"
    runs = [p.parent.name for p in path.glob("*/recipe.toml")]
    return "comparison" if runs and all("-seed" in name for name in runs) else None


def require_there(path: PathLike) -> None:
    """Refuse a place that was named as that of the images, and has nothing.

    Raises:
        ValueError: there is nothing.
    """
    try:
        there = named(path, "data").expanduser().exists()
    except OSError:  # a name that is too long
        there = False
    if not there:
        raise ValueError(f"there are no images at this place. Received: data={os.fspath(path)!r}")


def require_idle(path: Path) -> None:
    """Refuse a run that another process of this machine trains.

    Raises:
        ValueError: with the process.
    """
    if (other := lock.holder(path)) is not None:
        raise ValueError(
            f"another process ({other}) trains this run; let it end. Received: run={str(path)!r}"
        )


def require_open(path: Path) -> None:
    """Refuse a run that cannot be gone on with, for nothing may be written into it.

    Raises:
        ValueError: as said.
    """
    require_writable(path, "copy the run to another place")


WRITTEN = ("checkpoints", "plots", "analysis", "tensorboard", "wandb", "exports")
"""Folders of a run that commands write into afterwards."""


def require_run(path: Path) -> None:
    """Refuse a folder that no run was written into.

    Raises:
        ValueError: the folder is no run directory, or one of its own leads out of it.
    """
    try:
        if (path / "recipe.toml").is_file():
            _check_links(path)
            return
        is_file, lies_in_run = path.is_file(), (path.parent / "recipe.toml").is_file()
        exists = path.exists()
    except OSError:  # a name that is too long
        is_file = lies_in_run = exists = False
    if is_file:
        near = f"; did you mean its folder, {str(path.parent)!r}?" if lies_in_run else "."
        lack = f"it is a file{near}"
    elif exists and kind_of(path) == "run":
        lack = "it was ended while its folder was made; give the command that began it again."
    else:
        lack = "it has no recipe.toml." if exists else "there is no such folder."
    raise ValueError(f"not a run directory: {lack} Received: run={str(path)!r}")


def _check_links(path: Path) -> None:
    """Refuse a run of which a folder that is written into is a link to somewhere else."""
    for name in WRITTEN:
        folder = path / name
        if folder.is_symlink() and path.resolve() not in folder.resolve().parents:
            raise ValueError(
                "a folder of the run is a link that leads out of it, and what is written into the "
                f"run would go there: put a folder in its place. Received: link={str(folder)!r}"
            )
