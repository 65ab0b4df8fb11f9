"""ConfigMaps and Secrets. Pure."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from lightkube.models import core_v1

from podward.api.errors import FieldError, field_forbidden, field_invalid, field_required
from podward.api.validation.names import config_key

_ACCOUNT = "kubernetes.io/service-account.name"
_MAX_BYTES = 1024 * 1024


def config_map_errors(obj: core_v1.ConfigMap) -> list[FieldError]:
    data, binary = obj.data or {}, obj.binaryData or {}
    found = []
    for key in data:
        found += [field_invalid(f"data[{key}]", key, problem) for problem in config_key(key)]
        if key in binary:
            detail = "duplicate of key present in binaryData"
            found.append(field_invalid(f"data[{key}]", key, detail))
    for key in binary:
        found += [field_invalid(f"binaryData[{key}]", key, problem) for problem in config_key(key)]
    size = sum(len(v.encode()) for v in data.values()) + sum(
        len(v) * 3 // 4 for v in binary.values()
    )
    return found + _too_long("", size)


def secret_errors(obj: core_v1.Secret) -> list[FieldError]:
    found = []
    size = 0
    marks = (obj.metadata and obj.metadata.annotations) or {}
    if obj.type == "kubernetes.io/service-account-token" and not marks.get(_ACCOUNT):
        found.append(field_required(f"metadata.annotations[{_ACCOUNT}]"))
    for key, value in (obj.data or {}).items():
        found += [field_invalid(f"data[{key}]", key, problem) for problem in config_key(key)]
        try:
            size += len(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            found.append(field_invalid(f"data[{key}]", "<value>", "illegal base64 data"))
    return found + _too_long("data", size)


def _too_long(path: str, size: int) -> list[FieldError]:
    if size <= _MAX_BYTES:
        return []
    detail = f"may not be more than {_MAX_BYTES} bytes"
    return [FieldError("FieldValueTooLong", path, detail=detail)]


def config_map_update_errors(new: core_v1.ConfigMap, old: core_v1.ConfigMap) -> list[FieldError]:
    fields = {"data": (new.data, old.data), "binaryData": (new.binaryData, old.binaryData)}
    return _immutable_errors(new.immutable, old.immutable, fields) + config_map_errors(new)


def secret_update_errors(new: core_v1.Secret, old: core_v1.Secret) -> list[FieldError]:
    found = []
    if new.type != old.type:
        found.append(field_invalid("type", new.type, "field is immutable"))
    fields = {"data": (new.data, old.data)}
    return found + _immutable_errors(new.immutable, old.immutable, fields) + secret_errors(new)


def _immutable_errors(
    new: bool | None, old: bool | None, fields: Mapping[str, tuple[Any, Any]]
) -> list[FieldError]:
    if not old:
        return []
    detail = "field is immutable when `immutable` is set"
    found = [] if new else [field_forbidden("immutable", detail)]
    for name, (after, before) in fields.items():
        if (after or {}) != (before or {}):
            found.append(field_forbidden(name, detail))
    return found
