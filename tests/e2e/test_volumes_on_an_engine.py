"""Volumes of real containers: what they see, who owns it, how it changes, and that nothing of it stays.

A few Pods, made once; every test looks at what it is about.
"""

import itertools
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Kubectl, Podward, component_missing, eventually, kubectl_current
from tests.engine.containerd import Containerd

SLEEP = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue, size: large}
binaryData: {raw: AAEC/w==}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: fixed}
immutable: true
data: {colour: red}
---
apiVersion: v1
kind: Secret
metadata: {name: words}
stringData: {pw: hush}
"""


def container(name: str, *mounts: dict[str, Any], script: str = SLEEP, **fields: Any) -> Any:
    return {
        "name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script], "volumeMounts": list(mounts), **fields,
    }  # fmt: skip


def at(path: str, volume: str, **fields: Any) -> dict[str, Any]:
    return {"name": volume, "mountPath": path, **fields}


def pod(name: str, containers: list[Any], volumes: list[Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"tier": "one"}},
        # No token of an account: what is mounted is what a test asks for.
        "spec": {"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
                 "containers": containers, "volumes": volumes, **spec},
    }  # fmt: skip


def manifests(host: Path) -> list[dict[str, Any]]:
    item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    limit = {
        "path": "limit",
        "resourceFieldRef": {"containerName": "main", "resource": "limits.memory"},
    }
    files = pod(
        "files",
        [
            container(
                "main", at("/settings", "settings"), at("/words", "words"), at("/all", "all"),
                at("/down", "down"), at("/one", "settings", subPath="colour"), at("/none", "none"),
                at("/fixed", "fixed"),
                resources={"limits": {"memory": "64Mi"}},
            )
        ],
        [
            {"name": "settings", "configMap": {"name": "settings"}},
            {"name": "words", "secret": {"secretName": "words", "defaultMode": 0o400}},
            {"name": "down", "downwardAPI": {"items": [item, limit]}},
            {"name": "none", "configMap": {"name": "none", "optional": True}},
            {"name": "fixed", "configMap": {"name": "fixed"}},
            {"name": "all", "projected": {"defaultMode": 0o440, "sources": [
                {"configMap": {"name": "settings", "items": [
                    {"key": "colour", "path": "deep/colour", "mode": 0o600},
                    {"key": "none", "path": "x"}], "optional": True}},
                {"secret": {"name": "words"}},
                {"downwardAPI": {"items": [item]}},
            ]}},
        ],
    )  # fmt: skip
    places = pod(
        "places",
        [
            container(
                "main", at("/disk", "disk"), at("/memory", "memory"), at("/bare", "bare"),
                at("/part", "disk", subPath="deep/er"),
                at("/mine", "disk", subPathExpr="of-$(NAME)"), at("/seen", "disk", readOnly=True),
                at("/host", "host"), at("/file", "file"), at("/socket", "socket"), at("/null", "null"),
                at("/shared", "shared", mountPropagation="HostToContainer"),
                env=[{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            ),
            container("other", at("/disk", "disk"), at("/memory", "memory"),
                      at("/shared", "shared", mountPropagation="Bidirectional"),
                      securityContext={"privileged": True}),
        ],
        [
            {"name": "disk", "emptyDir": {}},
            {"name": "bare", "emptyDir": {}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}},
            {"name": "host", "hostPath": {"path": f"{host}/new", "type": "DirectoryOrCreate"}},
            {"name": "file", "hostPath": {"path": f"{host}/file", "type": "FileOrCreate"}},
            {"name": "socket", "hostPath": {"path": f"{host}/socket", "type": "Socket"}},
            {"name": "null", "hostPath": {"path": "/dev/null", "type": "CharDevice"}},
            {"name": "shared", "emptyDir": {}},
        ],
        securityContext={"fsGroup": 1234},
    )  # fmt: skip
    wrong = pod(
        "wrong",
        [
            container("linked", at("/x", "disk", subPath="out/passwd")),
            container("below", at("/x", "disk", readOnly=True, recursiveReadOnly="Enabled")),
            container("perhaps", at("/x", "disk", readOnly=True, recursiveReadOnly="IfPossible")),
            container("unset", at("/x", "disk", subPathExpr="$(NOBODY)")),
        ],
        [{"name": "disk", "emptyDir": {}}],
        initContainers=[container("evil", at("/d", "disk"), script="ln -s /etc /d/out")],
    )
    unmounted = pod(
        "unmounted",
        [container("main", at("/x", "typed"), at("/y", "huge"), at("/z", "claim"))],
        [
            {"name": "typed", "hostPath": {"path": f"{host}/socket", "type": "Directory"}},
            {"name": "huge", "emptyDir": {"medium": "HugePages-3Mi"}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
        ],
    )
    filling = "head -c 300000 /dev/zero > /d/x; " + SLEEP
    large = pod(
        "large",
        [container("main", at("/d", "disk"), script=filling), container("beside")],
        [{"name": "disk", "emptyDir": {"sizeLimit": "100Ki"}}],
        terminationGracePeriodSeconds=60,
    )
    return [files, places, wrong, unmounted, large]


class Stage:
    _numbers = itertools.count()

    def __init__(self, engine: Containerd, podward: Podward, run: Kubectl, host: Path) -> None:
        self.engine = engine
        self.podward = podward
        self.run = run
        self.host = host

    def pod(self, name: str) -> Any:
        return self.run.json("get", "pod", name, "-n", "volumes")

    def folder(self, name: str) -> Path:
        return self.podward.data_dir / "pods" / str(self.pod(name)["metadata"]["uid"])

    def events(self, name: str, reason: str) -> list[str]:
        selector = f"involvedObject.name={name},reason={reason}"
        found = self.run.json("get", "events", "-n", "volumes", "--field-selector", selector)
        return [event["message"] for event in found["items"]]

    def container(self, pod: str, name: str) -> str:
        statuses = self.pod(pod)["status"]["containerStatuses"]
        return str(
            next(s["containerID"].partition("://")[2] for s in statuses if s["name"] == name)
        )

    def inside(self, pod: str, script: str, container: str = "main") -> str:
        """What `script` says there: asked of the engine itself."""
        identity = self.container(pod, container)
        number = f"look-{next(self._numbers)}"
        return self.engine.ctr(
            "tasks", "exec", "--exec-id", number, identity, "sh", "-c", f"{{ {script}\n}} 2>&1 || :"
        )


@pytest.fixture(scope="module")
def stage(
    containerd: Containerd, engine_podward: Podward, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    run = Kubectl(binary, engine_podward, tmp_path_factory.mktemp("home"))
    host = Path(subprocess.check_output(["mktemp", "-d", "/tmp/pw-host.XXXX"], text=True).strip())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{host}/socket")
        run.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: volumes}")
        run.apply(OBJECTS, "-n", "volumes")
        run.apply("\n".join(map(json.dumps, manifests(host))), "-n", "volumes")
        made = Stage(containerd, engine_podward, run, host)
        ready = "--for=condition=Ready"
        run("wait", ready, "-n", "volumes", "pod/files", "pod/places", "--timeout=30s")
        yield made
        folders = [made.folder(name) for name in ("files", "places", "wrong", "unmounted", "large")]
        run("delete", "pod", "--all", "-n", "volumes", "--timeout=30s")
        run("delete", "namespace", "volumes", "--wait=false")
    subprocess.run(["rm", "-rf", str(host)], check=True)
    eventually(lambda: not any(f.exists() for f in folders), what="their folders go")
    left = mounted(engine_podward)
    assert not [path for path in left for folder in folders if path.startswith(folder.name)]


def mounted(podward: Podward) -> list[str]:
    """Below the folders of Pods, as the kernel tells it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    folder = f"{podward.data_dir}/pods/"
    return [p.removeprefix(folder) for p in (line.split()[4] for line in lines) if folder in p]


