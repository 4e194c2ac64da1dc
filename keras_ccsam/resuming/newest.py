"""The state that a training goes on from: one, also where several processes train it."""

import warnings
from pathlib import Path

from keras_ccsam import processes, snapshots


def newest(folder: Path) -> snapshots.Snapshot | None:
    """Return the newest state that is whole, and warn of damaged ones; None without any.

    Args:
        folder: of the states.

    Raises:
        ValueError: another process finds another one, as where a disk is a machine's own.
    """
    found, damaged = snapshots.latest(folder)
    if processes.writes():
        for sentence in damaged:
            warnings.warn(f"a state of the training is damaged: {sentence}", stacklevel=4)
    own = "none" if found is None else found.path.name
    first = processes.told(own)
    with processes.agreed():
        if own != first:
            raise ValueError(
                f"process 0 goes on from {first} and this one finds {own}: the folder must lie on "
                f"a disk that all machines see. Received: folder={str(folder)!r}"
            )
    return found
