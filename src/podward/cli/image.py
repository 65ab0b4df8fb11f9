"""`podward image`: filesystems that containers can have as their own."""

from pathlib import Path

import click

from podward.cli.errors import CliError
from podward.cli.kubeconfig import default_data_dir


@click.group()
@click.option("--data-dir", type=click.Path(path_type=Path), default=None)
@click.option(
    "--runtime",
    default="process",
    show_default=True,
    metavar="process|cri|cri://SOCKET",
    help="Whose images. An engine keeps its own: for cri, its own command is told.",
)
@click.pass_context
def command(ctx: click.Context, data_dir: Path | None, runtime: str) -> None:
    """Import, list and remove images; a running podward sees the change at the next container."""
    if runtime != "process":
        raise _engines_own(runtime)
    from podward.kubelet.runtime.process.images import ImageStore

    ctx.obj = ImageStore((data_dir or default_data_dir()) / "runtime" / "images")


def _engines_own(runtime: str) -> CliError:
    """CRI has no import: who listens at the socket is asked, and its own tool named."""
    import asyncio

    from podward.kubelet.runtime.cri.discovery import NoEngine, find

    try:
        engine = asyncio.run(find(runtime))
    except NoEngine as error:
        return CliError(str(error))
    own = f"{engine.name} keeps its own images: "
    if engine.name != "containerd":
        return CliError(f"{own}podman, skopeo and crictl read and write them")
    return CliError(
        f"{own}ctr --address {engine.socket} --namespace k8s.io images (import ARCHIVE | ls | rm NAME)"
    )


@command.command("import")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_obj
def import_(store: "object", name: str, path: Path) -> None:
    """Import a directory or a tar archive (plain, docker save) as image NAME."""
    from podward.kubelet.runtime.process.images import ImageError, ImageStore

    assert isinstance(store, ImageStore)
    try:
        image = store.import_image(name, path)
    except ImageError as error:
        raise CliError(str(error)) from None
    print(f"{image.name} {image.id[:19]}")


@command.command("ls")
@click.pass_obj
def list_(store: "object") -> None:
    """List the imported images."""
    from podward.kubelet.runtime.process.images import ImageStore

    assert isinstance(store, ImageStore)
    for image in store.list():
        print(f"{image.name} {image.id[:19]}")


@command.command("rm")
@click.argument("name")
@click.pass_obj
def remove(store: "object", name: str) -> None:
    """Remove an image; containers that run on it keep it until they end."""
    from podward.kubelet.runtime.process.images import ImageStore

    assert isinstance(store, ImageStore)
    if not store.remove(name):
        raise CliError(f"cannot remove image {name}: it was not imported")
