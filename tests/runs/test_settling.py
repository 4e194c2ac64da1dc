"""A training that is too short for BatchNorm's averages says so."""

import keras
import numpy as np
import pytest

from keras_ccsam import models, runs
from keras_ccsam.runs.settling import short_note

pytestmark = pytest.mark.any_backend


@pytest.fixture
def network():
    return models.SmallCNN((8, 8, 1))


def test_six_steps_are_few_and_twenty_two_enough(network):
    said = short_note(network, 6)
    assert "only 6 steps" in said and "53%" in said  # 0.9^6
    assert short_note(network, 21) and short_note(network, 22) is None


def test_averages_of_trained_weights_and_frozen_ones_are_good(network):
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    for layer in norms[:-1]:
        layer.trainable = False
    assert short_note(network, 1)
    norms[-1].moving_mean.assign(np.full(norms[-1].moving_mean.shape, 0.5))
    assert short_note(network, 1) is None
    assert short_note(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), 1) is None
    held = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(momentum=1.0)])
    assert short_note(held, 1) is None  # it keeps them on purpose


def test_batch_renormalisation_is_told_of_and_not_refused():
    """A plain training bears it; the note ended the run with the words of CC-SAM's statistics."""
    layer = keras.layers.BatchNormalization(renorm=True, momentum=0.9)
    network = keras.Sequential([keras.Input((4,)), layer])
    assert short_note(network, 6) and short_note(network, 22) is None


def test_a_run_prints_it_once(small, tmp_path, capsys):
    runs.run(small("crt", "stage1.epochs=1"), tmp_path / "run", progress="line")
    assert capsys.readouterr().out.count("note: stage 1 has only ") == 1
