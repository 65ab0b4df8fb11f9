"""`describe` of kinds without a describer of their own: every field, labelled as kubectl labels them."""

import base64
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from podward.cli.describers.layout import Json, Layout, events, head

_ACRONYMS = ("API", "URL", "UID", "OSB", "GUID")
_SHOWN_ABOVE = ("managedFields", "name", "namespace", "labels", "annotations")


def describe(obj: Json, given_events: Iterable[Json], now: datetime) -> str:
    out = Layout()
    head(out, obj["metadata"])
    rest = {k: v for k, v in obj["metadata"].items() if k not in _SHOWN_ABOVE}
    _fields(out, 0, {**obj, "metadata": rest})
    events(out, given_events, now)
    return out.text()


def describe_secret(obj: Json, given_events: Iterable[Json], now: datetime) -> str:
    """Sizes only: what is secret stays so."""
    out = Layout()
    head(out, obj["metadata"])
    out.line(0, "")
    out.line(0, f"Type:\t{obj.get('type', '')}")
    out.line(0, "")
    out.line(0, "Data")
    out.line(0, "====")
    for key, value in sorted((obj.get("data") or {}).items()):
        out.line(0, f"{key}:\t{len(base64.b64decode(value))} bytes")
    return out.text()


def describe_config_map(obj: Json, given_events: Iterable[Json], now: datetime) -> str:
    out = Layout()
    head(out, obj["metadata"])
    out.line(0, "")
    out.line(0, "Data")
    out.line(0, "====")
    for key, value in sorted((obj.get("data") or {}).items()):
        out.line(0, f"{key}:")
        out.line(0, "----")
        out.line(0, f"{value}\n")
    out.line(0, "")
    out.line(0, "BinaryData")
    out.line(0, "====")
    for key, value in sorted((obj.get("binaryData") or {}).items()):
        out.line(0, f"{key}: {len(base64.b64decode(value))} bytes")
    out.line(0, "")
    events(out, given_events, now)
    return out.text()


def _fields(out: Layout, level: int, fields: Json) -> None:
    for name, value in sorted(fields.items()):
        label = label_for(name)
        if isinstance(value, dict):
            out.line(level, f"{label}:")
            _fields(out, level + 1, value)
        elif isinstance(value, list):
            out.line(level, f"{label}:")
            for one in value:
                if isinstance(one, dict):
                    _fields(out, level + 1, one)
                else:
                    out.line(level + 1, _plain(one))
        else:
            out.line(level, f"{label}:\t{_plain(value)}")


def _plain(value: Any) -> str:
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def label_for(field: str) -> str:
    """`apiVersion` -> `API Version`."""
    words = [w for w in _camel_words(field) if w != "_"]
    return " ".join(w.upper() if w.upper() in _ACRONYMS else w[:1].upper() + w[1:] for w in words)


def _camel_words(text: str) -> list[str]:
    runs = ["".join(run) for _, run in groupby(text, _class)]
    for i in range(len(runs) - 1):
        if runs[i][0].isupper() and runs[i + 1][0].islower():
            runs[i + 1] = runs[i][-1] + runs[i + 1]
            runs[i] = runs[i][:-1]
    return [run for run in runs if run]


def _class(char: str) -> int:
    return 1 if char.islower() else 2 if char.isupper() else 3 if char.isdigit() else 4
