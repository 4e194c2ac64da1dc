"""Datasets of other packages: labels first, images when they are needed, the right pixels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import keras_ccsam as cc
from keras_ccsam.data.sources.dataset_images import DatasetImages

pytestmark = pytest.mark.any_backend


def pixels(label: int, row: int = 0) -> np.ndarray:
    made = np.random.default_rng(row).integers(0, 40, (10, 12, 3)).astype(np.uint8)
    made[..., label % 3] += 150
    return made


LABELS = [0] * 9 + [1] * 4 + [2] * 2
ITEMS = [(pixels(label, row), label) for row, label in enumerate(LABELS)]


class Counted:
    """A dataset that counts how often an item is made; with torchvision's list of labels or not."""

    def __init__(self, *, targets: bool) -> None:
        self.made = 0
        if targets:
            self.targets = LABELS
        self.classes = ["a", "b", "c"]

    def __len__(self) -> int:
        return len(ITEMS)

    def __getitem__(self, row: int) -> Any:
        self.made += 1
        return ITEMS[row]


def check(data: cc.data.LongTailedData) -> None:
    """Every image is of its label's colour."""
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert [image.mean((0, 1)).argmax() for image in x[:]] == y.tolist()
    assert data.class_counts == (7, 3, 1)


def test_labels_that_are_listed_make_no_item() -> None:
    dataset = Counted(targets=True)
    data = cc.data.from_dataset(dataset, size=8)
    assert dataset.made == 0 and data.class_names == ("a", "b", "c")
    assert isinstance(data.x_train, DatasetImages)
    check(data)


def test_without_a_list_items_are_made_once_and_it_is_said() -> None:
    dataset = Counted(targets=False)
    data = cc.data.from_dataset(dataset, size=8)
    assert dataset.made == len(ITEMS) and "were made once" in data.notes[0]
    check(data)


def test_a_stream_is_read_once_within_a_bound() -> None:
    def stream() -> Iterator[dict[str, Any]]:
        for image, label in ITEMS:
            yield {"image": np.moveaxis(image, -1, 0), "label": np.int64(label)}

    data = cc.data.from_dataset(stream(), size=8)
    assert isinstance(data.x_train, np.ndarray) and "read into memory" in data.notes[0]
    check(data)
    with pytest.raises(ValueError, match="more than max_bytes=1,000"):
        cc.data.from_dataset(stream(), size=8, max_bytes=1000)


def test_floats_need_their_scale() -> None:
    items = [(image / 255, label) for image, label in ITEMS]
    with pytest.raises(ValueError, match="say scale=255"):
        cc.data.from_dataset(items, size=8).x_train[:]
    check(cc.data.from_dataset(items, size=8, scale=255))
    with pytest.raises(ValueError, match="without its normalisation"):
        cc.data.from_dataset([(image - 0.5, y) for image, y in items], size=8).x_train[:]


@pytest.mark.parametrize(
    "items, said",
    [
        ([], "the dataset is empty"),
        ([(pixels(0), 0, 1)[:1]] * 3, "must be a pair of image and label"),
        ([{"picture": pixels(0), "y": 0}] * 3, "it has picture, y"),
        ([(pixels(0), 0), (pixels(1), 5)], "without a gap"),
        ([(pixels(0), None), (pixels(1), 1)], "every item needs a label"),
        ([(pixels(0)[0, 0], 0), (pixels(0), 1)], "an image must be pixels"),
        ([(np.zeros((5, 5, 7)), 0), (pixels(0), 1)], "1, 3 or 4 channels"),
        (3, "by number, or be gone through"),
    ],
)
def test_a_broken_dataset_is_answered(items: Any, said: str) -> None:
    with pytest.raises(ValueError) as error:
        cc.data.from_dataset(items, size=8, test_fraction=0).x_train[:]
    assert said in str(error.value) and "Received: " in str(error.value)


def test_a_hugging_face_dataset_in_memory_and_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = datasets.Features(
        {"img": datasets.Image(), "kind": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    columns = {"img": [Image.fromarray(image) for image, _ in ITEMS], "kind": LABELS}
    made = datasets.Dataset.from_dict(columns, features=features)
    data = cc.data.from_dataset(made, size=8)
    assert data.class_names == ("a", "b", "c")
    check(data)
    parts = datasets.DatasetDict({"train": made, "validation": made, "test": made})
    parts.save_to_disk(str(tmp_path / "saved"))
    found = cc.data.open_path(tmp_path / "saved", size=8)
    assert found.available == (9, 4, 2) and len(found.y_validation) == 15
    assert found.x_test[0].mean((0, 1)).argmax() == 0


def test_a_grain_dataset() -> None:
    grain = pytest.importorskip("grain")
    made = grain.MapDataset.source(ITEMS).map(lambda item: {"image": item[0], "label": item[1]})
    check(cc.data.from_dataset(made, size=8))


def test_torch_datasets() -> None:
    torch = pytest.importorskip("torch")
    images = torch.from_numpy(np.stack([image for image, _ in ITEMS])).permute(0, 3, 1, 2)
    made = torch.utils.data.TensorDataset(images, torch.tensor(LABELS))
    check(cc.data.from_dataset(made, size=8))
    loader = torch.utils.data.DataLoader(made, batch_size=4)

    class Batches:
        def __iter__(self) -> Iterator[Any]:
            yield from loader

    check(cc.data.from_dataset(Batches(), size=8))
