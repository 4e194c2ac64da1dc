"""The two-pass route against the loop over the classes, and when it is taken."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam.sharpness import ClassConditional
from keras_ccsam.sharpness.class_conditional import class_routes, method
from keras_ccsam.sharpness.class_conditional.radius import ClassSteps
from keras_ccsam.training.coupling import coupling
from keras_ccsam.training.objective import BatchObjective
from tests.support import COUNTS, by_class, step_gradients, toy_batches


def convolutional(x):
    x = layers.Conv2D(4, 3, kernel_regularizer="l2", name="conv")(x)
    x = layers.GroupNormalization(2, name="group")(x)
    x = ops.pad(ops.relu(x)[:, ::2], ((0, 0), (1, 0), (0, 0), (0, 0)))
    x = layers.DepthwiseConv2D(2, name="depth")(x)
    x = layers.BatchNormalization(trainable=False, name="norm")(x)
    return layers.GlobalAveragePooling2D()(x)


def fast_layers(x):
    return cc.models.accelerate(keras.Model(x, convolutional(x))).output


def ruled(x):
    """Layers that have rules for samples with weights of their own, and no others."""
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="tanh", name="conv")(x)
    x = layers.GroupNormalization(2, name="group")(x)
    x = layers.Dense(6, name="tokens")(layers.Reshape((9, 4))(x))
    x = layers.LayerNormalization(name="layer")(x)
    x = layers.Dense(5, activation="tanh", name="wide")(layers.Flatten()(x))
    return layers.Dense(4, name="narrow", use_bias=False)(x)


def fast_tokens(x):
    return cc.models.accelerate(keras.Model(x, ruled(x))).output


def attention(x):
    x = layers.Dense(4, activation="tanh", name="embed")(layers.Reshape((6, 12))(x))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3, name="attention")(x, x)])
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


def einsums(x):
    x = layers.Reshape((6, 3, 4))(x)
    x = layers.EinsumDense("abcd,cdef->abef", (6, 2, 5), bias_axes="ef", name="heads")(x)
    x = layers.EinsumDense("abef,efg->abg", (6, 4), activation="tanh", name="tokens")(x)
    return layers.Flatten()(x)


def other_einsums(x):
    x = layers.Reshape((6, 12))(x)
    return layers.Flatten()(layers.EinsumDense("abc,bcd->abd", (6, 3), name="places")(x))


def called_twice(x):
    dense = layers.Dense(6, activation="tanh", name="shared")
    x = dense(layers.Dense(6, name="once")(layers.Flatten()(x)))
    return layers.Add()([dense(x), layers.Dense(6, name="other")(x)])


def perceptron(x):
    x = layers.Dense(6, activation="tanh", name="first")(layers.Flatten()(x))
    return layers.LayerNormalization(name="norm")(x)


def batch_norm(x):
    x = layers.Conv2D(4, 3, name="conv")(x)
    x = layers.BatchNormalization(name="norm", momentum=0.9)(x)
    return layers.GlobalAveragePooling2D()(layers.ReLU()(x))


def dropout(x):
    return layers.Dropout(0.3, seed=1)(perceptron(x))


def batch_mean(x):
    x = perceptron(x)
    return x - ops.mean(x, axis=0, keepdims=True)


def reversed_batch(x):
    return perceptron(x)[::-1, :]


def batch_softmax(x):
    return layers.Softmax(axis=0)(perceptron(x))


class Custom(layers.Layer):
    def call(self, inputs):
        return 2.0 * inputs


class Stated(Custom):
    samples_independent = True


class Inherited(Stated):
    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=0)


class OwnCall(cc.SharpnessAwareModel):
    def call(self, inputs, training=None, return_features=False):
        return super().call(inputs, training, return_features)


def model(body, perturb="all", radius=0.5, kind=cc.SharpnessAwareModel, loss=None, **options):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    backbone = keras.Model(inputs, body(inputs))
    method = ClassConditional(COUNTS, radius, perturb=perturb, **options)
    net = kind(backbone, layers.Dense(5, name="classifier"), method)
    rng = np.random.default_rng(2)
    net.set_weights(
        [w + 0.1 * rng.uniform(size=w.shape).astype(w.dtype) for w in net.get_weights()]
    )
    net.hyper_parameters.radius_scale.assign(radius)
    net.hyper_parameters.flat_ratio.assign(0.6)
    net.compile("sgd", loss or "sparse_categorical_crossentropy")
    return net


def assert_same(ours, theirs, tolerance=1e-5):
    (named, loss), (expected, expected_loss) = ours, theirs
    np.testing.assert_allclose(loss, expected_loss, rtol=tolerance)
    for path, gradient, reference in zip(named, named.values(), expected.values(), strict=True):
        scale = max(1.0, np.abs(reference).max())
        np.testing.assert_allclose(
            gradient, reference, rtol=tolerance, atol=tolerance * scale, err_msg=path
        )


def mixed(y):
    second = y[::-1].copy()
    return {"labels": y, "second_labels": second, "mix": np.linspace(0.2, 1.0, len(y), dtype="f4")}


@pytest.mark.parametrize(
    ("body", "perturb", "chunk"),
    [
        (convolutional, "conv|group|classifier", 5),
        (fast_layers, "conv|depth|norm|classifier", None),
        (attention, "all", None),
        (attention, "query/kernel|key/bias|output", 4),
        (einsums, "all", None),
        (called_twice, "all", None),
        (ruled, "all", None),
        (ruled, "conv|tokens/kernel|gamma|narrow", 4),
        (fast_tokens, "all", None),
    ],
    ids=[
        "convolutional",
        "fast_layers",
        "attention",
        "attention_in_part",
        "einsums",
        "called_twice",
        "ruled",
        "ruled_in_part",
        "fast_tokens",
    ],
)
def test_equals_the_loop_over_the_classes(body, perturb, chunk, monkeypatch):
    """With mixed labels, weights, an absent class, a class weighted 0, regularisers; in chunks."""
    x, y = toy_batches(14)
    y[y == 3] = 0
    weight = np.linspace(0.1, 2.0, 14).astype("float32")
    weight[y == 4] = 0.0
    weight = ops.convert_to_tensor(weight)
    net = model(body, perturb, chunk=chunk)
    assert net.coupling.reason is None
    ours = step_gradients(net, x, mixed(y), weight)
    theirs = step_gradients(by_class(model(body, perturb)), x, mixed(y), weight)
    assert_same(ours, theirs)
    # What the comparison would not see: a perturbation of zero, on both sides.
    monkeypatch.setattr(ClassSteps, "length", lambda self, w, norm, y, k: 0.0 * norm)
    still = step_gradients(model(body, perturb, chunk=chunk), x, mixed(y), weight)
    with pytest.raises(AssertionError):
        assert_same(still, theirs)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("body", "perturb", "run"),
    [
        (ruled, "all", "ByLayer"),
        (fast_tokens, "all", "ByLayer"),
        (convolutional, "conv|group|classifier", "ByLayer"),
        (convolutional, "all", "BySample"),  # there is no rule for depthwise convolutions
        (attention, "all", "ByLayer"),
        (einsums, "all", "ByLayer"),
        (other_einsums, "all", "BySample"),
    ],
)
def test_the_run_taken(body, perturb, run, monkeypatch):
    taken = []
    for name in ("ByLayer", "BySample"):
        kind = getattr(class_routes, name)
        inner = kind.moved
        monkeypatch.setattr(
            kind, "moved", lambda *a, name=name, inner=inner: taken.append(name) or inner(*a)
        )
    x, y = toy_batches(6)
    step_gradients(model(body, perturb), x, y)
    assert taken == [run]


def test_chunks_and_the_order_of_samples_do_not_matter():
    x, y = toy_batches(11)
    expected = step_gradients(model(perceptron), x, y)
    order = np.random.default_rng(0).permutation(11)
    assert_same(step_gradients(model(perceptron, chunk=4), x[order], y[order]), expected, 2e-6)


def test_no_radius_is_the_plain_step():
    x, y = toy_batches(11)
    net = model(perceptron)
    net.hyper_parameters.radius_scale.assign(0.0)
    ours = step_gradients(net, x, y)
    net.sharpness = cc.sharpness.ERM()
    assert_same(ours, step_gradients(net, x, y), 2e-6)


class Normalized(layers.Layer):
    """BatchNorm at statistics that are numbers."""

    def __init__(self, mean, variance, **kwargs):
        super().__init__(**kwargs)
        self.mean, self.variance = mean.tolist(), ops.convert_to_tensor(variance)

    def build(self, input_shape):
        self.gamma = self.add_weight(shape=input_shape[-1:], initializer="ones")
        self.beta = self.add_weight(shape=input_shape[-1:], initializer="zeros")

    def call(self, inputs):
        scaled = (inputs - ops.convert_to_tensor(self.mean)) / ops.sqrt(self.variance + 1e-3)
        return scaled * self.gamma + self.beta


@pytest.mark.parametrize("fast", [False, True])
def test_clean_statistics_are_constants_of_both_passes(fast):
    """Against the loop on a network that normalises by the batch's own statistics as numbers."""
    x, y = toy_batches(13)
    clean = model(batch_norm, batch_norm="clean")
    if fast:
        cc.models.accelerate(clean.backbone)
    clean.hyper_parameters.flat_ratio.assign(1.0)
    convolution, norm = (clean.backbone.get_layer(name) for name in ("conv", "norm"))
    maps = ops.convert_to_numpy(convolution(x))
    mean, variance = maps.mean((0, 1, 2)), maps.var((0, 1, 2))

    def at_those_numbers(inputs):
        h = layers.Conv2D(4, 3)(inputs)
        h = Normalized(mean, variance)(h)
        return layers.GlobalAveragePooling2D()(layers.ReLU()(h))

    numbers = model(at_those_numbers)
    assert "Normalized" in numbers.coupling.reason
    numbers.hyper_parameters.flat_ratio.assign(1.0)
    for variable, value in zip(numbers.trainable_variables, clean.trainable_variables, strict=True):
        variable.assign(value)
    expected = step_gradients(numbers, x, y)
    assert_same(step_gradients(clean, x, y), expected)
    literal = model(batch_norm)
    literal.hyper_parameters.flat_ratio.assign(1.0)
    with pytest.raises(AssertionError):
        assert_same(step_gradients(literal, x, y), expected)

    before = ops.convert_to_numpy(norm.moving_mean), ops.convert_to_numpy(norm.moving_variance)
    clean.train_on_batch(x, y)
    for variable, old, new in zip(
        (norm.moving_mean, norm.moving_variance), before, (mean, variance), strict=True
    ):
        value = ops.convert_to_numpy(variable)
        np.testing.assert_allclose(value, 0.9 * old + 0.1 * new, rtol=1e-5, atol=1e-6)


