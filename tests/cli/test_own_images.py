"""A folder of images of one's own, from the command line."""

import json
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli as main

from keras_ccsam.runs import RunDirectory
from tests import made_images

# Training on files is tested on each backend in tests/data/images.
pytestmark = pytest.mark.any_backend

TINY = ("--epochs", "1", "--set", "stage1.batch_size=8", "--set", "stage2.epochs=1")


def ccsam(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_is_trained_on_and_its_run_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_images.folder(tmp_path / "photos", (12, 6, 3))
    monkeypatch.chdir(tmp_path)
    code, out, err = ccsam("train", "ccsam", "--data", "photos", *TINY, "--out", "run", "--json")
    assert code == 0, err
    assert sum(json.loads(out)["class_counts"]) == 17
    recipe = (tmp_path / "run" / "recipe.toml").read_text()
    assert f'path = "{tmp_path / "photos"}"' in recipe and 'name = "folder"' in recipe
    assert "there is no test part" in err
    assert ccsam("evaluate", "run")[0] == 0
    code, out, _ = ccsam("evaluate", "run", "--data", "photos")
    assert code == 0 and "the run was trained on most of these images" in out
    # The numbers of the images stay, and the images behind them are others.
    photos = tmp_path / "photos"
    first = min(path for path in photos.rglob("*") if path.is_file())
    other = [(first, first.with_name(f"zz{first.suffix}"), "files were renamed")]
    for name, renamed, words in [*other, (first.parent, photos / "a0", "is 'a0' now")]:
        name.rename(renamed)
        code, out, err = ccsam("evaluate", "run")
        assert code == 2 and words in err and len(err.splitlines()) == 1
        renamed.rename(name)
    assert ccsam("evaluate", "run")[0] == 0
    whole = first.read_bytes()
    first.write_bytes(whole + b"\0")  # as another image under the same name
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert ccsam("evaluate", "run")[0] == 0
    assert any("replaced or encoded anew" in str(each.message) for each in caught)
    first.write_bytes(whole[:-40])
    code, out, err = ccsam("train", "crt", "--data", "photos", *TINY, "--out", "other")
    assert code == 2 and first.name in err and "ccsam data verify" in err
    assert not (tmp_path / "other").exists()
    first.write_bytes(whole)
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    code, out, err = ccsam("evaluate", "run")
    assert code == 2 and "--data PATH" in err and len(err.splitlines()) == 1
    # What looks at the images of the training is told where they are, and checks them.
    lines = ("landscape", "run", "--one-dimensional", "--lines", "1", "--points", "3")
    for command in (lines, ("sharpness", "run", "--hessian", "none"), ("bound", "run")):
        code, out, err = ccsam(*command, "-q", "--data", "elsewhere")
        assert code == 0, err
    code, out, err = ccsam("report", "run", "--data", "elsewhere")
    assert code == 0 and "Not predicted" not in err
    assert "--data elsewhere" in (tmp_path / "run" / "report.html").read_text()
    code, out, err = ccsam(*lines, "--data", "photos")
    assert code == 2 and "no images at this place" in err and len(err.splitlines()) == 1
    name = min(path for path in (tmp_path / "elsewhere").rglob("*") if path.is_file())
    name.rename(name.with_name(f"zz{name.suffix}"))
    code, out, err = ccsam(*lines, "--data", "elsewhere")
    assert code == 2 and "files were renamed" in err and len(err.splitlines()) == 1


def test_two_recipes_are_compared_on_a_list(tmp_path: Path) -> None:
    root = made_images.places(tmp_path / "places", "standard", "standard")
    code, out, err = ccsam(
        "compare", "ce", "crt", "--data", root / "Places_LT_train.txt", *TINY, "--out",
        tmp_path / "out", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert len(json.loads(out)["rows"]) == 2


def test_what_a_path_holds_can_be_forced(tmp_path: Path) -> None:
    root = made_images.inat(made_images.places(tmp_path, "standard", "standard"))
    code, _, err = ccsam("train", "ce", "--data", root, "--dry-run")
    assert code == 2 and "'list' (Places_LT_train.txt), or 'inat' (train2018.json)" in err
    for kind, classes in (("list", "zen_garden"), ("inat", "species 2")):
        code, out, err = ccsam("train", "ce", "--data", kind, "--data-path", root, "--dry-run")
        assert code == 0 and classes in out, err


def test_describe_draws_a_folder_and_warns(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for part, counts in (("train", (9, 3, 1)), ("test", (2, 2))):
        made_images.folder(root, counts, part)
    twin = root / "train" / "class0" / "train0.png"
    (root / "test" / "class1" / "twin.png").write_bytes(twin.read_bytes())
    code, out, err = ccsam("data", "describe", root, "--duplicates")
    assert code == 0, err
    assert "imbalance ratio: 9 / 1 = 9" in out and "log scale" in out
    assert "1 class has a single image to train on: class2" in out
    assert "1 class has no test image: class2" in out
    assert "train and test share an image" in out and "twin.png" in out
    facts = json.loads(ccsam("data", "describe", root, "--json")[1])
    assert facts["groups"] == {"many": 1, "medium": 1, "few": 1} and len(facts["warnings"]) == 2


def test_images_weigh_what_a_column_says(tmp_path: Path) -> None:
    rows = [f"class{label}/{i}.png,{label},1,3,{label}" for label in (0, 1) for i in range(4)]
    file = made_images.table(tmp_path, "path,label,one,three,none", *rows)
    still = (*TINY[:4], "--set", "stage1.lr=1e-9", "--set", "stage1.augment=[]")
    losses = {}
    for column in ("one", "three"):
        words = ("--set", f"data.weight_column={column}", "--out", tmp_path / column)
        code, out, err = ccsam("train", "ce", "--data", file, *still, *words)
        assert code == 0 and f"the column '{column}' says" in out, err
        losses[column] = RunDirectory(tmp_path / column).metrics()[0]["loss"]
    assert losses["three"] == pytest.approx(3 * losses["one"])
    words = ("--set", "data.weight_column=none", "--dry-run")
    code, _, err = ccsam("train", "ce", "--data", file, *words)
    assert code == 2 and "all of class 0 (0) weigh 0" in err


@pytest.mark.parametrize(
    "data, said",
    [
        ("nowhere/", "there is no such file or folder"),
        ("digits", "did you mean 'digits-lt'"),
        ("here.docx", "a dataset is a folder, or a file that ends in"),
    ],
)
def test_a_wrong_path_is_answered(
    data: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.docx").write_text("x")
    code, out, err = ccsam("train", "ce", "--data", data)
    assert code == 2 and said in err and len(err.splitlines()) == 1 and not out


def test_verify_names_what_cannot_be_used_and_pack_is_trained_on(tmp_path: Path) -> None:
    root = made_images.folder(tmp_path / "photos", (6, 3))
    assert ccsam("data", "verify", root)[0] == 0
    code, out, err = ccsam("data", "pack", root, tmp_path / "packed", "--json")
    assert code == 0 and json.loads(out)["images"] == 9, err
    words = ("train", "ce", "--data", root, "--set", f"data.packed={tmp_path / 'packed'}")
    code, out, err = ccsam(*words, "--dry-run")
    assert code == 0 and "7 images of 12x12x3" in out, err
    broken = root / "class1" / "0.png"
    broken.write_bytes(broken.read_bytes()[:40])
    code, out, err = ccsam("data", "verify", root)
    assert code == 1 and "0.png" in out and "1 of 9 images cannot be used" in err
    assert ccsam("data", "verify", tmp_path / "nowhere/")[0] == 2
    code, _, err = ccsam(*words, "--dry-run")
    assert code == 2 and "was changed after it was packed" in err
