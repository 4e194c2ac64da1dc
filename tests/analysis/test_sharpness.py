"""Gaps and Hessians, against float64 reference numbers, closed forms and another library."""

import json

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.analysis.class_sets import class_sets, sample_rows, sample_shares
from keras_ccsam.analysis.loss_surface import LossSurface
from keras_ccsam.analysis.model_at import ModelAt
from keras_ccsam.analysis.sharpness.lanczos import lanczos
from keras_ccsam.analysis.sharpness.spectrum import SpectrumOptions, most_products, spectrum
from keras_ccsam.analysis.weighted_batches import WeightedBatches
from keras_ccsam.callbacks.metrics_log import finite
from tests.analysis.mlp import network
from tests.support import float_type

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


def logistic(classes=3, features=4, samples=30, seed=0):
    """Softmax regression: a model of which the gradient and the Hessian are known."""
    rng = np.random.default_rng(seed)
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(classes)])
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    x = rng.normal(size=(samples, features)).astype("float32")
    y = np.repeat(np.arange(classes), [samples - 3 * (classes - 1), *[3] * (classes - 1)])
    return model, x, y


def exact(model, x, y, rows):
    """Loss, gradient and Hessian of softmax regression over some rows, by their formulas.

    The gradient is  mean a (p - onehot),  the Hessian  mean (aa') x (diag p - pp'),  a = (x, 1).
    """
    kernel, bias = (np.asarray(w, "float64") for w in model.get_weights())
    x, y = np.asarray(x[rows], "float64"), y[rows]
    z = x @ kernel + bias
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    a = np.hstack([x, np.ones((len(x), 1))])
    delta = p - np.eye(len(bias))[y]
    gradient = (a[:, :, None] * delta[:, None]).mean(axis=0).ravel()
    inner = p[:, :, None] * np.eye(len(bias)) - p[:, :, None] * p[:, None]
    hessian = np.einsum("ni,nj,nkl->ikjl", a, a, inner) / len(x)
    size = gradient.size
    return -np.log(p[np.arange(len(y)), y]).mean(), gradient, hessian.reshape(size, size)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_gaps_are_those_of_the_reference_numbers(kind):
    with float_type(kind):
        model, x, y, stored = network("sharpness_mlp")
        counts = stored["class_counts"]
        for rho, scale in ((0.05, 1.0), (0.5, 0.01)):
            found = cc.analysis.sharpness(
                model, (x, y), counts, rho=rho, radius_scale=scale, hessian="none", batch_size=16
            )
            for each in found.sets:
                if each.set.kind == "group":
                    continue
                key = "all" if each.set.kind == "overall" else f"class{each.set.classes[0]}"
                expected = {
                    "loss": each.loss,
                    "grad_norm": each.gradient_norm,
                    f"gap_{rho}": each.gap,
                    f"length_{scale}": each.characteristic_length,
                    f"gap_characteristic_{scale}": each.characteristic_gap,
                }
                for name, value in expected.items():
                    if f"{key}_{name}" in stored:
                        wanted = float(stored[f"{key}_{name}"])
                        assert value == pytest.approx(wanted, rel=TOLERANCE[kind]), (key, name)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_hessian_is_that_of_the_reference_numbers(kind):
    with float_type(kind):
        model, x, y, stored = network("hessian_mlp")
        found = cc.analysis.sharpness(
            model, (x, y), stored["class_counts"], eigenvalues=59, probes=59
        )
        at = ModelAt(model, x, y, 4)
        surface = LossSurface(at)
        own = (y == 1) / (y == 1).sum()
        batches = list(WeightedBatches(x, y, own, 16))
        matrix = np.stack([surface.hessian_product(batches, unit) for unit in np.eye(59)])
    close = {"rtol": 0, "atol": TOLERANCE[kind] * 5}
    np.testing.assert_allclose(matrix, stored["class1_matrix"], **close)
    for name, key in {"overall": "all", "head class": "class0", "tail class": "class3"}.items():
        hessian = found[name].spectrum
        np.testing.assert_allclose(hessian.smallest, stored[f"{key}_eigenvalues"], **close)
        np.testing.assert_allclose(hessian.largest[::-1], stored[f"{key}_eigenvalues"], **close)
        assert hessian.trace == pytest.approx(float(stored[f"{key}_trace"]), abs=close["atol"] * 59)
        assert hessian.trace_error == 0.0
        assert hessian.negative_curvature  # the smallest is -0.6 and lower
    assert found["1"].spectrum is None  # single classes are asked with hessian="all"


