"""What an earlier admission of the same Pod put there, and who did: read off the Pod itself. Pure.

An API server may call a second time, with the result of the first. A preset must not see then what one of its
successors made of the Pod after its own turn: it would decide otherwise than before.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from podward.admission.plugins.pod_preset.model import PROVENANCE_ANNOTATION


def put_by(pod: Mapping[str, Any], key: str) -> str | None:
    """The preset that added or changed what `key` names, or the field or container that holds it."""
    fields = _told(pod).fields
    return next((fields[place] for place in _places(key) if place in fields), None)


def applied(pod: Mapping[str, Any], preset: str) -> bool:
    """Whether that admission left the preset neither out nor undone."""
    return preset in _told(pod).presets


def put_later(
    pod: Mapping[str, Any], claims: Mapping[str, str], key: str, preset: str = ""
) -> str | None:
    """The preset other than `preset` that put it there in an earlier admission and has not had its turn in
    this one."""
    by = put_by(pod, key)
    return by if by not in (None, preset) and not _claimed(claims, key, by) else None


def _claimed(claims: Mapping[str, str], key: str, by: str | None) -> bool:
    return any(claims.get(place) == by for place in _places(key))


def _places(key: str) -> Iterator[str]:
    """`key` and what holds it: `/spec/containers/app/resources`, `/spec/containers/app`."""
    while key.count("/") > 1:
        yield key
        key = key.rpartition("/")[0]


class _Provenance(msgspec.Struct):
    fields: dict[str, str] = {}
    presets: dict[str, str] = {}


def _told(pod: Mapping[str, Any]) -> _Provenance:
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(PROVENANCE_ANNOTATION)
    return _read(text) if isinstance(text, str) else _Provenance()


@lru_cache(maxsize=64)
def _read(text: str) -> _Provenance:
    """Nothing of a text that is none of ours: whoever creates a Pod may write what he likes."""
    try:
        return msgspec.json.decode(text, type=_Provenance)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Provenance()
