"""The pictures of a run, in its folder `plots`."""

import warnings

from keras_ccsam import processes
from keras_ccsam.data import LongTailedData
from keras_ccsam.metrics import Report
from keras_ccsam.runs.run_directory import RunDirectory


def draw(directory: RunDirectory, images: LongTailedData, report: Report) -> None:
    """Draw what there is; a picture that fails must not cost the run."""
    if not processes.writes():
        return
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    records = [record | {"epoch": i} for i, record in enumerate(directory.metrics())]
    names, folder = images.class_names, directory.plots
    try:
        plots.curves(records, folder / "curves.png")
        plots.per_class(
            report.per_class,
            images.class_counts,
            folder / "per_class.png",
            names,
            report.group_classes,
        )
        if len(names) <= 1000:  # more cells than a picture has pixels
            plots.confusion(report.confusion, folder / "confusion.png", names)
    except (OSError, RuntimeError, ValueError) as error:
        warnings.warn(f"the plots could not be drawn: {error}", stacklevel=3)
