"""The house rules that a reader relies on, checked on the syntax tree of every file."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_backend

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "keras_ccsam"
COMMAND_LINE = ROOT / "cli"

# From the ground up. A folder imports folders of its own level (without a cycle) and of lower ones.
LEVELS = (
    {
        "typing",
        "atomic",
        "hints",
        "checks",
        "labels",
        "text_table",
        "duration",
        "json_lines",
        "writer",
        "manifest",
        "snapshots",
        "closed_table",
        "confidence",
        "type_words",
        "options",
        "declare",
        "pixels",
        "finite",
        "stopping",
        "wrong_input",
    },
    {"backend", "processes"},
    {"heads", "layers", "resuming"},
    {"losses", "sharpness", "terms"},
    {"training"},
    {"data", "models", "metrics", "schedules"},
    {"second_stage", "m2m"},
    {"callbacks", "analysis", "recipes", "trackers"},
    {"runs"},
    {"launching"},
    {"comparison", "deployment"},
    {"reproduction", "reporting"},
    {"auto"},
    {""},  # keras_ccsam/__init__.py, the façade
    {"keras_ccsam_cli"},
)
LEVEL_OF = {folder: level for level, folders in enumerate(LEVELS) for folder in folders}
FRAMEWORKS = {"jax", "jaxlib", "flax", "torch", "torchvision", "tensorflow"}
PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
MAX_LINES = 320

FILES = sorted([*LIBRARY.rglob("*.py"), *COMMAND_LINE.rglob("*.py")])


def module_name(path: Path) -> str:
    """The dotted import name of a source file; a package's is that of its `__init__`."""
    relative = path.relative_to(ROOT).with_suffix("")
    parts = list(relative.parts)
    if parts[0] == "cli":
        parts[0] = "keras_ccsam_cli"
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def folder_of(module: str) -> str:
    """The part of a module's name that has a level: `keras_ccsam.heads.dense` is in `heads`."""
    first, *rest = module.split(".")
    return first if first == "keras_ccsam_cli" else rest[0] if rest else ""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, anywhere in it, as (line, absolute dotted name)."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            for alias in node.names:
                # `from keras_ccsam import data` imports keras_ccsam.data.
                yield node.lineno, f"{module}.{alias.name}"


@functools.cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def own_imports(path: Path) -> Iterator[tuple[int, str]]:
    """The imports of this project, as (line, folder); the façade's names are the façade."""
    for line, name in imports(path):
        if name.split(".")[0] in ("keras_ccsam", "keras_ccsam_cli"):
            folder = folder_of(name)
            yield line, folder if folder in LEVEL_OF else ""


def shown(path: Path, line: int) -> str:
    """`keras_ccsam/data/sources/cifar.py:12`, which an editor can open."""
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_folder_has_a_level() -> None:
    known = {folder_of(module_name(path)) for path in FILES}
    assert known <= set(LEVEL_OF), "give the new folder a place in LEVELS"


def test_no_import_points_upward() -> None:
    upward = [
        f"{shown(path, line)} imports {target or 'the façade'}"
        for path in FILES
        for line, target in own_imports(path)
        if LEVEL_OF[target] > LEVEL_OF[folder_of(module_name(path))]
    ]
    assert not upward, "\n".join(upward)


def test_folders_of_one_level_do_not_import_each_other_in_a_circle() -> None:
    edges: dict[str, set[str]] = {folder: set() for folder in LEVEL_OF}
    for path in FILES:
        source = folder_of(module_name(path))
        edges[source] |= {target for _, target in own_imports(path)} - {source}
    done: set[str] = set()

    def visit(folder: str, trail: tuple[str, ...]) -> None:
        assert folder not in trail, " -> ".join([*trail, folder])
        if folder not in done:
            for target in sorted(edges[folder]):
                visit(target, (*trail, folder))
            done.add(folder)

    for folder in edges:
        visit(folder, ())


def test_files_do_not_import_each_other_in_a_circle() -> None:
    modules = {module_name(path): path for path in FILES}
    edges: dict[str, set[str]] = {}
    for name, path in modules.items():
        edges[name] = set()
        for _, target in imports(path):
            # A name of a module, or the module itself.
            found = target if target in modules else target.rpartition(".")[0]
            # A package's own files do not go through its façade.
            if found in modules and not name.startswith(f"{found}."):
                edges[name].add(found)
        edges[name].discard(name)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            for target in sorted(edges[name]):
                visit(target, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())


def test_only_the_backend_folder_imports_a_framework() -> None:
    found = [
        f"{shown(path, line)} imports {name}"
        for path in FILES
        if folder_of(module_name(path)) != "backend"
        for line, name in imports(path)
        if name.split(".")[0] in FRAMEWORKS
    ]
    assert not found, "\n".join(found)


def test_heads_import_nothing_of_ours() -> None:
    found = [
        f"{shown(path, line)} imports {target or 'the façade'}"
        for path in (LIBRARY / "heads").rglob("*.py")
        for line, target in own_imports(path)
        if target not in ("heads", "typing", "hints", "checks", "options", "declare")
    ]
    assert not found, "\n".join(found)


def test_no_private_part_of_keras() -> None:
    found = [
        shown(path, node.lineno)
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and node.attr == "src"
        and isinstance(node.value, ast.Name)
        and node.value.id == "keras"
    ]
    found += [
        shown(path, line)
        for path in FILES
        for line, name in imports(path)
        if name.startswith("keras.src")
    ]
    assert not found, "\n".join(found)


def test_pickle_only_as_a_restricted_unpickler_in_data() -> None:
    users = {path for path in FILES for _, name in imports(path) if name.split(".")[0] in PICKLES}
    assert {path.parent for path in users} <= {LIBRARY / "data" / "sources"}, users
    for path in users:
        calls = {node.attr for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        assert not calls & {"loads", "Pickler", "dump", "dumps"}, path
        unpicklers = [
            node
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef)
            and any("Unpickler" in ast.unparse(base) for base in node.bases)
        ]
        assert unpicklers, f"{path} unpickles without a class that says what may be loaded"
        for node in unpicklers:
            methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            assert "find_class" in methods, f"{path}: {node.name} loads any class"


def test_numpy_never_unpickles() -> None:
    found = [
        shown(path, node.value.lineno)
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.keyword)
        and node.arg == "allow_pickle"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert not text.strip() or ast.get_docstring(tree(path)), "begin with a docstring"


def test_no_folder_or_file_is_called_utils() -> None:
    names = [path for path in FILES if {"utils", "util", "misc"} & {path.stem, path.parent.name}]
    assert not names


def test_these_rules_notice_a_breach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "keras_ccsam"
    (library / "heads").mkdir(parents=True)
    bad = library / "heads" / "bad.py"
    bad.write_text("from ..runs import run\nimport torch.nn\n", encoding="utf-8")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "FILES", [bad])
    with pytest.raises(AssertionError, match="imports runs"):
        test_no_import_points_upward()
    with pytest.raises(AssertionError, match=r"imports torch\.nn"):
        test_only_the_backend_folder_imports_a_framework()
