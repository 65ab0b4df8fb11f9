"""`podward simulate`: manifests in a whole cluster, in virtual time; what would happen, in a second."""

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from podward.cli import manifests
from podward.cli.errors import CliError
from podward.cli.logs import seconds
from podward.cli.options import preset_options

if TYPE_CHECKING:
    from podward.cluster import PodPresets
    from podward.simulate.simulation import Recording


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--for", "span", default="10m", metavar="64m", show_default=True, help="Virtual time."
)
@click.option(
    "--seed", default=0, show_default=True, help="The dice; the same seed, the same bytes."
)
@click.option(
    "-o", "--output", type=click.Choice(["watch", "trace", "json", "describe"]), default="watch",
    show_default=True,
)  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), default=None, metavar="FILE.svg")
@click.option("--behaviour", "behaviours", multiple=True, metavar="FILE", help="What commands do.")
@click.option(
    "--faults", "faults", multiple=True, metavar="FILE", help="What goes wrong, and when."
)
@click.option("-n", "--namespace", default="default")
@preset_options
def command(
    files: tuple[str, ...],
    span: str,
    seed: int,
    output: str,
    plot: Path | None,
    behaviours: tuple[str, ...],
    faults: tuple[str, ...],
    namespace: str,
    pod_presets: "PodPresets",
) -> None:
    """Run manifests exactly as written in virtual time and show what happens."""
    from podward.api.errors import ApiStatusError
    from podward.client.base import ApiError
    from podward.simulate import behaviour
    from podward.simulate.faults import schedule
    from podward.simulate.processes import CannotSimulate
    from podward.simulate.reading import DescriptionError
    from podward.simulate.simulation import simulate
    from podward.simulate.verdict import verdict
    from podward.simulate.virtual_loop import ClosedWorld, Deadlock, Standstill

    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise CliError(f"cannot draw {plot}: its name must end in .svg or .png")
    if faults:  # what Podward says of them is expected: the recording is what is asked for
        logging.getLogger("podward").setLevel(logging.CRITICAL)
    documents = manifests.read(files)
    try:
        recording = simulate(
            documents, seconds(span), seed=seed, namespace=namespace,
            prepare=behaviour.load([Path(name) for name in behaviours]),
            faults=schedule.load([Path(name) for name in faults]), pod_presets=pod_presets,
        )  # fmt: skip
    except (ApiError, ApiStatusError) as error:
        raise CliError(f"the server refuses it: {error.status.message}") from None
    except (DescriptionError, CannotSimulate, Deadlock, Standstill, ClosedWorld) as error:
        raise CliError(f"cannot simulate: {error}") from None
    for line in _OUTPUTS[output](recording):
        print(line)
    for remark in recording.remarks:
        print(remark, file=sys.stderr)
    if plot is not None:
        _draw(recording, plot, seed)
    # The verdict is for people: it never stands in the way of what is read by programs.
    to_people = output in ("watch", "describe")
    print(
        ("\n" if to_people else "") + verdict(recording),
        file=sys.stdout if to_people else sys.stderr,
    )


def _draw(recording: "Recording", path: Path, seed: int) -> None:
    from podward.simulate.picture import svg

    picture = svg(recording, seed=seed)
    try:
        path.write_bytes(picture.encode() if path.suffix == ".svg" else _png(picture))
    except OSError as error:
        raise CliError(f"cannot draw {path}: {error.strerror}") from None


def _png(picture: str) -> bytes:
    import resvg_py

    if not any(place.is_dir() and any(place.rglob("*.[ot]tf")) for place in _FONTS):
        raise CliError(
            "a .png needs a font to write with, and this machine has none: apt-get install "
            "fonts-dejavu-core, or draw an .svg"
        )
    return bytes(resvg_py.svg_to_bytes(svg_string=picture, zoom=2))


_FONTS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path("~/.local/share/fonts").expanduser(),
    Path("~/.fonts").expanduser(),
)


def _watch(recording: "Recording") -> Iterator[str]:
    from podward.api.scheme import SCHEME
    from podward.apiserver.printers.table import table_of
    from podward.cli.table import Table

    table: Table | None = None
    shown: dict[str, list[str]] = {}
    for change in recording.changes:
        now = recording.moment_of(change.at)
        row = SCHEME.of_type(type(change.pod))
        printed = table_of(row, [change.pod], now, metadata={}, include="None")
        rows = json.loads(_json(printed["rows"]))
        if table is None:
            columns = json.loads(_json(printed["columnDefinitions"]))
            table = Table(columns, wide=True, namespaces=False)
            yield from table.lines([table.header])
        cells = table.row(rows[0])
        name, facts = cells[0], [*cells[:3], cells[3].split(" ")[0]]
        if shown.get(name) != facts:
            shown[name] = facts
            yield from table.lines([cells])


def _trace(recording: "Recording") -> Iterator[str]:
    from podward.simulate.trace import trace

    yield trace(recording).rstrip("\n")


def _describe(recording: "Recording") -> Iterator[str]:
    from podward.cli.describers import pod as describer

    now = recording.moment_of(recording.seconds)
    events = [json.loads(_encoded(event)) for event in recording.events.values()]
    texts = []
    for uid in recording.pods():
        last = json.loads(_encoded(recording.of(uid)[-1].pod))
        own = [e for e in events if e["involvedObject"].get("uid") == uid]
        texts.append(describer.describe(last, own, now))
    yield "\n\n".join(texts).rstrip("\n")


def _as_json(recording: "Recording") -> Iterator[str]:
    from podward.simulate.verdict import judge

    changes = [
        {"at": round(c.at, 3), "type": c.type, "object": json.loads(_encoded(c.pod))}
        for c in recording.changes
    ]
    events = [json.loads(_encoded(event)) for event in recording.events.values()]
    whole = {
        "seconds": recording.seconds,
        "changes": changes,
        "events": events,
        "verdict": [_rounded(asdict(judgement)) for judgement in judge(recording)],
    }
    yield json.dumps(whole, indent=2, ensure_ascii=False)


def _rounded(value: Any) -> Any:
    """To the millisecond, at any depth."""
    if isinstance(value, dict):
        return {key: _rounded(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(held) for held in value]
    return round(value, 3) if isinstance(value, float) else value


_OUTPUTS = {"watch": _watch, "trace": _trace, "json": _as_json, "describe": _describe}


def _encoded(obj: Any) -> bytes:
    from podward.api import codec

    return codec.encode(obj)


def _json(value: Any) -> bytes:
    import msgspec

    return msgspec.json.encode(value)
