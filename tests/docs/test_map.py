"""The map of the house in CONTRIBUTING is the house that the architecture test holds."""

import re

import pytest

from docs import pages
from tests.test_architecture import LEVELS

pytestmark = pytest.mark.any_backend

ROW = re.compile(r"^\| (\d+) \| (.+?) \| .+ \|$", re.MULTILINE)
# What the rooms are called there and here.
SHOWN = {"": "keras_ccsam/__init__.py", "keras_ccsam_cli": "cli"}


def test_the_map_shows_every_floor_and_room():
    text = (pages.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = {int(floor): set(re.findall(r"`(.+?)`", rooms)) for floor, rooms in ROW.findall(text)}
    built = {floor: {SHOWN.get(room, room) for room in rooms} for floor, rooms in enumerate(LEVELS)}
    assert shown == built


def test_every_room_exists():
    for rooms in LEVELS:
        for room in rooms - set(SHOWN):
            folder = pages.ROOT / "keras_ccsam" / room
            assert folder.is_dir() or folder.with_suffix(".py").is_file(), room
