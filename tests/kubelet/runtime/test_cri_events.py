"""What is told of the difference between what was told last and what is seen now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.kubelet.runtime.base import ContainerEvent, ContainerEventType, ContainerState
from podward.kubelet.runtime.cri.events import Container, Ledger, Look, Sandbox, differences

CREATED, RUNNING = ContainerState.CREATED, ContainerState.RUNNING
EXITED, UNKNOWN = ContainerState.EXITED, ContainerState.UNKNOWN
STARTED, DIED = ContainerEventType.STARTED, ContainerEventType.DIED
REMOVED, CHANGED = ContainerEventType.REMOVED, ContainerEventType.SANDBOX_CHANGED


def look(state: ContainerState | None = None, ready: bool | None = None) -> Look:
    """At one sandbox and one container, each only if a state is given."""
    return Look(
        {} if ready is None else {"s": Sandbox("uid", ready)},
        {} if state is None else {"c": Container("uid", "s", state)},
    )


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, None, []),
        (None, CREATED, []),
        (None, RUNNING, [STARTED]),
        (None, EXITED, [DIED]),
        (None, UNKNOWN, [DIED]),
        (CREATED, CREATED, []),
        (CREATED, RUNNING, [STARTED]),
        (CREATED, EXITED, [DIED]),
        (CREATED, None, [REMOVED]),
        (RUNNING, RUNNING, []),
        (RUNNING, EXITED, [DIED]),
        (RUNNING, UNKNOWN, [DIED]),
        (RUNNING, None, [DIED, REMOVED]),
        (UNKNOWN, EXITED, []),
        (UNKNOWN, RUNNING, [STARTED]),
        (UNKNOWN, None, [REMOVED]),
        (EXITED, EXITED, []),
        (EXITED, None, [REMOVED]),
    ],
)
def test_a_container_between_two_looks(
    before: ContainerState | None,
    now: ContainerState | None,
    told: list[ContainerEventType],
) -> None:
    assert differences(look(before), look(now)) == [
        ContainerEvent("uid", kind, "c") for kind in told
    ]


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, None, False),
        (None, True, True),
        (None, False, True),
        (True, True, False),
        (True, False, True),
        (True, None, True),
        (False, False, False),
        (False, None, False),
    ],
)
def test_a_sandbox_between_two_looks(before: bool | None, now: bool | None, told: bool) -> None:
    expected = [ContainerEvent("uid", CHANGED, "s")] if told else []
    assert differences(look(ready=before), look(ready=now)) == expected


def test_starts_come_before_ends_before_sandboxes_before_removals() -> None:
    def held(state: ContainerState) -> Container:
        return Container("uid", "s", state)

    before = Look(
        {"s": Sandbox("uid", True)},
        {"gone": held(EXITED), "ends": held(RUNNING), "begins": held(CREATED)},
    )
    now = Look({"s": Sandbox("uid", False)}, {"ends": held(EXITED), "begins": held(RUNNING)})
    assert [(e.type, e.container_id) for e in differences(before, now)] == [
        (STARTED, "begins"),
        (DIED, "ends"),
        (CHANGED, "s"),
        (REMOVED, "gone"),
    ]


class Heard(Ledger):
    def __init__(self) -> None:
        self.told: list[tuple[ContainerEventType, str]] = []
        super().__init__(lambda event: self.told.append((event.type, event.container_id)))


def running() -> Heard:
    ledger = Heard()
    ledger.made_sandbox("s", "uid")
    ledger.made_container("c", "uid", "s")
    ledger.container("c", RUNNING)
    return ledger


def test_a_look_says_nothing_of_what_was_told_while_it_was_under_way() -> None:
    ledger = running()
    ledger.look_begins()
    ledger.container("c", EXITED)
    ledger.made_container("new", "uid", "s")
    ledger.look_ended(look(RUNNING, ready=True))  # as the engine answered before
    assert ledger.told == [(STARTED, "c"), (DIED, "c")]
    assert ledger.containers.keys() == {"c", "new"}
    ledger.look_begins()
    ledger.container_removed("c")
    found = look(EXITED, ready=True)
    ledger.look_ended(Look(found.sandboxes, {**found.containers, "new": ledger.containers["new"]}))
    assert ledger.told == [(STARTED, "c"), (DIED, "c"), (REMOVED, "c")]
    assert ledger.containers.keys() == {"new"}
    ledger.look_begins()
    ledger.look_ended(look(ready=True))  # `new` is gone, and nobody here removed it
    assert ledger.told[3:] == [(REMOVED, "new")]


def test_what_died_does_not_come_back() -> None:
    ledger = running()
    ledger.container("c", EXITED)
    ledger.container("c", RUNNING)  # an answer that was late
    assert ledger.told == [(STARTED, "c"), (DIED, "c")]


def test_a_sandbox_that_is_stopped_takes_what_runs_in_it_along() -> None:
    ledger = running()
    ledger.sandbox_stopped("s")
    assert ledger.told[1:] == [(DIED, "c"), (CHANGED, "s")]
    ledger.sandbox_removed("s")
    assert ledger.told[3:] == [(REMOVED, "c")]


def test_a_sandbox_that_is_lost_does_not() -> None:
    ledger = running()
    ledger.sandbox_lost("s")
    assert ledger.told[1:] == [(CHANGED, "s")]
    assert ledger.containers["c"].state is RUNNING


def test_a_command_that_could_not_be_started_did_not_die() -> None:
    ledger = Heard()
    ledger.made_sandbox("s", "uid")
    ledger.made_container("c", "uid", "s")
    ledger.not_started("c")
    ledger.look_begins()
    ledger.look_ended(look(EXITED, ready=True))
    assert ledger.told == []


STEPS = st.lists(
    st.sampled_from(["start", "die", "notice", "stop", "remove", "lose", "begin", "end"])
)


@given(STEPS)
def test_whatever_is_learnt_in_whatever_order_is_told_once(steps: list[str]) -> None:
    """One container; looks begin and end anywhere, and say what was true at their beginning."""
    ledger = Heard()
    ledger.made_sandbox("s", "uid")
    ledger.made_container("c", "uid", "s")
    state: ContainerState | None = CREATED
    ready: bool | None = True
    seen = None

    def finish() -> None:
        nonlocal seen
        if seen is not None:
            ledger.look_ended(seen)
        seen = None

    for step in steps:
        if step == "start" and state is CREATED:
            state = RUNNING
            ledger.container("c", RUNNING)
        elif step == "die" and state is RUNNING:
            state = EXITED
        elif step == "notice" and state is EXITED:
            ledger.container("c", EXITED)
        elif step == "stop" and ready:
            state, ready = (EXITED if state is RUNNING else state), False
            ledger.sandbox_stopped("s")
        elif step == "remove" and state in (CREATED, EXITED):
            state = None
            ledger.container_removed("c")
        elif step == "lose" and ready:
            ready = False
        elif step == "begin" and seen is None:
            ledger.look_begins()
            seen = look(state, ready)
        elif step == "end":
            finish()
    finish()
    ledger.look_begins()
    ledger.look_ended(look(state, ready))
    kinds = [kind for kind, _ in ledger.told]
    assert all(kinds.count(kind) <= 1 for kind in ContainerEventType)
    assert (CHANGED in kinds) == (not ready)
    assert (REMOVED in kinds) == (state is None)
    assert (DIED in kinds) <= (STARTED in kinds)
    if state is EXITED or (state is None and STARTED in kinds):
        assert DIED in kinds
    lasting = [kind for kind in kinds if kind is not CHANGED]
    assert lasting == [kind for kind in (STARTED, DIED, REMOVED) if kind in kinds]
