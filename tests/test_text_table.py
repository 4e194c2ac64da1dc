"""Tables that a terminal and a Markdown reader show as tables, whatever the names in them."""

import pytest

from keras_ccsam.text_table import markdown, shown, text_table

pytestmark = pytest.mark.any_backend

HOSTILE = ("new\nline", "\x1b[31mred", b"caf\xe9".decode("utf-8", "surrogateescape"), "\u202eRTL")


def test_names_neither_break_a_table_nor_command_a_terminal():
    table = text_table(("class", "%"), [(name, "1") for name in HOSTILE])
    assert table.isascii() and len(table.splitlines()) == 2 + len(HOSTILE)
    assert table.splitlines()[2:4] == ["new\\nline    1", "\\x1b[31mred  1"]
    assert len({len(line) for line in table.splitlines()}) == 1


def test_what_can_be_shown_stays():
    assert shown("\U0001f600 \u732b caf\u00e9 a|b \\n") == "\U0001f600 \u732b caf\u00e9 a|b \\n"


def test_a_bar_in_a_name_opens_no_column():
    lines = markdown(("run", "%"), [("a|b\nc", "1")]).splitlines()
    assert lines[2:] == ["| a\\|b\\nc | 1 |"]
