"""What a run wrote, so that its readers know a file that was cut short, changed or put there.

manifest.json holds the size and the SHA-256 of each file of a run's folder that its readers rely
on. It is written anew after each of them, and names the log of the epochs once the run is complete.
What may be changed afterwards is not in it: plots, analysis, exports.

Format 1 of a run's folder had none; such a run is read as it is.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_ccsam import atomic, manifest
from keras_ccsam.manifest import Damaged

FORMAT = 2
"""Of a run's folder; state.json says it, and without it is 1."""

NAME = "manifest.json"
_KIND = "run manifest"

# Large files that people delete to save room; what needs one says that it is gone.
_MAY_GO = ("checkpoints/stage1.weights.h5", "model.keras")


class RunManifest:
    """The manifest of a run's folder.

    Args:
        folder: the run's; nothing is touched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME

    @contextmanager
    def writing(self, path: Path, needed: int | None = None) -> Iterator[Path]:
        """Write a file of the run, as `atomic.replacing` does, and note what it is."""
        content = self._content()
        if self._name(path) in content["files"]:
            # A reader finds the old file, the new one or neither named, never one by the other.
            del content["files"][self._name(path)]
            self._write(content)
        with atomic.replacing(path, needed) as temporary:
            yield temporary
            content["files"][self._name(path)] = manifest.facts_of(temporary)
        self._write(content)

    def note(self, *paths: Path, complete: bool = False) -> None:
        """Note files that are there already; with `complete`, that there are no others to come."""
        content = self._content()
        for path in paths:
            content["files"][self._name(path)] = manifest.facts_of(path)
        self._write(content | {"complete": complete})

    def reopen(self, *growing: Path) -> None:
        """Note that the run goes on: there are others to come, and these files grow."""
        content = self._content()
        for path in growing:
            content["files"].pop(self._name(path), None)
        self._write(content | {"complete": False})

    @property
    def complete(self) -> bool:
        """Whether the run is: everything was written, and noted."""
        try:
            return bool(self._content()["complete"])
        except Damaged:
            return False

    def check(self, path: Path) -> None:
        """Refuse a file that is not the one which the run wrote; one still to come is none.

        Raises:
            Damaged: it is cut short, changed, gone, or was put there by somebody else.
        """
        content = self._content()
        said = content["files"].get(self._name(path))
        if said is not None:
            lack = manifest.difference(path, said)
        else:
            lack = "was put there later" if content["complete"] and path.exists() else None
        if lack is not None:
            raise self.damaged(path, lack)

    def damage(self) -> str | None:
        """Say which file is not what the run wrote, and how; None where all are."""
        try:
            files = self._content()["files"]
        except Damaged as error:
            return str(error).partition(";")[0]
        present = [n for n in files if n not in _MAY_GO or (self.folder / n).exists()]
        lacks = ((name, manifest.difference(self.folder / name, files[name])) for name in present)
        return next((f"{name} {lack}" for name, lack in lacks if lack is not None), None)

    def damaged(self, path: Path, lack: str) -> Damaged:
        """Word what is wrong with a file of the run, and what to do about it."""
        advice = "put the file back from a copy, or train the run again into another folder"
        if path.name == "recipe.toml":
            advice = "undo the change, or train the changed recipe into another folder"
        return Damaged(
            f"{self._name(path)} of the run {lack}; {advice}. Received: run={str(self.folder)!r}"
        )

    def _content(self) -> dict[str, Any]:
        try:
            content = manifest.opened(self.path, _KIND, 1)
        except FileNotFoundError:
            return {"kind": _KIND, "version": 1, "complete": False, "files": {}}
        except Damaged as error:
            raise Damaged(
                f"of the run, {error}; put the file back from a copy, or train the run again into "
                f"another folder. Received: run={str(self.folder)!r}"
            ) from error
        return content

    def _write(self, content: dict[str, Any]) -> None:
        atomic.write_text(self.path, json.dumps(manifest.sealed(content), indent=2) + "\n")

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()
