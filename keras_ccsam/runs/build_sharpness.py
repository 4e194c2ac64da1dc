"""From a recipe's method table to the sharpness method."""

from keras_ccsam import sharpness
from keras_ccsam.recipes.schema_methods import Method


def build_sharpness(choice: Method, class_counts: tuple[int, ...]) -> sharpness.SharpnessMethod:
    """Return the method that a recipe names, for a training set of these counts."""
    options = choice.model_dump(exclude={"name"})
    match choice.name:
        case "erm":
            return sharpness.ERM()
        case "sam":
            return sharpness.SAM(**options)
        case "asam":
            return sharpness.SAM(**options, adaptive=True)
        case "class_conditional":
            return sharpness.ClassConditional(class_counts, **options)
        case "gradient_norm":
            return sharpness.GradientNorm(**options)
        case "gaussian":
            return sharpness.GaussianPerturbation(**options)
        case "imbsam":
            return sharpness.ImbSAM(class_counts, **options)
        case "focal_sam":
            return sharpness.FocalSAM(class_counts, **options)
