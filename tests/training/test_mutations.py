"""Each reference test, with the code broken on purpose: it must notice."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.heads import class_averages
from keras_ccsam.heads import class_averaging as heads_averaging
from keras_ccsam.sharpness import (
    ClassConditional,
    ascent,
    gaussian,
    gradient_norm,
    imbsam,
    partial_loss,
)
from keras_ccsam.sharpness.class_conditional import class_loop, radius
from tests.sharpness import test_friendly_sam, test_gaussian, test_sam_variants
from tests.support import by_class, vector
from tests.training.test_vectors import (
    PlainDense,
    check_gradients,
    check_two_layers,
    compiled,
    stage1,
    two_layers,
)


def dense_case():
    v = vector("stage1_dense_cifar10_ir200")
    check_gradients(v, compiled(v, keras.layers.Dense(10), stage1(v)), 1e-5)


def cosine_case():
    v = vector("stage1_cosine_wide")
    check_gradients(v, compiled(v, cc.heads.Cosine(7, scale=16.0), stage1(v)), 1e-5)


def loop_case():
    v = vector("stage1_dense_cifar10_ir200")
    check_gradients(v, compiled(v, PlainDense(10), stage1(v)), 1e-5)


def all_weights_case():
    v = vector("stage1_all_weights_0.5")
    counts = v["class_counts"].tolist()
    method = ClassConditional(counts, float(v["radius_scale"]), float(v["flat_ratio"]), "all")
    check_two_layers(v, two_layers(v, method), v["loss"], 1e-5)


def all_weights_by_class_case():
    v = vector("stage1_all_weights_0.5")
    counts = v["class_counts"].tolist()
    method = ClassConditional(counts, float(v["radius_scale"]), float(v["flat_ratio"]), "all")
    check_two_layers(v, by_class(two_layers(v, method)), v["loss"], 1e-5)


def sam_case():
    v = vector("sam_all_weights")
    check_two_layers(v, two_layers(v, cc.sharpness.SAM(float(v["rho"]))), v["loss"], 1e-5)


def stage2_case():
    v = vector("stage2_cifar10")
    method = cc.sharpness.AdversarialFeatures(
        v["class_counts"].tolist(), 1.0, True, True, 2.0, alpha=float(v["alpha"])
    )
    model = compiled(v, keras.layers.Dense(10), method)
    from tests.support import step_gradients

    named, loss = step_gradients(model, np.zeros((64, 1), "float32"), v["labels"].astype("int32"))
    np.testing.assert_allclose(loss, v["loss"], rtol=1e-5)
    kernel = next(g for path, g in named.items() if path.endswith("kernel"))
    np.testing.assert_allclose(kernel, v["grad_kernel"], atol=1e-5)


def gnp_case():
    test_sam_variants.check("gnp")


def gnp_published_case():
    test_sam_variants.check("gnp-published", scale=256.0)


def imbsam_case():
    test_sam_variants.check("imbsam")


def focal_case():
    test_sam_variants.check("focal-asam")


def friendly_case():
    test_friendly_sam.check()


def noise_case():
    test_gaussian.test_the_noise_has_its_norm_and_its_place("head", [2, 3])


def anew_case():
    test_gaussian.check_steps_differ()


def zero_length(monkeypatch):
    monkeypatch.setattr(radius.ClassSteps, "length", lambda self, w, norm, y, k: 0.0 * norm)


def no_count_factor(monkeypatch):
    def same(weight_norm, norm, counts, size):
        return cc.sharpness.characteristic_radius(weight_norm, norm, ops.ones_like(counts), size)

    monkeypatch.setattr(radius, "characteristic_radius", same)


def no_sqrt_k(monkeypatch):
    monkeypatch.setattr(radius, "step_length", lambda rho, size: rho)


def class_sums(monkeypatch):
    def sums(labels, dtype="float32"):
        return ops.cast(ops.equal(labels[:, None], labels[None, :]), dtype)

    by_gram(monkeypatch, sums)


def other_classes_too(monkeypatch):
    def all_alike(labels, dtype="float32"):
        return class_averages(ops.zeros_like(labels), dtype)

    by_gram(monkeypatch, all_alike)


def by_gram(monkeypatch, averages):
    """Other class averages, and the form that takes them."""
    monkeypatch.setattr(heads_averaging, "class_means_are_cheaper", lambda *shape: False)
    monkeypatch.setattr(heads_averaging, "class_averages", averages)


def gradient_through_the_step(monkeypatch):
    monkeypatch.setattr(ops, "stop_gradient", lambda x: x)


def no_ascent(monkeypatch):
    for module in (ascent, class_loop, gaussian):
        monkeypatch.setattr(module, "ascend", lambda values, directions, step: list(values))


def every_sample_its_neighbours_way(monkeypatch):
    from keras_ccsam.sharpness.class_conditional import sample_rows

    take = sample_rows.SampleRows.take
    monkeypatch.setattr(
        sample_rows.SampleRows, "take", lambda self, data, index: take(self, data, ops.flip(index))
    )


def no_steps(monkeypatch):
    monkeypatch.setattr(ops, "segment_sum", lambda data, ids, number: 0.0 * data[:number])


def descent_for_ascent(monkeypatch):
    from keras_ccsam.sharpness.method import ascend

    for module in (ascent, class_loop, gaussian):
        monkeypatch.setattr(module, "ascend", lambda v, d, step: ascend(v, d, -step))


def no_features_moved(monkeypatch):
    from keras_ccsam.sharpness import adversarial_features

    monkeypatch.setattr(adversarial_features, "safe_divide", lambda a, b: ops.zeros_like(a))


def forgotten_loss_scale(monkeypatch):
    original = gradient_norm._unit
    monkeypatch.setattr(gradient_norm, "_unit", lambda g, scale: original(g, ops.ones_like(scale)))


def forgotten_weight(monkeypatch):
    original = partial_loss.partial_loss_gradient
    monkeypatch.setattr(
        imbsam, "partial_loss_gradient", lambda *args, weight, **kwargs: original(*args, **kwargs)
    )


def all_classes_alike(monkeypatch):
    monkeypatch.setattr(ops, "take", lambda shares, labels: ops.ones_like(shares)[0])


def not_adaptive(monkeypatch):
    original = ascent.worst_point
    monkeypatch.setattr(
        partial_loss, "worst_point", lambda v, g, rho, adaptive: original(v, g, rho)
    )


def mean_not_kept(monkeypatch):
    monkeypatch.setattr(
        cc.training.objective.BatchObjective, "wrote", lambda self, evaluation, values: evaluation
    )


def seed_not_kept(monkeypatch):
    def same(self, ordered=True):
        return ops.convert_to_tensor(self.state)

    monkeypatch.setattr(keras.random.SeedGenerator, "next", same)


def noise_everywhere(monkeypatch):
    monkeypatch.setattr(gaussian, "positions", lambda variables, *_: range(len(variables)))


CASES = {
    "dense": (dense_case, [zero_length, no_count_factor, no_sqrt_k, class_sums, other_classes_too,
                           gradient_through_the_step]),
    "cosine": (cosine_case, [zero_length, no_count_factor, class_sums, gradient_through_the_step]),
    "loop": (loop_case, [zero_length, no_ascent, descent_for_ascent, no_count_factor]),
    "all": (all_weights_case, [zero_length, no_count_factor, no_sqrt_k, no_steps,
                               every_sample_its_neighbours_way]),
    "all-by-class": (all_weights_by_class_case, [zero_length, no_ascent, descent_for_ascent,
                                                 no_sqrt_k]),
    "sam": (sam_case, [no_ascent, descent_for_ascent]),
    "stage2": (stage2_case, [no_features_moved]),
    "gnp": (gnp_case, [no_ascent, descent_for_ascent]),
    "gnp-published": (gnp_published_case, [forgotten_loss_scale]),
    "imbsam": (imbsam_case, [no_ascent, forgotten_weight, all_classes_alike]),
    "focal-sam": (focal_case, [descent_for_ascent, all_classes_alike, not_adaptive]),
    "friendly-sam": (friendly_case, [no_ascent, descent_for_ascent, mean_not_kept]),
    "noise": (noise_case, [no_ascent, noise_everywhere]),
    "noise-anew": (anew_case, [no_ascent, seed_not_kept]),
}  # fmt: skip


@functools.cache
def unbroken(case):
    """The check passes as the code stands; asked once a case."""
    CASES[case][0]()


# That a backend has the numbers is `test_vectors.py`'s to show.
@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("case", "mutation"),
    [(case, mutation) for case, (_, mutations) in CASES.items() for mutation in mutations],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_the_vectors_notice(case, mutation, monkeypatch):
    check = CASES[case][0]
    unbroken(case)
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.any_backend
def test_the_mask_test_notices_a_second_draw(monkeypatch):
    """On torch an unseeded Dropout draws anew unless the generator is rewound."""
    from tests.training.test_step import test_both_passes_draw_the_same_mask as mask_test

    if keras.backend.backend() != "torch":
        pytest.skip("every seed is a Keras variable here")
    monkeypatch.setattr(cc.training.objective.backend, "replay_rng", lambda: lambda: None)
    with pytest.raises(AssertionError):
        mask_test("sam")


def test_the_fit_test_notices_a_seed_that_the_jax_step_drops(monkeypatch):
    """Without the outer scope's values every compiled step would draw the first step's noise."""
    if keras.backend.backend() != "jax":
        pytest.skip("only a stateless step has to carry the seed")
    original = cc.sharpness.GaussianPerturbation.gradients

    def in_a_scope_of_its_own(self, objective, options):
        seed = options.noise.state
        with keras.StatelessScope([(seed, ops.convert_to_tensor(seed))]):
            return original(self, objective, options)

    monkeypatch.setattr(cc.sharpness.GaussianPerturbation, "gradients", in_a_scope_of_its_own)
    with pytest.raises(AssertionError, match="the losses are"):
        test_gaussian.check_steps_differ()


def test_the_batch_norm_test_notices_the_perturbed_statistics(monkeypatch):
    """Keeping the side effects of the second pass would go unseen by accuracy."""
    from tests.training.test_step import METHODS
    from tests.training.test_step import test_batch_norm_and_seeds_advance_once_a_step as norm_test

    def second_pass_kept(self, objective, options):
        _, evaluation = objective.gradient(objective.values)
        for variable, value in zip(
            objective.side_variables,
            evaluation.updates,
            strict=True,
        ):
            if value is not None and keras.backend.backend() != "jax":
                variable.assign(value)
        return objective.gradient(objective.values)

    if keras.backend.backend() == "jax":
        pytest.skip("a variable cannot be assigned inside a step on JAX")
    monkeypatch.setattr(cc.sharpness.SAM, "gradients", second_pass_kept)
    assert "sam" in METHODS
    with pytest.raises(AssertionError):
        norm_test("sam")
