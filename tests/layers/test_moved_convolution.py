"""Convolutions with a kernel for each image, beside one convolution for each of them."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam import backend
from tests.support import one_program

SLOTS = np.array([2, 0, 2, 2, 1], "int32")
LENGTHS = np.array([0.5, 2.0, -1.0, 1.0], "float32")


def numbers(*shape):
    values = np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")
    return ops.convert_to_tensor(values)


def one_by_one(x, kernel, rows, still, *options):
    """With the same gradients, of one convolution for each image."""
    parts = []
    for i, slot in enumerate(SLOTS):
        row = rows[int(slot)]
        own = row if still else float(LENGTHS[slot]) * ops.stop_gradient(row)
        parts.append(ops.conv(x[i : i + 1], kernel + own, *options))
    return ops.concatenate(parts)


@pytest.mark.parametrize(
    ("image", "window", "strides", "padding", "dilation"),
    [
        ((6, 5), (3, 3), (1, 1), "same", (1, 1)),
        ((2, 2), (3, 3), (1, 1), "same", (1, 1)),
        ((6, 7), (3, 2), (2, 2), "same", (1, 1)),
        ((7, 8), (3, 3), (2, 3), "valid", (1, 1)),
        ((7, 6), (3, 2), (1, 1), "same", (2, 2)),
        ((5, 4), (1, 1), (1, 1), "valid", (1, 1)),
        ((5, 4), (1, 1), (2, 2), "same", (1, 1)),
    ],
)
@pytest.mark.parametrize("still", [False, True])
def test_values_and_gradients_are_those_of_one_convolution_for_each_image(
    image, window, strides, padding, dilation, still
):
    x, kernel = numbers(5, *image, 2), numbers(*window, 2, 3)
    rows = numbers(4, *window, 2, 3) * (0.0 if still else 1.0)
    slots = ops.convert_to_tensor(SLOTS)

    def found(convolve):
        def loss(values):
            out = convolve(*values)
            return ops.sum(ops.cos(out)), out

        program = one_program(lambda values: backend.value_and_grad(loss, values))
        (_, out), gradients = program([x, kernel, rows])
        return [ops.convert_to_numpy(each) for each in (out, *gradients)]

    lengths = None if still else ops.convert_to_tensor(LENGTHS)
    ours = found(
        lambda x, kernel, rows: backend.moved_convolution(
            x, kernel, rows, lengths, slots, strides, padding, dilation
        )
    )
    theirs = found(
        lambda x, kernel, rows: one_by_one(
            x, kernel, rows, still, strides, padding, "channels_last", dilation
        )
    )
    assert theirs[3].any() == still and not theirs[3][3].any()
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-5 * np.abs(its).max())


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of the PyTorch adapter")
@pytest.mark.parametrize("size", [(8, 8, 2, 3), (2, 2, 4, 8)], ids=["wide", "large-kernels"])
@pytest.mark.parametrize("slots", [SLOTS, np.sort(SLOTS)], ids=["mixed", "sorted"])
def test_a_gpus_convolutions_are_those_of_the_cpu(size, slots):
    import torch

    from keras_ccsam.backend import torch_grouped

    height, width, channels, filters = size
    rng = np.random.default_rng(0)

    def tensor(*shape):
        return torch.tensor(rng.normal(size=shape).astype("float32"))

    x, out = tensor(5, channels, height, width), tensor(5, filters, height, width)
    weight, rows = tensor(filters, channels, 3, 3), tensor(4, filters, channels, 3, 3)
    moved = (weight, rows, torch.tensor(LENGTHS), torch.tensor(slots))
    options = ([1, 1], [1, 1], [1, 1])
    for name, given in {
        "own_outputs": (x, *moved),
        "own_images": (out, x, *moved),
        "own_kernels": (out, x, weight, moved[-1], 4),
    }.items():
        mine = getattr(torch_grouped, name)(*given, *options)
        its = getattr(torch.ops.keras_ccsam, name)(*given, *options)
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1)])
def test_rows_are_summed_however_they_lie(order):
    rows = ops.transpose(numbers(7, 3, 2), order)
    np.testing.assert_allclose(
        ops.convert_to_numpy(backend.row_sum(rows)),
        ops.convert_to_numpy(rows).sum(0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_group_normalization_is_that_of_keras():
    x = numbers(3, 4, 5, 6) + 2.0
    layer = keras.layers.GroupNormalization(3, epsilon=1e-3, scale=False, center=False)
    found = backend.group_normalization(x, 3, 1e-3)
    if found is not None:
        expected = ops.convert_to_numpy(layer(x))
        np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=1e-5)
