"""Fills the tables of the README and of the documentation from the recorded results.

    python benchmarks/page_tables.py            # writes what is out of date
    python benchmarks/page_tables.py --check    # names it, and exits with 1

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`; `LAYOUTS` has the names.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import (
    check_tables,
    figure_tables,
    kernel_tables,
    landscape_tables,
    record,
    scaling_tables,
)
from benchmarks.record import Row
from benchmarks.tables import TABLES, grouped, markdown, number, ratio
from studies import analyse, choice

ROOT = Path(__file__).resolve().parents[1]
REGION = re.compile(r"(<!-- table: ([a-z0-9-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
BACKENDS = ("torch", "jax", "tensorflow")
# Related methods stand together.
DIGITS = (
    *("ce", "focal", "cb", "cb-focal", "ce-drw", "la", "la-posthoc", "la-sam", "la-ccsam", "vs"),
    *("ldam", "ldam-drw", "ldam-sam", "ldam-drw-sam", "ldam-ccsam", "ldam-drw-ccsam"),
    *("gcl", "gcl-ccsam", "sam", "asam", "gnp", "imbsam", "focal-sam", "m2m"),
    *("crt", "crt-continued", "lws", "tau-norm", "ncm", "mislas"),
    *("crt-mp", "crt-sn", "crt-gnp", "crt-swa"),
    *("ccsam-stage1", "ccsam-stage2", "ccsam", "ccsam-all"),
)
CONTENDERS = {
    ("pytorch", "ce"): "PyTorch, cross-entropy",
    ("pytorch", "ce, channels_last"): "the same, channels_last",
    ("pytorch", "ccsam, class loop"): "PyTorch, CC-SAM by a class loop",
    **{
        (f"keras-{backend}", method): words.format(name)
        for backend, name in zip(BACKENDS, ("PyTorch", "JAX", "TensorFlow"), strict=True)
        for method, words in (
            ("keras fit", "Keras' own `fit` and layers, {}"),
            ("ccsam", "**CC-SAM, ours, {}**"),
            ("sam", "SAM, ours, {}"),
        )
    },
}
SETTINGS = {
    ("resnet32", 64): "ResNet-32, batch 64",
    ("resnet32", 128): "batch 128",
    ("resnet32", 2): "batch 2",
    ("resnet50", 32): "ResNet-50, batch 32",
    ("vit", 128): "ViT, batch 128",
}
NETWORKS = {
    "resnet32-group": "ResNet-32, GroupNorm",
    "resnet32-frozen": "ResNet-32, frozen BatchNorm",
    "resnet32-batch": 'ResNet-32, BatchNorm, `"clean"`',
    "vit": "ViT",
    "mlp": "MLP",
}
# The products of these passes over those of cross-entropy, counted. Where statistics are the
# batch's, there is another gradient at the clean weights: eight products for three. Dense layers on
# one vector per image find the norms per class from the products of all pairs of images.
PRODUCTS = dict.fromkeys(NETWORKS, "2.0") | {"resnet32-batch": "2.67", "mlp": "2.68"}
CONTENDERS_OF_DECODING = {
    "ours": "**ours**, files",
    "ours-packed": "**ours**, packed as pixels of 256 x 256",
    "torch-torchvision": "torch DataLoader, torchvision",
    "torch-pillow": "torch DataLoader, Pillow",
    "tf-data": "tf.data",
    "grain": "grain, Pillow",
}
LANDSCAPES = {"resnet32": "ResNet-32", "small_cnn": "SmallCNN"}


def results(name: str) -> dict[str, Any]:
    """The content of a file of results."""
    return record.load(record.RESULTS / f"{name}.json")


def percent(cell: dict[str, Any]) -> str:
    """Mean and standard deviation over the seeds."""
    spread = f" ± {100 * cell['std']:.2f}" if cell["std"] is not None else ""
    return f"{100 * cell['mean']:.2f}{spread}"


def comparison(name: str, order: Sequence[str] = (), steps: bool = False) -> str:
    """The accuracies of `comparison-<name>.json`.

    Args:
        name: of the comparison.
        order: of its recipes; all of them, or as recorded.
        steps: whether to add each recipe's training step, in times cross-entropy's.
    """
    content = results(f"comparison-{name}")
    rows = {row["recipe"]: row for row in content["rows"]}
    if order and set(order) != set(rows):
        raise ValueError(f"`order` must name every recipe. Received: {set(order) ^ set(rows)}")
    heads = ["recipe", "overall", "many", "medium", "few", "ECE", "after stage 1"]
    heads += ["step"] * steps
    cost = {r["recipe"]: f"{r['cpu_ratio']:.2f}" for r in results("methods-torch-cpu")["rows"]}
    columns = ("overall", "many", "medium", "few", "ece", "stage1")
    cells = [
        (recipe, *(percent(rows[recipe][c]) for c in columns), *([cost[recipe]] if steps else []))
        for recipe in order or rows
    ]
    return markdown(heads, cells)


def versus_pytorch() -> str:
    """Times PyTorch's plain loop, a column for each setting."""
    rows = results("versus_pytorch-cpu")["rows"]
    by_setting = {
        (network, batch): {(row["worker"], row["method"]): row for row in found}
        for (network, batch), found in grouped(rows, ("network", "batch"))
    }
    base = next(iter(CONTENDERS))
    cells = [
        (
            words,
            *(
                f"{number(by_setting[setting][key], 'ms_per_step')} ms"
                if key == base
                else ratio(by_setting[setting][key])
                for setting in SETTINGS
            ),
        )
        for key, words in CONTENDERS.items()
    ]
    return markdown(("", *SETTINGS.values()), cells)


