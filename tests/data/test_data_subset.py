"""Which images a protocol keeps, and stratified splits."""

import numpy as np
import pytest

from keras_ccsam.data.tails.subset import draw_subset, stratified_split

pytestmark = pytest.mark.any_backend

COUNTS = [40, 17, 7, 3]


@pytest.fixture
def labels():
    return np.random.default_rng(5).permutation(np.repeat(np.arange(4), 60)).astype(np.int32)


@pytest.mark.parametrize(("protocol", "seed"), [("ldam", 0), ("ccsam", 42)])
def test_the_legacy_global_stream_from_the_code_s_own_seed(labels, protocol, seed):
    # The published code, restated: the global generator is seeded once and used class after class.
    state = np.random.get_state()
    np.random.seed(seed)
    expected = []
    for label, count in enumerate(COUNTS):
        rows = np.where(labels == label)[0]
        np.random.shuffle(rows)
        expected.extend(rows[:count])
    np.random.set_state(state)
    assert draw_subset(labels, COUNTS, protocol).tolist() == expected
    assert draw_subset(labels, COUNTS, protocol, seed=7).tolist() == expected


def test_ldam_leaves_the_global_generator_alone(labels):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    draw_subset(labels, COUNTS, "ldam")
    assert np.array_equal(before, np.random.get_state()[1])


def test_seeded_depends_on_the_seed_only(labels):
    first = draw_subset(labels, COUNTS, "seeded", seed=1)
    assert np.array_equal(first, draw_subset(labels, COUNTS, "seeded", seed=1))
    assert not np.array_equal(first, draw_subset(labels, COUNTS, "seeded", seed=2))


def test_first_n_is_file_order(labels):
    rows = draw_subset(labels, COUNTS, "first_n")
    expected = [r for c, n in enumerate(COUNTS) for r in np.flatnonzero(labels == c)[:n]]
    assert rows.tolist() == expected


@pytest.mark.parametrize("protocol", ["ldam", "ccsam", "seeded", "first_n"])
def test_counts_and_nesting(labels, protocol):
    large = draw_subset(labels, COUNTS, protocol, seed=4)
    small = draw_subset(labels, [40, 9, 2, 1], protocol, seed=4)
    assert np.bincount(labels[large]).tolist() == COUNTS
    assert len(set(large.tolist())) == len(large)
    assert set(small.tolist()) <= set(large.tolist())


def test_bad_protocol_and_seed(labels):
    with pytest.raises(ValueError, match="protocol='random'"):
        draw_subset(labels, COUNTS, "random")
    with pytest.raises(ValueError, match="seed=-1"):
        draw_subset(labels, COUNTS, "seeded", seed=-1)


def test_stratified_split_keeps_an_image_of_every_class():
    labels = np.repeat(np.arange(5), [100, 10, 3, 2, 1]).astype(np.int32)
    kept, held = stratified_split(labels, 0.2, seed=0, stream=1)
    assert np.bincount(labels[held], minlength=5).tolist() == [20, 2, 1, 1, 0]
    assert sorted([*kept, *held]) == list(range(116))
    nearly_all = stratified_split(labels, 0.99, seed=0, stream=1)[0]
    assert np.bincount(labels[nearly_all]).tolist() == [1, 1, 1, 1, 1]


def test_stratified_split_depends_on_seed_and_stream():
    labels = np.zeros(50, dtype=np.int32)
    first = stratified_split(labels, 0.3, seed=0, stream=1)[1].tolist()
    assert first == stratified_split(labels, 0.3, seed=0, stream=1)[1].tolist()
    assert first != stratified_split(labels, 0.3, seed=1, stream=1)[1].tolist()
    assert first != stratified_split(labels, 0.3, seed=0, stream=2)[1].tolist()


def test_fraction_zero_holds_nothing_out():
    kept, held = stratified_split(np.zeros(4, dtype=np.int32), 0.0, seed=0, stream=1)
    assert kept.tolist() == [0, 1, 2, 3]
    assert len(held) == 0
