"""The gradient of tanh(x w1 + b1) w2 + b2 under weighted cross-entropy, derived by hand.

Nothing here is shared with the package: float64, numpy, no automatic differentiation.
"""

import numpy as np

KEYS = ("w1", "b1", "w2", "b2")


def weights_of(v):
    """The weights of the two-layer vectors."""
    return [v[key].astype("float64") for key in KEYS]


def one_hot(labels, classes=6):
    return np.eye(classes)[labels]


def softmax(weights, x):
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    logits = hidden @ w2 + b2
    exponential = np.exp(logits - logits.max(axis=1, keepdims=True))
    return hidden, exponential / exponential.sum(axis=1, keepdims=True)


def loss(weights, x, targets, coefficients):
    """sum_i c_i l_i, where l_i = -sum_k t_ik log p_ik."""
    _, p = softmax(weights, x)
    return -np.sum(coefficients * np.sum(targets * np.log(p), axis=1))


def gradient(weights, x, targets, coefficients):
    """Of `loss`, for each of the four weights."""
    hidden, p = softmax(weights, x)
    by_logits = coefficients[:, None] * (p - targets)
    by_hidden = (by_logits @ weights[2].T) * (1.0 - hidden**2)
    return [x.T @ by_hidden, by_hidden.sum(axis=0), hidden.T @ by_logits, by_logits.sum(axis=0)]


def norm(tensors):
    return np.sqrt(sum(np.sum(t**2) for t in tensors))


def ascended(weights, g, rho, adaptive=False):
    """w + eps of SAM, or of ASAM."""
    if adaptive:
        g = [abs(w) * d for w, d in zip(weights, g, strict=True)]
    length = norm(g)
    if adaptive:
        g = [abs(w) * d for w, d in zip(weights, g, strict=True)]
    return [w + rho * d / length for w, d in zip(weights, g, strict=True)]


def ascended_as_asam(weights, g, rho, eta):
    """w + eps of ASAM's code: t = |w| + eta for kernels, 1 for biases."""
    sizes = [abs(w) + eta if w.ndim > 1 else np.ones_like(w) for w in weights]
    length = norm([t * d for t, d in zip(sizes, g, strict=True)])
    return [w + rho * t**2 * d / length for w, t, d in zip(weights, sizes, g, strict=True)]


def combined(*terms):
    """The sum of (factor, gradient) pairs."""
    return [sum(f * g[i] for f, g in terms) for i in range(4)]
