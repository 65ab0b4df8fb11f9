"""Active namespaces have what each must have; Terminating ones are emptied, then let go.

That is the default ServiceAccount and the certificate of the API server's authority, both made anew when
somebody deletes them, the latter when somebody changes it.
"""

import asyncio
import logging
from typing import Any

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.api.errors import ApiStatusError
from podward.api.scheme import Resource
from podward.apiserver.bootstrap import ROOT_CA, furnish
from podward.apiserver.registry import Registry, WriteOptions
from podward.apiserver.strategies.namespace import FINALIZER
from podward.apiserver.strategy import metadata_of
from podward.store.base import Change, Compacted, StoreError

_log = logging.getLogger(__name__)
_RETRY = 1.0


class NamespaceLifecycle:
    """Woken by every change of a namespace, every deletion inside one, and changes of what it put there."""

    def __init__(self, registry: Registry, root_ca: str = "") -> None:
        """`root_ca`: the certificate; empty for none."""
        self._registry = registry
        self._root_ca = root_ca
        maps = registry.scheme.of_type(core_v1.ConfigMap)
        self._config_maps = registry.prefix(maps)
        row = registry.scheme.of_plural("", "v1", "namespaces")
        assert row is not None, "the scheme has no namespaces"
        self._namespaces: Resource = row
        self._again: dict[str, asyncio.Task[None]] = {}
        """Namespaces that could not be brought on, for somebody refuses: no other waits for them."""
        self._touched_meanwhile: set[str] = set()

    async def run(self) -> None:
        """Until cancelled or the store closes."""
        try:
            await self._follow()
        finally:
            for task in self._again.values():
                task.cancel()

    async def _follow(self) -> None:
        store = self._registry.store
        while True:
            listing = await store.range(self._registry.prefix(self._namespaces))
            try:
                for record in listing.records:
                    await self._reconcile_safely(record.key.rsplit("/", 1)[1])
                async for batch in store.watch("/registry/", after=listing.revision):
                    for name in sorted(self._touched(batch)):
                        await self._reconcile_safely(name)
                return
            except Compacted:
                continue  # it fell behind: begin again with what there is now

    async def reconcile(self, name: str) -> None:
        """One step towards what the namespace should be. Twice is once."""
        found = await self._registry.store.get(self._registry.key(self._namespaces, "", name))
        if found is None:
            return
        namespace = self._registry.cache.decode(found, self._namespaces)
        if metadata_of(namespace).deletionTimestamp is None:
            await furnish(self._registry, name, WriteOptions(), self._root_ca)
            return
        left = 0
        for resource in self._registry.scheme:
            if resource.namespaced and resource.stored:
                left += await self._empty(resource, name)
        if not left:
            await self._registry.update(
                self._namespaces, "", name, _released, WriteOptions(subresource="finalize")
            )

    async def _empty(self, resource: Resource, namespace: str) -> int:
        """Delete all objects of a kind; how many are still there afterwards."""
        prefix = self._registry.prefix(resource, namespace)
        for record in (await self._registry.store.range(prefix)).records:
            obj = self._registry.cache.decode(record, resource)
            if metadata_of(obj).deletionTimestamp is not None:
                continue  # whoever holds it back is at work; its end wakes us again
            name = record.key.removeprefix(prefix)
            try:
                await self._registry.delete(
                    resource, namespace, name, meta_v1.DeleteOptions(), WriteOptions()
                )
            except ApiStatusError as error:
                if error.status.code != 404:
                    raise
        return len((await self._registry.store.range(prefix)).records)

    async def _reconcile_safely(self, name: str) -> None:
        if name in self._again:
            self._touched_meanwhile.add(name)
        elif not await self._reconciled(name):
            self._again[name] = asyncio.create_task(self._try_again(name))

    async def _try_again(self, name: str) -> None:
        while True:
            await asyncio.sleep(_RETRY)
            self._touched_meanwhile.discard(name)
            if await self._reconciled(name) and name not in self._touched_meanwhile:
                del self._again[name]
                return

    async def _reconciled(self, name: str) -> bool:
        """Whether it could be done; if not, it is said why."""
        try:
            await self.reconcile(name)
        except (ApiStatusError, StoreError) as error:
            if not isinstance(error, ApiStatusError) or error.status.code != 404:
                _log.warning("cannot empty namespace %s: %s", name, error)
                return False
        return True

    def _touched(self, batch: list[Change]) -> set[str]:
        """Names of namespaces that may have to be brought on after these changes."""
        names = set()
        prefix = self._registry.prefix(self._namespaces)
        for change in batch:
            key = change.record.key
            if key.startswith(prefix):
                if change.type != "DELETED":
                    names.add(key.removeprefix(prefix))
            elif (change.type == "DELETED" and key.count("/") == 5) or self._is_published(key):
                names.add(key.split("/")[4])
        return names

    def _is_published(self, key: str) -> bool:
        ours = self._root_ca and key.endswith(f"/{ROOT_CA}")
        return bool(ours) and key.startswith(self._config_maps)


def _released(namespace: Any, document: bytes) -> Any:
    finalizers = [f for f in namespace.spec.finalizers or () if f != FINALIZER]
    return msgspec.structs.replace(
        namespace, spec=core_v1.NamespaceSpec(finalizers=finalizers or None)
    )
