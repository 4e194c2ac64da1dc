"""A training on several devices: started here, or joined where an engine has started it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from . import light
from .runtime import check_device, choose_backend


def joined() -> Any | None:
    """Which of several processes this one is, as its launcher says; None where it is alone.

    Raises:
        ValueError: the launcher says what cannot be.
    """
    return light.library("backend.launched").launched(os.environ)


def is_first() -> bool:
    """Whether this process prints; of a launcher that is not understood, all do."""
    try:
        found = joined()
    except ValueError:
        return True
    return found is None or found.place == 0


def start(
    backend: str | None, device: str | None, devices: int | None, run: str | None = None
) -> None:
    """Start a process for each device, where the backend wants that, and end with their exit code.

    Args:
        backend: the value of `--backend`.
        device: that of `--device`.
        devices: that of `--devices`.
        run: the folder that is trained in, where it has been named.

    Raises:
        ValueError: an engine has started other processes, or says what cannot be; the backend or
            the device is not here.
        click.exceptions.Exit: with the exit code of the processes, which are done.
    """
    several = joined() is not None  # before a framework is imported: nonsense is told at once
    if devices is None:
        return
    if several:
        here = os.environ.get("LOCAL_WORLD_SIZE", str(devices))
        if here != str(devices):
            raise ValueError(
                f"the launcher has started {here} processes on this machine, and they are joined: "
                f"leave --devices out. Received: --devices={devices}"
            )
        return
    if devices == 1 or choose_backend(backend).value != "torch":
        return
    check_device(device)
    command = [sys.executable, "-m", __package__ or "keras_ccsam_cli", *sys.argv[1:]]
    light.library("launching.child").end_others_with_this()
    tell = partial(_tell_of_killed, run)
    raise click.exceptions.Exit(
        light.library("backend.torch_launch").run_processes(devices, command, tell)
    )


def _tell_of_killed(run: str | None, words: str) -> None:
    goes_on = f"what was saved goes on with ccsam train --resume {shlex.quote(run or 'RUN')}"
    where = "" if run else ", the newest folder in runs"
    click.echo(f"ccsam: error: {words}; {goes_on}{where}", err=True)


@contextmanager
def shared(devices: int | None) -> Iterator[None]:
    """What is made inside trains on these devices; Keras is imported for it.

    Raises:
        ValueError: there are fewer.
    """
    from keras_ccsam import backend

    alone = joined() is None
    with backend.share_devices(devices if alone and devices else 1):
        yield
