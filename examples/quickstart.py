"""CC-SAM in two stages on long-tailed handwritten digits, beside plain cross-entropy.

    KERAS_BACKEND=jax python examples/quickstart.py [--epochs 20]

Nothing is downloaded: the images are scikit-learn's real 8 x 8 digits, 128 of a "0" down to 2 of
a "9". The test set is balanced, so a model that ignores the tail is seen to.
"""

import argparse

import keras

import keras_ccsam as cc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20, help="epochs of each stage")
EPOCHS = parser.parse_args().epochs

data = cc.data.load("digits-lt", imbalance_ratio=50)
train = data.batches("train", batch_size=32, mixup=1.0)


def fitted(model: keras.Model, *callbacks: keras.callbacks.Callback) -> keras.Model:
    """Every model here is trained alike; only its step and its second stage differ."""
    model.compile(
        optimizer=keras.optimizers.SGD(0.05, momentum=0.9),
        loss="sparse_categorical_crossentropy",  # on logits: the model's head has no softmax
        metrics=["accuracy"],
    )
    model.fit(train, epochs=EPOCHS, callbacks=list(callbacks), verbose=0)
    return model


# The baseline is the same class with another method: ERM is Keras' own step.
keras.utils.set_random_seed(0)
plain = cc.SharpnessAwareModel(
    cc.models.SmallCNN(), keras.layers.Dense(data.num_classes), cc.sharpness.ERM()
)
fitted(plain)

# Stage 1 perturbs each class within its own radius. Stage 2 starts when `fit` ends: the backbone
# is held, the head is trained again on class-balanced batches of adversarial features.
keras.utils.set_random_seed(0)
ours = cc.CCSAM(cc.models.SmallCNN(), class_counts=data.class_counts)
fitted(ours, cc.callbacks.ClassifierRetraining(train, epochs=EPOCHS))

# On ten classes "thirds" calls the first three many, the last three few.
reports = {
    "cross-entropy": cc.evaluate(plain, data.test, groups="thirds"),
    "CC-SAM": cc.evaluate(ours, data.test, groups="thirds"),
}
print(f"{'':14}{'overall':>9}{'many':>9}{'medium':>9}{'few':>9}")
for name, report in reports.items():
    accuracies = (report.overall, *report.groups.values())
    print(f"{name:14}" + "".join(f"{100 * accuracy:9.1f}" for accuracy in accuracies))
