"""Objects as a client's documents make them, and what is wrong with them."""

from typing import Any

import pytest
from lightkube.models import core_v1

from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME
from podward.api.validation import creation_errors, validate_update

Causes = list[tuple[str, str]]
"""(field path, message), in the order in which they are told."""


def made(kind: type[Any], document: dict[str, Any]) -> Any:
    """As after decoding and defaulting, on the way to validation."""
    metadata = {"name": "x", **document.get("metadata", {})}
    if SCHEME.of_type(kind).namespaced:
        metadata.setdefault("namespace", "default")
    document = {**document, "metadata": metadata}
    return set_defaults(codec.decode_builtins(document, SCHEME.of_type(kind), "Strict")[0])


def pod(*containers: dict[str, Any], **spec: Any) -> core_v1.Pod:
    """A Pod of such containers, each with a name and an image unless it says otherwise."""
    named = [{"name": f"c{i}", "image": "i", **c} for i, c in enumerate(containers or [{}])]
    found = made(core_v1.Pod, {"spec": {"containers": named, **spec}})
    assert isinstance(found, core_v1.Pod)
    return found


def causes(obj: Any) -> Causes:
    """What a create would be refused for."""
    found = creation_errors(obj, SCHEME.of_type(type(obj)))
    return [(error.field, error.body) for error in found]


def update_causes(new: Any, old: Any) -> Causes:
    """What an update would be refused for; messages to their first line, for a diff may follow."""
    try:
        validate_update(new, old, SCHEME.of_type(type(new)))
    except ApiStatusError as error:
        status = error.status
    else:
        return []
    assert (status.code, status.reason) == (422, "Invalid")
    listed = (status.details.causes if status.details else None) or pytest.fail("no causes")
    return [(c.field or "", (c.message or "").partition("\n")[0]) for c in listed]
