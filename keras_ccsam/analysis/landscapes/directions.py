"""The directions of a landscape: drawn from a seed, scaled to the weights, known by a hash.

With w the weights that move (`filters`), g a draw of their shapes and f a filter of either,

    filter    d_f = g_f ||w_f|| / ||g_f||      g Gaussian (Li et al., section 4), the default
    layer     d_l = g_l ||w_l|| / ||g_l||      l all of one layer's kernel
    none      d   = g   ||w||   / ||g||
    uniform   as filter, g uniform on [0, 1)   what the CC-SAM appendix's tool draws

So ||d|| = ||w|| in all of them (but for filters that are zero, which stay so), and a step of 1/3
along one direction is a third of the weights' norm whatever the scaling. Of `uniform`, the second
direction of a plane is made orthogonal to the first before it is scaled, as that tool does; its
directions are all-positive before that, and far from a typical direction.

References:
    Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018.
    Zhou et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed Recognition,
    CVPR 2023 (appendix E, by way of github.com/marcellodebernardi/loss-landscapes).
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from keras_ccsam.analysis.digest import digest
from keras_ccsam.analysis.landscapes.filters import Axes, filter_norms
from keras_ccsam.checks import require

KINDS = ("filter", "layer", "none", "uniform")

Weights = Sequence[np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class Directions:
    """Directions from the weights of one model.

    Attributes:
        kind: `"filter"`, `"layer"`, `"none"`, `"uniform"`, or `"pca"` for those of a trajectory.
        seed: of the draws; None where nothing is drawn.
        values: for each direction one array per trainable variable; zeros where nothing moves.
        norm: ||w|| of the weights that move, the unit of the steps.
        gram: (D, D) inner products of the directions, over ||w||^2.
        draws_sha256: of what was drawn, before scaling: the same for all models of one shape.
        sha256: of the directions themselves.
        path: (E, D) where training came along, in units of ||w||; None where nothing was recorded.
        explained_variance: of the path's, the share that lies along each direction.
    """

    kind: str
    seed: int | None
    values: tuple[tuple[np.ndarray, ...], ...]
    norm: float
    gram: np.ndarray
    draws_sha256: str
    sha256: str
    path: np.ndarray | None = None
    explained_variance: tuple[float, ...] | None = None

    @classmethod
    def of(
        cls,
        kind: str,
        seed: int | None,
        values: Sequence[Weights],
        norm: float,
        draws_sha256: str,
        path: np.ndarray | None = None,
        explained_variance: tuple[float, ...] | None = None,
    ) -> "Directions":
        """Directions with their inner products and hash."""
        flat = [[np.asarray(part, "float64") for part in parts] for parts in values]
        gram = np.array(
            [
                [sum(float(np.vdot(a, b)) for a, b in zip(x, y, strict=True)) for y in flat]
                for x in flat
            ]
        )
        return cls(
            kind,
            seed,
            tuple(tuple(parts) for parts in values),
            norm,
            gram / max(norm, 1e-300) ** 2,
            draws_sha256,
            digest(part for parts in values for part in parts),
            path,
            explained_variance,
        )


def draw_directions(
    weights: Weights,
    axes: Sequence[Axes],
    *,
    kind: str = "filter",
    count: int = 2,
    seed: int = 0,
    orthogonal: bool = False,
) -> Directions:
    """Draws directions and scales them to the weights.

    The draws depend on the seed, the direction's number and the shapes of the weights that move,
    and on nothing else: models of one architecture share them. So do models that differ in weights
    that do not move, such as the bias of the classifier.

    Args:
        weights: the values of the trainable variables.
        axes: of `filter_axes`, one entry per weight.
        kind: `"filter"`, `"layer"`, `"none"` or `"uniform"`.
        count: how many directions.
        seed: at least 0.
        orthogonal: of `"uniform"`, make each direction orthogonal to the first before scaling.

    Raises:
        ValueError: for an unknown kind, a count below 1, a negative seed, or weights of which none
            moves.
    """
    require(kind in KINDS, "directions", kind, f"one of {', '.join(KINDS)}")
    require(count >= 1, "count", count, "at least 1")
    require(seed >= 0, "seed", seed, "at least 0")
    wide = [np.asarray(w, "float64") for w in weights]
    moving = [w for w, own in zip(wide, axes, strict=True) if own is not None]
    norm = _norm(moving)
    if not norm:
        raise ValueError(
            "A direction needs a weight that moves: a kernel that is not zero (biases and the "
            f"vectors of normalisations stay). Received: weights of the shapes "
            f"{[w.shape for w in wide]}"
        )
    draws = [_draw(moving, kind, seed, number) for number in range(count)]
    hashed = digest(part for parts in draws for part in parts)
    if kind == "uniform" and orthogonal:
        draws = [draws[0], *(_orthogonal(draw, draws[0]) for draw in draws[1:])]
    values = []
    for draw in draws:
        parts = iter(draw)
        scaled = [
            np.zeros_like(w) if own is None else _scaled(next(parts), w, own, kind)
            for w, own in zip(wide, axes, strict=True)
        ]
        if kind == "none":
            scale = norm / _norm(scaled)
            scaled = [scale * part for part in scaled]
        values.append([s.astype(w.dtype) for s, w in zip(scaled, weights, strict=True)])
    return Directions.of(kind, seed, values, norm, hashed)


def check_shared(found: Mapping[str, Directions]) -> None:
    """Refuses directions that are not drawn alike: their landscapes could not be compared.

    Args:
        found: of each model, by name.

    Raises:
        ValueError: the weights that move have other shapes in one of the models.
    """
    (first, own), *others = found.items()
    for name, other in others:
        if other.draws_sha256 != own.draws_sha256:
            raise ValueError(
                "Models share directions only if the weights that move have the same shapes; draw "
                f"these one by one. Received: {first!r} with {_shapes(own)}, "
                f"{name!r} with {_shapes(other)}"
            )


def _shapes(found: Directions) -> str:
    shapes = [tuple(part.shape) for part in found.values[0] if part.any()]
    shown = ", ".join(map(str, shapes[:6])) + (", ..." if len(shapes) > 6 else "")
    return f"{len(shapes)} weights {shown}"


def _draw(moving: Weights, kind: str, seed: int, number: int) -> list[np.ndarray]:
    """One direction's draw; each weight has a stream of its own."""
    streams = [np.random.default_rng([seed, number, index]) for index in range(len(moving))]
    if kind == "uniform":
        return [rng.uniform(size=w.shape) for rng, w in zip(streams, moving, strict=True)]
    return [rng.normal(size=w.shape) for rng, w in zip(streams, moving, strict=True)]


def _orthogonal(draw: Weights, first: Weights) -> list[np.ndarray]:
    along = sum(float(np.vdot(a, b)) for a, b in zip(draw, first, strict=True))
    share = along / _norm(first) ** 2
    return [a - share * b for a, b in zip(draw, first, strict=True)]


def _scaled(draw: np.ndarray, weight: np.ndarray, axes: tuple[int, ...], kind: str) -> np.ndarray:
    if kind == "none":
        return draw
    if kind == "layer":
        return np.asarray(draw * (np.linalg.norm(weight) / np.linalg.norm(draw)))
    return np.asarray(draw * (filter_norms(weight, axes) / filter_norms(draw, axes)))


def _norm(parts: Weights) -> float:
    return float(np.sqrt(sum(float(np.vdot(part, part)) for part in parts)))
