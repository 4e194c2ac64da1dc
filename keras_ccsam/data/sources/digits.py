"""The handwritten digits that scikit-learn carries: real images without a download."""

import numpy as np

from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import part

LICENCE = (
    "CC BY 4.0; Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine "
    "Learning Repository, 1998."
)
TEST_PER_CLASS = 50
# What is there for training of each class, known before the images are read.
AVAILABLE = (128, 132, 127, 133, 131, 132, 131, 129, 124, 130)


@part("data", "digits-lt")
def load_digits() -> Source:
    """1,797 grey images of 8 x 8 pixels in ten classes.

    Fifty images of each class, the same at every call, are the balanced test set; the others (124
    to 133 per class) are there for training. Pixels are scaled from 0..16 to uint8 0..255.
    """
    from sklearn import datasets  # a second to import: not before it is needed

    digits = datasets.load_digits()
    images = np.rint(digits.images * (255.0 / 16.0)).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int32)
    # The legacy generator, because its stream is frozen: the split is the same under every NumPy.
    shuffle = np.random.RandomState(0).permutation
    is_test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        is_test[shuffle(np.flatnonzero(labels == label))[:TEST_PER_CLASS]] = True
    train = np.flatnonzero(~is_test)
    return Source(
        name="digits-lt",
        x_train=images[train],
        y_train=labels[train],
        x_test=images[is_test],
        y_test=labels[is_test],
        class_names=tuple(str(i) for i in range(10)),
        positions=train.astype(np.int64),
        origin="scikit-learn digits",
        licence=LICENCE,
    )
