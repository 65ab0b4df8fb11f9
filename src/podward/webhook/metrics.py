"""What is counted, for Prometheus. Its own registry: nothing of this process but what is named here."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from podward.admission.plugins.pod_preset.model import Notice

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SERIES_LIMIT: Final = 5000
"""Of conflicts: namespaces and presets come and go for as long as a server lives."""
_OTHER: Final = ("_other", "_other", "_other")


class WebhookMetrics:
    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._calls = Counter(
            "podward_webhook_calls", "Requests, by what came of them.", ("path", "outcome"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "podward_webhook_call_seconds", "From a request's last byte to its answer.", ("path",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._patched = Counter(
            "podward_webhook_patched_pods", "Pods that presets changed.", registry=registry
        )
        self._conflicts = Counter(
            "podward_webhook_conflicts",
            "Clashes of presets with Pods or with each other, by the preset that answers for it.",
            ("namespace", "preset", "list"),
            registry=registry,
        )
        self._invalid = Gauge(
            "podward_webhook_invalid_presets", "Presets that cannot be used.", registry=registry
        )
        self._age = Gauge(
            "podward_webhook_cache_age_seconds",
            "How long ago the API server was last heard.",
            registry=registry,
        )
        self._expiry = Gauge(
            "podward_webhook_certificate_not_after_seconds",
            "When the certificate in use ends, in seconds since 1970.",
            registry=registry,
        )
        self._ready = Gauge(
            "podward_webhook_ready", "1 if requests should come here.", registry=registry
        )
        ProcessCollector(registry=registry)
        self._bound_calls: dict[tuple[str, str], Counter] = {}
        self._bound_seconds: Mapping[str, Histogram] = {
            path: self._seconds.labels(path) for path in ("/mutate", "/validate")
        }
        self._bound_conflicts: dict[tuple[str, str, str], Counter] = {}

    def watch(
        self,
        *,
        invalid: Callable[[], float],
        age: Callable[[], float],
        not_after: Callable[[], datetime],
        ready: Callable[[], bool],
    ) -> None:
        """Gauges are read when somebody asks for them."""
        self._invalid.set_function(invalid)
        self._age.set_function(age)
        self._expiry.set_function(lambda: not_after().astimezone(UTC).timestamp())
        self._ready.set_function(lambda: float(ready()))

    def called(self, path: str, outcome: str, seconds: float) -> None:
        calls = self._bound_calls.get((path, outcome))
        if calls is None:
            calls = self._bound_calls[path, outcome] = self._calls.labels(path, outcome)
        calls.inc()
        self._bound_seconds[path].observe(seconds)

    def count(self, notice: Notice) -> None:
        """Of an admission that was no dry run."""
        if notice.result.patch:
            self._patched.inc()
        for conflict in notice.result.conflicts:
            preset = conflict.presets[0] if conflict.presets else ""
            self._conflict((notice.namespace, preset, conflict.list))

    def _conflict(self, labels: tuple[str, str, str]) -> None:
        conflicts = self._bound_conflicts.get(labels)
        if conflicts is None:
            if len(self._bound_conflicts) >= _SERIES_LIMIT:
                labels = _OTHER
            conflicts = self._bound_conflicts[labels] = self._conflicts.labels(*labels)
        conflicts.inc()

    def exposition(self) -> bytes:
        return generate_latest(self._registry)
