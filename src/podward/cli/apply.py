"""`podward apply`: client-side apply, as kubectl does it: what was applied last is kept in an annotation, and
the patch is what differs between that, the manifest and the object."""

import json
from typing import Any

import click

from podward.cli import manifests
from podward.cli.errors import CliError
from podward.cli.http_client import HttpClient, StatusError
from podward.cli.options import server_options
from podward.cli.resources import Resource, by_kind

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
QUERY = {"fieldManager": "kubectl-client-side-apply", "fieldValidation": "Strict"}


@click.command()
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE|DIR|-")
@server_options
def command(files: tuple[str, ...], kubeconfig: str | None, namespace: str) -> None:
    """Create or change objects from manifests."""
    client = HttpClient(kubeconfig)
    problems = []
    for manifest in manifests.read(files):
        try:
            print(apply(client, manifest, namespace))
        except CliError as error:
            problems.append(str(error))
    if problems:
        raise CliError("\n".join(problems))


def apply(client: HttpClient, manifest: dict[str, Any], namespace: str) -> str:
    """What kubectl says: `pod/x created`, `unchanged` or `configured`."""
    resource = by_kind(client, manifest["apiVersion"], manifest["kind"])
    if resource is None:
        raise CliError(
            f'error: resource mapping not found for name: "{manifest["metadata"].get("name", "")}": no '
            f'matches for kind "{manifest["kind"]}" in version "{manifest["apiVersion"]}"'
        )
    wanted, name = _annotated(manifest, resource, namespace)
    where = wanted["metadata"].get("namespace")
    try:
        current = client.request("GET", resource.path(where, name))
    except StatusError as error:
        if error.http_code != 404:
            raise
        body = json.dumps(wanted).encode()
        client.request("POST", resource.path(where), query=QUERY, body=body)
        return f"{resource.reference}/{name} created"
    patch = three_way(_last_applied(current), wanted, current)
    if not patch:
        return f"{resource.reference}/{name} unchanged"
    client.request(
        "PATCH",
        resource.path(where, name),
        query=QUERY,
        body=json.dumps(patch).encode(),
        content_type="application/merge-patch+json",
    )
    return f"{resource.reference}/{name} configured"


def _annotated(
    manifest: dict[str, Any], resource: Resource, namespace: str
) -> tuple[dict[str, Any], str]:
    """The manifest with its namespace and the note of itself, and its name."""
    metadata = {**manifest["metadata"]}
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        raise CliError("error: resource name may not be empty")
    if resource.namespaced:
        metadata.setdefault("namespace", namespace)
    annotations = {
        k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED
    }
    noted = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    note = json.dumps(noted, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    return {
        **manifest,
        "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: note}},
    }, name


def _last_applied(current: dict[str, Any]) -> Any:
    note = (current["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    try:
        return json.loads(note) if note else {}
    except ValueError:
        return {}


def three_way(last: Any, wanted: Any, current: Any) -> Any:
    """A merge patch: what the manifest adds or changes, and null for what it no longer names.

    Lists are compared by what the manifest says of them: an element that the server completed is not a
    difference; if one is, the patch carries the list whole, completed from the object.
    """
    patch: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in current:
            if value not in ({}, None):
                patch[name] = value
        elif isinstance(value, dict) and isinstance(current[name], dict):
            before = last.get(name) if isinstance(last, dict) else None
            below = three_way(before if isinstance(before, dict) else {}, value, current[name])
            if below:
                patch[name] = below
        elif not says(value, current[name]):
            patch[name] = completed(value, current[name])
    for name in last if isinstance(last, dict) else ():
        if name not in wanted and name in current:
            patch[name] = None
    return patch


def says(wanted: Any, current: Any) -> bool:
    """Does the object already say all that the manifest says?"""
    if isinstance(wanted, dict) and isinstance(current, dict):
        return all(name in current and says(v, current[name]) for name, v in wanted.items())
    if isinstance(wanted, list) and isinstance(current, list):
        return len(wanted) == len(current) and all(map(says, wanted, current))
    return bool(wanted == current)


def completed(wanted: Any, current: Any) -> Any:
    """`wanted`, with what the server filled in beside it: a merge patch replaces a list whole."""
    if isinstance(wanted, dict) and isinstance(current, dict):
        return {**current, **{k: completed(v, current.get(k)) for k, v in wanted.items()}}
    if isinstance(wanted, list) and isinstance(current, list) and len(wanted) == len(current):
        return [completed(w, c) for w, c in zip(wanted, current, strict=True)]
    return wanted
