"""What a process of `test_determinism.py` trains."""

import hashlib
import sys

import keras

import keras_ccsam as cc


def digest(workers: int) -> str:
    """Of the weights and the losses, with so many threads that read."""
    keras.utils.set_random_seed(3)
    data = cc.data.load("digits-lt", imbalance_ratio=20)
    inputs = keras.Input(data.x_train.shape[1:])
    x = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 16)(inputs))
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.3)(keras.layers.GlobalAveragePooling2D()(x))
    model = cc.CCSAM(keras.Model(inputs, x), class_counts=data.class_counts)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    train = data.batches(
        "train", batch_size=64, sampler="class_balanced", mixup=1.0, workers=workers, seed=3
    )
    history = model.fit(train, epochs=1, verbose=0).history
    weights = b"".join(w.tobytes() for w in model.get_weights())
    return hashlib.sha256(weights + repr(history["loss"]).encode()).hexdigest()


def main(workers: str) -> None:
    cc.make_deterministic()
    assert cc.backend.is_deterministic()
    print(digest(int(workers)))


if __name__ == "__main__":
    main(*sys.argv[1:])
