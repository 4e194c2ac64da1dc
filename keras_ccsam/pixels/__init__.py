"""The pixels that a model was trained on, and whether others look like them.

A network takes pixels 0..1 for almost black images of 0..255, and says so of none of them: it
answers, and is wrong. So a model keeps what its first training images were like, and whoever asks
it later compares. What cannot be meant is an error; what is merely strange is a warning. Ordinary
images that are dark, grey, saturated or few are neither.
"""

from keras_ccsam.pixels.seen import LOOKED_AT as LOOKED_AT
from keras_ccsam.pixels.seen import PixelRecord as PixelRecord
from keras_ccsam.pixels.seen import record as record
from keras_ccsam.pixels.strange import Finding as Finding
from keras_ccsam.pixels.strange import check as check
from keras_ccsam.pixels.strange import findings as findings
from keras_ccsam.pixels.strange import warn as warn