def test_files_of_config_maps_secrets_and_the_pod_itself(stage: Stage) -> None:
    look = """
    cat /settings/colour /settings/size /words/pw; od -An -tx1 /settings/raw
    cat /down/labels /down/limit; echo; ls /all /none; cat /all/deep/colour /all/labels; echo
    stat -Lc %a /settings/colour /words/pw /all/pw /all/deep/colour
    for d in /words /all /down; do awk -v d=$d '$2 == d {print $3}' /proc/mounts; done
    echo x > /settings/colour || echo refused
    """
    assert stage.inside("files", look).split() == [
        *("bluelargehush", "00", "01", "02", "ff", 'tier="one"67108864'),
        *("/all:", "deep", "labels", "pw", "/none:", 'bluetier="one"'),
        *("644", "400", "440", "600"),
        *("tmpfs", "tmpfs", "tmpfs"),
        *("sh:", "can't", "create", "/settings/colour:", "Read-only", "file", "system", "refused"),
    ]


def test_only_what_may_be_secret_lies_in_memory(stage: Stage) -> None:
    folder = f"{stage.folder('files').name}/"
    found = [m.removeprefix(folder) for m in mounted(stage.podward) if m.startswith(folder)]
    assert sorted(found) == [
        "volume-subpaths/settings/main/4", "volumes/all", "volumes/down", "volumes/words",
    ]  # fmt: skip


