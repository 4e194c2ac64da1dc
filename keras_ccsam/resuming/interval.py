"""When a state of a training is to be saved."""

import time

from keras_ccsam.duration import seconds_of


class Interval:
    """How often: a time, a number of steps, or once per epoch.

    Args:
        every: `"5 min"`, a number of steps, or `"epoch"`.
        name: of the argument, for the error.

    Raises:
        ValueError: `every` is none of the three.
    """

    def __init__(self, every: str | int, name: str = "every") -> None:
        self.per_epoch = every == "epoch"
        self._steps = self._seconds = 0.0
        if isinstance(every, int) and not isinstance(every, bool) and every >= 1:
            self._steps = float(every)
        elif isinstance(every, str) and not self.per_epoch:
            self._seconds = seconds_of(every, name)
        elif not self.per_epoch:
            raise ValueError(
                "a state is saved at each 'epoch', after a time as '5 min', or after a number of "
                f"steps. Received: {name}={every!r}"
            )
        self.restart()

    def restart(self) -> None:
        """A state was saved, or the training begins."""
        self._count, self._last = 0, time.monotonic()

    def count(self, steps: int) -> None:
        """Some steps were trained."""
        self._count += steps

    @property
    def is_over(self) -> bool:
        """Whether the time or the steps are over."""
        if self.per_epoch:
            return False
        if self._steps:
            return self._count >= self._steps
        # A clock that nobody sets: a state is neither missed nor taken at each step.
        return time.monotonic() - self._last >= self._seconds
