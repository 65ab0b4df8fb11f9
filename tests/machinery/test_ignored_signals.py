"""What Podward ignores because its caller did is not ignored by what Podward starts."""

import subprocess
import sys

TRAP = ["sh", "-c", "trap 'echo heard' QUIT; kill -QUIT $$; echo on"]


def told(before: str) -> str:
    """What a shell says that was started by a program which ignores SIGQUIT."""
    program = (
        "import signal, subprocess\n"
        "from podward.machinery.host import ignore_signals_alone\n"
        "signal.signal(signal.SIGQUIT, signal.SIG_IGN)\n"
        f"{before}\n"
        f"subprocess.run({TRAP!r})\n"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout


def test_a_child_can_trap_what_we_ignore() -> None:
    assert told("pass") == "on\n"
    assert told("ignore_signals_alone()") == "heard\non\n"
