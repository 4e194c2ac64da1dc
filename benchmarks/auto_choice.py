"""What `ccsam auto` chooses, beside all of its recipes trained in full on the same split.

The tournament is played first, with the first seed; then `compare` trains every entrant with every
seed on the same training images. How far behind the best row of `compare` is the chosen one, image
by image: on the validation images, which are what a choice can be made by, and on the test images,
which the choice has not seen?

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
from typing import Any

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


def _validation(run: RunDirectory, images: Any) -> Any:
    return run.validation()


def _test(run: RunDirectory, images: Any) -> Any:
    return run.model().predict(images.x_test, verbose=0).argmax(-1)


def _percent(row: dict[str, float]) -> str:
    return f"{100 * row['balanced']:.1f} ± {100 * row['error']:.1f}"


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
    # A finished tournament is read again in no time.
    kept = folder / "processor-seconds.json"
    if kept.is_file():
        seconds = json.loads(kept.read_text(encoding="utf-8"))
    else:
        kept.write_text(json.dumps(seconds), encoding="utf-8")
    # As the tournament has them: same images to train on, same network, same schedule.
    changes = (f"data.validation_fraction={VALIDATION_FRACTION:g}",)
    recipes = [entrant.recipe for entrant in entrants(data=chosen.data, overrides=changes)]
    compared = compare(recipes, chosen.seeds, folder / "compare", progress="none")
    images = parts.load_data(recipes[0].data)
    paths = {
        recipe.name: [
            RunDirectory(run_path(compared.path, recipe, seed)) for seed in range(chosen.seeds)
        ]
        for recipe in recipes
    }
    judged = {}
    for part, predict in (("validation", _validation), ("test", _test)):
        labels = images.split_arrays(part)[1]
        rights = {
            name: [(predict(run, images) == labels).astype("float64") for run in runs]
            for name, runs in paths.items()
        }
        rows = {name: estimate(right, labels) for name, right in rights.items()}
        best = max(rows, key=lambda name: rows[name].balanced)
        lead = difference(rights[best], rights[played.chosen], labels)
        judged[part] = {
            "best": best,
            "best_over_chosen": lead.to_dict(),
            "rows": {name: one.to_dict() for name, one in rows.items()},
        }
    content = {
        "what": "balanced accuracies of every entrant of ccsam auto, trained in full by compare on "
        "the same split, beside what auto chose",
        "data": chosen.data,
        "backend": keras.backend.backend(),
        "seeds": chosen.seeds,
        "processor_seconds_of_auto": round(seconds, 1),
        "chosen": played.chosen,
        "chosen_by": played.content["validation"],
        **judged,
    }
    rows = [(name, *(_percent(judged[part]["rows"][name]) for part in judged)) for name in paths]
    print(text_table.text_table(("recipe", "validation", "test"), rows))
    print(f"chosen {played.chosen}, in {seconds:.0f} s of processor time")
    for part, found in judged.items():
        lead = found["best_over_chosen"]
        print(
            f"{part}: best {found['best']}, {100 * lead['balanced']:.1f} ± "
            f"{100 * lead['error']:.1f} points ahead of the chosen, "
            f"{'within' if lead['within_noise'] else 'outside'} the noise"
        )
    chosen.out.mkdir(exist_ok=True)
    text = json.dumps(content, indent=1) + "\n"
    (chosen.out / "auto_choice.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