def test_softmax_regression_is_as_its_formulas_say():
    model, x, y = logistic()
    counts = [30, 5, 2]  # of a training set: not those of these samples
    found = cc.analysis.sharpness(
        model, (x, y), counts, eigenvalues=2, probes=15, hessian="all", rho=0.1, radius_scale=0.5
    )
    weights = np.concatenate([np.asarray(w, "float64").ravel() for w in model.get_weights()])
    for each in found.sets:
        rows = np.isin(y, each.set.classes)
        loss, gradient, hessian = exact(model, x, y, rows)
        norm = np.linalg.norm(gradient)
        assert each.samples == rows.sum()
        assert each.training_images == sum(counts[c] for c in each.set.classes)
        assert each.loss == pytest.approx(loss, rel=1e-5)
        assert each.gradient_norm == pytest.approx(norm, rel=1e-5)
        length = 0.5 * np.sqrt(np.linalg.norm(weights) / (2 * norm)) * 15**0.25
        length *= max(each.training_images - 1, 1) ** -0.25
        assert each.characteristic_length == pytest.approx(length, rel=1e-5)
        for step, gap in ((0.1, each.gap), (length, each.characteristic_gap)):
            moved = (weights + step * gradient / norm).astype("float32")
            other = keras.models.clone_model(model)
            other.set_weights([moved[:12].reshape(4, 3), moved[12:]])
            there = exact(other, x, y, rows)[0]
            assert gap == pytest.approx(there - loss, rel=1e-4, abs=1e-6)
        values = np.linalg.eigvalsh(hessian)
        np.testing.assert_allclose(each.spectrum.largest, values[::-1][:2], atol=1e-5)
        np.testing.assert_allclose(each.spectrum.smallest, values[:2], atol=1e-5)
        assert each.spectrum.trace == pytest.approx(np.trace(hessian), rel=1e-5)
        # Convex: what rounding makes negative is not called a saddle.
        assert not each.spectrum.negative_curvature


def test_the_model_is_left_as_it_is_and_frozen_weights_do_not_count():
    model, x, y, stored = network("hessian_mlp")
    before = [np.array(w) for w in model.get_weights()]
    whole = cc.analysis.sharpness(model, (x, y), stored["class_counts"], hessian="none")
    head = cc.analysis.sharpness(
        model, (x, y), stored["class_counts"], weights="head", eigenvalues=24, probes=24
    )
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)
    assert (whole.settings["weights_count"], head.settings["weights_count"]) == (59, 24)
    block = stored["all_matrix"][35:, 35:]
    np.testing.assert_allclose(
        head["overall"].spectrum.smallest, np.linalg.eigvalsh(block), atol=1e-5
    )
    with pytest.raises(ValueError, match=r"`weights` must be .* Received: weights='nothing'"):
        cc.analysis.sharpness(model, (x, y), stored["class_counts"], weights="nothing")


def symmetric(size=80, seed=3):
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(size, size)))
    values = np.sort(np.r_[-4.0, -3.5, rng.normal(size=size - 5) * 0.3, 5.0, 7.0, 11.0])
    return (q * values) @ q.T, values


def test_both_ends_of_the_spectrum_are_found_in_fewer_products_than_weights():
    matrix, values = symmetric()
    start = np.random.default_rng(0).normal(size=80)
    ritz = lanczos(lambda v: matrix @ v, start, 80, wanted=2, tolerance=1e-6)
    assert len(ritz.values) < 50
    np.testing.assert_allclose(ritz.values[[0, 1, -2, -1]], values[[0, 1, -2, -1]], atol=1e-5)
    for value, error in zip(ritz.values, ritz.errors, strict=True):
        assert np.abs(values - value).min() <= error + 1e-9


