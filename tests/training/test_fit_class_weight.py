"""`class_weight` of `fit`: "auto", a dictionary, and both under mixup."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc

COUNTS = (40, 12, 4)


def arrays():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(3), COUNTS)).astype("int32")
    x = rng.integers(0, 256, size=(len(y), 4, 4, 1)).astype("uint8")
    return x, y


def model(sharpness=None):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4, 4, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    backbone = keras.Model(inputs, keras.layers.Dense(5, activation="relu")(flat))
    made = cc.SharpnessAwareModel(backbone, keras.layers.Dense(3), sharpness)
    made.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return made


class Plain(keras.utils.PyDataset):
    """Batches with nothing but Keras' own interface."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches.with_options()[index]  # of epoch 0


def trained(x, y=None, sharpness=None, **options):
    made = model(sharpness)
    made.fit(x, y, epochs=2, verbose=0, **options)
    return np.concatenate([w.reshape(-1) for w in made.get_weights()])


def test_auto_is_the_dictionary():
    x, y = arrays()
    weights = cc.balanced_class_weight(COUNTS)
    options = {"batch_size": 16, "shuffle": False}
    by_name = trained(x, y, class_weight="auto", **options)
    assert np.array_equal(by_name, trained(x, y, class_weight=weights, **options))
    assert not np.allclose(by_name, trained(x, y, **options), atol=1e-4)


def test_a_sequence_and_keras_own_class_weights_agree():
    data = cc.data.from_arrays(*arrays())
    sequence = data.batches(batch_size=16, seed=3)
    by_name = trained(sequence, class_weight="auto")
    given = trained(sequence.with_options(class_weight="auto"))
    np.testing.assert_allclose(by_name, given, rtol=1e-6)

    made = model()
    plain = Plain(sequence)
    weights = cc.balanced_class_weight(COUNTS)
    made.fit(plain, epochs=1, verbose=0, shuffle=False, class_weight=weights)
    ours = model()
    ours.fit(sequence, epochs=1, verbose=0, class_weight="auto")
    for one, other in zip(ours.get_weights(), made.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("sharpness", "ways"),
    [
        pytest.param(None, {"mixup": 1.0}, marks=pytest.mark.any_backend, id="plain, mixup"),
        pytest.param(cc.sharpness.ClassConditional(COUNTS), {"cutmix": 1.0}, id="ccsam, cutmix"),
    ],
)
def test_mixed_batches_are_weighted(sharpness, ways):
    data = cc.data.from_arrays(*arrays())
    train = data.batches(batch_size=16, seed=3, **ways)
    weighted = trained(train, sharpness=sharpness, class_weight="auto")
    assert np.isfinite(weighted).all()
    assert not np.allclose(weighted, trained(train, sharpness=sharpness), atol=1e-4)
    uniform = trained(train, sharpness=sharpness, class_weight=dict.fromkeys(range(3), 1.0))
    np.testing.assert_allclose(uniform, trained(train, sharpness=sharpness), rtol=1e-4, atol=1e-5)


def test_the_loss_of_a_mixed_weighted_batch():
    data = cc.data.from_arrays(*arrays())
    _, plain = data.batches(batch_size=16, seed=3, mixup=1.0)[0]
    x, y, weights = data.batches(batch_size=16, seed=3, mixup=1.0, class_weight="auto")[0]
    made = model()
    logits = keras.ops.convert_to_numpy(made(x)).astype("float64")
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    w = np.array(list(cc.balanced_class_weight(COUNTS).values()))
    first, second, mix = plain["labels"], plain["second_labels"], plain["mix"]
    rows = np.arange(16)
    expected = -(
        mix * w[first] * log_p[rows, first] + (1 - mix) * w[second] * log_p[rows, second]
    ).mean()
    targets = {key: keras.ops.convert_to_tensor(value) for key, value in y.items()}
    found = made.compute_loss(x, targets, made(x), keras.ops.convert_to_tensor(weights))
    assert float(keras.ops.convert_to_numpy(found)) == pytest.approx(expected, rel=1e-5)


def test_the_counts_of_the_method_where_the_data_shows_none():
    with pytest.raises(ValueError, match=r"needs the class counts.*class_weight='auto'"):
        trained(Plain(cc.data.from_arrays(*arrays()).train), class_weight="auto")
    train = Plain(cc.data.from_arrays(*arrays()).train)
    ccsam = cc.sharpness.ClassConditional(COUNTS)
    by_name = trained(train, sharpness=ccsam, class_weight="auto", shuffle=False)
    weights = cc.balanced_class_weight(COUNTS)
    given = trained(train, sharpness=ccsam, class_weight=weights, shuffle=False)
    assert np.array_equal(by_name, given)


def test_another_name_is_refused():
    with pytest.raises(ValueError, match="class_weight='balanced'"):
        trained(*arrays(), class_weight="balanced")


def test_a_second_stage_begins_without_stage_ones():
    data = cc.data.from_arrays(*arrays())
    train = data.batches(batch_size=16, class_weight="auto", cutmix=1.0, mix_probability=0.5)
    second = cc.second_stage.Retraining(epochs=1, adversarial=False).batches(train)
    _, y = second[0]
    assert not isinstance(y, dict)
    assert second.options.class_weight is None
