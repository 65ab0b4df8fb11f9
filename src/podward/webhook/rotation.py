"""A certificate that the webhook makes for itself, and how its authority is replaced without a failed call.

All state is in one Secret; API servers are told whom to trust by the `caBundle` of each webhook. Whatever is
served must be trusted by what API servers *have read by now*, not by what was written just now. So the order:

    authority due:  next-ca is made -> it stands in every caBundle BESIDE the old one -> `propagation` passes
                    -> next-ca becomes ca, a leaf of it is served -> `overlap` passes -> the old one is dropped
    leaf due:       a new one of the same authority; no caBundle is touched

`rotation_step` decides: a pure function of the Secret, the bundles and the time. `ManagedCertificate` reads,
asks it, does one thing and reads again. Only the leader writes, always against the version that it has read;
everyone serves what the Secret holds. A leader that dies leaves a state from which the next one goes on.

What others do to a caBundle: emptied (manifests replaced) it is filled again; an authority that is not ours
stays until it has expired.
"""

import asyncio
import base64
import logging
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from lightkube.models import admissionregistration_v1, core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.client.informer import Informer
from podward.machinery.alarm import Alarm
from podward.machinery.certificates import (
    AUTHORITY_LIFE,
    Pair,
    facts_of,
    is_issued_by,
    is_pair,
    make_authority,
    make_leaf,
    split_bundle,
)
from podward.machinery.clock import Clock, whole_seconds
from podward.machinery.entropy import Entropy
from podward.webhook.certificates import NEVER, LiveContext
from podward.webhook.naming import Installation

T = TypeVar("T")

PUBLISHED = "podward.dev/next-ca-published-at"
PROMOTED = "podward.dev/ca-promoted-at"
"""Annotations of the Secret: since when every caBundle has next-ca; when ca became what it is."""

_LOOK_AGAIN_SECONDS = 300.0
"""Without a reason: a wall clock may have been set, a watch may have been lost."""
_RETRY_FIRST_SECONDS = 5.0
_RETRY_LAST_SECONDS = 60.0
_STEPS_AT_ONCE = 20
"""A rotation takes two or three; more is a quarrel with somebody else, which is better carried on slowly."""

log = logging.getLogger(__name__)


# ---- the decision


@dataclass(frozen=True, slots=True)
class Rules:
    names: tuple[str, ...]
    """What the leaf must be good for."""
    authority_life: timedelta = AUTHORITY_LIFE
    leaf_life: timedelta = timedelta(days=30)
    propagation: timedelta = timedelta(minutes=5)
    """By when every API server has certainly read a webhook configuration: they watch it, and hear of a change
    within seconds; this leaves room for a watch that has to be opened anew."""
    overlap: timedelta = timedelta(days=1)
    """How long the old authority stays trusted: by when every replica certainly serves the new leaf."""


@dataclass(frozen=True, slots=True)
class State:
    """What the Secret says; what cannot be used is as if it were not there."""

    authority: Pair | None = None
    leaf: Pair | None = None
    coming: Pair | None = None
    """The next authority."""
    retired: tuple[bytes, ...] = ()
    """Authorities of before, of which a leaf may still be served."""
    published: datetime | None = None
    promoted: datetime | None = None


Action = Literal["found", "introduce", "publish", "unpublish", "promote", "issue", "forget"]
"""found: a first authority, for nobody trusts any yet. introduce: the next one is made. publish, unpublish:
since now every bundle has it, or no longer. promote: it takes over, with a leaf of its own. issue: a new leaf
of the same. forget: the old ones are in no bundle any more."""

