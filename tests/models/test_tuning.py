"""Which weights of a network are trained, and how a model keeps that."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam import models
from keras_ccsam.models.blocks import blocks

APPLICATIONS = {
    "ResNet50": ("conv5_block3_1_conv", 32),
    "EfficientNetB0": ("block7a_expand_conv", 32),
    "VGG16": ("block5_conv1", 32),
    "DenseNet121": ("conv5_block16_0_bn", 32),
    "MobileNetV2": ("block_16_expand", 32),
}


def network(seed=0):
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((6, 6, 2))
    for block in (1, 2, 3):
        x = keras.layers.Conv2D(4, 3, padding="same", name=f"block{block}_conv")(x)
        x = keras.layers.BatchNormalization(name=f"block{block}_bn")(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.Dropout(0.3)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(5, name="last")(x), name="network")


def toy_batches(n):
    rng = np.random.default_rng(0)
    y = (np.arange(n) % 3).astype("int32")
    return (rng.normal(size=(n, 6, 6, 2)) + y[:, None, None, None]).astype("float32"), y


def compiled(backbone, sharpness=None):
    model = cc.SharpnessAwareModel(backbone, keras.layers.Dense(3, name="classifier"), sharpness)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def values(model):
    return [ops.convert_to_numpy(v) for v in model.weights]


def fitted(model, epochs=1):
    x, y = toy_batches(40)
    model.fit(x, y, batch_size=10, epochs=epochs, shuffle=False, verbose=0)
    return model


def methods():
    counts = [20, 12, 8]
    return {
        "erm": None,
        "sam": cc.sharpness.SAM(0.05),
        "cc-sam head": cc.sharpness.ClassConditional(counts, radius_scale=0.1),
        "cc-sam all": cc.sharpness.ClassConditional(counts, radius_scale=1e-3, perturb="all"),
    }


@pytest.mark.any_backend
@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_the_last_block_of_an_application_is_told_by_its_names(name):
    first, size = APPLICATIONS[name]
    with keras.StatelessScope(initialize_variables=False):
        backbone = models.build(name, (size, size, 3))
    assert blocks(backbone)[-1][0].name == first
    models.train_last_blocks(backbone)
    inside = next((x for x in backbone.layers if isinstance(x, keras.Model)), backbone)
    trained = {v.path.split("/")[-2] for v in backbone.trainable_variables}
    order = [layer.name for layer in inside.layers]
    assert min(order.index(part) for part in trained if part in order) == order.index(first)


@pytest.mark.any_backend
def test_without_names_a_block_begins_at_each_convolution():
    backbone = models.SmallCNN(width=2, features=3)
    assert [[layer.name for layer in block] for block in blocks(backbone)] == [
        ["conv1", "bn1"],
        ["conv2", "bn2"],
        ["conv3", "bn3"],
    ]


ANYWHERE = pytest.mark.any_backend
# Each way with one method, and one way with another one; all pairs under PyTorch.
PAIRS = [
    pytest.param(
        how,
        method,
        marks=() if method == "sam" or (how, method) == ("lora", "cc-sam all") else ANYWHERE,
    )
    for how in ("frozen", "last_block", "start", "lora")
    for method in sorted(methods())
]


@pytest.mark.parametrize(("how", "method"), PAIRS)
def test_nothing_moves_but_what_is_trained(how, method):
    backbone = network()
    if how == "frozen":
        models.freeze(backbone)
    elif how == "last_block":
        models.train_last_blocks(backbone)
    elif how == "start":
        models.train_last_blocks(backbone, start="last")
    else:
        models.train_low_rank(backbone, rank=2)
    model = compiled(backbone, methods()[method])
    trained = {id(v) for v in backbone.trainable_variables}
    # BatchNorm of a layer that is trained follows its batches.
    norms = {id(v) for x in backbone.layers if x.trainable for v in x.non_trainable_variables}
    before = [(v, ops.convert_to_numpy(v)) for v in backbone.weights]
    fitted(model)
    moved = {id(v) for v, value in before if not np.array_equal(value, ops.convert_to_numpy(v))}
    assert moved <= trained | norms
    assert trained <= moved
    assert bool(trained) is (how != "frozen")


def test_a_frozen_backbone_gives_the_same_features_in_training():
    x, _ = toy_batches(8)
    model = compiled(models.freeze(network()))
    training = ops.convert_to_numpy(model(x, training=True, return_features=True)[1])
    np.testing.assert_array_equal(training, ops.convert_to_numpy(model.backbone(x, training=False)))


def test_low_rank_factors_begin_as_the_network_was():
    x, _ = toy_batches(8)
    before = ops.convert_to_numpy(network()(x))
    backbone = models.train_low_rank(network(), rank=2, layers="conv", alpha=4.0)
    np.testing.assert_allclose(ops.convert_to_numpy(backbone(x)), before, atol=1e-6)
    # three convolutions of 3 x 3: kernels (3, 3, c, 4) as factors (3, 3, c, 2) and (2, 4)
    assert models.trainable_parameters(backbone) == sum(9 * c * 2 + 2 * 4 for c in (2, 4, 4))


@pytest.mark.parametrize(
    "method",
    ["cc-sam all", *(pytest.param(m, marks=pytest.mark.any_backend) for m in ("erm", "sam"))],
)
def test_a_saved_model_with_factors_trains_on_as_it_was(method, tmp_path):
    model = fitted(compiled(models.train_low_rank(network(), rank=2, alpha=6.0), methods()[method]))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for one, other in zip(values(model), values(loaded), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(loaded.trainable_variables) == len(model.trainable_variables)
    # Dropout's masks are no part of a saved model, so it is compared without training.
    x, _ = toy_batches(8)
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    fitted(loaded)
    assert not np.array_equal(values(loaded)[-1], values(model)[-1])


@pytest.mark.any_backend
def test_weights_alone_keep_the_factors(tmp_path):
    model = fitted(compiled(models.train_low_rank(network(), rank=2)))
    model.save_weights(tmp_path / "model.weights.h5")
    other = compiled(models.train_low_rank(network(seed=1), rank=2))
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "model.weights.h5")
    for one, two in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_is_exported_has_the_sums_and_no_factors(tmp_path):
    model = fitted(compiled(models.train_low_rank(network(), rank=2, alpha=6.0)))
    x, _ = toy_batches(8)
    plain = model.export_plain()
    assert not [w.path for w in plain.weights if "lora" in w.path]
    assert plain.count_params() == compiled(network()).export_plain().count_params()
    np.testing.assert_allclose(
        plain.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-5
    )
    # The model itself is as it was.
    assert [w.path for w in model.weights if "lora" in w.path]


@pytest.mark.any_backend
def test_frozen_layers_are_frozen_after_loading(tmp_path):
    model = fitted(compiled(models.train_last_blocks(network())))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [v.path for v in loaded.backbone.trainable_variables] == [
        v.path for v in model.backbone.trainable_variables
    ]


@pytest.mark.parametrize(
    "policy", [pytest.param("mixed_bfloat16", marks=ANYWHERE), "mixed_float16"]
)
def test_low_rank_factors_train_in_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = compiled(
            models.train_low_rank(network(), rank=2),
            cc.sharpness.ClassConditional([20, 12, 8], radius_scale=0.1),
        )
        optimizer = model.optimizer
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(
                keras.optimizers.SGD(0.1), initial_scale=256.0
            )
            model.compile(optimizer, "sparse_categorical_crossentropy")
        factors = [v for v in model.trainable_variables if "lora" in v.path]
        start = [ops.convert_to_numpy(v) for v in factors]
        fitted(model, epochs=2)
        moved = [
            not np.array_equal(a, ops.convert_to_numpy(v))
            for a, v in zip(start, factors, strict=True)
        ]
        assert {str(v.dtype) for v in factors} == {"float32"}
        assert all(moved)
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: models.train_last_blocks(b, 3), "has 3 blocks.*Received: blocks=3"),
        (lambda b: models.train_last_blocks(b, start="blok3_conv"), "did you mean 'block3_conv'"),
        (lambda b: models.train_low_rank(b, rank=0), "rank.*at least 1.*Received: rank=0"),
        (lambda b: models.train_low_rank(b, layers="nothing"), "No layer.*block1_conv"),
        (lambda b: models.train_low_rank(b, layers="("), "regular expression"),
        (lambda b: models.train_low_rank(models.train_low_rank(b)), "factors already"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(network())
