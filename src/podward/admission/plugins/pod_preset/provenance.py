"""Who put what there: one compact annotation on the Pod, `podward.dev/presets`, read and written. Pure.

    {"fields":{"/spec/containers/web/env/TZ":"podpreset/cal"},"presets":{"podpreset/cal":"3f1c..."},"v":1}

`fields` holds what presets added or changed, never what they found; `presets` all that were applied, with the
hash of their spec as it was. Where an Override replaced a label, `labels` has what the author wrote: selectors
go by that in a second admission as in the first. What an earlier admission wrote there stays, so that an
admission that adds nothing leaves the annotation as it is, byte for byte.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from podward.admission.plugins.pod_preset.model import PROVENANCE_ANNOTATION, Document, Preset
from podward.machinery.json_diff import escaped, unescaped

MAX_BYTES = 32 * 1024
"""Of 256 KiB that all annotations of an object share."""
_VERSION = 1
_LABELS = "/metadata/labels/"


@dataclass(frozen=True, slots=True)
class Record:
    """What the Pod says about itself."""

    fields: Mapping[str, str] = field(default_factory=dict)
    """Key (a JSON pointer, names in place of indexes) -> `Preset.id`."""
    presets: Mapping[str, str] = field(default_factory=dict)
    """`Preset.id` -> `Preset.spec_hash`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The author's own values of labels that presets replaced."""
    truncated: bool = False
    text: str = ""
    """As it is written; empty if there is none that can be read."""


class _Annotation(msgspec.Struct):
    fields: dict[str, str] = {}
    presets: dict[str, str] = {}
    labels: dict[str, str] = {}
    truncated: bool = False
    v: int = _VERSION


def read(pod: Mapping[str, Any]) -> Record:
    """Whoever creates a Pod may write what he likes there: what cannot be read is nothing."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(PROVENANCE_ANNOTATION)
    return _record(text) if isinstance(text, str) else Record()


@lru_cache(maxsize=64)
def _record(text: str) -> Record:
    """One admission asks many times."""
    try:
        found = msgspec.json.decode(text, type=_Annotation)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Record()
    if found.v != _VERSION:
        return Record()
    return Record(found.fields, found.presets, found.labels, found.truncated, text)


def author_labels(pod: Document, record: Record) -> dict[str, str]:
    """The Pod's labels without those that presets gave it: by these a second admission would find other
    presets than the first."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    given = {
        unescaped(key.removeprefix(_LABELS)) for key in record.fields if key.startswith(_LABELS)
    }
    own = {key: value for key, value in labels.items() if key not in given}
    return own | {key: value for key, value in record.labels.items() if key in labels}


def text_of(
    record: Record,
    fields: Mapping[str, str],
    applied: Iterable[Preset],
    labels: Mapping[str, str],
) -> str:
    """`record` with what this admission did: the `fields` it wrote, the presets it `applied`; `labels` are
    those that the author wrote."""
    presets = {**record.presets, **{preset.id: preset.spec_hash for preset in applied}}
    merged = {**record.fields, **fields}
    if (merged, presets) == (record.fields, record.presets) and record.text:
        return record.text
    replaced = {key: text for key, text in labels.items() if _LABELS + escaped(key) in merged}
    rest: dict[str, object] = {"presets": presets, "v": _VERSION}
    if replaced:
        rest["labels"] = replaced
    text = _written({"fields": merged, **rest})
    if record.truncated or len(text.encode()) > MAX_BYTES:
        return _written({"truncated": True, **rest})
    return text


def _written(document: Mapping[str, object]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
