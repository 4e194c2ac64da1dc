"""Files of a finished run, and its states, that are damaged one at a time: is it noticed?

A file is cut short, gets a bit flipped, is emptied, or is taken away, at a place that is drawn.
Noticed is: `RunDirectory.damage` names it, and of a state, the one before it is taken and it is
said. The network and the weights of stage 1 may be deleted to save room; then whoever asks for
them is told. Each time the run is then put back, and must be whole.
"""

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

TIMES = 20
# Readers rely on these; what is made from them may be made anew.
FILES = ("recipe.toml", "environment.json", "indices.npz", "metrics.jsonl", "results.json")
FILES += ("model.keras", "validation.npz", "checkpoints/stage1.weights.h5", "manifest.json")


def _flipped(content: bytes, draw: random.Random) -> bytes:
    place, changed = draw.randrange(len(content)), bytearray(content)
    changed[place] ^= 1 << draw.randrange(8)
    return bytes(changed)


_FAULTS: dict[str, Callable[[bytes, random.Random], bytes | None]] = {
    "a file cut short": lambda content, draw: content[: draw.randrange(1, len(content))],
    "a bit flipped": _flipped,
    "a file emptied": lambda content, draw: b"",
    "a file taken away": lambda content, draw: None,
}


def measured(seed: int = 0) -> list[dict[str, Any]]:
    """Damage each file `TIMES` times in each way; one row per way."""
    from keras_ccsam import recipes, snapshots
    from keras_ccsam.runs import RunDirectory, run

    small = ("model.backbone.width=4", "model.backbone.features=8", "stage1.epochs=1")
    recipe = recipes.load("ce", overrides=(*small, "data.validation_fraction=0.1"))
    with tempfile.TemporaryDirectory() as folder:
        directory = RunDirectory(run(recipe, Path(folder) / "run", progress="none").path)
        states = Path(folder) / "state"
        for epoch in (1, 2):
            newest = snapshots.write(states, {"w": np.full(1000, epoch)}, {"epoch": epoch})

        def damaged() -> bool:
            asked = {directory.model_file: directory.model}
            asked[directory.stage1_file] = directory.stage1_weights
            gone = [ask for file, ask in asked.items() if not file.is_file()]
            return directory.damage() is not None or any(map(_is_refused, gone))

        def passed_over() -> bool:
            found, said = snapshots.latest(states)
            return found is not None and found.facts == {"epoch": 1} and len(said) == 1

        targets = [(directory.path / name, damaged) for name in FILES]
        targets += [(path, passed_over) for path in sorted(newest.iterdir())]
        return [_row(fault, targets, random.Random(f"{seed} {fault}")) for fault in _FAULTS]


def _is_refused(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except ValueError:
        return True
    return False


def _row(
    fault: str, targets: list[tuple[Path, Callable[[], bool]]], draw: random.Random
) -> dict[str, Any]:
    faults, unnoticed = 0, []
    for path, is_noticed in targets:
        for _ in range(TIMES):
            if is_noticed():
                raise SystemExit(f"{path} is called damaged, and is not")
            with _changed(path, _FAULTS[fault], draw):
                faults += 1
                if not is_noticed():
                    unnoticed.append(path.name)
    noticed = faults - len(unnoticed)
    return {"fault": fault, "faults": faults, "noticed": noticed, "not": sorted(set(unnoticed))}


@contextmanager
def _changed(
    path: Path, change: Callable[[bytes, random.Random], bytes | None], draw: random.Random
) -> Iterator[None]:
    before = path.read_bytes()
    after = change(before, draw)
    path.unlink()
    if after is not None:
        path.write_bytes(after)
    try:
        yield
    finally:
        path.write_bytes(before)
