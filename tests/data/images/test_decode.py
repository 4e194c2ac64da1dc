"""Files of every kind become the pixels that they are meant to show."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_ccsam.data.images.decode import MAX_PIXELS, decode
from keras_ccsam.data.images.unreadable import UnreadableImage
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, bits: int, colour: int, pixels: bytes = b"\x00") -> bytes:
    """A PNG written by hand: its header may say anything."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_give_their_pixels(kind):
    pixels = picture()
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode(saved(Image.fromarray(pixels), kind, **options)), pixels)


def test_jpeg_is_close_to_its_pixels_and_a_path_a_file_and_bytes_are_the_same(tmp_path):
    pixels = picture()
    path = tmp_path / "a picture.jpg"
    Image.fromarray(pixels).save(path, quality=95)
    found = decode(path)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - pixels).mean() < 2
    with open(path, "rb") as file:
        assert np.array_equal(decode(file), found)
    assert np.array_equal(decode(str(path)), found)
    assert np.array_equal(decode(path.read_bytes()), found)


def test_grey_becomes_rgb_and_rgb_grey():
    grey = picture()[..., 0]
    found = decode(saved(Image.fromarray(grey), "PNG"))
    assert np.array_equal(found, np.repeat(grey[..., None], 3, axis=2))
    alone = decode(saved(Image.fromarray(grey), "PNG"), channels=1)
    assert np.array_equal(alone, grey[..., None])
    colour = decode(saved(Image.fromarray(picture()), "PNG"), channels=1)
    luma = picture() @ np.array([0.299, 0.587, 0.114])
    assert colour.shape == (48, 64, 1)
    assert np.abs(colour[..., 0] - luma).max() <= 1


def test_sixteen_bits_keep_black_white_and_what_is_between():
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        found = decode(saved(Image.fromarray(values), kind), channels=1)
        assert found[0, :, 0].tolist() == [0, 1, 128, 255]
    # Sixteen bits of colour: two bytes per value, the higher one first.
    colour = png(1, 1, 16, 2, b"\x00" + bytes([255, 255, 128, 128, 1, 254]))
    assert decode(colour)[0, 0].tolist() == [255, 128, 1]  # 510 / 257 is nearly 2


def test_a_palette_and_what_is_transparent_in_it():
    image = Image.new("P", (2, 1))
    image.putpalette([200, 10, 20, 0, 0, 0])
    image.putdata([0, 1])
    assert decode(saved(image, "PNG"))[0].tolist() == [[200, 10, 20], [0, 0, 0]]
    clear = decode(saved(image, "PNG", transparency=1))
    assert clear[0].tolist() == [[200, 10, 20], [255, 255, 255]]


