"""What `ccsam auto` chooses, beside all of its recipes trained in full on the same split.

The tournament is played first, with the first seed; then `compare` trains every entrant with every
seed on the same training images. Judged are the test images, which the tournament's choice has not
seen: how far behind the best row of `compare` the chosen one is, image by image.

    python benchmarks/auto_choice.py [--data digits-lt] [--seeds 3] [--folder FOLDER]

In a folder of an earlier call finished runs are kept. Prints a table, and writes
benchmarks/results/auto_choice.json.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras

from keras_ccsam import text_table
from keras_ccsam.auto import auto
from keras_ccsam.auto.entrants import entrants
from keras_ccsam.auto.plan import VALIDATION_FRACTION
from keras_ccsam.auto.uncertainty import difference, estimate
from keras_ccsam.comparison import compare
from keras_ccsam.comparison.plan import run_path
from keras_ccsam.runs import parts
from keras_ccsam.runs.run_directory import RunDirectory


def main() -> None:
    """Play, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="digits-lt")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="auto-choice-"))
    began = time.process_time()
    played = auto(chosen.data, out=folder / "auto", budget="100h", progress="none")
    seconds = time.process_time() - began
    # As the tournament has them: same images to train on, same network, same schedule.
    changes = (f"data.validation_fraction={VALIDATION_FRACTION:g}",)
    recipes = [entrant.recipe for entrant in entrants(data=chosen.data, overrides=changes)]
    compared = compare(recipes, chosen.seeds, folder / "compare", progress="none")
    images = parts.load_data(recipes[0].data)
    rights = {}
    for recipe in recipes:
        paths = [run_path(compared.path, recipe, seed) for seed in range(chosen.seeds)]
        models = [RunDirectory(path).model() for path in paths]
        rights[recipe.name] = [
            (model.predict(images.x_test, verbose=0).argmax(-1) == images.y_test).astype("float64")
            for model in models
        ]
    found = {name: estimate(right, images.y_test) for name, right in rights.items()}
    best = max(found, key=lambda name: found[name].balanced)
    lead = difference(rights[best], rights[played.chosen], images.y_test)
    content = {
        "what": "balanced accuracies on the test images of every entrant of ccsam auto, trained in "
        "full by compare, and what auto chose without seeing them",
        "data": chosen.data,
        "backend": keras.backend.backend(),
        "seeds": chosen.seeds,
        "processor_seconds_of_auto": round(seconds, 1),
        "chosen": played.chosen,
        "best": best,
        "best_over_chosen": lead.to_dict(),
        "rows": {name: one.to_dict() for name, one in found.items()},
    }
    rows = [
        (name, f"{100 * one.balanced:.1f} ± {100 * one.error:.1f}")
        for name, one in sorted(found.items(), key=lambda item: -item[1].balanced)
    ]
    print(text_table.text_table(("recipe", "balanced, test"), rows))
    print(
        f"chosen {played.chosen}, best {best}: {100 * lead.balanced:.1f} ± {100 * lead.error:.1f} "
        f"points behind, {'within' if lead.within_noise else 'outside'} the noise; "
        f"auto took {seconds:.0f} s of processor time"
    )
    chosen.out.mkdir(exist_ok=True)
    text = json.dumps(content, indent=1) + "\n"
    (chosen.out / "auto_choice.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
