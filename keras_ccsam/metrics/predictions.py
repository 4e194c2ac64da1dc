"""Checked predictions of an evaluation, in numpy and double precision."""

from typing import Any

import numpy as np
from keras import ops

from keras_ccsam.labels import check_labels
from keras_ccsam.typing import Tensor

BINS = 15  # of the calibration error (Guo et al., arXiv:1706.04599)


def two_columns(outputs: Tensor, from_logits: bool) -> Tensor:
    """(B, 2) of one output (B, 1), which speaks of class 1; more outputs as they are.

    A logit z gives (0, z), of which the softmax is (1 - p, p), p = sigmoid(z).
    """
    if outputs.shape[-1] != 1:
        return outputs
    first = ops.zeros_like(outputs) if from_logits else 1.0 - outputs
    return ops.concatenate([first, outputs], axis=-1)


def checked(labels: Any, predictions: Any, from_logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Predictions as float64 (N, C) and labels as integers (N,).

    Predictions (N,) or (N, 1) are of class 1 of two; they become (N, 2).

    Raises:
        ValueError: See `Report.from_predictions`.
    """
    outputs = np.asarray(predictions, dtype="float64")
    if outputs.ndim == 1 or outputs.shape[1:] == (1,):
        one = outputs.reshape(-1, 1)
        outputs = np.hstack([np.zeros_like(one) if from_logits else 1.0 - one, one])
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            "`predictions` must have shape (samples, classes), or (samples,) for class 1 of two. "
            f"Received: predictions with shape {outputs.shape}"
        )
    broken = int(np.isnan(outputs).any(axis=1).sum())
    if broken:
        raise ValueError(
            f"`predictions` must be numbers; the rows of {broken} of {len(outputs)} samples hold "
            "NaN, as those of a diverged model do: train it with a lower learning rate. "
            "Received: predictions with NaN"
        )
    if not from_logits and not (
        (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-2)
    ):
        raise ValueError(
            "With from_logits=False each row of `predictions` must be probabilities that add up "
            "to 1. Received: predictions with rows from "
            f"{outputs.min():.4g} to {outputs.max():.4g}"
        )
    if not len(outputs):
        raise ValueError("There must be at least one sample. Received: no predictions")
    return outputs, check_labels(labels, "labels", len(outputs), outputs.shape[1], soft=True)


def log_probabilities(outputs: np.ndarray, from_logits: bool) -> np.ndarray:
    """Log-softmax of logits, or the logarithm of probabilities (0 counts as 1e-12)."""
    if not from_logits:
        return np.log(np.maximum(outputs, 1e-12))
    # A logit of +inf (a model that overflowed) takes all of the probability.
    shifted = np.nan_to_num(outputs - outputs.max(axis=1, keepdims=True), nan=0.0)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def calibration_error(
    confidence: np.ndarray, right: np.ndarray, bins: int, weights: np.ndarray | None = None
) -> float:
    """ECE over equally wide bins, closed on the right: see `ExpectedCalibrationError`."""
    if bins < 1:
        raise ValueError(f"`bins` must be at least 1. Received: bins={bins}")
    inner_edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    share = np.full(len(confidence), 1 / len(confidence)) if weights is None else weights
    found = np.searchsorted(inner_edges, confidence)
    gap = np.bincount(found, weights=share * (right - confidence))
    return float(np.abs(gap).sum() / share.sum())
