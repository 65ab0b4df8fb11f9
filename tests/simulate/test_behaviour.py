"""Behaviour files: what they may say, and what a simulated machine then does, in a whole cluster."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightkube.models import core_v1

from podward.api.yaml_loader import load_all
from podward.probes.health_messages import CHECK, ServingStatus
from podward.simulate.answers import Listens, OverTime, RpcError, Span
from podward.simulate.behaviour import load
from podward.simulate.reading import DescriptionError
from podward.simulate.simulation import Recording, simulate
from podward.simulate.world import World


def behaviour(folder: Path, text: str) -> Callable[[World], None]:
    path = folder / "is.yaml"
    path.write_text(text)
    return load([path])


def pod(name: str = "p", command: str = "[my-server]", image: str = "i", **probes: str) -> str:
    lines = "".join(f"    {kind}: {{{probe}}}\n" for kind, probe in probes.items())
    runs = f"    command: {command}\n" if command else ""
    return (
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n"
        "  terminationGracePeriodSeconds: 1\n"
        f"  containers:\n  - name: c\n    image: {image}\n{runs}{lines}"
    )


@pytest.fixture
def lives(tmp_path: Path) -> Callable[..., Recording]:
    def run(manifest: str, described: str, seconds: float = 120) -> Recording:
        documents = list(load_all(manifest))
        return simulate(documents, seconds, prepare=behaviour(tmp_path, described))

    return run


def messages(recording: Recording, reason: str) -> list[str]:
    """Of each event with that reason, once."""
    return [e.message or "" for e in recording.events.values() if e.reason == reason]


def first_said(recording: Recording, reason: str) -> float:
    return next(said.at for said in recording.said if said.event.reason == reason)


def container(recording: Recording, index: int = -1) -> core_v1.ContainerStatus:
    status = recording.changes[index].pod.status
    assert status is not None
    assert status.containerStatuses is not None
    return status.containerStatuses[0]


def running_since(recording: Recording) -> float:
    for change in recording.changes:
        for status in (change.pod.status and change.pod.status.containerStatuses) or ():
            if status.state and status.state.running and status.state.running.startedAt:
                return change.at
    raise AssertionError("never ran")


def ready(recording: Recording) -> list[tuple[float, bool]]:
    """When readiness changed, and to what."""
    out: list[tuple[float, bool]] = []
    for change in recording.changes:
        for status in (change.pod.status and change.pod.status.containerStatuses) or ():
            if not out or out[-1][1] is not status.ready:
                out.append((change.at, status.ready))
    return out


# ---- gRPC in the whole cluster


def test_a_grpc_liveness_probe_that_fails_at_60_s_restarts_the_container(lives: Any) -> None:
    recording = lives(
        pod(livenessProbe="grpc: {port: 9000}, periodSeconds: 5, failureThreshold: 3"),
        """
commands:
  my-server:
    listens:
    - port: 9000
      grpc: {"": [{from: 0s, to: 60s, status: SERVING}, {from: 60s, status: NOT_SERVING}]}
    term: {code: 0}
