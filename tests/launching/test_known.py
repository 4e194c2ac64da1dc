"""What is said of launchers and their options before anything is trained."""

import importlib.util
import socket

import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import launching
from keras_ccsam.launching import known, ray, resources
from keras_ccsam.launching.local import Local
from tests.distributed.started import free_port

pytestmark = pytest.mark.any_backend


def test_a_launcher_is_found_by_its_name_with_its_options_in_their_types():
    local = launching.named("local", "3", {"threads": "2"})
    assert isinstance(local, Local)
    assert (local.jobs, local.threads) == (3, 2)
    assert launching.named("local").jobs is None


@pytest.mark.parametrize(
    ("name", "jobs", "options", "words"),
    [
        ("loca", "auto", {}, "no launcher 'loca'; did you mean 'local'"),
        ("local", 0, {}, "`jobs` must be how many.*jobs=0"),
        ("local", "50000", {}, "from 1 to 10000"),
        ("local", "-1", {}, "jobs='-1'"),
        ("local", "auto", {"thread": "2"}, "no such option; did you mean 'threads'"),
        ("local", "auto", {"threads": "0"}, "`threads` must be a whole number from 1"),
        ("local", "auto", {"retries": "x"}, "`retries` must be"),
    ],
)
def test_what_is_wrong_is_said_in_words(name, jobs, options, words):
    with pytest.raises(ValueError, match=words):
        launching.named(name, jobs, options)


def test_options_are_read_as_they_are_typed():
    found = known.typed(["time=1h30m", "partition = gpu", "cluster=local"])
    assert known.check_options("slurm", found) == {
        "time": 90,
        "partition": "gpu",
        "cluster": "local",
    }
    with pytest.raises(ValueError, match="KEY=VALUE"):
        known.typed(["time"])


def test_slurm_is_not_taken_for_this_machine(monkeypatch):
    monkeypatch.setattr(known.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"sbatch is not on this machine.*cluster=local"):
        known.check_options("slurm", {})


@pytest.mark.parametrize(("name", "extra"), [("ray", "ray"), ("slurm", "slurm")])
def test_one_line_names_the_extra_that_is_missing(name, extra, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(ValueError, match=rf"pip install \"keras-ccsam\[{extra}\]\""):
        known.check(name)


@pytest.mark.parametrize("command", [["compare", "ce"], ["sweep", "rho"], ["reproduce", "table1"]])
def test_the_command_line_refuses_before_keras_is_asked(command):
    ended = CliRunner().invoke(cli, [*command, "--jobs", "2"])
    assert ended.exit_code == 2
    assert "--jobs belongs to a launcher" in ended.stderr
    ended = CliRunner().invoke(cli, [*command, "--launcher", "local", "--jobs", "0"])
    assert (ended.exit_code, ended.stderr.count("\n")) == (2, 1)


def test_memory_that_is_left_is_the_machines_or_the_containers(monkeypatch, tmp_path):
    info, group = tmp_path / "meminfo", tmp_path / "group"
    info.write_text("MemTotal: 9 kB\nMemAvailable: 4000 kB\n")
    group.mkdir()
    monkeypatch.setattr(resources, "_MEMINFO", info)
    monkeypatch.setattr(resources, "_GROUP", group)
    assert resources.available() == 4000 * 1024
    (group / "memory.max").write_text("max\n")
    assert resources.available() == 4000 * 1024
    (group / "memory.max").write_text("2000\n")
    (group / "memory.current").write_text("1500\n")
    (group / "memory.stat").write_text("anon 900\ninactive_file 300\n")
    assert resources.available() == 800
    monkeypatch.setattr(resources, "_MEMINFO", tmp_path / "absent")
    (group / "memory.max").unlink()
    assert resources.available() is None


def test_gpus_are_those_that_a_process_is_shown(monkeypatch):
    assert resources.gpus({"CUDA_VISIBLE_DEVICES": "2,5"}) == ("2", "5")
    assert resources.gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == ()
    assert resources.gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()


def test_an_address_that_nothing_answers_at_is_refused_at_once(monkeypatch):
    """Ray itself tries for minutes."""
    for address in (f"127.0.0.1:{free_port()}", f"ray://127.0.0.1:{free_port()}"):
        with pytest.raises(ValueError, match=f"nothing answers .* Received: address='{address}'"):
            ray._reach(address)
    for address in ("auto", "local", ""):
        ray._reach(address)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ray._reach(f"127.0.0.1:{server.getsockname()[1]}")
