"""What a `tf.data` data set shows on its way, whatever the backend that trains on it."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def is_empty(dataset: Any) -> bool:
    """Whether a data set knows that it has no element."""
    return int(dataset.cardinality()) == 0


def shown(dataset: Any, look: Callable[[Any], None]) -> Any:
    """The same data set, of whose first batch `look` sees the labels at each pass.

    Args:
        dataset: of tuples of inputs and labels, with or without weights, the labels dense tensors
            or a dictionary of them; any other is returned as it is.
        look: is given eager tensors. What it raises stops the reader, as TensorFlow's own error.
    """
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        return dataset
    structure = spec[1]
    if not all(isinstance(part, tf.TensorSpec) for part in tf.nest.flatten(structure)):
        return dataset

    def seen(*labels: Any) -> Any:
        look(tf.nest.pack_sequence_as(structure, labels))
        return True

    def passed_on(index: Any, batch: Any) -> Any:
        inputs, labels, *weights = batch
        flat = tf.nest.flatten(labels)
        done = tf.cond(
            tf.equal(index, 0),
            lambda: tf.py_function(seen, flat, tf.bool),
            lambda: tf.constant(True),
        )
        with tf.control_dependencies([done]):
            labels = tf.nest.map_structure(tf.identity, labels)
        return (inputs, labels, *weights)

    return dataset.enumerate().map(tf.autograph.experimental.do_not_convert(passed_on))
