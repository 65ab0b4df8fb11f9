"""`podward image` where an engine keeps the images."""

import subprocess
import sys

import pytest
from tests.engine.containerd import Containerd


def image(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "podward", "image", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("verb", [("ls",), ("import", "app", "app.tar")])
def test_the_engines_own_command_is_told(verb: tuple[str, ...], containerd: Containerd) -> None:
    assert image("--runtime", f"cri://{containerd.socket}", *verb) == (
        1,
        f"containerd keeps its own images: ctr --address {containerd.socket} --namespace k8s.io images "
        "(import ARCHIVE | ls | rm NAME)\n",
    )


def test_without_an_engine_that_is_told() -> None:
    code, text = image("--runtime", "cri:///nowhere/c.sock", "ls")
    assert code == 1
    assert text.startswith("there is no engine's socket /nowhere/c.sock: ")