Place = tuple[str, int]
"""Which configuration (its kind), which of its webhooks."""
Bundles = Mapping[Place, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Step:
    action: Action | None
    """At most one change of the Secret."""
    bundles: Bundles
    """Those that must be written, and what must be in them."""
    next_at: datetime | None
    """When something is due, if nothing else changes."""


def rotation_step(state: State, bundles: Bundles, now: datetime, rules: Rules) -> Step:
    """What is to be done now. Asked again and again it comes to rest, and then says until when."""
    end = _end_of_overlap(state, rules)
    due = end is not None and now >= end
    dropped = {old for old in state.retired if due or not _lives(old, now)}
    ours = [pair.certificate for pair in (state.authority, state.coming) if pair is not None]
    ours += [old for old in state.retired if old not in dropped]
    ours = [certificate for certificate in ours if _lives(certificate, now)]
    wanted = {}
    for place, bundle in bundles.items():
        kept = [c for c in bundle if c not in dropped and _lives(c, now)]
        wanted[place] = tuple(dict.fromkeys((*kept, *ours)))
    return Step(
        action=_action(state, bundles, now, rules, dropped),
        bundles={place: bundle for place, bundle in wanted.items() if bundle != bundles[place]},
        next_at=min(_moments(state, bundles, now, rules), default=None),
    )


def _action(
    state: State, bundles: Bundles, now: datetime, rules: Rules, dropped: set[bytes]
) -> Action | None:
    authority = _living(state.authority, now)
    if authority is not None and _leaf_is_due(state, authority, bundles, now, rules):
        return "issue"
    coming = _living(state.coming, now)
    if coming is None:
        if authority is None:
            known = {*state.retired, *(c for bundle in bundles.values() for c in bundle)}
            return "introduce" if any(_lives(c, now) for c in known) else "found"
        facts = facts_of(authority.certificate)
        if facts is not None and now >= facts.renew_at:
            return "introduce"
    elif not all(coming.certificate in bundle for bundle in bundles.values()):
        if state.published is not None:
            return "unpublish"
    elif state.authority is not None and authority is None:
        return "promote"  # the old one has expired, and all its leaves: nobody is trusted now
    elif state.published is None:
        return "publish"
    elif now >= state.published + rules.propagation:
        return "promote"
    if dropped and not any(old in bundle for bundle in bundles.values() for old in dropped):
        return "forget"
    return None


def _leaf_is_due(
    state: State, authority: Pair, bundles: Bundles, now: datetime, rules: Rules
) -> bool:
    facts = facts_of(state.leaf.certificate) if state.leaf is not None else None
    if state.leaf is None or facts is None:
        # The first leaf of an authority waits until somebody trusts it.
        return all(authority.certificate in bundle for bundle in bundles.values())
    return (
        now >= facts.renew_at
        or facts.names != frozenset(rules.names)
        or not is_issued_by(state.leaf.certificate, authority.certificate)
    )


def _end_of_overlap(state: State, rules: Rules) -> datetime | None:
    """When the retired ones may go; None while the one that follows them does not serve."""
    if state.authority is None or state.leaf is None:
        return None
    if not is_issued_by(state.leaf.certificate, state.authority.certificate):
        return None
    facts = facts_of(state.leaf.certificate)
    since = state.promoted or (facts.not_before if facts is not None else None)
    return since + rules.overlap if since is not None else None


def _moments(state: State, bundles: Bundles, now: datetime, rules: Rules) -> Iterator[datetime]:
    """When one of the answers above will change."""
    found = []
    for pair in (state.authority, state.leaf):
        if pair is not None and (facts := facts_of(pair.certificate)) is not None:
            found += [facts.renew_at, facts.not_after]
    for certificate in {c for bundle in bundles.values() for c in bundle}:
        if (facts := facts_of(certificate)) is not None:
            found.append(facts.not_after)
    if state.published is not None:
        found.append(state.published + rules.propagation)
    if state.retired and (end := _end_of_overlap(state, rules)) is not None:
        found.append(end)
    return (moment for moment in found if moment > now)


def _lives(certificate: bytes, now: datetime) -> bool:
    facts = facts_of(certificate)
    return facts is not None and now < facts.not_after


def _living(pair: Pair | None, now: datetime) -> Pair | None:
    return pair if pair is not None and _lives(pair.certificate, now) else None


def apply(action: Action, state: State, now: datetime, rules: Rules) -> State:
    """The state after it; new keys are drawn here."""
    now = whole_seconds(now)
    match action:
        case "found":
            return State(authority=_new_authority(now, rules))
        case "introduce":
            return replace(state, coming=_new_authority(now, rules), published=None)
        case "publish":
            return replace(state, published=now)
        case "unpublish":
            return replace(state, published=None)
        case "promote":
            if state.coming is None:
                raise ValueError("no authority to promote")
            old = () if state.authority is None else (state.authority.certificate,)
            return State(
                authority=state.coming,
                leaf=_new_leaf(state.coming, now, rules),
                retired=(*state.retired, *old),
                promoted=now,
            )
        case "issue":
            if state.authority is None:
                raise ValueError("no authority to issue of")
            return replace(state, leaf=_new_leaf(state.authority, now, rules))
        case "forget":
            return replace(state, retired=(), promoted=None)


def _new_authority(now: datetime, rules: Rules) -> Pair:
    # A name of its own: chains of two authorities of one name are told apart by their key ids only.
    name = f"podward-webhook-ca {now:%Y-%m-%dT%H:%M:%SZ}"
    return make_authority(name, now=now, life=rules.authority_life)


def _new_leaf(authority: Pair, now: datetime, rules: Rules) -> Pair:
    # The names are in subjectAltName, where clients look; a common name has room for 64 letters only.
    return make_leaf(authority, "podward-webhook", now=now, life=rules.leaf_life, names=rules.names)


# ---- the Secret


_AUTHORITY = ("ca.crt", "ca.key")
_COMING = ("next-ca.crt", "next-ca.key")
_LEAF = ("tls.crt", "tls.key")
_RETIRED = "old-ca.crt"


def read_state(secret: core_v1.Secret | None) -> State:
    if secret is None:
        return State()
    data = {name: _decoded(text) for name, text in (secret.data or {}).items()}
    annotations = (secret.metadata.annotations if secret.metadata is not None else None) or {}
    retired = split_bundle(data.get(_RETIRED, b""))
    authority, coming = _pair(data, _AUTHORITY), _pair(data, _COMING)
    for pair, (certificate, _) in ((authority, _AUTHORITY), (coming, _COMING)):
        if pair is None:
            # Its key was lost: it signs no more, but it is in bundles, and leaves of it may be served.
            retired = (*split_bundle(data.get(certificate, b"")), *retired)
    return State(
        authority=authority,
        leaf=_pair(data, _LEAF),
        coming=coming,
        retired=retired,
        published=_moment(annotations.get(PUBLISHED)),
        promoted=_moment(annotations.get(PROMOTED)),
    )


def write_state(secret: core_v1.Secret, state: State) -> core_v1.Secret:
    """`secret` with this state in it; what else it holds stays."""
    keys = (*_AUTHORITY, *_COMING, *_LEAF, _RETIRED)
    data = {name: text for name, text in (secret.data or {}).items() if name not in keys}
    pairs = ((_AUTHORITY, state.authority), (_COMING, state.coming), (_LEAF, state.leaf))
    for (certificate, key), pair in pairs:
        if pair is not None:
            data |= {certificate: _encoded(pair.certificate), key: _encoded(pair.key)}
    if state.retired:
        data[_RETIRED] = _encoded(b"".join(state.retired))
    metadata = secret.metadata or meta_v1.ObjectMeta()
    annotations = dict(metadata.annotations or {})
    for name, moment in ((PUBLISHED, state.published), (PROMOTED, state.promoted)):
        annotations.pop(name, None)
        if moment is not None:
            annotations[name] = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    metadata = msgspec.structs.replace(metadata, annotations=annotations or None)
    return msgspec.structs.replace(secret, metadata=metadata, data=data)


def _pair(data: Mapping[str, bytes], names: tuple[str, str]) -> Pair | None:
    certificates = split_bundle(data.get(names[0], b""))
    if not certificates:
        return None
    pair = Pair(certificates[0], data.get(names[1], b""))
    return pair if is_pair(pair) else None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


# ---- the shell


class Leader(Protocol):
    """Of a `LeaderElector`, what is needed here."""

    @property
    def is_leader(self) -> bool: ...

    def on_change(self, listener: Callable[[], None]) -> None: ...


_CONFIGURATION_KINDS: tuple[type[Any], ...] = (
    admissionregistration_v1.MutatingWebhookConfiguration,
    admissionregistration_v1.ValidatingWebhookConfiguration,
)


@dataclass(slots=True)
class _Read:
    """What one look found."""

    secret: core_v1.Secret | None
    state: State
    configurations: dict[str, Any] = field(default_factory=dict)
    """By kind; those that exist."""

    def bundles(self) -> dict[Place, tuple[bytes, ...]]:
        return {
            (kind, index): split_bundle(_decoded(webhook.clientConfig.caBundle or ""))
            for kind, configuration in self.configurations.items()
            for index, webhook in enumerate(configuration.webhooks or ())
        }


class ManagedCertificate:
    """A `ServingCertificate` that makes itself. The leader's `run` must be under way before `start`."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Entropy,
        leader: Leader,
        *,
        installation: Installation,
        more_names: Sequence[str] = (),
        rules: Rules | None = None,
    ) -> None:
        """`more_names`: names or addresses beside the Service's own. `rules`: all of them, names included."""
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self._leader = leader
        self._installation = installation
        self._rules = rules or Rules(installation.server_names(more_names))
        self._live = LiveContext()
        self._alarm = Alarm()
        self._refused: Pair | None = None
        self._complaint = ""
        self._retry = _RETRY_FIRST_SECONDS
        self._authority_not_after = NEVER
        leader.on_change(self._alarm.ring)

    @property
    def not_after(self) -> datetime:
        return self._live.not_after

    @property
    def authority_not_after(self) -> datetime:
        """When the authority in use ends; 1970 if none was seen yet."""
        return self._authority_not_after

    async def start(self) -> ssl.SSLContext:
        while self._live.served is None:
            delay = await self._turn_patiently()
            if self._live.served is None:
                # Somebody else may be the leader, and about to write what we wait for.
                await asyncio.sleep(min(delay, self._entropy.uniform(0.5, 1.0)))
        return self._live.context

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(core_v1.Secret, self._installation.managed_secret))
            for kind in _CONFIGURATION_KINDS:
                group.create_task(self._watch(kind, self._installation.configuration))
            group.create_task(self._work())

    async def _watch(self, kind: type[Any], name: str) -> None:
        """One object only: that is all that we may see."""
        informer = Informer(
            self._client,
            kind,
            namespace=self._installation.namespace if kind is core_v1.Secret else "",
            field_selector=f"metadata.name={name}",
            clock=self._clock,
            entropy=self._entropy,
        )
        await informer.run(lambda change, obj: self._alarm.ring())

    async def _work(self) -> None:
        while True:
            delay = await self._turn_patiently()
            await self._alarm.wait_until(asyncio.get_running_loop().time() + delay)

    async def _turn_patiently(self) -> float:
        try:
            delay = await self.turn()
        except (ApiError, TransportError) as error:
            self._complain(str(error))
            retry, self._retry = self._retry, min(2 * self._retry, _RETRY_LAST_SECONDS)
            return self._entropy.uniform(retry, 1.5 * retry)
        self._complaint, self._retry = "", _RETRY_FIRST_SECONDS
        return delay

    async def turn(self) -> float:
        """Look, serve what the Secret holds, and do all that is due. Returns seconds until the next look.

        Raises `ApiError`, `TransportError`.
        """
        lost: ApiError | None = None
        for _ in range(_STEPS_AT_ONCE):
            try:
                step, done = await self._step()
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
                lost = error  # somebody was faster: read again
                continue
            if not done:
                return self._delay(step)
        if lost is not None:
            raise lost
        return _RETRY_FIRST_SECONDS

    async def _step(self) -> tuple[Step | None, bool]:
        """One look and what it leads to; True if anything was written, so that another look is needed."""
        secret = await self._find(
            core_v1.Secret, self._installation.managed_secret, self._installation.namespace
        )
        read = _Read(secret, read_state(secret))
        self._follow(read.state)
        if not self._leader.is_leader:
            return None, False
        for kind in _CONFIGURATION_KINDS:
            found = await self._find(kind, self._installation.configuration)
            if found is not None:
                read.configurations[kind.__name__] = found
        step = rotation_step(read.state, read.bundles(), self._clock.now(), self._rules)
        # Bundles first: what is served later is trusted by then.
        refusal = await self._publish(read, step)
        if step.action is not None and self._leader.is_leader:
            await self._store(read, step.action)
        elif refusal is not None:
            raise refusal
        return step, step.action is not None or bool(step.bundles)

    def _delay(self, step: Step | None) -> float:
        if step is None or step.next_at is None:
            return _LOOK_AGAIN_SECONDS
        left = (step.next_at - self._clock.now()).total_seconds()
        return min(max(left, 0.001), _LOOK_AGAIN_SECONDS)

    def _follow(self, state: State) -> None:
        """Serve the leaf of the Secret, unless it cannot be used: then what is served stays."""
        if state.authority is not None:
            facts = facts_of(state.authority.certificate)
            self._authority_not_after = facts.not_after if facts is not None else NEVER
        leaf = state.leaf
        if leaf is None or leaf in (self._live.served, self._refused):
            return
        if not _lives(leaf.certificate, self._clock.now()):
            self._refused = leaf
            log.warning("the certificate in %s has ended", self._where())
            return
        try:
            self._live.serve(leaf)
        except ValueError as error:
            self._refused = leaf
            log.warning("the certificate in %s is not served: %s", self._where(), error)
        else:
            log.info("serving a certificate until %s", f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}")

    async def _publish(self, read: _Read, step: Step) -> ApiError | None:
        """Write bundles; what one configuration refuses must not keep a leaf from being renewed."""
        refusal = None
        for kind in _CONFIGURATION_KINDS:
            name = kind.__name__
            changes = {
                index: bundle for (where, index), bundle in step.bundles.items() if where == name
            }
            if not changes or not self._leader.is_leader:
                continue
            version = read.configurations[name].metadata.resourceVersion
            # A JSON patch that names the version it was made for: it conflicts rather than undo
            # what somebody else added, and it owns no field but these.
            patch = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}]
            patch += [
                {
                    "op": "add",
                    "path": f"/webhooks/{index}/clientConfig/caBundle",
                    "value": _encoded(b"".join(bundle)),
                }
                for index, bundle in changes.items()
            ]
            try:
                await self._client.patch(
                    kind, self._installation.configuration, patch, patch_type="json"
                )
            except ApiError as error:
                if error.code in (404, 409):
                    raise
                refusal = error
            else:
                log.info("the caBundle of %s/%s is written", name, self._installation.configuration)
        return refusal

    async def _store(self, read: _Read, action: Action) -> None:
        state = apply(action, read.state, self._clock.now(), self._rules)
        if read.secret is not None:
            await self._client.update(write_state(read.secret, state))
        else:
            metadata = meta_v1.ObjectMeta(
                name=self._installation.managed_secret, namespace=self._installation.namespace
            )
            fresh = core_v1.Secret(metadata=metadata, type="Opaque")
            await self._client.create(write_state(fresh, state))
        log.info("certificates in %s: %s", self._where(), action)

    async def _find(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        try:
            return await self._client.get(kind, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def _where(self) -> str:
        return f"Secret {self._installation.namespace}/{self._installation.managed_secret}"

    def _complain(self, text: str) -> None:
        """Once an outage."""
        if text != self._complaint:
            self._complaint = text
            log.warning("cannot keep %s and the caBundles: %s", self._where(), text)
