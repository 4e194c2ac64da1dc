"""Compiled programs are kept beside the runs, on JAX, and are never a reason to fail."""

import contextlib
import importlib
import inspect
import os
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import backend, comparison, recipes, reproduction, runs
from keras_ccsam.comparison import plan
from keras_ccsam.runs import compiled_programs, experiment, work
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.folders import PROGRAMS, require_free

JAX = keras.backend.backend() == "jax"
# The package's attribute of this name is the function.
compare = importlib.import_module("keras_ccsam.comparison.compare")


@pytest.fixture
def unset(monkeypatch):
    """JAX as it is without a folder of its user's; the suite itself sets one."""
    if not JAX:
        yield
        return
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    own = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", own)
    reset_cache()


def compiled(factor: float) -> float:
    """A program that no other test compiles."""
    import jax

    value = jax.jit(lambda x: jax.numpy.sum(x * factor))(np.ones(7, "float32"))
    return float(value)


def test_by_default_they_lie_beside_the_run(unset, tmp_path):
    folder = tmp_path / PROGRAMS
    with kept_programs("auto", tmp_path / "run", announce=False):
        assert backend.program_folder() == (str(folder) if JAX else None)
        if JAX:
            assert compiled(0.125) == 0.875
            assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.exists() == JAX
    assert not JAX or [path for path in folder.iterdir() if path.name.endswith("-cache")]
    assert backend.program_folder() is None


def test_a_relative_run_directory_has_a_parent_too(unset, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with kept_programs("auto", Path("."), announce=True):
        pass
    assert (tmp_path / PROGRAMS).exists() == JAX
    assert (str(tmp_path / PROGRAMS) in capsys.readouterr().out) == JAX


@pytest.mark.skipif(not JAX, reason="the others keep no programs")
def test_what_is_set_is_put_back_after_a_failure(tmp_path):
    import jax

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]
    with pytest.raises(RuntimeError), kept_programs(tmp_path / "named", tmp_path / "run", False):
        assert backend.program_folder() == str(tmp_path / "named")
        raise RuntimeError
    assert [getattr(jax.config, name) for name in names] == before


@pytest.mark.skipif(not JAX, reason="the others keep no programs")
def test_short_compilations_are_kept_unless_the_user_chose(unset, tmp_path, monkeypatch):
    import jax

    name = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
    chosen = jax.config.jax_persistent_cache_min_compile_time_secs
    with kept_programs("auto", tmp_path / "run", announce=False):
        assert jax.config.jax_persistent_cache_min_compile_time_secs == chosen
    monkeypatch.delenv(name)
    with kept_programs("auto", tmp_path / "run", announce=False):
        assert 0 < jax.config.jax_persistent_cache_min_compile_time_secs < 1


