"""The two protocols of the paper, and what a table says of how far its numbers can be compared."""

import pytest

from keras_ccsam import reproduction

pytestmark = pytest.mark.any_backend


def test_a_protocol_chooses_the_settings_and_drops_what_was_published_by_another(tmp_path):
    def plan(name, protocol, scale="small"):
        return reproduction.plan_reproduction(name, scale, 1, tmp_path / "r", protocol=protocol)

    own, main = plan("table2", None), plan("table2", "main")
    assert (own.protocol, main.protocol) == ("ablation", "main")
    assert own.rows[0].recipe.setting == "cifar10-lt-small"
    assert main.rows[0].recipe.setting == "cifar10-lt-small-main"
    assert main.rows[0].recipe.stage1.mixup == 0.0 < own.rows[0].recipe.stage1.mixup
    assert own.rows[0].source.published == 75.12
    assert all(row.source.published is None for row in main.rows)
    headline = plan("main", None, "full")
    assert {row.recipe.setting for row in headline.rows} == {"cifar10-lt-main", "cifar100-lt-main"}
    assert [r.source.published for r in headline.rows] == [83.92, None, 50.83, None]
    for name, protocol in (("table1", "main"), ("main", None)):
        with pytest.raises(ValueError, match="the main protocol is of CIFAR"):
            plan(name, protocol, "tiny")
    with pytest.raises(ValueError, match=r"one of ablation, main"):
        plan("table1", "strong")


def test_the_readings_of_the_recipes_and_how_numbers_were_chosen_stand_under_a_table(tmp_path):
    plan = reproduction.plan_reproduction("table1", "tiny", 1, tmp_path / "r")
    text = plan.text()
    assert "best epoch on the test set" in text
    assert "That the ablation trained with mixup is our inference" in text
    (line,) = [x for x in text.splitlines() if "That cRT keeps the head of stage 1" in x]
    assert line.startswith("note      Our reading (crt-continued-paper): ")
