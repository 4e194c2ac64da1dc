"""Each model of a comparison, built once before the first run."""

from collections.abc import Sequence

from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.slots import name_of, values
from keras_ccsam.runs import parts
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.recorders import check_for


def check_models(recipes: Sequence[Recipe], record: Record = ()) -> None:
    """Build each model once: the last recipe's mistake must not show after hours of the others.

    Raises:
        ValueError: the data cannot be had, a model cannot be built, or what is to be recorded has
            an option that does not fit it.
    """
    images = parts.load_data(recipes[0].data)
    for recipe in recipes:
        steps = len(parts.train_batches(recipe, images))
        # To draw weights nobody trains takes time, and what JAX compiles for it before the runs
        # is not kept for whoever opens them.
        model = parts.build_model(recipe, images, steps, empty=_draws_weights(recipe))
        check_for(check_record(record), images, model)


def _draws_weights(recipe: Recipe) -> bool:
    """Whether the network's first weights are drawn, and none is read or downloaded.

    A network from outside the package may do anything with its weights while it is built.
    """
    choice = recipe.model.backbone
    name, given = name_of(choice), (recipe.model.weights, values(choice).get("weights"))
    return given == (None, None) and name != "hub" and ":" not in name
