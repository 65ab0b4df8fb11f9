"""Secrets: `stringData` is written by clients and never stored."""

import base64
from typing import Any

import msgspec

from podward.apiserver.strategy import Strategy


class SecretStrategy(Strategy):
    selectable = ("type",)

    def prepare_for_create(self, obj: Any) -> Any:
        return _fold_string_data(obj)

    def prepare_for_update(self, new: Any, old: Any) -> Any:
        return _fold_string_data(new)

    def fields(self, obj: Any) -> dict[str, str]:
        return {"type": obj.type or ""}


def _fold_string_data(secret: Any) -> Any:
    if not secret.stringData:
        return secret
    encoded = {k: base64.b64encode(v.encode()).decode() for k, v in secret.stringData.items()}
    return msgspec.structs.replace(secret, data=(secret.data or {}) | encoded, stringData=None)