""",
        100,
    )
    began = running_since(recording)
    assert messages(recording, "Unhealthy") == [
        'Liveness probe failed: service unhealthy (responded with "NOT_SERVING")'
    ]
    assert 60 <= first_said(recording, "Unhealthy") - began <= 66
    assert 70 <= first_said(recording, "Killing") - began <= 76
    last = container(recording)
    assert last.restartCount == 1
    assert last.state is not None
    assert last.state.running is not None


@pytest.mark.parametrize(
    ("listens", "action", "said"),
    [
        (
            "{port: 9000, grpc: {my.service: SERVING}}",
            "port: 9000",
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
        ),
        (
            "{port: 9000, grpc: {my.service: UNKNOWN}}",
            "port: 9000, service: my.service",
            'service unhealthy (responded with "UNKNOWN")',
        ),
        (
            "{port: 9000, grpc: {'': [{to: 1s, status: SERVING}]}}",
            "port: 9000",
            "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service",
        ),
        (
            "{port: 9000, grpc: {}}",
            "port: 9000",
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            "unknown service grpc.health.v1.Health",
        ),
        (
            "{port: 9000, grpc: {'': SERVING}, delay: 3s}",
            "port: 9000",
            "timeout: health rpc did not complete within 1s",
        ),
        (
            "{port: 9000, hangs: true}",
            "port: 9000",
            'timeout: failed to connect service "IP:9000" within 1s: context deadline exceeded',
        ),
        (
            "{port: 9000, answers: {/: 200}}",
            "port: 9000",
            'timeout: failed to connect service "IP:9000" within 1s: context deadline exceeded',
        ),
        (
            "{port: 9000, grpc: {'': SERVING}, tls: true}",
            "port: 9000",
            'timeout: failed to connect service "IP:9000" within 1s: context deadline exceeded',
        ),
        (
            "{port: 9000, grpc: {'': SERVING}, to: 1s}",
            "port: 9000",
            'timeout: failed to connect service "IP:9000" within 1s: context deadline exceeded',
        ),
    ],
)
def test_each_way_in_which_a_grpc_probe_fails(
    lives: Any, listens: str, action: str, said: str
) -> None:
    recording = lives(
        pod(readinessProbe=f"grpc: {{{action}}}, periodSeconds: 5, initialDelaySeconds: 2"),
        f"commands: {{my-server: {{listens: [{listens}]}}}}",
        20,
    )
    ip = (recording.changes[-1].pod.status or core_v1.PodStatus()).podIP or ""
    (message,) = messages(recording, "Unhealthy")
    assert message.replace(ip, "IP") == f"Readiness probe failed: {said}"
    assert [now for _, now in ready(recording)] == [False]


def test_a_service_that_serves_is_ready(lives: Any) -> None:
    recording = lives(
        pod(readinessProbe="grpc: {port: 9000, service: my.service}, periodSeconds: 1"),
        "commands: {my-server: {starts: 3s, listens: [{port: 9000, delay: 900ms, grpc: "
        "{'': NOT_SERVING, my.service: SERVING}}]}}",
        20,
    )
    assert [now for _, now in ready(recording)] == [False, True]


# ---- HTTP in the whole cluster


def test_http_answers_change_over_time(lives: Any) -> None:
    recording = lives(
        pod(
            readinessProbe="httpGet: {port: 80, path: /ready?x=1}, periodSeconds: 1, failureThreshold: 1"
        ),
        """
commands:
  my-server:
    starts: 10s
    listens:
    - port: 80
      answers:
        /ready: [{from: 0s, to: 30s, status: 200}, {from: 30s, to: 1m, status: 503}, {from: 60s, status: 200}]
""",
    )
    began = running_since(recording)
    changes = [(at - began, now) for at, now in ready(recording)]
    assert [now for _, now in changes] == [False, True, False, True]
    for at, due in zip([at for at, _ in changes[1:]], (10, 40, 70), strict=True):
        assert due <= at <= due + 2
    assert "Readiness probe failed: HTTP probe failed with statuscode: 503" in messages(
        recording, "Unhealthy"
    )


@pytest.mark.parametrize(
    ("listens", "action", "said"),
    [
        (
            "{port: 80, answers: {/: 200}, delay: 3s}", "port: 80",
            'Get "http://IP:80/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        ),
        (
            "{port: 80, hangs: true}", "port: 80",
            'Get "http://IP:80/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        ),
        ("{port: 80}", "port: 80", 'Get "http://IP:80/": EOF'),
        ("{port: 80, answers: {/a: 200}}", "port: 80", "HTTP probe failed with statuscode: 404"),
        (
            "{port: 80, answers: {/: 200}}", "port: 80, scheme: HTTPS",
            'Get "https://IP:80/": http: server gave HTTP response to HTTPS client',
        ),
        (
            "{port: 80, answers: {/: 200}, tls: true}", "port: 80, scheme: HTTP",
            "HTTP probe failed with statuscode: 400",
        ),
        (
            "{port: 443, answers: {/: 500}, tls: true}", "port: 443, scheme: HTTPS",
            "HTTP probe failed with statuscode: 500",
        ),
    ],
)  # fmt: skip
def test_each_way_in_which_an_http_probe_fails(
    lives: Any, listens: str, action: str, said: str
) -> None:
    recording = lives(
        pod(readinessProbe=f"httpGet: {{{action}}}, periodSeconds: 5, initialDelaySeconds: 1"),
        f"commands: {{my-server: {{listens: [{listens}]}}}}",
        20,
    )
    ip = (recording.changes[-1].pod.status or core_v1.PodStatus()).podIP or ""
    (message,) = messages(recording, "Unhealthy")
    assert message.replace(ip, "IP") == f"Readiness probe failed: {said}"


def test_https_to_a_listener_with_tls_and_a_delay_within_the_timeout(lives: Any) -> None:
    recording = lives(
        pod(
            readinessProbe="httpGet: {port: 443, scheme: HTTPS}, timeoutSeconds: 4, periodSeconds: 1"
        ),
        "commands: {my-server: {listens: [{port: 443, tls: true, delay: 3s, answers: {/: 200}}]}}",
        20,
    )
    assert [now for _, now in ready(recording)] == [False, True]
    became, _ = ready(recording)[-1]
    assert became - running_since(recording) >= 3


def test_a_tcp_probe_is_content_with_a_server_that_hangs(lives: Any) -> None:
    recording = lives(
        pod(readinessProbe="tcpSocket: {port: 80}, periodSeconds: 1"),
        "commands: {my-server: {listens: [{port: 80, hangs: true}]}}",
        20,
    )
    assert [now for _, now in ready(recording)] == [False, True]


def test_a_port_that_answers_and_then_hangs_is_two_listeners(lives: Any) -> None:
    recording = lives(
        pod(livenessProbe="httpGet: {port: 80}, periodSeconds: 5, failureThreshold: 2"),
        """
