"""The proof that all contenders train the same network: their first losses.

The first loss is a function of the weights, the batch and the network; the second one, on the same
batch, of the gradients and the learning rate as well.
"""

import math

Losses = dict[tuple[str, str], tuple[float, float]]
"""By worker and method, the loss at the first step and at the second."""


def tolerances(precision: str, device: str) -> tuple[float, float]:
    """How far, relatively, the first and the second losses may lie apart.

    On a CPU the first losses in float32 lie some 1e-6 apart. GPUs may round what they multiply to
    ten bits (TF32).
    """
    if precision == "bfloat16":
        return 2e-2, 5e-2
    return (2e-5, 2e-3) if device == "cpu" else (2e-3, 2e-2)


def disagreement(losses: Losses, objectives: dict[tuple[str, str], str]) -> dict[str, list[float]]:
    """By objective, the widest relative distance from its first contender, at each of the steps."""
    references: dict[str, tuple[float, float]] = {}
    widest: dict[str, list[float]] = {}
    for contender, own in losses.items():
        objective = objectives[contender]
        base = references.setdefault(objective, own)
        distances = widest.setdefault(objective, [0.0, 0.0])
        for step in range(2):
            distance = abs(own[step] - base[step]) / abs(base[step])
            distances[step] = max(distances[step], math.inf if math.isnan(distance) else distance)
    return widest


def check(
    losses: Losses, objectives: dict[tuple[str, str], str], limits: tuple[float, float]
) -> str:
    """One sentence about how well they agree.

    Raises:
        ValueError: if they do not, with the losses of all.
    """
    widest = disagreement(losses, objectives)
    if any(d > limit for pair in widest.values() for d, limit in zip(pair, limits, strict=True)):
        table = "\n".join(
            f"  {objectives[contender]:6} {' '.join(contender):32} {first:.7f} {second:.7f}"
            for contender, (first, second) in losses.items()
        )
        raise ValueError(
            f"The contenders do not train the same network: their losses at the first two steps "
            f"differ by more than {limits[0]:g} and {limits[1]:g}.\n{table}"
        )
    parts = (f"{name} {pair[0]:.1e}, {pair[1]:.1e}" for name, pair in widest.items())
    return f"same network: the first two losses agree within {'; '.join(parts)} (relative)"