def test_alpha_lies_over_white():
    pixels = np.array([[[10, 20, 30, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    found = decode(saved(Image.fromarray(pixels, "RGBA"), "PNG"))[0]
    assert found[0].tolist() == [10, 20, 30]
    assert found[1].tolist() == [255, 255, 255]
    assert abs(int(found[2, 0]) - 127) <= 1
    grey = Image.fromarray(np.array([[[0, 0], [9, 255]]], dtype=np.uint8), "LA")
    assert decode(saved(grey, "PNG"), channels=1)[0, :, 0].tolist() == [255, 9]


def test_cmyk_and_two_tones_and_a_gif():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    found = decode(saved(cmyk, "JPEG", quality=100))[4, 4]
    assert found[0] > 240 and found[1] < 20 and found[2] < 20
    assert decode(saved(Image.new("1", (4, 4), 1), "PNG")).min() == 255
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    animated = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(animated)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    pixels = picture(16, 8)
    # How a camera held otherwise would have written what is upright in `pixels`.
    turned = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[::-1],
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(turned))
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(decode(saved(image, kind, exif=exif)), pixels), kind


def test_nonsense_in_exif_is_no_reason_to_refuse():
    data = saved(Image.fromarray(picture()), "JPEG", exif=b"Exif\x00\x00garbage")
    assert decode(data).shape == (48, 64, 3)


def test_jpeg_at_reduced_scale_stays_as_large_as_asked():
    data = saved(Image.fromarray(picture(512, 256)), "JPEG")
    assert decode(data, at_least=(60, 60)).shape[0] == 64
    assert decode(data, at_least=(65, 60)).shape[0] == 128
    assert decode(data, at_least=(257, 600)).shape[0] == 256
    whole = Image.fromarray(decode(data)).reduce(4)
    small = decode(data, at_least=(60, 60))
    assert np.abs(np.asarray(whole).astype(int) - small).mean() < 2


WHOLE = {
    "PNG": saved(Image.fromarray(picture(256, 256)), "PNG"),
    "JPEG": saved(Image.fromarray(picture(256, 256)), "JPEG", quality=95),
    "WEBP": saved(Image.fromarray(picture(256, 256)), "WEBP"),
    "BMP": saved(Image.fromarray(picture(256, 256)), "BMP"),
    "TIFF": saved(Image.fromarray(picture(256, 256)), "TIFF"),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_ends_too_early(kind, share, tmp_path):
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(WHOLE[kind][: int(len(WHOLE[kind]) * share)])
    said = r'on_error="skip" .* \(--set data.on_error=skip on the command line\). Received: '
    with pytest.raises(UnreadableImage, match=rf"{said}file='.*cut\.") as error:
        decode(path)
    assert error.value.kind in ("truncated", "corrupt", "foreign")
    assert str(path) in str(error.value)


@pytest.mark.parametrize("kind", WHOLE)
def test_flipped_bytes_give_pixels_or_one_error(kind):
    rng = np.random.default_rng(0)
    for _ in range(40):
        data = bytearray(WHOLE[kind])
        for place in rng.integers(0, min(len(data), 600), size=3):
            data[place] = rng.integers(256)
        try:
            assert decode(bytes(data)).ndim == 3
        except UnreadableImage as error:
            assert "Received: file=" in str(error)


def test_files_that_are_no_images(tmp_path):
    cases = {
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"these are words\n" * 40, "foreign"),
        "page.png": (b"<html><body>404 Not Found</body></html>", "foreign"),
        "vector.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "foreign"),
        "zeros.png": (bytes(5000), "foreign"),
    }
    for name, (content, kind) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableImage) as error:
            decode(tmp_path / name)
        assert (error.value.kind, error.value.file) == (kind, str(tmp_path / name))
    with pytest.raises(UnreadableImage, match="no such file") as error:
        decode(tmp_path / "absent.jpg")
    assert error.value.kind == "missing"
    with pytest.raises(UnreadableImage, match="folder"):
        decode(tmp_path)


def test_a_format_that_is_not_on_the_list_is_not_even_tried():
    data = saved(Image.new("RGB", (4, 4)), "PCX")
    with pytest.raises(UnreadableImage, match="none of JPEG, PNG") as error:
        decode(data)
    assert error.value.kind == "foreign"
    with pytest.raises(UnreadableImage):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n(exec)\n")


@pytest.mark.parametrize("side", [10_000, 60_000, 2**31 - 1])
def test_a_header_that_promises_billions_of_pixels_is_not_decoded(side):
    assert side * side > MAX_PIXELS
    with pytest.raises(UnreadableImage, match=r"pixels") as error:
        decode(png(side, side, 8, 2))
    assert error.value.kind == "too large"


def test_floats_have_no_known_white(tmp_path):
    data = saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    with pytest.raises(UnreadableImage, match="8 or 16 bits"):
        decode(data)
    with pytest.raises(ValueError, match="channels=4"):
        decode(data, channels=4)


def test_the_error_survives_another_process():
    import pickle

    error = pickle.loads(pickle.dumps(UnreadableImage("a.jpg", "empty", "it has zero bytes")))
    assert (error.file, error.kind, error.reason) == ("a.jpg", "empty", "it has zero bytes")
