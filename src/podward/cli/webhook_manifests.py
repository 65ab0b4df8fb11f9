"""`podward webhook manifests`: everything that a cluster needs for the webhook, to be read and then applied."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import click

from podward import __version__
from podward.cli.errors import CliError

if TYPE_CHECKING:
    from podward.webhook.manifest_options import ManifestOptions
    from podward.webhook.manifests import Manifest, Outside


@click.command("manifests")
@click.option(
    "-n",
    "--namespace",
    default="podward-system",
    show_default=True,
    help="Where the webhook runs; it presets no Pod there.",
)
@click.option(
    "--name", default="podward-webhook", show_default=True, help="Of everything that is made."
)
@click.option(
    "--image",
    default=f"podward:{__version__}",
    show_default=True,
    help="An image that has podward on its PATH. Podward publishes none.",
)
@click.option("--replicas", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--failure-policy",
    type=click.Choice(["Ignore", "Fail"]),
    default="Ignore",
    show_default=True,
    help="While no replica answers: no presets, or no Pods.",
)
@click.option(
    "--timeout",
    type=click.IntRange(1, 30),
    default=5,
    show_default=True,
    help="Seconds that an API server waits for an answer.",
)
@click.option(
    "--self-managed/--cert-manager",
    default=True,
    show_default=True,
    help="Who makes and renews the certificates.",
)
@click.option(
    "--mode",
    type=click.Choice(["safe", "compat"]),
    default="safe",
    show_default=True,
    help="compat: as PodPreset was in 1.19, to the letter.",
)
@click.option(
    "--legacy-crd",
    is_flag=True,
    help="Define settings.k8s.io PodPreset too. Not on Kubernetes 1.19 and older.",
)
@click.option(
    "--count-pods",
    is_flag=True,
    help="Let the webhook list Pods, to count in status which carry a preset.",
)
@click.option(
    "--dev-url",
    metavar="https://HOST:PORT",
    help="Print only the webhook configurations, for a webhook that runs outside the cluster.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path),
    help="With --dev-url: the authority of its certificate, PEM.",
)
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)
def command(
    namespace: str,
    name: str,
    image: str,
    replicas: int,
    failure_policy: Literal["Ignore", "Fail"],
    timeout: int,
    self_managed: bool,
    mode: Literal["safe", "compat"],
    legacy_crd: bool,
    count_pods: bool,
    dev_url: str | None,
    ca_file: Path | None,
    output: str,
) -> None:  # fmt: skip
    """Print what a cluster must be given for the webhook: read it, then pipe it into kubectl apply -f -."""
    from podward.webhook import manifests
    from podward.webhook.manifest_options import ManifestOptions
    from podward.webhook.naming import Installation

    _check_names(namespace, name)
    if not image.strip():
        raise CliError("error: --image is empty")
    options = ManifestOptions(
        image=image,
        installation=Installation(namespace, name),
        replicas=replicas,
        failure_policy=failure_policy,
        timeout_seconds=timeout,
        self_managed=self_managed,
        mode=mode,
        legacy=legacy_crd,
        count_pods=count_pods,
    )
    outside = _outside(dev_url, ca_file)
    if outside is None:
        found, header = manifests.manifests(options), manifests.header(options, __version__)
    else:
        found = manifests.webhook_configurations(options, outside)
        header = _outside_header(options, outside)
    print(_json(found) if output == "json" else _yaml(found, header), end="")


def _check_names(namespace: str, name: str) -> None:
    from podward.api.validation.names import dns_label

    for option, text in (("--namespace", namespace), ("--name", name)):
        if problems := dns_label(text):
            raise CliError(f"error: {option} {text!r}: {problems[0]}")
    if name[0].isdigit():  # a Service's own rule
        raise CliError(f"error: --name {name!r}: must start with a letter")


def _outside(url: str | None, ca_file: Path | None) -> "Outside | None":
    from podward.machinery.certificates import split_bundle
    from podward.webhook.manifests import Outside

    if url is None:
        if ca_file is not None:
            raise CliError(
                "error: --ca-file is for --dev-url: in a cluster the bundle is filled in"
            )
        return None
    if ca_file is None:
        raise CliError(
            "error: --dev-url needs --ca-file: API servers must know the webhook's authority"
        )
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None and parts.port is not None
    except ValueError:
        named = False
    bare = named and url.rstrip("/") == f"https://{parts.netloc}" and "@" not in parts.netloc
    if not bare:
        raise CliError(f"error: --dev-url {url!r}: must be https://HOST:PORT and no more")
    try:
        certificates = split_bundle(ca_file.read_bytes())
    except OSError as error:
        raise CliError(f"error: cannot read {ca_file}: {error.strerror}") from None
    if not certificates:
        raise CliError(f"error: {ca_file}: no PEM certificate in it")
    return Outside(url.rstrip("/"), b"".join(certificates))


def _outside_header(options: "ManifestOptions", outside: "Outside") -> str:
    name = options.installation.configuration
    return f"""podward webhook {__version__}, running outside this cluster at {outside.url}

EMERGENCY: Pods cannot be created, and this webhook may be why?
  kubectl delete mutatingwebhookconfiguration {name}"""


def _yaml(found: "list[Manifest]", header: str) -> str:
    from podward.api.yaml_printer import to_yaml

    text = _comment(header)
    for manifest in found:
        text += f"---\n{_comment(manifest.comment)}{to_yaml(manifest.document)}"
    return text


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def _json(found: "list[Manifest]") -> str:
    items = [manifest.document for manifest in found]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=4) + "\n"
