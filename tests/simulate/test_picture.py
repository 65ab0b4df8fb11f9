"""The picture shows what happened, where it happened, whatever the span; a machine can read it too."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from podward.simulate import picture
from podward.simulate.lives import Life
from podward.simulate.picture import LEFT, MARKS, RIGHT, STATES, WIDTH, svg
from podward.simulate.simulation import Recording, simulate

SVG = "{http://www.w3.org/2000/svg}"
ILL_AFTER_20 = ["sh", "-c", "touch /tmp/up; sleep 20; rm /tmp/up; sleep 600"]


def ask(script: str = "cat /tmp/up", **fields: Any) -> dict[str, Any]:
    command = ["sh", "-c", script]
    return {"exec": {"command": command}, "periodSeconds": 2, "failureThreshold": 2, **fields}


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 10,
            "containers": [{"image": "i", **container} for container in containers],
            **spec,
        },
    }


ILL = pod("ill", {"name": "app", "command": ILL_AFTER_20, "livenessProbe": ask()})


def drawn(recording: Recording, **options: Any) -> ElementTree.Element:
    return ElementTree.fromstring(svg(recording, **options))


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def titles(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}title")]


def bars(root: ElementTree.Element, state: str) -> list[tuple[float, float]]:
    """Left and right of every bar of a state, the legend's box not counted."""
    found = [r for r in root.iter(f"{SVG}rect") if r.get("fill") == STATES[state][0]]
    spans = [(float(r.get("x", 0)), float(r.get("width", 0))) for r in found if r.get("rx") is None]
    return [(x, x + width) for x, width in spans]


