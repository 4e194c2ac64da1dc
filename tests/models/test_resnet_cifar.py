"""The CIFAR ResNets: geometry, initialisation, normalisation, and files that load alone."""

import zipfile

import keras
import numpy as np
import pytest

from keras_ccsam import models
from keras_ccsam.models.resnet_cifar import _option_a, resnet_cifar
from keras_ccsam.training import CCSAM

HEAD_10 = 64 * 10 + 10


def trainable_parameters(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("network", "with_ten_classes"),
    [
        (models.ResNet8, 75_290),
        (models.ResNet14, 172_506),
        (models.ResNet20, 269_722),
        (models.ResNet32, 464_154),
        (models.ResNet44, 658_586),
        (models.ResNet56, 853_018),
    ],
)
def test_parameter_counts_are_those_of_the_option_a_networks(network, with_ten_classes):
    model = network()
    assert model.output_shape == (None, 64)
    assert trainable_parameters(model) + HEAD_10 == with_ten_classes


def option_a_parameters(depth, widths):
    """By hand: a 3x3 stem, 2n convolutions in each stage, and BatchNorm's two numbers a channel."""
    total, before = 9 * 3 * widths[0] + 2 * widths[0], widths[0]
    for width in widths:
        for place in range((depth - 2) // 3):
            total += 9 * (before if place == 0 else width) * width + 2 * width
        before = width
    return total


@pytest.mark.any_backend
def test_the_networks_that_papers_call_alike_have_these_parameters():
    """The table of docs/how-to/transfer.md: narrow, wide, and the ResNet-34 of weight balancing."""
    with keras.StatelessScope(initialize_variables=False):
        narrow, wide = (models.ResNet32(width=width) for width in ("narrow", "wide"))
        resnet34 = models.build("resnet34", (32, 32, 3), stem="cifar", normalization="cifar")
    assert trainable_parameters(narrow) == option_a_parameters(32, (16, 32, 64)) == 463_504
    assert trainable_parameters(wide) == option_a_parameters(32, (64, 128, 256)) == 7_383_616
    assert trainable_parameters(resnet34) == 21_276_992


@pytest.mark.any_backend
def test_wide_has_four_times_the_channels_in_every_convolution():
    narrow, absent, wide = (models.ResNet8((8, 8, 3), width=w) for w in ("narrow", None, "wide"))
    channels = [
        [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
        for model in (narrow, absent, wide)
    ]
    assert channels[0] == channels[1] == [16, 16, 16, 32, 32, 64, 64]
    assert channels[2] == [4 * count for count in channels[0]]
    assert (narrow.output_shape, wide.output_shape) == ((None, 64), (None, 256))
    assert (narrow.name, wide.name) == ("resnet8", "resnet8_wide")
    with pytest.raises(ValueError, match=r"'narrow'.*or 'wide'.*Received: width='broad'"):
        models.ResNet8(width="broad")


@pytest.mark.any_backend
def test_resnet34_of_imbsam_sees_32_pixels_without_a_pooled_stem():
    with keras.StatelessScope(initialize_variables=False):
        model = models.build("resnet34", (32, 32, 3), stem="cifar", normalization="cifar")
        pooled = models.build("resnet34", (32, 32, 3))
    assert (model.name, model.output_shape) == ("resnet34", (None, 512))
    assert sum(int(np.prod(v.shape)) for v in pooled.trainable_variables) == 21_284_672
    maps = {layer.name: layer.output.shape[1:3] for layer in (*model.layers,)}
    assert maps["stem_relu"] == (32, 32) and maps["stage4_block3_relu2"] == (4, 4)
    assert not [layer for layer in model.layers if "pool" in layer.name]
    basic = [name for name in maps if name.endswith("_conv1")]
    assert len(basic) == 3 + 4 + 6 + 3


@pytest.mark.any_backend
def test_blocks_of_each_stage_can_be_told():
    """CC-SAM's code calls a network of 5, 5 and 4 blocks ResNet-32."""
    released = models.ResNet32((8, 8, 3), blocks=[5, 5, 4])
    whole = models.ResNet32((8, 8, 3))
    gone = {layer.name for layer in whole.layers} - {layer.name for layer in released.layers}
    assert {name.rsplit("_", 1)[0] for name in gone} == {"stage3_block5"}
    one_block = 2 * (9 * 64 * 64) + 4 * 64
    assert trainable_parameters(whole) - trainable_parameters(released) == one_block
    for wrong in ([5, 5], [5, 5, 0]):
        with pytest.raises(ValueError, match="three numbers of at least 1"):
            models.ResNet32(blocks=wrong)


def test_group_norm_stands_in_for_each_batch_norm():
    batch, group = (
        models.ResNet8((8, 8, 3), normalization_layers=kind) for kind in ("batch", "group")
    )
    assert trainable_parameters(batch) == trainable_parameters(group)
    kinds = [type(layer).__name__ for layer in batch.layers]
    swapped = [kind.replace("BatchNorm", "GroupNorm") for kind in kinds]
    assert [type(layer).__name__ for layer in group.layers] == swapped
    assert "GroupNormalization" in swapped and not group.non_trainable_variables
    assert group.get_layer("stage1_block1_gn2").groups == 8
    # No sample sees another one: alone or in a batch, in training too.
    x = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    together = keras.ops.convert_to_numpy(group(x, training=True))
    alone = keras.ops.convert_to_numpy(group(x[1:2], training=True))
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.any_backend
def test_unknown_normalization_layers_are_refused():
    with pytest.raises(ValueError, match="Received: normalization_layers='layer'"):
        resnet_cifar(8, normalization_layers="layer")


def test_what_couples_the_samples_of_a_resnet():
    counts = [5, 4, 3]
    for kind, norms in (("batch", 7), ("group", 0)):
        backbone = models.ResNet8((8, 8, 3), normalization_layers=kind)
        coupling = CCSAM(backbone, 3, counts).coupling
        assert coupling.reason is None and len(coupling.batch_norms) == norms


@pytest.mark.parametrize("size", [8, 9])
def test_option_a_is_slicing_and_zeros_on_both_sides(size):
    images = keras.Input((size, size, 16))
    shortcut = keras.Model(images, _option_a(images, 32))
    x = np.random.default_rng(0).normal(size=(2, size, size, 16)).astype("float32")
    expected = np.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (8, 8)))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(shortcut(x)), expected)


