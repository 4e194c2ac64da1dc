"""The published lists of ImageNet-LT, Places-LT and iNaturalist 2018, known by their content.

A list is recognised by its git blob id, the SHA-1 of "blob <length>\\0" and the content, with line
ends of Unix: the id that twenty and more public copies share. Of three of them only the first
eight digits are on record here; the number of lines is compared as well.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownList:
    """A published list.

    Attributes:
        name: of its file, without the ending.
        dataset: the setting that it belongs to.
        blob: the git blob id, or its first digits.
        lines: images.
    """

    name: str
    dataset: str
    blob: str
    lines: int


KNOWN = (
    KnownList("ImageNet_LT_train", "imagenet-lt", "a063f095", 115_846),
    KnownList("ImageNet_LT_val", "imagenet-lt", "3ed3188b", 20_000),
    KnownList(
        "ImageNet_LT_test", "imagenet-lt", "76a2fb9749d6cd29e765cc4f8c270f2504131e2f", 50_000
    ),
    KnownList("Places_LT_train", "places-lt", "6392252f8ae867bc8a5e841cc1b29e5b8ef4b636", 62_500),
    KnownList(
        "Places_LT_v2_train", "places-lt", "1d608b558c25c271da75c06f1e5e3625a4ebcb79", 62_500
    ),
    KnownList("Places_LT_test", "places-lt", "e732e58b8aa718a2c1c11933375f5710652c2b93", 36_500),
    KnownList("Places_LT_v2_test", "places-lt", "d43400ac", 36_500),
    KnownList("iNaturalist18_train", "inat2018", "4accdb75", 437_513),
    KnownList("iNaturalist18_val", "inat2018", "4c23900857fd0f5adcd4cc0dffef345039eeb05f", 24_426),
)


def blob_id(content: bytes) -> str:
    """The git blob id of a text with line ends of Unix."""
    text = content.replace(b"\r\n", b"\n")
    # A name for a file, and no protection of anything.
    return hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest()


def known_list(content: bytes) -> KnownList | None:
    """The published list that a file is; None for another one."""
    blob = blob_id(content)
    found = next((known for known in KNOWN if blob.startswith(known.blob)), None)
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    return found if found is not None and lines == found.lines else None


def named_like(name: str) -> KnownList | None:
    """The published list whose file has that name, whatever it holds."""
    stem = name.partition(".")[0].lower()
    return next((known for known in KNOWN if known.name.lower() == stem), None)
