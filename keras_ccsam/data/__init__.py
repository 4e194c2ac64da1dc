"""Long-tailed data sets, samplers and batches."""

from keras_ccsam.data.batches.augment import Crop as Crop
from keras_ccsam.data.batches.augment import Cutout as Cutout
from keras_ccsam.data.batches.augment import Flip as Flip
from keras_ccsam.data.batches.samplers import SAMPLERS as SAMPLERS
from keras_ccsam.data.batches.sequence import BatchSequence as BatchSequence
from keras_ccsam.data.catalogue import DATASETS as DATASETS
from keras_ccsam.data.catalogue import DatasetInfo as DatasetInfo
from keras_ccsam.data.catalogue import load as load
from keras_ccsam.data.long_tailed import LongTailedData as LongTailedData
from keras_ccsam.data.sources.arrays import from_arrays as from_arrays
from keras_ccsam.data.sources.arrays import source as source
from keras_ccsam.data.sources.source import Source as Source
from keras_ccsam.data.tails.indices import SavedIndices as SavedIndices
from keras_ccsam.data.tails.indices import load_indices as load_indices
from keras_ccsam.data.tails.profiles import profile_counts as profile_counts
