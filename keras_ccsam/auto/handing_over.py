"""What a finished tournament writes: the model, a report, and what it came to."""

import shutil
from collections.abc import Sequence
from typing import Any

from keras_ccsam import atomic
from keras_ccsam.auto.choice import Choice
from keras_ccsam.auto.plan import AutoPlan
from keras_ccsam.auto.record import FORMAT, Record
from keras_ccsam.auto.tournament import Round
from keras_ccsam.auto.wording import summary
from keras_ccsam.reporting import report
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory, write_json


def handed_over(
    plan: AutoPlan,
    rounds: Sequence[Round],
    choice: Choice,
    run: RunDirectory,
    record: Record,
    shown: Progress,
    command: str,
) -> dict[str, Any]:
    """Write model.keras, report.html, summary.md and, last, auto.json; return what it holds."""
    run.check(run.model_file)
    with atomic.replacing(record.model_file) as temporary:
        shutil.copyfile(run.model_file, temporary)
    files = {
        record.model_file.name: "the classifier, a plain Keras model; its outputs are logits",
        record.summary_file.name: "what was chosen, and why",
        record.winner.name: "the run of the winner, as ccsam train leaves one",
    }
    if plan.asked.tested and _reported(run, record, shown, command):
        files[record.report_file.name] = "the winner in one HTML page"
    content = _content(plan, rounds, choice, run, record) | {"files": files}
    atomic.write_text(record.summary_file, summary(content))
    # Last: whoever finds it finds the rest, too.
    write_json(record.result_file, content)
    return content


def _content(
    plan: AutoPlan, rounds: Sequence[Round], choice: Choice, run: RunDirectory, record: Record
) -> dict[str, Any]:
    asked, results = plan.asked, run.results()
    trained = "train and validation" if asked.refit else "train"
    return {
        "kind": "auto",
        "format": FORMAT,
        "about": "A tournament of recipes on one data set. Accuracies are fractions; errors are "
        "standard errors over the validation images, of a lead over the same images in pairs.",
        **choice.to_dict(),
        "asked": asked.request(),
        "setting": asked.entrants[0].recipe.setting,
        "seeds": list(asked.seeds),
        "budget": asked.budget,
        "spent": round(record.spent, 3),
        "data": asked.facts,
        "left_out": list(plan.ladder.left_out),
        "cut_after_rung": None if record.cut is None else record.cut[0] + 1,
        "rungs": [played.told for played in rounds],
        "trained": {
            "on": trained,
            "epochs": results["epochs"]["stage1"],
            "of_epochs": choice.entrant.recipe.stage1.epochs,
            "digest": results["digest"],
        },
        "test": results.get("test"),
    }


def _reported(run: RunDirectory, record: Record, shown: Progress, command: str) -> bool:
    """Write the report, where its packages are installed; it must not cost the tournament."""
    try:
        report([run.path], record.report_file, command=command)
    except (ValueError, OSError) as error:
        shown.note(f"there is no report: {' '.join(str(error).split())}")
        return False
    return True
