"""M2m: rare classes' images made of frequent ones' while the network trains."""

from keras_ccsam.m2m.start_translation import StartTranslation as StartTranslation
from keras_ccsam.m2m.translation import MajorToMinor as MajorToMinor
