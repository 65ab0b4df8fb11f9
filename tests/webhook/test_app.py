"""The webhook's paths, asked as a server asks an application; and what it says of itself."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.webhook.reviews import EMPTY, admits, asked, conflict, operations, preset, response

from podward.admission.plugins.pod_preset.model import InvalidPreset, Notice, Preset, Result
from podward.client.base import TransportError
from podward.machinery.clock import LoopClock
from podward.simulate.virtual_loop import run
from podward.webhook.access import AccessReviewer
from podward.webhook.app import BODY_LIMIT, WebhookApp
from podward.webhook.metrics import WebhookMetrics
from podward.webhook.presets import NamespaceView
from podward.webhook.review import Admit
from podward.webhook.validation import AccessQuestion, Read

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "hunter2"
CLUSTER = ("podward.dev", "v1alpha1", "clusterpodpresets")
PATCH = ({"op": "add", "path": "/metadata/annotations", "value": {}},)


class Source:
    """A `PresetSource` that is what the test says."""

    def __init__(self) -> None:
        self.synced = True
        self.age = 7.0
        self.invalid = 2
        self.failure: Exception | None = None
        self.asked: list[str] = []

    async def view(self, namespace: str) -> NamespaceView:
        self.asked.append(namespace)
        if self.failure is not None:
            raise self.failure
        return EMPTY


def reads(document: Mapping[str, Any], *, namespace: str) -> Preset:
    return preset()


class Forbids:
    async def refusal(self, question: AccessQuestion) -> str:
        return f"not {question.user.username}"


class Asker:
    def __init__(
        self,
        admit: Admit | None = None,
        *,
        read: Read = reads,
        access: AccessReviewer | None = None,
    ) -> None:
        self.source = Source()
        self.metrics = WebhookMetrics()
        self.told: list[Notice] = []
        self.app = WebhookApp(
            self.source, LoopClock(EPOCH), self.metrics, access=access, tell=self.tell,
            admit=admit or admits(lambda pod: Result(pod)), read=read,
        )  # fmt: skip
        self.metrics.watch(
            invalid=lambda: self.source.invalid,
            age=lambda: self.source.age,
            not_after=lambda: datetime(2030, 1, 1, tzinfo=UTC),
            ready=lambda: self.app.ready,
        )

    def tell(self, notice: Notice) -> None:
        self.told.append(notice)
        self.metrics.count(notice)

    async def ask(
        self,
        method: str,
        path: str,
        *chunks: bytes,
        media: str = "application/json",
        length: int | None = None,
    ) -> tuple[int, bytes, dict[str, str]]:
        waiting = list(chunks) or [b""]
        sent: list[Any] = []

        async def receive() -> Any:
            body = waiting.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(waiting)}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", media.encode())]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        await self.app(scope, receive, send)
        start, body = sent
        headers_back = {k.decode(): v.decode() for k, v in start["headers"]}
        return start["status"], body["body"], headers_back

    def sample(self, name: str, **labels: str) -> float:
        return self.metrics._registry.get_sample_value(name, labels) or 0.0


def asking(asker: Asker, method: str, path: str, *chunks: bytes, **more: Any) -> tuple[int, bytes]:
    status, body, _ = run(asker.ask(method, path, *chunks, **more))
    return status, body


def test_a_pod_is_patched_whatever_pieces_the_request_comes_in() -> None:
    asker = Asker(admits(lambda pod: Result(pod, PATCH, matched=(preset(),))))
    body = asked()
    for chunks in ([body], [body[:10], b"", body[10:]]):
        status, answer = asking(asker, "POST", "/mutate", *chunks)
        assert status == 200
        assert operations(answer) == list(PATCH)
    assert asker.source.asked == ["edge", "edge"]
    assert len(asker.told) == 2


def test_what_creates_no_pod_asks_for_no_presets() -> None:
    asker = Asker()
    asker.source.failure = TransportError("away")
    body = asked(resource=("", "v1", "services"))
    status, answer = asking(asker, "POST", "/mutate", body)
    assert (status, response(answer)["allowed"]) == (200, True)


def test_presets_are_checked_and_their_writers_too() -> None:
    def refuses(document: Mapping[str, Any], *, namespace: str) -> Preset:
        raise InvalidPreset("x", (), "no")

    body = asked({"metadata": {"name": "x"}, "spec": {}}, resource=CLUSTER)
    for asker, code in (
        (Asker(read=refuses, access=Forbids()), 422),
        (Asker(access=Forbids()), 403),
        (Asker(), 0),
    ):
        status, answer = asking(asker, "POST", "/validate", body)
        said = response(answer)
        assert (status, said["allowed"]) == (200, code == 0)
        assert said.get("status", {}).get("code", 0) == code
        assert asker.sample(
            "podward_webhook_calls_total", path="/validate",
            outcome="denied" if code else "untouched",
        ) == 1  # fmt: skip


def test_what_is_no_review_is_a_bad_request() -> None:
    asker = Asker()
    assert asking(asker, "POST", "/mutate", b"{")[0] == 400
    assert asking(asker, "POST", "/validate", b"[]")[0] == 400
    assert asking(asker, "POST", "/mutate", asked(), media="text/plain")[0] == 415
    assert (
        asking(asker, "POST", "/mutate", asked(), media="application/json; charset=utf-8")[0] == 200
    )


def test_what_is_larger_than_the_limit_is_not_read_to_its_end() -> None:
    asker = Asker()
    half = b" " * (BODY_LIMIT // 2)
    status, _, headers = run(asker.ask("POST", "/mutate", half, half, b"  ", b"never read"))
    assert (status, headers["connection"]) == (413, "close")
    assert asking(asker, "POST", "/mutate", b"x", length=BODY_LIMIT + 1)[0] == 413
    whole = asked() + b" " * (BODY_LIMIT - len(asked()))
    assert asking(asker, "POST", "/mutate", whole, length=BODY_LIMIT)[0] == 200


def test_a_review_that_fails_is_no_answer_so_that_failure_policy_decides(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(pod: Any) -> Result:
        raise KeyError(pod["spec"]["containers"][0]["env"][0]["value"])

    asker = Asker(admits(broken))
    obj = {"metadata": {}, "spec": {"containers": [{"env": [{"name": "P", "value": SECRET}]}]}}
    status, answer = asking(asker, "POST", "/mutate", asked(obj))
    assert status == 500
    said = answer.decode() + caplog.text
    assert "KeyError at test_app.py:" in caplog.text
    assert "CREATE pods in namespace edge" in caplog.text
    assert SECRET not in said
    assert "Traceback" not in said


def test_presets_that_cannot_be_asked_for_are_no_answer_either() -> None:
    asker = Asker()
    asker.source.failure = TransportError("away")
    assert asking(asker, "POST", "/mutate", asked())[0] == 500
    assert asker.sample("podward_webhook_calls_total", path="/mutate", outcome="error") == 1


def test_nothing_of_an_object_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    clash = conflict("podpreset/cal: env P of app")
    asker = Asker(admits(lambda pod: Result(pod, matched=(preset(),), conflicts=(clash,))))
    obj = {"metadata": {}, "spec": {"containers": [{"env": [{"name": "P", "value": SECRET}]}]}}
    asking(asker, "POST", "/mutate", asked(obj))
    asking(asker, "POST", "/mutate", asked(obj)[:-5])
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/mutate", 405), ("PUT", "/validate", 405), ("POST", "/readyz", 405),
        ("GET", "/", 404), ("POST", "/other", 404), ("GET", "/livez", 200),
        ("HEAD", "/livez", 200), ("GET", "/healthz", 200), ("GET", "/readyz", 200),
    ],
)  # fmt: skip
def test_other_paths_and_methods(method: str, path: str, status: int) -> None:
    assert asking(Asker(), method, path)[0] == status


def test_it_is_ready_when_presets_are_known_and_until_it_drains() -> None:
    asker = Asker()
    asker.source.synced = False
    assert asking(asker, "GET", "/readyz") == (503, b"presets are not known yet\n")
    assert asking(asker, "GET", "/livez")[0] == 200
    assert asker.sample("podward_webhook_ready") == 0
    asker.source.synced = True
    assert asking(asker, "GET", "/readyz") == (200, b"ok\n")
    assert asker.sample("podward_webhook_ready") == 1
    asker.app.drain()
    assert asking(asker, "GET", "/readyz") == (503, b"draining\n")
    status, answer, headers = run(asker.ask("POST", "/mutate", asked()))
    assert (status, response(answer)["allowed"], headers["connection"]) == (200, True, "close")


def test_what_happens_is_counted() -> None:
    clash = conflict("x", presets=("clusterpodpreset/org", "podpreset/cal"), list="volumes")
    patching = Asker(
        admits(lambda pod: Result(pod, PATCH, matched=(preset(),), conflicts=(clash,)))
    )
    for _ in range(3):
        asking(patching, "POST", "/mutate", asked())
    asking(patching, "POST", "/mutate", b"")
    assert patching.sample("podward_webhook_calls_total", path="/mutate", outcome="patched") == 3
    assert patching.sample("podward_webhook_calls_total", path="/mutate", outcome="bad") == 1
    assert patching.sample("podward_webhook_call_seconds_count", path="/mutate") == 4
    assert patching.sample("podward_webhook_patched_pods_total") == 3
    assert patching.sample(
        "podward_webhook_conflicts_total",
        namespace="edge", preset="clusterpodpreset/org", list="volumes",
    ) == 3  # fmt: skip
    status, text = asking(patching, "GET", "/metrics")
    assert status == 200
    for line in (
        "podward_webhook_invalid_presets 2.0",
        "podward_webhook_cache_age_seconds 7.0",
        f"podward_webhook_certificate_not_after_seconds {datetime(2030, 1, 1, tzinfo=UTC).timestamp()!r}",
    ):
        assert line.replace("1893456000.0", "1.893456e+09") in text.decode()


def test_conflicts_are_counted_apart_only_as_long_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("podward.webhook.metrics._SERIES_LIMIT", 3)
    made = WebhookMetrics()
    for i in range(7):
        clash = conflict("x", presets=(f"podpreset/p{i}",))
        made.count(Notice(Result({}, conflicts=(clash,)), "edge", "", None, False))
    family = [
        line for line in made.exposition().decode().splitlines() if "conflicts_total{" in line
    ]
    assert len(family) == 4
    assert any(line.endswith(" 4.0") and "_other" in line for line in family)


def test_reviews_do_not_wait_for_each_other() -> None:
    class Slow(Source):
        async def view(self, namespace: str) -> NamespaceView:
            await asyncio.sleep(5)
            return EMPTY

    async def main() -> None:
        asker = Asker()
        asker.app._presets = Slow()
        answers = await asyncio.gather(*(asker.ask("POST", "/mutate", asked()) for _ in range(50)))
        assert {status for status, *_ in answers} == {200}
        assert asyncio.get_running_loop().time() == 5.0

    run(main())
