"""Tables say what the files of results hold."""

import pytest

from benchmarks import tables

pytestmark = pytest.mark.any_backend


def test_methods_stand_side_by_side() -> None:
    row = {"backbone": "resnet32", "batch": 64, "classes": 10}
    rows = [
        {**row, "method": "cross-entropy", "ms_per_step": 1337.9, "ratio": 1.0},
        {**row, "method": "sam", "ms_per_step": 2680.2, "ratio": 2.0251, "cpu_ratio": 2.0333},
    ]
    assert tables.step_cost({"rows": rows}).splitlines() == [
        "| backbone | batch | classes | cross-entropy, ms | CC-SAM (head) | SAM "
        "| CC-SAM (all weights) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| resnet32 | 64 | 10 | 1,338 | not measured | 2.03 (2.03) | not measured |",
    ]


def test_each_setting_against_pytorch_has_its_table() -> None:
    row = {"network": "vit", "classes": 10, "precision": "float32", "threads": 1}
    row |= {"worker": "pytorch", "method": "ce", "ms_per_step": 50.46, "ratio": 1.0}
    row |= {"images_per_second": 1268.4, "first_step_seconds": 0.14, "cpu_ratio": 1.0}
    printed = tables.versus_pytorch({"rows": [{**row, "batch": 64}, {**row, "batch": 128}]})
    assert printed.count("| pytorch: ce | 50.5 | 1,268 | 1.00 (1.00) | 0.1 | not measured |") == 2
    assert "vit, batch 64, 10 classes, float32, threads: 1" in printed
    assert "vit, batch 128, 10 classes, float32, threads: 1" in printed


def test_a_benchmark_without_a_layout_of_its_own_shows_its_key() -> None:
    content = {"key": ["data", "recipe"], "rows": [{"data": "digits", "recipe": "sam", "ratio": 2}]}
    assert tables.any_other(content).splitlines()[-1] == "| digits | sam | not measured | 2.00 |"


def test_a_profile_says_what_share_each_kind_takes() -> None:
    row = {"backbone": "resnet32", "batch": 64, "ms_per_step": 310.4}
    row |= {"kinds": {"convolution": 225.0, "the rest": 75.0}}
    assert tables.profile({"backend": "jax", "rows": [row]}).splitlines()[-1] == (
        "| jax: resnet32, batch 64, 310 ms/step | the rest | 75.0 | 25% |"
    )
