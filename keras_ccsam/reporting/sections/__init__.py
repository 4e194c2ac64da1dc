"""The parts of a report, one file each, with one function `section(runs) -> Section | None`.

None leaves the section out; one without blocks says in a sentence which command fills it.
"""

from collections.abc import Callable

from keras_ccsam.analysis.report.blocks import Section
from keras_ccsam.reporting.found_runs import Runs
from keras_ccsam.reporting.sections import (
    bound,
    calibration,
    conclusions,
    confusion,
    curves,
    environment,
    landscape,
    per_class,
    radius,
    recipes,
    representation,
    sharpness,
    summary,
    sweep,
)

SECTIONS: tuple[Callable[[Runs], Section | None], ...] = (
    summary.section,
    conclusions.section,
    sweep.section,
    per_class.section,
    curves.section,
    calibration.section,
    confusion.section,
    representation.section,
    landscape.section,
    sharpness.section,
    bound.section,
    radius.section,
    recipes.section,
    environment.section,
)
