"""A training that is cut short and gone on with ends as if it had not been: difference 0.0."""

import contextlib
import os
import re
import signal
import threading
import warnings

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam import snapshots, stopping
from keras_ccsam.callbacks import RunState
from keras_ccsam.resuming import draws
from keras_ccsam.resuming.saver import Saver

EPOCHS, COUNTS = 3, [24, 11, 5]


class Cut(Exception):
    """In place of a kill: nothing of the training is told that it ends."""


class Watcher(keras.callbacks.Callback):
    """Counts, remembers what it heard, and cuts the training short after a step."""

    def __init__(self, cut=None):
        super().__init__()
        self.heard, self.cut, self.best, self.epoch = [], cut, None, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.heard.append((self.epoch, batch, logs["loss"]))
        if self.best is None or logs["loss"] < self.best["loss"]:
            self.best = {"loss": np.float32(logs["loss"]), "weights": self.model.get_weights()}
        if self.cut == (self.epoch, batch):
            raise Cut


@pytest.fixture(scope="module")
def batches():
    """40 images of 3 classes, in 5 batches, mixed with each other: an order that is drawn."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], COUNTS).astype("int32")
    x = (rng.normal(size=(40, 4, 4, 1)) + y[:, None, None, None]).astype("float32")
    data = cc.data.from_arrays(x, y)
    return data.batches("train", batch_size=8, mixup=1.0, sampler="class_balanced", seed=3)


def network():
    """One that draws, averages its weights and gathers its gradients."""
    layers = [
        keras.layers.Conv2D(3, 3),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3),
        keras.layers.Flatten(),
    ]
    backbone = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    head, method = cc.heads.Cosine(3, scale=1.0), cc.sharpness.ClassConditional(COUNTS)
    model = cc.SharpnessAwareModel(backbone, head, method)
    rate = keras.optimizers.schedules.CosineDecay(0.1, EPOCHS * 5)
    sgd = keras.optimizers.SGD(rate, momentum=0.9, use_ema=True, gradient_accumulation_steps=2)
    model.compile(sgd, cc.losses.GCL(COUNTS), metrics=["accuracy"])
    return model


@pytest.fixture(autouse=True, scope="module")
def each_is_written():
    """A step of a toy is over before its state is on a loaded disk, which leaves states out.

    Of the module, so that the fixtures of the module that train have it as well.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Saver, "busy", False)
        yield


def trained(data, *, folder=None, cut=None, every=2, watcher=Watcher, **fit):
    """Train it; return it, its history, what was heard, and what saves."""
    # A process that goes on has another random state than the one that began.
    begun = folder is not None and folder.exists()
    keras.utils.set_random_seed(6 if begun else 5)
    model, heard = network(), watcher(cut)
    state = None if folder is None else RunState(folder, every)
    reweighting = cc.callbacks.DeferredReweighting(COUNTS, start=1)
    averaging = cc.callbacks.WeightAveraging(data, start=1)
    callbacks = [heard, reweighting, averaging, *([] if state is None else [state])]
    try:
        history = model.fit(data, **{"epochs": EPOCHS} | fit, verbose=0, callbacks=callbacks)
    except Cut:
        history = None
    return model, history, heard, state


