"""Secrets of type `kubernetes.io/service-account-token`: filled with a token that ends when the Secret does.

Who makes one names the account in an annotation; without such an account, or with one that was made anew since,
the Secret goes. Nothing is polled: a change of a Secret or the end of an account wakes it.
"""

import asyncio
import base64
import logging
from typing import Any, Final

import msgspec
from lightkube.models import core_v1, meta_v1

from podward.api.errors import ApiStatusError
from podward.apiserver.registry import Registry, WriteOptions
from podward.apiserver.service_accounts import ServiceAccounts
from podward.store.base import Change, Compacted, StoreError

TYPE: Final = "kubernetes.io/service-account-token"
NAME: Final = "kubernetes.io/service-account.name"
UID: Final = "kubernetes.io/service-account.uid"
_RETRY: Final = 1.0
_log = logging.getLogger(__name__)


class SecretTokens:
    def __init__(self, registry: Registry, accounts: ServiceAccounts, root_ca: str) -> None:
        self._registry = registry
        self._accounts = accounts
        self._root_ca = root_ca
        self._secrets = registry.scheme.of_type(core_v1.Secret)
        self._of_secrets = registry.prefix(self._secrets)
        self._of_accounts = registry.prefix(registry.scheme.of_type(core_v1.ServiceAccount))

    async def run(self) -> None:
        """Until cancelled or the store closes."""
        store = self._registry.store
        while True:
            listing = await store.range(self._of_secrets)
            for record in listing.records:
                await self._reconcile_safely(record.key)
            try:
                async for batch in store.watch("/registry/core/", after=listing.revision):
                    for key in await self._touched(batch):
                        await self._reconcile_safely(key)
                return
            except Compacted:
                continue  # it fell behind: begin again with what there is now

    async def _touched(self, batch: list[Change]) -> list[str]:
        """Keys of Secrets that may have to be filled or removed after these changes."""
        keys: dict[str, None] = {}
        for change in batch:
            key, deleted = change.record.key, change.type == "DELETED"
            if key.startswith(self._of_secrets) and not deleted:
                keys[key] = None
            elif key.startswith(self._of_accounts) and deleted:
                namespace = key.removeprefix(self._of_accounts).partition("/")[0]
                prefix = self._registry.prefix(self._secrets, namespace)
                listing = await self._registry.store.range(prefix)
                keys |= dict.fromkeys(record.key for record in listing.records)
        return list(keys)

    async def _reconcile_safely(self, key: str) -> None:
        namespace, _, name = key.removeprefix(self._of_secrets).partition("/")
        for left in (1, 0):
            try:
                await self.reconcile(namespace, name)
                return
            except (ApiStatusError, StoreError) as error:
                if isinstance(error, ApiStatusError) and error.status.code == 404:
                    return
                if not left:
                    _log.warning("cannot fill secret %s/%s: %s", namespace, name, error)
            await asyncio.sleep(_RETRY)

    async def reconcile(self, namespace: str, name: str) -> None:
        """Twice is once."""
        objects, options = self._registry.objects, WriteOptions()
        secret = await objects.get(core_v1.Secret, name, namespace)
        if secret is None or secret.type != TYPE or secret.metadata is None:
            return
        marks = secret.metadata.annotations or {}
        account = await objects.get(core_v1.ServiceAccount, marks.get(NAME, ""), namespace)
        uid = (account.metadata.uid if account is not None and account.metadata else "") or ""
        if not uid or marks.get(UID, uid) != uid:
            same = meta_v1.Preconditions(uid=secret.metadata.uid)
            gone = meta_v1.DeleteOptions(preconditions=same)
            await self._registry.delete(self._secrets, namespace, name, gone, options)
            return
        wanted = self._filled(secret, namespace, marks[NAME], uid)
        if wanted == secret:
            return

        def fill(held: core_v1.Secret, document: bytes) -> Any:
            return self._filled(held, namespace, marks[NAME], uid)

        await self._registry.update(self._secrets, namespace, name, fill, options)

    def _filled(
        self, secret: core_v1.Secret, namespace: str, account: str, uid: str
    ) -> core_v1.Secret:
        metadata = secret.metadata or meta_v1.ObjectMeta()
        data = dict(secret.data or {})
        data["ca.crt"], data["namespace"] = _encoded(self._root_ca), _encoded(namespace)
        if not data.get("token"):
            bound = (metadata.name or "", metadata.uid or "")
            data["token"] = _encoded(self._accounts.lasting(namespace, account, uid, *bound))
        annotations = {**(metadata.annotations or {}), UID: uid}
        return msgspec.structs.replace(
            secret, data=data, metadata=msgspec.structs.replace(metadata, annotations=annotations)
        )


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