def test_all_steps_give_all_eigenvalues_also_of_a_matrix_with_equal_ones():
    matrix, values = symmetric(30)
    start = np.random.default_rng(0).normal(size=30)
    found = lanczos(lambda v: matrix @ v, start, 99)
    np.testing.assert_allclose(found.values, values, atol=1e-10)
    np.testing.assert_allclose(found.errors, 0.0, atol=1e-10)
    blocks = np.diag([2.0] * 6 + [-1.0] * 4)
    found = lanczos(lambda v: blocks @ v, np.ones(10), 10)
    np.testing.assert_allclose(found.values, [-1.0] * 4 + [2.0] * 6, atol=1e-10)


def test_trace_and_density_are_estimated_with_their_spread():
    matrix, values = symmetric()
    options = SpectrumOptions(probes=20, density=True, density_steps=40, seed=1)
    found = spectrum(lambda v: matrix @ v, 80, options)
    assert 0 < found.trace_error < 6
    assert abs(found.trace - values.sum()) < 4 * found.trace_error
    assert found.node_weights.sum() == pytest.approx(1.0)
    for power in (1, 2):
        assert found.node_weights @ found.nodes**power == pytest.approx(
            (values**power).mean(), abs=0.15 * (values**2).mean()
        )
    grid, density = found.density()
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-3)
    plain = spectrum(lambda v: matrix @ v, 80, SpectrumOptions(probes=79, eigenvalues=0))
    assert plain.products == 79
    for asked in (options, SpectrumOptions(probes=79, eigenvalues=0), SpectrumOptions(probes=80)):
        taken = spectrum(lambda v: matrix @ v, 80, asked).products
        assert taken <= most_products(asked, 80) <= taken + 80
    assert abs(plain.trace - values.sum()) < 3 * plain.trace_error
    # Var v'Hv = 2 sum of squares off the diagonal.
    spread = np.sqrt(2 * ((matrix**2).sum() - (np.diag(matrix) ** 2).sum()) / 79)
    assert plain.trace_error == pytest.approx(spread, rel=0.25)


def test_matfree_finds_the_same_spectrum():
    if keras.backend.backend() != "jax":
        pytest.skip("matfree is of JAX alone")
    decomp = pytest.importorskip("matfree.decomp", reason="a development dependency")
    stochtrace = pytest.importorskip("matfree.stochtrace")
    import jax
    import jax.numpy as jnp

    model, x, y, stored = network("hessian_mlp")
    arrays = [jnp.asarray(stored[key], "float32") for key in ("w1", "b1", "w2", "b2")]
    flat, unravel = jax.flatten_util.ravel_pytree(arrays)

    def loss(w):
        w1, b1, w2, b2 = unravel(w)
        log_p = jax.nn.log_softmax(jnp.tanh(jnp.asarray(x) @ w1 + b1) @ w2 + b2)
        return -jnp.take_along_axis(log_p, jnp.asarray(y)[:, None], axis=1).mean()

    product = jax.jit(lambda v: jax.jvp(jax.grad(loss), (flat,), (v,))[1])
    start = np.random.default_rng(0).normal(size=59)
    decompose = decomp.tridiag_sym(30, custom_vjp=False)
    theirs = np.linalg.eigvalsh(np.asarray(decompose(product, jnp.asarray(start, "float32"))[1]))
    surface = LossSurface(ModelAt(model, x, y, 4))
    batches = list(WeightedBatches(x, y, np.full(40, 1 / 40)))
    ours = lanczos(lambda v: surface.hessian_product(batches, v), start, 30)
    np.testing.assert_allclose(ours.values[[0, 1, -2, -1]], theirs[[0, 1, -2, -1]], atol=1e-4)
    signs = stochtrace.sampler_signs(flat, num=500)
    estimate = stochtrace.estimator_monte_carlo(stochtrace.monte_carlo_trace(), signs)
    trace = float(estimate(product, jax.random.PRNGKey(0)))
    options = SpectrumOptions(eigenvalues=0, probes=58)
    mine = spectrum(lambda v: surface.hessian_product(batches, v), 59, options)
    assert abs(mine.trace - trace) < 4 * mine.trace_error


