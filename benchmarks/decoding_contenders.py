"""Input pipelines over the same JPEG files: what benchmarks/decoding.py compares.

Each gives batches (images, labels) of uint8 (B, 224, 224, 3), for one epoch. Transforms:

    train   random-resized crop (0.08 to 1 of the area, 3/4 to 4/3) to 224, mirrored at random
    test    shorter side to 256, the centre of 224 x 224

tf.data resizes without antialiasing, its default, which is less work; the others antialias.
"""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SIZE, RESIZE, BATCH = 224, 256, 128
Epochs = Callable[[int], Iterator[Any]]


def ours(root: Path, names: list[str], labels: list[int], train: bool, workers: int) -> Epochs:
    """`BatchSequence` on `ImageFiles`."""
    from keras_ccsam import data

    store = data.ImageFiles(names, root, size=SIZE, resize=RESIZE)
    return _sequence(store, labels, train, workers)


def ours_packed(
    root: Path, names: list[str], labels: list[int], train: bool, workers: int
) -> Epochs:
    """The same on pixels of 256 x 256 that were packed before."""
    from keras_ccsam import data

    store = data.ImageFiles(names, root, size=SIZE, resize=RESIZE)
    folder = root.parent / f"packed-{len(names)}"
    data.pack(store, folder, side=RESIZE)
    return _sequence(data.PackedImages.of(store, folder), labels, train, workers)


def _sequence(store: Any, labels: list[int], train: bool, workers: int) -> Epochs:
    from keras_ccsam import data

    augment = ("random_resized_crop", "flip") if train else ()
    sequence = data.from_arrays(store, labels).batches(
        batch_size=BATCH,
        augment=augment,
        sampler="instance" if train else "sequential",
        workers=workers,
    )

    def epoch(number: int) -> Iterator[Any]:
        sequence.set_epoch(number)
        return (sequence[step] for step in range(len(sequence)))

    return epoch


def torch_pillow(
    root: Path, names: list[str], labels: list[int], train: bool, workers: int
) -> Epochs:
    """torch's DataLoader; Pillow opens, cuts, resizes and mirrors, as torchvision has it do."""

    def transform(image: Any) -> Any:
        from PIL import Image

        if not train:
            wide, high = image.size
            scale = RESIZE / min(wide, high)
            image = image.resize((round(wide * scale), round(high * scale)), Image.BILINEAR)
            left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
            return image.crop((left, top, left + SIZE, top + SIZE))
        left, top, wide, high = _random_box(*image.size)
        image = image.crop((left, top, left + wide, top + high))
        image = image.resize((SIZE, SIZE), Image.BILINEAR)
        return image.transpose(Image.FLIP_LEFT_RIGHT) if np.random.rand() < 0.5 else image

    return _loader(root, names, labels, train, workers, transform)


def torch_torchvision(
    root: Path, names: list[str], labels: list[int], train: bool, workers: int
) -> Epochs:
    """torch's DataLoader with torchvision's transforms on Pillow images, its ImageFolder's."""
    from torchvision.transforms import v2

    if train:
        steps = [v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip()]
    else:
        steps = [v2.Resize(RESIZE), v2.CenterCrop(SIZE)]
    return _loader(root, names, labels, train, workers, v2.Compose(steps))


class _Files:
    """What torch calls a data set."""

    def __init__(self, root: Path, names: list[str], labels: list[int], transform: Any) -> None:
        self.paths = [str(root / name) for name in names]
        self.labels, self.transform = labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Any:
        import torch
        from PIL import Image

        with open(self.paths[row], "rb") as file:
            image = self.transform(Image.open(file).convert("RGB"))
        return torch.from_numpy(np.array(image)), self.labels[row]


def _loader(
    root: Path, names: list[str], labels: list[int], train: bool, workers: int, transform: Any
) -> Epochs:
    import torch

    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(
        _Files(root, names, labels, transform),
        batch_size=BATCH,
        shuffle=train,
        # One core: the process itself, without the copies between two.
        num_workers=0 if workers == 1 else workers,
    )
    return lambda number: iter(loader)


