"""One spelling for what means the same to the API server, so that its own work on a Pod is no difference. Pure.

What the server fills in is filled in (`api/defaults.py` does it, on the Struct), quantities become numbers, and
what means nothing (null, an empty list) goes. Fields that the Structs do not know stay. The result is only
compared, never written.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from lightkube.models import core_v1

from podward.admission.plugins.pod_preset.model import Document
from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.errors import ApiStatusError
from podward.api.scheme import SCHEME
from podward.machinery.quantity import QuantityError, parse_quantity

_KEPT_EMPTY = frozenset(["labelSelector", "namespaceSelector"])
"""Where {} is everything and absent is nothing."""
_KEPT_FALSE = frozenset(["securityContext"])
"""Where absent is not false: it leaves the word to the Pod or the runtime."""


def same(wanted: Any, existing: Any, form: Callable[[Any], Any]) -> bool:
    """`form` is one of those below; it is asked only where the two are not written alike."""
    if wanted == existing:
        return True
    return bool(form(wanted) == form(existing)) if existing else not form(wanted)


def probe(value: Any) -> Any:
    return _in_container("livenessProbe", value)


def lifecycle(value: Any) -> Any:
    return _in_container("lifecycle", value)


def resources(value: Any) -> Document:
    found = _in_container("resources", value)
    return found if isinstance(found, dict) else {}


def affinity(value: Any) -> Any:
    return _bare(value)


def container(value: Mapping[str, Any]) -> Document:
    """As an init container, which all injected ones are."""
    found: Document = _stored("initContainers", dict(value))
    return _with_numbers(_bare(found))


def quantity(text: Any) -> Decimal | None:
    """None of what is no quantity."""
    try:
        return parse_quantity(str(text))
    except QuantityError:
        return None


def _in_container(field: str, value: Any) -> Any:
    if value is None:
        return None
    stored = _stored("containers", {"name": "c", field: value})
    return _with_numbers({field: _bare(stored.get(field))})[field]


def _stored(field: str, container: Document) -> Any:
    """As an API server would keep it, and what only newer ones know; as it is if none could read it."""
    document = {"spec": {field: [container]}}
    try:
        pod, _ = codec.decode_builtins(document, SCHEME.of_type(core_v1.Pod), "Ignore")
    except ApiStatusError:
        return container
    read = msgspec.to_builtins(pod)["spec"][field][0]
    stored = msgspec.to_builtins(set_defaults(pod))["spec"][field][0]
    return _with_unknown(container, read, stored)


def _with_unknown(written: Any, read: Any, stored: Any) -> Any:
    """`stored`, and what of `written` was not `read` because the Structs do not have it."""
    if isinstance(written, Mapping) and isinstance(read, Mapping) and isinstance(stored, Mapping):
        known = {
            name: _with_unknown(written.get(name), read.get(name), below)
            for name, below in stored.items()
        }
        return known | {name: below for name, below in written.items() if name not in read}
    if isinstance(written, list) and isinstance(read, list) and isinstance(stored, list):
        return [_with_unknown(*three) for three in zip(written, read, stored, strict=True)]
    return stored


def _bare(value: Any, *, keep_false: bool = False) -> Any:
    """Without what means nothing."""
    if isinstance(value, Mapping):
        bare = {
            name: _bare(below, keep_false=keep_false or name in _KEPT_FALSE)
            for name, below in value.items()
        }
        return {n: b for n, b in bare.items() if _means_something(n, b, keep_false=keep_false)}
    if isinstance(value, list):
        return [_bare(element, keep_false=keep_false) for element in value]
    return value


def _means_something(name: str, value: Any, *, keep_false: bool) -> bool:
    if value is None or value == "" or value == []:
        return False
    if value is False:
        return keep_false
    return bool(value != {} or name in _KEPT_EMPTY)


def _with_numbers(container: Document) -> Document:
    amounts = container.get("resources")
    if not isinstance(amounts, Mapping):
        return container
    numbers = {name: _numbers(below) for name, below in amounts.items()}
    return container | {"resources": numbers}


def _numbers(group: Any) -> Any:
    if not isinstance(group, Mapping):
        return group
    return {name: _number(text) for name, text in group.items()}


def _number(text: Any) -> Any:
    found = quantity(text)
    return text if found is None else found
