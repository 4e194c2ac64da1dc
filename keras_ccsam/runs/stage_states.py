"""The states that a run saves while its stages are trained, in its folder `checkpoints/state`."""

import shutil
from contextlib import suppress

from keras_ccsam import processes
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.callbacks.run_state import RunState
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.workplace import STATES, origin

SAVE_EVERY = "5 min"


class StageStates:
    """Makes what saves the state of each stage.

    Args:
        directory: of the run.
        recipe: of the run.
        data: the digest of which images are trained on.
        every: how often, as `callbacks.RunState` takes it.
    """

    def __init__(
        self, directory: RunDirectory, recipe: Recipe, data: str, every: str | int
    ) -> None:
        self._directory, self._every = directory, every
        self._folder = origin(directory.path.absolute()) / directory.checkpoints.name / STATES
        self._about = {"recipe": recipe.digest(), "data": data}

    def of(self, stage: int, shown: Progress) -> RunState:
        """Return the callback for a stage; say where it goes on, if it does.

        The metrics of what is trained again are taken out of the log.
        """
        with processes.agreed(), suppress(FileExistsError):
            if processes.writes():
                self._folder.mkdir()
        state = RunState(
            self._folder / f"stage{stage}",
            self._every,
            about=self._about | {"stage": stage},
            end=False,
        )
        metrics_log.keep(self._directory.metrics_file, lambda record: record["stage"] < stage)
        if state.place:
            shown.say(f"stage {stage}  goes on at {state.place}")
        return state

    def clear(self) -> None:
        """Remove them: the run is complete."""
        if processes.writes():
            shutil.rmtree(self._folder, ignore_errors=True)
