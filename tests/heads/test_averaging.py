"""Two forms of the class means: both are exact, and each is the one that ran."""

import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.heads import class_averages
from keras_ccsam.heads import class_averaging as averaging
from keras_ccsam.heads.class_means import ClassMeans
from keras_ccsam.heads.gram import Gram
from tests.sharpness import test_edges
from tests.training import test_losses_and_heads, test_vectors

FORMS = {"gram": Gram, "class means": ClassMeans}


@pytest.fixture(params=FORMS)
def forced(request, monkeypatch):
    """One form for every shape; the other one fails where it is asked."""
    ran = []
    for name, form in FORMS.items():
        along = form.along

        def counted(self, *arguments, name=name, along=along):
            ran.append(name)
            return along(self, *arguments)

        monkeypatch.setattr(form, "along", counted)
    means = request.param == "class means"
    monkeypatch.setattr(averaging, "class_means_are_cheaper", lambda *shape: means)
    yield request.param
    assert set(ran) == {request.param}


def test_dense(forced):
    test_vectors.test_dense_head_in_closed_form("stage1_dense_cifar10", "float32", 1e-5)


def test_cosine(forced):
    test_vectors.test_cosine_head_in_closed_form("stage1_cosine", "float32", 1e-5)


# The vectors are batches for which the Gram form is chosen: test_vectors.py has it on all of them.
@pytest.mark.parametrize("forced", ["class means"], indirect=True)
@pytest.mark.parametrize(
    "name",
    [
        "stage1_dense_large_radius",
        "stage1_dense_no_bias",
        "stage1_dense_one_class",
        "stage1_dense_singleton_tail",
        "stage1_mixup",
    ],
)
def test_dense_by_class_means(forced, name):
    test_vectors.test_dense_head_in_closed_form(name, "float32", 1e-5)


@test_vectors.no_float64
@pytest.mark.parametrize("forced", ["class means"], indirect=True)
def test_class_means_in_float64(forced):
    test_vectors.test_dense_head_in_closed_form("stage1_dense_large_radius", "float64", 1e-10)
    test_vectors.test_cosine_head_in_closed_form("stage1_cosine", "float64", 1e-10)


@pytest.mark.parametrize("forced", ["class means"], indirect=True)
@pytest.mark.parametrize("name", ["stage1_ldam_mixup_weights", "stage1_gcl_weights"])
def test_mixup_class_weights_and_noise(forced, name):
    test_losses_and_heads.check(name, cc.heads.Cosine(6, scale=1.0), 1e-5)


@pytest.mark.parametrize("forced", ["class means"], indirect=True)
@pytest.mark.parametrize("route", ["closed form", "cosine"])
def test_a_masked_class(forced, route):
    test_edges.test_a_masked_class_takes_no_step_and_gives_no_nan(route)


@pytest.mark.parametrize("forced", ["class means"], indirect=True)
def test_a_class_without_a_gradient(forced):
    test_edges.test_a_class_fitted_perfectly_gives_no_nan("closed form")


@pytest.mark.parametrize("part", ["mean", "along"])
def test_the_class_means_decide_the_step(monkeypatch, part):
    """With either of its two parts off, the vectors are missed."""
    right = getattr(ClassMeans, part)
    monkeypatch.setattr(averaging, "class_means_are_cheaper", lambda *shape: True)
    monkeypatch.setattr(ClassMeans, part, lambda self, *rows: 0.5 * right(self, *rows))
    with pytest.raises(AssertionError):
        test_vectors.test_dense_head_in_closed_form("stage1_dense_large_radius", "float32", 1e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_both_are_an_explicit_loop_over_the_classes(bias):
    rng = np.random.default_rng(0)
    labels = np.array([2, 0, 2, 4, 0, 2], "int32")
    left, right, delta = (rng.normal(size=(6, n)).astype("float32") for n in (3, 3, 5))
    mean, along = np.zeros((6, 5)), np.zeros((6, 5))
    for c in (0, 2, 4):
        member = np.flatnonzero(labels == c)
        mean[member] = delta[member].astype("float64").mean(axis=0)
        gradient = right[member].astype("float64").T @ delta[member] / len(member)
        along[member] = left[member] @ gradient + bias * mean[member]
    y = ops.convert_to_tensor(labels)
    left, right, delta = map(ops.convert_to_tensor, (left, right, delta))
    for form in (Gram(class_averages(y)), ClassMeans(y, 5), ClassMeans(y, 9)):
        got = ops.convert_to_numpy(form.mean(delta))
        np.testing.assert_allclose(got, mean, rtol=1e-5, atol=1e-6)
        got = ops.convert_to_numpy(form.along(left, right, delta, bias))
        np.testing.assert_allclose(got, along, rtol=1e-5, atol=1e-6)


def test_what_the_shapes_choose():
    cheaper = averaging.class_means_are_cheaper
    assert cheaper(1024, 64, 10)
    assert cheaper(1024, 2048, 10)
    assert not cheaper(32, 64, 10)
    assert not cheaper(1024, 2048, 100)
    assert not cheaper(None, 64, 10)
    for features, classes in ((64, 10), (2048, 10), (512, 100)):
        choices = [cheaper(2**n, features, classes) for n in range(20)]
        assert choices == sorted(choices)  # one crossover
    y, rows = ops.zeros((256,), "int32"), ops.zeros((256, 3))
    assert isinstance(averaging.averaging(rows, rows, y, 3), ClassMeans)
    assert isinstance(averaging.averaging(rows[:1], rows[:1], y[:1], 3), Gram)
