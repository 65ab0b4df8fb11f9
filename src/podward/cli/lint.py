"""`podward lint`: what the probes of a manifest promise, and where they go wrong, without running it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from podward.cli import manifests
from podward.cli.errors import CliError

if TYPE_CHECKING:
    from podward.lint.report import Report


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--strict", is_flag=True, help="Warnings too make the exit code 1.")
def command(files: tuple[str, ...], output: str, strict: bool) -> None:
    """Say what probes promise and which mistakes they hold. Exit code 1: errors; 2: unreadable."""
    try:
        reports = _reports(manifests.read(files))
    except CliError as error:
        raise CliError(str(error), code=2) from None
    if output == "json":
        print(json.dumps([asdict(report) for report in reports], indent=2, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(_lines(report)) for report in reports))
    found = {finding.severity for report in reports for finding in report.findings}
    if "error" in found or (strict and "warning" in found):
        raise SystemExit(1)


def _reports(documents: list[dict[str, Any]]) -> "list[Report]":
    from podward.api.errors import ApiStatusError
    from podward.lint.report import has_pod, report

    out = []
    for document in filter(has_pod, documents):
        try:
            out.append(report(document))
        except ApiStatusError as error:
            name = (document.get("metadata") or {}).get("name", "")
            raise CliError(f"error: {document['kind']}/{name}: {error.status.message}") from None
    if not out:
        kinds = ", ".join(dict.fromkeys(str(document.get("kind")) for document in documents))
        raise CliError(f"error: nothing to lint: no Pod, and nothing that makes Pods, but {kinds}")
    return out


def _lines(report: "Report") -> Iterator[str]:
    """Grouped by the place in the manifest."""
    yield f"{report.kind.lower()}/{report.name}"
    said: dict[str, list[tuple[str, str]]] = {}
    for promise in report.promises:
        said.setdefault(promise.path, []).append(("promises", promise.text))
    for finding in report.findings:
        text = f"{finding.message} [{finding.rule}]"
        said.setdefault(finding.path, []).append((finding.severity, text))
    for path, texts in said.items():
        yield f"  {path}"
        yield from (f"    {what:8}  {text}" for what, text in texts)
    hidden = f"{report.ignored} ignored" if report.ignored else ""
    if not report.findings:
        yield f"  nothing to complain of{', ' if hidden else ''}{hidden}"
    elif hidden:
        yield f"  {hidden}"
