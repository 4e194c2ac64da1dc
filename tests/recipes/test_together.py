"""Recipes that cannot stand in one table are refused with what to type, and that is enough."""

import re
import shlex

import pytest

from keras_ccsam import recipes
from keras_ccsam.recipes.together import check_together

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize("names", [("ccsam", "ccsam-published"), ("ccsam-published", "ccsam")])
@pytest.mark.parametrize("data", ["cifar10-lt", "cifar100-lt"])
def test_what_it_says_to_type_makes_them_alike(names, data):
    with pytest.raises(ValueError, match="same data and groups only") as refused:
        check_together([recipes.load(name, data) for name in names])
    options = shlex.split(re.search(r"add (.+?)\. Received:", str(refused.value))[1])
    assert set(options[::2]) == {"--set"}
    typed = options[1::2]
    wanted = recipes.load(names[0], data)
    assert any(text == f"data.protocol={wanted.data.protocol}" for text in typed)
    alike = [recipes.load(name, data, typed) for name in names]
    check_together(alike)
    assert (alike[1].data, alike[1].groups) == (wanted.data, wanted.groups)


def test_what_is_alike_is_not_named_and_other_data_are():
    ce, crt = recipes.load("ce"), recipes.load("crt", overrides=["data.imbalance_ratio=20"])
    with pytest.raises(ValueError, match=r"add --set data\.imbalance_ratio=50\.0\. Received: crt"):
        check_together([ce, crt])
    with pytest.raises(ValueError, match=r"--data\. Received: ce on digits-lt, ce on cifar10-lt"):
        check_together([ce, recipes.load("ce", "cifar10-lt")])
