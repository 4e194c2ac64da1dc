"""What a tournament came to, in plain words, from the content of auto.json."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_ccsam import text_table as table
from keras_ccsam.auto.uncertainty import noise
from keras_ccsam.duration import duration

_GROUPS = ("many", "medium", "few")


def verdict(content: Mapping[str, Any]) -> str:
    """Say what was chosen, why and by how much, and what else it might have been."""
    return "\n\n".join(filter(None, (_chosen(content), _others(content), _trained(content))))


def summary(content: Mapping[str, Any]) -> str:
    """Return summary.md."""
    data = content["data"]
    parts = [
        f"# {content['chosen']}: what was chosen for {data['name']}",
        verdict(content),
        *(["## The data", *(f"- {text}" for text in data["warnings"])] if data["warnings"] else []),
        "## The rungs",
        *(_rung(rung) for rung in content["rungs"]),
        "## The files",
        "\n".join(f"- `{file}`: {words}" for file, words in content["files"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def rung_table(rung: Mapping[str, Any], markdown: bool = False) -> str:
    """Return the balanced accuracies of a rung, best first."""
    header = ("recipe", "balanced", "weighed", "goes on")
    ranked = sorted(rung["results"], key=lambda row: -row["weighed"])
    last = rung["rung"] == rung["of"]
    rows = [
        (
            row["recipe"],
            f"{100 * row['balanced']:.1f} ± {100 * row['error']:.1f}",
            f"{100 * row['weighed']:.1f}",
            "" if last else "yes" if row["goes_on"] else "no",
        )
        for row in ranked
    ]
    width = 3 if last else 4
    cells = (header[:width], [row[:width] for row in rows])
    return table.markdown(*cells) if markdown else table.text_table(*cells)


def _chosen(content: Mapping[str, Any]) -> str:
    found, data, rivals = content["validation"], content["data"], content["rivals"]
    if found is None:
        return f"{content['chosen']} stood alone: nothing was compared."
    text = (
        f"Chosen: {content['chosen']} ({content['words']}). Its balanced accuracy on the "
        f"{data['validation']} validation images is {_percent(found['balanced'])} % ± "
        f"{_percent(found['error'])} (one standard error; the mean over the classes, so that a "
        "rare one counts as much as a frequent one)."
    )
    if not rivals:
        return text
    share = content["rungs"][-1]["images_weigh"]
    if share < 0.995:
        text += (
            f" Recipes were ranked by these images and by what papers report of the recipes, which "
            f"weighed {100 * share:.0f} % and {100 * (1 - share):.0f} % in the end, by how far the "
            "images tell the recipes apart."
        )
    lead = rivals[0]["lead"]
    text += f" The next best, {rivals[0]['recipe']}, {_behind(lead)}"
    if lead["within_noise"] or lead["balanced"] < 0:
        return text + (
            ": within the noise. Other validation images or another seed could turn the two around."
        )
    return text + (
        f": more than {noise(lead['among']):.1f} standard errors, so hardly an accident of these "
        "images."
    )


def _others(content: Mapping[str, Any]) -> str:
    others = content["rivals"][1:]
    close = [r for r in others if r["lead"]["within_noise"] or r["lead"]["balanced"] < 0]
    behind = [rival for rival in others if rival not in close]
    parts = []
    if close:
        parts.append(f"Also within the noise of it: {_listed(close, content)}.")
    if behind:
        parts.append(f"Clearly behind: {_listed(behind, content)}.")
    if content["left_out"]:
        parts.append(f"Not tried, for want of time: {', '.join(content['left_out'])}.")
    if content["rivals"] and len(content["seeds"]) == 1:
        parts.append("One seed each: how much a seed changes was not measured (--seeds 3 does).")
    return " ".join(parts)


def _trained(content: Mapping[str, Any]) -> str:
    data, trained, test = content["data"], content["trained"], content["test"]
    if trained["on"] == "train and validation":
        images = data["train"] + data["validation"]
        text = (
            f"The network was trained anew on training and validation images together ({images}), "
            f"with the same schedule, {trained['epochs']} of {trained['of_epochs']} epochs."
        )
    else:
        text = (
            f"The network is that of the last rung, trained on the {data['train']} training images "
            f"for {trained['epochs']} of {trained['of_epochs']} epochs."
        )
    if trained["epochs"] < trained["of_epochs"]:
        text += " A longer budget would train it in full."
    if test is None:
        return text + " There are no test images, so the validation accuracy is all there is."
    groups = ", ".join(
        f"{name} {_percent(test['groups'][name])} %" for name in _GROUPS if name in test["groups"]
    )
    return text + (
        f" The {test['num_samples']} test images, looked at once and after all choices: balanced "
        f"{_percent(test['balanced'])} %, overall {_percent(test['overall'])} % ({groups})."
    )


def _rung(rung: Mapping[str, Any]) -> str:
    seeds = f", {rung['seeds']} seeds" if rung["seeds"] > 1 else ""
    return (
        f"Rung {rung['rung']} of {rung['of']}: {rung['epochs']} of {rung['of_epochs']} epochs"
        f"{seeds}. Balanced validation accuracy in percent ± one standard error.\n\n"
        f"{rung_table(rung, markdown=True)}"
    )


def _behind(lead: Mapping[str, Any]) -> str:
    if lead["balanced"] == 0:
        return "does exactly as well on them"
    place = "behind" if lead["balanced"] > 0 else "ahead on them"
    return (
        f"is {_percent(abs(lead['balanced']))} points {place} (standard error of the difference on "
        f"the same images {_percent(lead['error'])})"
    )


def _listed(rivals: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> str:
    last = len(content["rungs"])
    return ", ".join(
        f"{rival['recipe']} ({_signed(-rival['lead']['balanced'])} ± "
        f"{_percent(rival['lead']['error'])}"
        + ("" if rival["rung"] == last else f" on rung {rival['rung']}")
        + ")"
        for rival in rivals
    )


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _signed(fraction: float) -> str:
    """In percent with a sign, which 0 has none of."""
    rounded = round(100 * fraction, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def time_used(content: Mapping[str, Any]) -> str:
    """Say how long it took."""
    return f"{duration(content['spent'])} of a budget of {duration(content['budget'])}"
