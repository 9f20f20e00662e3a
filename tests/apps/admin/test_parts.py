"""Small parts of the console that need no database."""

from decimal import Decimal

import pytest

from pasar.apps.admin.charts import HEIGHT, WIDTH, ceiling, columns, spark
from pasar.apps.admin.desk import masked
from pasar.apps.admin.orders import read_csv
from pasar.apps.admin.product_form import Draft, matrix, values_of
from pasar.apps.admin.sign_in import safe_next
from pasar.apps.cells import plain_cell, safe_cell


@pytest.mark.parametrize(
    ("most", "top"), [("0", 1), ("1", 1), ("1.5", 2), ("7", 10), ("230", 500), ("1252900", 2_000_000)]
)
def test_a_chart_ends_at_a_round_number(most: str, top: int) -> None:
    assert ceiling(Decimal(most)) == top


def test_columns_stay_within_the_picture() -> None:
    chart = columns([(str(day), Decimal(day * 13 % 97)) for day in range(90)])
    assert all(
        bar.x >= 0 and bar.x + bar.width <= WIDTH and bar.y >= 0 and bar.y + bar.height <= HEIGHT for bar in chart.bars
    )
    assert [bar.is_last for bar in chart.bars].count(True) == 1
    assert chart.bars[-1].label == "89"
    assert sum(bool(bar.label) for bar in chart.bars) <= 6
    assert columns([]).bars == ()


def test_a_spark_has_a_point_for_each_value() -> None:
    assert len(spark([Decimal(1)] * 14).split()) == 14
    assert spark([]) == ""


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1+1", "'=1+1"), ("-2", "-2"), ("-2.5", "-2.5"), ("-x", "'-x"), ("@SUM(A1)", "'@SUM(A1)"), ("apple", "apple"),
     ("'=1", "''=1"), ("'tis", "'tis"), ("-2-3", "'-2-3"), ("--2", "'--2"), ("'-2", "''-2"), ("", "")],
)  # fmt: skip
def test_a_spreadsheet_gets_no_formula_and_we_get_the_text_back(text: str, cell: str) -> None:
    assert safe_cell(text) == cell
    assert plain_cell(cell) == text


@pytest.mark.parametrize(
    ("text", "shown"), [("kim@example.com", "k•••@e•••"), ("+821012345678", "•••678"), ("Kim Minji", "K••"), ("", "")]
)
def test_a_mask_lets_little_through(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("target", "inside"),
    [("/console/orders?state=PAID", True), ("/console", True), ("/", False), ("//evil.example/console/", False),
     ("https://evil.example", False), ("/consoleevil", False), ("/console/\\evil", False), ("/console/\n", False)],
)  # fmt: skip
def test_signing_in_leads_into_the_console(target: str, inside: bool) -> None:
    assert safe_next(target) == (target if inside else "/console")


@pytest.mark.parametrize("text", ["1 6312", "1,6312", "1;6312", "1\t6312"])
def test_a_sheet_is_read_however_its_cells_are_kept_apart(text: str) -> None:
    assert read_csv(f"{text}\n\n{text}") == [["1", "6312"]] * 2


def test_values_are_told_apart_by_commas_of_any_language() -> None:
    assert values_of("red, blue，green、red;  ") == ("red", "blue", "green")


def test_what_was_typed_stays_when_options_change() -> None:
    fields = dict.fromkeys(("prefix", "weight_g"), "") | {"prefix": "tea", "weight_g": "50"}
    rows = matrix(Draft(fields, [("Size", "S,M")], []), ["web"], {"web": "900"})
    assert [(row.sku, row.weight_g, row.prices) for row in rows] == [
        ("tea-s", "50", {"web": "900"}), ("tea-m", "50", {"web": "900"}),
    ]  # fmt: skip
    typed = [rows[0]._replace(sku="mine")]
    again = matrix(Draft(fields, [("Size", "S,L")], typed), ["web"], {})
    assert [row.sku for row in again] == ["mine", "tea-l"]
    assert [row.sku for row in matrix(Draft(fields, [], []), [], {})] == ["tea"]
