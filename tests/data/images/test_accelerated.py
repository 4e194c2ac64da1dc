"""The extras `fast` and `crops` give the pixels of Pillow alone, and refuse the same files."""

import importlib
import io
import threading

import numpy as np
import pytest
from PIL import Image

import keras_ccsam.data as ccdata
from keras_ccsam.data import ImageFiles, UnreadableImage
from keras_ccsam.data.batches.augment import Flip
from keras_ccsam.data.images import accelerated, jpeg_parts, turbojpeg
from keras_ccsam.data.images.view import Centre, seen
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend

# What each may change, of 255: it decodes, it rounds once more, or in each of two directions.
EXTRAS = {"turbojpeg": 0, "simplejpeg": 0, "cv2": 1, "cykooz_resizer": 2}


@pytest.fixture
def only(monkeypatch):
    """Hides all extras but those that are named."""
    real, library, decoder = accelerated.module, turbojpeg.library, turbojpeg.decoder

    def show(*names):
        def module(name):
            return real(name) if name in names else None

        there = "turbojpeg" in names
        monkeypatch.setattr(accelerated, "module", module)
        monkeypatch.setattr(jpeg_parts, "module", module)
        monkeypatch.setattr(turbojpeg, "library", library if there else lambda: None)
        monkeypatch.setattr(turbojpeg, "decoder", decoder if there else lambda: None)

    for name in EXTRAS:
        if name != "turbojpeg":
            pytest.importorskip(name)
    if library() is None:
        pytest.skip("TurboJPEG 3 is not there")
    return show


def photograph(width, height, seed=0, **options):
    """The bytes of a JPEG with edges, whose colours change from pixel to pixel."""
    rng = np.random.default_rng(seed)
    pixels = picture(width, height, seed).astype(int) + rng.integers(-20, 20, (height, width, 3))
    pixels[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 255, 3)
    file = io.BytesIO()
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    image.save(file, "JPEG", **{"quality": 85, **options})
    return file.getvalue()


def views(count=4, seed=0):
    return ccdata.RandomResizedCrop().views(count, np.random.default_rng(seed))


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("subsampling", [0, 1, 2])  # 4:4:4, 4:2:2, 4:2:0
def test_each_gives_the_pixels_of_pillow(only, extra, subsampling):
    differences = []
    # Enlarged, of nearly the same size, shrunk, and so large that less of it is decoded.
    for i, (width, height) in enumerate([(60, 47), (131, 90), (97, 260), (515, 390)]):
        data = photograph(width, height, i, subsampling=subsampling, progressive=i % 2 == 1)
        for view in (Centre((64, 72)), Centre((64, 72), 80), *views(seed=i)):
            only()
            plain = seen(data, view, (64, 72), 3).astype(int)
            only(extra)
            differences.append(np.abs(seen(data, view, (64, 72), 3) - plain))
    largest = EXTRAS[extra]
    assert max(difference.max() for difference in differences) <= largest
    # What differs by 2 is rare.
    assert np.mean([difference > 1 for difference in differences]) < 1e-4