@pytest.mark.skipif(not JAX, reason="the others keep no programs")
def test_a_later_process_finds_them_and_a_broken_one_is_compiled(unset, tmp_path):
    import jax

    with kept_programs(tmp_path / "kept", tmp_path / "run", announce=False):
        assert compiled(0.375) == 2.625
        found = sorted((tmp_path / "kept").glob("*-cache"))
        assert found
        content = [path.read_bytes() for path in found]
        jax.clear_caches()  # as in another process
        assert compiled(0.375) == 2.625
        assert [path.read_bytes() for path in found] == content
        for path, whole in zip(found, content, strict=True):
            path.write_bytes(whole[: len(whole) // 2])  # another process is writing it
        jax.clear_caches()
        with warnings.catch_warnings(record=True) as noticed:
            warnings.simplefilter("always")
            assert compiled(0.375) == 2.625
        assert any("compilation cache" in str(warning.message) for warning in noticed)


def test_the_users_own_folder_goes_first_and_a_named_one_before_it(tmp_path, monkeypatch):
    own = backend.program_folder()
    assert own is not None or not JAX  # of the suite
    with kept_programs("auto", tmp_path / "run", announce=False):
        assert backend.program_folder() == own
    with kept_programs("off", tmp_path / "run", announce=False):
        assert backend.program_folder() == own
    assert not list(tmp_path.iterdir())
    with kept_programs(tmp_path / "a" / "b", tmp_path / "run", announce=False):
        assert backend.program_folder() == (str(tmp_path / "a" / "b") if JAX else None)
    assert (tmp_path / "a" / "b").is_dir() == JAX


def expected_warning(words: str):
    """What is said on JAX; elsewhere there is nothing to say."""
    return pytest.warns(UserWarning, match=words) if JAX else contextlib.nullcontext()


def test_a_folder_that_cannot_be_made_costs_a_warning(unset, tmp_path):
    (tmp_path / PROGRAMS).write_text("a file", encoding="utf-8")
    with (
        expected_warning("not kept: .*exists"),
        kept_programs("auto", tmp_path / "run", announce=False),
    ):
        assert backend.program_folder() is None


def test_a_folder_that_may_not_be_written_costs_a_warning(unset, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_programs.os, "access", lambda *_: False)
    with (
        expected_warning("cannot be written"),
        kept_programs("auto", tmp_path / "run", announce=False),
    ):
        assert backend.program_folder() is None


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_programs_that_others_could_plant_are_not_run(unset, tmp_path):
    (tmp_path / PROGRAMS).mkdir()
    (tmp_path / PROGRAMS).chmod(0o777)
    with (
        expected_warning("others can write"),
        kept_programs("auto", tmp_path / "run", announce=False),
    ):
        assert backend.program_folder() is None


def test_the_folder_is_no_run_and_nothing_that_a_run_would_overwrite(tmp_path):
    (tmp_path / PROGRAMS).mkdir()
    require_free(tmp_path)
    assert plan.first_stages(tmp_path) == {}
    (tmp_path / "notes").mkdir()
    with pytest.raises(ValueError, match="not empty"):
        require_free(tmp_path)


class Reached(Exception):
    """Training would begin here."""


def test_a_comparison_and_a_reproduction_share_one_beside_them(unset, tmp_path, monkeypatch):
    seen = []

    def note(*_, **__):
        seen.append(backend.program_folder())
        raise Reached

    monkeypatch.setattr(experiment, "run", note)
    for call in (
        lambda: compare.compare([recipes.load("ce")], 1, tmp_path / "c", progress="none"),
        lambda: reproduction.reproduce("table2", "tiny", 1, tmp_path / "r", progress="none"),
    ):
        with contextlib.suppress(Reached):
            call()
    assert set(seen) == {str(tmp_path / PROGRAMS) if JAX else None}
    assert not [path for path in tmp_path.rglob(PROGRAMS) if path.parent != tmp_path]
    # And is in nobody's way when the comparison goes on.
    plan.check_folder(tmp_path / "c", [recipes.load("ce")], (0,))


def test_a_run_uses_it_from_its_first_step_on(tmp_path, monkeypatch, small):
    own, seen = backend.program_folder(), []

    def note(*_, **__):
        seen.append(backend.program_folder())
        raise Reached

    monkeypatch.setattr(work, "_fit_stage1", note)
    for name, choice in (("named", tmp_path / "kept"), ("own", "auto"), ("off", "off")):
        with pytest.raises(Reached):
            runs.run(small("ce"), tmp_path / name, progress="none", compile_cache=choice)
    assert seen == [str(tmp_path / "kept") if JAX else None, own, own]


@pytest.mark.parametrize("function", [runs.run, comparison.compare, reproduction.reproduce])
def test_it_is_the_default(function):
    assert inspect.signature(function).parameters["compile_cache"].default == "auto"


@pytest.mark.parametrize(
    ("words", "function"),
    [
        (["train", "ce"], (runs, "run")),
        (["compare", "ce"], (comparison, "compare")),
        (["reproduce", "table2", "--scale", "tiny"], (reproduction, "reproduce")),
    ],
)
def test_an_option_and_a_variable_choose_it(words, function, tmp_path, monkeypatch):
    given = []

    def note(*_, compile_cache, **__):
        given.append(compile_cache)
        raise Reached

    monkeypatch.setattr(*function, note)
    words = [*words, "--out", str(tmp_path / "out")]
    for arguments, variable in (
        (words, None),
        (words, "kept"),
        ([*words, "--compile-cache", "off"], "kept"),
    ):
        CliRunner().invoke(cli, arguments, env={"CCSAM_COMPILE_CACHE": variable})
    assert given == ["auto", "kept", "off"]
