"""The second stage by hand: one stage-1 model, its head trained again in several ways.

    KERAS_BACKEND=jax python examples/two_stage_by_hand.py [--epochs 20]

`callbacks.ClassifierRetraining` does the same when `fit` ends. By hand, the stages can be
compared, and each starts from the same features.
"""

import argparse

import keras

import keras_ccsam as cc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=20, help="epochs of each stage")
EPOCHS = parser.parse_args().epochs

data = cc.data.load("digits-lt", imbalance_ratio=50)
train = data.batches("train", batch_size=32, mixup=1.0)

# Stage 1: the whole network, on batches as the data comes.
keras.utils.set_random_seed(0)
model = cc.CCSAM(cc.models.SmallCNN(), class_counts=data.class_counts, weight_decay=5e-4)
model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
model.fit(train, epochs=EPOCHS, verbose=0)
stage1_head = model.head.get_weights()
rows = {"stage 1 alone": cc.evaluate(model, data.test, groups="thirds")}

# Stage 2: only the head, on class-balanced batches. Without augmentation the backbone runs over
# the training set once, and the stage takes seconds.
CHOICES = {
    # the head goes on from stage 1
    "cRT, continued": {"adversarial": False},
    # decoupled training's own: a new head
    "cRT, new head": {"adversarial": False, "reinitialize_head": True},
    # features moved against the classifier, farther for rare classes
    "CC-SAM": {},
    # the same with the adversarial part held below 30 % of the loss
    "CC-SAM, alpha 0.3": {"alpha_max": 0.3},
}
for name, options in CHOICES.items():
    keras.utils.set_random_seed(0)
    model.head.set_weights(stage1_head)
    stage2 = cc.second_stage.Retraining(epochs=EPOCHS, **options)
    history = stage2.run(model, train)
    rows[name] = cc.evaluate(model, data.test, groups="thirds")
    print(f"{name}: loss {history.history['loss'][0]:.3f} -> {history.history['loss'][-1]:.3f}")

print(f"\n{'':20}{'overall':>9}{'many':>9}{'medium':>9}{'few':>9}")
for name, report in rows.items():
    accuracies = (report.overall, *report.groups.values())
    print(f"{name:20}" + "".join(f"{100 * accuracy:9.1f}" for accuracy in accuracies))
