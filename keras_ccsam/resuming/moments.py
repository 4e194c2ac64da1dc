"""When the state of a training is taken, and whether the training stops then."""

from keras_ccsam.processes import Agreement
from keras_ccsam.resuming.interval import Interval
from keras_ccsam.resuming.saver import Saver


class Moments:
    """Decides it between steps, for all processes of a training alike.

    Args:
        interval: between two states; the clock of process 0 counts.
        saver: which may still be busy with the last one.

    Attributes:
        stop: why the training is to stop; None while it is not.
    """

    def __init__(self, interval: Interval, saver: Saver) -> None:
        self._interval, self._saver = interval, saver
        self._agreement = Agreement()
        self.stop: str | None = None

    def begin(self) -> None:
        """As before any training."""
        self._agreement, self.stop = Agreement(), None
        self._interval.restart()

    def is_due(self, before_epoch: bool = False, save: bool = True) -> bool:
        """Whether a state is taken now.

        Args:
            before_epoch: an epoch is about to begin, and another one was trained before it.
            save: whether more than a stop is asked for.
        """

        def due() -> bool:
            if self._interval.per_epoch:
                return before_epoch
            return self._interval.is_over and not self._saver.busy

        now = before_epoch or not save
        self.stop, is_due = self._agreement.at_step(due if save else lambda: False, now)
        return is_due or self.stop is not None
