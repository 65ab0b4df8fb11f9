"""exec: a command inside the container; exit code 0 is success (spec/health.md 3.1)."""

import re
from collections.abc import Mapping

from lightkube.models import core_v1

from podward.machinery.backoff import go_duration
from podward.machinery.gotext import quote
from podward.probes.base import (
    MAX_OUTPUT_BYTES,
    ExecTimedOut,
    Outcome,
    ProbeResult,
    ProbeTarget,
)

_REFERENCE = re.compile(r"\$(\$|\(([^()]*)\))")


async def attempt(action: core_v1.ExecAction, target: ProbeTarget, timeout: float) -> ProbeResult:
    """Run it once; no shell, unless the command is one. Raises `ProbeError` if it cannot be run."""
    command = [expand(word, target.literal_env) for word in action.command or ()]
    try:
        output = await target.exec_sync(command, timeout)
    except ExecTimedOut:
        shown = quote(" ".join(command))
        text = f"command timed out: {shown} timed out after {go_duration(timeout)}"
        return ProbeResult(Outcome.FAILURE, text)
    said = (output.stdout + output.stderr)[:MAX_OUTPUT_BYTES].decode(errors="replace")
    return ProbeResult(Outcome.FAILURE if output.exit_code else Outcome.SUCCESS, said)


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` becomes its value, `$$` a dollar; an unknown name is left as it stands."""

    def replacement(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return values.get(match[2], match[0])

    return _REFERENCE.sub(replacement, text)
