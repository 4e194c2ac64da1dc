"""TensorBoard: an event file in the run directory, written without TensorFlow.

TensorBoard's own `EventFileWriter` opens its file with TensorFlow where that is installed, on every
backend. Its `RecordWriter` takes any open file, and so TensorFlow stays where it is.
"""

import os
import socket
import time
from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.summary.writer.record_writer import RecordWriter

from keras_ccsam.trackers.tracker import TrackedRun

FOLDER = "tensorboard"


class Run:
    """`RUN/tensorboard/events.out.tfevents...`: a scalar per name and epoch, and the recipe.

    Args:
        run: what it is about.
    """

    def __init__(self, run: TrackedRun) -> None:
        folder = run.path / FOLDER
        folder.mkdir(exist_ok=True)
        # Of a run that goes on after an interruption: all its epochs are told again.
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("xb")
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        recipe = hparams.hparams_pb(dict(run.config), trial_id=run.digest or None)
        self._write(Event(summary=recipe))

    def log(self, values: Mapping[str, float], epoch: int, total: int) -> None:
        """Write a scalar for each value."""
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(Event(step=epoch, summary=Summary(value=scalars)))

    def close(self, *, failed: bool) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()
