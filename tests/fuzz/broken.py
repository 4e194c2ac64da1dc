"""Inputs that are almost right: what a reader gets wrong lies there, not among random bytes."""

import json
from collections import Counter
from typing import Any

from hypothesis import strategies as st

GIVEN: Counter[str] = Counter()
"""Inputs that each test has given to its reader."""

_BYTES = [b"", b"\0", b"\xff\xfe", b"\n", b"\r\n", b",", b'"', b"..", b"/", b"-1", b"1e999", b"NaN"]
_BYTES += [b"[" * 3000, b"{}", b"null", b"9" * 400, b"\xf0\x9f\x90\xa6", b"\x80", b"\x1b[2J", b"="]

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["", "..", "/etc/passwd", "a:b", "os:system", "none", "file:///x", "hf://a/b"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def changed_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with some of its bytes changed, taken away, repeated or put in; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([1, 2, 4, 30]))
        match draw(st.integers(0, 4)):
            case 0:
                del content[first:]
            case 1:
                del content[first : first + length]
            case 2:
                content[first:first] = content[first : first + length] * 2
            case 3:
                content[first:first] = draw(st.sampled_from(_BYTES))
            case _:
                content[first : first + length] = draw(st.binary(min_size=1, max_size=4))
    return bytes(content)


@st.composite
def changed_json(draw: st.DrawFn, whole: Any) -> Any:
    """A document with one of its values replaced, taken away, or given to another key."""
    if draw(st.integers(0, 19)) == 0:
        return draw(ANY_JSON)
    document = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 2))):
        place = document
        while isinstance(place, dict | list) and len(place):
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
                place = inner
                continue
            match draw(st.integers(0, 3)):
                case 0:
                    del place[key]
                case 1 if isinstance(place, dict):
                    place[draw(st.text(max_size=5) | st.sampled_from(keys))] = inner
                case _:
                    place[key] = draw(ANY_JSON)
            break
    return document
