"""Objects and the store: the one way every object is created, changed and deleted.

The order of a create is Kubernetes' own: default, mutate, stamp, prepare, validate, validating admission,
store. Every change is a read, a pure function of what was read, and a write that fails if somebody else
wrote in between.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.admission.base import AdmissionRequest, Operation
from podward.admission.chain import AdmissionChain
from podward.api import codec, errors
from podward.api.defaults import set_defaults
from podward.api.scheme import Resource, Scheme
from podward.api.validation import (
    validate_create,
    validate_ephemeral_containers,
    validate_status_update,
    validate_update,
)
from podward.apiserver.identity import SYSTEM, Identity
from podward.apiserver.strategies.event import EventStrategy
from podward.apiserver.strategies.namespace import NamespaceStrategy
from podward.apiserver.strategies.node import NodeStrategy
from podward.apiserver.strategies.pod import PodStrategy
from podward.apiserver.strategies.pod_preset import PodPresetStrategy, SettingsPodPresetStrategy
from podward.apiserver.strategies.secret import SecretStrategy
from podward.apiserver.strategies.service import ServiceStrategy
from podward.apiserver.strategies.webhook_configuration import WebhookConfigurationStrategy
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
    "services": ServiceStrategy(),
    "podpresets.settings.k8s.io": SettingsPodPresetStrategy(),
    "podpresets.podward.dev": PodPresetStrategy(),
    "clusterpodpresets.podward.dev": PodPresetStrategy(),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": WebhookConfigurationStrategy(),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": WebhookConfigurationStrategy(),
}
_PLAIN: Final = Strategy()
_RETRIES: Final = 100
"""Of a write that is conditional on nothing but what the server itself read."""
_GENERATED_NAME_LIMIT: Final = 63
_SUFFIX: Final = 5
_MODIFIED: Final = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


T = TypeVar("T")


class WriteOptions(msgspec.Struct, frozen=True):
    """What a write carries beside the object."""

    identity: Identity = SYSTEM
    dry_run: bool = False
    subresource: str = ""
    housekeeping: bool = False
    """The server's own, which nobody asked for: admission is not asked, so that no webhook can stop it."""
    sent: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What the client said of it in so many words, as a document: admission shows it to webhooks."""
    warnings: list[str] = msgspec.field(default_factory=list)
    """What the author is to be told beside the answer: added while the write is prepared."""


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


class CurrentObjects:
    """`StoredObjects` for admission: the store itself, through the cache."""

    def __init__(self, store: Store, scheme: Scheme, cache: ObjectCache) -> None:
        self._store = store
        self._scheme = scheme
        self._cache = cache
        self._prefixes = {row.type: Registry.prefix(row) for row in scheme}

    def version(self, kind: type[Any]) -> int:
        return self._store.last_change(self._prefixes[kind])

    async def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        resource = self._scheme.of_type(kind)
        found = await self._store.get(Registry.key(resource, namespace, name))
        return None if found is None else self._cache.decode(found, resource)

    async def list(self, kind: type[T], namespace: str = "") -> Sequence[T]:
        resource = self._scheme.of_type(kind)
        listing = await self._store.range(Registry.prefix(resource, namespace))
        return [self._cache.decode(record, resource) for record in listing.records]


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
        self.objects = CurrentObjects(store, scheme, self.cache)

    def strategy(self, resource: Resource) -> Strategy:
        return _STRATEGIES.get(resource.group_resource, _PLAIN)

    @staticmethod
    def prefix(resource: Resource, namespace: str = "") -> str:
        """Where the objects of a collection are kept."""
        base = f"/registry/{resource.group or 'core'}/{resource.plural}/"
        return f"{base}{namespace}/" if namespace else base

    @staticmethod
    def key(resource: Resource, namespace: str, name: str) -> str:
        return Registry.prefix(resource, namespace if resource.namespaced else "") + name

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
        obj = set_defaults(obj)
        asked = _Asked("CREATE", resource, namespace, metadata_of(obj).name or "", options)
        obj = await self._admit(asked, obj, None)
        obj = self._named(obj, resource)
        asked = msgspec.structs.replace(asked, name=metadata_of(obj).name or "")
        strategy = self.strategy(resource)
        obj = self._stamped(strategy.prepare_for_create(obj), resource)
        validate_create(obj, resource)
        options.warnings.extend(strategy.warnings_for_create(obj))
        await self._review(asked, obj, None)
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
        operation: Operation = "CREATE" if options.subresource == "binding" else "UPDATE"
        asked = _Asked(operation, resource, namespace, name, options)
        told = len(options.warnings)
        for _ in range(_RETRIES):
            del options.warnings[told:]  # of a try that came to nothing
            record = await self.record(resource, namespace, name)
            old = self.cache.decode(record, resource)
            new = _keep_identity(change(old, record.value), old, resource)
            new = await self._prepared_update(asked, new, old)
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
        options = msgspec.structs.replace(options, sent=msgspec.to_builtins(delete_options))
        asked = _Asked("DELETE", resource, namespace, name, options)
        told = len(options.warnings)
        for _ in range(_RETRIES):
            del options.warnings[told:]  # of a try that came to nothing
            record = await self.record(resource, namespace, name)
            old = self.cache.decode(record, resource)
            _check_preconditions(resource, old, delete_options.preconditions)
            await self._admit(asked, None, old)
            await self._review(asked, None, old)
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

    async def connect(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        document: dict[str, Any],
        options: WriteOptions,
    ) -> dict[str, Any]:
        """What admission makes of a connection to `options.subresource`; `document` says what it is for."""
        asked = _Asked("CONNECT", resource, namespace, name, options)
        made: dict[str, Any] = await self._admit(asked, document, None)
        await self._review(asked, made, None)
        return made

    async def _prepared_update(self, asked: "_Asked", new: Any, old: Any) -> Any:
        resource, options = asked.resource, asked.options
        strategy = self.strategy(resource)
        if options.subresource == "status":
            new = await self._prepared(asked, new, old, strategy.prepare_for_status_update)
            validate_status_update(new, old, resource)
        elif options.subresource == "ephemeralcontainers":
            prepare = strategy.prepare_for_ephemeral_containers
            new = await self._prepared(asked, set_defaults(new), old, prepare)
            validate_ephemeral_containers(new, old, resource)
        elif options.subresource == "finalize":
            new = msgspec.structs.replace(old, spec=new.spec)
        elif (
            options.subresource == "binding"
        ):  # what is reviewed is what came: it makes the Pod's change
            await self._review(asked, _binding(new), None)
            return new
        else:
            new = set_defaults(new)
            options.warnings.extend(strategy.warnings_for_update(new, old))
            new = await self._prepared(asked, new, old, strategy.prepare_for_update)
            validate_update(new, old, resource)
        await self._review(asked, new, old)
        if strategy.tracks_generation and strategy.desired(new) != strategy.desired(old):
            new = with_metadata(new, generation=(metadata_of(old).generation or 0) + 1)
        return new

    async def _prepared(
        self, asked: "_Asked", new: Any, old: Any, prepare: Callable[[Any, Any], Any]
    ) -> Any:
        """`new` without what no client may change, whether it or admission did."""
        new = prepare(new, old)
        admitted = await self._admit(asked, new, old)
        if admitted is new:
            return new
        return prepare(_keep_identity(admitted, old, asked.resource), old)

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

    async def _admit(self, asked: "_Asked", obj: Any, old: Any) -> Any:
        if asked.options.housekeeping:
            return obj
        admitted = await self._admission.mutate(self._admission_request(asked, obj, old))
        if admitted is not obj and old is None and asked.operation == "CREATE":
            return (
                _in_namespace(admitted, asked.namespace) if asked.resource.namespaced else admitted
            )
        return admitted

    async def _review(self, asked: "_Asked", obj: Any, old: Any) -> None:
        if not asked.options.housekeeping:
            await self._admission.validate(self._admission_request(asked, obj, old))

    def _admission_request(self, asked: "_Asked", obj: Any, old: Any) -> AdmissionRequest:
        options = asked.options
        return AdmissionRequest(
            operation=asked.operation,
            resource=asked.resource,
            subresource=options.subresource,
            namespace=asked.namespace if asked.resource.namespaced else "",
            name=asked.name,
            object=obj,
            old_object=old,
            user=options.identity.name,
            groups=options.identity.groups,
            dry_run=options.dry_run,
            warnings=options.warnings,
            objects=self.objects,
            options=options.sent,
        )

    async def _require_namespace(
        self, resource: Resource, namespace: str, metadata: meta_v1.ObjectMeta
    ) -> None:
        namespaces = self.scheme.of_plural("", "v1", "namespaces")
        assert namespaces is not None, "a scheme without namespaces cannot have namespaced kinds"
        found = await self.get(namespaces, "", namespace)
        if found.metadata.deletionTimestamp is not None:
            raise errors.namespace_terminating(resource, metadata.name or "", namespace)

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


class _Asked(msgspec.Struct, frozen=True):
    """What a client asked for, before any object was looked at."""

    operation: Operation
    resource: Resource
    namespace: str
    name: str
    options: WriteOptions


def _binding(pod: Any) -> core_v1.Binding:
    """What a client sent to bring `pod` to its node."""
    metadata = metadata_of(pod)
    return core_v1.Binding(
        metadata=meta_v1.ObjectMeta(name=metadata.name, namespace=metadata.namespace),
        target=core_v1.ObjectReference(kind="Node", name=pod.spec.nodeName),
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
