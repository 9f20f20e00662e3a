"""What each row of a history is, on made-up rows for every trap that the real one has."""

from decimal import Decimal
from pathlib import Path

import pytest

from apps.replay.histories import Cells, cells, write
from pasar.apps.replay.reader import CannotReplay, Row, Rule, Unreadable, read, rule_of


def row_of(tmp_path: Path, row: Cells) -> Row:
    (found,) = read(write(tmp_path / "history.csv.gz", [row]))
    assert isinstance(found, Row), found
    return found


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (cells("489434"), None),
        (cells("489434", customer=""), None),
        (cells("489434", price="0"), None),
        (cells("489434", price="0.001"), None),
        (cells("489434", "dcgs0058"), None),
        (cells("489434", "PADS"), None),
        (cells("489434", "47503J "), None),
        (cells("C489449", quantity=-3), None),
        (cells("489434", "POST"), Rule.CARRIAGE),
        (cells("489434", "DOT"), Rule.CARRIAGE),
        (cells("489434", "C2"), Rule.CARRIAGE),
        (cells("C489449", "D", -1), Rule.DISCOUNT),
        (cells("489434", "m"), Rule.MANUAL),
        (cells("489434", "ADJUST2"), Rule.MANUAL),
        (cells("C489449", "S", -1), Rule.SAMPLES),
        (cells("C489449", "AMAZONFEE", -1, "11586.50"), Rule.FEES),
        (cells("489434", "BANK CHARGES"), Rule.FEES),
        (cells("489434", "gift_0001_30"), Rule.VOUCHERS),
        (cells("489434", "TEST001"), Rule.TESTS),
        (cells("489434", "XYZ"), Rule.NO_PRODUCT),
        (cells("A506401", "B", 1, "-53594.36"), Rule.BAD_DEBT),
        (cells("489434", price="-2.55"), Rule.NEGATIVE_PRICE),
        (cells("489464", quantity=-96, price="0", customer=""), Rule.WRITE_OFF),
        (cells("489464", quantity=96, price="0", customer=""), Rule.STOCK_FOUND),
        (cells("C489449", quantity=3), Rule.CREDIT_OF_NOTHING),
        (cells("C489449", quantity=-3, customer=""), Rule.RETURN_OF_NOBODY),
    ],
)
def test_a_row_is_a_line_or_falls_under_one_rule(tmp_path: Path, row: Cells, rule: Rule | None):
    assert rule_of(row_of(tmp_path, row)) is rule


def test_codes_that_differ_in_case_or_blanks_are_one_product(tmp_path: Path):
    assert row_of(tmp_path, cells("1", " 85123a ")).sku == row_of(tmp_path, cells("1", "85123A")).sku == "85123A"


def test_money_is_exact_to_the_third_decimal(tmp_path: Path):
    assert row_of(tmp_path, cells("1", quantity=7, price="1.055")).money == Decimal("7.385")


@pytest.mark.parametrize(
    "row",
    [
        ("489434", "85123A", "HEART", "six", "2009-12-01 07:45:00", "2.55", "13085", "United Kingdom"),
        cells("489434", quantity=0),
        cells("489434", price="NaN"),
        cells("489434", price="1e5"),
        cells("489434", price="0.00001"),
        cells("489434", at="yesterday"),
        cells("489434", " "),
        ("489434", "85123A"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_and_does_not_stop_the_reading(tmp_path: Path, row: tuple[str, ...]):
    bad, good = read(write(tmp_path / "history.csv", [row, cells("489435")]))
    assert isinstance(bad, Unreadable)
    assert (bad.line, bad.invoice) == (2, "489434")
    assert isinstance(good, Row)


def test_a_file_that_is_no_history_is_refused_with_what_it_lacks(tmp_path: Path):
    file = tmp_path / "other.csv"
    file.write_text("id,title\n1,x\n")
    with pytest.raises(CannotReplay, match="Invoice"):
        list(read(file))


def test_a_broken_archive_is_refused(tmp_path: Path):
    file = write(tmp_path / "history.csv.gz", [cells(str(number)) for number in range(2000)])
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CannotReplay, match="cannot be read"):
        list(read(file))
