"""The gradient-norm penalty, ImbSAM and Focal-SAM against gradients derived by hand."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.sharpness import (
    ASAM,
    ERM,
    SAM,
    FocalSAM,
    GaussianPerturbation,
    GradientNorm,
    ImbSAM,
)
from tests.sharpness import reference as ref
from tests.support import float_type, step_gradients, vector
from tests.training.test_vectors import close, two_layers

COUNTS = (30, 12, 9, 8, 5, 3)
SHARES = (1.0 - np.array(COUNTS) / 67.0) ** 2.0 * 0.7  # gamma 2, strength 0.7
TAIL = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])  # threshold 9

METHODS = {
    "gnp": lambda: GradientNorm(0.3, 0.6),
    "gnp-published": lambda: GradientNorm(0.3, 0.6, "published"),
    "asam": lambda: ASAM(0.3, eta=0.4),
    "imbsam": lambda: ImbSAM(COUNTS, 0.3, 9, 2.5),
    "focal-sam": lambda: FocalSAM(COUNTS, 0.3, 2.0, 0.7),
    "focal-asam": lambda: FocalSAM(COUNTS, 0.3, 2.0, 0.7, adaptive=True),
}


def expected(name, weights, gradient, labels, per_sample):
    """The step by the papers' formulas; `gradient` maps weights and coefficients to four arrays."""
    first = gradient(weights, per_sample)
    if name == "gnp":
        second = gradient(ref.ascended(weights, first, 0.3), per_sample)
        return ref.combined((0.4, first), (0.6, second))
    if name == "gnp-published":
        second = gradient(ref.ascended(weights, first, 0.3), per_sample)
        return ref.combined((0.4 / ref.norm(first), first), (0.6, second))
    if name == "asam":
        moved = ref.ascended_as_asam(weights, first, 0.3, 0.4)
        return gradient(moved, per_sample)
    if name == "imbsam":
        head, tail = (1.0 - TAIL[labels]) * per_sample, 2.5 * TAIL[labels] * per_sample
    else:
        share = SHARES[labels]
        head, tail = (1.0 - share) * per_sample, share * per_sample
    moved = ref.ascended(weights, gradient(weights, tail), 0.3, name == "focal-asam")
    return ref.combined((1.0, gradient(weights, head)), (1.0, gradient(moved, tail)))


def check(name, tolerance=1e-5, scale=None):
    v = vector("sam_all_weights")
    model = two_layers(v, METHODS[name]())
    if scale is not None:
        model.compile(keras.optimizers.SGD(loss_scale_factor=scale), model.loss)
    labels, size = v["labels"].astype("int32"), len(v["labels"])
    targets, per_sample = ref.one_hot(labels), np.full(size, 1.0 / size)
    weights = ref.weights_of(v)
    theirs = expected(
        name, weights, lambda w, c: ref.gradient(w, v["inputs"], targets, c), labels, per_sample
    )
    named, loss = step_gradients(model, v["inputs"].astype(keras.config.floatx()), labels)
    close(loss, ref.loss(weights, v["inputs"], targets, per_sample), tolerance)
    for ours, theirs_of_it in zip(named.values(), theirs, strict=True):
        close(ours / (scale or 1.0), theirs_of_it, tolerance)


