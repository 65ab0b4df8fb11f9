"""What is counted is written out as Prometheus reads it."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from podward.machinery.metrics import Counter, Family, exposition


def samples(families: list[Family], accept: str = "") -> dict[tuple[str, tuple[str, ...]], float]:
    body, _ = exposition(families, accept)
    return {
        # Labels are written in the order of the alphabet.
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_a_counter_counts_by_labels() -> None:
    counter = Counter("pods_total", "Pods.", ("kind", "name"))
    for labels in (("a", "x"), ("a", "y"), ("a", "x")):
        counter.inc(*labels)
    found = samples([counter.read()])
    assert found["pods_total", ("a", "x")] == 2
    assert found["pods_total", ("a", "y")] == 1
    body, content_type = exposition([counter.read()])
    assert b"# HELP pods_total Pods.\n# TYPE pods_total counter\n" in body
    assert content_type.startswith("text/plain; version=0.0.4")


def test_a_counter_without_labels_and_a_gauge() -> None:
    counter = Counter("turns_total", "Turns.")
    counter.inc()
    gauge = Family("objects", "Objects.", "gauge", ("kind",), {("pods",): 3.0})
    found = samples([counter.read(), gauge])
    assert found["turns_total", ()] == 1
    assert found["objects", ("pods",)] == 3


def test_what_was_read_does_not_change() -> None:
    counter = Counter("turns_total", "Turns.", ("who",))
    counter.inc("a")
    read = counter.read()
    counter.inc("a")
    counter.inc("b")
    assert read.values == {("a",): 1}


def test_labels_must_be_those_that_were_announced() -> None:
    counter = Counter("pods_total", "Pods.", ("kind", "name"))
    with pytest.raises(ValueError, match="pods_total has the labels"):
        counter.inc("a")
    assert counter.read().values == {}


def test_beyond_the_limit_the_sum_stays_true() -> None:
    counter = Counter("pods_total", "Pods.", ("namespace",), limit=3)
    for name in "abcdeab":
        counter.inc(name)
    assert counter.read().values == {("a",): 2, ("b",): 2, ("c",): 1, ("_other",): 2}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_a_label(text: str) -> None:
    counter = Counter("pods_total", "Pods.", ("name",))
    counter.inc(text)
    assert samples([counter.read()])["pods_total", (text,)] == 1


def test_the_process_itself_is_among_them() -> None:
    names = {name for name, _ in samples([])}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "python_info"} <= names
    assert "process_open_fds" in names


def test_openmetrics_is_spoken_to_whoever_asks() -> None:
    body, content_type = exposition([], "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


def test_counting_loads_nothing() -> None:
    """A simulation and the start of a server do not pay for what only a scrape needs."""
    script = (
        "import sys; import podward.cluster, podward.simulate.simulation; "
        "sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
