"""Schemas of the API's types, derived from the Structs that hold them and from their docstrings. Pure.

Nothing is vendored: a field's type is its annotation, its description the docstring's entry for it, its merge
key the table in `api.merge_keys`.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from podward.api.merge_keys import MERGE_KEYS
from podward.api.scheme import Resource, Scheme

Schema = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_FIELD = re.compile(r"^\s*\* \*\*(\w+)\*\* ``(.*?)`` - (.*)$")
_QUANTITIES = frozenset(
    {"limits", "requests", "capacity", "allocatable", "overhead", "hard", "used"}
)


def type_name(struct: type[msgspec.Struct]) -> str:
    """`io.k8s.api.core.v1.Pod`, `dev.podward.v1alpha1.PodPreset`."""
    module = struct.__module__.rpartition(".")[2]
    group, _, version = module.rpartition("_")
    if group == "podward":
        return f"dev.podward.{version}.{struct.__name__}"
    if group == "meta":
        return f"{_META}.{struct.__name__}"
    if not group:
        return f"io.k8s.apimachinery.pkg.{module}.{struct.__name__}"
    return f"io.k8s.api.{group}.{version}.{struct.__name__}"


def closure(scheme: Scheme, group: str, version: str) -> dict[str, Schema]:
    """Name -> schema, of every type that the resources of a group and version reach."""
    found: dict[str, Schema] = {}
    waiting = [row.type for row in scheme if (row.group, row.version) == (group, version)]
    kinds = {row.type: row for row in scheme}
    while waiting:
        struct = waiting.pop()
        name = type_name(struct)
        if name not in found:
            found[name] = _schema(struct, kinds.get(struct))
            waiting += _reached(struct)
    return found


def _schema(struct: type[msgspec.Struct], row: Resource | None) -> Schema:
    descriptions = _descriptions(struct)
    properties = {}
    required = []
    for field, hint in _fields(struct):
        schema = _of(hint, field.encode_name)
        text = descriptions.get(field.name, "")
        if "$ref" in schema:
            schema = {"allOf": [schema], "default": {}} if field.required else {"allOf": [schema]}
        if text:
            schema = {"description": text, **schema}
        key = MERGE_KEYS.get((struct.__name__, field.name))
        if key is not None:
            schema["x-kubernetes-patch-strategy"] = "merge"
            if key:
                schema["x-kubernetes-patch-merge-key"] = key
        properties[field.encode_name] = schema
        if field.required:
            required.append(field.encode_name)
    result: Schema = {"description": _summary(struct), "type": "object", "properties": properties}
    if required:
        result["required"] = sorted(required)
    if row is not None:
        gvk = {"group": row.group, "kind": row.kind, "version": row.version}
        result["x-kubernetes-group-version-kind"] = [gvk]
    return result


@cache
def _fields(struct: type[msgspec.Struct]) -> list[tuple[Any, Any]]:
    hints = get_type_hints(struct)
    return [(field, hints[field.name]) for field in msgspec.structs.fields(struct)]


def _reached(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for _, hint in _fields(struct):
        yield from _structs(hint)


def _structs(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for arg in get_args(hint):
        yield from _structs(arg)


def _of(hint: Any, name: str) -> Schema:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        if set(inner) == {int, str}:
            return {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
        return _of(inner[0], name)
    if origin is list:
        return {"type": "array", "items": _of((get_args(hint) or (Any,))[0], name)}
    if origin is dict or hint is dict:
        values = get_args(hint)
        return (
            {"type": "object", "additionalProperties": _of(values[1], name)}
            if values
            else {"type": "object"}
        )
    if hint is datetime:
        return {"type": "string", "format": "date-time"}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return {"$ref": f"#/components/schemas/{type_name(hint)}"}
    if hint is str and name in _QUANTITIES:
        return {"oneOf": [{"type": "string"}, {"type": "number"}]}
    plain = {str: "string", int: "integer", bool: "boolean", float: "number"}
    return {"type": plain[hint]} if hint in plain else {"type": "object"}


@cache
def _descriptions(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Field -> text, from the docstring's list of parameters."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in (struct.__doc__ or "").splitlines():
        match = _FIELD.match(line)
        if match is not None:
            current = found.setdefault(match[1], [])
            current.append(match[3].strip())
        elif current is not None:
            current.append(line.strip())
    return {name: " ".join(part for part in lines if part) for name, lines in found.items()}


def _summary(struct: type[msgspec.Struct]) -> str:
    text = (struct.__doc__ or "").partition("**parameters**")[0]
    return " ".join(text.split())
