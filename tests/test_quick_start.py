"""What processes that tests start leave out of Keras' import, and what they do not."""

import sys
import types

import pytest

from tests.quick_start import sitecustomize as quick_start

pytestmark = pytest.mark.any_backend


def importing(name, monkeypatch):
    module = types.ModuleType(name)
    module.__spec__ = types.SimpleNamespace(_initializing=True)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(
    ("package", "importer"),
    [
        ("sklearn", "keras.src.wrappers"),
        ("matplotlib", "keras.src.visualization.plot_image_gallery"),
    ],
)
def test_a_package_is_left_out_where_keras_asks_for_it_and_nowhere_else(
    package, importer, monkeypatch
):
    finder = quick_start._Finder()
    assert finder.find_spec(package, None) is None
    importing(importer, monkeypatch)
    with pytest.raises(ModuleNotFoundError, match="is left out"):
        finder.find_spec(package, None)
    assert finder.find_spec("numpy", None) is None


def test_the_compiler_is_itself_once_more_is_asked_of_it_than_a_decorator(monkeypatch):
    name = "torch._dynamo"
    finder = quick_start._Finder()
    importing("keras.src.backend.torch", monkeypatch)
    spec = finder.find_spec(name, None)
    compiler = spec.loader.create_module(spec)
    with pytest.raises(AttributeError):
        compiler.__path__  # noqa: B018  a module that is being imported has none yet
    spec.loader.exec_module(compiler)
    monkeypatch.setitem(sys.modules, name, compiler)

    @compiler.disable()
    def doubled(x):
        return 2 * x

    assert doubled(3) == 6
    assert compiler.disable(doubled, recursive=True) is doubled
    real = types.SimpleNamespace(config="its own")

    def imported(asked):
        assert asked == name and name not in sys.modules
        return real

    monkeypatch.setattr(quick_start.importlib, "import_module", imported)
    assert compiler.config == "its own"