def test_rare_classes_are_kept_whole_and_means_stay_those_of_the_whole_set():
    labels = np.repeat([0, 1, 2], [70, 20, 4])
    rng = np.random.default_rng(0)
    rng.shuffle(labels)
    rows = sample_rows(labels, 24, seed=5)
    assert np.bincount(labels[rows]).tolist() == [10, 10, 4]
    assert len(set(rows.tolist())) == 24
    np.testing.assert_array_equal(rows, sample_rows(labels, 24, seed=5))
    assert set(rows) != set(sample_rows(labels, 24, seed=6))
    np.testing.assert_array_equal(np.sort(sample_rows(labels, None)), np.arange(94))
    shares = sample_shares(labels[rows], np.bincount(labels), (0, 1, 2))
    per_class = np.bincount(labels[rows], shares)
    np.testing.assert_allclose(per_class, [70 / 94, 20 / 94, 4 / 94])
    shares = sample_shares(labels[rows], np.bincount(labels), (2,))
    np.testing.assert_allclose(shares, (labels[rows] == 2) / 4)
    with pytest.raises(ValueError, match="Received: limit=2"):
        sample_rows(labels, 2)


def test_sets_of_classes():
    sets = class_sets([5, 9, 2, 9, 2], {"few": (2, 4)}, "abcde")
    assert [(s.name, s.classes) for s in sets[:4]] == [
        ("overall", (0, 1, 2, 3, 4)), ("head class", (1,)), ("tail class", (4,)), ("few", (2, 4)),
    ]  # fmt: skip
    assert [s.name for s in sets if s.kind == "class"] == list("abcde")


def test_a_table_and_json_of_a_set_without_some_class():
    model, x, y = logistic()
    some = y < 2
    found = cc.analysis.sharpness(
        model, (x[some], y[some]), [30, 5, 2], hessian="all", density=True, probes=2, limit=9,
        class_names=["ant", "bee", "cat"],
    )  # fmt: skip
    assert found["cat"].samples == 0 and np.isnan(found["cat"].gap)
    assert found["overall"].samples == 9
    lines = found.table().splitlines()
    assert lines[0].split()[:3] == ["set", "n", "loss"]
    assert next(line for line in lines if line.startswith("cat")).split()[2:5] == ["-", "-", "-"]
    content = json.loads(json.dumps(finite(found.to_dict()), allow_nan=False))
    assert (content["kind"], content["format"]) == ("sharpness", 1)
    assert content["settings"]["samples"] == 9
    bee = next(each for each in content["sets"] if each["name"] == "bee")
    assert len(bee["hessian"]["density_grid"]) == len(bee["hessian"]["density"]) == 201
    assert content["sets"][0]["loss"] == pytest.approx(found["overall"].loss)


def test_a_long_wait_is_said_before(monkeypatch):
    from keras_ccsam.analysis.sharpness import measure

    model, x, y = logistic()
    said = []
    cc.analysis.sharpness(model, (x, y), [24, 3, 3], say=said.append)
    assert said[:2] == ["overall: 30 samples", "head class: 24 samples"]
    monkeypatch.setattr(measure, "_WORTH_SAYING", 0.0)
    cc.analysis.sharpness(model, (x, y), [24, 3, 3], say=said.append)
    assert any("per product, 25 of them at most" in text for text in said)


def test_probabilities_are_told_from_logits():
    model, x, y = logistic()
    soft = keras.Sequential([model, keras.layers.Softmax()])
    ends = [
        cc.analysis.sharpness(each, (x, y), [24, 3, 3], hessian="none")["overall"].loss
        for each in (model, soft)
    ]
    assert ends[0] == pytest.approx(ends[1], rel=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"rho": 0.0}, {"radius_scale": -1.0}, {"hessian": "some"}, {"eigenvalues": -1},
              {"limit": 1}, {"class_names": ["a"]}, {"density": True, "probes": 0}]
)  # fmt: skip
def test_wrong_options_are_named(wrong):
    model, x, y = logistic()
    with pytest.raises(ValueError, match=f"Received: {list(wrong)[-1]}="):
        cc.analysis.sharpness(model, (x, y), [24, 3, 3], **wrong)
