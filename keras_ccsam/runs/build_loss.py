"""From a recipe's loss table to the loss."""

import keras

from keras_ccsam import losses
from keras_ccsam.recipes.schema_losses import Loss


def build_loss(choice: Loss, class_counts: tuple[int, ...]) -> keras.losses.Loss:
    """Return the loss that a recipe names, for a training set of these counts."""
    options = choice.model_dump(exclude={"name"})
    match choice.name:
        case "cross_entropy":
            return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        case "focal":
            return losses.Focal(**options)
        case "class_balanced":
            return losses.ClassBalanced(class_counts, **options)
        case "logit_adjustment":
            return losses.LogitAdjustment(class_counts, **options)
        case "vector_scaling":
            return losses.VectorScaling(class_counts, **options)
        case "label_aware_smoothing":
            return losses.LabelAwareSmoothing(class_counts, **options)
        case "ldam":
            return losses.LDAM(class_counts, **options)
        case "gcl":
            return losses.GCL(class_counts, **options)