def test_they_follow_their_source_in_a_running_container(stage: Stage) -> None:
    run = stage.run
    changed = {"data": {"colour": "green", "size": None, "new": "1"}}
    run(
        "patch", "configmap", "settings", "-n", "volumes", "--type=merge", "-p", json.dumps(changed)
    )
    run("patch", "secret", "words", "-n", "volumes", "-p", '{"stringData": {"pw": "loud"}}')
    run("label", "pod", "files", "-n", "volumes", "tier=two", "--overwrite")
    look = "cat /settings/colour /words/pw /all/pw /all/deep/colour /down/labels /one; ls /settings"
    expected = ['greenloudloudgreentier="two"bluecolour', "new", "raw"]
    eventually(lambda: stage.inside("files", look).split() == expected, timeout=5, what="new files")
    assert stage.inside("files", "stat -Lc %a /words/pw").strip() == "400"
    status, _, error = run.result(
        "patch", "configmap", "fixed", "-n", "volumes", "-p", '{"data": {"colour": "x"}}'
    )
    assert status == 1
    assert "immutable" in error
    assert stage.inside("files", "cat /fixed/colour") == "red"


def test_an_empty_dir_is_shared_sized_and_owned_by_the_group(stage: Stage) -> None:
    assert stage.inside(
        "places", "stat -c '%a %u:%g' /disk /memory /bare; ls -A /bare"
    ).splitlines() == ["2777 0:1234", "3777 0:1234", "2777 0:1234"]
    write = "su -s /bin/sh nobody -c 'echo hi > /disk/note && echo hi > /memory/note'"
    assert stage.inside("places", write) == ""
    assert stage.inside("places", "cat /disk/note /memory/note", "other") == "hi\nhi\n"
    assert stage.inside("places", "stat -c '%U:%g' /disk/note", "other") == "nobody:1234\n"
    look = "awk '$2 == \"/memory\" {print $3}' /proc/mounts; df -k /memory | awk 'END {print $2}'"
    assert stage.inside("places", look).split() == ["tmpfs", "4096"]
    full = "dd if=/dev/zero of=/memory/x bs=1M count=5; rm /memory/x"
    assert "No space left" in stage.inside("places", full)
    assert "Read-only file system" in stage.inside("places", "touch /seen/x")


def test_parts_of_a_volume(stage: Stage) -> None:
    stage.inside("places", "echo 1 > /part/x; echo 2 > /mine/x")
    look = "cat /disk/deep/er/x /disk/of-places/x; stat -c '%a %g' /disk/deep /disk/deep/er"
    assert stage.inside("places", look, "other").splitlines() == [
        "1",
        "2",
        "2777 1234",
        "2777 1234",
    ]
    spots = [m for m in mounted(stage.podward) if "volume-subpaths" in m]
    assert sorted(s.partition("/")[2] for s in spots if s.startswith(stage.folder("places").name)) == [
        "volume-subpaths/disk/main/3", "volume-subpaths/disk/main/4",
    ]  # fmt: skip


def test_what_lies_on_this_machine(stage: Stage) -> None:
    stage.inside("places", "echo hello > /host/x; echo hello > /file; echo gone > /null")
    assert (stage.host / "new/x").read_text() == "hello\n"
    assert (stage.host / "file").read_text() == "hello\n"
    look = "[ -S /socket ] && [ -c /null ] && [ -f /file ] && echo yes"
    assert stage.inside("places", look) == "yes\n"


