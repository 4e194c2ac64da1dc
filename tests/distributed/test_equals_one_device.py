"""A dozen steps on several devices: the weights are those of one with the same batches.

Devices of one process on JAX and TensorFlow, processes on PyTorch. All batches have a class of
which one replica alone has a sample, and the last one of an epoch is short and does not divide.
"""

import functools
import os

import numpy as np
import pytest

from tests.contract.registry import METHODS, SHARPNESS
from tests.distributed.started import BACKEND, run_together
from tests.distributed.trained import run

pytestmark = pytest.mark.slow

TOLERANCE = 1e-6


ONE_OF_EACH = (
    "class_conditional",
    "class_conditional perturb=all batch_norm=clean",
    "adversarial_features",
    "sam",
    "friendly_sam",
    "gradient_norm variant=published",
    "gaussian",
    "erm",
    "class_balanced gamma=0.5 activation=softmax",
    "gcl and class_conditional",
)
"""Where a step is compiled, for seconds. The other methods differ from these in nothing that is
summed or gathered. PyTorch trains them all, and so does each backend in `make test-distributed`."""

ASKED = os.environ.get("ALL_METHODS") == "1"
ALL = BACKEND == "torch" or ASKED

# BatchNorm's literal reading needs a loop over the classes, where TensorFlow's replicas cannot sum.
REFUSED = ("class_conditional perturb=all",) if BACKEND == "tensorflow" else ()


def names():
    """Every method of the registry, and what else goes a way of its own."""
    chosen = [name for name in (METHODS if ALL else ONE_OF_EACH) if name not in REFUSED]
    found = [f"batch:{name}" for name in chosen]
    found += [
        "group:class_conditional perturb=all",
        "batch:class_conditional@mixed",
        "group:sam@clipped",
        "group:erm@bounded",
        "batch:erm@views",
    ]
    if BACKEND != "tensorflow":
        found += ["group:class_conditional@weighted", "group:erm@translated"]
    if BACKEND == "jax":
        found += ["batch:class_conditional@short", "group:sam@short"]
        found += ["batch:sam@terms", "batch:erm@dropout"]
    return found


OTHERS = (
    ()
    if BACKEND == "jax"
    else (
        "group:class_conditional@replica",
        "group:sam@replica",
        "batch:erm@own statistics",
        "batch:erm@dropout",
    )
)
"""What is another method by intention, or draws for each replica. JAX has none."""
TERMS = "batch:sam@terms"


@functools.cache
def on_one(name):
    return run(name)


def on_several(devices, wanted, folder):
    """All runs of one set of processes."""
    out = folder / "found.npz"
    processes, each = (devices, 1) if BACKEND == "torch" else (1, devices)
    run_together(
        "tests.distributed.trained",
        [str(out), str(devices), *wanted],
        processes,
        each,
        seconds=1200,
    )
    found = {}
    with np.load(out, allow_pickle=False) as file:
        for key in file:
            name, variable = key.split("|")
            found.setdefault(name, {})[variable] = file[key]
    assert set(found) == set(wanted)
    return found


def apart(ours, theirs, logs=False):
    """The largest difference of a weight, or of what is logged, relative to 1 or more."""
    assert ours.keys() == theirs.keys()
    return max(
        np.max(np.abs(ours[key] - value) / np.maximum(1.0, np.abs(value)))
        for key, value in theirs.items()
        if key.startswith("log") == logs
    )


@pytest.fixture(scope="module")
def on_two(tmp_path_factory):
    wanted = dict.fromkeys([*names(), *OTHERS, TERMS])
    return on_several(2, list(wanted), tmp_path_factory.mktemp("two"))


def test_every_method_on_two_is_the_one_on_one(on_two):
    far = {name: apart(on_two[name], on_one(name)) for name in names()}
    assert not {name: value for name, value in far.items() if not value < TOLERANCE}
    logged = {
        name: apart(on_two[name], on_one(name), logs=True)
        for name in names()
        # Rows that JAX repeats are logged as often.
        if not name.endswith("@short")
    }
    assert not {name: value for name, value in logged.items() if not value < TOLERANCE}


def test_the_methods_are_not_one_another(on_two):
    """Or nothing would be compared."""
    plain = on_two["batch:erm"]
    for name in SHARPNESS:
        if f"batch:{name}" in on_two and name != "erm":
            assert apart(on_two[f"batch:{name}"], plain) > 1e-5, name


def test_methods_on_four_are_those_on_one(tmp_path):
    """Three of them; all in `make test-distributed`."""
    wanted = ["batch:class_conditional"]
    if BACKEND != "tensorflow":
        wanted += ["batch:sam", "group:class_conditional perturb=all"]
    if ASKED:
        wanted = names()
    found = on_several(4, wanted, tmp_path)
    far = {name: apart(found[name], on_one(name)) for name in wanted}
    assert not {name: value for name, value in far.items() if not value < TOLERANCE}


# Largest differences of a weight after a dozen steps, as found: a few times less is asked for.
LEAST = {
    "group:class_conditional@replica": 1e-4,
    "group:sam@replica": 1e-3,
    "batch:erm@own statistics": 1e-2,
    "batch:erm@dropout": 1e-2,
}


@pytest.mark.skipif(BACKEND == "jax", reason="a step on JAX knows no replicas")
@pytest.mark.parametrize("name", OTHERS)
def test_a_replica_by_itself_is_another_method(on_two, name):
    same = name if name.endswith("@dropout") else name.partition("@")[0]
    found = apart(on_two[name], on_one(same))
    print(f"{name}: {found:.1e}")
    assert found > LEAST[name]


@pytest.mark.skipif(BACKEND == "jax", reason="there a step sees the global batch")
def test_a_term_is_refused_in_words(on_two):
    assert on_two[TERMS]["refused"]
