"""Never an invalid Pod: whether a preset broke one that was whole before (spec/podpreset.md R10). Pure."""

import re
from collections import Counter
from dataclasses import dataclass

from lightkube.models import core_v1

from podward.admission.plugins.pod_preset.model import Document
from podward.api.codec import decode_builtins
from podward.api.defaults import set_defaults
from podward.api.errors import ApiStatusError, FieldError
from podward.api.scheme import SCHEME
from podward.api.validation import creation_errors

_POD = SCHEME.of_type(core_v1.Pod)
_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Broken:
    field: str
    text: str
    """Without the value, which may be a secret."""


def broken(before: Document, after: Document) -> list[Broken]:
    """What is wrong with `after` that was not wrong with `before`."""
    try:
        found = _errors(after)
    except ApiStatusError as error:
        return [] if _unreadable(before) else [Broken("", str(error))]
    if not found:
        return []
    try:
        known = Counter(_kind(error) for error in _errors(before))
    except ApiStatusError:
        return []
    new = []
    for problem in found:
        known[_kind(problem)] -= 1
        if known[_kind(problem)] < 0:
            new.append(Broken(problem.field, problem.detail or problem.body))
    return new


def _errors(pod: Document) -> list[FieldError]:
    obj, _ = decode_builtins(pod, _POD, "Ignore")
    return creation_errors(set_defaults(obj), _POD)


def _unreadable(pod: Document) -> bool:
    try:
        decode_builtins(pod, _POD, "Ignore")
    except ApiStatusError:
        return True
    return False


def _kind(error: FieldError) -> tuple[str, str, str]:
    """Not by its index: a container that is put in front moves the others."""
    return (error.type, _INDEX.sub("[]", error.field), str(error.value))
