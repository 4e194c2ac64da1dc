"""Steps on PyTorch that can be no flat program: they run as they are, and one warning says why."""

import copy
import re
import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "torch", reason="the other backends compile their steps"
)
RANDOM = np.random.default_rng(0)


def model_of(make, flat=True):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    backbone = keras.Model(inputs, make()(layers.Dense(5)(inputs)))
    model = cc.SharpnessAwareModel(backbone, layers.Dense(2), cc.sharpness.SAM(0.1), flat_step=flat)
    model.compile(
        keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def steps(model, count=8, rows=6):
    rng = np.random.default_rng(1)
    for _ in range(count):
        x, y = rng.normal(size=(rows, 4)).astype("float32"), rng.integers(0, 2, rows)
        model.train_on_batch(x, y)
    return [ops.convert_to_numpy(v) for v in model.variables]


def told_of(run):
    """What `run` returns, and the warnings of a step that is no program."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        result = run()
    return result, [str(each.message) for each in told if "flat program" in str(each.message)]


class Reads(layers.Layer):
    def call(self, inputs):
        return inputs * (2.0 if float(ops.max(inputs)) > 0.5 else 1.0)


class ToNumpy(layers.Layer):
    def call(self, inputs):
        largest = inputs.detach().numpy().max()
        return inputs / (1.0 + abs(largest))


class Selects(layers.Layer):
    def call(self, inputs):
        return inputs - ops.mean(inputs[inputs > 0])


class Counts(layers.Layer):
    steps = 0

    def call(self, inputs):
        self.steps += 1
        return inputs * (1.0 + self.steps)


class Appends(layers.Layer):
    def __init__(self):
        super().__init__()
        self.seen = {}

    def call(self, inputs):
        self.seen[len(self.seen)] = 0
        return inputs * 1.0


class DrawsInNumpy(layers.Layer):
    def call(self, inputs):
        return inputs * ops.convert_to_tensor(RANDOM.normal(size=5).astype("float32"))


class OwnGenerator(layers.Layer):
    def __init__(self):
        import torch

        super().__init__()
        self.generator = torch.Generator()

    def call(self, inputs):
        import torch

        return inputs + torch.rand(inputs.shape, generator=self.generator)


class Remembers(layers.Layer):
    """Writes into a tensor that is no variable."""

    def __init__(self):
        import torch

        super().__init__()
        self.held = torch.zeros(5)

    def call(self, inputs):
        self.held.add_(inputs.detach().mean(0))
        return inputs + self.held


def hooked():
    layer = layers.Dense(5)
    layer.register_forward_hook(lambda *_: None)
    return layer


REFUSED = {
    "value": (Reads, r"Reads 'reads\w*' \(test_flat_step_refused.py, line \d+\) reads a value"),
    "numpy": (ToNumpy, r"ToNumpy 'to_numpy\w*' .* reads the values of a tensor"),
    "size": (Selects, r"Selects 'selects\w*' .* size depends on values"),
    "attribute": (Counts, r"the attribute 'steps' of Counts 'counts\w*' keeps changing"),
    "list": (Appends, r"the attribute 'seen' of Appends 'appends\w*' grows in every step"),
    "numpy's generator": (DrawsInNumpy, "depends on more than tensors and attributes"),
    "generator": (OwnGenerator, r"OwnGenerator 'own_generator\w*' .* draws from a generator"),
    "held": (Remembers, "writes into a tensor that is held, and is no variable"),
    "hook": (hooked, r"a hook of Dense 'dense\w*'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_runs_as_it_is_and_says_why_once(name):
    global RANDOM
    make, reason = REFUSED[name]
    RANDOM = np.random.default_rng(0)
    model = model_of(make)
    ours, told = told_of(lambda: steps(model, 16))
    assert len(told) == 1
    assert re.search(reason, told[0]), told[0]
    RANDOM = np.random.default_rng(0)
    theirs = steps(model_of(make, flat=False), 16)
    assert all(map(np.array_equal, ours, theirs))


def test_a_hook_that_comes_later():
    model = model_of(layers.ReLU)
    steps(model)
    assert model.flat_functions.state["gradients"] == "flat"
    seen = []
    model.backbone.layers[1].register_forward_hook(lambda *_: seen.append(1))
    _, told = told_of(lambda: steps(model))
    assert len(told) == 1
    assert "a hook of Dense" in told[0]
    assert len(seen) == 16  # both passes of each step


def test_shapes_that_go_on_changing():
    model = model_of(layers.ReLU)
    _, told = told_of(lambda: [steps(model, 4, rows) for rows in range(3, 14)])
    assert len(told) == 1
    assert "come in more than 8 shapes" in told[0]
    assert model.flat_functions.state["gradients"].startswith("as it is")
    other = model_of(layers.ReLU, flat=False)
    for rows in range(3, 14):
        steps(other, 4, rows)
    assert all(map(np.array_equal, steps(model, 0), steps(other, 0)))


def test_a_change_now_and_then_is_no_reason_to_stop():
    model = model_of(layers.LeakyReLU)
    layer = model.backbone.layers[-1]
    for slope in np.linspace(0.1, 0.9, 9):
        layer.negative_slope = float(slope)
        steps(model, 5)
        assert model.flat_functions.state["gradients"] == "flat"


def test_what_our_own_methods_need_is_not_warned_of():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    backbone = keras.Model(inputs, layers.Dropout(0.1)(layers.Dense(5)(inputs)))
    method = cc.sharpness.ClassConditional([5, 4], 0.1, perturb="all")
    model = cc.SharpnessAwareModel(backbone, layers.Dense(2), method)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    steps(model)  # a warning is an error
    assert "reads a value" in model.flat_functions.state["gradients"]


@pytest.mark.parametrize("fails", ["__init__", "__call__"])
def test_a_program_that_fails_ends_no_training(fails, monkeypatch):
    from keras_ccsam.backend import torch_program

    def fail(self, *_):
        raise RuntimeError("no such operation")

    theirs = steps(model_of(layers.ReLU, flat=False))
    monkeypatch.setattr(torch_program.Program, fails, fail)
    model = model_of(layers.ReLU)
    ours, told = told_of(lambda: steps(model))
    assert len(told) == 1
    assert "no such operation" in told[0]
    assert "no such operation" in model.flat_functions.state["update"]
    assert all(map(np.array_equal, ours, theirs))


def test_a_copy_of_a_model_has_programs_of_its_own():
    model = model_of(layers.ReLU)
    steps(model)
    other = copy.deepcopy(model)
    before = [ops.convert_to_numpy(v) for v in model.variables]
    assert other.flat_functions.state == {}
    ours = steps(other)
    assert other.flat_functions.state["gradients"] == "flat"
    assert all(
        np.array_equal(a, ops.convert_to_numpy(b))
        for a, b in zip(before, model.variables, strict=True)
    )
    assert not all(map(np.array_equal, ours, before))


def own_function(x):
    return ops.relu(x)


def own_metric(labels, outputs):
    return ops.mean(outputs)


class OwnSchedule(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1


class Divides(layers.Layer):
    """Hands on what it has read, and so looks like an operation, as long as it is above 1."""

    def call(self, inputs):
        largest = float(ops.max(ops.abs(inputs)))
        return inputs / max(largest, 1.0)


def torch_module():
    import torch

    return layers.TorchModuleWrapper(torch.nn.Linear(5, 5), output_shape=(None, 5))


OWN = {
    "layer": (Divides, {}, "Divides 'divides"),
    "function": (lambda: layers.Activation(own_function), {}, "activation of Activation"),
    "lambda": (lambda: layers.Lambda(lambda x: 2.0 * x), {}, "function of Lambda"),
    "metric": (layers.ReLU, {"metrics": [own_metric]}, "of MeanMetricWrapper 'own_metric'"),
    "torch": (lambda: torch_module(), {}, "the torch module in"),
    "schedule": (layers.ReLU, {"optimizer": keras.optimizers.SGD(OwnSchedule())}, "OwnSchedule"),
}


@pytest.mark.parametrize("kind", OWN)
def test_code_of_ones_own_is_not_trusted_unasked(kind):
    make, compiled, named = OWN[kind]
    model = model_of(make, flat="auto")
    given = {"optimizer": keras.optimizers.SGD(0.1), "loss": "sparse_categorical_crossentropy"}
    model.compile(**given | compiled)
    _, told = told_of(lambda: steps(model, 4))
    assert not told
    (state,) = set(model.flat_functions.state.values())
    assert named in state and state.endswith("is code of your own")


def test_auto_is_flat_where_all_is_known():
    model = model_of(layers.ReLU, flat="auto")
    steps(model, 4)
    assert model.flat_functions.state == {"gradients": "flat", "update": "flat"}


def test_a_wrong_flat_step_is_refused():
    with pytest.raises(ValueError, match="must be True, False or 'auto'"):
        model_of(layers.ReLU, flat="always")
