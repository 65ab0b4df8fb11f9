"""Texts as Go prints them: `%q`, values in field errors, durations for people."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery import gotext

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("plain", '"plain"'),
        ("it's", '"it\'s"'),
        ('say "x"', r'"say \"x\""'),
        ("a\\b", r'"a\\b"'),
        ("\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        ("\0\x01\x1f\x7f", r'"\x00\x01\x1f\x7f"'),
        ("ü€日本", '"ü€日本"'),
        ("\U0001f600", '"\U0001f600"'),
        ("\u0080\u009f", r'"\u0080\u009f"'),
        ("\u00a0\u2028\ufeff\u200b", r'"\u00a0\u2028\ufeff\u200b"'),
        ("\U000e0001", r'"\U000e0001"'),
    ],
    ids=[
        "empty", "plain", "an apostrophe", "quotes", "a backslash", "short escapes", "control bytes",
        "letters of the world", "a face", "control characters", "invisible ones", "an invisible far one",
    ],
)  # fmt: skip
def test_go_quotes(text: str, quoted: str) -> None:
    assert gotext.quote(text) == quoted


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_quoted_is_one_printable_line_that_reads_back(text: str) -> None:
    quoted = gotext.quote(text)
    assert quoted.isprintable()
    literal = re.sub(r"\\a", r"\\x07", quoted.replace("\\\\", "\\x5c")).replace("\\v", "\\x0b")
    assert json.loads(re.sub(r"\\x(..)", r"\\u00\1", _surrogates(literal))) == text


def _surrogates(literal: str) -> str:
    """Go's eight digits as JSON has them: two halves."""
    return re.sub(
        r"\\U([0-9a-f]{8})",
        lambda match: json.dumps(chr(int(match[1], 16)))[1:-1],
        literal,
    )


@pytest.mark.parametrize(
    ("thing", "shown"),
    [
        ("text", '"text"'),
        ("", '""'),
        ('"', r'"\""'),
        (5, "5"),
        (-1, "-1"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ([1, "a"], '[1,"a"]'),
        ({"a": {"b": "ü"}}, '{"a":{"b":"ü"}}'),
    ],
    ids=repr,
)
def test_a_bad_value_is_shown(thing: object, shown: str) -> None:
    assert gotext.value(thing) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3600.0, "<invalid>"),
        (-2.0, "<invalid>"),
        (-1.9, "0s"),
        (-0.5, "0s"),
        (0.9, "0s"),
        (1, "1s"),
        (119.99, "119s"),
        (2 * MINUTE, "2m"),
        (2 * MINUTE + 1, "2m1s"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE, "10m"),
        (10 * MINUTE + 59, "10m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 59, "3h"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (2 * DAY - 1, "47h"),
        (2 * DAY, "2d"),
        (8 * DAY - 1, "7d23h"),
        (8 * DAY, "8d"),
        (2 * YEAR - 1, "729d"),
        (2 * YEAR, "2y"),
        (8 * YEAR - 1, "7y364d"),
        (8 * YEAR, "8y"),
        (100 * YEAR, "100y"),
    ],
)
def test_a_duration_reads(seconds: float, text: str) -> None:
    assert gotext.human_duration(seconds) == text


UNITS = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "y": YEAR}


@given(st.integers(0, 200 * YEAR))
def test_a_duration_is_cut_never_rounded_up(seconds: int) -> None:
    parts = re.findall(r"(\d+)([smhdy])", gotext.human_duration(seconds))
    told = sum(int(count) * UNITS[unit] for count, unit in parts)
    assert told <= seconds <= told * 9 / 8


@given(st.integers(0, 200 * YEAR), st.integers(0, YEAR))
def test_more_time_never_reads_as_less(seconds: int, more: int) -> None:
    def told(text: str) -> int:
        return sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([smhdy])", text))

    early, late = (gotext.human_duration(s) for s in (seconds, seconds + more))
    assert told(early) <= told(late)