def test_mounts_are_passed_on_into_a_container_and_out_of_one(stage: Stage) -> None:
    place = stage.folder("places") / "volumes/shared"
    (place / "from-host").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place / "from-host"], check=True)
    (place / "from-host/x").write_text("1")
    assert stage.inside("places", "cat /shared/from-host/x") == "1"
    identity = stage.container("places", "other")
    tasks = stage.engine.ctr("tasks", "ls").splitlines()
    pid = next(line.split()[1] for line in tasks if line.startswith(identity))
    (place / "inner").mkdir()
    # As a privileged container would; that it may is another test's matter.
    enter = [
        "nsenter",
        "-t",
        pid,
        "-m",
        "/bin/busybox",
        "mount",
        "-t",
        "tmpfs",
        "none",
        "/shared/inner",
    ]
    subprocess.run(enter, check=True)
    (place / "inner/x").write_text("2")
    assert stage.inside("places", "cat /shared/inner/x") == "2"
    assert any(m.endswith("/volumes/shared/inner") for m in mounted(stage.podward))


def test_why_a_container_cannot_mount_it(stage: Stage) -> None:
    expected = {
        "linked": 'failed to prepare subPath for volumeMount "disk" of container "linked"',
        "below": "failed to resolve recursive read-only mode: volume \"disk\" requested recursive "
        "read-only mode, but it is not supported by the runtime",
        "unset": "missing value for NOBODY",
    }  # fmt: skip

    def told() -> dict[str, str]:
        statuses = stage.pod("wrong")["status"].get("containerStatuses", [])
        waiting = {s["name"]: s["state"].get("waiting", {}) for s in statuses}
        return {
            name: one["message"]
            for name, one in waiting.items()
            if one.get("reason") == "CreateContainerConfigError"
        }

    eventually(lambda: told() == expected, what="all three wait")
    states = {s["name"]: s["state"] for s in stage.pod("wrong")["status"]["containerStatuses"]}
    assert "running" in states["perhaps"]


def test_why_a_pod_cannot_mount_it(stage: Stage) -> None:
    def told() -> list[str]:
        return sorted(stage.events("unmounted", "FailedMount"))

    said = eventually(lambda: told() if len(told()) == 3 else [], what="three events")
    assert said[0].startswith(
        'MountVolume.SetUp failed for volume "claim" : persistentVolumeClaim is not served here'
    )
    assert said[1:] == [
        'MountVolume.SetUp failed for volume "huge" : this machine has no huge pages of 3Mi set aside',
        'MountVolume.SetUp failed for volume "typed" : hostPath type check failed: '
        f"{stage.host}/socket is not a directory",
    ]


def test_a_pod_that_holds_too_much_is_evicted(stage: Stage) -> None:
    eventually(lambda: stage.pod("large")["status"]["phase"] == "Failed", what="its end")
    status = stage.pod("large")["status"]
    text = 'Usage of EmptyDir volume "disk" exceeds the limit "100Ki". '
    assert (status["reason"], status["message"]) == ("Evicted", text)
    assert stage.events("large", "Evicted") == [text]
    assert all("terminated" in s["state"] for s in status["containerStatuses"])
    assert not (stage.folder("large") / "volumes").exists()


def test_a_death_between_mount_and_start_leaves_nothing_mounted(
    containerd: Containerd, tmp_path: Path
) -> None:
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    server = Podward(tmp_path / "data", "--runtime", f"cri://{containerd.socket}").start()
    try:
        run = Kubectl(binary, server, tmp_path)
        run.apply(OBJECTS)
        never = container(
            "main", at("/m", "memory"), at("/w", "words"), at("/s", "memory", subPath="x")
        )
        begins = container("begins", at("/s", "memory", subPath="y"))
        never |= {"image": "not/here", "imagePullPolicy": "Never"}
        volumes = [
            {"name": "memory", "emptyDir": {"medium": "Memory"}},
            {"name": "words", "secret": {"secretName": "words"}},
        ]
        run.apply(json.dumps(pod("never", [never, begins], volumes)))
        eventually(lambda: len(mounted(server)) == 3, what="both volumes and a part")
        server.kill()
        assert len(mounted(server)) == 3
        server.start()
        eventually(lambda: run.json("get", "pod", "never")["status"]["phase"] == "Pending")
        run("delete", "pod", "never", "--timeout=20s")
        eventually(lambda: mounted(server) == [], what="nothing is mounted")
        eventually(lambda: not any((server.data_dir / "pods").iterdir()), what="its folder goes")
    finally:
        server.tear_down()
    assert mounted(server) == []
