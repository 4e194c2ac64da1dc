"""PNG figures of a run: curves, accuracy by class, confusion, comparisons, landscapes.

Each function takes plain numbers or what this package makes of them, writes one file, whole or not
at all, and returns its path. Accuracies are fractions in 0..1 and are drawn in percent.
"""

from keras_ccsam.analysis.plots.comparison import comparison as comparison
from keras_ccsam.analysis.plots.confusion import confusion as confusion
from keras_ccsam.analysis.plots.curves import curves as curves
from keras_ccsam.analysis.plots.landscape import landscape as landscape
from keras_ccsam.analysis.plots.per_class import per_class as per_class