def test_the_reference_is_sams_vector_and_the_difference_quotient():
    v = vector("sam_all_weights")
    weights, targets = ref.weights_of(v), ref.one_hot(v["labels"].astype(int))
    of = functools.partial(ref.gradient, x=v["inputs"], targets=targets)
    rng = np.random.default_rng(0)
    coefficients = rng.uniform(size=32)
    direction = [rng.normal(size=w.shape) for w in weights]
    ahead, behind = (
        ref.loss(ref.combined((1.0, weights), (h, direction)), v["inputs"], targets, coefficients)
        for h in (1e-5, -1e-5)
    )
    slope = sum(
        np.sum(g * d)
        for g, d in zip(of(weights, coefficients=coefficients), direction, strict=True)
    )
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-7)
    mean = np.full(32, 1.0 / 32)
    moved = ref.ascended(weights, of(weights, coefficients=mean), float(v["rho"]))
    for key, g in zip(ref.KEYS, of(moved, coefficients=mean), strict=True):
        np.testing.assert_allclose(g, v[f"grad_{key}"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_the_papers_formula(name):
    """In float64, but on torch, where Keras computes in float32."""
    if keras.backend.backend() == "torch":
        check(name)
    else:
        with float_type("float64"):
            check(name, 1e-10)


@pytest.mark.parametrize("name", ["gnp-published", "focal-sam"])
def test_the_loss_scale_cancels(name):
    check(name, scale=256.0)


@pytest.mark.parametrize(
    ("name", "reduction"),
    [("focal-sam", "sum"), ("imbsam", "mean_with_sample_weight")],
)
def test_sample_weights_mixup_and_reduction(name, reduction):
    """With mixup the class is that of the first label, and the loss the mixed one."""
    v = vector("sam_all_weights")
    rng = np.random.default_rng(0)
    y, second = v["labels"].astype("int32"), rng.permutation(v["labels"]).astype("int32")
    sample_weight = rng.uniform(0.2, 2.0, 32).astype("float32")
    per_sample = sample_weight.astype("float64")
    if reduction == "sum":
        mix = rng.uniform(size=32).astype("float32")
        target = {"labels": y, "second_labels": second, "mix": mix}
        targets = mix[:, None] * ref.one_hot(y) + (1.0 - mix[:, None]) * ref.one_hot(second)
    else:
        target, targets, per_sample = y, ref.one_hot(y), per_sample / per_sample.sum()
    model = two_layers(v, METHODS[name]())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    model.compile("sgd", loss)
    named, _ = step_gradients(
        model, v["inputs"].astype("float32"), target, ops.convert_to_tensor(sample_weight)
    )
    theirs = expected(
        name,
        ref.weights_of(v),
        lambda w, c: ref.gradient(w, v["inputs"], targets, c),
        y,
        per_sample,
    )
    for ours, theirs_of_it in zip(named.values(), theirs, strict=True):
        close(ours, theirs_of_it, 2e-5)


@pytest.mark.parametrize(
    ("method", "limit", "factor"),
    [
        (lambda: GradientNorm(0.3, 1.0), lambda: SAM(0.3), 1.0),
        (
            lambda: ImbSAM(COUNTS, 0.3, 31, 2.0, adaptive=True),
            lambda: SAM(0.3, adaptive=True),
            2.0,
        ),
        (lambda: ImbSAM(COUNTS, 0.3, 0), ERM, 1.0),
        (lambda: FocalSAM(COUNTS, 0.3, 0.0, 1.0), lambda: SAM(0.3), 1.0),
    ],
    ids=["gnp", "imbsam", "imbsam-plain", "focal-sam"],
)
def test_limits(method, limit, factor):
    """The model has no regularisers: SAM has them in its ascent, the last two have not.

    Where the others are the plain step, they are so bit for bit: tests/training/test_step.py.
    """
    v = vector("sam_all_weights")
    x, y = v["inputs"].astype("float32"), v["labels"].astype("int32")
    ours, loss = step_gradients(two_layers(v, method()), x, y)
    theirs, clean = step_gradients(two_layers(v, limit()), x, y)
    np.testing.assert_allclose(loss, clean, rtol=1e-6)
    for a, b in zip(ours.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(a, factor * b, atol=1e-6)


@pytest.mark.parametrize(
    "method", [lambda: SAM(0.3), lambda: GradientNorm(0.3, 0.6), lambda: ImbSAM(COUNTS, 0.3, 9)]
)
def test_decay_in_the_loss_bends_the_ascent_and_is_taken_where_the_gradient_is(method):
    """As a kernel regulariser of every weight would do it; and a plain step is the same."""
    v = vector("sam_all_weights")
    x, y = v["inputs"].astype("float32"), v["labels"].astype("int32")

    def gradients(method, decay, in_loss):
        plain = two_layers(v, method)
        model = cc.SharpnessAwareModel(
            plain.backbone, plain.head, method, weight_decay=decay, decay_in_loss=in_loss
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        return list(step_gradients(model, x, y)[0].values())

    weights, targets = ref.weights_of(v), ref.one_hot(y)
    mean = np.full(32, 1.0 / 32)

    def decayed(at, coefficients):
        return ref.combined((1.0, ref.gradient(at, x, targets, coefficients)), (0.5, at))

    ours, made = gradients(method(), 0.5, True), method()
    first = decayed(weights, mean)
    if isinstance(made, ImbSAM):  # outside the ascent, as regularisers are
        tail = ref.gradient(weights, x, targets, TAIL[y] * mean)
        sharp = ref.gradient(ref.ascended(weights, tail, 0.3), x, targets, TAIL[y] * mean)
        theirs = ref.combined((1.0, first), (-1.0, tail), (2.0, sharp))
    else:
        second = decayed(ref.ascended(weights, first, 0.3), mean)
        share = 0.6 if isinstance(made, GradientNorm) else 1.0
        theirs = ref.combined((1.0 - share, first), (share, second))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    for a, b in zip(gradients(ERM(), 0.5, True), first, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_batch_without_tail_samples_is_the_plain_step():
    v = vector("sam_all_weights")
    x, y = v["inputs"].astype("float32"), np.zeros(32, "int32")
    ours, _ = step_gradients(two_layers(v, METHODS["imbsam"]()), x, y)
    theirs, _ = step_gradients(two_layers(v, ERM()), x, y)
    for a, b in zip(ours.values(), theirs.values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("name", ["imbsam", "focal-sam"])
def test_two_forward_passes(name, monkeypatch):
    """Both gradients at w come from one pass; a third would be half as much again."""
    calls = []
    original = cc.SharpnessAwareModel.call

    @functools.wraps(original)
    def counted(self, *args, **kwargs):
        calls.append(1)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(cc.SharpnessAwareModel, "call", counted)
    v = vector("sam_all_weights")
    model = two_layers(v, METHODS[name]())
    calls.clear()
    step_gradients(model, v["inputs"].astype("float32"), v["labels"].astype("int32"))
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GradientNorm(-0.1), r"`radius` .* Received: radius=-0.1"),
        (lambda: GradientNorm(share=1.5), r"`share` .* Received: share=1.5"),
        (lambda: GradientNorm(variant="paper"), r"'equation', 'published'.*variant='paper'"),
        (lambda: GaussianPerturbation(-1.0), r"`norm` .* Received: norm=-1.0"),
        (lambda: GaussianPerturbation(perturb="("), r"regular expression.*perturb='\('"),
        (lambda: GaussianPerturbation(clean_share=1.0), r"`clean_share` .*clean_share=1.0"),
        (lambda: ImbSAM([5, 0]), r"at least 1; class 1 has 0"),
        (lambda: ImbSAM([5, 1], threshold=-1), r"`threshold` .* threshold=-1"),
        (lambda: ImbSAM([5, 1], tail_weight=-1.0), r"`tail_weight` .* tail_weight=-1.0"),
        (lambda: FocalSAM([5, 1], rho=-1.0), r"`rho` .* rho=-1.0"),
        (lambda: FocalSAM([5, 1], gamma=-1.0), r"`gamma` .* gamma=-1.0"),
        (lambda: FocalSAM([5, 1], strength=-1.0), r"`strength` .* strength=-1.0"),
    ],
)
def test_values_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("method", [ImbSAM, FocalSAM])
def test_counts_must_match_the_head(method):
    with pytest.raises(ValueError, match="6 classes; it has 2"):
        two_layers(vector("sam_all_weights"), method([5, 1]))


@pytest.mark.parametrize("name", METHODS)
def test_the_configuration_makes_the_same_method(name):
    method = METHODS[name]()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(method))
    assert type(again) is type(method)
    assert again.get_config() == method.get_config()
    assert type(method)(**method.get_config()).get_config() == method.get_config()
