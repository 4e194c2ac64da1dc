"""The command line keeps the memory that XLA frees, for JAX on a CPU."""

import json
import os
import subprocess
import sys

import pytest
from keras_ccsam_cli import light

from keras_ccsam.backend import held_memory

IS_LINUX = sys.platform.startswith("linux")

# Blocks that are freed and asked for again, in a thread: pages that are touched for the first time.
FAULTS = """
import json, os, resource, sys, threading
from keras_ccsam_cli import light

held = sys.argv[1] == "hold" and light.library("backend.held_memory").hold(os.environ)

def faults():
    before = None
    for number in range(12):
        if number == 4:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        size * b"x"
    found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

found, size = [], 1 << 26
thread = threading.Thread(target=faults)
thread.start()
thread.join()
print(json.dumps([held, found[0], {k: v for k, v in os.environ.items() if k[:7] == "MALLOC_"}]))
"""

# What `prepare` does about it, of a backend and a device, with the import of Keras left out.
PREPARED = """
import os, sys, types
from keras_ccsam_cli import light, runtime

backend, device, gpus = sys.argv[1:]
sys.modules["keras_ccsam"] = types.ModuleType("keras_ccsam")
runtime.installed = lambda name: True
runtime.gpus = lambda: ["/dev/nvidia0"] * (gpus == "gpu")
runtime._check_started = lambda *given: None
runtime.prepare(backend, None if device == "none" else device)
print("MALLOC_ARENA_MAX" in os.environ)
"""


def said(code: str, *arguments: str, **more: str) -> str:
    """The last line that a new process prints."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**own, **more},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.skipif(not IS_LINUX, reason="glibc is Linux'")
def test_blocks_are_touched_for_the_first_time_once() -> None:
    pages = (1 << 26) // os.sysconf("SC_PAGE_SIZE")
    held, faults, variables = json.loads(said(FAULTS, "hold"))
    assert held
    assert faults < pages / 10
    assert variables == held_memory.variables()
    held, faults, variables = json.loads(said(FAULTS, "leave"))
    assert not held
    assert faults > 4 * pages
    # A process that has the variables from its begin holds memory, too.
    held, faults, _ = json.loads(said(FAULTS, "leave", **held_memory.variables()))
    assert faults < pages / 10


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_stays(name: str) -> None:
    environment = {name: "131072"}
    assert not held_memory.hold(environment)
    assert environment == {name: "131072"}


@pytest.mark.skipif(not IS_LINUX, reason="glibc is Linux'")
@pytest.mark.parametrize(
    ("backend", "device", "gpus", "expected"),
    [
        ("jax", "none", "none", "True"),
        ("jax", "cpu", "gpu", "True"),
        ("jax", "none", "gpu", "False"),
        ("torch", "none", "none", "False"),
    ],
)
def test_only_for_jax_on_a_cpu(backend: str, device: str, gpus: str, expected: str) -> None:
    assert said(PREPARED, backend, device, gpus) == expected


def test_the_command_line_has_it_without_keras() -> None:
    assert light.library("backend.held_memory").__file__ == held_memory.__file__


def test_a_python_without_a_library_to_look_into_is_left_alone(monkeypatch):
    def none(name):
        raise OSError("dynamic loading is not supported")

    monkeypatch.setattr(held_memory.ctypes, "CDLL", none)
    environment = {}
    assert held_memory.hold(environment) is False and not environment
