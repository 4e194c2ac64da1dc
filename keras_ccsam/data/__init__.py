"""Long-tailed data sets, samplers and batches."""

from keras_ccsam.data.batches.augment import Crop as Crop
from keras_ccsam.data.batches.augment import Cutout as Cutout
from keras_ccsam.data.batches.augment import Flip as Flip
<<<<<<< HEAD
from keras_ccsam.data.batches.framing import RandomResizedCrop as RandomResizedCrop
=======
from keras_ccsam.data.batches.augmentations import AutoAugment as AutoAugment
from keras_ccsam.data.batches.augmentations import ColorJitter as ColorJitter
from keras_ccsam.data.batches.augmentations import RandAugment as RandAugment
from keras_ccsam.data.batches.augmentations import RandomErasing as RandomErasing
from keras_ccsam.data.batches.augmentations import TrivialAugment as TrivialAugment
>>>>>>> 1171136 (Policies, jitter and erasing as augmentations; samplers tested and timed; how to balance classes)
from keras_ccsam.data.batches.samplers import SAMPLERS as SAMPLERS
from keras_ccsam.data.batches.sequence import BatchSequence as BatchSequence
from keras_ccsam.data.catalogue import DATASETS as DATASETS
from keras_ccsam.data.catalogue import DatasetInfo as DatasetInfo
from keras_ccsam.data.catalogue import load as load
from keras_ccsam.data.catalogue import outline as outline
from keras_ccsam.data.images.files import ImageFiles as ImageFiles
from keras_ccsam.data.images.packed_images import PackedImages as PackedImages
from keras_ccsam.data.images.packing import Packed as Packed
from keras_ccsam.data.images.packing import pack as pack
from keras_ccsam.data.images.store import ImageStore as ImageStore
from keras_ccsam.data.images.unreadable import UnreadableImage as UnreadableImage
from keras_ccsam.data.images.verifying import Verified as Verified
from keras_ccsam.data.images.verifying import verify as verify
from keras_ccsam.data.long_tailed import LongTailedData as LongTailedData
from keras_ccsam.data.outline import Outline as Outline
from keras_ccsam.data.sources.arrays import from_arrays as from_arrays
from keras_ccsam.data.sources.arrays import source as source
from keras_ccsam.data.sources.from_dataset import from_dataset as from_dataset
from keras_ccsam.data.sources.path import open_path as open_path
from keras_ccsam.data.sources.recognise import recognise as recognise
from keras_ccsam.data.sources.source import Source as Source
from keras_ccsam.data.tails.indices import SavedIndices as SavedIndices
from keras_ccsam.data.tails.indices import load_indices as load_indices
from keras_ccsam.data.tails.profiles import profile_counts as profile_counts
