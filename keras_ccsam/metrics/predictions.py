"""Checked predictions of an evaluation, in numpy and double precision."""

from typing import Any

import numpy as np


def checked(labels: Any, predictions: Any, from_logits: bool) -> tuple[np.ndarray, np.ndarray]:
    """Predictions as float64 (N, C) and labels as int64 (N,).

    Raises:
        ValueError: See `Report.from_predictions`.
    """
    outputs = np.asarray(predictions, dtype="float64")
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ValueError(
            "`predictions` must have shape (samples, classes) with at least two classes. "
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
    classes = np.asarray(labels)
    if classes.shape == outputs.shape:
        classes = classes.argmax(axis=1)
    classes = classes.reshape(-1) if classes.ndim == 2 and classes.shape[1] == 1 else classes
    if classes.shape != (len(outputs),) or not len(outputs):
        raise ValueError(
            "`labels` must hold one class for each row of `predictions`, and at least one. "
            f"Received: labels with shape {classes.shape}, predictions with shape {outputs.shape}"
        )
    whole = classes.astype("int64")
    if (whole != classes).any() or whole.min() < 0 or whole.max() >= outputs.shape[1]:
        raise ValueError(
            f"`labels` must be whole numbers from 0 to {outputs.shape[1] - 1}. "
            f"Received: labels from {classes.min()} to {classes.max()}"
        )
    return outputs, whole


def log_probabilities(outputs: np.ndarray, from_logits: bool) -> np.ndarray:
    """Log-softmax of logits, or the logarithm of probabilities (0 counts as 1e-12)."""
    if not from_logits:
        return np.log(np.maximum(outputs, 1e-12))
    # A logit of +inf (a model that overflowed) takes all of the probability.
    shifted = np.nan_to_num(outputs - outputs.max(axis=1, keepdims=True), nan=0.0)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """ECE over equally wide bins, closed on the right: see `ExpectedCalibrationError`."""
    if bins < 1:
        raise ValueError(f"`bins` must be at least 1. Received: bins={bins}")
    inner_edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    gap = np.bincount(np.searchsorted(inner_edges, confidence), weights=right - confidence)
    return float(np.abs(gap).sum() / len(confidence))
