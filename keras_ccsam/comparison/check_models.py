"""What each recipe of a comparison names, made once before the first run."""

from collections.abc import Sequence

from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.slots import name_of, values
from keras_ccsam.runs import parts
from keras_ccsam.runs.checks import made
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.unread import known_data


def check_models(recipes: Sequence[Recipe], record: Record = (), *, read: bool = True) -> None:
    """Make model, batches and callbacks of each recipe once, which are on the same data.

    The last recipe's mistake must not show after hours of the others.

    Args:
        recipes: one or more.
        record: as in `compare`.
        read: False reads no image and no weights, for a plan.

    Raises:
        ValueError: the data cannot be had, a part cannot be made, or what is to be recorded has
            an option that does not fit it.
    """
    data = recipes[0].data
    images = parts.load_data(data) if read else known_data(data)
    for recipe in recipes:
        # To draw weights nobody trains takes time, and what JAX compiles for it before the runs
        # is not kept for whoever opens them.
        made(recipe, images, check_record(record), empty=not read or _draws_weights(recipe))


def _draws_weights(recipe: Recipe) -> bool:
    """Whether the network's first weights are drawn, and none is read or downloaded.

    A network from outside the package may do anything with its weights while it is built.
    """
    choice = recipe.model.backbone
    name, given = name_of(choice), (recipe.model.weights, values(choice).get("weights"))
    return given == (None, None) and name != "hub" and ":" not in name
