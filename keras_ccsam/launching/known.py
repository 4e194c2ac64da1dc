"""Which launchers there are, whether they are installed, and their options.

It imports the standard library and other such files alone: the command line asks it before Keras is
imported.
"""

import importlib.util
import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_ccsam.duration import seconds_of
from keras_ccsam.hints import did_you_mean

LAUNCHERS = {
    "local": "processes of this machine",
    "ray": "tasks of a Ray cluster, or of one that is started here",
    "slurm": "jobs of SLURM, through submitit",
}
"""Each by name, with where its runs are executed."""

# The package of a launcher, and the extra that brings it.
_PACKAGES = {"ray": ("ray", "ray"), "slurm": ("submitit", "slurm")}

MOST = 10_000
"""Runs at a time; more is a slip of the hand."""


def _whole(least: int) -> Callable[[Any], Any]:
    def read(value: Any) -> int | None:
        found = int(value)
        return found if found >= least and found == float(value) else None

    return read


def _number(value: Any) -> float | None:
    found = float(value)
    return found if 0 <= found < math.inf else None


def _positive(value: Any) -> float | None:
    return _number(value) or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _minutes(value: Any) -> int | None:
    return max(1, math.ceil(seconds_of(value) / 60))


def _cluster(value: Any) -> str | None:
    return value if value in ("slurm", "local") else None


_RETRIES = ("a whole number from 0 on", _whole(0))
_GIGABYTES = ("gigabytes, above 0", _positive)

OPTIONS: dict[str, dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "local": {
        "threads": ("a whole number from 1 on", _whole(1)),
        "retries": _RETRIES,
    },
    "ray": {
        "address": ("an address of a cluster, as in auto or ray://head:10001", _text),
        "cpus": ("a number above 0", _positive),
        "gpus": ("a number from 0 on; a part of one is shared", _number),
        "memory": _GIGABYTES,
        "retries": _RETRIES,
    },
    "slurm": {
        "partition": ("the name of a partition", _text),
        "time": ("a time, as in 90m or 12h", _minutes),
        "cpus": ("a whole number from 1 on", _whole(1)),
        "gpus": ("a whole number from 0 on", _whole(0)),
        "memory": _GIGABYTES,
        "account": ("the name of an account", _text),
        "qos": ("the name of a quality of service", _text),
        "constraint": ("features of nodes, as SLURM has them", _text),
        "gres": ("resources, as SLURM has them", _text),
        "setup": ("a shell command that goes before each run", _text),
        "retries": _RETRIES,
        "cluster": ("slurm, or local to try it out without one", _cluster),
    },
}
"""The options of each launcher: what each must be, and how it is read."""


def check(name: str) -> str:
    """Return the name of a launcher.

    Raises:
        ValueError: there is none of that name, or its package is not installed.
    """
    if name not in LAUNCHERS:
        hint = did_you_mean(name, LAUNCHERS) or f"; choose from {', '.join(LAUNCHERS)}."
        raise ValueError(f"there is no launcher {name!r}{hint} Received: launcher={name!r}")
    package, extra = _PACKAGES.get(name, ("", ""))
    if package and importlib.util.find_spec(package) is None:
        raise ValueError(
            f"the launcher needs the package {package}, which is not installed: "
            f'pip install "keras-ccsam[{extra}]". Received: launcher={name!r}'
        )
    return name


def check_jobs(jobs: int | str) -> int | None:
    """Return how many runs at a time; None for as many as there is room for.

    Raises:
        ValueError: it is neither a number from 1 on nor "auto".
    """
    if jobs == "auto":
        return None
    text = str(jobs).strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0
    if not 1 <= number <= MOST:
        raise ValueError(
            f"`jobs` must be how many runs at a time, from 1 to {MOST}, or 'auto'. "
            f"Received: jobs={jobs!r}"
        )
    return number


def check_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a launcher in their types.

    Raises:
        ValueError: it has no such option, or a value is outside its range.
    """
    known = OPTIONS[name]
    found = {}
    for key, value in options.items():
        if key not in known:
            hint = did_you_mean(key, known) or f"; it has {', '.join(known)}."
            raise ValueError(
                f"the launcher {name} has no such option{hint} Received: {key}={value!r}"
            )
        words, read = known[key]
        try:
            found[key] = read(value)
        except (ValueError, TypeError, OverflowError):
            found[key] = None
        if found[key] is None:
            raise ValueError(f"`{key}` must be {words}. Received: {key}={value!r}")
    if name == "slurm" and found.get("cluster", "slurm") == "slurm" and not shutil.which("sbatch"):
        raise ValueError(
            "SLURM's sbatch is not on this machine: run the command where it is, or try it out "
            "with --launcher-set cluster=local. Received: launcher='slurm'"
        )
    return found


def typed(settings: Iterable[str]) -> dict[str, str]:
    """Read options that were typed, as in `partition=gpu`.

    Raises:
        ValueError: one is not written like that.
    """
    found = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ValueError(
                "an option of a launcher is KEY=VALUE, as in threads=2. "
                f"Received: --launcher-set {text}"
            )
        found[key.strip()] = value.strip()
    return found
