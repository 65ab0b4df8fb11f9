"""Which presets there are: a local copy of the cluster's, read when they change and not when a Pod is created.

Presets are held as plain documents, so that a field which this Podward does not know reaches the Pod
(spec/podpreset.md R4). One that cannot be read is set aside and counted; no Pod suffers for it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import msgspec
from lightkube.models import authorization_v1, meta_v1

from podward.admission.plugins.pod_preset import parse
from podward.admission.plugins.pod_preset.model import InvalidPreset, Origin, Preset
from podward.admission.plugins.pod_preset.selection import PresetIndex
from podward.api.kinds.podward_v1alpha1 import PodPresetStatus
from podward.api.scheme import SCHEME, Resource, Scheme
from podward.client.api_client import ApiClient
from podward.client.base import ApiError, Client, ObjectList, RawWatchEvent, Transport
from podward.client.informer import Informer, Key
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.webhook.validation import Read

LOOK_AGAIN_SECONDS: Final = 60.0
"""How often an API that the cluster did not have is looked for."""
STALE_SECONDS: Final = 300.0
"""When nothing was heard for so long, each request asks the API server itself. Bookmarks come once a minute."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class SettingsPodPreset(msgspec.Struct, kw_only=True):
    """`podpresets` of settings.k8s.io."""

    metadata: meta_v1.ObjectMeta
    spec: Any = None


