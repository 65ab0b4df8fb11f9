import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.golden import Watched
from tests.e2e.support import (
    ROOT,
    Kubectl,
    Podward,
    component_missing,
    kubectl_1_20,
    kubectl_current,
    unmount_below,
)
from tests.engine.containerd import Containerd
from tests.engine.containerd import missing as engine_missing

KUBECTLS = {"kubectl-1.20": kubectl_1_20, "kubectl-on-path": kubectl_current}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)
    # What was begun in the background has its time while the others run.
    items.sort(key=_takes_minutes)


def _takes_minutes(item: pytest.Item) -> bool:
    return bool({"notes_run", "golden_run"} & set(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session", autouse=True)
def background(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str] | None"]:
    """The field note's Pod in `podward run`: begun before everything else, for it takes two minutes."""
    if not any(map(_takes_minutes, request.session.items)):
        yield None
        return
    example = ROOT / "examples/01-liveness/pod.yaml"
    with subprocess.Popen(
        [sys.executable, "-m", "podward", "run", str(example), "--for", "82s"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        yield process
        process.terminate()


@pytest.fixture(scope="session")
def notes_run(background: "subprocess.Popen[str] | None") -> "subprocess.Popen[str]":
    assert background is not None
    return background


@pytest.fixture(scope="session")
def podward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podward]:
    """One server for all tests that leave it as they found it (each in a namespace of its own)."""
    server = Podward(tmp_path_factory.mktemp("podward") / "data").start()
    yield server
    server.tear_down()


SERVERS = {"processes": "podward", "containers": "engine_podward"}
"""What runs a Pod -> the fixture of the server that has it run."""


@pytest.fixture(scope="session", autouse=True)
def golden_background(request: pytest.FixtureRequest) -> dict[str, Watched]:
    """The golden manifests, begun before everything else on the servers that a test asks for."""
    asked: set[str] = {
        str(item.callspec.params["golden_run"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and "golden_run" in item.fixturenames
    }
    if engine_missing():
        asked.discard("containers")  # who asks for them is told so
    begun = {kind: Watched(request.getfixturevalue(SERVERS[kind])) for kind in sorted(asked)}
    for watched in begun.values():
        watched.begin()
    return begun


@pytest.fixture(scope="session", params=SERVERS)
def golden_run(request: pytest.FixtureRequest, golden_background: dict[str, Watched]) -> Watched:
    """When it has been watched long enough."""
    request.getfixturevalue(SERVERS[request.param])
    watched = golden_background[request.param]
    watched.wait()
    return watched


@pytest.fixture(scope="session")
def engine_podward(
    containerd: Containerd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Podward]:
    """One server on real containers for all tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("engine-podward")
    server = Podward(folder / "data", "--runtime", f"cri://{containerd.socket}").start()
    yield server
    server.stop()  # its containers go with their engine, its volumes in memory with nobody
    unmount_below(folder)


@pytest.fixture
def engine_kubectl(engine_podward: Podward, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """A recent kubectl that talks to `engine_podward`."""
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    return Kubectl(binary, engine_podward, tmp_path_factory.mktemp("home"))


@pytest.fixture
def engine_namespace(request: pytest.FixtureRequest, engine_podward: Podward) -> Iterator[str]:
    """A namespace of `engine_podward` for one test."""
    name = "t-" + str(abs(hash(request.node.nodeid)))[:12]
    space = f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"
    engine_podward.cli("apply", "-f", "-", input=space)
    yield name
    engine_podward.cli("delete", "namespace", name, "--wait=false", check=False)


@pytest.fixture
def own_podward(tmp_path: Path) -> Iterator[Podward]:
    """A server that the test may kill."""
    server = Podward(tmp_path / "data").start()
    yield server
    server.tear_down()


@pytest.fixture(params=KUBECTLS)
def kubectl(
    request: pytest.FixtureRequest, podward: Podward, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    """Every kubectl that this machine has, and 1.20."""
    binary = KUBECTLS[request.param]()
    if binary is None:
        component_missing(request.param)
        raise AssertionError
    return Kubectl(binary, podward, tmp_path_factory.mktemp("home"))


@pytest.fixture
def recent_kubectl(podward: Podward, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """For what only a recent kubectl speaks."""
    binary = kubectl_current()
    if binary is None:
        component_missing("a recent kubectl on the PATH")
        raise AssertionError
    return Kubectl(binary, podward, tmp_path_factory.mktemp("home"))


@pytest.fixture
def namespace(request: pytest.FixtureRequest, podward: Podward) -> Iterator[str]:
    name = "t-" + str(abs(hash(request.node.nodeid)))[:12]
    podward.cli(
        "apply", "-f", "-", input=f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"
    )
    yield name
    podward.cli("delete", "namespace", name, "--wait=false", check=False)
