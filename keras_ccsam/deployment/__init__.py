"""Trained networks where they are used: exported to other formats, and asked about new images."""

from keras_ccsam.deployment.classifier import Classifier as Classifier
from keras_ccsam.deployment.export import Exported as Exported
from keras_ccsam.deployment.export import export as export
from keras_ccsam.deployment.formats import FORMATS as FORMATS
from keras_ccsam.deployment.formats import Format as Format
from keras_ccsam.deployment.new_data import Judged as Judged
from keras_ccsam.deployment.new_data import evaluate_on as evaluate_on
from keras_ccsam.deployment.predict import Prediction as Prediction
from keras_ccsam.deployment.predict import predict as predict
from keras_ccsam.metrics.temperature import Temperature as Temperature
from keras_ccsam.metrics.temperature import fit_temperature as fit_temperature
