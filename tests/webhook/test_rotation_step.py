"""What is due, decided from the Secret, the bundles and the time alone."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import EPOCH
from tests.webhook.support import HOUR, SHORT, leaf_of

from podward.machinery.certificates import Pair, facts_of, is_issued_by, make_authority, make_leaf
from podward.machinery.entropy import Entropy
from podward.webhook.rotation import (
    Action,
    Bundles,
    Place,
    State,
    apply,
    read_state,
    rotation_step,
    write_state,
)

ONE: Place = ("MutatingWebhookConfiguration", 0)
TWO: Place = ("ValidatingWebhookConfiguration", 0)
MINUTE = timedelta(minutes=1)

OLD = make_authority("old", now=EPOCH, life=SHORT.authority_life)
LATER = make_authority("later", now=EPOCH + 9 * HOUR, life=SHORT.authority_life)
NEW = make_authority("new", now=EPOCH + 20 * HOUR, life=SHORT.authority_life)
FOREIGN = make_authority("foreign", now=EPOCH, life=10 * HOUR).certificate
LEAF = leaf_of(OLD)
AT_REST = State(authority=OLD, leaf=LEAF)
DUE = EPOCH + 20 * HOUR
LATE_LEAF = leaf_of(OLD, DUE)
ROTATING = State(authority=OLD, leaf=LATE_LEAF, coming=NEW)
PROMOTED = State(authority=NEW, leaf=leaf_of(NEW, DUE), retired=(OLD.certificate,), promoted=DUE)


def everywhere(*certificates: bytes) -> dict[Place, tuple[bytes, ...]]:
    return {ONE: certificates, TWO: certificates}


BOTH = (OLD.certificate, NEW.certificate)


@dataclass(frozen=True)
class Row:
    state: State
    bundles: Bundles
    now: datetime
    action: Action | None
    wanted: Bundles


ROWS = {
    "nothing is there": Row(State(), everywhere(), EPOCH, "found", {}),
    "no configuration either": Row(State(), {}, EPOCH, "found", {}),
    "a first authority is told before a leaf of it is made": Row(
        State(authority=OLD), everywhere(), EPOCH, None, everywhere(OLD.certificate)
    ),
    "its leaf comes when everyone is told": Row(
        State(authority=OLD), everywhere(OLD.certificate), EPOCH, "issue", {}
    ),
    "at rest": Row(AT_REST, everywhere(OLD.certificate), EPOCH + HOUR, None, {}),
    "a leaf is due: no bundle is touched": Row(
        AT_REST, everywhere(OLD.certificate), EPOCH + 4 * HOUR, "issue", {}
    ),
    "a leaf is due though bundles cannot be written": Row(
        AT_REST, everywhere(), EPOCH + 4 * HOUR, "issue", everywhere(OLD.certificate)
    ),
    "an emptied bundle is filled": Row(
        AT_REST, {ONE: (), TWO: (OLD.certificate,)}, EPOCH + HOUR, None, {ONE: (OLD.certificate,)}
    ),
    "a foreign authority stays": Row(
        AT_REST, everywhere(FOREIGN, OLD.certificate), EPOCH + HOUR, None, {}
    ),
    "a foreign authority does not replace ours": Row(
        AT_REST, everywhere(FOREIGN), EPOCH + HOUR, None, everywhere(FOREIGN, OLD.certificate)
    ),
    "until it has expired": Row(
        State(authority=OLD, leaf=leaf_of(OLD, EPOCH + 9 * HOUR)),
        everywhere(FOREIGN, OLD.certificate), EPOCH + 10 * HOUR, None, everywhere(OLD.certificate),
    ),
    "the authority is due": Row(
        replace(AT_REST, leaf=LATE_LEAF), everywhere(OLD.certificate), DUE, "introduce", {}
    ),
    "the next one is told beside the old": Row(
        ROTATING, everywhere(OLD.certificate), DUE, None, everywhere(*BOTH)
    ),
    "and beside a foreign one": Row(
        replace(ROTATING, authority=LATER, leaf=leaf_of(LATER, EPOCH + 9 * HOUR)),
        everywhere(FOREIGN), EPOCH + 9 * HOUR, None,
        everywhere(FOREIGN, LATER.certificate, NEW.certificate),
    ),
    "told to one is not told to all": Row(
        ROTATING, {ONE: BOTH, TWO: (OLD.certificate,)}, DUE, None, {TWO: BOTH}
    ),
    "told to all": Row(ROTATING, everywhere(*BOTH), DUE, "publish", {}),
    "then it waits": Row(
        replace(ROTATING, published=DUE), everywhere(*BOTH), DUE + 39 * MINUTE, None, {}
    ),
    "and takes over": Row(
        replace(ROTATING, published=DUE), everywhere(*BOTH), DUE + 40 * MINUTE, "promote", {}
    ),
    "a bundle emptied in between starts the wait again": Row(
        replace(ROTATING, published=DUE), {ONE: (), TWO: BOTH}, DUE + 40 * MINUTE, "unpublish", {ONE: BOTH}
    ),
    "the old one stays for a while": Row(
        PROMOTED, everywhere(*BOTH), DUE + 59 * MINUTE, None, {}
    ),
    "then it is dropped": Row(
        PROMOTED, everywhere(*BOTH), DUE + HOUR, None, everywhere(NEW.certificate)
    ),
    "and forgotten when it is gone": Row(
        PROMOTED, everywhere(NEW.certificate), DUE + HOUR, "forget", {}
    ),
    "the Secret was lost: what API servers trust may still be served": Row(
        State(), everywhere(OLD.certificate), EPOCH + HOUR, "introduce", {}
    ),
    "the authority's key was lost": Row(
        State(leaf=LEAF, retired=(OLD.certificate,)), everywhere(), EPOCH + HOUR,
        "introduce", everywhere(OLD.certificate),
    ),
    "and its leaf is not let down": Row(
        State(leaf=LEAF, coming=NEW, retired=(OLD.certificate,), promoted=EPOCH - 99 * HOUR, published=DUE),
        everywhere(*BOTH), DUE + 39 * MINUTE, None, {},
    ),
    "all has expired: nobody is served, nobody need wait": Row(
        State(authority=OLD, leaf=LEAF, coming=NEW), everywhere(*BOTH), EPOCH + 31 * HOUR,
        "promote", everywhere(NEW.certificate),
    ),
    "all has expired, nothing was prepared": Row(
        AT_REST, everywhere(OLD.certificate), EPOCH + 31 * HOUR, "found", everywhere()
    ),
    "other names are wanted": Row(
        State(authority=OLD, leaf=make_leaf(OLD, "leaf", now=EPOCH, life=6 * HOUR, names=("other",))),
        everywhere(OLD.certificate), EPOCH + HOUR, "issue", {},
    ),
    "the leaf is another authority's": Row(
        State(authority=OLD, leaf=leaf_of(NEW)), everywhere(OLD.certificate), EPOCH + HOUR, "issue", {}
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_what_is_due(row: Row) -> None:
    step = rotation_step(row.state, row.bundles, row.now, SHORT)
    assert step.action == row.action
    assert step.bundles == row.wanted


@pytest.mark.parametrize(
    ("state", "bundles", "now", "due"),
    [
        (AT_REST, everywhere(OLD.certificate), EPOCH + HOUR, facts_of(LEAF.certificate).renew_at),  # type: ignore[union-attr]
        (replace(ROTATING, published=DUE), everywhere(*BOTH), DUE, DUE + SHORT.propagation),
        (PROMOTED, everywhere(*BOTH), DUE, DUE + SHORT.overlap),
        (AT_REST, everywhere(FOREIGN), EPOCH + 9 * HOUR, EPOCH + 10 * HOUR),
        (State(), {}, EPOCH, None),
    ],
)
def test_when_it_is_to_be_asked_again(
    state: State, bundles: Bundles, now: datetime, due: datetime | None
) -> None:
    assert rotation_step(state, bundles, now, SHORT).next_at == due


# ---- the Secret


def test_a_secret_holds_all_of_the_state_and_keeps_what_is_not_ours() -> None:
    state = replace(PROMOTED, coming=OLD, published=DUE)
    empty = core_v1.Secret(
        metadata=meta_v1.ObjectMeta(name="s", annotations={"mine": "yes"}), data={"note": "aGk="}
    )
    written = write_state(empty, state)
    assert read_state(written) == state
    assert written.data is not None
    assert written.data["note"] == "aGk="
    again = write_state(written, State())
    assert again.data == {"note": "aGk="}
    assert again.metadata is not None
    assert again.metadata.annotations == {"mine": "yes"}


@pytest.mark.parametrize("rubbish", ["", "!", "aGk=", "LS0tLS1CRUdJTg=="])
@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ("ca.key", replace(PROMOTED, authority=None, retired=(NEW.certificate, OLD.certificate))),
        ("ca.crt", replace(PROMOTED, authority=None)),
        ("tls.crt", replace(PROMOTED, leaf=None)),
        ("tls.key", replace(PROMOTED, leaf=None)),
        ("old-ca.crt", replace(PROMOTED, retired=())),
    ],
)
def test_what_cannot_be_used_is_as_if_it_were_not_there(
    spoilt: str, expected: State, rubbish: str
) -> None:
    secret = write_state(core_v1.Secret(), PROMOTED)
    assert secret.data is not None
    secret.data[spoilt] = rubbish
    assert read_state(secret) == expected


def test_moments_that_cannot_be_read_are_none() -> None:
    secret = write_state(core_v1.Secret(), PROMOTED)
    assert secret.metadata is not None
    secret.metadata.annotations = {"podward.dev/ca-promoted-at": "yesterday"}
    assert read_state(secret).promoted is None
    assert read_state(None) == State()


# ---- whatever happens

HASTY = replace(SHORT, authority_life=18 * HOUR, leaf_life=4 * HOUR, propagation=20 * MINUTE)
issued_by = cache(is_issued_by)


@dataclass
class Model:
    """The world that the steps act on: what was told when, and what is served."""

    now: datetime = EPOCH
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        self.bundles: dict[Place, tuple[bytes, ...]] = everywhere()
        self.told: dict[Place, list[tuple[datetime, tuple[bytes, ...]]]] = {ONE: [], TWO: []}
        self.newest: Pair | None = None
        self.served: Pair | None = None
        """By a replica that follows as late as it may."""
        self.followed = EPOCH

    def one_step(self) -> bool:
        """A look and one write, after which whoever leads may die."""
        step = rotation_step(self.state, self.bundles, self.now, HASTY)
        for place, bundle in step.bundles.items():
            self.bundles[place] = bundle
            self.told[place].append((self.now, bundle))
            return True
        if step.action is not None:
            self.state = apply(step.action, self.state, self.now, HASTY)
            self.newest = self.state.leaf or self.newest
            return True
        return False

    def pass_time(self, span: timedelta) -> None:
        self.now += span
        if self.now - self.followed > HASTY.overlap / 2:
            self.followed, self.served = self.now, self.newest

    def views(self, place: Place) -> list[tuple[bytes, ...]]:
        """All that an API server may have read by now: the last bundle of before, and those since."""
        horizon = self.now - HASTY.propagation
        told = self.told[place]
        before = [bundle for moment, bundle in told if moment <= horizon][-1:]
        return before + [bundle for moment, bundle in told if moment > horizon]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_served_is_trusted_by_every_api_server_however_late(seed: int) -> None:
    """Leaders die between any two writes, looks come when they come, API servers and replicas are late."""
    dice, model, authorities = Entropy(seed), Model(), set()
    while model.one_step():
        pass
    model.served = model.newest
    model.pass_time(HASTY.propagation)  # nobody was served before, so none waited for this bundle
    for _ in range(400):
        if dice.uniform(0, 1) < 0.5:
            model.one_step()
        else:
            model.pass_time(round(dice.uniform(1, 15)) * MINUTE)
        if model.state.authority is not None:
            authorities.add(model.state.authority)
        for leaf in {model.served, model.newest}:
            assert leaf is not None
            for view in {view for place in (ONE, TWO) for view in model.views(place)}:
                trusted = any(issued_by(leaf.certificate, c) for c in view)
                assert trusted, f"{model.now}: what is served is not trusted"
    assert len(authorities) >= 2
