"""The published tables: whole, closed, and with the numbers of the appendix."""

import pytest

from keras_ccsam import recipes
from keras_ccsam.recipes import tables
from keras_ccsam.recipes.tables import Table

pytestmark = pytest.mark.any_backend

# Written out from the appendix once more: method -> accuracy on CIFAR-10-LT and on CIFAR-100-LT.
ABLATIONS = {
    "table1": (50, (81.14, 84.03, 85.69, 85.81), (47.73, 52.41, 52.73, 53.24)),
    "table2": (100, (75.12, 79.74, 81.68, 82.42), (43.39, 47.74, 48.20, 48.77)),
    "table3": (200, (69.99, 76.51, 77.43, 78.31), (37.51, 43.12, 44.07, 44.99)),
}
# Row of Table 4 -> accuracy at the ratios 200, 100, 50.
OTHER_LOSSES = {
    "LDAM": (70.15, 73.26, 78.16),
    "LDAM + SAM": (68.59, 74.20, 78.88),
    "LDAM + CC-SAM": (71.05, 74.56, 79.34),
    "GCL": (79.03, 82.68, 85.46),
    "GCL + CC-SAM": (80.74, 83.54, 86.07),
}


def test_the_tables_are_there():
    wanted = [*(f"table{n}" for n in range(1, 6)), *(f"figure{n}" for n in range(1, 10))]
    assert set(tables.names()) == {*wanted, "landscapes", "main"}
    for name in wanted:
        table = tables.load(name)
        number = f"{name[:-1].capitalize()} {name[-1]}"
        assert table.source == f"CC-SAM appendix, {number}"
        assert table.title


def test_figures_of_landscapes_are_parts_of_one_table():
    whole = tables.load("landscapes")
    assert [row.label for row in whole.rows] == ["CE", "LDAM", "M2m", "MisLAS", "GCL", "CC-SAM"]
    claimed = []
    for number, row in enumerate(whole.rows, start=4):
        part = tables.load(f"figure{number}")
        assert [own.label for own in part.rows] == list(dict.fromkeys(["CE", row.label]))
        assert part.measure == "landscape"
        claimed += part.claims
    assert sorted(claimed, key=str) == sorted(whole.claims, key=str)


def test_a_claim_about_no_row_is_refused():
    values = {
        "title": "t",
        "source": "s",
        "rows": [{"label": "A", "recipe": "ce", "data": "cifar10-lt", "imbalance_ratio": 100}],
        "claims": [
            {
                "text": "A is flat",
                "row": "A",
                "than": "B",
                "measure": "near",
                "expected": "lower",
                "groups": ["tail"],
            }
        ],
    }
    with pytest.raises(ValueError, match=r"a claim must speak of the labels of rows.*'B'"):
        tables.Table.from_values(values)


@pytest.mark.parametrize("name", ABLATIONS)
def test_the_ablations(name):
    ratio, *columns = ABLATIONS[name]
    stages = ("crt-continued", "ccsam-stage1", "ccsam-stage2", "ccsam")
    stages = tuple(f"{stage}-paper" for stage in stages)
    expected = [
        (data, ratio, recipe, number, () if recipe == stages[0] else ("cRT",))
        for data, numbers in zip(("cifar10-lt", "cifar100-lt"), columns, strict=True)
        for recipe, number in zip(stages, numbers, strict=True)
    ]
    assert [
        (row.data, row.imbalance_ratio, row.recipe, row.published, (row.over,) if row.over else ())
        for row in tables.load(name).rows
    ] == expected


def test_other_losses():
    rows = {
        (row.label, row.imbalance_ratio): (row.data, row.published)
        for row in tables.load("table4").rows
    }
    assert rows == {
        (label, ratio): ("cifar10-lt", number)
        for label, numbers in OTHER_LOSSES.items()
        for ratio, number in zip((200, 100, 50), numbers, strict=True)
    }
    for row in tables.load("table4").rows:
        loss, plus, _ = row.label.partition(" + ")
        assert row.over == (loss if plus else "")


def test_times():
    table = tables.load("table5")
    assert table.measure == "time"
    assert [(row.label, row.published) for row in table.rows] == [
        ("CE", 0.62),
        ("LDAM", 0.68),
        ("CC-SAM", 0.96),
    ]


def test_the_radius_goes_from_one_tenth_to_one_ten_millionth():
    table = tables.load("figure1")
    assert table.published_best == "r = 1e-2"
    assert [row.published for row in table.rows] == [None] * 7
    for row, exponent in zip(table.rows, range(1, 8), strict=True):
        recipe = recipes.load(row.recipe, row.data, row.overrides)
        assert recipe.stage1.method.radius_scale == pytest.approx(10.0**-exponent)
        assert row.label == f"r = 1e-{exponent}"


def test_the_flattening_operations():
    table = tables.load("figure2")
    assert [row.published for row in table.rows] == [None] * 5
    assert "Places-LT" in table.note


GOOD = """
title = "t"
source = "s"
[[rows]]
label = "a"
recipe = "ce"
data = "cifar10-lt"
imbalance_ratio = 100
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("title", "titel"), r"'title'|titel"),
        (GOOD + "publised = 1.0\n", r"unknown key 'rows\.0\.publised' .*published.*publised=1\.0"),
        (GOOD.replace("100", '"100"'), r"rows\.0\.imbalance_ratio must be .* number.*='100'"),
        (GOOD.replace("cifar10-lt", "digits-lt"), r"rows\.0\.data must be 'cifar10-lt' or"),
        (GOOD + 'over = "b"\n', r"label of another row on cifar10-lt 100\. Received: over='b'"),
        (GOOD + 'over = "a"\n', "label of another row"),
        (GOOD + GOOD.partition('"s"')[2], "different labels. Received: label='a'"),
        (GOOD.replace("[[", 'published_best = "b"\n[[', 1), "published_best='b'"),
        ('title = "t"\nsource = "s"\n', "lacks 'rows'"),
        ("title = ", "not valid TOML"),
    ],
)
def test_a_table_is_closed(text, message):
    assert Table.from_toml(GOOD).rows[0].place == "cifar10-lt 100"
    with pytest.raises(ValueError, match=message) as error:
        Table.from_toml(text, "mine.toml")
    assert "mine.toml" in str(error.value)
    assert "Received: " in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_name_is_told_its_neighbour():
    with pytest.raises(ValueError, match=r"did you mean 'table1'\?.*Received: table='tabel1'"):
        tables.load("tabel1")


@pytest.mark.parametrize("name", tables.names())
def test_every_row_is_a_recipe_of_its_own(name):
    rows = tables.load(name).rows
    main = tables.load(name).protocol == "main"
    for scaled in ("{}-main", "{}-small-main") if main else ("{}", "{}-small", "digits-lt"):
        trained = {}
        for row in rows:
            changes = (f"data.imbalance_ratio={row.imbalance_ratio / 2:g}", *row.overrides)
            recipe = recipes.load(row.recipe, scaled.format(row.data), changes)
            assert recipe.warnings() == ()
            # An override that changes nothing would make two rows of a table the same run.
            same = trained.setdefault((row.place, recipe.digest()), row.label)
            assert same == row.label
