"""Trackio. It stays on this machine unless TRACKIO_SPACE_ID or TRACKIO_SERVER_URL names another."""

import os
from collections.abc import Mapping

import trackio

from keras_ccsam.trackers.tracker import PROJECT, TrackedRun


class Run:
    """A run of Trackio.

    Args:
        run: what it is about.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=run.name,
            group=run.group or None,
            config=dict(run.config),
            embed=False,
        )

    def log(self, values: Mapping[str, float], epoch: int, total: int) -> None:
        """Log an epoch; Trackio counts on from one stage to the next."""
        self._run.log(dict(values), step=total)

    def close(self, *, failed: bool) -> None:
        """End it."""
        trackio.finish()  # `self._run.finish()` would be done again when Python ends