def test_without_a_radius_clean_statistics_are_the_plain_step():
    x, y = toy_batches(12)
    net = model(batch_norm, batch_norm="clean")
    net.hyper_parameters.radius_scale.assign(0.0)
    ours = step_gradients(net, x, y)
    net.sharpness = cc.sharpness.ERM()
    assert_same(ours, step_gradients(net, x, y), 2e-6)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (dropout, "Dropout"),
        (batch_mean, "the operation 'mean"),
        (reversed_batch, "the operation 'get_item"),
        (batch_softmax, "works along the batch axis"),
        (lambda x: Custom()(perceptron(x)), "not known"),
        (lambda x: Inherited()(perceptron(x)), "not known"),
        (lambda x: layers.Dense(3, activity_regularizer="l2")(perceptron(x)), "activity"),
        (lambda x: layers.BatchNormalization()(perceptron(x), training=False), "training=False"),
    ],
    ids=lambda value: value.split()[-1].strip("'") if isinstance(value, str) else "",
)
def test_what_may_couple_samples_says_so(body, reason):
    inputs = keras.Input((6, 6, 2))
    part = keras.Model(inputs, body(inputs))
    nested = keras.Sequential([keras.Input((6, 6, 2)), part])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    for backbone in (part, nested):
        found = coupling(backbone, layers.Dense(5), loss).reason
        assert found is not None and reason in found