def memory() -> str:
    """Peak memory of ResNet-32 at batch 64, where it was measured."""
    rows = {
        (row["worker"], row["method"]): row
        for row in results("versus_pytorch-cpu")["rows"]
        if (row["network"], row["batch"]) == ("resnet32", 64)
    }
    cells = [
        (words, number(rows[key], "mib_of_steps"), f"{rows[key]['mib_of_steps_ratio']:.2f}")
        for key, words in CONTENDERS.items()
    ]
    return markdown(("", "MiB of the steps", "x PyTorch"), cells)


def step_cost() -> str:
    """CC-SAM and SAM on each backend."""
    cells = []
    for backend in BACKENDS:
        rows = results(f"step_cost-{backend}-cpu")["rows"]
        for (batch, classes), found in grouped(rows, ("batch", "classes")):
            base, *others = _beside(found, "ccsam-head", "sam", base="cpu_ms_per_step")
            cells.append((backend, str(batch), str(classes), base, *others))
    return markdown(("backend", "batch", "classes", "cross-entropy", "CC-SAM (head)", "SAM"), cells)


def class_loop() -> str:
    """CC-SAM of all weights, class by class, where it was measured."""
    cells = [
        (str(row["classes"]), f"{number(row, 'ms_per_step')} ms", ratio(row))
        for row in results("step_cost-torch-cpu")["rows"]
        if row["method"] == "ccsam-all"
    ]
    return markdown(("classes", "CC-SAM (all weights), literally", "x cross-entropy"), cells)


def whole_network() -> str:
    """CC-SAM of all weights in two passes."""
    cells = []
    for backend in BACKENDS:
        rows = results(f"whole_network-{backend}-cpu")["rows"]
        found = {network: group for (network,), group in grouped(rows, ("network",))}
        for network, words in NETWORKS.items():
            if network in found:
                both = _beside(found[network], "two passes", base="cpu_ms_per_step")
                cells.append((words, backend, *both, PRODUCTS[network], _memory(found[network])))
    times = ("cross-entropy, processor time", "CC-SAM (all weights)")
    heads = ("network", "backend", *times, "products alone", "memory of the steps")
    return markdown(heads, cells, 2)


def _memory(rows: list[Row]) -> str:
    """What the steps of the method take, over those of cross-entropy."""
    measured = [row for row in rows if row["method"] == "two passes" and "mib_of_steps" in row]
    return f"{measured[0]['mib_of_steps_ratio']:.2f}" if measured else "not measured"


