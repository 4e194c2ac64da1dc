"""Long-tailed data sets, samplers and batches."""

from keras_ccsam.data.arrays import from_arrays as from_arrays
from keras_ccsam.data.augment import Crop as Crop
from keras_ccsam.data.augment import Cutout as Cutout
from keras_ccsam.data.augment import Flip as Flip
from keras_ccsam.data.catalogue import DATASETS as DATASETS
from keras_ccsam.data.catalogue import DatasetInfo as DatasetInfo
from keras_ccsam.data.catalogue import load as load
from keras_ccsam.data.indices import SavedIndices as SavedIndices
from keras_ccsam.data.indices import load_indices as load_indices
from keras_ccsam.data.long_tailed import LongTailedData as LongTailedData
from keras_ccsam.data.profiles import profile_counts as profile_counts
from keras_ccsam.data.samplers import SAMPLERS as SAMPLERS
from keras_ccsam.data.sequence import BatchSequence as BatchSequence