commands:
  my-server:
    listens:
    - {port: 80, from: 30s, hangs: true}
    - {port: 80, to: 30s, answers: {/: 200}}
    term: ignored
""",
        60,
    )
    assert [m.partition(": ")[0] for m in messages(recording, "Unhealthy")] == [
        "Liveness probe failed"
    ]
    assert "Client.Timeout" in messages(recording, "Unhealthy")[0]
    assert 30 <= first_said(recording, "Unhealthy") - running_since(recording) <= 37


def test_two_containers_of_a_pod_cannot_have_one_port(lives: Any) -> None:
    manifest = pod() + "  - {name: d, image: i, command: [other]}\n"
    described = """
commands:
  my-server: {listens: [{port: 80}]}
  other: {starts: 1s, listens: [{port: 80}]}
"""
    recording = lives(manifest, described, 5)
    status = recording.changes[-1].pod.status
    assert status is not None
    assert status.containerStatuses is not None
    first, second = status.containerStatuses
    assert first.restartCount == 0
    assert second.lastState is not None
    assert second.lastState.terminated is not None
    assert second.lastState.terminated.exitCode == 1


def test_what_an_exec_probe_costs_can_be_described(lives: Any) -> None:
    described = "commands: {my-server: {}, check: {exits: {code: 0, after: %s}}}"
    manifest = pod(readinessProbe="exec: {command: [/usr/bin/check]}, periodSeconds: 2")
    quick = lives(manifest, described % "200ms", 20)
    assert [now for _, now in ready(quick)] == [False, True]
    slow = lives(manifest, described % "3s", 20)
    assert [now for _, now in ready(slow)] == [False]
    assert messages(slow, "Unhealthy") == [
        'Readiness probe failed: command timed out: "/usr/bin/check" timed out after 1s'
    ]


# ---- images


def test_an_image_runs_its_own_command_unless_the_container_names_one(lives: Any) -> None:
    described = """
commands: {my-server: {}}
images:
  my-image: {command: [my-server], args: [--fast]}
