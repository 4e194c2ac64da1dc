"""The Hessian of a loss, by its products with vectors: extreme eigenvalues, trace, density.

    trace    mean over signs v of v'Hv                        (Hutchinson 1989)
    density  mean over signs v of sum_i tau_i delta(x - theta_i)   (stochastic Lanczos quadrature)

v is a vector of random signs; theta and tau are the nodes and weights of Lanczos' method from v.

References:
    Ghorbani, Krishnan and Xiao, An Investigation into Neural Net Optimization via Hessian
    Eigenvalue Density, ICML 2019.
    Rangwani et al., Escaping Saddle Points for Effective Generalization on Class-Imbalanced Data,
    NeurIPS 2022: the Hessian of each class, and the saddles of tail classes.
"""

import dataclasses
from typing import Any

import numpy as np

from keras_ccsam.analysis.sharpness.lanczos import Product, Ritz, lanczos

NEGATIVE = 0.01
"""A smallest eigenvalue below minus this share of the largest counts as negative curvature."""


@dataclasses.dataclass(frozen=True)
class SpectrumOptions:
    """How much is asked of the Hessian.

    Attributes:
        eigenvalues: m, how many at each end of the spectrum.
        probes: random vectors of the trace, and of the density. As many as there are weights make
            the trace exact.
        density: whether the spectral density is computed, at `density_steps` products per probe.
        density_steps: nodes of the quadrature per probe.
        max_steps: products for the eigenvalues at most.
        tolerance: of an eigenvalue, relative to the largest absolute one.
        seed: of the random vectors.
    """

    eigenvalues: int = 3
    probes: int = 10
    density: bool = False
    density_steps: int = 40
    max_steps: int = 100
    tolerance: float = 1e-3
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Spectrum:
    """What is known of a Hessian H (k x k).

    Attributes:
        largest: (m,) eigenvalues at the upper end, in descending order.
        largest_errors: (m,) how far an eigenvalue of H can be from each at most.
        smallest: (m,) eigenvalues at the lower end, in ascending order.
        smallest_errors: (m,) the same for them.
        trace: the estimate of the sum of all eigenvalues.
        trace_error: its standard error; 0 where the trace is exact, NaN from one probe.
        nodes, node_weights: (n,) the quadrature of the spectral density, whose weights add up to 1;
            empty where it was not asked for.
        products: how many Hessian-vector products it took.
    """

    largest: np.ndarray
    largest_errors: np.ndarray
    smallest: np.ndarray
    smallest_errors: np.ndarray
    trace: float
    trace_error: float
    nodes: np.ndarray
    node_weights: np.ndarray
    products: int

    @property
    def negative_curvature(self) -> bool:
        """Whether the loss surely curves downwards somewhere, beyond what rounding does.

        At a point where training has come to rest that is a saddle, not a minimum.
        """
        if not len(self.smallest):
            return False
        lowest = float(self.smallest[0])
        scale = max(abs(lowest), float(np.abs(self.largest).max()))
        return lowest + float(self.smallest_errors[0]) < 0 and lowest < -NEGATIVE * scale

    def density(self, points: int = 201, width: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
        """The spectral density on an even grid, each node a Gaussian.

        Args:
            points: of the grid, which reaches 5 % beyond the outermost nodes.
            width: standard deviation of the Gaussians, as a share of the nodes' range.

        Returns:
            The grid and the density, whose integral is 1; two empty arrays without nodes.
        """
        if not len(self.nodes):
            return np.zeros(0), np.zeros(0)
        low, high = float(self.nodes.min()), float(self.nodes.max())
        span = max(high - low, 1e-12)
        grid = np.linspace(low - 0.05 * span, high + 0.05 * span, points)
        sigma = width * span
        bells = np.exp(-0.5 * ((grid[:, None] - self.nodes) / sigma) ** 2)
        return grid, bells @ self.node_weights / (sigma * np.sqrt(2 * np.pi))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        grid, density = self.density()
        named = {
            "largest_eigenvalues": self.largest,
            "largest_eigenvalues_error_bounds": self.largest_errors,
            "smallest_eigenvalues": self.smallest,
            "smallest_eigenvalues_error_bounds": self.smallest_errors,
            "density_nodes": self.nodes,
            "density_node_weights": self.node_weights,
            "density_grid": grid,
            "density": density,
        }
        return {
            **{name: values.tolist() for name, values in named.items()},
            "trace": self.trace,
            "trace_standard_error": self.trace_error,
            "negative_curvature": self.negative_curvature,
            "hessian_products": self.products,
        }


def spectrum(product: Product, size: int, options: SpectrumOptions) -> Spectrum:
    """Ask a symmetric matrix for its spectrum.

    Args:
        product: v to H v, both (k,).
        size: k.
        options: how much.
    """
    counted = _Counted(product)
    rng = np.random.default_rng(options.seed)
    largest = smallest = largest_errors = smallest_errors = np.zeros(0)
    if options.eigenvalues:
        ends = lanczos(
            counted,
            rng.normal(size=size),
            options.max_steps,
            wanted=min(options.eigenvalues, size),
            tolerance=options.tolerance,
            seed=options.seed,
        )
        m = min(options.eigenvalues, len(ends.values))
        smallest, smallest_errors = ends.values[:m], ends.errors[:m]
        largest, largest_errors = ends.values[::-1][:m], ends.errors[::-1][:m]
    rules: list[Ritz] = []
    if options.density:
        starts = (rng.choice([-1.0, 1.0], size) for _ in range(options.probes))
        rules = [lanczos(counted, v, options.density_steps, seed=options.seed) for v in starts]
    trace, trace_error = _trace(counted, size, options, rules, rng)
    return Spectrum(
        largest,
        largest_errors,
        smallest,
        smallest_errors,
        trace,
        trace_error,
        np.concatenate([rule.values for rule in rules] or [np.zeros(0)]),
        np.concatenate([rule.weights / len(rules) for rule in rules] or [np.zeros(0)]),
        counted.calls,
    )


def most_products(options: SpectrumOptions, size: int) -> int:
    """How many products a spectrum of a (size x size) matrix takes at most."""
    ends = min(options.max_steps, size) if options.eigenvalues else 0
    density = options.probes * min(options.density_steps, size) if options.density else 0
    trace = size if options.probes >= size else 0 if options.density else options.probes
    return ends + density + trace


def _trace(
    product: Product,
    size: int,
    options: SpectrumOptions,
    rules: list[Ritz],
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The trace and its standard error."""
    if options.probes >= size:
        return float(sum(product(unit) @ unit for unit in np.eye(size))), 0.0
    if not options.probes:
        return float("nan"), float("nan")
    if rules:
        # v'Hv of a probe is k times the mean of its quadrature.
        samples = [size * float(rule.weights @ rule.values) for rule in rules]
    else:
        signs = (rng.choice([-1.0, 1.0], size) for _ in range(options.probes))
        samples = [float(v @ product(v)) for v in signs]
    n = len(samples)
    error = float(np.std(samples, ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return float(np.mean(samples)), error


class _Counted:
    """Counts the products."""

    def __init__(self, product: Product) -> None:
        self.calls = 0
        self._product = product

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        self.calls += 1
        return self._product(vector)
