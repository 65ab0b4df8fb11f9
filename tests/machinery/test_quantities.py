"""Quantities: what they are worth, and what is none."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.quantity import QuantityError, parse_quantity


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("0", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("-1", "-1"),
        ("007", "7"),
        ("1.", "1"),
        (".5", "0.5"),
        ("1.25", "1.25"),
        ("100m", "0.1"),
        ("1500m", "1.5"),
        ("-100m", "-0.1"),
        ("0.5m", "0.0005"),
        ("100u", "0.0001"),
        ("1n", "0.000000001"),
        ("1k", "1000"),
        ("1M", "1000000"),
        ("1G", "1000000000"),
        ("1T", "1000000000000"),
        ("1P", "1000000000000000"),
        ("1E", "1000000000000000000"),
        ("1Ki", "1024"),
        ("128Mi", "134217728"),
        ("1.5Gi", "1610612736"),
        ("1Ti", "1099511627776"),
        ("1Pi", "1125899906842624"),
        ("1Ei", "1152921504606846976"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1e-3", "0.001"),
        ("1E+2", "100"),
        ("1.5e1", "15"),
    ],
)
def test_a_quantity_is_worth(text: str, worth: str) -> None:
    assert parse_quantity(text) == Decimal(worth)


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 ", " 1", "1 Gi", "abc", "1K", "1mi", "1KI", "1kb", "1MiB", "--1", "1.2.3",
     "1e", "1e3k", "0x10", "1_000", "1,5", "½", "inf", "nan"],
)  # fmt: skip
def test_this_is_no_quantity(text: str) -> None:
    with pytest.raises(QuantityError) as refused:
        parse_quantity(text)
    assert str(refused.value) == (
        "quantities must match the regular expression "
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )


STEPS = [
    *zip("num", "um", strict=False),
    ("m", ""),
    *zip(["", *"kMGTP"], "kMGTPE", strict=True),
]
BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]


@given(st.integers(-(10**6), 10**6), st.sampled_from(STEPS))
def test_a_thousand_of_one_is_one_of_the_next(number: int, step: tuple[str, str]) -> None:
    small, big = step
    assert parse_quantity(f"{number * 1000}{small}") == parse_quantity(f"{number}{big}")


@given(st.integers(-(10**6), 10**6), st.integers(0, 5))
def test_1024_of_one_is_one_of_the_next(number: int, at: int) -> None:
    small, big = BINARY[at], BINARY[at + 1]
    assert parse_quantity(f"{number * 1024}{small}") == parse_quantity(f"{number}{big}")


@given(st.decimals(-(10**9), 10**9, places=3))
def test_a_plain_number_is_worth_itself(number: Decimal) -> None:
    assert parse_quantity(f"{number:f}") == number


@given(st.integers(-999, 999), st.integers(-9, 9))
def test_an_exponent_is_a_power_of_ten(number: int, exponent: int) -> None:
    assert parse_quantity(f"{number}e{exponent}") == Decimal(number).scaleb(exponent)