"""
    for manifest in (
        pod(command="", image="my-image"),
        pod(command="", image="docker.io/library/my-image:latest"),
    ):
        state = container(lives(manifest, described, 5)).state
        assert state is not None
        assert state.running is not None
    done = container(lives(pod(command="['true']", image="my-image"), described, 5))
    assert done.lastState is not None
    assert done.lastState.terminated is not None
    assert done.lastState.terminated.exitCode == 0


def test_args_replace_the_images_args_and_a_command_drops_them(lives: Any) -> None:
    described = "images: {i: {command: [sh, -c], args: ['exit 3']}}"
    codes = []
    for command in ("", "[sh, -c]\n    args: ['exit 4']", "[sh, -c, 'exit 5']"):
        state = container(lives(pod(command=command), described, 5)).lastState
        assert state is not None
        assert state.terminated is not None
        codes.append(state.terminated.exitCode)
    manifest = pod(command="").replace("image: i\n", "image: i\n    args: ['exit 6']\n")
    state = container(lives(manifest, described, 5)).lastState
    assert state is not None
    assert state.terminated is not None
    assert [*codes, state.terminated.exitCode] == [3, 4, 5, 6]


def test_an_image_without_a_described_command_is_still_refused(lives: Any) -> None:
    recording = lives(pod(command=""), "images: {other: {command: [my-server]}}", 5)
    (message,) = set(messages(recording, "Failed"))
    assert 'no command specified: what image "i" runs is not known here' in message


def test_an_image_that_nobody_has(lives: Any) -> None:
    recording = lives(pod(image="broken:1"), "images: {'broken:1': {missing: true}}", 60)
    name = "docker.io/library/broken:1"
    said = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": {name}: not found'
    assert f'Failed to pull image "broken:1": {said}' in messages(recording, "Failed")
    assert "Error: ErrImagePull" in messages(recording, "Failed")
    reasons = [
        status.state.waiting.reason
        for change in recording.changes
        for status in (change.pod.status and change.pod.status.containerStatuses) or ()
        if status.state and status.state.waiting
    ]
    assert "ErrImagePull" in reasons
    assert not messages(recording, "Started")


def test_a_slow_pull_is_waited_for_once(lives: Any) -> None:
    described = "commands: {my-server: {}}\nimages: {slow: {pull: 20s, command: [my-server]}}"
    recording = lives(pod(image="slow", command=""), described, 60)
    assert messages(recording, "Pulling") == ['Pulling image "slow"']
    assert 20 <= running_since(recording) <= 22
    with_a_crash = described.replace("{}", "{exits: {code: 1, after: 1s}}")
    again = lives(pod(image="slow", command=""), with_a_crash, 60)
    assert container(again).restartCount >= 1
    assert messages(again, "Pulling") == ['Pulling image "slow"']
    assert len(messages(again, "Started")) >= 1


def test_a_missing_image_may_take_its_time_to_be_missed(lives: Any) -> None:
    recording = lives(pod(image="far"), "images: {far: {missing: true, pull: 7s}}", 9)
    assert first_said(recording, "Failed") - first_said(recording, "Pulling") == pytest.approx(7)


# ---- which answer holds when


@pytest.mark.parametrize(("moment", "value"), [(0, None), (1, "a"), (2.9, "a"), (3, "b"), (9, "b")])
def test_the_first_span_that_covers_the_moment_wins(moment: float, value: str | None) -> None:
    over_time = OverTime((Span("a", 1, 3), Span("b", 2)))
    assert over_time.at(moment) == value


def test_a_health_service_knows_check_and_what_was_described() -> None:
    serving = OverTime((Span(ServingStatus.SERVING, 5),))
    listens = Listens(80, grpc={"a": serving})
    assert listens.health(CHECK, "a", 5) is ServingStatus.SERVING
    assert listens.health(CHECK, "a", 4) == RpcError(5, "unknown service")
    assert listens.health(CHECK, "b", 5) == RpcError(5, "unknown service")
    watch = listens.health("/grpc.health.v1.Health/Watch", "a", 5)
    assert watch == RpcError(12, "unknown method Watch for service grpc.health.v1.Health")
    assert listens.health("/x.Y/Z", "a", 5) == RpcError(12, "unknown service x.Y")
    assert Listens(80, grpc={}).health(CHECK, "a", 5) == RpcError(
        12, "unknown service grpc.health.v1.Health"
    )


# ---- what is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", ": expected an object"),
        ("comands: {}", ": unknown field 'comands'; known: commands, images"),
        ("commands: []", ": commands: expected an object"),
        ("commands: {a: 1}", ": commands.a: expected an object"),
        ("commands: {a: {start: 1s}}", ": commands.a: unknown field 'start'; known: starts, "),
        ("commands: {a: {starts: soon}}", ": commands.a.starts: 'soon' is no duration"),
        ("commands: {a: {starts: ''}}", ": commands.a.starts: '' is no duration"),
        ("commands: {a: {starts: -1}}", ": commands.a.starts: -1 is no duration"),
        ("commands: {a: {starts: .inf}}", ": commands.a.starts: inf is no duration"),
        ("commands: {a: {starts: true}}", ": commands.a.starts: True is no duration"),
        ("commands: {a: {prints: [x]}}", ": commands.a.prints: expected a text"),
        ("commands: {a: {exits: 1}}", ": commands.a.exits: expected an object"),
        ("commands: {a: {exits: {code: 256}}}", ": commands.a.exits.code: expected a number from 0 to 255"),
        ("commands: {a: {term: never}}", ": commands.a.term: expected an object"),
        ("commands: {a: {memory: {grows: 0, limit: 1Mi}}}", ": commands.a.memory.grows: 0 is no amount"),
        ("commands: {a: {memory: {grows: 1Mi}}}", ": commands.a.memory.limit: None is no amount"),
        ("commands: {a: {listens: {}}}", ": commands.a.listens: expected a list"),
        ("commands: {a: {listens: [80]}}", ": commands.a.listens[0]: expected an object"),
        ("commands: {a: {listens: [{}]}}", ": commands.a.listens[0].port: expected a number from 1 to 65535"),
        ("commands: {a: {listens: [{port: true}]}}", "listens[0].port: expected a number"),
        ("commands: {a: {listens: [{port: 80}, {port: 80}]}}", "[1]: port 80 is still that of listens[0]"),
        ("commands: {a: {listens: [{port: 80, from: 5s, to: 5s}]}}", "listens[0].to: must come after `from`"),
        ("commands: {a: {listens: [{port: 80, answers: {/: yes}}]}}", "listens[0].answers./: expected a number "
         "from 200 to 599, not True"),
        ("commands: {a: {listens: [{port: 80, answers: {/: 99}}]}}", "answers./: expected a number from 200"),
        ("commands: {a: {listens: [{port: 80, answers: {ready: 200}}]}}", "answers: 'ready' is no path"),
        ("commands: {a: {listens: [{port: 80, answers: {/: [{status: 200, until: 1}]}}]}}",
         "listens[0].answers./[0]: unknown field 'until'; known: from, to, status"),
        ("commands: {a: {listens: [{port: 80, answers: {/: [{from: 1s}]}}]}}", "answers./[0].status: expected"),
        ("commands: {a: {listens: [{port: 80, grpc: {'': DOWN}}]}}", "grpc.\"\": 'DOWN' is no status; "
         "known: UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN"),
        ("commands: {a: {listens: [{port: 80, grpc: SERVING}]}}", "listens[0].grpc: expected an object"),
        ("commands: {a: {listens: [{port: 80, grpc: {}, answers: {}}]}}", "'answers' and 'grpc' exclude"),
        ("commands: {a: {listens: [{port: 80, grpc: {}, hangs: true}]}}", "'grpc' and 'hangs' exclude"),
        ("commands: {a: {listens: [{port: 80, hangs: 1}]}}", "listens[0].hangs: expected true or false"),
        ("commands: {a: {listens: [{port: 80, tls: on-top}]}}", "listens[0].tls: expected true or false"),
        ("commands: {a: {listens: [{port: 80, delay: 1s}]}}", "listens[0].delay: there are no 'answers'"),
        ("images: {i: {entrypoint: [x]}}", ": images.i: unknown field 'entrypoint'; known: command, args"),
        ("images: {i: {command: x}}", ": images.i.command: expected a list"),
        ("images: {i: {command: [[x]]}}", ": images.i.command[0]: expected a text"),
        ("images: {i: {missing: true, command: [x]}}", ": images.i: an image that is missing runs nothing"),
        ("images: {i: {pull: x}}", ": images.i.pull: 'x' is no duration"),
        ("a: [", "yaml: line"),
    ],
)  # fmt: skip
def test_what_is_no_behaviour_is_refused_with_its_path(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DescriptionError) as raised:
        behaviour(tmp_path, text)
    assert str(raised.value).startswith(str(tmp_path / "is.yaml"))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_reference_in_the_documentation_can_be_read(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/simulate.md").read_text()
    (example,) = (
        part for part in re.findall(r"```yaml\n(.*?)```", text, re.S) if "commands:" in part
    )
    behaviour(tmp_path, example)


def test_several_files_and_documents_add_up_and_the_last_wins(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("images: {i: {missing: true}}\n---\nimages: {j: {}}\n")
    (tmp_path / "b.yaml").write_text("images: {'i:latest': {command: [x]}}\n")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    seen: dict[str, Any] = {}

    class Taught:
        programs: dict[str, Any] = {}  # noqa: RUF012
        images = seen

    load([tmp_path / name for name in ("a.yaml", "b.yaml", "empty.yaml")])(Taught())  # type: ignore[arg-type]
    assert {name: image.command for name, image in seen.items()} == {
        "docker.io/library/i:latest": ("x",),
        "docker.io/library/j:latest": (),
    }
