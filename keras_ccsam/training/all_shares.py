"""What an evaluation found, of which each process saw a share: exact, as of all samples at once."""

from typing import Any

import keras
from keras import ops

from keras_ccsam import backend


def is_share(x: Any) -> bool:
    """Whether metrics have seen one process's share of a data set.

    Args:
        x: what was evaluated on: of a `data.BatchSequence` each process has its share; arrays are
            evaluated whole by each.
    """
    return bool(backend.METRICS_ARE_LOCAL and getattr(x, "is_shared", False))


def of_all_shares(model: keras.Model, as_dict: bool) -> Any:
    """The results of the metrics after the counts and totals of all processes were added up.

    Every process must call it. A metric whose state is no sum over the samples is not exact.

    Args:
        model: just evaluated.
        as_dict: by name; else in the order of Keras' `evaluate`.
    """
    for variable in model.metrics_variables:
        variable.assign(backend.host_sum(ops.convert_to_numpy(variable)))
    found = {name: float(value) for name, value in model.get_metrics_result().items()}
    if as_dict:
        return found
    names = [one.name for metric in model.metrics for one in getattr(metric, "metrics", [metric])]
    ordered = [*(n for n in names if n in found), *sorted(found.keys() - {*names})]
    return found[ordered[0]] if len(ordered) == 1 else [found[name] for name in ordered]
