"""Backend and device are chosen in the documented order, each with its reason."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import click
import keras
import pytest
from click.testing import CliRunner
from keras_ccsam_cli import device_forecast, devices, runtime
from keras_ccsam_cli.main import cli

Installer = Callable[..., None]
ACTIVE = keras.config.backend()


@pytest.fixture
def before_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that Keras has not been imported."""
    monkeypatch.delitem(runtime.sys.modules, "keras")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Installer:
    """Pretend that only the named backends are installed."""

    def install(*names: str) -> None:
        monkeypatch.setattr(runtime, "installed", lambda name: name in names)

    return install


def home(folder: Path, text: str) -> dict[str, str]:
    """An environment whose keras.json holds `text`."""
    (folder / "keras.json").write_text(text, encoding="utf-8")
    return {"KERAS_HOME": str(folder)}


@pytest.mark.usefixtures("before_keras")
class TestOrder:
    def test_the_option_goes_before_everything(self, tmp_path: Path, only: Installer) -> None:
        only("jax", "torch", "tensorflow")
        environment = home(tmp_path, json.dumps({"backend": "jax"})) | {"KERAS_BACKEND": "jax"}
        assert runtime.choose_backend("torch", environment).value == "torch"

    def test_the_environment_goes_before_the_file(self, tmp_path: Path, only: Installer) -> None:
        only("jax", "torch")
        environment = home(tmp_path, json.dumps({"backend": "jax"})) | {"KERAS_BACKEND": "torch"}
        choice = runtime.choose_backend(None, environment)
        assert choice == runtime.Choice("torch", "KERAS_BACKEND says so")

    def test_the_file_goes_before_what_is_installed(self, tmp_path: Path, only: Installer) -> None:
        only("jax", "torch", "tensorflow")
        choice = runtime.choose_backend(None, home(tmp_path, json.dumps({"backend": "torch"})))
        assert choice.value == "torch"
        assert str(tmp_path / "keras.json") in choice.reason

    @pytest.mark.parametrize(
        "text", ['{"backend": "tensorflow"}', '{"backend": "numpy"}', "{}", "[]", "{", ""]
    )
    def test_a_file_that_cannot_be_followed_is_passed_over(
        self, tmp_path: Path, only: Installer, text: str
    ) -> None:
        only("torch")
        choice = runtime.choose_backend(None, home(tmp_path, text))
        assert choice.value == "torch"
        assert "installed" in choice.reason

    def test_without_any_wish_the_order_is_that_of_keras(
        self, tmp_path: Path, only: Installer
    ) -> None:
        only("torch", "jax")
        assert runtime.choose_backend(None, {"KERAS_HOME": str(tmp_path)}).value == "jax"

    def test_none_installed(self, tmp_path: Path, only: Installer) -> None:
        only()
        with pytest.raises(ValueError, match=r'pip install "keras-ccsam\[jax\]"'):
            runtime.choose_backend(None, {"KERAS_HOME": str(tmp_path)})

    @pytest.mark.parametrize("source", ["--backend", "KERAS_BACKEND"])
    def test_one_that_is_not_installed(self, source: str, only: Installer) -> None:
        only("jax")
        requested = "torch" if source == "--backend" else None
        environment = {"KERAS_BACKEND": "torch"} if requested is None else {}
        with pytest.raises(ValueError, match=rf'keras-ccsam\[torch\]".*{source}=torch'):
            runtime.choose_backend(requested, environment)

    def test_one_that_does_not_exist(self) -> None:
        with pytest.raises(ValueError, match=r"one of tensorflow, jax, torch.*KERAS_BACKEND=mxnet"):
            runtime.choose_backend(None, {"KERAS_BACKEND": "mxnet"})


def test_a_running_keras_keeps_its_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "installed", lambda name: True)
    other = "jax" if ACTIVE == "torch" else "torch"
    with pytest.raises(ValueError, match=f"already running on {ACTIVE}"):
        runtime.choose_backend(other)
    choice = runtime.choose_backend(None, {"KERAS_BACKEND": other})
    assert choice.value == ACTIVE


@pytest.mark.parametrize("device", ["tpu", "gpu:", "gpu:x", "cuda", "GPU", "gpu:1 "])
def test_a_device_that_is_none(device: str) -> None:
    with pytest.raises(ValueError, match="cpu, gpu or gpu:N"):
        runtime.parse_device(device)


