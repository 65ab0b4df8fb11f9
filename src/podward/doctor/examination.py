"""Look at everything that was asked for, then judge it."""

from dataclasses import dataclass, replace
from pathlib import Path

from podward.doctor import machine
from podward.doctor.checks import About, Verdict, judge, works
from podward.doctor.facts import Engine, Facts, NoEngine
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy


@dataclass(frozen=True, slots=True)
class Report:
    verdicts: list[Verdict]
    works: dict[About, bool]
    """Of the runtimes that were asked for."""

    @property
    def well(self) -> bool:
        """There is one that works; if one was asked for, it is that one."""
        return any(self.works.values())


async def examine(
    *,
    runtime: str | None,
    data_dir: Path,
    host: str,
    port: int,
    clock: Clock,
    entropy: Entropy,
    try_it: bool,
) -> Report:
    """`runtime`: `process`, `cri`, `cri://SOCKET`, or None for both."""
    asked = None if runtime is None else About.PROCESS if runtime == "process" else About.CRI
    facts = Facts(machine.look(clock, data_dir, host, port))
    if asked is not About.PROCESS:
        facts = replace(facts, engine=await _engine(runtime or "cri"))
        if try_it and isinstance(facts.engine, Engine):
            from podward.doctor import trial

            image = facts.engine.config.sandbox_image if facts.engine.config else ""
            image = image or facts.engine.smallest_image
            tried = await trial.run(facts.engine.socket, image, clock, entropy)
            facts = replace(facts, trial=tried)
    verdicts = judge(facts, asked)
    runtimes = (About.PROCESS, About.CRI) if asked is None else (asked,)
    return Report(verdicts, {one: works(verdicts, one) for one in runtimes})


async def _engine(runtime: str) -> Engine | NoEngine:
    try:
        from podward.doctor import engine
    except ImportError as error:  # gRPC is loaded for this alone, and may not be here
        return NoEngine(f"cannot ask engines: {error}", "pip install grpcio protobuf")
    return await engine.look(runtime)
