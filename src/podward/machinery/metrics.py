"""Counting for Prometheus: cheap where something happens, written out when somebody asks.

A counter is a dictionary, so counting costs no import and no lock; `prometheus_client`, which knows how
families are written and what is known of this process, is loaded with the first `exposition`. All counting
happens on the event loop; `exposition` works on what `read` copied and may run in a thread.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Labels = tuple[str, ...]

SERIES_LIMIT: Final = 10_000
"""Of one counter. Namespaces and names come and go for as long as a server lives: what comes after so many
is counted under `OTHER` in every label, for a sum must stay true and memory bounded."""
OTHER: Final = "_other"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric at one moment."""

    name: str
    help: str
    kind: Literal["counter", "gauge"]
    labels: Labels
    values: Mapping[Labels, float]
    """Label values, in the order of `labels`, -> value."""


class Counter:
    """`name` ends in `_total`."""

    def __init__(
        self, name: str, help: str, labels: Labels = (), *, limit: int = SERIES_LIMIT
    ) -> None:
        self.name = name
        self._help = help
        self._labels = labels
        self._limit = limit
        self._other = (OTHER,) * len(labels)
        self._values: dict[Labels, float] = {}

    def inc(self, *values: str) -> None:
        known = self._values.get(values)
        if known is not None:
            self._values[values] = known + 1
        elif len(values) != len(self._labels):
            raise ValueError(f"{self.name} has the labels {self._labels}, not {values}")
        elif len(self._values) < self._limit:
            self._values[values] = 1
        else:
            self._values[self._other] = self._values.get(self._other, 0) + 1

    def value(self, *values: str) -> float:
        return self._values.get(values, 0)

    def read(self) -> Family:
        return Family(self.name, self._help, "counter", self._labels, dict(self._values))


def exposition(families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
    """What a scraper reads, and its content type: these families, and what is known of this process."""
    import prometheus_client as prometheus
    from prometheus_client import exposition as forms

    registry = prometheus.CollectorRegistry()
    registry.register(_Collected(tuple(families)))
    prometheus.ProcessCollector(registry=registry)
    prometheus.PlatformCollector(registry=registry)
    prometheus.GCCollector(registry=registry)
    encode, content_type = forms.choose_encoder(accept)
    return encode(registry), content_type


class _Collected:
    """What `prometheus_client` calls a collector."""

    def __init__(self, families: tuple[Family, ...]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
        for family in self._families:
            made = kinds[family.kind](family.name, family.help, labels=family.labels)
            for labels, value in family.values.items():
                made.add_metric(labels, value)
            yield made
