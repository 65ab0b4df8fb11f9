"""`podward webhook`: presets for any cluster, served as a MutatingWebhook."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from podward.cli.errors import CliError
from podward.cli.up import parse_address
from podward.cli.webhook_manifests import command as manifests
from podward.machinery.host import ignore_signals_alone

if TYPE_CHECKING:
    from podward.webhook.program import Ready, WebhookConfig

FILE = click.Path(path_type=Path)


@click.group("webhook", invoke_without_command=True)
@click.option(
    "--kubeconfig",
    type=FILE,
    help="Whose presets; without it, as a Pod of its cluster, or else $KUBECONFIG.",
)
@click.option("--listen", default="0.0.0.0:8443", show_default=True, metavar="HOST:PORT")
@click.option("--cert-file", type=FILE, help="Certificate (PEM); read again when it changes.")
@click.option("--key-file", type=FILE, help="Its key.")
@click.option("--self-managed", is_flag=True, help="Make the certificate, and renew it.")
@click.option(
    "--service",
    default="podward-webhook",
    show_default=True,
    help="Name of the Service, and of all that belongs to it.",
)
@click.option("--namespace", default="", help="Where that is; by default the identity's own.")
@click.option(
    "--mode",
    type=click.Choice(["safe", "compat"]),
    default="safe",
    show_default=True,
    help="compat: as Kubernetes 1.19 did it, to the letter.",
)
@click.option(
    "--strict", is_flag=True, help="Ask for the presets at each Pod: none just made is missed."
)
@click.option(
    "--drain",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long it goes on when told to end.",
)
@click.option(
    "--count-pods", is_flag=True, help="Count Pods in the status of presets: it must see them."
)
@click.option(
    "--no-access-review",
    is_flag=True,
    help="Who may write presets may write those that override, too.",
)
@click.pass_context
def command(
    context: click.Context,
    kubeconfig: Path | None,
    listen: str,
    cert_file: Path | None,
    key_file: Path | None,
    self_managed: bool,
    service: str,
    namespace: str,
    mode: Literal["safe", "compat"],
    strict: bool,
    drain: float,
    count_pods: bool,
    no_access_review: bool,
) -> None:
    """Serve presets to a cluster, as its MutatingWebhook."""
    if context.invoked_subcommand is not None:
        return
    from podward.webhook.program import WebhookConfig, WebhookError

    host, port = parse_address(listen)
    _check_certificate(cert_file, key_file, self_managed=self_managed)
    config = WebhookConfig(
        kubeconfig=kubeconfig or _found_kubeconfig(),
        listen_host=host,
        listen_port=port,
        certificate=cert_file,
        key=key_file,
        service=service,
        namespace=namespace,
        mode=mode,
        strict=strict,
        drain_seconds=drain,
        count_pods=count_pods,
        access_review=not no_access_review,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # What a client got wrong is told to the client.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    import uvloop

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config))
    except WebhookError as error:
        raise CliError(f"error: {error}") from None


command.add_command(manifests)


def _check_certificate(certificate: Path | None, key: Path | None, *, self_managed: bool) -> None:
    if self_managed and (certificate or key):
        raise CliError("error: --self-managed makes the certificate: give no files")
    if bool(certificate) != bool(key):
        raise CliError("error: --cert-file and --key-file belong together")
    if not self_managed and certificate is None:
        raise CliError(
            "error: a certificate is needed: --cert-file and --key-file, or --self-managed"
        )
    for path in (certificate, key):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise CliError(f"error: cannot read {path}: {error.strerror}") from None


def _found_kubeconfig() -> Path | None:
    """None in a Pod, whose own account is meant."""
    found = os.environ.get("KUBECONFIG")
    return Path(found) if found and not os.environ.get("KUBERNETES_SERVICE_HOST") else None


async def _serve(config: "WebhookConfig") -> None:
    from podward.webhook.program import serve

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ignore_signals_alone()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready(facts: "Ready") -> None:
        print(
            f"podward webhook is ready: {facts.url} ({facts.presets} presets of {facts.cluster})",
            flush=True,
        )

    await serve(config, ready=ready, stop=stop)
