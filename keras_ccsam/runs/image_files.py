"""What is looked at of image files before a run is begun."""

from keras_ccsam.data import LongTailedData
from keras_ccsam.data.images.glance import glance
from keras_ccsam.runs.progress import Progress


def look_at_files(images: LongTailedData, shown: Progress, tested: bool) -> None:
    """Find a broken image file now, not when its batch is read; see `data.images.glance`.

    Args:
        images: of the run.
        shown: where it is said.
        tested: whether test images are opened, too.

    Raises:
        UnreadableImage: the first file that cannot be read, of those that a few seconds allow.
    """
    test = images.x_test if tested else None
    looked, files = glance((images.x_train, images.x_validation, test))
    if looked < files:
        shown.say(
            f"looked at {looked:,} of {files:,} image files, and none is broken; ccsam data verify "
            "reads all of them"
        )
