"""ConfigMaps, Secrets and a Pod's labels change while containers run, and the files of volumes with them."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from lightkube.models import core_v1
from tests.kubelet.support import events, pod, shell, states

from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.client.api_client import ApiClient
from podward.client.transports.in_process import InProcessTransport
from podward.cluster import Cluster
from podward.kubelet.runtime.base import ContainerState
from podward.machinery.entropy import Entropy
from podward.simulate.faults.edges import FaultyStore
from podward.simulate.faults.schedule import Disturb, Fault, KillPodward
from podward.simulate.faults.trouble import Rates
from podward.simulate.runtime import SimulatedRuntime
from podward.simulate.simulation import Recording, apply, simulate
from podward.simulate.world import World

SLEEPS = {"command": shell("while true; do sleep 1; done")}
SETTINGS: dict[str, Any] = {"name": "v", "configMap": {"name": "settings"}}
MOUNT = [{"name": "v", "mountPath": "/v"}]


def config(name: str = "settings", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **fields}


def with_files(*volumes: dict[str, Any], mounts: Any = MOUNT, **fields: Any) -> dict[str, Any]:
    return pod([{**SLEEPS, "volumeMounts": mounts, **fields}], volumes=list(volumes or [SETTINGS]))


class Stage:
    """Speaks to the API from outside, whatever goes wrong inside, and looks into the container."""

    def __init__(self, cluster: Cluster, world: World) -> None:
        self.runtime = SimulatedRuntime(world)
        store = cluster.apiserver.registry.store
        server = ApiServer(
            store.inner if isinstance(store, FaultyStore) else store, world.clock, Entropy(7),
            admission=AdmissionChain([]), node_access=None, authenticate=lambda scope: SYSTEM,
        )  # fmt: skip
        self.client = ApiClient(InProcessTransport(server, SYSTEM))

    async def change(self, name: str = "settings", **fields: Any) -> None:
        await self.client.patch(core_v1.ConfigMap, name, fields, namespace="default")

    async def label(self, **labels: str) -> None:
        patch = {"metadata": {"labels": labels}}
        await self.client.patch(core_v1.Pod, "p", patch, namespace="default")

    async def remove(self, name: str = "settings") -> None:
        await self.client.delete(core_v1.ConfigMap, name, "default")

    async def create(self, document: dict[str, Any]) -> None:
        await apply(self.client, document, "default")

    def runs(self) -> bool:
        containers = self.runtime.world.containers.values()
        return any(one.state is ContainerState.RUNNING for one in containers)

    async def run(self, script: str) -> str:
        listed = await self.runtime.list_containers()
        running = next(c for c in listed if c.state is ContainerState.RUNNING)
        result = await self.runtime.exec_sync(running.id, shell(script), 5)
        return (result.stdout or result.stderr).decode().strip()


Script = Callable[[Stage], Awaitable[None]]


def play(
    documents: Sequence[dict[str, Any]],
    script: Script,
    seconds: float = 30,
    faults: Sequence[Fault] = (),
) -> Recording:
    """The script begins when the container runs, and must come to its end."""
    ended: list[bool] = []
    worlds: list[World] = []

    async def scripted(cluster: Cluster) -> None:
        await asyncio.sleep(2)
        await script(Stage(cluster, worlds[0]))
        ended.append(True)

    recording = simulate(documents, seconds, prepare=worlds.append, script=scripted, faults=faults)
    assert ended
    return recording


def test_a_changed_config_map_is_read_within_a_second_and_nothing_is_restarted() -> None:
    async def script(stage: Stage) -> None:
        assert await stage.run("cat /v/a /v/b") == "12"
        await stage.change(data={"a": "3", "b": None, "c": "4"})
        await asyncio.sleep(0.5)
        assert await stage.run("cat /v/a; ls /v") == "3a\nc"

    recording = play([config(data={"a": "1", "b": "2"}), with_files()], script)
    assert states(recording, "a")[-1][1:] == ("running", 0)
    assert events(recording, "FailedMount") == []


def test_who_watches_the_time_of_change_sees_one() -> None:
    async def script(stage: Stage) -> None:
        newer = "[ /v/a -nt /tmp/mark ] && echo newer || echo older"
        await asyncio.sleep(5)
        await stage.run("touch /tmp/mark; [ -e /v/a ]")
        assert await stage.run(newer) == "older"
        await asyncio.sleep(5)
        await stage.change(data={"a": "3"})
        await asyncio.sleep(1)
        assert await stage.run(newer) == "newer"

    play([config(data={"a": "1"}), with_files()], script)


def test_a_secret_and_bytes_follow_too() -> None:
    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
              "stringData": {"word": "old"}}  # fmt: skip
    volume = {"name": "v", "projected": {"sources": [
        {"secret": {"name": "s"}}, {"configMap": {"name": "settings"}}]}}  # fmt: skip

    async def script(stage: Stage) -> None:
        assert await stage.run("cat /v/word /v/raw") == "oldx"
        data = {"word": encoded(b"new")}
        await stage.client.patch(core_v1.Secret, "s", {"data": data}, namespace="default")
        await stage.change(binaryData={"raw": encoded(b"y")})
        await asyncio.sleep(0.5)
        assert await stage.run("cat /v/word /v/raw") == "newy"

    play([secret, config(binaryData={"raw": encoded(b"x")}), with_files(volume)], script)


def test_changes_in_a_row_are_one_rewrite_and_other_objects_are_none() -> None:
    async def script(stage: Stage) -> None:
        async def version() -> str:
            return await stage.run("ls -a /v | grep files_")

        assert await version() == "..files_0"
        await stage.change("other", data={"a": "9"})
        await stage.change(metadata={"labels": {"x": "y"}})
        await asyncio.sleep(1)
        assert await version() == "..files_0"
        for number in range(5):
            await stage.change(data={"a": str(number)})
            await asyncio.sleep(0.015)
        await asyncio.sleep(1)
        assert (await version(), await stage.run("cat /v/a")) == ("..files_1", "4")

    documents = [config(data={"a": "1"}), config("other", data={"a": "1"}), with_files()]
    play(documents, script)


def test_labels_and_annotations_are_rewritten() -> None:
    volume = {"name": "v", "downwardAPI": {"items": [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}}
        for name in ("labels", "annotations")]}}  # fmt: skip

    async def script(stage: Stage) -> None:
        assert await stage.run("cat /v/labels") == ""
        patch = {"metadata": {"labels": {"tier": "web"}, "annotations": {"note": 'a "b"'}}}
        await stage.client.patch(core_v1.Pod, "p", patch, namespace="default")
        await asyncio.sleep(0.2)
        told = await stage.run("cat /v/labels; echo; cat /v/annotations")
        assert told == 'tier="web"\nnote="a \\"b\\""'

    recording = play([with_files(volume)], script)
    assert states(recording, "a")[-1][1:] == ("running", 0)


def test_a_part_of_a_volume_and_the_environment_stay_until_the_restart() -> None:
    mounts = [
        {"name": "v", "mountPath": "/v"},
        {"name": "v", "mountPath": "/one", "subPath": "a"},
        {"name": "v", "mountPath": "/folder", "subPathExpr": "$(FOLDER)"},
    ]
    volume = {"name": "v", "configMap": {"name": "settings", "items": [
        {"key": "a", "path": "a"}, {"key": "b", "path": "sub/b"}]}}  # fmt: skip
    env = [
        {"name": "FOLDER", "value": "sub"},
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}},
    ]
    look = "cat /v/a /one /v/sub/b /folder/b; echo $A"

    async def script(stage: Stage) -> None:
        assert await stage.run(look) == "11221"
        await stage.change(data={"a": "3", "b": "4"})
        await asyncio.sleep(1)
        assert await stage.run(look) == "31421"
        await asyncio.sleep(60)
        assert await stage.run(look) == "31421"
        await stage.run("kill 1")
        await asyncio.sleep(30)
        assert await stage.run(look) == "33443"

    exits = {"command": shell("trap 'exit 1' TERM; while true; do sleep 1; done")}
    documents = [config(data={"a": "1", "b": "2"}),
                 with_files(volume, mounts=mounts, env=env, **exits)]  # fmt: skip
    play(documents, script, 120)


def test_such_a_volume_cannot_be_written_to() -> None:
    async def script(stage: Stage) -> None:
        await stage.run("echo 9 > /v/a")
        await stage.run("echo 9 > /one")
        assert await stage.run("cat /v/a /one") == "11"

    part = {"name": "v", "mountPath": "/one", "subPath": "a"}
    play([config(data={"a": "1"}), with_files(mounts=[*MOUNT, part])], script)


def test_optional_sources_come_and_go() -> None:
    optional = {"name": "v", "configMap": {"name": "settings", "optional": True}}

    async def script(stage: Stage) -> None:
        assert await stage.run("ls /v") == ""
        await stage.create(config(data={"a": "1"}))
        await asyncio.sleep(0.5)
        assert await stage.run("cat /v/a") == "1"
        await stage.remove()
        await asyncio.sleep(0.5)
        assert await stage.run("ls /v") == ""

    assert events(play([with_files(optional)], script), "FailedMount") == []


def test_what_is_gone_leaves_its_files_and_is_written_when_it_comes_back() -> None:
    async def script(stage: Stage) -> None:
        await stage.remove()
        for second in range(40):  # whatever else wakes the Pod does not hurry it
            await stage.label(second=str(second))
            await asyncio.sleep(1)
        assert await stage.run("cat /v/a") == "1"
        await stage.create(config(data={"a": "2"}))
        await asyncio.sleep(0.5)
        assert await stage.run("cat /v/a") == "2"

    recording = play([config(data={"a": "1"}), with_files()], script, 60)
    told = events(recording, "FailedMount")
    message = 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found'
    assert {text for _, _, text in told} == {message}
    # After 0.5 s, then twice that, and so on.
    assert [at for at, _, _ in told] == pytest.approx(
        [2.1, 2.6, 3.6, 5.6, 9.6, 17.6, 33.6], abs=0.2
    )
    assert states(recording, "a")[-1][1:] == ("running", 0)


def test_a_key_that_is_gone_leaves_the_whole_volume_as_it_was_and_others_move_on() -> None:
    items = [{"key": "a", "path": "a"}, {"key": "b", "path": "b"}]
    strict = {"name": "v", "configMap": {"name": "settings", "items": items}}
    plain = {"name": "w", "configMap": {"name": "settings"}}
    mounts = [*MOUNT, {"name": "w", "mountPath": "/w"}]

    async def script(stage: Stage) -> None:
        await stage.change(data={"a": "3", "b": None})
        await asyncio.sleep(1)
        assert await stage.run("cat /v/a /v/b; ls /w; cat /w/a") == "12a\n3"
        await stage.change(data={"b": "4"})
        await asyncio.sleep(1)
        assert await stage.run("cat /v/a /v/b") == "34"

    documents = [config(data={"a": "1", "b": "2"}), with_files(strict, plain, mounts=mounts)]
    told = {text for _, _, text in events(play(documents, script), "FailedMount")}
    assert told == {
        'MountVolume.SetUp failed for volume "v" : configmap references non-existent config key: b'
    }


def test_a_pod_that_waits_for_its_config_map_begins_when_it_comes() -> None:
    async def script(stage: Stage) -> None:
        await asyncio.sleep(3)
        await stage.create(config(data={"a": "1"}))
        await asyncio.sleep(1)
        assert await stage.run("cat /v/a") == "1"

    recording = play([with_files()], script)
    told = events(recording, "FailedMount")
    assert [text for _, _, text in told] == [
        'MountVolume.SetUp failed for volume "v" : configmap "settings" not found'
    ]


def test_an_immutable_object_is_read_once() -> None:
    async def script(stage: Stage) -> None:
        await stage.remove()
        await asyncio.sleep(1)
        await stage.create(config(data={"a": "2"}))
        await asyncio.sleep(61)
        assert await stage.run("cat /v/a") == "1"

    recording = play([config(data={"a": "1"}, immutable=True), with_files()], script, 70)
    assert events(recording, "FailedMount") == []


def test_a_change_while_the_server_is_away_is_written_when_it_is_back() -> None:
    away = Disturb(10, 40, "api", Rates(unavailable=True))

    async def script(stage: Stage) -> None:
        await asyncio.sleep(20)
        await stage.change(data={"a": "2"})
        await asyncio.sleep(15)
        assert await stage.run("cat /v/a") == "1"
        await asyncio.sleep(25)  # at 62: whoever cannot reach a server asks every 10 to 20 s
        assert await stage.run("cat /v/a") == "2"

    recording = play([config(data={"a": "1"}), with_files()], script, 90, [away])
    assert events(recording, "FailedMount") == []


def test_a_change_that_was_heard_of_but_cannot_be_read_is_read_later_without_an_event() -> None:
    mute = Disturb(7, 9, "api", Rates(errors=100))  # the watch is open, and nothing is answered

    async def script(stage: Stage) -> None:
        await asyncio.sleep(4.95)  # it is heard of at once, and read a moment later
        await stage.change(data={"a": "2"})
        await asyncio.sleep(1.5)
        assert await stage.run("cat /v/a") == "1"
        await asyncio.sleep(4)
        assert await stage.run("cat /v/a") == "2"

    # Long enough for an event to be written: its recorder tries again for minutes.
    recording = play([config(data={"a": "1"}), with_files()], script, 90, [mute])
    assert events(recording, "FailedMount") == []


LABELS = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}


@pytest.mark.parametrize(
    ("volume", "content"),
    [(SETTINGS, ("1", "2")), ({"name": "v", "downwardAPI": LABELS}, ("", 'tier="web"'))],
    ids=["config map", "labels"],
)
def test_a_podward_that_was_down_catches_up(
    volume: dict[str, Any], content: tuple[str, str]
) -> None:
    """It hears of nothing from 4 on, dies at 8, and the one that follows reaches the server at 20."""
    faults: list[Fault] = [Disturb(4, 20, "api", Rates(unavailable=True)), KillPodward(8, 3)]

    async def script(stage: Stage) -> None:
        await asyncio.sleep(5)
        await stage.change(data={"a": "2"})
        await stage.label(tier="web")
        await asyncio.sleep(10)
        assert await stage.run("cat /v/*") == content[0]
        await asyncio.sleep(23)
        assert await stage.run("cat /v/*") == content[1]

    recording = play([config(data={"a": "1"}), with_files(volume)], script, 50, faults)
    assert states(recording, "a")[-1][1:] == ("running", 0)


def test_watches_live_only_as_long_as_running_pods_use_them() -> None:
    async def watched(stage: Stage) -> list[str]:
        await asyncio.sleep(1)
        names = {task.get_name() for task in asyncio.all_tasks()}
        return sorted(names & {"configmaps", "secrets"})

    async def script(stage: Stage) -> None:
        plain = pod([SLEEPS], volumes=[{"name": "v", "emptyDir": {}}])
        assert await watched(stage) == ["configmaps"]
        await stage.client.delete(core_v1.Pod, "p", "default", grace_period_seconds=1)
        await asyncio.sleep(5)
        assert await watched(stage) == []
        await stage.create(plain)
        assert await watched(stage) == []

    play([config(data={"a": "1"}), with_files()], script)


def test_a_pod_that_is_over_is_watched_no_more() -> None:
    async def script(stage: Stage) -> None:
        await asyncio.sleep(2)
        assert "configmaps" not in {task.get_name() for task in asyncio.all_tasks()}

    over = with_files(command=["true"])
    over["spec"]["restartPolicy"] = "Never"
    play([config(data={"a": "1"}), over], script)


def test_the_same_changes_are_the_same_record() -> None:
    async def script(stage: Stage) -> None:
        for number in range(8):
            await stage.change(data={"a": str(number)})
            await asyncio.sleep(0.07)
        await stage.remove()

    def record() -> object:
        recording = play([config(data={"a": "1"}), with_files()], script, 30)
        said = [(s.at, s.event) for s in recording.said]
        return said, [(c.at, c.type, c.pod) for c in recording.changes]

    assert record() == record()


TROUBLE: list[Fault] = [
    Disturb(3, 60, "api", Rates(errors=20, lost=10, slow=30, up_to=3)),
    Disturb(3, 60, "runtime", Rates(errors=20, lost=10, slow=10, up_to=1)),
]


@pytest.mark.parametrize("seed", [*range(20), 826, 854, 920])  # the last found a change forgotten
def test_whatever_goes_wrong_versions_never_mix_and_the_last_one_is_written(seed: int) -> None:
    dice = Entropy(seed)
    kills = [KillPodward(dice.uniform(5, 60), dice.uniform(0, 5), int(dice.uniform(0, 60)))
             for _ in range(3)]  # fmt: skip
    volume = {"name": "v", "projected": {"sources": [
        {"configMap": {"name": "settings"}}, {"downwardAPI": LABELS}]}}  # fmt: skip

    async def script(stage: Stage) -> None:
        there, last, held = True, 1, {1}
        for number in range(2, 60):
            await asyncio.sleep(dice.uniform(0, 2))
            what = dice.uniform(0, 1)
            if not there:
                await stage.create(config(data={"a": f"{number}", "b": f"{number}"}))
                there, last = True, number
            elif what < 0.7:
                await stage.change(data={"a": f"{number}", "b": f"{number}"})
                last = number
            elif what < 0.85:
                await stage.remove()
                there = False
            else:
                await stage.label(number=str(number))
            held.add(last)
            look = "cat /v/a; echo -n ' '; cat /v/b; [ $(cat /v/a) = $(cat /v/b) ] || echo -n torn"
            if stage.runs():
                first, second = (await stage.run(look)).split()
                assert first == second
                assert int(first) in held
        if not there:
            last = 60
            await stage.create(config(data={"a": "60", "b": "60"}))
        await stage.label(number="last")
        await asyncio.sleep(60)
        expected = f'{last}{last}number="last"'
        assert await stage.run("cat /v/a /v/b /v/labels") == expected

    documents = [config(data={"a": "1", "b": "1"}), with_files(volume)]
    play(documents, script, 200, [*TROUBLE, *kills])
