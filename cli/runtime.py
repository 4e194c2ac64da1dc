"""Backend and device, settled before Keras is imported, because afterwards it is too late.

Keras reads `KERAS_BACKEND` once, on import, and the frameworks read their device variables when
they start. So this module looks at the command line, the environment, `keras.json` and the list
of installed packages, without importing any of them, and sets the variables.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from . import banner, light
from .at_once import ended_at_once

# In the order of Keras itself, so that `ccsam` and a plain `import keras` agree: Keras writes
# "tensorflow" into a new keras.json whatever is installed.
BACKENDS = ("tensorflow", "jax", "torch")

DETERMINISTIC = f"{__name__}.deterministic"  # in the meta of Click's context

_DEVICE_PATTERN = re.compile(r"cpu|gpu(:\d+)?")


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why, in words that a user can check."""

    value: str
    reason: str


def installed(module: str) -> bool:
    """Whether a package can be imported, found out without importing it."""
    return importlib.util.find_spec(module) is not None


def version(*distributions: str) -> str | None:
    """The version of the first of these distributions that is installed, or None."""
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def version_line() -> str:
    """`ccsam 0.1.0 (keras 3.15.1, jax 0.10.2, Python 3.11.7)`, read from package metadata."""
    parts = [f"keras {version('keras')}"]
    for backend in BACKENDS:
        found = version(backend, f"{backend}-cpu")
        if found:
            parts.append(f"{backend} {found}")
    parts.append(f"Python {sys.version.split()[0]}")
    return f"ccsam {version('keras-ccsam') or 'uninstalled'} ({', '.join(parts)})"


def choose_backend(
    requested: str | None = None, environment: MutableMapping[str, str] | None = None
) -> Choice:
    """Choose the Keras backend.

    The first of these that says something decides: the `--backend` option, `KERAS_BACKEND`, the
    `backend` of `keras.json` (in `$KERAS_HOME`, by default `~/.keras`), the first installed of
    tensorflow, jax and torch. A backend of `keras.json` that is not installed is passed over: Keras
    writes "tensorflow" there on its own, so it need not be anybody's wish.

    Args:
        requested: The value of `--backend`, or None.
        environment: The environment variables; by default those of this process.

    Returns:
        The backend's name and the reason.

    Raises:
        ValueError: The name is not a backend, it is not installed, none is installed, or Keras is
            already running on another one.
    """
    environment = os.environ if environment is None else environment
    choice = (
        _named(requested, "--backend")
        or _named(environment.get("KERAS_BACKEND"), "KERAS_BACKEND")
        or _from_keras_json(environment)
        or _first_installed()
    )
    running = sys.modules.get("keras")
    if running is None:
        return choice
    active: str = running.config.backend()
    if requested and active != requested:
        raise ValueError(
            f"Keras is already running on {active} in this process, and a backend cannot be "
            f"changed after Keras is imported. Received: --backend={requested}"
        )
    return choice if active == choice.value else Choice(active, "Keras is already running on it")


def _named(name: str | None, source: str) -> Choice | None:
    if not name:
        return None
    if name not in BACKENDS:
        raise ValueError(
            f"{source} must be one of {', '.join(BACKENDS)}. Received: {source}={name}"
        )
    if not installed(name):
        raise ValueError(
            f'The backend {name} is not installed: pip install "keras-ccsam[{name}]", or choose '
            f"from what is installed ({_installed_backends() or 'none'}). "
            f"Received: {source}={name}"
        )
    return Choice(name, f"{source} says so")