def torch_resnet(depth):
    """The network as torch codebases write it, independent of the one under test."""
    import torch
    from torch import nn
    from torch.nn import functional as f

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.stride, self.missing = stride, (outputs - inputs) // 2

        def forward(self, x):
            y = self.bn2(self.conv2(f.relu(self.bn1(self.conv1(x)))))
            if self.stride != 1:
                x = f.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.missing, self.missing))
            return f.relu(y + x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
            self.blocks = nn.ModuleList()
            inputs = 16
            for outputs in (16, 32, 64):
                for index in range((depth - 2) // 6):
                    stride = 2 if index == 0 and outputs > 16 else 1
                    self.blocks.append(Block(inputs, outputs, stride))
                    inputs = outputs

        def forward(self, x):
            mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
            std = torch.tensor([0.2023, 0.1994, 0.2010]).view(3, 1, 1)
            x = f.relu(self.bn(self.conv((x / 255 - mean) / std)))
            for block in self.blocks:
                x = block(x)
            return x.mean((2, 3))

    return Net()


@pytest.mark.parametrize("size", [32, 15])
def test_features_equal_an_independent_torch_network(size):
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("compared where torch is the backend")
    torch.manual_seed(0)
    reference = torch_resnet(20).eval()
    with torch.no_grad():
        for module in reference.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
    model = models.ResNet20((size, size, 3))
    theirs = [m for m in reference.modules() if isinstance(m, torch.nn.Conv2d)]
    ours = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    for source, target in zip(theirs, ours, strict=True):
        target.kernel.assign(source.weight.detach().permute(2, 3, 1, 0).numpy())
    theirs = [m for m in reference.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    ours = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for source, target in zip(theirs, ours, strict=True):
        parts = (source.weight, source.bias, source.running_mean, source.running_var)
        target.set_weights([part.detach().numpy() for part in parts])
    x = np.random.default_rng(0).integers(0, 256, (3, size, size, 3)).astype("float32")
    with torch.no_grad():
        expected = reference(torch.tensor(x).permute(0, 3, 1, 2)).numpy()
    actual = keras.ops.convert_to_numpy(model(x, training=False))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


def test_initialisation_and_batch_norm_are_those_of_the_recipe():
    keras.utils.set_random_seed(0)
    model = models.ResNet8()
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(convolutions) == 7
    for layer in convolutions:
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        assert not layer.use_bias
        assert kernel.std() == pytest.approx(np.sqrt(2 / np.prod(kernel.shape[:3])), rel=0.1)
    # one initializer shared by all would give equal shapes equal values
    same_shape = [x.kernel for x in convolutions if tuple(x.kernel.shape) == (3, 3, 16, 16)]
    first, second = (keras.ops.convert_to_numpy(kernel) for kernel in same_shape)
    assert not np.array_equal(first, second)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert {(x.momentum, x.epsilon) for x in norms} == {(0.9, 1e-5)}


@pytest.mark.parametrize(
    ("normalization", "mean", "std"),
    [
        ("cifar", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ("unit", 0.0, 1.0),
        ((0.5, (0.1, 0.2, 0.4)), 0.5, (0.1, 0.2, 0.4)),
        (None, 0.0, 1 / 255),
    ],
)
def test_first_layer_normalises_pixels(normalization, mean, std):
    model = models.ResNet8((4, 4, 3), normalization)
    normalized = keras.Model(model.input, model.get_layer("stem_conv").input)
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype="uint8")
    expected = (x / 255.0 - np.array(mean)) / np.array(std)
    actual = keras.ops.convert_to_numpy(normalized(x))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-6)


def test_grey_images_of_another_size():
    model = models.ResNet14((8, 8, 1), "cifar")
    features = model(np.full((2, 8, 8, 1), 128, "uint8"), training=False)
    assert features.shape == (2, 64)
    first = keras.Model(model.input, model.get_layer("stem_conv").input)
    value = float(keras.ops.convert_to_numpy(first(np.full((1, 8, 8, 1), 128.0)))[0, 0, 0, 0])
    assert value == pytest.approx((128 / 255 - 1.4201 / 3) / (0.6027 / 3), abs=1e-5)


def test_a_copy_in_stock_layers_names_nothing_of_this_package(tmp_path):
    """That such a file loads in a process without it is tested of a run's exported network."""
    model = models.plain_backbone(models.ResNet8((9, 9, 3)))
    x = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"keras_ccsam" not in archive.read("config.json")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    found = keras.ops.convert_to_numpy(loaded(x, training=False))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"depth": 18}, "depth=18"),
        ({"depth": 2}, "depth=2"),
        ({"depth": 8, "input_shape": (32, 32)}, "input_shape=(32, 32)"),
        ({"depth": 8, "normalization": "imagenett"}, "normalization='imagenett'"),
        ({"depth": 8, "normalization": ((0.5, 0.5), 0.2)}, "normalization="),
        ({"depth": 8, "normalization": (0.5, 0.0)}, "normalization=(0.5, 0.0)"),
        ({"depth": 8, "normalization": (0.5,)}, "normalization=(0.5,)"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError) as error:
        resnet_cifar(**arguments)
    assert "Received: " in str(error.value)
    assert named in str(error.value)


def test_small_cnn_fits_digits():
    model = models.SmallCNN()
    assert model.output_shape == (None, 64)
    assert model(np.zeros((2, 8, 8, 1), "uint8"), training=False).shape == (2, 64)
    assert models.SmallCNN((32, 32, 3), "cifar", features=16).output_shape == (None, 16)
    with pytest.raises(ValueError, match="width=0"):
        models.SmallCNN(width=0)
