"""`podward delete`: by type and name, by label, or what a manifest names; waits until it is gone."""

import json
import time
from typing import Any

import click

from podward.cli import manifests
from podward.cli.errors import CliError
from podward.cli.http_client import HttpClient, StatusError
from podward.cli.options import server_options
from podward.cli.resources import Resource, by_kind, by_word

_LOOK_SECONDS = 0.1


@click.command()
@click.argument("what", required=False)
@click.argument("names", nargs=-1)
@click.option("-f", "--filename", "files", multiple=True, metavar="FILE|DIR|-")
@click.option("-l", "--selector", default="")
@click.option("--all", "everything", is_flag=True)
@click.option("--grace-period", type=int, default=-1)
@click.option("--now", is_flag=True, help="A grace of one second.")
@click.option("--force", is_flag=True, help="Forget the object at once; the container is killed.")
@click.option("--wait", type=bool, default=True, show_default=True)
@server_options
def command(
    what: str | None,
    names: tuple[str, ...],
    files: tuple[str, ...],
    selector: str,
    everything: bool,
    grace_period: int,
    now: bool,
    force: bool,
    wait: bool,
    kubeconfig: str | None,
    namespace: str,
) -> None:
    """Delete objects."""
    client = HttpClient(kubeconfig)
    grace = 0 if force else 1 if now else grace_period
    targets = _targets(client, what, names, files, selector, everything, namespace)
    problems = []
    gone: list[tuple[Resource, str | None, str, str]] = []
    for resource, where, name in targets:
        try:
            uid = _delete(client, resource, where, name, grace)
            print(f'{resource.reference} "{name}" {"force " if force else ""}deleted', flush=True)
            gone.append((resource, where, name, uid))
        except CliError as error:
            problems.append(str(error))
    if wait:
        for resource, where, name, uid in gone:
            _wait_until_gone(client, resource, where, name, uid)
    if problems:
        raise CliError("\n".join(problems))


def _targets(
    client: HttpClient,
    what: str | None,
    names: tuple[str, ...],
    files: tuple[str, ...],
    selector: str,
    everything: bool,
    namespace: str,
) -> list[tuple[Resource, str | None, str]]:
    if files:
        found = []
        for manifest in manifests.read(files):
            resource = by_kind(client, manifest["apiVersion"], manifest["kind"])
            if resource is None:
                raise CliError(f'error: no matches for kind "{manifest["kind"]}"')
            metadata = manifest["metadata"]
            found.append((resource, metadata.get("namespace") or namespace, metadata["name"]))
        return found
    if what is None:
        raise CliError(
            "error: name what to delete: TYPE NAME, TYPE/NAME, TYPE -l SELECTOR or -f FILE"
        )
    word, slash, name = what.partition("/")
    resource = by_word(client, word)
    if slash:
        names = (name, *names)
    if not names:
        if not selector and not everything:
            raise CliError("error: resource(s) were provided, but no name was specified")
        query = {"labelSelector": selector} if selector else None
        items = client.request("GET", resource.path(namespace), query=query)["items"]
        names = tuple(item["metadata"]["name"] for item in items)
    return [(resource, namespace, name) for name in names]


def _delete(
    client: HttpClient, resource: Resource, namespace: str | None, name: str, grace: int
) -> str:
    """Asks for it; the uid of what was deleted."""
    path = resource.path(namespace, name)
    uid: str = client.request("GET", path)["metadata"]["uid"]
    options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
    options["propagationPolicy"] = "Background"
    if grace >= 0:
        options["gracePeriodSeconds"] = grace
    client.request("DELETE", path, body=json.dumps(options).encode())
    return uid


def _wait_until_gone(
    client: HttpClient, resource: Resource, namespace: str | None, name: str, uid: str
) -> None:
    while True:
        try:
            found = client.request("GET", resource.path(namespace, name))
        except StatusError as error:
            if error.http_code == 404:
                return
            raise
        if found["metadata"]["uid"] != uid:
            return
        time.sleep(_LOOK_SECONDS)
