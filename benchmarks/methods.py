"""What a training step of every recipe costs beside cross-entropy's.

The same data, network and batch size each, interleaved in one process: every round trains each
recipe for one epoch, and a recipe's figure is the median over the rounds of its time over
cross-entropy's in the same round, by the clock and in processor time, which other programs on the
machine disturb less. Recipes that share a first stage are measured once. M2m is measured while it
translates, which it does in the last fifth of its epochs.

    KERAS_BACKEND=torch python benchmarks/methods.py [--data digits-lt] [--rounds 5]

Writes benchmarks/results/methods-<backend>-<device>.json and prints a table.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.timing import Times, fit_seconds, in_turn, summary

KEY = ("data", "recipe")


def built(name: str, data: str, images: Any) -> tuple[Any, Any]:
    """A compiled model of the recipe's first stage, and its batches."""
    import keras

    from keras_ccsam import recipes
    from keras_ccsam.runs import parts

    # The settings of one protocol: what a recipe changes beside its method costs no time.
    recipe = recipes.load(name, data=data, overrides=["stage1.mixup=0"])
    batches = parts.train_batches(recipe, images)
    keras.utils.set_random_seed(0)
    helper = None
    if recipe.stage1.translate is not None:
        helper = built("ce", data, images)[0].export_plain()
    return parts.build_model(recipe, images, len(batches), helper), batches


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="digits-lt")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    import keras

    from keras_ccsam import recipes
    from keras_ccsam.runs import parts

    images = parts.load_data(recipes.load("ce", data=options.data).data)
    first: dict[str, str] = {}
    stages: dict[str, str] = {}
    for name in ("ce", *recipes.names()):
        recipe = recipes.load(name, data=options.data, overrides=["stage1.mixup=0"])
        stages[name] = first.setdefault(recipe.stage1_digest(), name)
    models = {name: built(name, options.data, images) for name in first.values()}
    times: dict[str, list[Times]] = {name: [] for name in models}
    for name, (model, batches) in models.items():
        fit_seconds(model, len(batches), batches)
        print("compiled", name, flush=True)
    for number in range(options.rounds):
        for name in in_turn(list(models), number):
            model, batches = models[name]
            times[name].append(fit_seconds(model, len(batches), batches))
    measured = {name: summary(own, times["ce"]) for name, own in times.items()}
    print(f"{'recipe':24}{'ms/step':>9}{'x ce':>8}{'cpu x ce':>10}")
    for name, source in stages.items():
        row = measured[source]
        print(f"{name:24}{row['ms_per_step']:9.2f}{row['ratio']:8.2f}{row['cpu_ratio']:10.2f}")
    backend = keras.backend.backend()
    path = record.results_file(f"methods-{backend}", record.device(), options.out)
    rows = [
        {"data": options.data, "recipe": name, "first_stage_of": source, **measured[source]}
        for name, source in stages.items()
    ]
    record.save(path, rows, KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
