"""Label and field selectors: parsed once, matched often. Pure.

Grammar of labels: `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, joined by commas. A
missing key satisfies `!=` and `notin`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


class SelectorError(ValueError):
    """The selector cannot be read."""


Operator = Literal["in", "notin", "exists", "!"]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY = rf"(?:{_NAME}/)?{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_REQUIREMENT = re.compile(
    rf"""\s*(?:
      (?P<not>!)\s*(?P<absent>{_KEY})
    | (?P<key>{_KEY})\s*(?:
        (?P<op>==|=|!=)\s*(?P<value>{_VALUE})
      | \s(?P<set>in|notin)\s*\((?P<values>[^()]*)\)
      )?
    )\s*(?:,|$)""",
    re.VERBOSE,
)
_VALUE_ONLY = re.compile(rf"^{_VALUE}$")


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values


@dataclass(frozen=True, slots=True)
class LabelSelector:
    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        return all(r.matches(labels or {}) for r in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)


def parse_label_selector(text: str) -> LabelSelector:
    found: list[Requirement] = []
    position = 0
    while position < len(text) and text[position:].strip():
        match = _REQUIREMENT.match(text, position)
        if match is None or match.end() == position:
            raise SelectorError(f"unable to parse requirement: found {text[position:].strip()!r}")
        found.append(_requirement(match))
        position = match.end()
    if text.rstrip().endswith(","):
        raise SelectorError("unable to parse requirement: found '', expected: identifier")
    return LabelSelector(tuple(found))


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent"], "!")
    key = match["key"]
    if match["set"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        for value in values:
            if not _VALUE_ONLY.match(value):
                raise SelectorError(f"unable to parse requirement: invalid label value {value!r}")
        return Requirement(key, "in" if match["set"] == "in" else "notin", values)
    if match["op"]:
        operator: Operator = "notin" if match["op"] == "!=" else "in"
        return Requirement(key, operator, frozenset({match["value"]}))
    return Requirement(key, "exists")


@dataclass(frozen=True, slots=True)
class FieldSelector:
    terms: tuple[tuple[str, Literal["=", "!="], str], ...] = ()
    """(field path, operator, value)."""

    def keys(self) -> list[str]:
        return [path for path, _, _ in self.terms]

    def matches(self, fields: Mapping[str, str]) -> bool:
        return all((fields.get(path, "") == value) is (op == "=") for path, op, value in self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)


def parse_field_selector(text: str) -> FieldSelector:
    """`a.b=c,d!=e`; in values `\\,` `\\=` and `\\\\` stand for themselves."""
    terms: list[tuple[str, Literal["=", "!="], str]] = []
    for term in re.findall(r"(?:\\.|[^,\\])+", text):
        match = re.match(r"\s*([^=!\\]+?)\s*(!=|==|=)((?:\\.|[^\\])*)$", term)
        if match is None:
            raise SelectorError(f"invalid selector: {text!r}; can't understand {term!r}")
        path, op, value = match.groups()
        terms.append((path, "!=" if op == "!=" else "=", re.sub(r"\\(.)", r"\1", value).strip()))
    return FieldSelector(tuple(terms))
