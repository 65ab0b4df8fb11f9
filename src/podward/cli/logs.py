"""`podward logs`."""

import sys

import click

from podward.cli.errors import CliError
from podward.cli.http_client import HttpClient
from podward.cli.options import server_options
from podward.cli.resources import by_word


def seconds(text: str) -> int:
    """`90s`, `5m`, `1h30m` -> seconds, at least one."""
    import re

    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or match is None:
        raise CliError(f'error: invalid duration "{text}": write it like 90s, 5m or 1h30m')
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return max(hours * 3600 + minutes * 60 + rest, 1)


@click.command()
@click.argument("pod")
@click.argument("container", required=False)
@click.option("-c", "--container", "named", default=None)
@click.option("-f", "--follow", is_flag=True)
@click.option("-p", "--previous", is_flag=True, help="The instance before this one.")
@click.option("--tail", type=int, default=-1)
@click.option("--since", default="")
@click.option("--timestamps", is_flag=True)
@server_options
def command(
    pod: str,
    container: str | None,
    named: str | None,
    follow: bool,
    previous: bool,
    tail: int,
    since: str,
    timestamps: bool,
    kubeconfig: str | None,
    namespace: str,
) -> None:
    """Print a container's log."""
    client = HttpClient(kubeconfig)
    name = pod.rpartition("/")[2]
    query = {"container": named or container or ""}
    query |= {"follow": "true" if follow else "", "previous": "true" if previous else ""}
    query |= {
        "timestamps": "true" if timestamps else "",
        "tailLines": str(tail) if tail >= 0 else "",
    }
    query["sinceSeconds"] = str(seconds(since)) if since else ""
    path = by_word(client, "pod").path(namespace, f"{name}/log")
    given = {k: v for k, v in query.items() if v}
    for line in client.stream(path, query=given, accept="*/*"):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
