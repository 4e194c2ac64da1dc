"""Packs image files into one file that is mapped into memory, for epochs without decoding.

    form = "pixels"   uint8, side x side, the largest centred square of each image
    form = "jpeg"     JPEG whose shorter side is `side` at most, proportions kept

Per image of 3 channels, pixels take 3 side^2 bytes (150 kB at 224, 196 kB at 256), and reading is a
copy and a resize. JPEG at 256 takes about a tenth of that, and is decoded, but never from a file of
many megapixels. ImageNet-LT (115,846 images) is 23 GB as pixels of 256, and about 3 GB as JPEG.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_ccsam import atomic
from keras_ccsam.data.batches.prefetch import Prefetcher
from keras_ccsam.data.batches.workers import Workers, cores
from keras_ccsam.data.images import decode
from keras_ccsam.data.images.accelerated import FILTER
from keras_ccsam.data.images.files import ImageFiles, checked_size
from keras_ccsam.data.images.pack_claim import claimed, unfinished
from keras_ccsam.data.images.pack_index import IMAGES, INDEX, Form, PackIndex, stamps
from keras_ccsam.data.images.view import Centre, seen
from keras_ccsam.text_table import text_table

_PIECE = 16


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Attributes:
        folder: where it lies.
        images, form, side, bytes, sha256: of the pack.
        source_bytes: of the files that it was made of.
        seconds: that it took; 0 where it was there already.
    """

    folder: Path
    images: int
    form: Form
    side: int
    bytes: int
    source_bytes: int
    sha256: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return {**vars(self), "folder": str(self.folder)}

    def table(self) -> str:
        """In a table of facts."""
        each = self.bytes / max(self.images, 1) / 1000
        facts = [
            ("images", f"{self.images:,}"),
            ("form", f"{self.form}, {self.side} pixels"),
            ("size", f"{self.bytes / 1e6:,.1f} MB, {each:.1f} kB per image"),
            ("files", f"{self.source_bytes / 1e6:,.1f} MB"),
            ("sha256", self.sha256),
            ("folder", str(self.folder)),
        ]
        return text_table(("packed", ""), facts, ("",))


def pack(
    images: ImageFiles,
    folder: str | os.PathLike[str],
    *,
    form: Form = "pixels",
    side: int | None = None,
    quality: int = 90,
    workers: Workers = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Packed:
    """Packs the images of files; `PackedImages` opens them.

    The same images packed in the same way are found, not packed again. A pack is whole or absent.

    Args:
        images: what is packed; its view for evaluation, without the margin that `resize` cuts off.
        folder: for the pack; it is made, and must be empty otherwise.
        form: `"pixels"` or `"jpeg"`; see above.
        side: pixels; that of the images without one, and for JPEG 256 at least.
        quality: of JPEG, from 1 to 95.
        workers: threads that decode; `"auto"` is one per core.
        progress: called with the images done and all of them, now and then.

    Raises:
        ValueError: an argument outside its range, a folder that holds something else, or another
            process that packs into it.
        UnreadableImage: a file that cannot be read; nothing is left behind then.
    """
    if form not in ("pixels", "jpeg"):
        raise ValueError(f'form must be "pixels" or "jpeg". Received: form={form!r}')
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must be from 1 to 95. Received: quality={quality}")
    own = max(images.size) if form == "pixels" else max(*images.size, 256)
    side = checked_size(own if side is None else side)[0]
    target = Path(folder)
    stamped = stamps([images.path(row) for row in range(len(images))])
    source_bytes = sum(max(size, 0) for size, _ in stamped)
    if there := _there(target, images, form, side, stamped):
        return Packed(target, len(images), form, side, there.bytes, source_bytes, there.sha256, 0.0)
    began = time.perf_counter()
    steps = -(-len(images) // _PIECE)

    def packed(_: int, step: int) -> list[bytes]:
        rows = range(step * _PIECE, min((step + 1) * _PIECE, len(images)))
        paths = [images.path(row) for row in rows]
        if form == "pixels":
            return [_pixels(path, side, images.channels) for path in paths]
        return [_jpeg(path, side, images.channels, quality) for path in paths]

    ahead = Prefetcher(packed, cores() if workers == "auto" else int(workers))
    found, ends, done = hashlib.sha256(), [0], 0
    with atomic.made_folder(target), claimed(target):
        try:
            with atomic.replacing(target / IMAGES) as temporary, open(temporary, "wb") as file:
                for step in range(steps):
                    for data in ahead.get(0, step, steps):
                        file.write(data)
                        found.update(data)
                        ends.append(ends[-1] + len(data))
                        done += 1
                    if progress is not None:
                        progress(done, len(images))
                if stamps([images.path(row) for row in range(len(images))]) != stamped:
                    raise ValueError(
                        "image files were changed while they were packed; pack them again. "
                        f"Received: folder={str(target)!r}"
                    )
        finally:
            ahead.close()
        index = PackIndex(
            form=form,
            side=side,
            channels=images.channels,
            ends=tuple(ends[1:]) if form == "jpeg" else (),
            paths=tuple(images.paths),
            stamps=stamped,
            bytes=ends[-1],
            sha256=found.hexdigest(),
        )
        index.save(target)
    took = time.perf_counter() - began
    return Packed(target, done, form, side, ends[-1], source_bytes, index.sha256, took)


def _there(
    target: Path, images: ImageFiles, form: Form, side: int, stamped: tuple[tuple[int, int], ...]
) -> PackIndex | None:
    """The pack that is asked for, where it is there already."""
    if not target.is_dir():
        if target.exists():
            raise ValueError(f"the pack needs a folder. Received: folder={str(target)!r}")
        return None
    others = sorted(set(target.iterdir()) - set(unfinished(target)))
    if not others:
        return None
    if (target / INDEX).is_file():
        found = PackIndex.load(target)
        asked = (form, side, images.channels, tuple(images.paths), stamped)
        if (found.form, found.side, found.channels, found.paths, found.stamps) == asked:
            return found
    raise ValueError(
        f"the folder must be new or empty: it holds other files ({others[0].name}), or other "
        f"images packed. Received: folder={str(target)!r}"
    )


def _pixels(path: str, side: int, channels: int) -> bytes:
    return seen(path, Centre((side, side)), (side, side), channels).tobytes()


def _jpeg(path: str, side: int, channels: int, quality: int) -> bytes:
    """The image as JPEG, its shorter side `side` at most; never enlarged."""
    with decode.opened(path, channels) as image:
        width, height = decode.upright_size(image)
        scale = min(1.0, side / min(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        decode.reduce(image, (size[1], size[0]), channels)
        whole = decode.as_mode(decode.upright(image), channels)
        if whole.size != size:
            whole = whole.resize(size, FILTER)
        file = io.BytesIO()
        Image.fromarray(np.asarray(whole)).save(file, "JPEG", quality=quality)
        return file.getvalue()
