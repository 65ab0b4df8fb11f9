"""Namespaces: a deleted one is Terminating until everything in it is gone."""

from datetime import datetime
from typing import Any, Final

import msgspec
from lightkube.models import core_v1

from podward.apiserver.strategy import Marked, Removed, Strategy, mark_deleted, metadata_of

FINALIZER: Final = "kubernetes"
_NAME_LABEL: Final = "kubernetes.io/metadata.name"


class NamespaceStrategy(Strategy):
    selectable = ("status.phase",)

    def prepare_for_create(self, obj: Any) -> Any:
        metadata = metadata_of(obj)
        labels = dict(metadata.labels or {}) | {_NAME_LABEL: metadata.name or ""}
        finalizers = list(obj.spec.finalizers or ()) if obj.spec else []
        if FINALIZER not in finalizers:
            finalizers.append(FINALIZER)
        return msgspec.structs.replace(
            obj,
            metadata=msgspec.structs.replace(metadata, labels=labels),
            spec=core_v1.NamespaceSpec(finalizers=finalizers),
            status=core_v1.NamespaceStatus(phase="Active"),
        )

    def prepare_for_update(self, new: Any, old: Any) -> Any:
        return msgspec.structs.replace(new, spec=old.spec, status=old.status)

    def delete(self, obj: Any, grace: int | None, now: datetime) -> Removed | Marked:
        if self._is_held(obj):
            if metadata_of(obj).deletionTimestamp is not None:
                return Marked(obj)
            status = core_v1.NamespaceStatus(phase="Terminating")
            marked = mark_deleted(msgspec.structs.replace(obj, status=status), now, 0)
            metadata = msgspec.structs.replace(marked.metadata, deletionGracePeriodSeconds=None)
            return Marked(msgspec.structs.replace(marked, metadata=metadata))
        return super().delete(obj, grace, now)

    def is_finished(self, obj: Any) -> bool:
        return super().is_finished(obj) and not self._is_held(obj)

    def fields(self, obj: Any) -> dict[str, str]:
        return {"status.phase": (obj.status.phase if obj.status else "") or ""}

    @staticmethod
    def _is_held(obj: Any) -> bool:
        return bool(obj.spec and obj.spec.finalizers)
