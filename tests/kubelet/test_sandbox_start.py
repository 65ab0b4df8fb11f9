"""Making a sandbox: what is looked up for it, and what its user is told."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from lightkube.models import core_v1, meta_v1, node_v1
from tests.kubelet.pod_support import made_pod

from podward.client.base import ApiError, Client, TransportError
from podward.client.recorder import EventRecorder
from podward.kubelet import sandbox_start
from podward.kubelet.runtime.base import Dns, Features, Runtime, SandboxConfig
from podward.kubelet.sandbox_config import SandboxError
from podward.kubelet.sandbox_start import SandboxStarter

ENGINE = Features(security_contexts=True, own_network=True)
MISSING = (
    'pod: "web_default(1-2-3)". kubelet does not have ClusterDNS IP configured and cannot create Pod '
    'using "ClusterFirst" policy. Falling back to "Default" policy.'
)


class Engine:
    """A runtime that remembers what sandboxes it was asked for."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self.asked: list[SandboxConfig] = []

    async def features(self) -> Features:
        return self._features

    async def run_pod_sandbox(self, config: SandboxConfig) -> str:
        self.asked.append(config)
        return f"s{config.attempt}"


class Server:
    """An API server that knows one runtime class, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    async def get(self, kind: type[Any], name: str, namespace: str = "") -> Any:
        if self._failure is not None:
            raise self._failure
        if (kind, name) == (node_v1.RuntimeClass, "kata"):
            return node_v1.RuntimeClass("kata-qemu")
        raise ApiError(meta_v1.Status(code=404, reason="NotFound", message="gone"))


class Events:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def event(self, involved: object, type: str, reason: str, message: str) -> None:
        assert type == "Warning"
        self.said.append((reason, message))


class Starter:
    def __init__(self, features: Features = ENGINE, failure: Exception | None = None) -> None:
        self.engine, self.events = Engine(features), Events()
        self.inner = SandboxStarter(
            cast(Client, Server(failure)),
            cast(Runtime, self.engine),
            cast(EventRecorder, self.events),
            allowed_sysctls=(),
        )

    def start(self, pod: core_v1.Pod, attempt: int = 0) -> SandboxConfig:
        assert asyncio.run(self.inner.start(pod, attempt, "/logs")) == f"s{attempt}"
        return self.engine.asked[-1]


@pytest.fixture(autouse=True)
def resolv_conf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 10.0.0.1\n")
    monkeypatch.setattr(sandbox_start, "RESOLV_CONF", tmp_path / "resolv.conf")


def test_that_there_is_no_cluster_dns_is_said_once_of_each_pod() -> None:
    starter, pod = Starter(), made_pod(dnsPolicy="ClusterFirstWithHostNet")
    assert starter.start(pod).dns == Dns(("10.0.0.1",))
    starter.start(pod, 1)
    assert starter.events.said == [("MissingClusterDNS", MISSING)]
    asyncio.run(starter.inner.remove_pod(pod))
    starter.start(pod, 2)
    assert len(starter.events.said) == 2


@pytest.mark.parametrize("policy", ["Default", "ClusterFirst", None])
def test_who_does_not_ask_for_it_in_so_many_words_is_not_told(policy: str | None) -> None:
    starter = Starter()
    starter.start(made_pod(dnsPolicy=policy))
    assert starter.events.said == []


def test_lines_that_were_cut_are_told() -> None:
    starter = Starter()
    servers = ["1.1.1.1", "2.2.2.2", "3.3.3.3"]
    starter.start(made_pod(dnsPolicy="Default", dnsConfig={"nameservers": servers}))
    [(reason, message)] = starter.events.said
    assert reason == "DNSConfigForming"
    assert message.endswith("the applied nameserver line is: 10.0.0.1 1.1.1.1 2.2.2.2")


def test_a_runtime_without_networks_is_told_nothing_of_dns() -> None:
    starter = Starter(Features())
    assert starter.start(made_pod(hostUsers=False)).dns is None
    assert starter.events.said == []


def test_the_handler_of_a_runtime_class_is_the_engines() -> None:
    assert Starter().start(made_pod(runtimeClassName="kata")).runtime_handler == "kata-qemu"
    assert Starter().start(made_pod()).runtime_handler == ""


@pytest.mark.parametrize(
    ("name", "failure", "text"),
    [
        ("gvisor", None, 'runtimeclass.node.k8s.io "gvisor" not found'),
        ("kata", TransportError("away"), "failed to lookup RuntimeClass kata: away"),
        (
            "kata",
            ApiError(meta_v1.Status(code=500, message="broken")),
            "failed to lookup RuntimeClass kata: broken",
        ),
    ],
)
def test_a_class_that_cannot_be_found(name: str, failure: Exception | None, text: str) -> None:
    starter = Starter(failure=failure)
    with pytest.raises(SandboxError) as error:
        starter.start(made_pod(runtimeClassName=name))
    assert str(error.value) == text
    assert starter.engine.asked == []


def test_user_namespaces_cannot_be_had() -> None:
    with pytest.raises(SandboxError, match="hostUsers: false"):
        Starter().start(made_pod(hostUsers=False))
