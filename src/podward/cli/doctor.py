"""`podward doctor`: what works here, what does not, and the command that mends it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from podward.cli.errors import CliError
from podward.cli.kubeconfig import default_data_dir
from podward.cli.up import parse_address

if TYPE_CHECKING:
    from podward.doctor.examination import Report

_TITLES = {"machine": "this machine", "process": "process runtime", "cri": "cri runtime"}


@click.command()
@click.option(
    "--runtime",
    default=None,
    metavar="process|cri|cri://SOCKET",
    help="The runtime that must work; by default all are looked at.",
)
@click.option(
    "--run", is_flag=True, help="Make a sandbox with a container on the engine, for real."
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where podward up would keep all."
)
@click.option("--listen", default="127.0.0.1:6443", show_default=True, metavar="HOST:PORT")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    runtime: str | None, run: bool, data_dir: Path | None, listen: str, output: str
) -> None:
    """Look at this machine, and say what keeps Pods from running.

    Exit code 0: the runtime works (without --runtime: one of them does); 1: something it needs is broken.
    """
    from podward.doctor.examination import examine
    from podward.machinery.clock import SystemClock
    from podward.machinery.entropy import Entropy

    named = runtime in (None, "process", "cri") or str(runtime).startswith(("cri://", "unix://"))
    if not named:
        raise CliError(f"no runtime is called {runtime}: process, cri or cri://SOCKET")
    host, port = parse_address(listen)
    report = asyncio.run(
        examine(
            runtime=runtime,
            data_dir=(data_dir or default_data_dir()).absolute(),
            host=host,
            port=port,
            clock=SystemClock(),
            entropy=Entropy(),
            try_it=run,
        )
    )
    if output == "json":
        print(json.dumps(_document(report), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(report)))
    if not report.well:
        raise SystemExit(1)


def _document(report: "Report") -> dict[str, object]:
    return {
        "runtimes": {str(runtime): {"works": works} for runtime, works in report.works.items()},
        "checks": [
            {
                "check": one.check,
                "about": str(one.about),
                "severity": str(one.finding.severity),
                "text": one.finding.text,
                "mend": one.finding.mend,
            }
            for one in report.verdicts
        ],
    }


def _lines(report: "Report") -> Iterator[str]:
    said = None
    for one in report.verdicts:
        if one.about != said:
            said = one.about
            yield _TITLES[said]
        yield f"  {one.finding.severity:<7}  {one.check:<14}  {one.finding.text}"
        if one.finding.mend:
            yield f"  {'':<7}  {'':<14}  -> {one.finding.mend}"
    yield ""
    for runtime, works in report.works.items():
        yield f"--runtime {runtime}: {'works' if works else 'does not work'}"
