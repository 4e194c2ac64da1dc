"""A recipe's option that should be a list says of what, with an example where there is one."""

import pytest

from keras_ccsam import recipes

pytestmark = pytest.mark.any_backend


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stage1.boundaries=3", "boundaries must be a list of numbers, as in [0.8, 0.9]. Received"),
        ('stage1.boundaries="x"', "a list of numbers, as in [0.8, 0.9]. Received: stage1.bound"),
        (
            "stage1.augment=[{name='random_resized_crop', area=0.5}]",
            "stage1.augment[0].area must be a list of 2 numbers, as in [0.08, 1.0]. Received",
        ),
        (
            "stage1.augment=[{name='curriculum', without='flip'}]",
            'without must be a list; did you mean ["flip"]? Received',
        ),
        (
            "stage1.augment=[{name='curriculum', without=3}]",
            "without must be a list of text (operations that are left out). Received",
        ),
        ("stage1.augment=3", "must be 'default' or a list of 'auto_augment', 'color_jitter', "),
        ("stage1.callbacks=3", "must be a list of 'curriculum', 'deferred_reweighting', "),
        (
            "model.backbone={name='resnet32', blocks=3}",
            "blocks must be a list of whole numbers (basic blocks of each of the three stages; ",
        ),
        (
            "stage1.reweight={weights=3}",
            "or 'auto' or a list of numbers (of the classes: a name, or numbers). Received",
        ),
        (
            "stage1.augment=[{name='random_resized_crop', area=[0.5]}]",
            "stage1.augment[0].area must be a longer list. Received: stage1.augment[0].area=[0.5]",
        ),
    ],
)
def test_a_list_is_one_of_what(override, words):
    with pytest.raises(ValueError) as error:
        recipes.load("ccsam", overrides=[override])
    assert words in str(error.value)