def _beside(rows: list[Row], *methods: str, base: str = "ms_per_step") -> list[str]:
    """Cross-entropy's milliseconds, and the ratios of methods to it."""
    found = {row["method"]: row for row in rows}
    first = f"{number(found['cross-entropy'], base)} ms"
    return [first, *(ratio(found[method]) for method in methods)]


def augmentations() -> str:
    """Images per second of each augmentation, and how often that of Keras' layer."""
    recorded = {
        (row["size"], row["augmentation"]): row
        for row in results("augmentations-torch-cpu")["rows"]
    }
    sizes = list(dict.fromkeys(size for size, _ in recorded))
    rows = []
    for name in dict.fromkeys(name for _, name in recorded):
        cells = [name]
        for size in sizes:
            row = recorded[size, name]
            against = f"{row['times_keras']:,.1f}" if "times_keras" in row else "no such layer"
            cells += [f"{row['images_per_second_core']:,}", against]
        rows.append(cells)
    heads = [head for size in sizes for head in (f"{size} pixels, images/s", "times Keras' layer")]
    return markdown(("", *heads), rows)


def decoding() -> str:
    """Images per second of processor time of each pipeline over JPEG files, and its memory."""
    recorded = {
        (row["cores"], row["pipeline"], row["transform"]): row
        for row in results("decoding")["rows"]
    }
    rows = []
    for cores, name in dict.fromkeys(key[:2] for key in recorded):
        found = {t: recorded[cores, name, t] for t in ("train", "test")}
        speeds = [f"{found[t]['images_per_second_core']:,.0f}" for t in found]
        memory = " and ".join(f"{peak:,}" for peak in found["train"]["mib"])
        rows.append((CONTENDERS_OF_DECODING[name], str(cores), *speeds, memory))
    heads = ("", "cores", "training crops", "centre crops", "MiB after one epoch and two")
    return markdown(heads, rows)


def samplers() -> str:
    """Seconds to plan an epoch."""
    rows = [
        (f"`{row['sampler']}`", f"{row['seconds_core']:.2f}", f"{row['seconds']:.2f}")
        for row in results("samplers")["rows"]
    ]
    return markdown(("", "processor time, s", "by the clock, s"), rows)


def pipeline() -> str:
    """Images that the input pipeline makes."""
    cells = [
        (row["stage"].replace(" +", ","), number(row, "images_per_second_core"))
        for row in results("pipeline")["rows"]
    ]
    return markdown(("stage", "images/s per core"), cells)


def fixed_costs() -> str:
    """What a step costs beside its network, the import, and the first step."""
    cells = []
    for backend in BACKENDS:
        rows = results(f"fixed_costs-{backend}-cpu")["rows"]
        steps = {(r["model"], r["metrics"]): r for r in rows if r["part"] == "steps"}
        loaded = next(r for r in rows if r["part"] == "import")
        first = [r for r in rows if r["part"] == "first-step" and r["model"] == "ccsam"]
        seconds = [f"{r['seconds']:.1f} s" + " (kept)" * (r["programs"] == "kept") for r in first]
        cells.append(
            (
                backend,
                number(steps["keras-subclass", ""], "cpu_ms_per_step", 2),
                *(ratio(steps[key]) for key in (("erm", ""), ("erm", "accuracy"), ("ccsam", ""))),
                f"{loaded['seconds']:.2f} s",
                ", ".join(seconds),
            )
        )
    heads = ("backend", "Keras, ms", "ours, plain step", "the same, with accuracy", "CC-SAM")
    return markdown((*heads, "import", "first step of CC-SAM"), cells)


