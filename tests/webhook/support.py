"""A cluster with a webhook's configurations in it, clocks that are set by hand, and leaders by decree."""

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
from lightkube.models import admissionregistration_v1 as registration
from lightkube.models import core_v1, meta_v1
from tests.client.support import EPOCH

from podward.client.base import Client
from podward.machinery.certificates import Pair, make_leaf, split_bundle
from podward.webhook.manifest_options import ManifestOptions
from podward.webhook.manifests import webhook_configurations
from podward.webhook.naming import Installation
from podward.webhook.rotation import Rules

INSTALLATION = Installation()
MUTATING = registration.MutatingWebhookConfiguration
VALIDATING = registration.ValidatingWebhookConfiguration
HOUR = timedelta(hours=1)
SHORT = Rules(
    INSTALLATION.server_names(),
    authority_life=30 * HOUR,
    leaf_life=6 * HOUR,
    propagation=timedelta(minutes=40),
    overlap=HOUR,
)
"""A life in a day: leaves are due every 4 h, the authority after 20 h."""


class HandClock:
    def __init__(self, moment: datetime = EPOCH) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class Decreed:
    """A leader because a test says so."""

    def __init__(self, leader: bool = True) -> None:
        self.is_leader = leader
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def turn(self, leader: bool) -> None:
        self.is_leader = leader
        for listener in self._listeners:
            listener()


async def install(client: Client) -> None:
    """The namespace and both configurations."""
    await client.create(core_v1.Namespace(metadata=meta_v1.ObjectMeta(name=INSTALLATION.namespace)))
    await configure(client)


async def configure(client: Client) -> None:
    """As `podward webhook manifests` prints them."""
    mutating, validating = webhook_configurations(ManifestOptions("podward:test"))
    await client.create(msgspec.convert(mutating.document, MUTATING))
    await client.create(msgspec.convert(validating.document, VALIDATING))


async def bundle(client: Client, kind: type[MUTATING] | type[VALIDATING] = MUTATING) -> bytes:
    """What the API server would trust."""
    configuration = await client.get(kind, INSTALLATION.configuration)
    (webhook,) = configuration.webhooks or []
    return base64.b64decode(webhook.clientConfig.caBundle or "")


async def set_bundle(client: Client, certificates: Sequence[bytes]) -> None:
    """Somebody else writes the mutating configuration's."""
    text = base64.b64encode(b"".join(certificates)).decode()
    patch = [{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": text}]
    await client.patch(MUTATING, INSTALLATION.configuration, patch, patch_type="json")


async def secret(client: Client) -> core_v1.Secret:
    return await client.get(core_v1.Secret, INSTALLATION.managed_secret, INSTALLATION.namespace)


def in_bundle(certificate: bytes, pem: bytes) -> bool:
    return certificate in split_bundle(pem)


def leaf_of(authority: Pair, now: datetime = EPOCH, life: timedelta = 6 * HOUR) -> Pair:
    return make_leaf(authority, "leaf", now=now, life=life, names=SHORT.names)
