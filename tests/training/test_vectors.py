"""The float64 reference numbers, reached through the model's own objective."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.heads import averaging, closed_form
from keras_ccsam.sharpness import AdversarialFeatures, ClassConditional
from keras_ccsam.sharpness.class_conditional.radius import ClassSteps
from tests.support import (
    FixedFeatures,
    by_class,
    float_type,
    one_program,
    step_gradients,
    vector,
)

DENSE = [
    "stage1_dense_cifar10",
    "stage1_dense_cifar100",
    "stage1_dense_cifar10_ir200",
    "stage1_dense_large_radius",
    "stage1_dense_no_bias",
    "stage1_dense_one_class",
    "stage1_dense_singleton_tail",
    "stage1_mixup",
]
COSINE = ["stage1_cosine", "stage1_cosine_wide"]
STAGE2 = ["stage2_cifar10", "stage2_cifar100", "stage2_full"]
# Keras' operations on torch promote float64 to float32 (its type lattice ends at 32 bits there).
no_float64 = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="Keras computes in float32 on torch"
)
PRECISIONS = [("float32", 1e-5), pytest.param("float64", 1e-10, marks=no_float64)]


class PlainDense(keras.layers.Dense):
    """A Dense head that has no closed form, being a subclass."""


def close(ours, theirs, tolerance):
    theirs = np.asarray(theirs)
    scale = max(1.0, float(np.max(np.abs(theirs))))
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=tolerance, atol=tolerance * scale)


def targets(v):
    y = v["labels"].astype("int32")
    if "second_labels" not in v:
        return y
    second = v["second_labels"].astype("int32")
    mix = np.full(len(y), v["mix"], keras.config.floatx())
    return {"labels": y, "second_labels": second, "mix": mix}


def compiled(v, head, sharpness):
    backbone = FixedFeatures(v["features"])
    model = cc.SharpnessAwareModel(backbone, head, sharpness)
    weights = [v["kernel"]] + ([v["bias"]] if "bias" in v else [])
    model.head.set_weights(weights)
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


def check_gradients(v, model, tolerance):
    x = np.zeros((len(v["labels"]), 1), keras.config.floatx())
    named, loss = step_gradients(model, x, targets(v))
    close(loss, v["loss"], tolerance)
    for path, gradient in named.items():
        close(gradient, v["grad_" + path.rsplit("/", 1)[-1]], tolerance)
    assert len(named) == 2 + ("bias" in v)


def stage1(v):
    counts = v["class_counts"].tolist()
    return ClassConditional(counts, float(v["radius_scale"]), float(v["flat_ratio"]))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", DENSE)
def test_dense_head_in_closed_form(name, dtype, tolerance):
    v = vector(name)
    with float_type(dtype):
        head = keras.layers.Dense(v["kernel"].shape[1], use_bias="bias" in v)
        check_gradients(v, compiled(v, head, stage1(v)), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", COSINE)
def test_cosine_head_in_closed_form(name, dtype, tolerance):
    v = vector(name)
    with float_type(dtype):
        head = cc.heads.Cosine(v["kernel"].shape[1], scale=float(v["scale"]))
        check_gradients(v, compiled(v, head, stage1(v)), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", ["stage1_dense_cifar10", "stage1_dense_singleton_tail"])
def test_head_without_closed_form_class_by_class(name, dtype, tolerance):
    v = vector(name)
    with float_type(dtype):
        head = PlainDense(v["kernel"].shape[1])
        assert closed_form(head) is None
        check_gradients(v, compiled(v, head, stage1(v)), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", ["stage1_dense_cifar10", "stage1_mixup"])
def test_general_path_on_the_head_alone(name, dtype, tolerance):
    v = vector(name)
    with float_type(dtype):
        method = ClassConditional(
            v["class_counts"].tolist(), float(v["radius_scale"]), float(v["flat_ratio"]), "dense"
        )
        head = keras.layers.Dense(v["kernel"].shape[1], name="dense")
        check_gradients(v, compiled(v, head, method), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", DENSE + COSINE)
def test_class_gradient_norms_and_radii(name, dtype, tolerance):
    v = vector(name)
    if name == "stage1_mixup":
        pytest.skip("its class gradients are those of the mixed loss; tested above")
    with float_type(dtype):
        if name in COSINE:
            head = cc.heads.Cosine(v["kernel"].shape[1], scale=float(v["scale"]))
        else:
            head = keras.layers.Dense(v["kernel"].shape[1], use_bias="bias" in v)
        model = compiled(v, head, stage1(v))
        form, options = closed_form(head), model.hyper_parameters
        size = sum(int(np.prod(w.shape)) for w in form.perturbed_weights)
        total = np.sqrt(sum(np.sum(ops.convert_to_numpy(w) ** 2) for w in form.perturbed_weights))

        def norm_and_length(features, labels, total):
            logits = head(features)
            delta = ops.softmax(logits) - ops.one_hot(labels, v["kernel"].shape[1], dtype=dtype)
            by_class = averaging(features, logits, labels, logits.shape[1])
            norm = form.class_gradients(features, logits, delta, by_class).norm
            steps = ClassSteps(options.counts, options.radius_scale)
            return norm, steps.length(total, norm, labels, size)

        if dtype == "float32" or name not in COSINE:
            norm_and_length = one_program(norm_and_length)
        norm, length = map(
            ops.convert_to_numpy,
            norm_and_length(
                ops.convert_to_tensor(v["features"].astype(dtype)),
                ops.convert_to_tensor(v["labels"].astype("int32")),
                ops.convert_to_tensor(np.asarray(total, dtype)),
            ),
        )
        for index, c in enumerate(np.atleast_1d(v["classes"])):
            member = np.flatnonzero(v["labels"] == c)
            close(norm[member], np.atleast_1d(v["grad_norm"])[index], tolerance)
            close(length[member], np.atleast_1d(v["perturbation_norm"])[index], tolerance)
            close(length[member] / size**0.5, np.atleast_1d(v["rho"])[index], tolerance)


def tanh(x):
    """Keras' own tanh computes in float32 under JAX."""
    return 2.0 * ops.sigmoid(2.0 * x) - 1.0


