"""A manifest in, a report out: wherever the Pod stands in it, whatever its author chose to ignore."""

from pathlib import Path
from typing import Any

import pytest

from podward.api.yaml_loader import load_all
from podward.lint.report import IGNORE, TEMPLATES, Report, has_pod, report
from podward.lint.rules import INIT_RULES, RULES

ROOT = Path(__file__).resolve().parents[2]

SHELL = ["sh", "-c", "setup; server"]


def nested(kind: str, template: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = template
    for step in reversed(TEMPLATES[kind]):
        inner = {step: inner}
    return {
        "apiVersion": "v1",
        **inner,
        "kind": kind,
        "metadata": {"name": "x", **inner.get("metadata", {})},
    }


def template(container: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", "image": "i", **(container or {})}], **fields}}


def rules(told: Report) -> list[str]:
    return [finding.rule for finding in told.findings]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_pod_is_found_in_every_kind_and_its_path_is_whole(kind: str) -> None:
    policy = "OnFailure" if kind in ("Job", "CronJob") else "Always"
    document = nested(kind, template({"command": SHELL}, restartPolicy=policy))
    assert has_pod(document)
    (finding,) = report(document).findings
    assert finding.rule == "shell-hides-term"
    assert finding.path == ".".join((*TEMPLATES[kind], "spec.containers[0].command"))


def test_a_kind_without_a_pod_is_not_read() -> None:
    assert not has_pod({"kind": "Service"})


@pytest.mark.parametrize(
    ("kind", "policy", "body"),
    [
        ("Deployment", "Never", 'Unsupported value: "Never": supported values: "Always"'),
        ("Job", "Always", 'Required value: valid values: "OnFailure", "Never"'),
    ],
)
def test_a_template_has_the_restart_policies_of_its_kind(kind: str, policy: str, body: str) -> None:
    told = report(nested(kind, template(restartPolicy=policy)))
    (finding,) = told.findings
    assert (finding.rule, finding.severity, finding.message) == ("invalid", "error", body)
    assert finding.path == "spec.template.spec.restartPolicy"


@pytest.mark.parametrize(
    ("probe", "body"),
    [
        ({"tcpSocket": {"port": 80}, "successThreshold": 2}, "must be 1"),
        ({"httpGet": {"port": 80, "scheme": "https"}}, 'supported values: "HTTP", "HTTPS"'),
        ({"httpGet": {"port": "8080"}}, "must contain at least one letter"),
        ({}, "must specify a handler type"),
    ],
)
def test_what_the_api_server_would_refuse_is_an_error_in_its_words(
    probe: dict[str, Any], body: str
) -> None:
    found = report(nested("Pod", template({"livenessProbe": probe}))).findings
    assert any(f.rule == "invalid" and f.severity == "error" and body in f.message for f in found)


def annotated(ignore: str, container: dict[str, Any]) -> Report:
    document = nested("Pod", template(container))
    document["metadata"]["annotations"] = {IGNORE: ignore}
    return report(document)


TWO = {"command": SHELL, "ports": [{"containerPort": 80}]}


def test_the_annotation_hides_the_rules_that_it_names_and_counts_them() -> None:
    assert rules(annotated("", TWO)) == ["port-without-probe", "shell-hides-term"]
    told = annotated("shell-hides-term", TWO)
    assert (rules(told), told.ignored) == (["port-without-probe"], 1)
    told = annotated(" shell-hides-term , port-without-probe", TWO)
    assert (rules(told), told.ignored) == ([], 2)


def test_the_annotation_of_a_template_counts() -> None:
    held = template({"command": SHELL})
    held["metadata"] = {"annotations": {IGNORE: "shell-hides-term"}}
    assert rules(report(nested("Deployment", held))) == []


def test_a_rule_that_does_not_exist_cannot_be_ignored_in_silence() -> None:
    told = annotated("shell-hides-trem", {"command": SHELL})
    assert rules(told) == ["shell-hides-term", "unknown-rule"]
    assert "shell-hides-trem" in told.findings[1].message


def test_what_is_invalid_is_not_ignored() -> None:
    assert "invalid" in rules(annotated("invalid", {"livenessProbe": {}}))


def test_errors_come_first() -> None:
    container = {
        "ports": [{"containerPort": 80}],
        "readinessProbe": {"tcpSocket": {"port": "web"}, "failureThreshold": 1},
        "command": SHELL,
    }
    found = report(nested("Pod", template(container))).findings
    assert [f.severity for f in found] == ["error", "warning", "info"]


def test_the_page_has_a_row_for_every_rule_and_no_other() -> None:
    rows = (ROOT / "docs/lint.md").read_text().splitlines()
    named = [row.split("`")[1] for row in rows if row.startswith("| `")]
    assert sorted(named) == sorted([*RULES, *INIT_RULES, "invalid", "unknown-rule"])


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*/pod*.yaml")), ids=str)
def test_no_example_has_an_error(file: Path) -> None:
    for document in filter(has_pod, load_all(file.read_bytes())):
        told = report(document)
        assert "error" not in [finding.severity for finding in told.findings]
