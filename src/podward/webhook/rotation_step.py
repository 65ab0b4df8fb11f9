"""What is due in the life of the webhook's authority and certificate (`rotation.py` has the order). Pure.

`rotation_step` decides from the Secret, the bundles and the time; `apply` says what the Secret is to hold then.
Asked again and again, whatever of it was written in between, they come to rest.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from lightkube.models import core_v1, meta_v1

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
from podward.machinery.clock import whole_seconds

PUBLISHED = "podward.dev/next-ca-published-at"
PROMOTED = "podward.dev/ca-promoted-at"
"""Annotations of the Secret: since when every caBundle has next-ca; when ca became what it is."""


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
    dropped = {old for old in state.retired if due or not lives(old, now)}
    ours = [pair.certificate for pair in (state.authority, state.coming) if pair is not None]
    ours += [old for old in state.retired if old not in dropped]
    ours = [certificate for certificate in ours if lives(certificate, now)]
    wanted = {}
    for place, bundle in bundles.items():
        kept = [c for c in bundle if c not in dropped and lives(c, now)]
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
            return "introduce" if any(lives(c, now) for c in known) else "found"
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


def lives(certificate: bytes, now: datetime) -> bool:
    facts = facts_of(certificate)
    return facts is not None and now < facts.not_after


def _living(pair: Pair | None, now: datetime) -> Pair | None:
    return pair if pair is not None and lives(pair.certificate, now) else None


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
    data = {name: decoded(text) for name, text in (secret.data or {}).items()}
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
            data |= {certificate: encoded(pair.certificate), key: encoded(pair.key)}
    if state.retired:
        data[_RETIRED] = encoded(b"".join(state.retired))
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


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)