def two_layers(v, method):
    inputs = keras.Input((v["inputs"].shape[1],))
    hidden = keras.layers.Dense(v["w1"].shape[1], activation=tanh, name="hidden")(inputs)
    head = keras.layers.Dense(v["w2"].shape[1], name="last")
    model = cc.SharpnessAwareModel(keras.Model(inputs, hidden), head, method)
    model.backbone.set_weights([v["w1"], v["b1"]])
    head.set_weights([v["w2"], v["b2"]])
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    return model


def check_two_layers(v, model, loss, tolerance):
    inputs = v["inputs"].astype(keras.config.floatx())
    named, ours = step_gradients(model, inputs, v["labels"].astype("int32"))
    close(ours, loss, tolerance)
    for key, gradient in zip(("w1", "b1", "w2", "b2"), named.values(), strict=True):
        close(gradient, v[f"grad_{key}"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("ratio", ["0.5", "1"])
@pytest.mark.parametrize("loop", [False, True])
def test_all_weights(loop, ratio, dtype, tolerance):
    v = vector(f"stage1_all_weights_{ratio}")
    with float_type(dtype):
        method = ClassConditional(
            v["class_counts"].tolist(), float(v["radius_scale"]), float(v["flat_ratio"]), "all"
        )
        model = two_layers(v, method)
        check_two_layers(v, by_class(model) if loop else model, v["loss"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_sam(dtype, tolerance):
    v = vector("sam_all_weights")
    with float_type(dtype):
        method = cc.sharpness.SAM(float(v["rho"]))
        check_two_layers(v, two_layers(v, method), v["loss"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", STAGE2)
def test_stage_two(name, dtype, tolerance):
    v = vector(name)
    with float_type(dtype):
        method = AdversarialFeatures(
            v["class_counts"].tolist(),
            strength=float(v["strength"]),
            radius_weights=True,
            loss_weights=True,
            weight_divisor=float(v["weight_divisor"]),
            alpha=float(v["alpha"]),
        )
        close(
            cc.sharpness.adversarial_class_weights(
                v["class_counts"].tolist(), float(v["weight_divisor"])
            ),
            v["class_weights"],
            tolerance,
        )
        model = compiled(v, keras.layers.Dense(v["kernel"].shape[1]), method)
        x = np.zeros((len(v["labels"]), 1), dtype)
        named, loss = step_gradients(model, x, v["labels"].astype("int32"))
        close(loss, v["loss"], tolerance)
        for key in ("kernel", "bias"):
            gradient = next(g for path, g in named.items() if path.endswith(key))
            close(gradient, v[f"grad_{key}"], tolerance)
