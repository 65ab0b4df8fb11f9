"""What an admission tells a whole cluster is seen in all places: Events, the preset's status, /metrics."""

import asyncio
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.controllers.pod_preset import support
from tests.controllers.pod_preset.support import conflict, notice, preset
from tests.kubelet.support import live, pod, shell

from podward.api.kinds import podward_v1alpha1 as own
from podward.apiserver.identity import SYSTEM
from podward.client.transports.in_process import InProcessTransport
from podward.cluster import Cluster
from podward.controllers.pod_preset import controller, status

SELECTOR = {"matchLabels": {"tier": "web"}}
SPEC = {"selector": SELECTOR, **support.ZONE}
WELL = pod([{"args": shell("exec sleep 1000000")}])


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "preset_of", support.preset_of)
    monkeypatch.setattr(status, "admit", support.admit)


async def created(cluster: Cluster) -> None:
    await cluster.client.create(
        own.PodPreset(
            metadata=meta_v1.ObjectMeta(name="cal", namespace="default"),
            spec=own.PodPresetSpec(
                selector=meta_v1.LabelSelector(matchLabels=SELECTOR["matchLabels"]),
                env=[core_v1.EnvVar("TZ", value="UTC")],
            ),
        )
    )
    await asyncio.sleep(2)


def test_a_conflict_is_seen_everywhere() -> None:
    seen: dict[str, Any] = {}

    async def script(cluster: Cluster) -> None:
        await created(cluster)
        cal = preset(namespace="default", spec=SPEC)
        cluster.preset_reporter(
            notice(matched=[cal], conflicts=[conflict(cal)], namespace="default")
        )
        await asyncio.sleep(5)
        seen["preset"] = await cluster.client.get(own.PodPreset, "cal", "default")
        seen["events"] = (await cluster.client.list(core_v1.Event, "default")).items
        answer = await InProcessTransport(cluster.apiserver, SYSTEM).request("GET", "/metrics")
        seen["metrics"] = answer.body.decode().splitlines()

    live(WELL, 30, script)
    conditions = {c.type: (c.status, c.reason) for c in seen["preset"].status.conditions}
    assert conditions["Conflicting"] == ("True", "NothingApplied")
    told = [e for e in seen["events"] if e.reason == "PresetConflict"]
    assert {(e.involvedObject.kind, e.involvedObject.name) for e in told} == {
        ("ReplicaSet", "web-rs"),
        ("PodPreset", "cal"),
    }
    assert {e.source.component for e in told} == {"podward-presets"}
    counted = (
        "podward_pod_preset_conflicts_total"
        '{list="env",namespace="default",preset="podpreset.podward.dev/cal"} 1.0'
    )
    assert counted in seen["metrics"]
    pods = 'namespace="default",preset="podpreset.podward.dev/cal",state="matched"'
    assert f"podward_pod_preset_pods{{{pods}}} 0.0" in seen["metrics"]
    assert 'apiserver_storage_objects{resource="podpresets.podward.dev"} 1.0' in seen["metrics"]


def test_what_was_said_is_written_before_the_cluster_ends() -> None:
    events: list[core_v1.Event] = []

    async def script(cluster: Cluster) -> None:
        cal = preset(namespace="default", spec=SPEC)
        clash = notice(matched=[cal], conflicts=[conflict(cal)], namespace="default")
        cluster.preset_reporter(clash)
        await cluster.stop(stop_pods=False)
        events.extend((await cluster.client.list(core_v1.Event, "default")).items)
        await asyncio.sleep(1e6)

    live(WELL, 10, script)
    assert sum(e.reason == "PresetConflict" for e in events) == 2


def test_tolerations_that_every_pod_gets_foretell_no_clash() -> None:
    """They come after presets: a preset with others for the same taints would be there first."""
    documents: list[dict[str, Any]] = []

    def admit(document: dict[str, Any], *args: Any, **more: Any) -> Any:
        documents.append(document)
        return support.admit(document, *args, **more)

    async def script(cluster: Cluster) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(status, "admit", admit)
            await created(cluster)

    own_toleration = {"key": "gpu", "operator": "Exists"}
    manifest = pod([{"args": shell("exec sleep 1000000")}], tolerations=[own_toleration])
    manifest["metadata"]["labels"] = {"tier": "web"}
    live(manifest, 5, script)
    assert [d["spec"]["tolerations"] for d in documents[:1]] == [[own_toleration]]