def tf_data(root: Path, names: list[str], labels: list[int], train: bool, workers: int) -> Epochs:
    """tf.data, which decodes no more of a JPEG than the part that is cut out."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(workers)
    tf.config.threading.set_intra_op_parallelism_threads(1)

    def load(path: Any, label: Any) -> Any:
        file = tf.io.read_file(path)
        if not train:
            image = tf.io.decode_jpeg(file, channels=3)
            shape = tf.cast(tf.shape(image)[:2], tf.float32)
            scale = RESIZE / tf.reduce_min(shape)
            image = tf.image.resize(image, tf.cast(tf.round(shape * scale), tf.int32))
            image = tf.image.resize_with_crop_or_pad(image, SIZE, SIZE)
            return tf.cast(image, tf.uint8), label
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.io.extract_jpeg_shape(file),
            tf.zeros((0, 0, 4)),
            area_range=(0.08, 1.0),
            aspect_ratio_range=(0.75, 4 / 3),
            use_image_if_no_bounding_boxes=True,
        )
        top, left, _ = tf.unstack(begin)
        high, wide, _ = tf.unstack(size)
        image = tf.io.decode_and_crop_jpeg(file, tf.stack([top, left, high, wide]), channels=3)
        image = tf.image.random_flip_left_right(tf.image.resize(image, (SIZE, SIZE)))
        return tf.cast(image, tf.uint8), label

    found = tf.data.Dataset.from_tensor_slices(([str(root / name) for name in names], labels))
    if train:
        found = found.shuffle(len(names))
    found = found.map(load, num_parallel_calls=workers).batch(BATCH).prefetch(1)
    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    found = found.with_options(options)
    return lambda number: iter(found)


def grain(root: Path, names: list[str], labels: list[int], train: bool, workers: int) -> Epochs:
    """grain with threads, on Pillow."""
    import grain as library
    from PIL import Image

    paths = [str(root / name) for name in names]

    def load(row: int, rng: np.random.Generator) -> Any:
        with open(paths[row], "rb") as file:
            image = Image.open(file).convert("RGB")
        if not train:
            wide, high = image.size
            scale = RESIZE / min(wide, high)
            image = image.resize((round(wide * scale), round(high * scale)), Image.BILINEAR)
            left, top = (image.width - SIZE) // 2, (image.height - SIZE) // 2
            return np.asarray(image.crop((left, top, left + SIZE, top + SIZE))), labels[row]
        left, top, wide, high = _random_box(*image.size, rng)
        image = image.crop((left, top, left + wide, top + high))
        pixels = np.asarray(image.resize((SIZE, SIZE), Image.BILINEAR))
        return (pixels[:, ::-1] if rng.random() < 0.5 else pixels), labels[row]

    def epoch(number: int) -> Iterator[Any]:
        found = library.MapDataset.range(len(names)).seed(number)
        found = found.shuffle() if train else found
        reading = library.ReadOptions(num_threads=workers, prefetch_buffer_size=2 * BATCH)
        return iter(found.random_map(load).to_iter_dataset(reading).batch(BATCH))

    return epoch


def _random_box(
    wide: int, high: int, rng: np.random.Generator | None = None
) -> tuple[int, int, int, int]:
    """Left, top, width and height, as torchvision draws them."""
    rng = np.random.default_rng(np.random.randint(2**31)) if rng is None else rng
    for _ in range(10):
        area, ratio = rng.uniform(0.08, 1.0), math.exp(rng.uniform(math.log(0.75), -math.log(0.75)))
        w = round(math.sqrt(area * wide * high * ratio))
        h = round(math.sqrt(area * wide * high / ratio))
        if 0 < w <= wide and 0 < h <= high:
            return int(rng.integers(wide - w + 1)), int(rng.integers(high - h + 1)), w, h
    side = min(wide, high)
    return (wide - side) // 2, (high - side) // 2, side, side


CONTENDERS: dict[str, tuple[str, Callable[..., Epochs]]] = {
    "ours": ("**ours**, files", ours),
    "ours-packed": ("**ours**, packed as pixels of 256 x 256", ours_packed),
    "torch-torchvision": ("torch DataLoader, torchvision", torch_torchvision),
    "torch-pillow": ("torch DataLoader, Pillow", torch_pillow),
    "tf-data": ("tf.data", tf_data),
    "grain": ("grain, Pillow", grain),
}
