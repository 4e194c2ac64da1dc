"""Landscapes of the loss around a trained model, per class, in one pass per point.

    L_c(i, j) = mean over the samples of class c of  -log p_y(x; w + a_i d_1 + a_j d_2)

with w the trained weights, d the directions (`directions`) and a the steps, symmetric around 0. The
network runs as in inference and without augmentation, and the loss is plain cross-entropy whatever
the model was trained with. Weights are passed to the network, never written.

References:
    Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018.
    Zhou et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed Recognition,
    CVPR 2023 (appendix E: a plane, steps of up to a third of the weights' norm).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from keras_ccsam.analysis.landscapes.checked import check_options
from keras_ccsam.analysis.landscapes.computing import LandscapePlan as LandscapePlan
from keras_ccsam.analysis.landscapes.computing import Progress as Progress
from keras_ccsam.analysis.landscapes.directions import Directions, draw_directions
from keras_ccsam.analysis.landscapes.grid import spans, steps_of
from keras_ccsam.analysis.landscapes.partial import PathLike
from keras_ccsam.analysis.landscapes.result import Landscape
from keras_ccsam.analysis.landscapes.subject import subject
from keras_ccsam.metrics.groups import Groups


def landscape(model: Any, data: Any, *, path: PathLike | None = None, **options: Any) -> Landscape:
    """Evaluates a model on a grid of points around its weights.

    Args:
        model: any built Keras classifier with outputs (B, K), or (B, 1) for class 1 of two. It is
            left as it is.
        data: a pair `(x, y)` of arrays, or a `data.BatchSequence`, whose images are taken
            unaugmented.
        path: an .npz to write. What is done is written beside it every few seconds, and a call
            with the same model, data and options goes on from there, or reads the finished file.
        progress: called with a `Standing` when the cost is known, and as points get done.
        **options: of `plan_landscape`: points, span, directions, dimensions, ...

    Raises:
        ValueError: an argument that does not fit, or `path` holds something else.

    Example:
        >>> found = cc.analysis.landscape(model, data.test, points=25)
        >>> found.loss("tail"), found.doubling("tail").mean
    """
    progress = options.pop("progress", None)
    return plan_landscape(model, data, **options).compute(path, progress)


def plan_landscape(
    model: Any,
    data: Any,
    *,
    points: int = 25,
    span: float | None = None,
    directions: str | Directions = "filter",
    dimensions: Literal[1, 2] = 2,
    lines: int = 10,
    seed: int = 0,
    limit: int | None = None,
    batch_norm: Literal["as_trained", "reestimated"] = "as_trained",
    batch_norm_data: Any = None,
    batch_norm_samples: int = 1000,
    class_counts: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    groups: Groups = "thresholds",
    num_classes: int | None = None,
    from_logits: bool | None = None,
    batch_size: int = 500,
    about: Mapping[str, Any] | None = None,
) -> LandscapePlan:
    """A landscape that has not been computed: it tells its cost, and computes.

    Args:
        model: see `landscape`.
        data: see `landscape`.
        points: P, along each direction: odd, at least 3. 25 by default.
        span: the largest step, in units of the norm of the weights that move. 1/3 by default; for
            directions of a trajectory, what holds it.
        directions: how random ones are scaled: `"filter"` (default), `"layer"`, `"none"`, or
            `"uniform"` for the appendix's; see `directions`. Or a `Directions`.
        dimensions: 2 for a plane of P x P points (default), 1 for lines.
        lines: of a 1-D landscape, how many directions. 10 by default.
        seed: of the directions.
        limit: about how many samples to take: of each class its share, at least one. All by
            default. Which ones does not depend on `seed`.
        batch_norm: `"as_trained"` (default) or `"reestimated"`: the statistics that the network has
            at each point, from one pass in training mode.
        batch_norm_data: inputs for that pass; those of `data` by default. Give training images.
        batch_norm_samples: how many of them, 1000 by default.
        class_counts: training images of each class, by which head, tail and groups are known; those
            of `data` by default.
        class_names: of the classes; their numbers by default.
        groups: see `metrics.group_classes`.
        num_classes: K; that of the model's output by default, which a model of your own class may
            not tell.
        from_logits: whether the outputs are logits; found out by default.
        batch_size: samples per pass, at most.
        about: what else the file should say, as JSON types.

    Raises:
        ValueError: an argument that does not fit.
    """
    check_options(
        points=points,
        span=span,
        directions=directions,
        dimensions=dimensions,
        lines=lines,
        seed=seed,
        limit=limit,
        batch_norm=batch_norm,
        batch_norm_samples=batch_norm_samples,
        batch_size=batch_size,
    )
    found = subject(
        model,
        data,
        class_counts=class_counts,
        class_names=class_names,
        groups=groups,
        batch_norm=batch_norm,
        batch_norm_data=batch_norm_data,
        batch_norm_samples=batch_norm_samples,
        limit=limit,
        num_classes=num_classes,
        from_logits=from_logits,
        batch_size=batch_size,
    )
    if not isinstance(directions, Directions):
        directions = draw_directions(
            found.at.weights,
            found.axes,
            kind=directions,
            count=2 if dimensions == 2 else lines,
            seed=seed,
            orthogonal=dimensions == 2,
        )
    if dimensions == 2 and len(directions.values) != 2:
        raise ValueError(
            f"A plane has two directions. Received: directions with {len(directions.values)}"
        )
    steps = tuple(steps_of(points, length) for length in spans(span, directions.path, dimensions))
    return LandscapePlan(found, directions, steps, dict(about or {}))
