"""A batch that a step makes on the device is the batch that the host makes."""

import keras
import numpy as np
import pytest

import keras_ccsam.data as ccdata
from keras_ccsam.data.batches import resident
from keras_ccsam.training.resident import is_plan

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, size=(61, 12, 16, 3), dtype=np.uint8)
Y = np.repeat(np.arange(4), [30, 17, 9, 5])


@pytest.fixture(scope="module")
def data():
    return ccdata.from_arrays(X, Y, validation_fraction=0.2)


class OwnFlip(ccdata.Flip):
    def apply(self, x, *drawn):
        return x


def tensors(tree):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, tree)


def made(sequence, step):
    """The images of a step, made as a training step makes them."""
    plan, *rest = sequence[step]
    assert is_plan(plan)
    return keras.ops.convert_to_numpy(sequence.resident.images(tensors(plan))), rest


@pytest.mark.parametrize(
    "options",
    [
        {"augment": ()},
        {"augment": ("crop", "flip", "cutout"), "sampler": "class_balanced"},
        {"augment": (ccdata.Crop(3), ccdata.Cutout(5, fill=7)), "cutmix": 1.0},
        {"augment": ("crop",), "mixup": 0.4, "class_weight": "auto"},
        {"augment": ("flip",), "mixup": 0.4, "cutmix": 1.0, "mix_probability": 0.7},
    ],
)
def test_the_images_are_those_of_the_host(data, options):
    options = {"batch_size": 13, "seed": 3} | options
    host, device = data.batches(**options), data.batches(**options, data_on="device")
    for sequence in (host, device):
        sequence.set_epoch(2)
    assert len(host) == len(device)
    for step in range(len(host)):
        wanted, *rest = host[step]
        images, others = made(device, step)
        assert images.dtype == wanted.dtype
        # A product and a sum may be rounded once where NumPy rounds twice.
        np.testing.assert_allclose(images, wanted, rtol=0, atol=2e-5 if "mixup" in options else 0)
        keras.tree.map_structure(np.testing.assert_array_equal, others, rest)


@pytest.mark.any_backend
def test_less_goes_to_the_device(data):
    plan = data.batches(batch_size=32, augment=("crop", "flip"), data_on="device")[0][0]
    plan.pop("images", None)  # on JAX, what is there already
    sent = sum(part.nbytes for part in keras.tree.flatten(plan))
    assert sent == 32 * (4 + 4 + 4 + 1) < 32 * X[0].nbytes / 30


@pytest.mark.any_backend
def test_one_copy_serves_all_options(data):
    sequence = data.batches(data_on="device")
    other = sequence.with_options(batch_size=7)
    assert other.resident.copy is sequence.resident.copy
    assert sequence.on_host().resident is None
    assert sequence.on_host().options.batch_size == sequence.batch_size


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"augment": ("rand_augment",)}, "RandAugment is computed on the host"),
        ({"augment": (OwnFlip(),)}, "OwnFlip is computed on the host"),
        ({"augment": (lambda x, rng: x,)}, "computed on the host"),
        ({"views": ccdata.views.RegMixup()}, "the views of RegMixup"),
        ({"sample_index": True}, "places of the images"),
        ({"process": (0, 2)}, "several"),
        ({"split": "validation"}, "only a training step"),
    ],
)
def test_what_cannot_lie_there_is_refused_and_auto_takes_the_host(data, options, reason):
    with pytest.raises(ValueError, match=reason):
        data.batches(**options, data_on="device")
    assert data.batches(**options, data_on="auto").resident is None


@pytest.mark.any_backend
def test_a_wrong_place_is_refused(data):
    with pytest.raises(ValueError, match=r"data_on must be one of .* Received: data_on='gpu'"):
        data.batches(data_on="gpu")


@pytest.mark.any_backend
@pytest.mark.parametrize(("memory", "there"), [(None, False), (4.0, True), (3.9, False)])
def test_auto_takes_a_quarter_of_an_accelerator(data, monkeypatch, memory, there):
    size = None if memory is None else memory * data.x_train.nbytes
    monkeypatch.setattr(resident.backend, "accelerator_memory", lambda: size)
    assert (data.batches(augment=(), data_on="auto").resident is not None) == there
