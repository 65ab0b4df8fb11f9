"""The three patches: JSON Patch (RFC 6902), merge (RFC 7386) and Kubernetes' strategic merge. Pure.

A strategic merge knows, for each list, whether it is merged by a key (`containers` by `name`), is a set of
primitives (`finalizers`) or is replaced whole. That knowledge is handed in as a `MergeSchema`; nothing here
knows a kind.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonpatch


class PatchError(ValueError):
    """The patch cannot be read, or does not fit the document."""


@dataclass(frozen=True)
class MergeSchema:
    """How the fields of one object merge; fields that are not named hold plain data."""

    merge_keys: Mapping[str, str] = field(default_factory=dict)
    """List field -> the key its elements are told apart by; empty string: a set of primitives."""
    children: Mapping[str, "MergeSchema"] = field(default_factory=dict)
    """Field -> schema of the object, or of the list's or map's elements, below it."""
    retain_keys: frozenset[str] = frozenset()
    """Fields that are unions: `$retainKeys` in the patch names what stays."""

    def child(self, name: str) -> "MergeSchema":
        return self.children.get(name, _PLAIN)


_PLAIN = MergeSchema()


def json_patch(document: Any, operations: Any) -> Any:
    """Apply RFC 6902 operations to a copy."""
    if not isinstance(operations, list):
        raise PatchError("json patch must be a list of operations")
    try:
        return jsonpatch.JsonPatch(operations).apply(copy.deepcopy(document), in_place=True)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise PatchError(
            f"the server rejected our request due to an error in our request: {error}"
        ) from error
    except (TypeError, KeyError, AttributeError) as error:
        raise PatchError(f"json patch cannot be read: {error}") from error


def merge_patch(document: Any, patch: Any) -> Any:
    """Apply RFC 7386: null removes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), change)
    return result


def strategic_merge_patch(document: Any, patch: Any, schema: MergeSchema) -> Any:
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch must be an object")
    try:
        return _merge_object(document if isinstance(document, dict) else {}, patch, schema)
    except (TypeError, AttributeError, KeyError) as error:
        raise PatchError(f"the strategic merge patch does not fit: {error}") from error


def _merge_object(document: dict[str, Any], patch: dict[str, Any], schema: MergeSchema) -> Any:
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise PatchError(f"unknown patch type: {directive!r}")
    result = dict(document)
    retain = patch.get("$retainKeys")
    if retain is not None:
        result = {k: v for k, v in result.items() if k in retain}
    orders: dict[str, Any] = {}
    for name, change in patch.items():
        if name.startswith("$") and _directed(result, name, change, orders):
            continue
        if change is None:
            result.pop(name, None)
        elif isinstance(change, dict | list):
            result[name] = _merge_field(name, result.get(name), change, schema)
        else:
            result[name] = change
    for name, order in orders.items():
        if name in result:
            result[name] = _ordered(result[name], order, schema.merge_keys.get(name))
    return result


def _directed(result: dict[str, Any], name: str, value: Any, orders: dict[str, Any]) -> bool:
    """Do as a directive says, or note the order that it sets; False for a field that is none."""
    if name in ("$patch", "$retainKeys"):
        return True
    verb, _, field_name = name.partition("/")
    if verb == "$setElementOrder" and name != verb:
        orders[field_name] = value
        return True
    if verb == "$deleteFromPrimitiveList" and name != verb:
        gone = value if isinstance(value, list) else []
        result[field_name] = [v for v in result.get(field_name) or [] if v not in gone]
        return True
    return False


def _merge_field(name: str, held: Any, change: Any, schema: MergeSchema) -> Any:
    if isinstance(change, dict):
        return _merge_object(held if isinstance(held, dict) else {}, change, schema.child(name))
    if isinstance(change, list):
        key = schema.merge_keys.get(name)
        if key is None:
            return _without_directives(change)
        current = held if isinstance(held, list) else []
        if key == "":
            return current + [v for v in change if v not in current]
        return _merge_list(name, current, change, key, schema.child(name))
    return change


def _without_directives(elements: list[Any]) -> list[Any]:
    return [e for e in elements if not (isinstance(e, dict) and "$patch" in e)]


def _merge_list(
    name: str, held: list[Any], changes: list[Any], key: str, schema: MergeSchema
) -> list[Any]:
    if any(isinstance(c, dict) and c.get("$patch") == "replace" for c in changes):
        return _without_directives(changes)
    result = list(held)
    for change in changes:
        if not isinstance(change, dict) or key not in change:
            raise PatchError(f"map: {change} does not contain declared merge key: {key}")
        at = next((i for i, e in enumerate(result) if e.get(key) == change[key]), None)
        if change.get("$patch") == "delete":
            if at is not None:
                del result[at]
        elif at is None:
            result.append(_merge_object({}, change, schema))
        else:
            result[at] = _merge_object(result[at], change, schema)
    return result


def _ordered(elements: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """Elements that the order names come in that order; the others keep their place among them."""
    if key is None:
        return elements

    def identity(element: Any) -> Any:
        return element.get(key) if key and isinstance(element, dict) else element

    wanted = [identity(o) for o in order]
    named = sorted(
        (e for e in elements if identity(e) in wanted), key=lambda e: wanted.index(identity(e))
    )
    sorted_named = iter(named)
    return [next(sorted_named) if identity(e) in wanted else e for e in elements]
