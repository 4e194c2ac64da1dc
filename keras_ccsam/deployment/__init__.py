"""Trained networks where they are used: exported to other formats, and asked about new images."""

from keras_ccsam.deployment.export import Exported as Exported
from keras_ccsam.deployment.export import export as export
from keras_ccsam.deployment.formats import FORMATS as FORMATS
from keras_ccsam.deployment.formats import Format as Format
from keras_ccsam.deployment.temperature import Temperature as Temperature
from keras_ccsam.deployment.temperature import fit_temperature as fit_temperature
