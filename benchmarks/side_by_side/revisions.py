"""The package as it was at a revision, and as it is now, each in a folder of its own."""

import contextlib
import filecmp
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "keras_ccsam"


class UnknownRevision(ValueError):
    """Git has no such revision here, or there is no git."""


def forked_from(branch: str = "main") -> str:
    """The commit at which the current branch left another one.

    Raises:
        UnknownRevision: there is no such branch.
    """
    return _git("merge-base", branch, "HEAD").decode().strip()


def named(revision: str) -> str:
    """A revision in a line: its short name, date and subject.

    Raises:
        UnknownRevision: it is none, or the package is not in it.
    """
    _git("cat-file", "-e", f"{revision}:{PACKAGE}")
    return _git("log", "-1", "--format=%h of %cs, %s", revision, "--").decode().strip()


@contextlib.contextmanager
def copies(revision: str) -> Iterator[tuple[Path, Path]]:
    """Two folders with the package in them: of a revision, and of the working tree.

    Copies, so that the files may be changed meanwhile, and so that their paths are equally long.
    """
    with tempfile.TemporaryDirectory() as folder:
        before, now = Path(folder) / "old", Path(folder) / "new"
        archive = _git("archive", "--format=tar", revision, PACKAGE)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(before, filter="data")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / PACKAGE, now / PACKAGE, ignore=ignored)
        yield before, now


def equal(before: Path, now: Path) -> bool:
    """Whether two folders hold the same files."""
    left, right = (
        {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
        for root in (before, now)
    )
    return left == right and all(
        filecmp.cmp(before / name, now / name, shallow=False) for name in left
    )


def _git(*arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True)
    except FileNotFoundError as error:
        raise UnknownRevision("git is not installed") from error
    except subprocess.CalledProcessError as error:
        raise UnknownRevision(error.stderr.decode().strip()) from error
    return done.stdout