def test_stated_layers_and_known_losses_do_not_couple():
    inputs = keras.Input((6, 6, 2))
    backbone = keras.Model(inputs, Stated()(perceptron(inputs)))
    assert coupling(backbone, cc.heads.Cosine(5), None).reason is None
    assert "Dice" in coupling(backbone, layers.Dense(5), keras.losses.Dice()).reason
    assert "lambda" in coupling(backbone, layers.Dense(5), lambda y, z: y).reason
    first = keras.losses.CategoricalCrossentropy(axis=0)
    assert "batch axis" in coupling(backbone, layers.Dense(5), first).reason
    fixed = keras.Input(batch_shape=(4, 6, 6, 2))
    assert "size" in coupling(keras.Model(fixed, perceptron(fixed)), layers.Dense(5), None).reason


@pytest.mark.parametrize(
    ("body", "options", "routed"),
    [
        (perceptron, {}, True),
        (dropout, {}, False),
        (batch_norm, {}, False),
        (batch_norm, {"batch_norm": "clean"}, True),
        (perceptron, {"kind": OwnCall}, False),
        (perceptron, {"loss": keras.losses.Dice()}, False),
    ],
)
def test_the_route_taken(body, options, routed, monkeypatch):
    taken = []
    for name in ("passes_by_route", "passes_by_class"):
        monkeypatch.setattr(method, name, lambda *a, name=name: taken.append(name))
    net = model(body, **options)
    values = [ops.convert_to_tensor(v.value) for v in net.trainable_variables]
    objective = BatchObjective(net, values, (), None, None, None)
    net.sharpness.gradients(objective, net.hyper_parameters)
    assert taken == ["passes_by_route" if routed else "passes_by_class"]


