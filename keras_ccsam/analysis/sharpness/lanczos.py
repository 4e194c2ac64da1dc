"""Extreme eigenvalues and quadrature rules of a symmetric matrix that is known by its products.

    A Q = Q T,   T tridiagonal;   an eigenvalue of T is one of A within |beta_m s_m|

(Lanczos 1950; s_m is the last entry of T's eigenvector.) Each new vector is made orthogonal to all
earlier ones, twice, in float64: without that, eigenvalues come several times.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]

_WIDE = 2**27  # scalars: what is kept of vectors beyond it is float32


class Ritz(NamedTuple):
    """What Lanczos' method found.

    Attributes:
        values: (m,) eigenvalues of T, ascending.
        weights: (m,) squared first entries of T's eigenvectors: the quadrature's weights.
        errors: (m,) how far the nearest eigenvalue of A can be from each at most.
    """

    values: np.ndarray
    weights: np.ndarray
    errors: np.ndarray


def lanczos(
    product: Product,
    start: np.ndarray,
    steps: int,
    *,
    wanted: int = 0,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Ritz:
    """Run Lanczos' method.

    Args:
        product: v to A v, both (k,).
        start: (k,), the first vector, of any length but 0.
        steps: products at most; k of them give all eigenvalues.
        wanted: stop as soon as so many eigenvalues at each end are known within `tolerance`; 0
            takes all steps.
        tolerance: of an eigenvalue, relative to the largest absolute one.
        seed: of the vector with which the method goes on in an invariant subspace's complement.
    """
    size = len(start)
    steps = min(steps, size)
    rng = np.random.default_rng(seed)
    basis = np.zeros((steps, size), "float32" if steps * size > _WIDE else "float64")
    diagonal, off = np.zeros(steps), np.zeros(steps)
    vector = start / np.linalg.norm(start)
    for step in range(steps):
        basis[step] = vector
        residual = product(vector)
        diagonal[step] = vector @ residual
        residual = _orthogonal(residual, basis[: step + 1])
        length = float(np.linalg.norm(residual))
        scale = max(np.abs(diagonal[: step + 1]).max(), off.max(), np.finfo("float64").tiny)
        if step + 1 == size:
            length = 0.0  # the whole space is spanned
        elif length <= 1e-10 * scale:
            residual, length = _orthogonal(rng.normal(size=size), basis[: step + 1]), 0.0
        off[step] = length
        found = step + 1
        if wanted and found >= 2 * wanted and found % 5 == 0:
            ritz = _ritz(diagonal[:found], off[:found])
            ends = np.r_[ritz.errors[:wanted], ritz.errors[-wanted:]]
            # An error of 0 may also be a subspace's that knows nothing of the rest.
            if length and (ends <= tolerance * np.abs(ritz.values).max()).all():
                return ritz
        vector = residual / max(np.linalg.norm(residual), np.finfo("float64").tiny)
        vector = _orthogonal(vector, basis[: step + 1])
        vector /= max(np.linalg.norm(vector), np.finfo("float64").tiny)
    return _ritz(diagonal, off)


def _orthogonal(vector: np.ndarray, basis: np.ndarray) -> np.ndarray:
    for _ in range(2):
        vector = vector - basis.T @ (basis @ vector)
    return vector


def _ritz(diagonal: np.ndarray, off: np.ndarray) -> Ritz:
    between = off[:-1]
    matrix = np.diag(diagonal) + np.diag(between, 1) + np.diag(between, -1)
    values, vectors = np.linalg.eigh(matrix)
    return Ritz(values, vectors[0] ** 2, np.abs(off[-1] * vectors[-1]))
