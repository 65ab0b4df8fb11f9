"""What an engine tells of a sandbox or container beyond the protocol: the `info` of a verbose status. Pure.

containerd and CRI-O tell the first process and the OCI spec there, as JSON; another engine may tell nothing.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec


class _Spec(msgspec.Struct):
    class Linux(msgspec.Struct):
        class Namespace(msgspec.Struct):
            type: str = ""
            path: str = ""

        namespaces: list[Namespace] | None = None

    linux: Linux | None = None


class Info(msgspec.Struct):
    """Of what an engine tells beyond the protocol (`info` of a verbose status), what is used here."""

    pid: int = 0
    runtimeSpec: _Spec | None = None

    @property
    def network_namespace(self) -> str:
        linux = self.runtimeSpec.linux if self.runtimeSpec is not None else None
        namespaces = (linux.namespaces if linux is not None else None) or ()
        return next((one.path for one in namespaces if one.type == "network"), "")


def read_info(info: Mapping[str, str]) -> Info:
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(info.get("info") or "{}", type=Info)
    return Info()


def read_all(info: Mapping[str, str]) -> dict[str, Any]:
    """All of it, as the engine's own document; nothing if it tells none."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(info.get("info") or "{}", type=dict[str, Any])
    return {}
