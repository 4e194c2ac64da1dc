"""The compiled step on JAX: every variable's memory is used again, and only the logs come out."""

import re

import keras
import pytest

import keras_ccsam as cc
from tests.support import COUNTS, batch_norm_model, toy_batches


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX alone hands the state around")
def test_the_state_is_donated_and_nothing_else_is_kept():
    import jax

    model = batch_norm_model(cc.sharpness.ClassConditional(COUNTS), dropout=0.3)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    x, y = toy_batches(20)
    model.train_on_batch(x, y)  # builds the optimizer's and the metrics' variables
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([variable.value for variable in group] for group in groups)
    # As Keras compiles it.
    step = jax.jit(model.train_step, donate_argnums=0).lower(state, (x, y, None)).compile()
    first_line = step.as_text().partition("\n")[0]
    aliases = len(re.findall("(?:may|must)-alias", first_line))
    assert aliases == len(jax.tree.leaves(state))
    assert step.out_tree.num_leaves == aliases + len(("loss", "accuracy"))
