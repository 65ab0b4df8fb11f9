"""What a real cluster did, done again by real processes: all manifests at once, watched for a while."""

import json
from datetime import datetime

import pytest
from tests.e2e.golden import NAMES, SECONDS, Watched
from tests.golden.comparison import DEFECTS_OF_1_19, check_states
from tests.golden.records import Event, Timed, fold, step_of


@pytest.mark.parametrize("name", [name for name in NAMES if name not in DEFECTS_OF_1_19])
def test_real_processes_go_through_the_states_of_a_real_cluster(
    name: str, golden_run: Watched
) -> None:
    changes = golden_run.changes[f"rec-{name}"]
    created = changes[0][1].metadata
    assert created is not None
    assert created.creationTimestamp is not None
    origin = created.creationTimestamp.timestamp()
    steps = fold([Timed(at - origin, step_of(pod)) for at, pod in changes])
    listed = json.loads(golden_run.podward.cli("get", "events", "-n", f"rec-{name}", "-o", "json"))[
        "items"
    ]
    events = []
    for one in listed:
        first = one.get("firstTimestamp") or one["eventTime"]
        seconds = datetime.fromisoformat(first).timestamp() - origin
        events.append(Event(seconds, one["type"], one["reason"], one["message"]))
    check_states(name, steps, events, SECONDS)