def x_of(seconds: float, whole: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / whole


def test_a_liveness_kill_is_terminating_from_the_event_to_the_exit() -> None:
    root = drawn(simulate([ILL], 60))
    first, *_ = bars(root, "terminating")
    killed = next(t for t in titles(root) if t.startswith("liveness failed at") and "killed" in t)
    moment = float(killed.split(" ")[3])
    assert first[0] == pytest.approx(x_of(moment, 60), abs=10)
    assert first[1] - first[0] == pytest.approx(x_of(10, 60) - LEFT, abs=2)
    assert "exit 137" in texts(root)


def test_failed_attempts_and_verdicts_stand_below_their_probe() -> None:
    flapping = ["sh", "-c", "while true; do touch /tmp/up; sleep 20; rm /tmp/up; sleep 20; done"]
    root = drawn(
        simulate([pod("p", {"name": "c", "command": flapping, "readinessProbe": ask()})], 60)
    )
    assert "readiness" in texts(root)
    assert "liveness" not in texts(root)
    said = titles(root)
    assert [t for t in said if t.startswith("readiness failed at")]
    assert len([t for t in said if re.match(r"ready at", t)]) == 2
    assert len([t for t in said if re.match(r"not ready at", t)]) == 1


def test_success_is_not_drawn() -> None:
    well = pod("p", {"name": "c", "command": ["sleep", "999"], "livenessProbe": ask("true")})
    root = drawn(simulate([well], 60))
    assert "liveness" in texts(root)
    assert not set(MARKS.values()) & set(texts(root))


def test_the_legend_names_what_occurs_and_nothing_else() -> None:
    root = drawn(simulate([ILL], 25))
    assert {"ready", "waiting", "attempt failed", "verdict: failed"} <= set(texts(root))
    assert not {"back-off", "running, not ready", "verdict: well", "no answer"} & set(texts(root))


def test_the_legend_fits_even_if_all_occurs() -> None:
    drawing = picture._Drawing(60)
    drawing._states, drawing._marks = set(STATES), set(MARKS)
    legend = ElementTree.fromstring(f"<g>{''.join(drawing.legend())}</g>")
    placed = [(float(t.get("x", 0)), t.text or "") for t in legend.iter("text")]
    assert len(placed) == len(STATES) + len(MARKS)
    assert min(x for x, _ in placed) > 0
    assert max(x + len(text) * 11 * 0.6 for x, text in placed) <= WIDTH


def test_init_containers_and_sidecars_have_lanes_of_their_own() -> None:
    whole = pod(
        "p",
        {"name": "main", "command": ["sleep", "999"]},
        initContainers=[
            {"name": "first", "image": "i", "command": ["sleep", "2"]},
            {
                "name": "beside",
                "image": "i",
                "command": ["sleep", "999"],
                "restartPolicy": "Always",
            },
        ],
    )
    shown = texts(drawn(simulate([whole], 30)))
    assert [t for t in shown if t in ("first", "beside", "main")] == ["first", "beside", "main"]
    assert {"init", "sidecar", "Completed (0)"} <= set(shown)


def test_restarts_are_numbered_and_no_two_numbers_overlap() -> None:
    root = drawn(simulate([pod("p", {"name": "c", "command": ["sh", "-c", "exit 3"]})], 900))
    numbers = [
        t
        for t in root.iter(f"{SVG}text")
        if (t.text or "").isdigit() and t.get("font-size") == "10"
    ]
    assert [int(t.text or 0) for t in numbers][-1] == 7
    places = [(float(t.get("x", 0)), len(t.text or "") * 6) for t in numbers]
    for (x, width), (following, its) in pairwise(places):
        assert x + width / 2 < following - its / 2


def test_of_many_restarts_only_round_numbers_are_told_and_the_last() -> None:
    drawing = picture._Drawing(86400)
    lives = [Life(str(n), n, began=n * 300.0) for n in range(279)]
    numbers = [int(ElementTree.fromstring(t).text or 0) for t in drawing._numbers(lives, 10)]
    assert numbers[:3] == [10, 20, 30]
    assert numbers[-1] == 278
    assert all(number % 10 == 0 for number in numbers[:-1])


def test_what_is_too_short_to_be_seen_is_drawn_all_the_same() -> None:
    root = drawn(
        simulate([pod("p", {"name": "c", "command": ["sh", "-c", "sleep 1; exit 3"]})], 3600)
    )
    assert len(bars(root, "ready")) >= 7
    assert min(right - left for left, right in bars(root, "ready")) > 0.7


def test_several_pods_are_told_apart() -> None:
    two = [pod(name, {"name": "c", "command": ["sleep", "999"]}) for name in ("one", "two")]
    shown = texts(drawn(simulate(two, 30)))
    assert {"2 Pods", "one", "two"} <= set(shown)


def test_it_says_that_the_kubelet_did_not_write_all_its_events() -> None:
    note = "Not all failed attempts are shown"
    assert any(note in t for t in texts(drawn(simulate([ILL], 3600))))
    assert not any(note in t for t in texts(drawn(simulate([ILL], 60))))


def test_it_can_be_read_by_who_does_not_see_it() -> None:
    root = drawn(simulate([ILL], 60), seed=0)
    assert root.get("role") == "img"
    (about,) = root.iter(f"{SVG}desc")
    assert (about.text or "").startswith("ill: ready ")
    assert titles(root)[0] == "ill: 60 s in virtual time, seed 0"


def test_names_and_messages_cannot_break_it() -> None:
    odd = pod(
        "p", {"name": "c", "command": ["sleep", "99"], "livenessProbe": ask("echo '<&>\"'; false")}
    )
    assert any('<&>"' in t for t in titles(drawn(simulate([odd], 10))))


@pytest.mark.parametrize("span", [10, 59, 600, 7200, 86400])
def test_the_axis_has_a_few_lines_whatever_the_span(span: int) -> None:
    recording = simulate([pod("p", {"name": "c", "command": ["sleep", "999999"]})], span)
    labels = [t for t in texts(drawn(recording)) if re.fullmatch(r"0|(\d+[hms])+", t)]
    assert 4 <= len(labels) <= 13
    assert labels[0] == "0"


@pytest.mark.parametrize("count", [1, 30])
def test_lanes_stand_below_each_other_within_the_picture(count: int) -> None:
    many = pod("p", *({"name": f"c{n}", "command": ["sleep", "999"]} for n in range(count)))
    root = drawn(simulate([many], 20))
    names = [t for t in root.iter(f"{SVG}text") if re.fullmatch(r"c\d+", t.text or "")]
    heights = [float(t.get("y", 0)) for t in names]
    assert len(heights) == count
    assert all(b - a >= 20 for a, b in pairwise(heights))
    assert heights[-1] < float(root.get("height", 0)) - 30


def test_the_same_recording_gives_the_same_bytes() -> None:
    assert svg(simulate([ILL], 300)) == svg(simulate([ILL], 300))
