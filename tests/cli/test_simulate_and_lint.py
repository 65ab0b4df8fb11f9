"""The two verbs that run without a server, as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTE = ROOT / "tests/golden/kubectl/seed-liveness.yaml"


def podward(*arguments: str, hash_seed: str = "0") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "podward", *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )  # fmt: skip


def test_the_notes_pod_is_told_in_lines_and_in_words() -> None:
    done = podward("simulate", str(NOTE), "--for", "11m")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if "test-liveness-exec  " in line]
    assert lines[-1][1:4] == ["0/1", "CrashLoopBackOff", "6"]
    assert "periodSeconds 5 x failureThreshold 3 notices a failure after 10-15 s" in done.stdout
    assert "ignores SIGTERM, so each restart costs 30 s more" in done.stdout


def test_the_same_seed_gives_the_same_bytes_whatever_the_hashes() -> None:
    runs = [
        podward("simulate", str(NOTE), "--for", "9m", "-o", "json", "--seed", "7", hash_seed=seed)
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    other = podward("simulate", str(NOTE), "--for", "9m", "-o", "json", "--seed", "8")
    assert other.stdout != runs[0].stdout


def test_the_trace_and_the_description_and_the_picture(tmp_path: Path) -> None:
    picture = tmp_path / "x.svg"
    trace = podward("simulate", str(NOTE), "--for", "2m", "-o", "trace", "--plot", str(picture))
    assert " liveness running ready=true started=true restarts=1 last=Error(137)" in trace.stdout
    assert "--- events: first last count type reason source message" in trace.stdout
    assert picture.read_text().startswith("<svg")
    described = podward("simulate", str(NOTE), "--for", "2m", "-o", "describe").stdout
    assert "Restart Count:  1" in described
    assert "Container liveness failed liveness probe, will be restarted" in described


def test_a_described_server_that_still_serves_at_the_end_says_nothing(tmp_path: Path) -> None:
    pod, described = tmp_path / "pod.yaml", tmp_path / "is.yaml"
    pod.write_text(POD + "    command: [my-server]\n")
    described.write_text("commands: {my-server: {listens: [{port: 80}]}}")
    done = podward("simulate", str(pod), "--behaviour", str(described), "--for", "10s")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_picture_as_png(tmp_path: Path) -> None:
    done = podward("simulate", str(NOTE), "--for", "2m", "--plot", str(tmp_path / "x.png"))
    if any(Path("/usr/share/fonts").rglob("*.ttf")):
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert (done.returncode, "fonts-dejavu-core" in done.stderr) == (1, True)


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    done = podward("simulate", str(NOTE), "--for", "10s", "--plot", str(tmp_path / "no" / "x.svg"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("x.svg: No such file or directory")


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: c\n    image: i\n"


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (POD + "    command: [my-server]\n", "does not know the command 'my-server'"),
        (POD + "    command: [sh, -c, 'while true; do :; done']\n", "virtual time cannot pass"),
        (POD + "    command: [sleep, '1']\n    livenessProbe: {}\n", "must specify a handler type"),
        ("apiVersion: v1\nkind: Unheard\nmetadata: {name: x}\n", 'no matches for kind "Unheard"'),
        ("a: [", "line"),
    ],
    ids=["an unknown command", "a loop without time", "an invalid Pod", "an unknown kind", "no YAML"],
)  # fmt: skip
def test_what_cannot_be_simulated_is_said_in_a_line(
    manifest: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(manifest)
    done = podward("simulate", str(file), "--for", "1m")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_behaviour_file_describes_what_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(
        POD
        + "    command: [my-server]\n"
        + "    readinessProbe: {httpGet: {port: 8080, path: /ready}, periodSeconds: 1}\n"
        + "    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 5, failureThreshold: 2}\n"
    )
    (tmp_path / "is.yaml").write_text(
        """
commands:
  my-server:
    starts: 3s
    listens: [{port: 8080, to: 60s, answers: {/ready: 200}}]
    term: {code: 0, after: 1s}
