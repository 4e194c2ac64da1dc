"""The recipes that take part by default, from the plainest to the most elaborate.

Where two are as good on the validation images, the one that stands first here is taken. It imports
the standard library alone: the command line asks it before Keras is imported.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kind:
    """One of the recipes that take part by default.

    Attributes:
        recipe: of the package.
        overrides: what is changed in it.
        words: what it does against the long tail, in a few words.
    """

    recipe: str
    overrides: tuple[str, ...]
    words: str


KINDS = {
    "ce": Kind("ce", (), "plain cross-entropy, which does nothing about the tail"),
    "ce-balanced": Kind(
        "ce", ("stage1.sampler=class_balanced",), "every class is shown equally often"
    ),
    "cb": Kind("cb", (), "rare classes weigh more in the loss"),
    "la-posthoc": Kind("la-posthoc", (), "cross-entropy, its scores corrected afterwards"),
    "la": Kind("la", (), "the loss corrects the scores by the classes' shares"),
    "crt": Kind("crt", (), "the classifier is trained again on balanced batches"),
    "ldam-drw": Kind("ldam-drw", (), "larger margins for rare classes, weights late in training"),
    "ccsam": Kind("ccsam", (), "flat minima for the rare classes, then the classifier again"),
}

FROZEN = {
    "frozen": Kind("linear-probe", (), "a classifier alone, on a network trained before"),
    "frozen-la": Kind("linear-probe-la", (), "the same, its loss corrected by the classes' shares"),
}
"""What takes part beside them where a network is at hand that was trained before."""
