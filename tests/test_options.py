"""What is said of an option that is wrong."""

import pytest

import keras_ccsam as cc
from keras_ccsam.second_stage import Retraining

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: cc.data.Curriculum(without="flip"), "`without` must be a list of text."),
        (lambda: cc.data.RandomResizedCrop(area=0.5), "`area` must be a list of 2 numbers."),
        (lambda: Retraining(augment="defualt"), "or a list; did you mean 'default'?"),
    ],
)
def test_a_list_is_one_of_what(make, said):
    with pytest.raises(ValueError) as error:
        make()
    assert said in str(error.value)
