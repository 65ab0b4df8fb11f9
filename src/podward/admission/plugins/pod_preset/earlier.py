"""What an earlier admission of the same Pod put there, and who did: read off the Pod itself. Pure.

An API server may call a second time, with the result of the first. A preset must not see then what one of its
successors made of the Pod after its own turn: it would decide otherwise than before.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from podward.admission.plugins.pod_preset import provenance


def put_by(pod: Mapping[str, Any], key: str) -> str | None:
    """The preset that added or changed what `key` names, or the field or container that holds it."""
    fields = provenance.read(pod).fields
    return next((fields[place] for place in _places(key) if place in fields), None)


def applied(pod: Mapping[str, Any], preset: str) -> bool:
    """Whether that admission left the preset neither out nor undone."""
    return preset in provenance.read(pod).presets


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