@pytest.mark.parametrize(
    ("backend", "device", "expected"),
    [
        ("jax", "cpu", {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}),
        ("jax", "gpu:2", {"CUDA_VISIBLE_DEVICES": "2", "JAX_PLATFORMS": "cuda"}),
        ("torch", "cpu", {"CUDA_VISIBLE_DEVICES": "", "KERAS_TORCH_DEVICE": "cpu"}),
        ("torch", "gpu", {"KERAS_TORCH_DEVICE": "cuda"}),
        ("tensorflow", "cpu", {"CUDA_VISIBLE_DEVICES": "-1"}),
        ("tensorflow", "gpu:0", {"CUDA_VISIBLE_DEVICES": "0"}),
        ("tensorflow", "gpu", {}),
    ],
)
def test_device_variables(backend: str, device: str, expected: dict[str, str]) -> None:
    assert runtime.device_variables(backend, device) == expected


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "gpus", lambda: [])
    with pytest.raises(ValueError, match=r"no GPU.*--device=gpu:0"):
        runtime.prepare(None, "gpu:0")


@pytest.mark.parametrize(("dry", "level"), [(True, "3"), (False, "2")])
def test_tensorflow_says_nothing_of_gpus_that_a_dry_run_hides(
    monkeypatch: pytest.MonkeyPatch, dry: bool, level: str
) -> None:
    unset = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    monkeypatch.setattr(os, "environ", unset)
    runtime.prepare(dry=dry)
    assert unset["TF_CPP_MIN_LOG_LEVEL"] == level


def test_hidden_gpus_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert runtime.gpus() == []


def test_keras_says_where_it_computes() -> None:
    assert runtime.active_device()


class TestForecast:
    def test_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(device_forecast, "gpus", lambda: [])
        monkeypatch.setattr(device_forecast.sys, "platform", "linux")
        for name in ("JAX_PLATFORMS", "KERAS_TORCH_DEVICE", "CUDA_VISIBLE_DEVICES"):
            monkeypatch.delenv(name, raising=False)
        choice = device_forecast.forecast_device("torch")
        assert choice == runtime.Choice("cpu", "no GPU found")

    def test_a_variable_goes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JAX_PLATFORMS", "tpu")
        assert device_forecast.forecast_device("jax").value == "tpu"

    def test_a_cpu_build_beside_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(device_forecast, "gpus", lambda: ["/dev/nvidia0"])
        monkeypatch.setattr(device_forecast.sys, "platform", "linux")
        monkeypatch.delenv("KERAS_TORCH_DEVICE", raising=False)
        monkeypatch.setattr(device_forecast, "version", lambda *names: "2.13.0+cpu")
        choice = device_forecast.forecast_device("torch")
        assert choice.value == "cpu"
        assert "no CUDA" in choice.reason


def test_doctor_says_what_and_why() -> None:
    result = CliRunner().invoke(cli, ["doctor", "--full"])
    assert result.exit_code == 0, result.output
    assert f"backend  {ACTIVE}: " in result.stdout
    assert f"started  {ACTIVE} computes on " in result.stdout
    for name in ("keras", "numpy", "jax", "torch", "tensorflow"):
        assert f"\n{name} " in result.stdout


def test_version_names_keras_and_the_backends() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("ccsam ")
    assert f"keras {keras.__version__}" in result.stdout


def test_nothing_of_a_refused_backend_stays_in_the_environment() -> None:
    before = dict(os.environ)
    result = CliRunner().invoke(cli, ["doctor", "--backend", "mxnet", "--device", "cpu"])
    assert result.exit_code == 2
    assert dict(os.environ) == before


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] != "torch", reason="its launcher")
def test_who_is_told_of_a_killed_process_is_told_the_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Launch:
        """Every process is killed."""

        @staticmethod
        def run_processes(count: int, command: list[str], tell: Callable[[str], None]) -> int:
            tell("process 1 was killed by SIGKILL, and the others were ended")
            return 1

        @staticmethod
        def end_others_with_this() -> None:
            pass

    library = devices.light.library
    ours = ("backend.torch_launch", "launching.child")
    monkeypatch.setattr(
        devices.light, "library", lambda name: Launch if name in ours else library(name)
    )
    for run, told in (
        ("runs/my run", "--resume 'runs/my run'"),
        (None, "--resume RUN, the newest folder in runs"),
    ):
        with pytest.raises(click.exceptions.Exit):
            devices.start("torch", None, 2, run)
        assert capsys.readouterr().err.strip().endswith(f"ccsam train {told}")
