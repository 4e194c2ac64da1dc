"""What a page declares, imports and sets is gone when its test is over."""

import sys

import keras
import pytest

from keras_ccsam import declare
from keras_ccsam.recipes import outside


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    kept = {kind: dict(found) for kind, found in declare._PARTS.items()}
    monkeypatch.setattr(declare, "_PARTS", kept)
    monkeypatch.setattr(outside, "_imported", dict(outside._imported))
    modules, saved = set(sys.modules), set(keras.saving.get_custom_objects())
    yield
    # Of the pages and examples alone: what Keras or the package imports late stays.
    for name in set(sys.modules) - modules:
        if "/examples/" in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]
    for name in set(keras.saving.get_custom_objects()) - saved:
        if name.startswith(("page>", "custom_method>")):
            del keras.saving.get_custom_objects()[name]
    keras.config.set_dtype_policy("float32")
