"""Options that several verbs share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def server_options(command: F) -> F:
    command = click.option(
        "-n", "--namespace", default="default", help="The namespace to work in."
    )(command)
    return click.option("--kubeconfig", default=None, help="Path of the kubeconfig.")(command)
