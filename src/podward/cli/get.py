"""`podward get`: the server's own tables, or the objects themselves."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from podward.cli.errors import CliError
from podward.cli.http_client import HttpClient
from podward.cli.options import server_options
from podward.cli.resources import Resource, by_word
from podward.cli.table import Table

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@click.command()
@click.argument("what")
@click.argument("names", nargs=-1)
@server_options
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("-o", "--output", type=click.Choice(["wide", "yaml", "json", "name"]), default=None)
@click.option("-w", "--watch", is_flag=True, help="Go on with every change.")
@click.option("-l", "--selector", default="", help="Label selector.")
@click.option("--field-selector", default="")
@click.option("--no-headers", is_flag=True)
def command(
    what: str,
    names: tuple[str, ...],
    kubeconfig: str | None,
    namespace: str,
    all_namespaces: bool,
    output: str | None,
    watch: bool,
    selector: str,
    field_selector: str,
    no_headers: bool,
) -> None:
    """List objects: podward get pods, podward get pod NAME, podward get pod/NAME."""
    client = HttpClient(kubeconfig)
    word, slash, name = what.partition("/")
    names = (name, *names) if slash else names
    resource = by_word(client, word)
    scope = None if all_namespaces else namespace
    query = {"labelSelector": selector, "fieldSelector": field_selector}
    query = {k: v for k, v in query.items() if v}
    if len(names) == 1 and watch:
        query["fieldSelector"] = f"metadata.name={names[0]}"
    listing = Listing(client, resource, scope, names, query)
    if output in (None, "wide"):
        listing.table(wide=output == "wide", watch=watch, headers=not no_headers)
    else:
        listing.objects(output or "", watch=watch)


class Listing:
    """What was asked for, to be printed one way or another."""

    def __init__(
        self,
        client: HttpClient,
        resource: Resource,
        namespace: str | None,
        names: tuple[str, ...],
        query: dict[str, str],
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._names = names
        self._query = query

    def _answers(self, accept: str) -> Iterator[Any]:
        """One answer a name, or the collection's, page by page."""
        if self._names:
            for name in self._names:
                yield self._client.request(
                    "GET", self._resource.path(self._namespace, name), accept=accept
                )
            return
        query = {**self._query, "limit": "500"}
        while True:
            path = self._resource.path(self._namespace)
            answer = self._client.request("GET", path, query=query, accept=accept)
            yield answer
            more = answer.get("metadata", {}).get("continue")
            if not more:
                return
            query["continue"] = more

    def table(self, *, wide: bool, watch: bool, headers: bool) -> None:
        answers = list(self._answers(TABLE))
        namespaces = self._namespace is None and self._resource.namespaced
        table = Table(answers[0]["columnDefinitions"], wide=wide, namespaces=namespaces)
        rows = [table.row(row) for answer in answers for row in answer.get("rows") or ()]
        if rows:
            _print(table.lines([table.header, *rows] if headers else rows))
        elif not watch:
            where = f" in {self._namespace} namespace" if self._namespace else ""
            print(
                f"No resources found{where if self._resource.namespaced else ''}.", file=sys.stderr
            )
        if not watch:
            return
        show_header = headers and not rows
        for event in self._changes(answers[-1], TABLE):
            fresh = [table.row(row) for row in event["object"].get("rows") or ()]
            _print(table.lines([table.header, *fresh] if show_header else fresh))
            show_header = False

    def objects(self, output: str, *, watch: bool) -> None:
        answers = list(self._answers("application/json"))
        if output == "name":
            for answer in answers:
                for item in answer.get("items", [answer]):
                    _print([f"{self._resource.reference}/{item['metadata']['name']}"])
        elif len(self._names) == 1:
            _print_document(answers[0], output)
        else:
            kind = self._resource.kind
            items = [
                {"apiVersion": answer.get("apiVersion"), "kind": kind, **item}
                for answer in answers
                for item in answer.get("items", [answer])
            ]
            listed = {"apiVersion": "v1", "items": items, "kind": "List"}
            _print_document({**listed, "metadata": {"resourceVersion": ""}}, output)
        if watch:
            for event in self._changes(answers[-1], "application/json"):
                if output == "name":
                    _print([f"{self._resource.reference}/{event['object']['metadata']['name']}"])
                else:
                    if output == "yaml":
                        _print(["---"])
                    _print_document(event["object"], output)

    def _changes(self, since: Any, accept: str) -> Iterator[Any]:
        version = (since.get("metadata") or {}).get("resourceVersion", "")
        query = {**self._query, "watch": "true", "resourceVersion": version}
        path = self._resource.path(self._namespace)
        for line in self._client.stream(path, query=query, accept=accept):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise CliError(f"error: {event['object'].get('message', 'the watch failed')}")
            if event["type"] != "BOOKMARK":
                yield event


def _print(lines: list[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def _print_document(document: Any, output: str) -> None:
    if output == "json":
        _print([json.dumps(document, indent=4, ensure_ascii=False)])
        return
    from podward.api.yaml_printer import to_yaml

    sys.stdout.write(to_yaml(document))
    sys.stdout.flush()
