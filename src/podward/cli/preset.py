"""`podward preset`: what presets would make of a Pod, and why, from files alone."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from podward.cli import manifests
from podward.cli.errors import CliError

if TYPE_CHECKING:
    from podward.admission.plugins.pod_preset.model import Decision
    from podward.cli.preset_diff import DiffLine
    from podward.cli.preset_files import Admitted

F = TypeVar("F", bound=Callable[..., Any])
CONFLICT = 3
"""Exit code: a conflict left a Pod without its presets."""


def _sources(command: F) -> F:
    for option in (
        click.option(
            "-n", "--namespace", default="",
            help="Namespace of the create; that of the manifest, else default, if not given.",
        ),
        click.option(
            "--mode", type=click.Choice(["safe", "compat"]), default="safe", show_default=True,
            help="compat: Kubernetes 1.19 to the letter, accidents included.",
        ),
        click.option(
            "--presets", "preset_sources", multiple=True, required=True, metavar="DIR|FILE",
            help="Presets; may be repeated. Namespaces among them lend their labels.",
        ),
        click.option(
            "-f", "--filename", "filenames", multiple=True, required=True, metavar="FILE",
            help="Pods (- is standard input); may be repeated.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Say what presets make of a Pod, without a server."""


@command.command()
@_sources
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json", "patch"]), default="yaml",
    show_default=True, help="The Pod, or the JSON Patch (RFC 6902) that makes it.",
)  # fmt: skip
def apply(
    filenames: tuple[str, ...],
    preset_sources: tuple[str, ...],
    namespace: str,
    mode: str,
    output: str,
) -> None:
    """Print the Pod as it would be stored; conflicts go to standard error.

    Exit code 0: presets were applied, or none matches; 3: a conflict left the Pod untouched; 1: bad input.
    """
    admitted = _admitted(filenames, preset_sources, namespace, mode, templates=False)
    _print_documents(admitted, output)
    for one in admitted:
        for line in _complaints(one):
            print(line, file=sys.stderr)
    raise SystemExit(_exit_code(admitted))


