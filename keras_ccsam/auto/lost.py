"""Runs that a launcher has lost: a tournament does not go on without them."""

from collections.abc import Sequence

from keras_ccsam.comparison.comparison import MissingRun


class RunLost(RuntimeError):
    """A run of a tournament failed by an error of its own, or went with its machine."""

    exit_code = 1


def refuse_lost(missing: Sequence[MissingRun], runs: int) -> None:
    """Let runs that diverged pass, as long as one has not; they are last.

    Args:
        missing: runs without results.
        runs: how many there are in all.

    Raises:
        RunLost: one failed otherwise. The same call goes on.
        FloatingPointError: all diverged.
    """
    for run in missing:
        if run.how != "diverged":
            raise RunLost(
                f"{run.recipe}, seed {run.seed}, has no results: {run.reason}; the same command "
                "goes on"
            )
    if missing and len(missing) == runs:
        raise FloatingPointError(missing[0].reason)
