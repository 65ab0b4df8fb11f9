"""What differs from kind to kind when objects are written, deleted and selected.

`Strategy` is what holds for a kind without peculiarities; `strategies/` has the others. All of it is pure:
objects in, new objects out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec
from lightkube.models import meta_v1

from podward.machinery.clock import whole_seconds


@dataclass(frozen=True, slots=True)
class Removed:
    """The object goes away at once."""


@dataclass(frozen=True, slots=True)
class Marked:
    """The object stays, in this form, until whoever holds it back lets it go."""

    object: Any


def metadata_of(obj: Any) -> meta_v1.ObjectMeta:
    """The object's metadata; an empty one if it has none."""
    return obj.metadata if obj.metadata is not None else meta_v1.ObjectMeta()


def with_metadata(obj: Any, **changes: Any) -> Any:
    """A copy of `obj` with these fields of its metadata changed."""
    metadata = msgspec.structs.replace(metadata_of(obj), **changes)
    return msgspec.structs.replace(obj, metadata=metadata)


def mark_deleted(obj: Any, now: datetime, grace: int) -> Any:
    """`obj` with a deletion timestamp `grace` seconds from `now`, as the wire shows it."""
    generation = metadata_of(obj).generation
    return with_metadata(
        obj,
        deletionTimestamp=whole_seconds(now) + timedelta(seconds=grace),
        deletionGracePeriodSeconds=grace,
        generation=generation + 1 if generation else generation,
    )


class Strategy:
    """The behaviour of a kind that has no peculiarities."""

    tracks_generation: ClassVar[bool] = False
    """Whether `metadata.generation` counts the changes of spec."""
    returns_deleted: ClassVar[bool] = False
    """Whether DELETE answers with the object even when it is gone, rather than with a Status."""
    selectable: ClassVar[tuple[str, ...]] = ()
    """Field labels that a `fieldSelector` may name beside metadata.name and metadata.namespace."""

    def prepare_for_create(self, obj: Any) -> Any:
        """`obj` without what a client has no say in."""
        return obj

    def warnings_for_create(self, obj: Any) -> list[str]:
        """What its author should know of an object that is accepted all the same."""
        return []

    def warnings_for_update(self, new: Any, old: Any) -> list[str]:
        """The same of a change of the object itself, as it was asked for: before `prepare_for_update`."""
        return []

    def desired(self, obj: Any) -> Any:
        """The part of `obj` whose changes `generation` counts."""
        return obj.spec

    def prepare_for_update(self, new: Any, old: Any) -> Any:
        """`new` with what a client may not change taken from `old`."""
        if "status" in type(new).__struct_fields__:
            return msgspec.structs.replace(new, status=old.status)
        return new

    def prepare_for_status_update(self, new: Any, old: Any) -> Any:
        """`old` with the new status, labels, annotations and finalizers."""
        metadata, held = metadata_of(new), metadata_of(old)
        merged = msgspec.structs.replace(old, status=new.status)
        if metadata == held:
            return merged
        return with_metadata(
            merged,
            labels=metadata.labels,
            annotations=metadata.annotations,
            finalizers=metadata.finalizers,
        )

    def prepare_for_ephemeral_containers(self, new: Any, old: Any) -> Any:
        """`old` with the new ephemeral containers: all that this subresource may change."""
        spec = msgspec.structs.replace(old.spec, ephemeralContainers=new.spec.ephemeralContainers)
        return msgspec.structs.replace(old, spec=spec)

    def delete(self, obj: Any, grace: int | None, now: datetime) -> Removed | Marked:
        """What a DELETE with `gracePeriodSeconds` = `grace` does to `obj`."""
        metadata = metadata_of(obj)
        if not metadata.finalizers:
            return Removed()
        return Marked(obj if metadata.deletionTimestamp else mark_deleted(obj, now, 0))

    def is_finished(self, obj: Any) -> bool:
        """Whether a marked object has nothing left that holds it back."""
        metadata = metadata_of(obj)
        return metadata.deletionTimestamp is not None and not metadata.finalizers

    def fields(self, obj: Any) -> dict[str, str]:
        """The values of `selectable` in `obj`."""
        return {}


def selectable_fields(strategy: Strategy, obj: Any) -> dict[str, str]:
    """Every field label of `obj` with its value; absent ones are empty strings."""
    metadata = metadata_of(obj)
    common = {
        "metadata.name": metadata.name or "",
        "metadata.namespace": metadata.namespace or "",
    }
    return common | strategy.fields(obj)
