"""Logs and last words of real containers, as kubectl shows them."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.support import Kubectl, Podward, eventually
from tests.engine.containerd import Containerd
from tests.engine.images import Image, busybox_files

COUNTING = """
apiVersion: v1
kind: Pod
metadata: {name: counting}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox
    imagePullPolicy: IfNotPresent
    command: [sh, -c, "i=0; while true; do echo line $i; i=$((i+1)); test $((i % 50)) != 0 || sleep 0.1; done"]
"""


@pytest.fixture(scope="module")
def counting(
    containerd: Containerd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Podward, Path, "subprocess.Popen[bytes]"]]:
    """A server that rotates small logs, what a follower of one was shown so far, and the follower."""
    folder = tmp_path_factory.mktemp("rotating")
    limits = ("--container-log-max-size", "32Ki", "--container-log-max-files", "3")
    runtime = ("--runtime", f"cri://{containerd.socket}")
    podward = Podward(folder / "data", *runtime, *limits).start()
    shown = folder / "shown"
    try:
        podward.cli("apply", "-f", "-", input=COUNTING)
        status = ("get", "pod", "counting", "--no-headers")
        eventually(lambda: "Running" in podward.cli(*status), what="it counts")
        with shown.open("wb") as out, subprocess.Popen(
            ["kubectl", "logs", "-f", "counting"],
            stdout=out, env={**os.environ, "KUBECONFIG": str(podward.kubeconfig)},
        ) as follower:  # fmt: skip
            yield podward, shown, follower
            follower.terminate()
    finally:
        podward.tear_down()


@pytest.fixture(autouse=True)
def begun(counting: object) -> None:
    """A rotation comes after ten seconds: the other tests take their time meanwhile."""


def manifest(name: str, *containers: dict[str, Any], **spec: Any) -> str:
    named = [
        {"name": f"c{i}", "image": "busybox", "imagePullPolicy": "IfNotPresent", **one}
        for i, one in enumerate(containers)
    ]
    whole = {"terminationGracePeriodSeconds": 0, "containers": named, **spec}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": whole}
    )


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"command": ["sh", "-c", script], **more}


def last_words(kubectl: Kubectl, namespace: str, pod: str) -> dict[str, str]:
    """Container -> message of its end, once all have ended."""

    def look() -> dict[str, str] | None:
        status = kubectl.json("get", "pod", pod, "-n", namespace)["status"]
        ended = {
            one["name"]: one["state"]["terminated"].get("message", "")
            for one in status.get("containerStatuses", ())
            if "terminated" in one["state"]
        }
        return ended if len(ended) == len(status.get("containerStatuses", "-")) else None

    found = eventually(look, what="all containers have ended")
    assert found is not None
    return found


def test_logs_of_every_container_through_a_restart(
    engine_kubectl: Kubectl, engine_namespace: str
) -> None:
    def logs(*options: str) -> str:
        return engine_kubectl("logs", "talks", "-n", engine_namespace, *options, check=False)

    init = {"name": "before", "image": "busybox", "imagePullPolicy": "IfNotPresent"}
    talks = manifest(
        "talks",
        shell("echo it begins; echo and fails >&2; sleep 2; printf 'its end'; exit 1"),
        shell("echo the other; sleep 1000"),
        initContainers=[init | shell("printf 'one\\ntwo\\n'; echo three")],
    )
    engine_kubectl.apply(talks, "-n", engine_namespace)
    # Two pipes lead to a log: which line of which comes first is the engine's.
    whole = sorted(["it begins\n", "and fails\n", "its end"])
    eventually(lambda: "it begins" in logs("-c", "c0"), what="it talks")
    # Followed, a log ends with its container; a line that was not ended is shown as it is.
    assert sorted(logs("-f", "-c", "c0").splitlines(keepends=True)) == whole
    assert logs("-c", "before") == "one\ntwo\nthree\n"
    assert logs("-c", "before", "--tail=2") == "two\nthree\n"
    eventually(lambda: logs("-c", "c0", "--previous").endswith("its end"), what="it was restarted")
    # A following call shows the next one.
    assert sorted(logs("-f", "-c", "c0").splitlines(keepends=True)) == whole
    assert logs("-c", "c1", "--limit-bytes=7") == "the oth"
    everything = logs("--all-containers", "--prefix")
    for line in (
        "[pod/talks/before] three",
        "[pod/talks/c0] it begins",
        "[pod/talks/c1] the other",
    ):
        assert line in everything
    stamp, text = logs("-c", "c1", "--timestamps").split(" ", 1)
    assert text == "the other\n"
    assert len(stamp) == len("2026-01-02T03:04:05.000000006Z")
    assert logs("-c", "c1", f"--since-time={stamp}") == "the other\n"
    later = stamp.replace(stamp[:4], str(int(stamp[:4]) + 1), 1)
    assert logs("-c", "c1", f"--since-time={later}") == ""


def test_last_words_by_both_policies(
    engine_kubectl: Kubectl, engine_namespace: str, containerd: Containerd
) -> None:
    files, links = busybox_files()
    containerd.load(Image(["podward.test/web:1"], files, links, user="web"))
    fall_back = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    long = "i=0; while test $i -lt 100; do echo $i; i=$((i+1)); done"
    wide = "i=0; while test $i -lt 100; do printf '%050d\\n' $i; i=$((i+1)); done"
    ends = manifest(
        "ends",
        shell(f"{long}; exit 1", **fall_back),
        shell(f"{wide}; printf end; exit 1", **fall_back),
        shell(f"{long}; echo mine >/dev/termination-log; exit 1", **fall_back),
        shell(f"{long}; exit 0", **fall_back),
        shell(f"{long}; exit 1"),
        shell(
            "id -u >/words; exit 3",
            terminationMessagePath="/words",
            image="podward.test/web:1",
        ),
        shell("head -c 5000 /dev/zero | tr '\\0' x >/dev/termination-log; printf end >>/dev/termination-log"),
        restartPolicy="Never",
    )  # fmt: skip
    engine_kubectl.apply(ends, "-n", engine_namespace)
    said = last_words(engine_kubectl, engine_namespace, "ends")
    assert said["c0"] == "".join(f"{i}\n" for i in range(20, 100))
    whole = "".join(f"{i:050}\n" for i in range(100)) + "end"
    assert said["c1"] == whole[-2048:][: 12288 // 7]  # a Pod's messages have 12 KiB together
    assert said["c2"] == "mine\n"
    assert said["c3"] == said["c4"] == ""
    assert said["c5"] == "1001\n"
    assert said["c6"] == ("x" * 4093 + "end")[: 12288 // 7]


def test_a_log_is_rotated_and_its_follower_misses_nothing(
    counting: tuple[Podward, Path, "subprocess.Popen[bytes]"],
) -> None:
    podward, shown, follower = counting
    [folder] = (podward.data_dir / "logs").glob("default_counting_*/main")

    def seam() -> tuple[int, int] | None:
        """The last number of the file that was renamed last, and the first of what kubectl shows: the newest
        file. None before the first rotation, and while there is one."""
        renamed = sorted(folder.glob("0.log.2*[0-9]"))
        if not renamed or not (folder / "0.log").exists():
            return None
        with contextlib.suppress(FileNotFoundError):  # it has been compressed meanwhile
            assert renamed[-1].stat().st_size >= 32 * 1024
            first = podward.cli("logs", "counting").split()[1]
            last = renamed[-1].read_text().splitlines()[-1].split()[-1]
            return (
                (int(last), int(first)) if sorted(folder.glob("0.log.2*[0-9]")) == renamed else None
            )
        return None

    last, first = eventually(seam, what="rotated") or (0, 0)
    assert first == last + 1
    beyond = f"line {first + 50}\n"
    eventually(lambda: beyond in shown.read_text(), what="the follower is in the new file")
    lines = shown.read_text().splitlines()[:-1]
    assert lines == [f"line {i}" for i in range(len(lines))]
    podward.cli("delete", "pod", "counting")
    follower.wait(timeout=10)
    eventually(lambda: not folder.exists(), what="the logs went with the Pod")
