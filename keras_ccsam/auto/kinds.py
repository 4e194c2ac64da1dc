"""The recipes that take part by default, from the plainest to the most elaborate.

Where two are as good in every respect, the one that stands first here is taken. It imports the
standard library alone: the command line asks it before Keras is imported.

What is expected of a recipe is its gain over cross-entropy in points, the mean of CIFAR-10-LT and
CIFAR-100-LT at ratio 100 with a ResNet-32 and weak augmentation, as published:

    ce-balanced   + 0.2, - 4.9    Cao et al. (2019), class-balanced re-sampling; not checked again
    cb            + 4.2, + 1.3    Cui et al. (2019)
    la-posthoc    + 7.2, + 4.2    Menon et al. (2021), re-run by Chumsy0725/logit-adj-pytorch
    la            + 7.7, + 4.2    the same
    crt           + 4.7, + 5.1    of the CC-SAM paper's appendix, over the field's cross-entropy
    ldam-drw      + 6.7, + 3.7    Cao et al. (2019)

CC-SAM's own paper has + 12 and + 10, with mixup. Re-run here at a small scale it was not ahead of
cRT (docs/benchmarks.md), so the same is expected of it as of cRT. Nothing here is from the digits.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kind:
    """One of the recipes that take part by default.

    Attributes:
        recipe: of the package.
        overrides: what is changed in it.
        words: what it does against the long tail, in a few words.
        expected: its gain over plain cross-entropy as published, a fraction; None: not known.
    """

    recipe: str
    overrides: tuple[str, ...]
    words: str
    expected: float | None = None


KINDS = {
    "ce": Kind("ce", (), "plain cross-entropy, which does nothing about the tail", 0.0),
    "ce-balanced": Kind(
        "ce", ("stage1.sampler=class_balanced",), "every class is shown equally often", -0.024
    ),
    "cb": Kind("cb", (), "rare classes weigh more in the loss", 0.028),
    "la-posthoc": Kind("la-posthoc", (), "cross-entropy, its scores corrected afterwards", 0.057),
    "la": Kind("la", (), "the loss corrects the scores by the classes' shares", 0.059),
    "crt": Kind("crt", (), "the classifier is trained again on balanced batches", 0.049),
    "ldam-drw": Kind(
        "ldam-drw", (), "larger margins for rare classes, weights late in training", 0.052
    ),
    "ccsam": Kind(
        "ccsam", (), "flat minima for the rare classes, then the classifier again", 0.049
    ),
}

FROZEN = {
    "frozen": Kind("linear-probe", (), "a classifier alone, on a network trained before"),
    "frozen-la": Kind("linear-probe-la", (), "the same, its loss corrected by the classes' shares"),
}
"""What takes part beside them where a network is at hand that was trained before."""
