"""`podward lint`: what the probes of a manifest promise, and where they go wrong, without running it."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from podward.cli import manifests
from podward.cli.errors import CliError

if TYPE_CHECKING:
    from lightkube.models import core_v1

# Where kinds keep the Pod that they make.
_TEMPLATES = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
}


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--strict", is_flag=True, help="Warnings too make the exit code 1.")
def command(files: tuple[str, ...], output: str, strict: bool) -> None:
    """Say what probes promise and which mistakes they hold. Exit code 1: errors; 2: unreadable."""
    try:
        reports = [
            _report(document) for document in manifests.read(files) if _is_pod_like(document)
        ]
    except CliError as error:
        raise CliError(str(error), code=2) from None
    if output == "json":
        print(json.dumps(reports, indent=2))
    else:
        for report in reports:
            print("\n".join(_lines(report)))
    found = [finding["severity"] for report in reports for finding in report["findings"]]
    if "error" in found or (strict and found):
        raise SystemExit(1)


def _is_pod_like(document: dict[str, Any]) -> bool:
    return document.get("kind") in _TEMPLATES


def _report(document: dict[str, Any]) -> dict[str, Any]:
    from podward.api.errors import ApiStatusError
    from podward.api.scheme import SCHEME
    from podward.api.validation import creation_errors
    from podward.lint.promises import promises
    from podward.lint.rules import findings

    steps = _TEMPLATES[document["kind"]]
    name = (document.get("metadata") or {}).get("name", "")
    inner: Any = document
    for step in steps:
        inner = inner.get(step) if isinstance(inner, dict) else None
    report: dict[str, Any] = {
        "kind": document["kind"],
        "name": name,
        "promises": [],
        "findings": [],
    }
    try:
        pod = _pod(inner, str(name))
    except ApiStatusError as error:
        raise CliError(f"error: {document['kind']}/{name}: {error.status.message}") from None
    path = ".".join((*steps, "spec"))
    prefix = ".".join(steps)
    row = SCHEME.of_type(type(pod))
    for wrong in creation_errors(pod, row):
        where = f"{prefix}.{wrong.field}" if prefix else wrong.field
        finding = {"rule": "invalid", "severity": "error", "path": where, "message": wrong.body}
        report["findings"].append(finding)
    if pod.spec is not None:
        report["promises"] = [_plain(promise) for promise in promises(pod.spec, path)]
        report["findings"] += [_plain(finding) for finding in findings(pod.spec, path)]
    return report


def _pod(template: Any, name: str) -> "core_v1.Pod":
    from podward.api import codec
    from podward.api.defaults import set_defaults
    from podward.api.scheme import SCHEME

    row = SCHEME.of_kind("v1", "Pod")
    assert row is not None
    given = template if isinstance(template, dict) else {}
    metadata = {"name": name, "namespace": "default", **(given.get("metadata") or {})}
    document = {**given, "apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    pod, _ = codec.decode_builtins(document, row, "Strict")
    defaulted: core_v1.Pod = set_defaults(pod)
    return defaulted


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['kind'].lower()}/{report['name']}"
    for promise in report["promises"]:
        yield f"  {promise['path']}: {promise['text']}"
    for finding in report["findings"]:
        yield f"  {finding['severity']}: {finding['path']}: {finding['message']} [{finding['rule']}]"
    if not report["findings"]:
        yield "  nothing to complain of"
