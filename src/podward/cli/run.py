"""`podward run`: a whole cluster for as long as these manifests run in the foreground; nothing is left behind.

Shows what happens as it happens: a line for each change of a Pod (as `get -w` prints it), each event, and the
containers' own output behind `[pod/container]`. The exit code says whether the Pods were well at the end.
"""

import asyncio
import logging
import shutil
import signal
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podward.cli.errors import CliError
from podward.cli.logs import seconds
from podward.cli.options import preset_options, runtime_options
from podward.machinery.host import ignore_signals_alone

if TYPE_CHECKING:
    from podward.cli.live_view import Output, View
    from podward.cluster import PodPresets
    from podward.standalone import ClusterConfig

TEAR_DOWN_SECONDS = 45.0


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--for", "span", default="", metavar="90s", help="Stop by itself after this long.")
@runtime_options
@preset_options
def command(
    files: tuple[str, ...], span: str, runtime: str, isolation: str, pod_presets: "PodPresets"
) -> None:
    """Run manifests in the foreground and show what happens."""
    from podward.cli import manifests

    documents = manifests.read(files)
    limit = float(seconds(span)) if span else None
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    folder = Path(tempfile.mkdtemp(prefix="podward-run-"))
    try:
        well = _run(folder, documents, limit, runtime, isolation, pod_presets)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not well:
        raise SystemExit(1)


def _run(
    folder: Path,
    documents: list[dict[str, Any]],
    limit: float | None,
    runtime: str,
    isolation: str,
    pod_presets: "PodPresets",
) -> bool:
    import uvloop

    from podward.standalone import ClusterConfig, ClusterError

    config = ClusterConfig(
        data_dir=folder / "data",
        listen_port=0,
        node_name=socket.gethostname().lower(),
        runtime=runtime,
        isolation=isolation,
        stop_pods=True,
        remove_pods=True,
        pod_presets=pod_presets,
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_session(config, documents, limit))
    except ClusterError as error:
        raise CliError(str(error)) from None


async def _session(
    config: "ClusterConfig", documents: list[dict[str, Any]], limit: float | None
) -> bool:
    from podward.cli.live_view import View, output
    from podward.standalone import start

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ignore_signals_alone()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with start(config) as (cluster, ready):
        environment = f"KUBECONFIG={ready.kubeconfig}"
        print(
            f"podward is ready; from another terminal: {environment} kubectl get pods", flush=True
        )
        await asyncio.to_thread(_apply, ready.kubeconfig, documents)
        with output() as out:
            return await _watch(View(cluster, out), out, stop, limit)


async def _watch(view: "View", out: "Output", stop: asyncio.Event, limit: float | None) -> bool:
    """Show the Pods until told to stop, or all have ended, or the time is over; then end them."""
    watching = asyncio.create_task(view.run())
    try:
        await _first(limit, stop.wait(), view.over.wait())
        await view.finish_logs()
        well = view.well()
        out.line("stopping" if well else "stopping; not every Pod is well")
        stop.clear()
        await _first(
            TEAR_DOWN_SECONDS, view.delete_all(), stop.wait()
        )  # a second Ctrl-C does not wait
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return well


def _apply(kubeconfig: Path, documents: list[dict[str, Any]]) -> None:
    from podward.cli.apply import apply
    from podward.cli.http_client import HttpClient

    client = HttpClient(str(kubeconfig))
    for document in documents:
        print(apply(client, document, "default"), flush=True)


async def _first(limit: float | None, *waits: Any) -> None:
    """Until the first of them is over, or `limit` seconds are; what one raises is raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
