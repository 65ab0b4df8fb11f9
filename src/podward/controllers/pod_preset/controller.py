"""Writes the status of presets (spec/podpreset.md R16): watches, and what `status.py` says when things settle.

Signals only enqueue: a preset that changed, a Pod that came, changed its labels or went, an admission that
told of itself. What is written is what `status.py` makes of all that is known then, and only if it differs.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, Protocol

import msgspec
from lightkube.models import meta_v1

from podward.admission.plugins.pod_preset.model import (
    Document,
    InvalidPreset,
    Notice,
    Origin,
    Preset,
)
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.api.kinds.podward_v1alpha1 import ClusterPodPreset, PodPreset, PodPresetStatus
from podward.client.base import ApiError, Client, TransportError
from podward.client.informer import Informer
from podward.controllers.pod_preset.population import Population
from podward.controllers.pod_preset.settling_queue import SettlingQueue
from podward.controllers.pod_preset.status import (
    Admission,
    Count,
    PodFacts,
    PresetKey,
    Seen,
    admissions_of,
    carries,
    chosen,
    count_of,
    status_of,
    status_of_invalid,
)
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.machinery.metrics import Family

SETTLE_SECONDS: Final = 0.1
EVERY_SECONDS: Final = 1.0
"""Between two writes of one status, however many Pods come."""
PODS_AT_A_TIME: Final = 500
RETRY_SECONDS: Final = 5.0
"""After the server refused a status or could not be reached."""
_ADMISSIONS_LIMIT: Final = 4096

Change = Literal["ADDED", "MODIFIED", "DELETED"]
KINDS: Final[Mapping[Origin, type[Any]]] = {"namespaced": PodPreset, "cluster": ClusterPodPreset}
_NAMES: Final = {"namespaced": "PodPreset", "cluster": "ClusterPodPreset"}


class Stored(Protocol):
    """A preset as the client knows it; its spec a Struct or a plain document."""

    metadata: meta_v1.ObjectMeta | None
    spec: Any
    status: PodPresetStatus | None


log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    """A preset as it is stored, and as it was read."""

    stored: Stored
    preset: Preset | InvalidPreset

    @property
    def meta(self) -> meta_v1.ObjectMeta:
        return self.stored.metadata or meta_v1.ObjectMeta()


class PresetController:
    """`observe` may be called at any time; statuses are written while `run` runs, by one of all that share
    the presets: the one whose `is_leader` says so. Who becomes it calls `resync`, or only then runs."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Entropy,
        *,
        kinds: Mapping[Origin, type[Any]] = KINDS,
        count_pods: bool = True,
        is_leader: Callable[[], bool] = lambda: True,
        as_it_came: Callable[[Document], Document] = lambda pod: pod,
    ) -> None:
        """`kinds`: how the client knows presets (`Stored`). A preset's hash must be the one that admission
        writes: whoever admits by plain documents, with fields that no Struct has, gives kinds of those.

        `count_pods`: watch Pods, which takes the right to; without it a status has no numbers.

        `as_it_came`: see `Seen`.
        """
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._kinds = kinds
        self._is_leader = is_leader
        self._as_it_came = as_it_came
        self._entries: dict[PresetKey, _Entry] = {}
        self._admissions: dict[PresetKey, Admission] = {}
        self._queue: SettlingQueue[PresetKey] = SettlingQueue(
            settle=SETTLE_SECONDS, every=EVERY_SECONDS
        )
        self._population = Population(
            client, clock, entropy, count_pods=count_pods,
            pod_changed=self._pod_changed, others_changed=self.resync,
        )  # fmt: skip
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled; it may be run again then."""
        self._entries.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for origin in self._kinds:
                    tasks.create_task(self._watch(origin))
                tasks.create_task(self._write_forever())
        finally:
            self._tasks = None
            self._population.stop()
            self._queue.close()

    def observe(self, notice: Notice) -> None:
        """An admission that was no dry run."""
        for key, admission in admissions_of(notice).items():
            self._admissions[key] = admission.after(self._admissions.pop(key, None))
            if key in self._entries:
                self._queue.add(key)
        # A preset may be heard of here before it is by the watch, or be gone already.
        while len(self._admissions) > _ADMISSIONS_LIMIT:
            del self._admissions[next(iter(self._admissions))]

    def resync(self) -> None:
        """Look at every preset again."""
        for key in self._entries:
            self._queue.add(key)

    async def families(self) -> list[Family]:
        """The numbers in the statuses that are known, to be alerted on."""
        pods: dict[tuple[str, ...], float] = {}
        for key, entry in self._entries.items():
            status = entry.stored.status
            if status is None or isinstance(entry.preset, InvalidPreset):
                continue
            for state in ("matched", "current", "stale"):
                number = getattr(status, f"{state}Pods")
                if number is not None:
                    pods[key.namespace, entry.preset.id, state] = float(number)
        return [
            Family(
                "podward_pod_preset_pods",
                "Pods that a preset matches, that carry it as it is now, that do not.",
                "gauge",
                ("namespace", "preset", "state"),
                pods,
            )
        ]

    # ---- what is heard

    async def _watch(self, origin: Origin) -> None:
        informer = Informer[Any](
            self._client,
            self._kinds[origin],
            bookmarks=False,
            clock=self._clock,
            entropy=self._entropy,
        )
        await informer.run(partial(self._preset_changed, origin))

    def _preset_changed(self, origin: Origin, change: Change, stored: Stored) -> None:
        meta = stored.metadata or meta_v1.ObjectMeta()
        key = PresetKey(origin, meta.namespace or "", meta.name or "")
        if change == "DELETED":
            self._entries.pop(key, None)
            self._admissions.pop(key, None)
            self._queue.forget(key)
        else:
            known = self._entries.get(key)
            if known is not None and known.meta.resourceVersion == meta.resourceVersion:
                return  # our own write, heard of again
            self._entries[key] = _Entry(stored, _read(stored, origin))
            self._queue.add(key)
        self._watch_others()

    def _watch_others(self) -> None:
        if bool(self._entries) == self._population.watching:
            return
        if self._entries:
            assert self._tasks is not None, "presets are heard of only in run"
            self._population.start(self._tasks)
        else:
            self._population.stop()

    def _pod_changed(self, before: PodFacts | None, after: PodFacts | None) -> None:
        if not self._population.ready:
            return  # all will be looked at when all have come
        for key, entry in self._entries.items():
            preset = entry.preset
            if (
                key not in self._queue
                and isinstance(preset, Preset)
                and (self._concerns(preset, before) or self._concerns(preset, after))
            ):
                self._queue.add(key)

    def _concerns(self, preset: Preset, pod: PodFacts | None) -> bool:
        return pod is not None and (
            carries(preset, pod) or chosen(preset, pod, self._population.namespaces)
        )

    # ---- what is written

    async def _write_forever(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._write(key)
            except ApiError as error:
                # Gone, or in conflict with a newer one: the watch brings that, and it is looked at again.
                if error.code not in (404, 409):
                    log.warning("cannot write the status of %s: %s", "/".join(key), error)
                    self._queue.add(key, delay=RETRY_SECONDS)
            except TransportError as error:
                log.warning("cannot write the status of %s: %s", "/".join(key), error)
                self._queue.add(key, delay=RETRY_SECONDS)
            except Exception:
                # One preset that cannot be thought through must not silence the others.
                log.exception("cannot make the status of %s", "/".join(key))

    async def _write(self, key: PresetKey) -> None:
        entry = self._entries.get(key)
        if entry is None:
            self._queue.forget(key)
            return
        if not self._population.ready or not self._is_leader():
            return
        status = await self._status(key, entry)
        if status == entry.stored.status or self._entries.get(key) is not entry:
            return
        written: Stored = await self._client.patch(
            self._kinds[key.origin],
            key.name,
            {
                "metadata": {"resourceVersion": entry.meta.resourceVersion},
                "status": _whole(status),
            },
            namespace=key.namespace,
            patch_type="merge",
            subresource="status",
        )
        if self._entries.get(key) is entry:
            entry.stored = written

    async def _status(self, key: PresetKey, entry: _Entry) -> PodPresetStatus:
        preset = entry.preset
        if isinstance(preset, InvalidPreset):
            generation = entry.meta.generation or 0
            return status_of_invalid(preset, generation, entry.stored.status, self._clock.now())
        seen = Seen(
            count=await self._count(preset) if self._population.counts_pods else None,
            namespaces=self._population.namespaces,
            admission=self._admissions.get(key),
            as_it_came=self._as_it_came,
        )
        return status_of(preset, entry.stored.status, seen, self._clock.now())

    async def _count(self, preset: Preset) -> Count:
        """A few at a time: whoever is admitted meanwhile must not wait for ten thousand Pods."""
        pods = self._population.pods(preset.namespace)
        count = Count()
        for i in range(0, len(pods), PODS_AT_A_TIME):
            if i:
                await asyncio.sleep(0)
            chunk = pods[i : i + PODS_AT_A_TIME]
            count += count_of(preset, chunk, self._population.namespaces)
        return count


def _read(stored: Stored, origin: Origin) -> Preset | InvalidPreset:
    document = {
        "apiVersion": "podward.dev/v1alpha1",
        "kind": _NAMES[origin],
        "metadata": msgspec.to_builtins(stored.metadata),
        "spec": msgspec.to_builtins(stored.spec),
    }
    try:
        return preset_of(document)
    except InvalidPreset as error:
        return error


def _whole(status: PodPresetStatus) -> dict[str, Any]:
    """A merge patch leaves what it does not name: what a status no longer says is null in it."""
    said: dict[str, Any] = msgspec.to_builtins(status)
    return dict.fromkeys(PodPresetStatus.__struct_fields__) | said
