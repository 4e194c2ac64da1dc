"""Makes the `stage1_ldam*` and `stage1_gcl*` files beside it: CC-SAM on losses that take cosines.

    python tests/vectors/losses.py

Float64, by an explicit loop over the classes of the batch and torch's automatic differentiation:
one gradient for each class's perturbation, one pass of the head at each class's weights. Nothing
here uses the closed forms, or this package.
"""

from pathlib import Path

import numpy as np
import torch

COUNTS = (120, 64, 31, 15, 7, 2)
RADIUS_SCALE, FLAT_RATIO = 0.05, 0.4
HERE = Path(__file__).parent


def cosines(features, kernel):
    return torch.nn.functional.normalize(features, dim=1) @ torch.nn.functional.normalize(
        kernel, dim=0
    )


def ldam(cosine, labels, _):
    counts = torch.tensor(COUNTS, dtype=torch.float64)
    margins = counts**-0.25
    margins = 0.5 * margins / margins.max()
    shifted = cosine - margins[labels, None] * torch.eye(len(COUNTS), dtype=torch.float64)[labels]
    return torch.nn.functional.cross_entropy(30.0 * shifted, labels, reduction="none")


def gcl(cosine, labels, noise):
    logs = torch.log(torch.tensor(COUNTS, dtype=torch.float64))
    delta = (logs.max() - logs) / (logs.max() - logs.min())
    clouded = cosine - 0.5 * noise * delta
    clouded = clouded - 0.1 * torch.eye(len(COUNTS), dtype=torch.float64)[labels]
    return torch.nn.functional.cross_entropy(20.0 * clouded, labels, reduction="none")


def make(name, loss, mixed, weighted, seed):
    rng = np.random.default_rng(seed)
    size, dimension, classes = 24, 7, len(COUNTS)
    labels = torch.tensor(rng.choice(classes, size, p=np.array(COUNTS) / sum(COUNTS)))
    second = torch.tensor(rng.permutation(labels.numpy()))
    mix = 0.7 if mixed else 1.0
    weights = np.linspace(0.3, 2.5, classes) if weighted else np.ones(classes)
    noise = np.clip(np.abs(rng.normal(0.0, 1 / 3, (size, classes))), 0.0, 1.0)
    features = torch.tensor(rng.normal(size=(size, dimension)), requires_grad=True)
    kernel = torch.tensor(rng.normal(size=(dimension, classes)), requires_grad=True)
    u = torch.tensor(weights)
    total = mix * u[labels] + (1 - mix) * u[second]

    def losses(kernel):
        cosine = cosines(features, kernel)
        drawn = torch.tensor(noise)
        first = mix * u[labels] * loss(cosine, labels, drawn)
        other = (1 - mix) * u[second] * loss(cosine, second, drawn)
        return (first + other) * size / total.sum()

    flat = torch.zeros(size, dtype=torch.float64)
    for label in torch.unique(labels):
        members = labels == label
        (gradient,) = torch.autograd.grad(losses(kernel)[members].mean(), kernel)
        k, others = kernel.numel(), max(COUNTS[label] - 1, 1)
        rho = (kernel.norm() / (2 * gradient.norm())).sqrt() * (k * others) ** -0.25
        step = (RADIUS_SCALE * rho * k**0.5 * gradient / gradient.norm()).detach()
        flat = torch.where(members, losses(kernel + step), flat)
    clean = losses(kernel).mean()
    value = (1 - FLAT_RATIO) * clean + FLAT_RATIO * flat.mean()
    grad_features, grad_kernel = torch.autograd.grad(value, [features, kernel])
    arrays = {
        "features": features,
        "kernel": kernel,
        "labels": labels,
        "noise": noise,
        "class_counts": np.array(COUNTS),
        "radius_scale": RADIUS_SCALE,
        "flat_ratio": FLAT_RATIO,
        "loss": value,
        "clean_loss": clean,
        "grad_features": grad_features,
        "grad_kernel": grad_kernel,
    }
    if mixed:
        arrays |= {"second_labels": second, "mix": mix}
    if weighted:
        arrays |= {"class_weights": weights}
    plain = {k: v.detach().numpy() if torch.is_tensor(v) else v for k, v in arrays.items()}
    np.savez_compressed(HERE / f"{name}.npz", **plain)


if __name__ == "__main__":
    make("stage1_ldam", ldam, mixed=False, weighted=False, seed=1)
    make("stage1_ldam_mixup_weights", ldam, mixed=True, weighted=True, seed=2)
    make("stage1_gcl_mixup", gcl, mixed=True, weighted=False, seed=3)
    make("stage1_gcl_weights", gcl, mixed=False, weighted=True, seed=4)
