"""What is added to the loss of a batch beside that of its samples, one term per file."""

from keras_ccsam.terms.correctness_ranking import CorrectnessRanking as CorrectnessRanking
from keras_ccsam.terms.glmc import GLMC as GLMC
from keras_ccsam.terms.proco import ProCo as ProCo
from keras_ccsam.terms.term import Term as Term
from keras_ccsam.terms.term import TermBatch as TermBatch