@contextlib.contextmanager
def warned(words):
    """A warning of ours; Keras' own beside it are let pass, as everywhere."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert any(re.search(words, str(each.message)) for each in caught)


def values(model):
    found = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in found]


def assert_same(one, other):
    model, history, watcher, _ = one
    again, its_history, its_watcher, _ = other
    for a, b in zip(values(model), values(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert its_history.history == history.history and its_history.epoch == history.epoch
    assert its_watcher.heard == watcher.heard
    assert its_watcher.best["loss"] == watcher.best["loss"]
    for a, b in zip(watcher.best["weights"], its_watcher.best["weights"], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def whole(batches):
    """The training without an interruption, and without anything saved."""
    return trained(batches)


EPOCHS_END = pytest.param((1, 0), marks=pytest.mark.any_backend)
LAST_EPOCH = pytest.param((2, 1), marks=pytest.mark.any_backend)


@pytest.mark.parametrize("cut", [(0, 3), EPOCHS_END, (1, 4), LAST_EPOCH])
def test_a_training_that_is_cut_ends_the_same(batches, whole, tmp_path, cut):
    _, _, watcher, _ = trained(batches, folder=tmp_path / "s", cut=cut)
    assert watcher.heard[-1][:2] == cut
    again = trained(batches.with_options(), folder=tmp_path / "s")
    assert again[3].resumed
    assert_same(whole, again)


class Looks(Watcher):
    """Looks at the model as training begins, as `HeadInitialization` does."""

    def on_train_begin(self, logs=None):
        kernel = keras.ops.convert_to_numpy(self.model.head.kernel).copy()
        self.found = int(self.model.optimizer.iterations), kernel


@pytest.mark.any_backend
def test_the_weights_are_there_before_another_callback_looks_at_them(batches, tmp_path):
    first = trained(batches, folder=tmp_path / "s", cut=(1, 4), watcher=Looks)[2].found
    found = trained(batches.with_options(), folder=tmp_path / "s", watcher=Looks)[2].found
    assert first[0] == 0 and found[0] > 0
    assert np.abs(found[1] - first[1]).max() > 1e-3


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_masks_that_another_number_of_devices_would_not_draw_are_told_of(rate):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(rate)])
    assert draws.why_others(model, {"devices": 1}) is None
    words = draws.why_others(model, {"devices": 2})
    if rate == 0.0 or keras.backend.backend() == "jax":
        assert words is None
    else:
        assert words.startswith("the training was on 2 devices and goes on with 1: Dropout")


@pytest.mark.any_backend
def test_a_training_that_has_ended_is_not_trained_again(batches, whole, tmp_path):
    trained(batches, folder=tmp_path / "s", every="epoch")
    with warned("the training was done: nothing is trained"):
        again = trained(batches, folder=tmp_path / "s")
    assert_same(whole, again)
    again[3].clear()
    assert not (tmp_path / "s").exists()


@pytest.mark.any_backend
def test_a_damaged_state_is_passed_over(batches, whole, tmp_path):
    trained(batches, folder=tmp_path / "s", cut=(1, 4))
    newest = max((tmp_path / "s").iterdir())
    with (newest / "arrays.npz").open("r+b") as file:
        file.seek(200)
        file.write(b"\x55\xaa")
    with warned("a state of the training is damaged: .*SHA-256"):
        again = trained(batches, folder=tmp_path / "s")
    assert_same(whole, again)


def test_a_signal_saves_and_stops_and_the_second_one_is_the_systems(batches, whole, tmp_path):
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}

    class Ask(Watcher):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if (self.epoch, batch) == (1, 2):
                os.kill(os.getpid(), signal.SIGTERM)

    with stopping.stoppable(), pytest.raises(stopping.Stopped) as stopped:
        trained(batches, folder=tmp_path / "s", every="1 h", cut=(9, 9), watcher=Ask)
    assert str(stopped.value) == "stopped by SIGTERM, saved at epoch 2, after step 3"
    assert stopped.value.code == stopping.EXIT_CODE == 75
    assert {name: signal.getsignal(name) for name in before} == before
    again = trained(batches, folder=tmp_path / "s", watcher=type("Ask", (Watcher,), {}))
    assert_same(whole, again)


@pytest.mark.any_backend
def test_handlers_are_put_back_and_another_thread_changes_none():
    before = signal.getsignal(signal.SIGTERM)
    # A shell that starts the tests in the background has it ignored, and it stays so.
    interrupt = signal.getsignal(signal.SIGINT)
    second = signal.SIG_IGN if interrupt == signal.SIG_IGN else signal.SIG_DFL
    with pytest.raises(Cut), stopping.stoppable():
        assert signal.getsignal(signal.SIGTERM) is not before
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.requested() == "SIGTERM"
        # The second one ends the process, whatever it does.
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == second
        raise Cut
    assert signal.getsignal(signal.SIGTERM) is before and stopping.requested() is None

    def elsewhere():
        with stopping.stoppable():
            found.append(signal.getsignal(signal.SIGTERM))

    found: list[object] = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.mark.any_backend
def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping.stoppable():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def folder(batches, tmp_path_factory):
    """A state of the training, within its second epoch."""
    folder = tmp_path_factory.mktemp("refused") / "s"
    *_, state = trained(batches, folder=folder, cut=(1, 3))
    assert state._saver.wait()
    return folder


@pytest.mark.any_backend
class TestRefused:
    """What a state cannot be gone on from is told before anything is trained."""

    def test_other_callbacks(self, batches, folder):
        model = network()
        with pytest.raises(ValueError, match=r"had other callbacks.*Received: callbacks=History"):
            model.fit(batches, epochs=3, callbacks=[RunState(folder)], verbose=0)

    @pytest.mark.parametrize("where", ["within an epoch", "between two"])
    def test_other_data(self, batches, folder, tmp_path, where):
        if where == "between two":
            folder = tmp_path / "s"
            trained(batches, folder=folder, cut=(1, 3), every="epoch")
        with pytest.raises(ValueError, match="data with 5 steps in an epoch, and this has 10"):
            trained(batches.with_options(batch_size=4), folder=folder)

    @pytest.mark.parametrize("change", ["images", "seed"])
    def test_other_data_of_the_same_length(self, batches, folder, change):
        x, y = batches.arrays()
        other = batches.with_options(seed=7)
        if change == "images":
            other = cc.data.from_arrays(-x, y).batches(**vars(batches.options))
        with pytest.raises(ValueError, match="is of other data"):
            trained(other, folder=folder)

    @pytest.mark.parametrize("options", [{"keep": 0}, {"folder": "file"}])
    def test_what_nothing_can_be_written_into(self, tmp_path, options):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(ValueError, match=r"Received: (keep=0|folder=.*, a file)"):
            RunState(tmp_path / options.pop("folder", "s"), **options)

    def test_another_model(self, batches, folder):
        backbone = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
        model = cc.CCSAM(backbone, 3, COUNTS)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        averaging = cc.callbacks.WeightAveraging(batches, start=1)
        reweighting = cc.callbacks.DeferredReweighting(COUNTS, start=1)
        callbacks = [Watcher(), reweighting, averaging, RunState(folder)]
        with pytest.raises(ValueError, match="the state is of another model"):
            model.fit(batches, epochs=EPOCHS, callbacks=callbacks, verbose=0)

    def test_fewer_epochs(self, batches, folder):
        with pytest.raises(ValueError, match=r"fit ends before, with epochs=1|end of the 1 epochs"):
            trained(batches, folder=folder, epochs=1)

    def test_another_training(self, batches, folder):
        model = network()
        state = RunState(folder, about={"fold": 2})
        with pytest.raises(ValueError, match="is of fold=None, and this one of fold=2"):
            model.fit(batches, epochs=3, callbacks=[state], verbose=0)

    @pytest.mark.parametrize("every", ["soon", 0, True, 1.5, "0 s"])
    def test_a_time_that_is_none(self, tmp_path, every):
        with pytest.raises(ValueError, match="every="):
            RunState(tmp_path / "s", every)

    def test_a_folder_in_none(self, tmp_path):
        with pytest.raises(ValueError, match="create that first"):
            RunState(tmp_path / "a" / "s")


def test_any_keras_model_on_arrays(tmp_path):
    """Shuffled by a generator that the state holds; in its first epoch, not within one."""
    x, y = np.random.default_rng(0).normal(size=(24, 3)).astype("float32"), np.arange(24) % 2

    def fit(cut, folder):
        keras.utils.set_random_seed(1 if folder is None or cut else 2)
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        watcher = Watcher(cut)
        early = keras.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True)
        others = [watcher, early]
        shuffled = keras.backend.backend() != "tensorflow"
        options = {"epochs": 3, "batch_size": 4, "shuffle": shuffled, "verbose": 0}
        if folder is None:
            history = model.fit(x, y, callbacks=others, **options)
            return model, history, watcher, None
        state = RunState(folder, 2, callbacks=others, data=x)
        options["initial_epoch"] = state.initial_epoch
        try:
            history = model.fit(x, y, callbacks=[state, *others], **options)
        except Cut:
            state.leaves_fit()  # what is being written is on the disk
            return model, None, watcher, state
        return model, history, watcher, state

    whole = fit(None, None)
    fit((1, 3), tmp_path / "s")
    # Of another model's `fit` it does not know the arguments.
    on_tensorflow = keras.backend.backend() == "tensorflow"
    with warned("unless shuffle=False") if on_tensorflow else contextlib.nullcontext():
        again = fit(None, tmp_path / "s")
    assert again[3].resumed
    assert_same(whole, again)
    # A later fit of the same model trains: nothing of the going on is left behind.
    assert len(again[0].fit(x, y, epochs=2, verbose=0).epoch) == 2


@pytest.mark.any_backend
def test_it_says_what_it_cannot_keep(batches, tmp_path):
    class Own:
        """Of a user's."""

    class Holder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.own = Own()

    state = RunState(tmp_path / "s", every=1)
    model = network()
    with warned(r"will not have Holder.own \(.*Own\) as it was"):
        model.fit(batches, epochs=1, callbacks=[state, Holder()], verbose=0)


@pytest.mark.any_backend
def test_a_callback_says_itself_what_it_needs(batches, tmp_path):
    class Own(keras.callbacks.Callback):
        said = None

        def get_state(self):
            return {"a": (1, np.arange(2)), 3: {"x"}}

        def set_state(self, state):
            type(self).said = state

    def fit(cut):
        model = network()
        try:
            watcher = Watcher(cut)
            callbacks = [RunState(tmp_path / "s", every=1), Own(), watcher]
            model.fit(batches, epochs=1, callbacks=callbacks, verbose=0)
        except Cut:
            pass

    fit((0, 3))
    fit(None)
    assert Own.said[3] == {"x"} and Own.said["a"][0] == 1
    np.testing.assert_array_equal(Own.said["a"][1], [0, 1])


@pytest.mark.any_backend
def test_a_full_disk_costs_the_training_nothing(batches, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "the disk is full", str(tmp_path))

    monkeypatch.setattr(snapshots, "write", full)
    with warned("could not be saved, and it goes on without: the disk"):
        _, history, *_ = trained(batches, folder=tmp_path / "s")
    assert len(history.epoch) == EPOCHS