"""
    )
    done = podward(
        "simulate", str(tmp_path / "pod.yaml"), "--for", "2m", "-o", "trace",
        "--behaviour", str(tmp_path / "is.yaml"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "c running ready=true started=true restarts=0" in done.stdout
    assert "restarts=1 last=Completed(0)" in done.stdout
    assert "connect: connection refused" in done.stdout


def test_a_behaviour_file_with_a_mistake_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD + "    command: [my-server]\n")
    (tmp_path / "is.yaml").write_text(
        "commands: {my-server: {listens: [{port: 80, grpc: {'': UP}}]}}\n"
    )
    for name, said in (
        ("is.yaml", ": commands.my-server.listens[0].grpc.\"\": 'UP' is no status; known: UNKNOWN, "
         "SERVING, NOT_SERVING, SERVICE_UNKNOWN"),
        ("none.yaml", ": No such file or directory"),
    ):  # fmt: skip
        file = tmp_path / name
        done = podward("simulate", str(tmp_path / "pod.yaml"), "--behaviour", str(file))
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr == f"cannot simulate: {file}{said}\n"


def test_memory_that_grows_ends_in_oom(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD + "    command: [leaks]\n")
    (tmp_path / "is.yaml").write_text(
        "commands: {leaks: {memory: {grows: 16Mi, every: 1s, limit: 128Mi}}}\n"
    )
    done = podward(
        "simulate", str(tmp_path / "pod.yaml"), "--for", "30s", "-o", "trace",
        "--behaviour", str(tmp_path / "is.yaml"),
    )  # fmt: skip
    assert "last=OOMKilled(137)" in done.stdout


def test_lint_finds_mistakes_in_templates_too_and_its_exit_code_tells(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text(
        """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: c
        image: i
        lifecycle: {preStop: {exec: {command: [sleep, "10"]}}}
"""
    )
    done = podward("lint", str(file), "-o", "json")
    assert done.returncode == 1
    (report,) = json.loads(done.stdout)
    (finding,) = report["findings"]
    assert finding["rule"] == "grace-shorter-than-pre-stop"
    assert finding["path"] == "spec.template.spec.containers[0].lifecycle.preStop"


def test_lint_of_the_notes_pod() -> None:
    done = podward("lint", str(NOTE))
    assert done.returncode == 0
    assert done.stdout.splitlines()[:2] == [
        "pod/test-liveness-exec",
        "  spec.containers[0].livenessProbe",
    ]
    assert "    promises  a failure of liveness is noticed after 10-15 s" in done.stdout
    assert "[shell-hides-term]" in done.stdout
    assert podward("lint", str(NOTE), "--strict").returncode == 1


def test_only_warnings_are_strict(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(
        POD
        + "    readinessProbe: {httpGet: {port: 80}, failureThreshold: 1}\n    command: [server]\n"
    )
    done = podward("lint", str(file), "--strict")
    assert done.returncode == 0
    assert "    info      one answer slower than 1 s takes it out of service" in done.stdout


def test_lint_reads_a_list_item_by_item(tmp_path: Path) -> None:
    file = tmp_path / "list.yaml"
    items = "".join(
        f"- {{apiVersion: v1, kind: {kind}, metadata: {{name: {name}}}, "
        "spec: {containers: [{name: c, image: i, command: [server]}]}}\n"
        for kind, name in (("Pod", "one"), ("Service", "none"), ("Pod", "two"))
    )
    file.write_text("apiVersion: v1\nkind: List\nitems:\n" + items)
    done = podward("lint", str(file))
    assert done.returncode == 0
    assert done.stdout == (
        "pod/one\n  nothing to complain of\n\npod/two\n  nothing to complain of\n"
    )


def test_what_is_ignored_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(
        POD.replace(
            "{name: p}", "{name: p, annotations: {podward.dev/lint-ignore: shell-hides-term}}"
        )
        + "    command: [sh, -c, a; b]\n"
    )
    done = podward("lint", str(file), "--strict")
    assert (done.returncode, done.stdout) == (0, "pod/p\n  nothing to complain of, 1 ignored\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "does not exist"),
        ("a: [", "error parsing"),
        ("- 1", "it is not an object"),
        ("just words", "it is not an object"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "nothing to lint: no Pod"),
        (POD + "    livenessProbe: {tcpSocket: {port: [1]}}\n", "Pod/p"),
        (POD + "    livenesProbe: {}\n", 'unknown field "spec.containers[0].livenesProbe"'),
    ],
    ids=["no file", "no YAML", "a list", "a word", "no Pod in it", "a wrong type", "an unknown field"],
)  # fmt: skip
def test_what_lint_cannot_read_is_said_in_a_line(
    text: str | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "x.yaml"
    if text is not None:
        file.write_text(text)
    done = podward("lint", str(file))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_the_verdict_is_in_the_json_too() -> None:
    done = podward("simulate", str(NOTE), "--for", "2m", "-o", "json")
    (verdict,) = json.loads(done.stdout)["verdict"]
    (container,) = verdict["containers"]
    assert verdict["name"] == "test-liveness-exec"
    assert container["causes"] == [["its liveness probe failed", 1]]
    assert container["noticed"]["median"] == pytest.approx(10, abs=0.1)
    assert container["ending"]["median"] == pytest.approx(30, abs=0.1)
    assert [one["id"] for one in verdict["advice"]] == ["handle-term", "ready-while-ill"]