class PodPreset(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`podpresets` of podward.dev."""

    metadata: meta_v1.ObjectMeta
    spec: Any = None
    status: PodPresetStatus | None = None


class ClusterPodPreset(msgspec.Struct, kw_only=True, omit_defaults=True):
    metadata: meta_v1.ObjectMeta
    spec: Any = None
    status: PodPresetStatus | None = None


class Namespace(msgspec.Struct, kw_only=True):
    """Its labels are all that counts here."""

    metadata: meta_v1.ObjectMeta


WITH_STATUS: Final[Mapping[Origin, type[Any]]] = {
    "namespaced": PodPreset,
    "cluster": ClusterPodPreset,
}
"""What the controller that writes statuses reads: the same documents, so that it comes to the same hashes."""

Stored = SettingsPodPreset | PodPreset | ClusterPodPreset

_ORIGINS: Final[dict[type[Stored], Origin]] = {
    SettingsPodPreset: "settings",
    PodPreset: "namespaced",
    ClusterPodPreset: "cluster",
}

_OWN_ROWS: Final = (
    Resource("settings.k8s.io", "v1alpha1", "PodPreset", "podpresets", "podpreset",
             SettingsPodPreset, True),
    Resource("podward.dev", "v1alpha1", "PodPreset", "podpresets", "podpreset", PodPreset, True),
    Resource("podward.dev", "v1alpha1", "ClusterPodPreset", "clusterpodpresets",
             "clusterpodpreset", ClusterPodPreset, False),
    Resource("", "v1", "Namespace", "namespaces", "namespace", Namespace, False),
    Resource("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews",
             "subjectaccessreview", authorization_v1.SubjectAccessReview, False),
)  # fmt: skip

WEBHOOK_SCHEME: Final = Scheme((*SCHEME, *_OWN_ROWS))
"""Podward's own, and the same kinds undecoded."""


class PresetClient(ApiClient):
    """A client that notes when the server was heard, and for which an optional API that is absent is empty."""

    def __init__(
        self, transport: Transport, clock: Clock, *, optional: Sequence[type[Any]] = ()
    ) -> None:
        super().__init__(transport, WEBHOOK_SCHEME)
        self._clock = clock
        self._optional = tuple(optional)
        self.heard: dict[type[Any], float] = {}
        """Kind -> when, in the loop's time."""
        self.absent: set[type[Any]] = set()

    async def list(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> ObjectList[T]:
        try:
            listed = await super().list(
                kind, namespace, label_selector=label_selector, field_selector=field_selector
            )
        except ApiError as error:
            if error.code not in (403, 404) or kind not in self._optional:
                raise
            if error.code == 403 and kind not in self.absent:
                # A server that checks rights first says this of an API, too, that it does not have.
                log.warning("presets of one kind are left out: %s", error)
            self.absent.add(kind)
            listed = ObjectList([], "")
        else:
            self.absent.discard(kind)
        self.heard[kind] = self._clock.monotonic()
        return listed

    async def watch_raw(
        self,
        kind: type[T],
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
    ) -> AsyncIterator[RawWatchEvent]:
        """An absent kind's watch ends after a while without a word: then the informer lists again."""
        if kind in self.absent:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            return
        events = super().watch_raw(
            kind,
            namespace,
            resource_version=resource_version,
            label_selector=label_selector,
            field_selector=field_selector,
            bookmarks=bookmarks,
        )
        async for event in events:
            self.heard[kind] = self._clock.monotonic()
            yield event


@dataclass(frozen=True, slots=True)
class NamespaceView:
    """Implements `review.View`."""

    presets: PresetIndex
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


class PresetSource(Protocol):
    @property
    def synced(self) -> bool:
        """Whether every preset that was there at the beginning is known."""

    @property
    def age(self) -> float:
        """Seconds since the API server was last heard."""

    @property
    def invalid(self) -> int:
        """How many presets cannot be used."""

    async def view(self, namespace: str) -> NamespaceView:
        """Raises `ApiError` or `TransportError` if the API server had to be asked and would not say."""


class PresetCache:
    """Implements `PresetSource` by list and watch; `strict`: by a list for each request, so that a preset
    which was created before a Pod is never missed."""

    def __init__(
        self,
        client: PresetClient,
        clock: Clock,
        entropy: Entropy,
        *,
        strict: bool = False,
        read: Read = parse.preset_of,
    ) -> None:
        self._client = client
        self._clock = clock
        self._strict = strict
        self._read = read
        self._began: float | None = None
        self._of_cluster: dict[Key, Preset] = {}
        self._of_namespaces: dict[str, dict[tuple[Origin, Key], Preset]] = {}
        self._views: dict[str, NamespaceView] = {}
        self._invalid: dict[tuple[Origin, Key], str] = {}

        def informer(kind: type[T]) -> Informer[T]:
            return Informer(client, kind, clock=clock, entropy=entropy)

        self._namespaces = informer(Namespace)
        self._informers: list[tuple[Informer[Any], Callable[[str, Any], None]]] = [
            (self._namespaces, self._on_namespace),
            (informer(SettingsPodPreset), self._on_preset),
            (informer(PodPreset), self._on_preset),
            (informer(ClusterPodPreset), self._on_preset),
        ]

    async def run(self) -> None:
        """Until cancelled."""
        self._began = self._clock.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for informer, on_event in self._informers:
                tasks.create_task(informer.run(on_event))

    @property
    def synced(self) -> bool:
        return all(informer.synced.is_set() for informer, _ in self._informers)

    async def wait_synced(self) -> None:
        for informer, _ in self._informers:
            await informer.synced.wait()

    @property
    def age(self) -> float:
        """Of what was heard longest ago. An API that is absent is heard to be so."""
        now = self._clock.monotonic()
        began = self._began if self._began is not None else now
        return max(now - self._client.heard.get(kind, began) for kind in (*_ORIGINS, Namespace))

    @property
    def count(self) -> int:
        """Of presets that can be used."""
        return len(self._of_cluster) + sum(map(len, self._of_namespaces.values()))

    @property
    def invalid(self) -> int:
        flawed = sum(bool(p.problems) for p in self._of_cluster.values())
        for presets in self._of_namespaces.values():
            flawed += sum(bool(p.problems) for p in presets.values())
        return flawed + len(self._invalid)

    async def view(self, namespace: str) -> NamespaceView:
        if self._strict or not self.synced or self.age > STALE_SECONDS:
            return await self._asked(namespace)
        known = self._views.get(namespace)
        if known is not None:
            return known
        stored = self._namespaces.store.get(("", namespace))
        if stored is not None:
            made = NamespaceView(self._presets(namespace), stored.metadata.labels or {})
            self._views[namespace] = made
            return made
        # So new that it has not been heard of. What is asked now is not kept: it may change while we wait.
        labels = await _labels_of(self._client, namespace) if self._of_cluster else {}
        return NamespaceView(self._presets(namespace), labels)

    def _presets(self, namespace: str) -> PresetIndex:
        own = self._of_namespaces.get(namespace, {})
        return PresetIndex((*self._of_cluster.values(), *own.values()))

    async def _asked(self, namespace: str) -> NamespaceView:
        """What the API server has now."""
        lists = await asyncio.gather(
            self._listed(SettingsPodPreset, namespace),
            self._listed(PodPreset, namespace),
            self._listed(ClusterPodPreset, ""),
        )
        labels = await _labels_of(self._client, namespace) if lists[2] else {}
        presets = PresetIndex(preset for listed in lists for preset in listed)
        return NamespaceView(presets, labels)

    async def _listed(self, kind: type[Stored], namespace: str) -> Sequence[Preset]:
        listed = await self._client.list(kind, namespace)
        found = []
        for obj in listed.items:
            try:
                found.append(self._preset(obj))
            except InvalidPreset as error:
                log.debug("preset %s is left out: %s", error.name, error)
        return found

    # ---- what the informers report

    def _on_namespace(self, event: str, obj: Namespace) -> None:
        self._views.pop(obj.metadata.name or "", None)

    def _on_preset(self, event: str, obj: Stored) -> None:
        origin = _ORIGINS[type(obj)]
        meta = obj.metadata
        namespace, key = meta.namespace or "", (meta.namespace or "", meta.name or "")
        self._invalid.pop((origin, key), None)
        preset: Preset | None = None
        if event != "DELETED":
            try:
                preset = self._preset(obj)
            except InvalidPreset as error:
                self._invalid[origin, key] = str(error)
                log.warning("preset %s/%s is left out: %s", *key, error)
        if origin == "cluster":
            _put(self._of_cluster, key, preset)
            self._views.clear()
            return
        presets = self._of_namespaces.setdefault(namespace, {})
        _put(presets, (origin, key), preset)
        if not presets:
            del self._of_namespaces[namespace]
        self._views.pop(namespace, None)

    def _preset(self, obj: Stored) -> Preset:
        row = WEBHOOK_SCHEME.of_type(type(obj))
        document = {
            "apiVersion": row.api_version,
            "kind": row.kind,
            "metadata": msgspec.to_builtins(obj.metadata),
            "spec": obj.spec,
        }
        return self._read(document, namespace=obj.metadata.namespace or "")


K = TypeVar("K")


def _put(into: dict[K, Preset], key: K, preset: Preset | None) -> None:
    if preset is None:
        into.pop(key, None)
    else:
        into[key] = preset


async def _labels_of(client: Client, namespace: str) -> Mapping[str, str]:
    try:
        return (await client.get(Namespace, namespace)).metadata.labels or {}
    except ApiError as error:
        if error.code != 404:
            raise
        return {}  # the API server will refuse the Pod
