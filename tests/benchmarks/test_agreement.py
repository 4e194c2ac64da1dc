"""Contenders that do not train the same network are not compared."""

import math

import pytest

from benchmarks.versus.agreement import check, tolerances

pytestmark = pytest.mark.any_backend

A, B, C = ("pytorch", "ce"), ("keras-jax", "ce"), ("keras-jax", "sam")
OBJECTIVES = {A: "ce", B: "ce", C: "sam"}
CPU = tolerances("float32", "cpu")


def test_equal_losses_agree_whatever_another_objective_has() -> None:
    said = check({A: (2.5, 2.4), B: (2.50001, 2.401), C: (7.0, 6.0)}, OBJECTIVES, CPU)
    assert "ce 4.0e-06, 4.2e-04" in said
    assert "sam 0.0e+00, 0.0e+00" in said


@pytest.mark.parametrize("other", [(2.5001, 2.4), (2.5, 2.41), (2.5, math.nan), (math.nan, 2.4)])
def test_the_first_and_the_second_loss_must_agree(other: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="do not train the same network") as error:
        check({A: (2.5, 2.4), B: other, C: (7.0, 6.0)}, OBJECTIVES, CPU)
    assert "keras-jax ce" in str(error.value)


def test_bfloat16_is_coarser() -> None:
    losses = {A: (2.5, 2.4), B: (2.51, 2.42), C: (7.0, 6.0)}
    assert check(losses, OBJECTIVES, tolerances("bfloat16", "cpu"))
    with pytest.raises(ValueError, match="differ by more than"):
        check(losses, OBJECTIVES, tolerances("float32", "a GPU"))
