"""What `benchmarks/fixed_costs.py` trains on, which `make bench-check` does, too."""

import pytest

from benchmarks import fixed_costs


@pytest.mark.filterwarnings("error:.*class_counts")
def test_labels_are_drawn_as_the_counts_of_the_method_have_it() -> None:
    x, y = fixed_costs.inputs(64)
    model = fixed_costs.build("ccsam", fixed_costs.tiny())
    model.fit(x, y, batch_size=fixed_costs.BATCH, verbose=0)
