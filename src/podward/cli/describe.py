"""`podward describe`: an object and what happened to it, for people."""

import sys
from typing import Any

import click

from podward.cli.describers.layout import utc_now
from podward.cli.errors import CliError
from podward.cli.http_client import HttpClient, StatusError
from podward.cli.options import server_options
from podward.cli.resources import Resource, by_word


@click.command()
@click.argument("what")
@click.argument("names", nargs=-1)
@server_options
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("-l", "--selector", default="", help="Label selector.")
def command(
    what: str,
    names: tuple[str, ...],
    kubeconfig: str | None,
    namespace: str,
    all_namespaces: bool,
    selector: str,
) -> None:
    """Show one object in full: podward describe pod NAME, or pod/NAME, or the first letters of it."""
    client = HttpClient(kubeconfig)
    word, slash, name = what.partition("/")
    names = (name, *names) if slash else names
    resource = by_word(client, word)
    scope = None if all_namespaces else namespace
    found = []
    if names:
        for name in names:
            found += _named(client, resource, namespace, name)
    else:
        found = _listed(client, resource, scope, {"labelSelector": selector} if selector else {})
    if not found:
        where = f" in {scope} namespace" if scope and resource.namespaced else ""
        raise CliError(f"No resources found{where}.", code=0 if not names else 1)
    sys.stdout.write("\n\n".join(_text(client, resource, obj) for obj in found))


def _named(client: HttpClient, resource: Resource, namespace: str, name: str) -> list[Any]:
    """The object of that name; else all whose names begin so, as kubectl does it."""
    try:
        return [client.request("GET", resource.path(namespace, name))]
    except StatusError as error:
        if error.http_code != 404:
            raise
        listed = _listed(client, resource, namespace, {})
        found = [obj for obj in listed if obj["metadata"]["name"].startswith(name)]
        if not found:
            raise
        return found


def _listed(
    client: HttpClient, resource: Resource, namespace: str | None, query: dict[str, str]
) -> list[Any]:
    answer = client.request("GET", resource.path(namespace), query=query)
    kind = {"apiVersion": answer["apiVersion"], "kind": resource.kind}
    return [{**kind, **item} for item in answer.get("items") or ()]


def _text(client: HttpClient, resource: Resource, obj: Any) -> str:
    from podward.cli.describers import generic, pod

    metadata = obj["metadata"]
    selector = {"involvedObject.name": metadata["name"], "involvedObject.uid": metadata["uid"]}
    if resource.kind == "Node":
        # The kubelet speaks of its node before it knows its UID: it uses the name.
        selector["involvedObject.uid"] = metadata["name"]
    query = {"fieldSelector": ",".join(f"{k}={v}" for k, v in selector.items())}
    events = _listed(client, by_word(client, "events"), metadata.get("namespace"), query)
    describers = {
        "Pod": pod.describe,
        "Secret": generic.describe_secret,
        "ConfigMap": generic.describe_config_map,
    }
    return describers.get(resource.kind, generic.describe)(obj, events, utc_now())
