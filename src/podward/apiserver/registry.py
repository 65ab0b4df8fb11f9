"""Objects and the store: the one way every object is created, changed and deleted.

The order of a create is Kubernetes' own: default, mutate, stamp, prepare, validate, validating admission,
store. Every change is a read, a pure function of what was read, and a write that fails if somebody else
wrote in between.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from lightkube.models import meta_v1

from podward.admission.base import AdmissionRequest
from podward.admission.chain import AdmissionChain
from podward.api import codec, errors
from podward.api.defaults import set_defaults
from podward.api.scheme import Resource, Scheme
from podward.api.validation import validate_create, validate_status_update, validate_update
from podward.apiserver.identity import SYSTEM, Identity
from podward.apiserver.strategies.event import EventStrategy
from podward.apiserver.strategies.namespace import NamespaceStrategy
from podward.apiserver.strategies.node import NodeStrategy
from podward.apiserver.strategies.pod import PodStrategy
from podward.apiserver.strategies.secret import SecretStrategy
from podward.apiserver.strategy import (
    Marked,
    Removed,
    Strategy,
    metadata_of,
    with_metadata,
)
from podward.machinery.clock import Clock, whole_seconds
from podward.machinery.entropy import Entropy
from podward.store.base import Record, RevisionConflict, Store

_STRATEGIES: Final[Mapping[str, Strategy]] = {
    "pods": PodStrategy(),
    "namespaces": NamespaceStrategy(),
    "nodes": NodeStrategy(),
    "events": EventStrategy(),
    "secrets": SecretStrategy(),
}
_PLAIN: Final = Strategy()
_RETRIES: Final = 100
"""Of a write that is conditional on nothing but what the server itself read."""
_GENERATED_NAME_LIMIT: Final = 63
_SUFFIX: Final = 5
_MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class WriteOptions(msgspec.Struct, frozen=True):
    """What a write carries beside the object."""

    identity: Identity = SYSTEM
    dry_run: bool = False
    subresource: str = ""


class Stored(msgspec.Struct, frozen=True):
    """An object as a write left it, and the document that now stands for it."""

    object: Any
    document: bytes | None
    """None: nothing was written."""


class ObjectCache:
    """Stored documents, decoded once and shared; they are not to be changed.

    Of each key the last two forms: who selects from a watch asks what an object was before, too.
    """

    def __init__(self, limit: int = 4096) -> None:
        """`limit`: of keys."""
        self._limit = limit
        self._forms: OrderedDict[str, dict[int, Any]] = OrderedDict()

    def decode(self, record: Record, resource: Resource) -> Any:
        forms = self._forms.get(record.key)
        if forms is None:
            forms = self._forms[record.key] = {}
            if len(self._forms) > self._limit:
                self._forms.popitem(last=False)
        found = forms.get(record.revision)
        if found is None:
            found = forms[record.revision] = codec.decode_stored(record.value, resource)
            if len(forms) > 2:
                del forms[min(forms)]
        return found


class Registry:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        scheme: Scheme,
        admission: AdmissionChain,
    ) -> None:
        self.store = store
        self.clock = clock
        self.scheme = scheme
        self.cache = ObjectCache()
        self._entropy = entropy
        self._admission = admission

    def strategy(self, resource: Resource) -> Strategy:
        return _STRATEGIES.get(resource.group_resource, _PLAIN)

    @staticmethod
    def prefix(resource: Resource, namespace: str = "") -> str:
        """Where the objects of a collection are kept."""
        base = f"/registry/{resource.group or 'core'}/{resource.plural}/"
        return f"{base}{namespace}/" if namespace else base

    def key(self, resource: Resource, namespace: str, name: str) -> str:
        return self.prefix(resource, namespace if resource.namespaced else "") + name

    async def record(self, resource: Resource, namespace: str, name: str) -> Record:
        """The stored document; 404 if there is none."""
        found = await self.store.get(self.key(resource, namespace, name))
        if found is None:
            raise errors.not_found(resource, name)
        return found

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        return self.cache.decode(await self.record(resource, namespace, name), resource)

    async def create(
        self, resource: Resource, namespace: str, obj: Any, options: WriteOptions
    ) -> Stored:
        """404 or 403 of the namespace, 409, 422, or what admission says."""
        if resource.namespaced:
            obj = _in_namespace(obj, namespace)
            await self._require_namespace(resource, namespace, metadata_of(obj))
        obj = self._named(obj, resource)
        obj = set_defaults(obj)
        obj = await self._admit("CREATE", resource, obj, None, options)
        obj = self._stamped(self.strategy(resource).prepare_for_create(obj), resource)
        validate_create(obj, resource)
        await self._review("CREATE", resource, obj, None, options)
        name = metadata_of(obj).name or ""
        key = self.key(resource, namespace, name)
        if options.dry_run:
            if await self.store.get(key) is not None:
                raise errors.already_exists(resource, name)
            return Stored(obj, None)
        try:
            return await self._put(resource, key, obj, 0)
        except RevisionConflict:
            raise errors.already_exists(resource, name) from None

    async def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Any, bytes], Any],
        options: WriteOptions,
    ) -> Stored:
        """The object after `change(current, its document)` was stored.

        If `change` leaves the resourceVersion that it was given, it is tried again on what another
        writer left; if it sets another one, that is a conflict (409).
        """
        key = self.key(resource, namespace, name)
        for _ in range(_RETRIES):
            record = await self.record(resource, namespace, name)
            old = self.cache.decode(record, resource)
            new = _keep_identity(change(old, record.value), old, resource)
            new = await self._prepared_update(resource, new, old, options)
            if new == old or options.dry_run:
                return Stored(new, None)
            try:
                if self.strategy(resource).is_finished(new):
                    return await self._remove(resource, key, new, record.revision)
                return await self._put(resource, key, new, record.revision)
            except RevisionConflict:
                continue
        raise errors.conflict(resource, name, _MODIFIED)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        delete_options: meta_v1.DeleteOptions,
        options: WriteOptions,
    ) -> tuple[Stored, bool]:
        """The object in its last form, and whether it is gone now."""
        key = self.key(resource, namespace, name)
        strategy = self.strategy(resource)
        for _ in range(_RETRIES):
            record = await self.record(resource, namespace, name)
            old = self.cache.decode(record, resource)
            _check_preconditions(resource, old, delete_options.preconditions)
            await self._review("DELETE", resource, None, old, options)
            outcome = strategy.delete(old, delete_options.gracePeriodSeconds, self.clock.now())
            removed = isinstance(outcome, Removed)
            new = outcome.object if isinstance(outcome, Marked) else old
            if options.dry_run or (not removed and new == old):
                return Stored(new, None), removed
            try:
                if removed:
                    return await self._remove(resource, key, old, record.revision), True
                return await self._put(resource, key, new, record.revision), False
            except RevisionConflict:
                continue
        raise errors.conflict(resource, name, _MODIFIED)

    async def _prepared_update(
        self, resource: Resource, new: Any, old: Any, options: WriteOptions
    ) -> Any:
        strategy = self.strategy(resource)
        if options.subresource == "status":
            new = strategy.prepare_for_status_update(new, old)
            new = await self._admit("UPDATE", resource, new, old, options)
            validate_status_update(new, old, resource)
        elif options.subresource == "finalize":
            new = msgspec.structs.replace(old, spec=new.spec)
        elif options.subresource != "binding":  # a binding is made by the server itself
            new = strategy.prepare_for_update(set_defaults(new), old)
            new = await self._admit("UPDATE", resource, new, old, options)
            validate_update(new, old, resource)
        await self._review("UPDATE", resource, new, old, options)
        if strategy.tracks_generation and new.spec != old.spec:
            new = with_metadata(new, generation=(metadata_of(old).generation or 0) + 1)
        return new

    async def _put(self, resource: Resource, key: str, obj: Any, expected: int) -> Stored:
        record = await self.store.put(
            key, lambda revision: codec.encode(_at(obj, revision)), expected=expected
        )
        return Stored(_at(obj, record.revision), record.value)

    async def _remove(self, resource: Resource, key: str, obj: Any, expected: int) -> Stored:
        record = await self.store.delete(
            key, lambda revision: codec.encode(_at(obj, revision)), expected=expected
        )
        return Stored(_at(obj, record.revision), record.value)

    async def _admit(
        self, operation: Any, resource: Resource, obj: Any, old: Any, options: WriteOptions
    ) -> Any:
        request = self._admission_request(operation, resource, obj, old, options)
        return await self._admission.mutate(request)

    async def _review(
        self, operation: Any, resource: Resource, obj: Any, old: Any, options: WriteOptions
    ) -> None:
        request = self._admission_request(operation, resource, obj, old, options)
        await self._admission.validate(request)

    @staticmethod
    def _admission_request(
        operation: Any, resource: Resource, obj: Any, old: Any, options: WriteOptions
    ) -> AdmissionRequest:
        metadata = metadata_of(obj if obj is not None else old)
        return AdmissionRequest(
            operation=operation,
            resource=resource,
            subresource=options.subresource,
            namespace=metadata.namespace or "",
            name=metadata.name or "",
            object=obj,
            old_object=old,
            user=options.identity.name,
            groups=options.identity.groups,
            dry_run=options.dry_run,
        )

    async def _require_namespace(
        self, resource: Resource, namespace: str, metadata: meta_v1.ObjectMeta
    ) -> None:
        namespaces = self.scheme.of_plural("", "v1", "namespaces")
        assert namespaces is not None, "a scheme without namespaces cannot have namespaced kinds"
        found = await self.get(namespaces, "", namespace)
        if found.metadata.deletionTimestamp is not None:
            raise errors.forbidden(
                resource,
                metadata.name or "",
                f"unable to create new content in namespace {namespace} because it is being terminated",
            )

    def _named(self, obj: Any, resource: Resource) -> Any:
        metadata = metadata_of(obj)
        if metadata.name or not metadata.generateName:
            return obj
        base = metadata.generateName[: _GENERATED_NAME_LIMIT - _SUFFIX]
        return with_metadata(obj, name=base + self._entropy.name_suffix(_SUFFIX))

    def _stamped(self, obj: Any, resource: Resource) -> Any:
        return with_metadata(
            obj,
            uid=self._entropy.uuid4(),
            creationTimestamp=whole_seconds(self.clock.now()),
            generation=1 if self.strategy(resource).tracks_generation else None,
            resourceVersion=None,
            deletionTimestamp=None,
            deletionGracePeriodSeconds=None,
            selfLink=None,
            managedFields=None,
        )


def _at(obj: Any, revision: int) -> Any:
    return with_metadata(obj, resourceVersion=str(revision))


def _in_namespace(obj: Any, namespace: str) -> Any:
    given = metadata_of(obj).namespace
    if given and given != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return with_metadata(obj, namespace=namespace)


def _keep_identity(new: Any, old: Any, resource: Resource) -> Any:
    """`new` with the metadata that the server owns taken from `old`; 409 if it was meant for another."""
    given, held = metadata_of(new), metadata_of(old)
    name = held.name or ""
    if given.name and given.name != held.name:
        raise errors.bad_request(
            f"the name of the object ({given.name}) does not match the name on the URL ({name})"
        )
    if given.namespace and given.namespace != held.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if given.uid and given.uid != held.uid:
        raise errors.conflict(
            resource,
            name,
            f"Precondition failed: UID in precondition: {given.uid}, UID in object meta: {held.uid}",
        )
    if given.resourceVersion and given.resourceVersion != held.resourceVersion:
        raise errors.conflict(resource, name, _MODIFIED)
    return msgspec.structs.replace(
        new,
        metadata=msgspec.structs.replace(
            given,
            name=held.name,
            namespace=held.namespace,
            uid=held.uid,
            resourceVersion=held.resourceVersion,
            generateName=held.generateName,
            creationTimestamp=held.creationTimestamp,
            deletionTimestamp=held.deletionTimestamp,
            deletionGracePeriodSeconds=held.deletionGracePeriodSeconds,
            generation=held.generation,
            selfLink=None,
            managedFields=None,
        ),
    )


def _check_preconditions(
    resource: Resource, obj: Any, preconditions: meta_v1.Preconditions | None
) -> None:
    if preconditions is None:
        return
    metadata = metadata_of(obj)
    if preconditions.uid is not None and preconditions.uid != metadata.uid:
        raise errors.conflict(
            resource,
            metadata.name or "",
            f"Precondition failed: UID in precondition: {preconditions.uid}, "
            f"UID in object meta: {metadata.uid}",
        )
    wanted = preconditions.resourceVersion
    if wanted is not None and wanted != metadata.resourceVersion:
        raise errors.conflict(
            resource,
            metadata.name or "",
            f"Precondition failed: ResourceVersion in precondition: {wanted}, "
            f"ResourceVersion in object meta: {metadata.resourceVersion}",
        )
