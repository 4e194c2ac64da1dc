"""What the first training step would make, made before it.

A step that is compiled is traced twice on TensorFlow if the first trace makes variables: those of
the optimizer and of the metrics. With them there, the first step takes half the time.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam.heads import num_outputs
from keras_ccsam.labels import first_labels
from keras_ccsam.training.trainee import Trainee


def make_variables(model: Trainee, x: Any, y: Any) -> None:
    """Makes the variables of optimizer and metrics, where the model is compiled and built.

    Args:
        model: of one that is not compiled, Keras says so.
        x, y: of `keras.Model.fit`. Metrics need to see labels: of a generator, a `tf.data` data set
            or a `DataLoader` none are taken, and the first step makes their variables.
    """
    if not (model.compiled and model.built) or model.optimizer is None:
        return
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    if all(getattr(metric, "built", True) for metric in model.metrics):
        return
    if y is None and isinstance(x, keras.utils.PyDataset) and len(x) > 0:
        batch = x[0]
        y = batch[1] if isinstance(batch, tuple) and len(batch) > 1 else None
    labels = None if y is None else first_labels(y)
    if labels is None or getattr(labels, "ndim", 0) == 0:
        return
    labels = ops.convert_to_tensor(labels[:1])
    units = num_outputs(model.head)
    with keras.StatelessScope():  # what the metrics would add up is dropped
        model.compute_metrics(None, labels, ops.full((1, units), 1.0 / units), None)
