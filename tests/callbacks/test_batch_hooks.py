"""Nothing of ours stops at a batch: a hook there would wait for the device in every step."""

import importlib
import pkgutil

import keras
import pytest

import keras_ccsam as cc
from tests.support import COUNTS, batch_norm_model, toy_batches

HOOKS = [
    f"on_{part}batch_{moment}"
    for part in ("", "train_", "test_", "predict_")
    for moment in ("begin", "end")
]

# These wait for no step: a bar that a person watches moves with them, as Keras' own does; a state
# is taken where it is due; the loss is looked at where Keras has read it; and a signal is a flag.
WAITING_FOR_NONE = ("EpochBars", "RunState", "OnNonfinite", "Stoppable")


def own_callbacks() -> set[type]:
    """Every callback class of the package, the private ones too."""
    found: set[type] = set()
    for info in pkgutil.walk_packages(cc.__path__, "keras_ccsam."):
        # Of the trackers, some belong to packages that need not be there; none is a callback.
        if info.name.startswith(("keras_ccsam.backend.", "keras_ccsam.trackers.to_")):
            continue
        members = vars(importlib.import_module(info.name)).values()
        found |= {
            member
            for member in members
            if isinstance(member, type)
            and issubclass(member, keras.callbacks.Callback)
            and member.__module__.startswith("keras_ccsam")
        }
    return found


def test_no_callback_has_a_hook_at_each_batch():
    callbacks = own_callbacks()
    assert cc.callbacks.MetricsLog in callbacks
    assert {"EpochLines", "AlphaRamp"} <= {callback.__name__ for callback in callbacks}
    plain = keras.callbacks.Callback
    defined = [
        f"{callback.__name__}.{hook}"
        for callback in callbacks
        if callback.__name__ not in WAITING_FOR_NONE
        for hook in HOOKS
        if getattr(callback, hook) is not getattr(plain, hook)
    ]
    assert not defined


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX alone keeps a step's state apart")
def test_the_state_is_not_put_back_at_each_batch(tmp_path, monkeypatch):
    """In a `fit` with our callbacks the number of times is that of the epochs, not of the steps."""
    x, y = toy_batches(240)
    model = batch_norm_model(cc.sharpness.ClassConditional(COUNTS), activity=None)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    counted = []
    sync = type(model).jax_state_sync
    monkeypatch.setattr(
        type(model), "jax_state_sync", lambda self: (counted.append(1), sync(self))[1]
    )

    def syncs(samples: int) -> int:
        data = cc.data.from_arrays(x[:samples], y[:samples])
        batches = data.batches("train", batch_size=12)
        counted.clear()
        model.fit(
            batches,
            epochs=3,
            verbose=0,
            callbacks=[
                cc.callbacks.DeferredReweighting(COUNTS, start=1),
                cc.callbacks.WeightAveraging(batches, start=1, recompute_batch_norm=False),
                cc.callbacks.MetricsLog(tmp_path),
            ],
        )
        return len(counted)

    assert syncs(240) == syncs(60)
