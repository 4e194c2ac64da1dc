"""CC-SAM around networks that are not ours: your own classifier, and one of keras.applications.

KERAS_BACKEND=jax python examples/own_backbone.py [--epochs 20]
"""

import argparse

import keras

import keras_ccsam as cc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20, help="epochs of each stage")
EPOCHS = parser.parse_args().epochs

# Arrays of your own go through `from_arrays`, which counts and can resample the classes.
digits = cc.data.load("digits-lt", imbalance_ratio=50)
x, y = digits.x_train, digits.y_train
data = cc.data.from_arrays(x, y, digits.x_test, digits.y_test)
counts = data.class_counts


def own_classifier() -> keras.Model:
    """A classifier as it may stand in your code, with a softmax at its end."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.Conv2D(64, 3, strides=2, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(len(counts), activation="softmax"),
        ]
    )


def fitted(model: keras.Model, **options) -> keras.Model:
    """Compiles and fits, as any Keras model."""
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=0, **options)
    return model


# What you may have today: the loss of a rare class counts more.
keras.utils.set_random_seed(0)
weights = {label: len(y) / (len(counts) * n) for label, n in enumerate(counts)}
before = fitted(own_classifier(), class_weight=weights)

# The same classifier under CC-SAM, with the second stage. It is split at its last Dense layer;
# layers are shared, so `classifier` itself is trained, and the softmax stays.
keras.utils.set_random_seed(0)
classifier = own_classifier()
stage2 = cc.callbacks.ClassifierRetraining(data.train, epochs=EPOCHS, batch_size=32)
fitted(cc.CCSAM.from_model(classifier, class_counts=counts), callbacks=[stage2])

# The first blocks of a MobileNet. `models.build` pools what is still a map of features; by name,
# `models.build("MobileNet", (32, 32, 1))`, it brings the whole network and its pixel scaling.
keras.utils.set_random_seed(0)
mobile = keras.applications.MobileNet((32, 32, 1), alpha=0.5, include_top=False, weights=None)
blocks = keras.Model(mobile.input, mobile.get_layer("conv_pw_3_relu").output)
for layer in blocks.layers:  # Keras' 0.99 is for long runs; this one has 12 steps per epoch
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.9
images = keras.Input((8, 8, 1))
large = keras.layers.UpSampling2D(4)(keras.layers.Rescaling(1 / 127.5, -1.0)(images))
backbone = cc.models.build(keras.Model(images, blocks(large)))
stage2 = cc.callbacks.ClassifierRetraining(data.train, epochs=EPOCHS, batch_size=32)
other = fitted(cc.CCSAM(backbone, class_counts=counts), callbacks=[stage2])

print(f"{'':20}{'overall':>9}{'many':>9}{'medium':>9}{'few':>9}")
for name, model, logits in (
    ("own, class_weight", before, False),
    ("own, CC-SAM", classifier, False),
    ("MobileNet, CC-SAM", other, True),
):
    report = cc.evaluate(model, data.test, groups="thirds", from_logits=logits)
    accuracies = (report.overall, *report.groups.values())
    print(f"{name:20}" + "".join(f"{100 * accuracy:9.1f}" for accuracy in accuracies))