@pytest.mark.parametrize("scale", [1, 2])
def test_the_edges_of_a_part_are_those_of_the_whole(only, scale):
    # Colours of half the width are interpolated across the blocks in which they are coded.
    data = photograph(140, 120, subsampling=2)
    decoder = turbojpeg.decoder()
    header = decoder.header(data)
    whole = decoder.part(data, header, (0, 0, 140 // scale, 120 // scale), scale).copy()
    for first in range(34):
        box = (first, first, first + 17 + first % 3, first + 25)
        part = decoder.part(data, header, box, scale)
        assert np.array_equal(part, whole[box[1] : box[3], box[0] : box[2]]), box


def test_only_the_part_is_decoded_at_the_scale_that_will_do(only, monkeypatch):
    only("turbojpeg")
    asked = []
    real = turbojpeg.PartDecoder.part

    def noted(self, data, header, box, scale=1):
        asked.append((box, scale))
        return real(self, data, header, box, scale)

    monkeypatch.setattr(turbojpeg.PartDecoder, "part", noted)
    data = photograph(400, 320)
    seen(data, Centre((160, 160), 320), (160, 160), 3)
    seen(data, Centre((80, 80)), (80, 80), 3)
    assert asked == [((120, 80, 280, 240), 1), ((10, 0, 90, 80), 4)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_shown_upright_by_either(only, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = photograph(64, 40, exif=exif)
    only()
    plain = seen(data, Centre((32, 48)), (32, 48), 3)
    only("turbojpeg")
    assert np.array_equal(seen(data, Centre((32, 48)), (32, 48), 3), plain)


def with_end(data: bytes) -> bytes:
    return data + b"\xff\xd9"


SPOILT = {
    "cut": lambda data: data[: len(data) // 2],
    "cut, with an end": lambda data: with_end(data[: len(data) // 2]),
    "a head alone": lambda data: with_end(data[:300]),
    "something after the end": lambda data: data + b"\0" * 50,
    "zeros inside": lambda data: data[:2000] + bytes(400) + data[2400:],
    "no tables": lambda data: data.replace(b"\xff\xc4", b"\xff\xfe"),
    "two pieces of EXIF": lambda data: data[:2] + 2 * b"\xff\xe1\0\x0aExif\0\0II" + data[2:],
    "EXIF of nonsense": lambda data: data[:2] + b"\xff\xe1\0\x0cExif\0\0abcd" + data[2:],
    "a segment without length": lambda data: data[:2] + b"\xff\xe2\0\0" + data[2:],
    "fill bytes": lambda data: data[:2] + b"\xff\xff" + data[2:],
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_file_is_the_same_to_either(only, how, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(SPOILT[how](photograph(200, 150)))
    found = []
    for extras in ((), ("turbojpeg",), ("simplejpeg",)):
        only(*extras)
        try:
            found.append(seen(path, Centre((150, 150), 150), (150, 150), 3).tobytes())
        except UnreadableImage as error:
            assert error.file == str(path)
            found.append(error.kind)
    assert found[0] == found[1] == found[2]
    assert how != "cut" or found[0] == "truncated"


def test_other_kinds_of_jpeg_are_left_to_pillow(only):
    only("turbojpeg")
    for mode in ("L", "CMYK"):
        file = io.BytesIO()
        Image.fromarray(picture()).convert(mode).save(file, "JPEG")
        out = np.zeros((24, 24, 3), np.uint8)
        assert not jpeg_parts.shown(file.getvalue(), Centre((24, 24)), out)
        assert seen(file.getvalue(), Centre((24, 24)), (24, 24), 3).std() > 0


def test_threads_do_not_share_what_they_decode_into(only):
    only(*EXTRAS)
    files = [photograph(150, 120, i) for i in range(4)]
    alone = [seen(data, Centre((64, 64), 100), (64, 64), 3) for data in files]
    wrong = []

    def work(which):
        for _ in range(60):
            if not np.array_equal(
                seen(files[which], Centre((64, 64), 100), (64, 64), 3), alone[which]
            ):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_not_installed_is_not_missed(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    (tmp_path / "a.jpg").write_bytes(photograph(90, 80))
    store = ImageFiles(["a.jpg"] * 3, tmp_path, size=64, resize=72)
    monkeypatch.setattr(turbojpeg, "_places", lambda: iter(["libthere-is-none.so"]))
    monkeypatch.setattr(importlib, "import_module", absent)
    monkeypatch.setattr(turbojpeg, "_here", threading.local())
    for cached in (accelerated.module, turbojpeg.library):
        cached.cache_clear()
    try:
        framed = ccdata.from_arrays(store, np.arange(3) % 2).batches(workers=1)
        assert framed[0][0].shape == (3, 64, 64, 3)
        assert accelerated.module("cv2") is None and turbojpeg.library() is None
    finally:
        for cached in (accelerated.module, turbojpeg.library):
            cached.cache_clear()


@pytest.mark.parametrize("side", [8, 96])
def test_mirrored_in_place_and_as_a_copy(side):
    x = np.random.default_rng(0).integers(0, 256, (12, side, side, 3), np.uint8)
    before = x.copy()
    copied = Flip()(x, np.random.default_rng(1))
    assert np.array_equal(x, before)
    assert Flip().in_place(x, np.random.default_rng(1)) is x
    assert np.array_equal(x, copied)
    flipped = np.random.default_rng(1).random(12) < 0.5
    assert np.array_equal(x[flipped], before[flipped, :, ::-1])
    assert np.array_equal(x[~flipped], before[~flipped])
