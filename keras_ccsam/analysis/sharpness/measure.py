"""How sharp a trained classifier's loss is, for the whole set, for groups and for single classes.

    gap(rho) = L(w + eps) - L(w),   eps = rho g / ||g||,   g = grad L(w)       (Foret et al. 2021)

at SAM's radius rho, and at CC-SAM's, ||eps|| = r sqrt(k) rho* (appendix, Eqn 1). L is the mean
cross-entropy over the samples of a set of classes. The Hessian's eigenvalues, trace and density are
those of the same L.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_ccsam.analysis.class_radius import step_of
from keras_ccsam.analysis.class_sets import (
    ClassSet,
    class_sets,
    sample_rows,
    sample_shares,
    whole_part,
)
from keras_ccsam.analysis.loss_surface import LossSurface, sample_weights
from keras_ccsam.analysis.model_at import ModelAt
from keras_ccsam.analysis.perturbed import chosen_positions, outputs_are_logits
from keras_ccsam.analysis.sharpness.result import SetSharpness, Sharpness
from keras_ccsam.analysis.sharpness.spectrum import (
    Spectrum,
    SpectrumOptions,
    most_products,
    spectrum,
)
from keras_ccsam.analysis.weighted_batches import WeightedBatch, WeightedBatches
from keras_ccsam.checks import check_class_counts, require
from keras_ccsam.data.images.store import taken
from keras_ccsam.labels import check_labels
from keras_ccsam.metrics import group_classes

HESSIANS = ("none", "groups", "all")
_WORTH_SAYING = 60.0
"""Seconds from which on the time of a Hessian is said before it has passed."""


def sharpness(
    model: keras.Model,
    data: Any,
    class_counts: Sequence[int],
    *,
    rho: float = 0.05,
    radius_scale: float = 1e-2,
    weights: str = "all",
    hessian: Literal["none", "groups", "all"] = "groups",
    eigenvalues: int = 3,
    probes: int = 10,
    density: bool = False,
    limit: int | None = None,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    groups: Any = "thresholds",
    group_options: Mapping[str, Any] | None = None,
    from_logits: bool | None = None,
    batch_size: int = 128,
    max_steps: int = 100,
    say: Callable[[str], None] | None = None,
) -> Sharpness:
    """Measure how sharp the loss of a trained classifier is. The model is left as it is.

    BatchNorm runs with its trained statistics, and the loss is cross-entropy, whatever the model
    was trained with.

    Args:
        model: a built Keras classifier.
        data: the set to measure on, the training set usually: a `data.BatchSequence`, whose images
            are taken unaugmented, or a pair `(x, y)`.
        class_counts: the number of *training* images of each class, n_c.
        rho: SAM's radius; 0.05 by default.
        radius_scale: r, of CC-SAM's radius; 1e-2 by default. For a set of several classes n is the
            sum of theirs.
        weights: which weights are w: `"all"`, `"head"`, or a regular expression that is searched in
            the paths of the trainable variables.
        hessian: of which sets the Hessian is asked: `"groups"` (the whole set, the head and the
            tail class, many, medium and few), `"all"` (every class too) or `"none"`.
        eigenvalues: m, how many at each end of the spectrum.
        probes: random vectors of the trace's estimate and of the density.
        density: whether to compute the spectral density; 40 products for each probe.
        limit: samples to take, spread evenly over the classes and weighted so that means stay those
            of the whole set; all by default. PyHessian's authors advise 4096 or more.
        seed: of the samples chosen and of the random vectors.
        class_names: one per class; the numbers by default.
        groups, group_options: see `metrics.group_classes`.
        from_logits: whether the outputs are logits; found out by default.
        batch_size: samples per pass.
        max_steps: products for the eigenvalues at most.
        say: told what is being measured.

    Raises:
        ValueError: data and model that do not match, or an option outside its range.

    Example:
        >>> found = cc.analysis.sharpness(model, (x_train, y_train), class_counts)
        >>> print(found.table())
    """
    require(rho > 0 and np.isfinite(rho), "rho", rho, "a number above 0")
    sound = radius_scale > 0 and np.isfinite(radius_scale)
    require(sound, "radius_scale", radius_scale, "a number above 0")
    require(hessian in HESSIANS, "hessian", hessian, f"one of {', '.join(HESSIANS)}")
    for name, value in {"eigenvalues": eigenvalues, "probes": probes}.items():
        require(value >= 0, name, value, "a whole number of at least 0")
    for name, value in {"batch_size": batch_size, "max_steps": max_steps}.items():
        require(value >= 1, name, value, "a whole number of at least 1")
    require(not density or probes >= 1, "probes", probes, "at least 1 where the density is wanted")
    counts = check_class_counts(class_counts, at_least=0)
    names = [str(c) for c in range(len(counts))] if class_names is None else list(class_names)
    require(len(names) == len(counts), "class_names", names, f"{len(counts)} names")
    x, y = whole_part(data)
    size = len(keras.tree.flatten(x)[0])
    labels = check_labels(y, "y", size, len(counts))
    rows = sample_rows(labels, limit, seed)
    x = keras.tree.map_structure(lambda part: taken(part, rows), x)
    logits = outputs_are_logits(model, x) if from_logits is None else from_logits
    at = ModelAt(model, x, labels[rows], len(counts), from_logits=logits)
    surface = LossSurface(at, chosen_positions(model, at.variables, weights))
    options = SpectrumOptions(eigenvalues, probes, density, max_steps=max_steps, seed=seed)
    whole = np.bincount(labels, minlength=len(counts))
    grouped = group_classes(counts, groups, **dict(group_options or {}))
    measured = []
    for chosen in class_sets(counts, grouped, names):
        images = sum(counts[c] for c in chosen.classes)
        shares = sample_shares(labels[rows], whole, chosen.classes)
        if not shares.any():
            measured.append(SetSharpness(chosen, 0, images))
            continue
        batches = WeightedBatches(x, labels[rows], shares, batch_size)
        wanted = hessian == "all" or (hessian == "groups" and chosen.kind != "class")
        if say is not None:
            say(f"{chosen.name}: {int((shares > 0).sum())} samples")
        # One class's Hessian may stand under two names; it is asked once.
        known = [m.spectrum for m in measured if m.set.classes == chosen.classes]
        found = next((s for s in known if s is not None), None)
        if found is None and wanted:
            found = _spectrum(surface, batches, options, say)
        measured.append(_gaps(surface, batches, chosen, images, rho, radius_scale, found))
    settings = {
        "rho": rho,
        "radius_scale": radius_scale,
        "weights": weights,
        "weights_count": surface.size,
        "loss": "cross-entropy, mean over samples",
        "batch_norm": "statistics as trained",
        "samples": len(rows),
        "samples_in_set": size,
        "limit": limit,
        "seed": seed,
        "hessian": hessian,
        "eigenvalues": eigenvalues,
        "probes": probes,
        "density": density,
        "max_steps": max_steps,
        "floatx": keras.config.floatx(),
        "backend": keras.backend.backend(),
    }
    return Sharpness(settings, tuple(names), counts, tuple(measured))


def _spectrum(
    surface: LossSurface,
    batches: Sequence[WeightedBatch],
    options: SpectrumOptions,
    say: Callable[[str], None] | None,
) -> Spectrum:
    most = most_products(options, surface.size)
    done, began = 0, 0.0

    def product(vector: np.ndarray) -> np.ndarray:
        nonlocal done, began
        if done == 1:  # the first one compiles
            began = time.perf_counter()
        found = surface.hessian_product(batches, vector)
        done += 1
        if done == 3 and say is not None:
            seconds = (time.perf_counter() - began) / 2
            if most * seconds > _WORTH_SAYING:
                say(
                    f"  the Hessian: {seconds:.1f} s per product, {most} of them at most, so up to "
                    f"{most * seconds / 60:.0f} min; fewer samples (limit) are quicker"
                )
        return found

    return spectrum(product, surface.size, options)


def _gaps(
    surface: LossSurface,
    batches: Sequence[WeightedBatch],
    chosen: ClassSet,
    images: int,
    rho: float,
    radius_scale: float,
    found: Spectrum | None,
) -> SetSharpness:
    step = step_of(surface, batches, images)
    weights = surface.weights
    here = surface.mean(batches)
    length = radius_scale * step.length
    gaps = [
        surface.mean(batches, weights + step.move(each)) - here if step.gradient_norm else 0.0
        for each in (rho, length)
    ]
    samples = len(sample_weights(batches))
    return SetSharpness(
        chosen, samples, images, here, step.gradient_norm, gaps[0], length, gaps[1], found
    )