def test_freezing_batch_norm_later_changes_the_route():
    net = model(batch_norm)
    assert not method._goes_by_route(net.coupling, "literal")
    net.backbone.get_layer("norm").trainable = False
    net.compile("sgd", "sparse_categorical_crossentropy")
    assert method._goes_by_route(net.coupling, "literal")


def test_clean_statistics_are_refused_where_something_else_couples():
    with pytest.raises(ValueError, match=r"Dropout.*Received: batch_norm='clean'"):
        model(lambda x: layers.Dropout(0.2)(batch_norm(x)), batch_norm="clean")


@pytest.mark.parametrize("options", [{"batch_norm": "frozen"}, {"chunk": 0}])
def test_bad_options_are_refused(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"Received: {name}="):
        ClassConditional(COUNTS, perturb="all", **options)


def test_options_survive_a_round_trip():
    backbone = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
    net = cc.CCSAM(backbone, 5, COUNTS, perturb="all", batch_norm="clean", chunk=7)
    again = cc.CCSAM.from_config(net.get_config()).sharpness
    config = again.get_config()
    assert (config["batch_norm"], config["chunk"]) == ("clean", 7)
    assert ClassConditional.from_config(config).get_config() == config


def test_mixed_precision_stays_near_float32():
    x, y = toy_batches(12)

    def step(optimizer):
        net = model(convolutional)
        net.compile(optimizer, "sparse_categorical_crossentropy")
        net.train_on_batch(x, y)
        return net.get_weights()

    full = step(keras.optimizers.SGD(0.1))
    keras.config.set_dtype_policy("mixed_float16")
    # Keras' first scale, 32,768, overflows here, and the step would be skipped.
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=256.0)
    for a, b in zip(step(scaled), full, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-3)


def test_fit_takes_a_smaller_last_batch():
    x, y = toy_batches(20)
    net = model(perceptron, chunk=5)
    history = net.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_a_last_smaller_batch_is_no_larger_for_it():
    """TensorFlow does not know such a batch's size before it runs: chunks must not outgrow it."""

    def perceptron_model():
        keras.utils.set_random_seed(0)
        backbone = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh")])
        net = cc.CCSAM(backbone, 5, COUNTS, radius_scale=0.5, perturb="all")
        net.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        return net

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)).astype("float32"), rng.integers(0, 5, 20).astype("int32")
    whole, by_hand = perceptron_model(), perceptron_model()
    whole.fit(x, y, batch_size=16, epochs=1, shuffle=False, verbose=0)
    for part in (slice(16), slice(16, None)):
        by_hand.train_on_batch(x[part], y[part])
    for ours, theirs in zip(whole.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("batch_norm", ["literal", "clean"])
def test_images_of_sizes_that_are_not_known(batch_norm):
    """TensorFlow does not know them before it runs; the numbers are those of any other step."""

    def network():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((None, None, 3))
        x = layers.Conv2D(4, 3, padding="same")(inputs)
        x = layers.BatchNormalization(trainable=batch_norm == "clean")(x)
        x = layers.GroupNormalization(2)(layers.Dense(4, activation="tanh")(x))
        backbone = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
        net = cc.CCSAM(
            backbone, 3, [4, 2, 1], radius_scale=0.5, perturb="all", batch_norm=batch_norm
        )
        net.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        return net

    rng = np.random.default_rng(0)
    # Of two sizes: of one alone Keras tells TensorFlow.
    images = [rng.normal(size=(7, *size, 3)).astype("float32") for size in ((6, 6), (8, 7))]
    y = np.array([0, 0, 0, 0, 1, 1, 2], "int32")
    fed, by_hand = network(), network()
    fed.fit(((x, y) for x in images), steps_per_epoch=2, verbose=0, shuffle=False)
    for x in images:
        by_hand.train_on_batch(x, y)
    for ours, theirs in zip(fed.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
