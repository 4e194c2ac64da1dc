"""New images: read, classified, and named where they cannot be read."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli
from PIL import Image

import keras_ccsam as cc
from keras_ccsam import deployment
from keras_ccsam.data.images.view import Centre
from keras_ccsam.deployment.found_images import image_files, read_ahead
from keras_ccsam.deployment.subject import Subject
from keras_ccsam.manifest import Damaged
from keras_ccsam.runs import RunDirectory, RunResult, open_run


@pytest.fixture(scope="module")
def digits(finished: RunResult) -> tuple[np.ndarray, np.ndarray]:
    """The run's own test images and labels."""
    return open_run(finished.path).images.split_arrays("test")


def two_of_each(labels: np.ndarray) -> list[int]:
    """The first two rows of each class."""
    return sorted(int(row) for c in range(10) for row in np.flatnonzero(labels == c)[:2])


@pytest.fixture(scope="module")
def folder(digits: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty of them as files, one folder per class, and four files that are no images."""
    root = tmp_path_factory.mktemp("digits")
    images, labels = digits
    for i in two_of_each(labels):
        (root / str(labels[i])).mkdir(exist_ok=True)
        mode = "L" if i % 2 else "RGB"
        Image.fromarray(images[i, ..., 0]).convert(mode).save(root / str(labels[i]) / f"{i}.png")
    bad = root.parent / f"{root.name}-bad"
    bad.mkdir()
    (bad / "empty.jpg").write_bytes(b"")
    (bad / "text.png").write_text("no image", encoding="utf-8")
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), "uint8")).save(
        stream, "png"
    )
    (bad / "cut.png").write_bytes(stream.getvalue()[:500])
    (bad / "notes.txt").write_text("not looked at", encoding="utf-8")
    return root


def test_files_get_the_probabilities_of_the_run(
    finished: RunResult, folder: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    said = list(deployment.predict(finished.path, folder, top=3, batch_size=8))
    rows = [int(Path(found.path).stem) for found in said]
    assert sorted(rows) == two_of_each(digits[1])
    logits = RunDirectory(finished.path).model().predict(digits[0][rows], verbose=0)
    fitted = finished.results["temperature"]
    heat = fitted["value"] if fitted["used"] else 1.0  # each backend's run has its own
    e = np.exp((logits - logits.max(axis=1, keepdims=True)) / heat)
    wanted = e / e.sum(axis=1, keepdims=True)
    for found, row in zip(said, wanted, strict=True):
        best = np.argsort(-row, kind="stable")[:3]
        assert found.labels == tuple(best)
        assert found.names == tuple(str(label) for label in best)
        np.testing.assert_allclose(found.probabilities, row[best], atol=1e-5)
        assert found.problem is None and found.note is None


@pytest.mark.any_backend
def test_what_cannot_be_read_is_said_and_the_others_go_on(
    finished: RunResult, folder: Path
) -> None:
    bad = folder.parent / f"{folder.name}-bad"
    good = next(folder.rglob("*.png"))
    said = list(deployment.predict(finished.path, [bad, good, bad / "absent.png"], batch_size=2))
    assert [Path(found.path).name for found in said] == [
        "cut.png",
        "empty.jpg",
        "text.png",
        good.name,
        "absent.png",
    ]
    assert [found.problem is None for found in said] == [False, False, False, True, False]
    assert said[1].problem == "it has zero bytes"
    assert said[1].to_dict() == {"image": str(bad / "empty.jpg"), "problem": "it has zero bytes"}


@pytest.mark.any_backend
def test_a_constant_image_is_noted(finished: RunResult, tmp_path: Path) -> None:
    Image.new("L", (30, 20), 90).save(tmp_path / "flat.png")
    (found,) = deployment.predict(finished.path, tmp_path)
    assert found.note == "all of its pixels have one value"


def test_an_exported_file_says_the_same(finished: RunResult, folder: Path, tmp_path: Path) -> None:
    done = deployment.export(
        finished.path, "keras", tmp_path / "m.keras", temperature="auto", pixels=True
    )
    run = list(deployment.predict(finished.path, folder))
    file = list(deployment.predict(done.path, folder))
    assert [found.names for found in file] == [found.names for found in run]
    np.testing.assert_allclose(
        [found.probabilities for found in file],
        [found.probabilities for found in run],
        atol=1e-4,
    )
    whole, middle = done.path.read_bytes(), done.path.stat().st_size // 2
    changed = bytes([whole[middle] ^ 1])
    for content in (whole[:middle], whole[:middle] + changed + whole[middle + 1 :]):
        done.path.write_bytes(content)
        with pytest.raises(Damaged, match=r"exported model is damaged.*export it again\. Received"):
            deployment.Classifier(done.path)
    done.path.write_bytes(whole)
    done.beside.unlink()
    assert deployment.Classifier(done.path).class_names == tuple(map(str, range(10)))


@pytest.mark.any_backend
def test_images_are_read_no_further_ahead_than_asked(folder: Path) -> None:
    taken = []

    def files():
        for file in image_files([folder]):
            taken.append(file)
            yield file

    stream = read_ahead(files(), Centre((8, 8)), 1, threads=2, ahead=3)
    next(stream)
    assert len(taken) == 4
    stream.close()


def test_probabilities_of_arrays_are_checked(finished: RunResult) -> None:
    asked = deployment.Classifier(finished.path)
    used = finished.results["temperature"]["used"]
    assert asked.calibration.startswith("calibrated with temperature") == used
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1))
    np.testing.assert_allclose(asked.probabilities(images).sum(axis=1), 1)
    with pytest.raises(ValueError, match="multiply them by 255"):
        asked.probabilities(images / 255.0)


def ccsam(*arguments: str | Path, **options: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], **options)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.any_backend
def test_the_command_prints_rows_lines_and_files(
    finished: RunResult, folder: Path, tmp_path: Path
) -> None:
    code, out, err = ccsam("predict", finished.path, folder)
    assert code == 0 and len(out.splitlines()) == 20 and " %  " in out
    assert err.startswith("note: ") and "calibrated" in err.splitlines()[0]
    assert "20 images classified, 0 unreadable" in err
    files = "\n".join(str(path) for path in sorted(folder.rglob("*.png"))[:3]) + "\n"
    code, out, _ = ccsam("predict", finished.path, "-", "--json", "--top", "2", input=files)
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(lines) == 3 and len(lines[0]["top"]) == 2
    table = tmp_path / "p.csv"
    bad = folder.parent / f"{folder.name}-bad"
    code, out, err = ccsam("predict", finished.path, folder, bad, "--top", "2", "--output", table)
    assert code == 1 and out == ""
    assert err.count("unreadable: ") == 3
    rows = table.read_text(encoding="utf-8").splitlines()
    assert rows[0] == "image,class,probability,class_2,probability_2,problem"
    assert len(rows) == 24 and "it has zero bytes" in "".join(rows)
    code, _, err = ccsam("predict", finished.path, folder, "--output", table)
    assert code == 2 and "exists already" in err
    assert table.read_text(encoding="utf-8").splitlines() == rows


@pytest.mark.any_backend
def test_names_on_standard_input_may_be_any(
    finished: RunResult, folder: Path, tmp_path: Path
) -> None:
    image = next(folder.rglob("*.png")).read_bytes()
    names = [b" a b.png", "\u00e9\n2.png".encode(), b"caf\xe9.png"]
    for name in names:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(image)
    paths = [os.fsencode(tmp_path) + b"/" + name for name in names]
    for null, end, given in ((["-0"], b"\0", paths), ([], b"\r\n", paths[::2])):
        typed = b"".join(path + end for path in given)
        code, out, err = ccsam("predict", finished.path, "-", "--json", *null, input=typed)
        assert code == 0, err
        said = [os.fsencode(json.loads(line)["image"]) for line in out.splitlines()]
        assert said == given


@pytest.mark.any_backend
def test_the_command_ends_with_2_where_nothing_could_be_read(
    finished: RunResult, folder: Path, tmp_path: Path
) -> None:
    bad = folder.parent / f"{folder.name}-bad"
    assert ccsam("predict", finished.path, bad)[0] == 2
    code, _, err = ccsam("predict", finished.path, tmp_path)
    assert code == 2 and err.startswith("ccsam: error: there is no image in the folder")
    assert err.endswith(f"Received: {str(tmp_path)!r}\n") and len(err.splitlines()) == 1
    code, _, err = ccsam("predict", finished.path, "-")
    assert (code, err) == (
        2,
        "ccsam: error: no image was named: standard input held no path. Received: -\n",
    )


@pytest.mark.any_backend
@pytest.mark.parametrize("null", [[], ["-0"]])
@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "tiff", "webp"])
def test_an_image_on_standard_input_is_no_list_of_paths(
    tmp_path: Path, kind: str, null: list[str]
) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (20, 20), (10, 20, 30)).save(stream, kind)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text("{}", encoding="utf-8")
    code, out, err = ccsam("predict", tmp_path / "run", "-", *null, input=stream.getvalue())
    assert code == 2 and out == "" and len(err.splitlines()) == 1
    assert "standard input holds no list of paths (it looks like an image" in err


@pytest.mark.any_backend
def test_a_temperature_of_no_use_is_not_used(
    finished: RunResult, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    useless = deployment.Temperature(19.99, 8, 1.0, 1.1, 0.048, 0.018)
    monkeypatch.setattr(Subject, "temperature", lambda self, tau: useless)
    asked = deployment.Classifier(finished.path)
    assert asked.calibration == (
        "uncalibrated: temperature 1 is used. T = 20, fitted on 8 validation images, lies at an "
        "end of the range searched, 0.05 to 20"
    )
    plain = deployment.Classifier(finished.path, temperature=1.0)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1))
    np.testing.assert_array_equal(asked.probabilities(images), plain.probabilities(images))
    file = tmp_path / "m.keras"
    code, out, err = ccsam(
        "export", finished.path, "--format", "keras", "--out", file, "--temperature", "auto"
    )
    assert code == 0, err
    assert "temperature 1" in out and "lies at an end of the range" in out
    kept = json.loads((tmp_path / "m.keras.json").read_text(encoding="utf-8"))["temperature"]
    assert (kept["value"], kept["fitted"]["value"], kept["fitted"]["used"]) == (1.0, 19.99, False)
    assert "of no use" in deployment.Classifier(file).calibration
    table = tmp_path / "p.csv"
    assert ccsam("predict", file, folder, "--top", "99", "--output", table)[0] == 0
    assert table.read_text(encoding="utf-8").splitlines()[0].endswith("probability_10,problem")


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.pt2", "x", "what is asked is a run directory, or a .keras or .onnx file"),
        ("m.keras", "x", "which names its classes"),
        ("m.onnx", "x", "which names its classes"),
    ],
)
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    code, _, err = ccsam("predict", tmp_path / name, tmp_path)
    assert code == 2 and words in err and err.count("\n") == 1


@pytest.mark.any_backend
def test_a_labelled_folder_is_judged_by_name(
    finished: RunResult, folder: Path, tmp_path: Path, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    whole = deployment.evaluate_on(finished.path, folder)
    rows = two_of_each(digits[1])
    wanted = cc.evaluate(
        RunDirectory(finished.path).model(),
        (digits[0][rows], digits[1][rows]),
        finished.results["class_counts"],
    )
    assert whole.report.overall == wanted.overall
    assert whole.report.group_classes == finished.report.group_classes
    assert whole.notes == ()
    for name in ("0", "3"):
        (tmp_path / name).mkdir()
        for file in (folder / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    (tmp_path / "zebra").mkdir()
    (tmp_path / "zebra" / "z.png").write_bytes(next(folder.rglob("*.png")).read_bytes())
    part = deployment.evaluate_on(finished.path, tmp_path)
    assert part.report.confusion.sum() == 4
    assert part.notes[0].startswith("1 image of 1 class that the run does not know is left out")
    assert "8 of the run's classes" in part.notes[1]
    code, out, _ = ccsam("evaluate", finished.path, "--data", tmp_path)
    assert code == 0 and "zebra" in out


@pytest.mark.any_backend
def test_a_folder_of_other_classes_is_refused(
    finished: RunResult, folder: Path, tmp_path: Path
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        file = next(folder.rglob("*.png"))
        (tmp_path / name / "a.png").write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match=r"matched by name.*Received: cat, dog"):
        deployment.evaluate_on(finished.path, tmp_path)


@pytest.mark.any_backend
def test_arrays_of_another_range_are_refused(finished: RunResult, tmp_path: Path) -> None:
    images = np.random.default_rng(0).uniform(0, 1, (20, 8, 8, 1)).astype("float32")
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(20) % 10)
    code, _, err = ccsam("evaluate", finished.path, "--arrays", tmp_path / "a.npz")
    assert code == 2 and "multiply them by 255" in err
    results = json.loads((finished.path / "results.json").read_text(encoding="utf-8"))
    assert results["pixels"]["size"] == [8, 8] and results["pixels"]["dtype"] == "uint8"
