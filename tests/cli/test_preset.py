"""`podward preset`: the engine's table once more, from files, and what people and scripts see."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from tests.admission.plugins.pod_preset import shorthand
from tests.admission.plugins.pod_preset.test_cases import (
    CASES,
    expected_pod,
    wanted,
    without_provenance,
)

from podward.admission.plugins.pod_preset.model import Mode
from podward.api.yaml_loader import load_one
from podward.api.yaml_printer import to_yaml
from podward.cli.errors import CliError
from podward.cli.preset import command

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@dataclass
class Said:
    code: int
    out: str
    err: str


def preset(*arguments: str) -> Said:
    """The verb in this process: its exit code, and what it printed."""
    outcome = CliRunner().invoke(command, arguments)
    if isinstance(outcome.exception, CliError):
        return Said(outcome.exception.code, outcome.stdout, str(outcome.exception))
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome.exception
    return Said(outcome.exit_code, outcome.stdout, outcome.stderr)


def written(folder: Path, name: str, *documents: Any) -> str:
    path = folder / name
    path.write_text("---\n".join(to_yaml(document) for document in documents))
    return str(path)


ROWS = [
    case
    for case in CASES
    if "want" in case and not {"op", "sub", "res"} & case.keys() and case.get("passes", 1) == 1
]


@pytest.mark.parametrize("mode", ["compat", "safe"])
@pytest.mark.parametrize("case", ROWS, ids=[case["id"] for case in ROWS])
def test_every_row_of_the_table_holds_from_files(
    case: dict[str, Any], mode: Mode, tmp_path: Path
) -> None:
    pod = shorthand.pod(case.get("pod"))
    said = preset(
        "apply", "-n", "edge", "--mode", mode,
        "-f", written(tmp_path, "pod.yaml", pod),
        "--presets", written(tmp_path, "presets.yaml", *map(shorthand.preset, case["p"])),
    )  # fmt: skip
    want = wanted(case, mode)
    if want == "same":
        assert load_one(said.out) == pod
        assert said.code == (3 if "conflict" in said.err else 0)
    elif "err" in want:
        assert (said.code, said.out) == (1, "")
        assert "filtering pod presets failed" in said.err
    elif "podinvalid" in want:
        assert said.code == 1
        assert want["podinvalid"] in said.err
    elif want.get("invalid") == [short["n"] for short in case["p"]]:
        assert (said.code, said.out) == (1, ""), "nothing is left that could be applied"
    else:
        assert without_provenance(load_one(said.out)) == expected_pod(case, want)
        assert said.code == (1 if "would be refused" in said.err else 0)


OBJECTS = [case for case in CASES if case.get("valid")]


@pytest.mark.parametrize("case", OBJECTS, ids=[case["id"] for case in OBJECTS])
def test_a_preset_that_no_server_stores_is_bad_input(case: dict[str, Any], tmp_path: Path) -> None:
    said = preset(
        "apply", "-f", written(tmp_path, "pod.yaml", shorthand.pod(None)),
        "--presets", written(tmp_path, "presets.yaml", *map(shorthand.preset, case["p"])),
    )  # fmt: skip
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: PodPreset.settings.k8s.io ")
    assert all(problem.partition(" @ ")[2] in said.err for problem in case["valid"])
    assert said.err.count("\n") == 0


def example(folder: str, verb: str, *more: str, pod: str = "pod.yaml") -> Said:
    where = EXAMPLES / folder
    return preset(verb, "-f", str(where / pod), "--presets", str(where), *more)


def test_the_notes_preset_reaches_the_notes_pod() -> None:
    """examples/09-pod-preset."""
    said = example("09-pod-preset", "apply")
    pod = yaml.safe_load(said.out)
    assert said.code == 0
    assert said.err == ""
    assert pod["spec"]["containers"][0]["env"] == [{"name": "DB_PORT", "value": "6379"}]
    assert pod["spec"]["volumes"] == [{"name": "cache-volume", "emptyDir": {}}]
    patch = json.loads(example("09-pod-preset", "apply", "-o", "patch").out)
    assert {operation["op"] for operation in patch} == {"add"}
    as_json = example("09-pod-preset", "apply", "-o", "json").out
    assert json.loads(as_json) == pod


def test_a_conflict_is_told_and_has_an_exit_code_of_its_own() -> None:
    """examples/12-preset-conflict: the old kind gives the Pod nothing, the new one all but the clash."""
    said = example("12-preset-conflict", "apply", pod="pods.yaml")
    chatty, modern = yaml.safe_load_all(said.out)
    assert said.code == 3
    assert "annotations" not in chatty["metadata"]
    assert [v["value"] for v in modern["spec"]["containers"][0]["env"]] == ["debug", "json"]
    assert said.err.splitlines() == [
        "conflict: pod/chatty: podpreset/quiet wants another value of env LOG_LEVEL in container app "
        "than the Pod has (SkipAll)",
        "conflict: pod/modern: podpreset.podward.dev/quiet-but-polite wants another value of env "
        "LOG_LEVEL in container app than the Pod has (KeepPod)",
    ]


def test_an_explanation_in_a_pipe_is_json_and_holds_no_value_of_a_conflict() -> None:
    said = example("12-preset-conflict", "explain", pod="pods.yaml")
    chatty, modern = json.loads(said.out)
    assert said.code == 3
    assert (chatty["applied"], modern["applied"]) == (
        [],
        ["podpreset.podward.dev/quiet-but-polite"],
    )
    assert [(d["field"], d["action"]) for d in modern["decisions"]] == [
        ("spec.containers[app].env[LOG_LEVEL]", "kept"),
        ("spec.containers[app].env[LOG_FORMAT]", "added"),
    ]
    assert "warn" not in json.dumps(chatty)
    assert "debug" not in json.dumps(chatty)


def test_an_explanation_says_which_preset_put_each_line_there() -> None:
    """examples/10-health-preset."""
    said = example("10-health-preset", "explain", "-o", "diff")
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert lines[0] == "pod/shop in namespace default: 1 preset matches"
    probe = next(line for line in lines if line.startswith("+     livenessProbe:"))
    assert probe.endswith("# podpreset.podward.dev/watched")
    assert "  kind: Pod" in lines
    assert said.code == 0


def test_a_cluster_preset_reaches_the_namespaces_that_it_selects() -> None:
    """examples/11-cluster-preset."""
    said = example("11-cluster-preset", "apply")
    _, pod = yaml.safe_load_all(said.out)
    assert pod["spec"]["terminationGracePeriodSeconds"] == 60
    assert [c["name"] for c in pod["spec"]["initContainers"]] == ["heartbeat"]
    elsewhere = example("11-cluster-preset", "apply", "-n", "default")
    assert "terminationGracePeriodSeconds" not in elsewhere.out


def test_a_template_is_never_touched_but_its_pods_are_explained(tmp_path: Path) -> None:
    template = shorthand.pod(None)
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "edge"},
        "spec": {"template": {"metadata": {"labels": {"tier": "web"}}, "spec": template["spec"]}},
    }
    files = (
        "-f", written(tmp_path, "deployment.yaml", workload),
        "--presets", written(tmp_path, "p.yaml", shorthand.preset({"n": "cal", "env": ["TZ=UTC"]})),
    )  # fmt: skip
    applied = preset("apply", *files)
    assert applied.code == 0
    assert yaml.safe_load(applied.out) == workload
    assert "presets only reach Pods" in applied.err
    explained = json.loads(preset("explain", *files).out)
    assert (explained["object"], explained["applied"]) == ("pod/web-<generated>", ["podpreset/cal"])


def test_a_preset_that_rejects_leaves_no_pod_to_print(tmp_path: Path) -> None:
    strict = shorthand.preset(
        {"n": "strict", "kind": "podward", "env": ["A=1"], "spec": {"onConflict": "Reject"}}
    )
    said = preset(
        "apply", "-f", written(tmp_path, "pod.yaml", shorthand.pod({"c": [{"env": ["A=2"]}]})),
        "--presets", written(tmp_path, "presets.yaml", strict),
    )  # fmt: skip
    assert (said.code, said.out) == (3, "")
    assert "rejected: pod/web: " in said.err


@pytest.mark.parametrize(
    ("pod", "presets", "words"),
    [
        ("nowhere.yaml", "good", 'the path "{tmp}/nowhere.yaml" does not exist'),
        ("kind: [", "good", "error parsing"),
        ("just text", "good", "it is not an object"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: 7}}",
            "good",
            "cannot be handled as a Pod",
        ),
        ("good", "{apiVersion: v1, kind: Pod, metadata: {name: a}}", "no presets in"),
        (
            "good",
            "{apiVersion: settings.k8s.io/v1alpha1, kind: PodPreset, metadata: {name: a},"
            " spec: {env: [{name: A, value: 7}]}}",
            "cannot be handled as a PodPreset",
        ),
    ],
)
def test_bad_input_is_one_clear_line(pod: str, presets: str, words: str, tmp_path: Path) -> None:
    good = {
        "pod": yaml.safe_dump(shorthand.pod(None)),
        "presets": yaml.safe_dump(shorthand.preset({"n": "cal", "env": ["TZ=UTC"]})),
    }
    paths = {}
    for name, text in (("pod", pod), ("presets", presets)):
        path = tmp_path / (text if text.endswith(".yaml") else f"{name}.yaml")
        if not text.endswith(".yaml"):
            path.write_text(good[name] if text == "good" else text)
        paths[name] = str(path)
    done = subprocess.run(
        [sys.executable, "-m", "podward", "preset", "apply", "-f", paths["pod"],
         "--presets", paths["presets"]],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert words.format(tmp=tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) <= 4, done.stderr
    assert "Traceback" not in done.stderr


def test_what_1_19_erases_is_said(tmp_path: Path) -> None:
    """The container's whole envFrom goes, because one source of it differs in `optional` (Q2)."""
    said = preset(
        "apply", "-n", "edge", "--mode", "compat",
        "-f", written(tmp_path, "pod.yaml", shorthand.pod({"c": [{"from": ["cm:flags"]}]})),
        "--presets", written(tmp_path, "p.yaml", shorthand.preset({"n": "c", "from": ["cm:flags?"]})),
    )  # fmt: skip
    assert "envFrom" not in load_one(said.out)["spec"]["containers"][0]
    assert "the container loses the whole list" in said.err
