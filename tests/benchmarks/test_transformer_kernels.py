"""The contenders of `benchmarks/transformer_kernels.py` compute the same."""

import numpy as np
import pytest
from keras import ops

from benchmarks import transformer_kernels

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("part", transformer_kernels.PARTS)
def test_all_contenders_compute_the_same(part: str) -> None:
    arrays = transformer_kernels.inputs(part, 2)[:-1]
    known = transformer_kernels.functions(part)
    expected = known["pytorch"](*(torch.tensor(each) for each in arrays)).numpy()
    given = [ops.convert_to_tensor(each) for each in arrays]
    for name in ("keras", "ours"):
        if (found := known[name](*given)) is not None:
            np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.class_counts. cannot be")  # of a few images
@pytest.mark.parametrize("part", ["layer_norm", "steps"])
def test_a_row_has_all_ratios(part: str) -> None:
    row = transformer_kernels.measure(part, 2, 2)
    assert {f"{name}_beside_pytorch" for name in ("keras", "ours")} <= set(row)
