"""By how much `ccsam auto`'s rule falls short of the best recipe, beside two simpler rules.

A simulation: the true accuracies of the recipes are drawn around what papers report of them, off by
`SPREAD`; validation images are drawn from them, some harder than others for all recipes, with the
counts that digits-lt holds out, and 3 and 10 times as many. Then a recipe is chosen by the images,
by what papers report, and by both as `auto.weighing` weighs them.

    python benchmarks/auto_weighing.py [--rounds 3000]

A minute of one core. Prints a table, and writes benchmarks/results/auto_weighing.json.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from keras_ccsam.auto.kinds import KINDS
from keras_ccsam.auto.weighing import SPREAD, weighed

COUNTS = (26, 17, 11, 7, 5, 3, 2, 2, 1, 1)
"""Validation images of digits-lt's classes."""

_EASE = 0.7  # of whether an image is hard, the part that all recipes share


def accuracies(truth: np.ndarray) -> np.ndarray:
    """(K,) what recipes of these thresholds have right on average."""
    ease = np.linspace(0, 1, 401)
    return np.clip((truth[:, None] - _EASE * ease) / (1 - _EASE), 0, 1).mean(axis=1)


def lost(more: int, rounds: int) -> dict[str, float]:
    """Mean points below the best recipe, by rule, with `more` times the digits' images."""
    rng = np.random.default_rng(0)
    names = tuple(KINDS)
    expected = {name: kind.expected for name, kind in KINDS.items()}
    prior = np.array([expected[name] for name in names])
    labels = np.repeat(np.arange(len(COUNTS)), np.multiply(COUNTS, more))
    found: dict[str, list[float]] = {"images": [], "papers": [], "both": [], "images_weigh": []}
    for _ in range(rounds):
        truth = 0.6 + _EASE * (prior + rng.normal(0, SPREAD, len(names)))
        ease, own = rng.random(len(labels)), rng.random((len(names), len(labels)))
        right = (_EASE * ease + (1 - _EASE) * own < truth[:, None]).astype("float64")
        both = weighed({n: [r] for n, r in zip(names, right, strict=True)}, labels, expected)
        balanced = np.mean([right[:, labels == c].mean(1) for c in range(len(COUNTS))], axis=0)
        scores = np.array([both.scores[name] for name in names])
        true = accuracies(truth)
        for rule, ranking in (("images", balanced), ("papers", prior), ("both", scores)):
            found[rule].append(float(true.max() - true[ranking.argmax()]))
        found["images_weigh"].append(both.images)
    return {rule: round(float(np.mean(values)), 5) for rule, values in found.items()}


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    rows = []
    for more in (1, 3, 10):
        rows.append({"validation": more * sum(COUNTS), **lost(more, arguments.rounds)})
        print(rows[-1], flush=True)
    content = {
        "what": "mean shortfall of the chosen recipe from the best, as a fraction, by what it "
        "was chosen by; simulated",
        "rounds": arguments.rounds,
        "rows": rows,
    }
    text = json.dumps(content, indent=1) + "\n"
    (arguments.out / "auto_weighing.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
