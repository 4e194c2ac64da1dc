"""What several processes find together is what one finds: passes, reports, metrics, agreements."""

import pytest

from tests.distributed.started import BACKEND, run_together


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "tensorflow", reason="one process trains on TensorFlow")
def test_what_is_passed_together_is_what_one_passes(tmp_path):
    count = 3 if BACKEND == "torch" else 2
    said = run_together(
        "tests.distributed.shares_worker", [str(tmp_path / "kept")], count, seconds=300
    )
    assert said.count("together") == count
