"""Recipes: one TOML file names everything that a run needs."""

from keras_ccsam.recipes.library import load as load
from keras_ccsam.recipes.library import load_several as load_several
from keras_ccsam.recipes.library import names as names
from keras_ccsam.recipes.library import override as override
from keras_ccsam.recipes.library import settings as settings
from keras_ccsam.recipes.schema import Recipe as Recipe
