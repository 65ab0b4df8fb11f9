"""Options that several verbs share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def preset_options(command: F) -> F:
    return click.option(
        "--pod-presets",
        type=click.Choice(["safe", "compat", "off"]),
        default="safe",
        show_default=True,
        help="Merge presets with care, as Kubernetes 1.19 did it to the letter, or not at all.",
    )(command)


def runtime_options(command: F) -> F:
    """What runs containers, and how much they see of each other."""
    command = click.option(
        "--isolation",
        type=click.Choice(["auto", "bwrap", "none"]),
        default="auto",
        show_default=True,
        help="Of processes: whether bubblewrap keeps them apart.",
    )(command)
    return click.option(
        "--runtime",
        default="process",
        show_default=True,
        metavar="process|cri|cri://SOCKET",
        help="What runs containers: processes of this machine, or an engine (containerd, CRI-O) at its socket.",
    )(command)


def server_options(command: F) -> F:
    command = click.option(
        "-n", "--namespace", default="default", help="The namespace to work in."
    )(command)
    return click.option("--kubeconfig", default=None, help="Path of the kubeconfig.")(command)