def landscape() -> str:
    """A point of a landscape, times a forward pass of the same backend."""
    methods = {
        "forward": "forward pass",
        "landscape": "**a point, ours**",
        "forward, accelerated": "forward pass, `models.accelerate`",
        "set weights, evaluate": "`set_weights` and `evaluate`",
        "pytorch forward": "PyTorch by hand, forward pass",
        "loss-landscapes": "loss-landscapes (PyTorch)",
    }
    cells = []
    for backend in BACKENDS:
        rows = results(f"landscape-{backend}-cpu")["rows"]
        for (network,), found in grouped(rows, ("network",)):
            by_method = {row["method"]: row for row in found}
            base = f"{number(by_method['forward'], 'ms_per_step')} ms"
            shown = [ratio(by_method[m]) if m in by_method else "" for m in list(methods)[1:]]
            cells.append((network, backend, base, *shown))
    cells.sort(key=lambda row: list(LANDSCAPES).index(row[0]))
    named = [(LANDSCAPES[row[0]], *row[1:]) for row in cells]
    return markdown(("network", "backend", *methods.values()), named, 2)


def recorded(name: str, files: Iterable[str]) -> str:
    """The tables that `tables.py` prints, one below the other."""
    return "\n\n".join(TABLES[name](results(file)).strip() for file in files)


LAYOUTS: dict[str, Callable[[], str]] = {
    "demo": lambda: comparison("digits-lt-demo"),
    "cifar": lambda: comparison("cifar10-lt-small"),
    "cifar-resnet8": lambda: comparison("cifar10-lt-resnet8"),
    "digits-rows": lambda: comparison("digits-lt-rows"),
    "digits-cuda": lambda: comparison("digits-lt-cuda"),
    "digits-constant": lambda: comparison("digits-lt-constant"),
    "digits-unmixed": lambda: comparison("digits-lt-unmixed"),
    "digits-stage2": lambda: comparison("digits-lt-stage2"),
    "digits": lambda: comparison("digits-lt", DIGITS, steps=True),
    "digits-balancing": lambda: comparison("digits-lt-balancing"),
    "versus-pytorch": versus_pytorch,
    "memory": memory,
    "step-cost": step_cost,
    "class-loop": class_loop,
    "whole-network": whole_network,
    "convolution-kernels": kernel_tables.convolutions,
    "transformer-kernels": kernel_tables.transformer,
    "bench-check": check_tables.checks,
    "pipeline": pipeline,
    "decoding": decoding,
    "augmentations": augmentations,
    "samplers": samplers,
    "fixed-costs": fixed_costs,
    "landscape": landscape,
    "landscape-measures": landscape_tables.measures,
    "landscape-claims": landscape_tables.claims,
    "landscape-accuracies": landscape_tables.accuracies,
    "auto-choice": figure_tables.auto_choice,
    "auto-weighing": figure_tables.auto_weighing,
    "figure1-digits": figure_tables.figure1,
    "figure3-digits": figure_tables.figure3,
    "scaling-steps": scaling_tables.steps,
    "scaling-sums": scaling_tables.sums,
    "scaling-predicted": scaling_tables.predicted,
    "scaling-pipeline": scaling_tables.pipeline,
    "versus-pytorch-rows": lambda: recorded("versus_pytorch", ["versus_pytorch-cpu"]),
    "study-answer": analyse.answer,
    **{f"study-{name}": partial(analyse.question, name) for name in analyse.names()},
    "study-mechanism-digits": lambda: analyse.mechanism("digits"),
    "study-mechanism-cifar": lambda: analyse.mechanism("cifar-fifth"),
    "study-course-digits": lambda: analyse.course("digits"),
    "study-course-cifar": lambda: analyse.course("cifar-fifth"),
    "study-moved": analyse.moved,
    "study-choice": choice.table,
    "study-coverage": analyse.coverage,
    "profile-rows": lambda: recorded("profile", [f"profile-{b}-cpu" for b in BACKENDS]),
}


def filled(text: str) -> str:
    """A page with its tables made anew."""
    return REGION.sub(lambda m: f"{m[1]}\n{LAYOUTS[m[2]]()}\n\n{m[3]}", text)


def pages() -> list[Path]:
    """The pages that may hold tables."""
    found = [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(path for path in found if path.is_file())


def stale() -> dict[Path, str]:
    """The pages whose tables are not those of the results, with what they should say."""
    texts = {path: path.read_text(encoding="utf-8") for path in pages()}
    return {path: new for path, old in texts.items() if (new := filled(old)) != old}


def main() -> int:
    """Writes, or checks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    found = stale()
    for path, text in found.items():
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
