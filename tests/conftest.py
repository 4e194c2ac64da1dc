"""What every test shares. It runs before Keras is imported, and that is why most of it is here.

The backend is `KERAS_BACKEND`, by default the first installed one; `make test` runs the suite once
for each. The user's own Keras folder is neither read nor written.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from keras_ccsam.recipes import Recipe
    from keras_ccsam.runs import RunResult

# What imports and collection make stays: to look through it again and again takes seconds.
gc.disable()

_INSTALLED = [name for name in ("jax", "torch", "tensorflow") if importlib.util.find_spec(name)]

os.environ.setdefault("KERAS_BACKEND", _INSTALLED[0] if _INSTALLED else "jax")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# On JAX most of a test is compilation, of programs that then run for milliseconds: here they are
# compiled without the passes that only make them fast, and in one piece each. What is compiled is
# kept, as most programs come more than once; XLA keys them by their content. The processes of a
# suite share it: what one reads while another still writes it is compiled again (pyproject.toml).
# `XLA_FLAGS= make test-jax` compiles as users do, and a test that asks for `compiled_in_full`
# always does.
_ROOT = Path(__file__).resolve().parent.parent
_PROGRAMS = _ROOT / ".pytest_cache" / "v" / "jax" / "programs"
_QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
_FULL = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
    "xla_cpu_use_fusion_emitters": True,
}
_JIT_OPTIONS: dict[str, object] = {}
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_PROGRAMS))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

if os.environ["KERAS_BACKEND"] == "jax":
    os.environ.setdefault("XLA_FLAGS", " ".join(f"--{k}={v}".lower() for k, v in _QUICK.items()))
    import jax

    def _jit(*args: Any, jit: Any = jax.jit, **options: Any) -> Any:
        return jit(*args, **_JIT_OPTIONS, **options)

    jax.jit = _jit  # before Keras takes it

_KERAS_HOME = tempfile.mkdtemp(prefix="keras-home-")
os.environ["KERAS_HOME"] = _KERAS_HOME
atexit.register(shutil.rmtree, _KERAS_HOME, ignore_errors=True)

# Both frameworks in one process is only safe in this order; the other one can end in a crash.
if os.environ["KERAS_BACKEND"] == "tensorflow" and "torch" in _INSTALLED:
    import torch  # noqa: F401

# As on JAX: a graph that runs for milliseconds is not worth making faster first.
if os.environ["KERAS_BACKEND"] == "tensorflow" and "PYTEST_XDIST_WORKER" in os.environ:
    import tensorflow

    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

# What takes longest, by CPU time. It is started first: no core waits for another one at the end.
_LONG = (
    "parity/test_backends_agree.py",
    "contract/test_contract.py",
    "training/test_step.py",
    "distributed/test_commands.py",
    "launching/test_local.py",
    "contract/test_recipes_learn.py",
    "contract/test_terms.py",
    "distributed/test_equals_one_device.py",
    "runs/test_resume.py",
    "deployment/test_export.py",
    "auto/test_auto.py",
    "cli/test_auto.py",
    "distributed/test_backend.py",
    "runs/test_determinism.py",
    "docs/test_code.py",
    "training/test_vectors.py",
    "m2m/test_translation.py",
    "cli/test_output.py",
    "sharpness/test_class_routes.py",
    "layers/test_fast_layers.py",
    "cli/test_commands.py",
    "sharpness/test_edges.py",
    "callbacks/test_on_nonfinite.py",
    "test_examples.py",
    "deployment/test_networks.py",
    "reproduction/test_landscape_figure.py",
    "models/test_tuning.py",
    "models/test_hub.py",
    "runs/test_run_sharpness.py",
    "training/test_binary.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; the others as they come."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(tests).as_posix()
        return _LONG.index(name) if name in _LONG else len(_LONG)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """From here on memory is tidied up, but for what is there by now."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.fixture(autouse=True)
def seed() -> int:
    """Start every test from the same random state, whatever ran before it.

    Returns:
        The seed, for tests that want to pass it on.
    """
    import keras

    keras.utils.set_random_seed(0)
    return 0


@pytest.fixture(autouse=True)
def global_keras_state() -> Iterator[None]:
    """Put back what a test may have changed for all the others."""
    import keras

    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="session", autouse=True)
def no_pictures_of_runs() -> None:
    """A run draws its pictures where a test asks for them: `tests.run_pictures.drawn`."""
    from tests import run_pictures

    run_pictures.leave_out()


@pytest.fixture(scope="session", autouse=True)
def the_backend_alone() -> Iterator[list[str]]:
    """Processes that a test starts import no more than they need, and one framework.

    Returns:
        Folders to search first.
    """
    tests = Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tests / "quick_start"), prepend=os.pathsep)
        first = []
        if os.environ["KERAS_BACKEND"] != "tensorflow":
            first = [str(tests / "without_tensorflow")]
            patch.setenv("PYTHONPATH", *first, prepend=os.pathsep)
        yield first


def _resident() -> int:
    """Bytes of memory that this process holds, where the system says so."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


_GROWTH = 600 * 2**20
_kept = 0


def _forget_graphs() -> None:
    """TensorFlow keeps each graph in which a gradient of one's own was defined, for good.

    Keras' optimizers add up the gradients of replicas by such a one, so each traced step is kept.
    """
    from tensorflow.python.framework import ops

    gradients = ops.gradient_registry._registry
    for name in [name for name in gradients if name.startswith("CustomGradient-")]:
        del gradients[name]


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """Now and then let go of what has been compiled: all of it together is gigabytes."""
    yield
    global _kept
    if _resident() > _kept + _GROWTH:
        if os.environ["KERAS_BACKEND"] == "jax":
            jax.clear_caches()
        if os.environ["KERAS_BACKEND"] == "tensorflow":
            _forget_graphs()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)  # glibc keeps what is freed in pieces
        _kept = _resident()


@pytest.fixture
def compiled_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile steps on JAX with all passes, as users do: for what holds to the last bit."""
    monkeypatch.setitem(_JIT_OPTIONS, "compiler_options", _FULL)


_SMALL_RUN = (
    "model.backbone.width=4",
    "model.backbone.features=8",
    "stage1.epochs=2",
    "stage1.batch_size=64",
    "data.imbalance_ratio=10",
)


def _small(name: str, *overrides: str) -> "Recipe":
    from keras_ccsam import recipes

    two_stages = recipes.load(name).stage2 is not None
    second = ["stage2.epochs=2"] if two_stages else []
    return recipes.load(name, overrides=(*_SMALL_RUN, *second, *overrides))


@pytest.fixture(scope="session")
def small() -> "Callable[..., Recipe]":
    """Make a recipe that takes a second, of a method's name and overrides."""
    return _small


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> "RunResult":
    """A finished run of both stages, with a validation split and pictures; read only."""
    from keras_ccsam import runs
    from tests import run_pictures

    out = tmp_path_factory.mktemp("runs") / "ccsam"
    with run_pictures.drawn():
        return runs.run(_small("ccsam", "data.validation_fraction=0.2"), out, progress="none")
