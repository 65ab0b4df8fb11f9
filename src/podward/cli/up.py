"""`podward up`: API server, scheduler and node in one process, until it is told to stop."""

import asyncio
import logging
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from podward.cli.errors import CliError
from podward.cli.kubeconfig import default_data_dir
from podward.cli.options import preset_options, runtime_options
from podward.machinery.host import ignore_signals_alone
from podward.machinery.quantity import parse_quantity

if TYPE_CHECKING:
    from podward.cluster import PodPresets


def parse_address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise CliError(f"cannot listen on {text}: write HOST:PORT, e.g. 127.0.0.1:6443")
    return host.strip("[]") or "127.0.0.1", int(port)


def _size(text: str) -> int:
    """In bytes, from a quantity."""
    try:
        size = int(parse_quantity(text))
    except ValueError:
        size = 0
    if size <= 0:
        raise CliError(f"--container-log-max-size: {text} is no size: write e.g. 10Mi")
    return size


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is kept.")
@click.option("--listen", default="127.0.0.1:6443", show_default=True, metavar="HOST:PORT")
@click.option("--node-name", default=None, help="By default the host's name.")
@runtime_options
@click.option(
    "--allowed-unsafe-sysctls",
    default="",
    metavar="NAMES",
    help="Which Pods may set beside the safe ones: kernel.msg*,net.core.somaxconn",
)
@click.option(
    "--container-log-max-size",
    default="10Mi",
    show_default=True,
    metavar="QUANTITY",
    help="An engine's log of a container is rotated when it is larger.",
)
@click.option(
    "--container-log-max-files",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Files that are kept of it, the current one included.",
)
@click.option(
    "--exec-probes",
    type=click.Choice(["direct", "engine"]),
    default="direct",
    show_default=True,
    help="Who runs the commands of probes and hooks in an engine's containers.",
)
@preset_options
@click.option(
    "--service-account-tokens/--no-service-account-tokens",
    default=None,
    help="Whether Pods get a token of their service account; by default if an engine runs them.",
)
@click.option("--stop-pods", is_flag=True, help="End the Pods when stopping; else they run on.")
def command(
    data_dir: Path | None,
    listen: str,
    node_name: str | None,
    runtime: str,
    isolation: str,
    allowed_unsafe_sysctls: str,
    container_log_max_size: str,
    container_log_max_files: int,
    exec_probes: Literal["direct", "engine"],
    stop_pods: bool,
    pod_presets: "PodPresets",
    service_account_tokens: bool | None,
) -> None:
    """Run the API server, the scheduler and the node on this machine."""
    from podward.kubelet.container_logs import LogLimits
    from podward.standalone import ClusterConfig, ClusterError

    host, port = parse_address(listen)
    config = ClusterConfig(
        data_dir=(data_dir or default_data_dir()).absolute(),
        listen_host=host,
        listen_port=port,
        node_name=node_name or socket.gethostname().lower(),
        runtime=runtime,
        isolation=isolation,
        exec_probes=exec_probes,
        stop_pods=stop_pods,
        log_limits=LogLimits(_size(container_log_max_size), container_log_max_files),
        pod_presets=pod_presets,
        allowed_unsafe_sysctls=tuple(filter(None, allowed_unsafe_sysctls.split(","))),
        service_account_tokens=service_account_tokens,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(
        logging.ERROR
    )  # what a client got wrong is told to the client
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config))
    except ClusterError as error:
        raise CliError(str(error)) from None


async def _serve(config: "object") -> None:
    from podward.standalone import ClusterConfig, Ready, serve

    assert isinstance(config, ClusterConfig)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ignore_signals_alone()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready(facts: Ready) -> None:
        print(f"podward is ready: {facts.url} (node {facts.node_name})")
        print(f"export KUBECONFIG={facts.kubeconfig}", flush=True)

    await serve(config, ready=ready, stop=stop)