def _from_keras_json(environment: MutableMapping[str, str]) -> Choice | None:
    home = environment.get("KERAS_HOME")
    path = (Path(home) if home else Path.home() / ".keras") / "keras.json"
    try:
        name = json.loads(path.read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None  # absent, unreadable or not an object: Keras ignores it too
    if name in BACKENDS and installed(name):
        return Choice(name, f"{path} says so")
    return None


def _first_installed() -> Choice:
    for name in BACKENDS:
        if installed(name):
            return Choice(name, f"the first installed of {', '.join(BACKENDS)}")
    raise ValueError(
        'No backend is installed: pip install "keras-ccsam[jax]" (or tensorflow, or torch). '
        "Received: none of " + ", ".join(BACKENDS)
    )


def _installed_backends() -> str:
    return ", ".join(name for name in BACKENDS if installed(name))


def parse_device(device: str) -> str:
    """Check a `--device` value: `cpu`, `gpu` or `gpu:N`.

    Returns:
        The same text.

    Raises:
        ValueError: It is something else.
    """
    if not _DEVICE_PATTERN.fullmatch(device):
        raise ValueError(f"--device must be cpu, gpu or gpu:N. Received: --device={device}")
    return device


def device_variables(backend: str, device: str) -> dict[str, str]:
    """The environment variables that pin a backend to a device.

    Args:
        backend: One of `BACKENDS`.
        device: `cpu`, `gpu` or `gpu:N`, where N counts the GPUs of the machine.

    Returns:
        Variables to set before Keras is imported. `gpu:N` hides the other GPUs, on every backend
        alike, because that also keeps TensorFlow from taking their memory.
    """
    kind, _, index = device.partition(":")
    variables: dict[str, str] = {}
    if kind == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = "-1" if backend == "tensorflow" else ""
    elif index:
        variables["CUDA_VISIBLE_DEVICES"] = index
    if backend == "jax":
        variables["JAX_PLATFORMS"] = "cpu" if kind == "cpu" else "cuda"
    if backend == "torch":
        variables["KERAS_TORCH_DEVICE"] = "cpu" if kind == "cpu" else "cuda"
    return variables


def prepare(
    backend: str | None = None,
    device: str | None = None,
    *,
    dry: bool = False,
    devices: int | None = None,
    joins: bool = False,
) -> Choice:
    """Settle backend and device, so that Keras can be imported.

    Args:
        backend: The value of `--backend`, or None.
        device: The value of `--device`, or None to let the framework take what it finds.
        dry: Nothing will be trained: no accelerator is started, whatever `device` says, because a
            framework takes its memory when it starts.
        devices: The value of `--devices`: as many are made of a CPU, where the backend does that.
        joins: Whether the processes that an engine has started train together.

    `--deterministic`, where the command has it, is seen to as well.

    Returns:
        The backend and the reason for it.

    Raises:
        ValueError: See `choose_backend` and `parse_device`; or a GPU was asked for and this
            machine shows none; or Keras is already running, on another device.
    """
    choice = choose_backend(backend)
    check_device(device)
    os.environ["KERAS_BACKEND"] = choice.value
    # Quiet start-up: a plot must not open a window, TensorFlow must not print its build flags.
    # Not on another backend either: Keras imports it, where it is installed, when it serialises.
    os.environ.setdefault("MPLBACKEND", "Agg")
    # Of a dry run, for which GPUs are hidden, it would say that it found none, as an error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if dry else "2")
    banner.silence()
    started = "keras" in sys.modules
    context = click.get_current_context(silent=True)
    deterministic = context is not None and context.meta.get(DETERMINISTIC, False)
    if deterministic and not started:
        light.library("backend.determinism").set_variables(choice.value, os.environ)
    if dry:
        if not started:
            os.environ.update(device_variables(choice.value, "cpu"))
        return choice
    if device is not None and not started:
        os.environ.update(device_variables(choice.value, device))
    if not started:
        if choice.value == "jax" and (device == "cpu" or not gpus()):
            light.library("backend.held_memory").hold(os.environ)
        with ended_at_once():
            import keras_ccsam  # noqa: F401
    if joins:
        from keras_ccsam import backend as adapter

        if not adapter.join_processes() and devices is not None and not started:
            adapter.make_devices(devices)
    if device is not None:
        _check_started(choice.value, device, started)
    if deterministic:
        from keras_ccsam import backend as adapter

        adapter.make_deterministic()
    return choice


def check_device(device: str | None) -> None:
    """Refuse a `--device` that this machine has not; no framework is started.

    Raises:
        ValueError: See `parse_device`; or a GPU was asked for and none is shown.
    """
    if device is not None and parse_device(device) != "cpu" and not gpus():
        raise ValueError(
            f"This machine shows no GPU: use --device cpu. Received: --device={device}"
        )


def _check_started(backend: str, device: str, started: bool) -> None:
    """Make sure that Keras is where it was told to be; this imports it."""
    active = active_device()
    if active.startswith("cpu") == (device == "cpu"):
        return
    if started:
        raise ValueError(
            f"Keras is already running on {active} in this process, and a device cannot be "
            f"changed after that. Received: --device={device}"
        )
    raise ValueError(
        f"{backend} computes on {active}: the installed build may be for CPUs only, or the driver "
        f"too old. Use --device cpu, or install {backend} with CUDA. Received: --device={device}"
    )


def gpus() -> list[str]:
    """The NVIDIA GPUs that the driver shows, by device file; no framework is started.

    Returns:
        Paths such as `/dev/nvidia0`. Empty on a machine without them, or where
        `CUDA_VISIBLE_DEVICES` hides them all.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return []
    return sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))


def active_device() -> str:
    """Where Keras puts a tensor, in one form for every backend. This imports Keras.

    Returns:
        `cpu`, or the framework's own name for an accelerator, in small letters (`cuda:0`).

    Raises:
        ValueError: The framework was told to use a GPU and could not start it.
    """
    import keras

    try:
        device = str(keras.ops.convert_to_tensor([0.0]).device).lower()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"{keras.config.backend()} could not start its device: {error}") from error
    return "cpu" if "cpu" in device else device
