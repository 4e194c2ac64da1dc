"""What a batch shows of each image, one way per file: several rows in place of one."""

from keras_ccsam.data.batches.views.contrast import Contrast as Contrast
from keras_ccsam.data.batches.views.mixtures import Mixtures as Mixtures
from keras_ccsam.data.batches.views.regmixup import RegMixup as RegMixup
from keras_ccsam.data.batches.views.views import Album as Album
from keras_ccsam.data.batches.views.views import View as View
from keras_ccsam.data.batches.views.views import Views as Views
