"""Heads: the last layer, from features (B, D) to logits (B, K), and their closed forms.

`keras.layers.Dense` is the usual head; `Activated` is one whose activation is a layer of its own,
`Cosine` the normalised one, and `Scaled` a `Dense` with one scale per class. `closed_form(head)`
finds what CC-SAM needs to perturb a head without an extra pass.
"""

from typing import Any

from keras_ccsam.heads.activated import Activated as Activated
from keras_ccsam.heads.activated import plain_dense as plain_dense
from keras_ccsam.heads.class_averaging import Averaging as Averaging
from keras_ccsam.heads.class_averaging import averaging as averaging
from keras_ccsam.heads.closed_form import ClassGradients as ClassGradients
from keras_ccsam.heads.closed_form import ClosedForm as ClosedForm
from keras_ccsam.heads.closed_form import TensorForm as TensorForm
from keras_ccsam.heads.cosine import Cosine as Cosine
from keras_ccsam.heads.dense import DenseClosedForm as DenseClosedForm
from keras_ccsam.heads.dense import is_plain_dense as is_plain_dense
from keras_ccsam.heads.gram import class_averages as class_averages
from keras_ccsam.heads.outputs import activation as activation
from keras_ccsam.heads.outputs import logits_before_activation as logits_before_activation
from keras_ccsam.heads.outputs import num_classes as num_classes
from keras_ccsam.heads.outputs import num_outputs as num_outputs
from keras_ccsam.heads.outputs import puts_out_logits as puts_out_logits
from keras_ccsam.heads.scaled import Scaled as Scaled
from keras_ccsam.heads.unit_columns import UnitColumns as UnitColumns


def closed_form(head: Any) -> ClosedForm | None:
    """The closed form of a head, or None where it has none.

    A layer that itself defines `class_gradients` and `perturbed_weights` is its own, provided that
    it puts out logits: only of a Dense can the logits before an activation be had. A plain
    `keras.layers.Dense` has one, whether its activation is a layer of its own or not.
    """
    # Asked of the class: before a head is built, its weights' property may raise.
    if all(hasattr(type(head), name) for name in ("class_gradients", "perturbed_weights")):
        own: ClosedForm = head
        return own if activation(head) is None else None
    dense = plain_dense(head)
    return None if dense is None else DenseClosedForm(dense)