@command.command()
@_sources
@click.option(
    "-o", "--output", type=click.Choice(["diff", "json"]), default=None,
    help="diff on a terminal, json else, if not given.",
)  # fmt: skip
def explain(
    filenames: tuple[str, ...],
    preset_sources: tuple[str, ...],
    namespace: str,
    mode: str,
    output: str | None,
) -> None:
    """Print field by field which preset puts it there, and what is left out and why.

    A Deployment, Job or the like is explained by the Pods that it would make. Exit codes as `apply`.
    """
    admitted = _admitted(filenames, preset_sources, namespace, mode, templates=True)
    if (output or ("diff" if sys.stdout.isatty() else "json")) == "json":
        explained = [_explained(one) for one in admitted]
        whole: Any = explained[0] if len(explained) == 1 else explained
        print(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        _print_diffs(admitted)
    raise SystemExit(_exit_code(admitted))


def _admitted(
    filenames: tuple[str, ...],
    preset_sources: tuple[str, ...],
    namespace: str,
    mode: Any,
    *,
    templates: bool,
) -> "list[Admitted]":
    from podward.cli.preset_files import admit_document, pod_of_template, read_presets

    files = read_presets(preset_sources)
    found = []
    for document in manifests.read(filenames):
        made = pod_of_template(document) if templates else None
        one = admit_document(made or document, files, namespace, mode)
        if one.result is not None and one.result.error:
            raise CliError(f"Error from server: {one.result.error}")
        found.append(one)
    return found


def _exit_code(admitted: "list[Admitted]") -> int:
    """1 if a server would refuse what presets made of a Pod; 3 if a conflict left one without any."""
    if any(one.refusals for one in admitted):
        return 1
    results = [one.result for one in admitted if one.result is not None]
    blocked = any(r.rejected or (r.conflicts and r.untouched) for r in results)
    return CONFLICT if blocked else 0


def _complaints(one: "Admitted") -> Iterator[str]:
    from podward.cli.preset_files import invalid_text

    if one.result is None:
        yield f"note: {one.name}: presets only reach Pods, when they are created"
        return
    for preset in one.result.invalid:
        yield f"warning: {invalid_text(preset)}; it is left out"
    for conflict in one.result.conflicts:
        yield f"conflict: {one.name}: {conflict.message} ({conflict.outcome})"
    for decision in one.result.decisions:
        if decision.reason == "erased":
            yield f"warning: {one.name}: {decision.text}"
    if one.result.rejected:
        yield f"rejected: {one.name}: {one.result.rejected}"
    if one.refusals:
        listed = ", ".join(map(str, one.refusals))
        yield f"error: {one.name} would be refused: {listed}"


def _print_documents(admitted: "list[Admitted]", output: str) -> None:
    if output == "patch":
        for one in admitted:
            print(json.dumps(list(one.result.patch) if one.result else [], ensure_ascii=False))
        return
    documents = [one.after for one in admitted if one.result is None or not one.result.rejected]
    if output == "json":
        whole: Any = {"apiVersion": "v1", "kind": "List", "items": documents}
        if len(documents) == 1:
            whole = documents[0]
        print(json.dumps(whole, indent=4, ensure_ascii=False))
    else:
        from podward.api.yaml_printer import to_yaml

        print("---\n".join(to_yaml(document) for document in documents), end="")


def _explained(one: "Admitted") -> dict[str, Any]:
    """For programs; JSON pointers into the resulting Pod, no values but those of the patch."""
    from dataclasses import asdict

    result = one.result
    if result is None:
        return {"object": one.name, "namespace": one.namespace, "eligible": False}
    return {
        "object": one.name,
        "namespace": one.namespace,
        "eligible": True,
        "matched": [preset.id for preset in result.matched],
        "applied": [preset.id for preset in result.applied],
        "invalid": {p.id: [str(problem) for problem in p.problems] for p in result.invalid},
        "decisions": [asdict(decision) for decision in result.decisions],
        "conflicts": [asdict(conflict) for conflict in result.conflicts],
        "rejected": result.rejected,
        "refused": [str(error) for error in one.refusals],
        "fields": dict(result.provenance),
        "patch": list(result.patch),
    }


def _print_diffs(admitted: "list[Admitted]") -> None:
    """Colours only on a terminal; nothing is wrapped or cut."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for position, one in enumerate(admitted):
        if position:
            console.print()
        for line, style in _diff_text(one):
            console.print(line, style=style, markup=False)


def _diff_text(one: "Admitted") -> "Iterator[tuple[str, str | None]]":
    from podward.cli.preset_diff import diff_lines

    result = one.result
    if result is None:
        yield f"{one.name}: presets only reach Pods, when they are created", None
        return
    count = len(result.matched)
    presets = f"{count} preset{'' if count == 1 else 's'} match{'es' if count == 1 else ''}"
    yield f"{one.name} in namespace {one.namespace}: {presets}", "bold"
    if not result.untouched:
        lines = diff_lines(one.before, one.after, result.decisions)
        width = min(60, max((len(line.text) for line in lines if line.preset), default=0))
        for line in lines:
            yield _aligned(line, width), {"+": "green", "-": "red", " ": None}[line.mark]
    for decision in result.decisions:
        if decision.action not in ("added", "replaced"):
            yield _reason(decision), "dim" if decision.action == "identical" else "yellow"
    for complaint in _complaints(one):
        yield complaint, "red"


def _aligned(line: "DiffLine", width: int) -> str:
    text = f"{line.mark} {line.text}"
    return f"{text:<{width + 2}}  # {line.preset}" if line.preset else text


def _reason(decision: "Decision") -> str:
    why = f": {decision.text or decision.reason}" if decision.text or decision.reason else ""
    return f"{decision.action:9} {decision.field} ({decision.preset}){why}"
