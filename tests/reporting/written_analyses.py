"""What other commands leave in a run's `analysis`, in their own format."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.landscapes import Landscape
from tests.reporting.written_runs import COUNTS, HOSTILE


def write_analyses(run: Path, scale: float = 1.0) -> None:
    """A map, lines, sharpness, bound and radius of a run of `write_run`."""
    folder = run / "analysis"
    landscape(scale).save(folder / "landscape.npz")
    landscape(scale, lines=True).save(folder / "landscape-lines.npz")
    for name, content in (
        ("sharpness", sharpness(scale)),
        ("bound", bound(scale)),
        ("radius", radius(scale)),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def landscape(scale: float, lines: bool = False) -> Landscape:
    """A bowl for each class, steeper for rare ones; one point of the rarest is not finite."""
    steps = np.linspace(-1 / 3, 1 / 3, 11)
    size = len(COUNTS)
    steep = scale * np.linspace(1.0, 4.0, size)
    squares = steps**2 if lines else steps[:, None] ** 2 + steps**2
    shape = (3, 11) if lines else (11, 11)
    loss = 0.1 + np.broadcast_to(squares[..., None] * steep * 20, (*shape, size))
    loss = loss * 5.0  # five samples of each class
    loss[0, 0, -1] = np.inf
    gram = np.eye(3 if lines else 2)
    about = {"directions": "filter", "seed": 0, "samples": 50, "split": "train", "stage": "final"}
    return Landscape(
        (steps,) if lines else (steps, steps),
        loss,
        np.ones((*shape, size), "int64"),
        np.full(size, 5),
        COUNTS,
        HOSTILE,
        {"many": (0, 1, 2), "medium": (3, 4, 5, 6), "few": (7, 8, 9)},
        gram,
        None,
        about | {"batch_norm": "BatchNorm statistics as trained"},
    )


def sharpness(scale: float) -> dict[str, Any]:
    """Two groups and every class."""
    hessian = {
        "largest_eigenvalues": [12.5 * scale],
        "smallest_eigenvalues": [-3.25 * scale],
        "trace": 40.0,
        "negative_curvature": True,
        "density_grid": [-1.0, 0.0, 1.0, 2.0],
        "density": [0.1, 2.0, 0.5, 0.0],
    }
    sets = [_set("overall", "overall", list(range(10)), 0.01 * scale, hessian)]
    sets += [_set("tail class", "group", [9], 0.2 * scale, hessian)]
    sets += [
        _set(name, "class", [c], scale * 0.5 / COUNTS[c], None) for c, name in enumerate(HOSTILE)
    ]
    settings = {"rho": 0.05, "radius_scale": 0.01, "weights": "all", "samples": 50}
    settings |= {"hessian": "groups", "loss": "cross-entropy, mean over samples"}
    return {"kind": "sharpness", "format": 1, "settings": settings, "sets": sets}


def _set(name: str, kind: str, classes: list[int], gap: float, hessian: Any) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "classes": classes,
        "samples": 5,
        "loss": 0.1,
        "gap_sam": gap,
        "gap_characteristic": gap / 10,
        "hessian": hessian,
    }


def bound(scale: float) -> dict[str, Any]:
    """Three epochs of the head class."""
    columns = ("train_zero_one", "test_zero_one", "root_15", "root_16")
    columns += ("bound_15_zero_one", "bound_16_zero_one", "bound_16_clipped")
    settings = {"delta": 0.05, "weights": "head", "weights_count": 330, "has_test": True}
    settings |= {"radius": "characteristic", "worst_point": "one step", "batch_norm": "as trained"}
    return {
        "kind": "bound",
        "format": 1,
        "settings": settings,
        "class_names": list(HOSTILE),
        "class_counts": list(COUNTS),
        "classes": [0],
        "epochs": [1, 2, 3],
        "values": {name: [[0.9], [0.6], [0.3 * scale]] for name in columns},
    }


def radius(scale: float) -> dict[str, Any]:
    """Two epochs of every class; the rarest has no sample."""
    rows = [[scale / n for n in COUNTS[:-1]] + [None] for _ in range(2)]
    names = ("radius", "step_norm", "gradient_norm")
    return {
        "kind": "radius",
        "format": 1,
        "settings": {"weights": "head", "gradient": "of the mean", "samples": 50},
        "class_names": list(HOSTILE),
        "class_counts": list(COUNTS),
        "epochs": [1, 2],
        "values": dict.fromkeys(names, rows),
    }
