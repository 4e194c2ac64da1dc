"""A method from outside is told, in one sentence, what its gradients lack."""

import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from tests.support import batch_norm_model, toy_batches


class Own(cc.sharpness.SharpnessMethod):
    """Changes what the plain step returns."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def gradients(self, objective, options):
        return self.change(*objective.gradient(objective.values))


def trained(change):
    model = batch_norm_model(Own(change))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = toy_batches(20)
    return model.fit(x, y, batch_size=10, verbose=0)


def first(gradient):
    return lambda all_of, evaluation: ([gradient(all_of[0]), *all_of[1:]], evaluation)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda gradients, evaluation: (gradients[1:], evaluation), "it returned 7 gradients"),
        (lambda gradients, evaluation: (evaluation, gradients), "in place of the evaluation it"),
        (lambda gradients, evaluation: gradients, "it returned a list of 8"),
        (lambda gradients, evaluation: None, "it returned nothing"),
        (first(lambda gradient: None), "the gradient of conv/kernel is nothing"),
        (
            first(lambda gradient: ops.reshape(gradient, (-1,))),
            "the gradient of conv/kernel has the shape (72,) in place of (3, 3, 2, 4)",
        ),
    ],
)
def test_what_is_wrong_is_named(change, said):
    with pytest.raises(TypeError) as error:
        trained(change)
    message = str(error.value)
    assert said in message
    assert message.startswith("Own.gradients (") and "test_method_gradients.py)" in message
    assert "one gradient for each of the 8 trainable variables, in their order" in message


def test_a_tuple_of_gradients_is_as_good_as_a_list():
    losses = trained(lambda gradients, evaluation: (tuple(gradients), evaluation)).history["loss"]
    assert np.isfinite(losses).all()
