"""Softmax cross-entropy, which the other losses change.

L = -log p_y,    p = softmax(z)
"""

import keras

from keras_ccsam.declare import part


@part("loss", "cross_entropy")
def cross_entropy_loss() -> keras.losses.Loss:
    """Softmax cross-entropy of class numbers and logits: Keras' own."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
