"""A recording at a glance, as SVG: a lane for each container, below it what its probes said. Pure; same bytes.

From top to bottom: what is shown, a legend of what occurs, the lanes (below the name of their Pod, if there are
several), the axis, and a note if the kubelet did not write all its events. All of it says more under the mouse.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from podward.simulate.lives import ContainerStory, Life, PodStory, ProbeName, Stretch, stories
from podward.simulate.simulation import Recording
from podward.simulate.verdict import judge, words
from podward.simulate.wording import duration, times

WIDTH, LEFT, RIGHT = 1100, 196, 28
_TITLE, _LEGEND, _TOP = 30, 56, 84
_BAR, _ROW, _GAP, _NUMBERS, _POD = 20, 12, 14, 12, 30
"""Heights: of a bar, of a row of ticks, between lanes, of the restarts' numbers, of a Pod's name."""
_LEAST = 0.8
"""The narrowest bar that can be seen."""

_TEXT, _PALE, _GRID, _BACK = "#1f2933", "#6b7682", "#e9ecef", "#ffffff"
_WELL, _ILL = "#16794c", "#c8202f"
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

STATES = {
    "ready": ("#2c9f67", "#ffffff", "ready"),
    "running": ("#a8dcbf", _TEXT, "running, not ready"),
    "waiting": ("#d8dde3", _TEXT, "waiting"),
    "back-off": ("#f0a04b", _TEXT, "back-off"),
    "terminating": ("#6f5fc6", "#ffffff", "terminating"),
    "ended": ("#9aa5b1", _TEXT, "ended"),
}
"""State of a `Stretch` -> fill, text on it, name in the legend; in the order of the legend."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a probe said: an attempt that failed, or a verdict."""

    at: float
    kind: str
    text: str


MARKS = {
    "failed": "attempt failed",
    "errored": "no answer",
    "well": "verdict: well",
    "ill": "verdict: failed",
}
"""Kind of a `Mark` -> name in the legend."""


def svg(recording: Recording, *, seed: int = 0) -> str:
    pods = stories(recording)
    drawn = _Drawing(recording.seconds)
    top = float(_TOP)
    body: list[str] = []
    for story in pods:
        if len(pods) > 1:
            body.append(_text(12, top + 14, story.name, weight=600, size=13))
            top += _POD
        for own in story.containers:
            rows = _rows(own)
            body += drawn.lane(story, own, rows, top)
            top += _above(own) + _BAR + _ROW * len(rows) + _GAP
    bottom = top
    silent = _is_silent(pods)
    height = round(bottom + (52 if silent else 34))
    return "\n".join(
        [
            *_head(recording, pods, seed, height),
            *drawn.grid(bottom),
            *drawn.legend(),
            *body,
            *_note(silent, height),
            "</svg>\n",
        ]
    )


def _head(recording: Recording, pods: Sequence[PodStory], seed: int, height: int) -> Iterator[str]:
    name = pods[0].name if len(pods) == 1 else times(len(pods), "Pod")
    about = f"{duration(recording.seconds)} in virtual time, seed {seed}"
    told = " ".join(words(judgement).partition("\n")[0] for judgement in judge(recording))
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="picture-title picture-about" '
        f'font-family="{_FONTS}" font-size="12" fill="{_TEXT}">'
    )
    yield f'<title id="picture-title">{escape(name)}: {about}</title>'
    yield f'<desc id="picture-about">{escape(told)}</desc>'
    yield f'<rect width="{WIDTH}" height="{height}" fill="{_BACK}"/>'
    yield (
        f'<text x="12" y="{_TITLE}" font-size="17" font-weight="600">{escape(name)}'
        f'<tspan dx="10" font-size="12" font-weight="400" fill="{_PALE}">{about}</tspan></text>'
    )


def _is_silent(pods: Sequence[PodStory]) -> bool:
    lives = [life for story in pods for own in story.containers for life in own.lives]
    return any(life.by_probe and life.ended is not None and life.failed is None for life in lives)


def _note(silent: bool, height: int) -> Iterator[str]:
    if silent:
        text = (
            "Not all failed attempts are shown: of a Pod the kubelet writes 25 events of a type, then one in "
            "5 minutes."
        )
        yield _text(LEFT, height - 10, text, size=11, fill=_PALE)


# ---------------------------------------------------------------------------------------- what is drawn


def _rows(own: ContainerStory) -> list[tuple[ProbeName, list[Mark]]]:
    """A row for each probe that the container has, even if it never failed: that it was asked is news too."""
    rows: list[tuple[ProbeName, list[Mark]]] = []
    probes: tuple[tuple[ProbeName, object], ...] = (
        ("startup", own.container.startupProbe),
        ("readiness", own.container.readinessProbe),
        ("liveness", own.container.livenessProbe),
    )
    for name, probe in probes:
        if probe is not None:
            marks = [*_attempts(own, name), *_verdicts(own, name)]
            rows.append((name, sorted(marks, key=lambda mark: mark.at)))
    return rows


def _attempts(own: ContainerStory, name: ProbeName) -> Iterator[Mark]:
    for failure in own.failures:
        if failure.probe == name:
            kind = "errored" if failure.errored else "failed"
            yield Mark(
                failure.at, kind, f"{name} {kind} at {duration(failure.at)}: {failure.message}"
            )


def _verdicts(own: ContainerStory, name: ProbeName) -> Iterator[Mark]:
    if name == "readiness":
        first = {life.ready for life in own.lives if life.ready is not None}
        flips = [(was, now) for was, now in pairwise(own.stretches) if was.life == now.life]
        again = {now.begin for was, now in flips if (was.state, now.state) == ("running", "ready")}
        lost = [now.begin for was, now in flips if (was.state, now.state) == ("ready", "running")]
        yield from (Mark(at, "well", f"ready at {duration(at)}") for at in sorted(first | again))
        yield from (Mark(at, "ill", f"not ready at {duration(at)}") for at in lost)
        return
    for life in own.lives:
        if life.cause == name and life.killed is not None:
            yield Mark(life.killed, "ill", f"{name} failed at {duration(life.killed)}: killed")
        if name == "startup" and life.started is not None:
            yield Mark(life.started, "well", f"started at {duration(life.started)}")


# ----------------------------------------------------------------------------------------------- drawing


class _Drawing:
    """Scales, and remembers what occurred: the legend names nothing else."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds or 1.0
        self._states: set[str] = set()
        self._marks: set[str] = set()

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(at / self._seconds, 0.0), 1.0)

    def lane(
        self,
        story: PodStory,
        own: ContainerStory,
        rows: Sequence[tuple[ProbeName, Sequence[Mark]]],
        top: float,
    ) -> Iterator[str]:
        bar = top + _above(own)
        yield _text(12, bar + 14, own.name, weight=500, room=LEFT - 24 - _width(_kind(own), 11))
        yield _text(LEFT - 10, bar + 14, _kind(own), size=11, fill=_PALE, anchor="end")
        yield from self._bars(own, bar)
        yield from self._numbers(own.lives, top + 9)
        for index, (name, marks) in enumerate(rows):
            middle = bar + _BAR + _ROW * index + 8
            yield _text(LEFT - 10, middle + 3, name, size=10, fill=_PALE, anchor="end")
            yield f'<path d="M{LEFT} {middle:g}H{self.x(story.end):.1f}" stroke="{_GRID}"/>'
            yield from self._row(marks, middle)

    def _bars(self, own: ContainerStory, top: float) -> Iterator[str]:
        narrow: list[str] = []
        shown: set[tuple[str, int]] = set()
        for stretch in own.stretches:
            self._states.add(stretch.state)
            x, until = self.x(stretch.begin), self.x(stretch.end)
            if until - x >= _LEAST:
                yield _bar(stretch, x, top, until - x)
                yield from _label(stretch, own, x, until, top)
            elif (stretch.state, int(x / _LEAST)) not in shown:
                # In a long time much is too short to be seen: one for each place and state is drawn, on top.
                shown.add((stretch.state, int(x / _LEAST)))
                narrow.append(_bar(stretch, x, top, _LEAST))
        yield from narrow

    def _numbers(self, lives: Sequence[Life], base: float) -> Iterator[str]:
        """Where an instance began, its number; no two overlap, and the last is always there.

        Of many, only round ones: every fifth, tenth, hundredth.
        """
        restarted = lives[1:]
        step = next((s for s in _NTH if len(restarted) / s <= 40), _NTH[-1])
        placed: list[tuple[float, float, int]] = []
        for life in restarted:
            x, half = self.x(life.began), _width(str(life.number), 10) / 2
            last = life is restarted[-1]
            if life.number % step and not last:
                continue
            while last and placed and x - half < placed[-1][1] + 3:
                placed.pop()
            if not placed or x - half >= placed[-1][1] + 3:
                placed.append((x, x + half, life.number))
        for x, _, number in placed:
            yield _text(x, base, str(number), size=10, fill=_PALE, anchor="middle")

    def _row(self, marks: Sequence[Mark], middle: float) -> Iterator[str]:
        crowded = sum(mark.kind in ("well", "ill") for mark in marks) > _CROWD
        last: dict[str, float] = {}
        for mark in marks:
            x = self.x(mark.at)
            self._marks.add(mark.kind)
            if x - last.get(mark.kind, -_APART) >= _APART:
                last[mark.kind] = x
                yield _mark(mark.kind, x, middle, mark.text, crowded)

    def legend(self) -> Iterator[str]:
        states = [(state, name) for state, (_, _, name) in STATES.items() if state in self._states]
        marks = [(kind, name) for kind, name in MARKS.items() if kind in self._marks]
        widths = [33 + _width(name, 11) for _, name in (*states, *marks)]
        # Above the lanes' beginning, and further to the left if much has occurred.
        x = min(float(LEFT), WIDTH - RIGHT - sum(widths))
        for (key, name), width in zip((*states, *marks), widths, strict=True):
            if key in STATES:
                fill = STATES[key][0]
                yield f'<rect x="{x:g}" y="{_LEGEND - 10}" width="12" height="12" rx="2" fill="{fill}"/>'
            else:
                yield _mark(key, x + 6, _LEGEND - 4)
            yield _text(x + 17, _LEGEND, name, size=11)
            x = round(x + width)

    def grid(self, bottom: float) -> Iterator[str]:
        step = next((s for s in _STEPS if self._seconds / s <= 12), _STEPS[-1])
        for index in range(int(self._seconds // step) + 1):
            x = self.x(index * step)
            yield f'<path d="M{x:.1f} {_TOP - 6}V{bottom:g}" stroke="{_GRID}"/>'
            yield _text(x, bottom + 16, _clock(index * step), size=11, fill=_PALE, anchor="middle")


_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds between the lines of the axis: never more than a dozen."""


_NTH = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
_CROWD = 80
"""More verdicts than this in a row are drawn as lines: triangles would cover each other."""
_APART = 1.2
"""Marks of a kind that are nearer than this are one."""


def _clock(seconds: int) -> str:
    """`45s`, `1m30s`, `2h`: no unit that says nothing."""
    if seconds == 0:
        return "0"
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def _above(own: ContainerStory) -> int:
    """The room that the numbers of its restarts take."""
    return _NUMBERS if len(own.lives) > 1 else 0


def _kind(own: ContainerStory) -> str:
    return "" if own.kind == "container" else own.kind


def _bar(stretch: Stretch, x: float, top: float, width: float) -> str:
    fill, _, name = STATES[stretch.state]
    note = f" ({stretch.note})" if stretch.note else ""
    span = f"{duration(stretch.begin)} to {duration(stretch.end)}"
    return (
        f'<rect x="{x:.1f}" y="{top:g}" width="{width:.1f}" height="{_BAR}" fill="{fill}">'
        f"<title>{escape(name + note)}: {span}</title></rect>"
    )


def _labels(stretch: Stretch, own: ContainerStory) -> Iterator[str]:
    """How it ended and how long it waits, the most telling first."""
    if stretch.state == "back-off":
        waits = duration(stretch.end - stretch.begin)
        ended = [
            life for life in own.lives if life.ended is not None and life.ended <= stretch.begin
        ]
        if ended:
            yield f"exit {ended[-1].exit_code}, {stretch.note} {waits}"
            yield f"exit {ended[-1].exit_code}, {waits}"
        yield f"{stretch.note} {waits}"
        yield waits
    elif stretch.state == "terminating":
        ended = [life for life in own.lives if life.id == stretch.life and life.ended is not None]
        if ended:
            yield f"exit {ended[-1].exit_code}"
            yield f"{ended[-1].exit_code}"
    elif stretch.state in ("ended", "waiting") and stretch.note:
        yield stretch.note


def _label(
    stretch: Stretch, own: ContainerStory, x: float, until: float, top: float
) -> Iterator[str]:
    """As much as there is room for."""
    for text in _labels(stretch, own):
        if _width(text, 10) + 6 <= until - x:
            fill = STATES[stretch.state][1]
            yield _text((x + until) / 2, top + 13.5, text, size=10, fill=fill, anchor="middle")
            return


def _mark(kind: str, x: float, middle: float, text: str = "", crowded: bool = False) -> str:
    title = f"<title>{escape(text)}</title>" if text else ""
    match kind:
        case "well" if crowded:
            shape = f'd="M{x:.1f} {middle:g}v-4" stroke="{_WELL}"'
        case "ill" if crowded:
            shape = f'd="M{x:.1f} {middle:g}v4" stroke="{_ILL}"'
        case "failed":
            shape = f'd="M{x:.1f} {middle - 4:g}v8" stroke="{_ILL}" stroke-width="1.4"'
        case "errored":
            shape = f'd="M{x - 2.5:.1f} {middle - 2.5:g}l5 5m0 -5l-5 5" stroke="{_PALE}" stroke-width="1.2"'
        case "well":
            shape = f'd="M{x:.1f} {middle - 4:g}l4 8h-8z" fill="{_WELL}"'
        case _:
            shape = f'd="M{x:.1f} {middle + 4:g}l4 -8h-8z" fill="{_ILL}"'
    return f"<path {shape}>{title}</path>" if title else f"<path {shape}/>"


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: int = 400,
    fill: str = _TEXT,
    anchor: str = "start",
    room: float = WIDTH,
) -> str:
    shown, title = text, ""
    if _width(text, size) > room:
        shown = text[: max(int(room / _width("m", size)) - 1, 1)] + "…"
        title = f"<title>{escape(text)}</title>"
    look = "" if weight == 400 else f' font-weight="{weight}"'
    look += "" if size == 12 else f' font-size="{size}"'
    look += "" if fill == _TEXT else f' fill="{fill}"'
    look += "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.5g}" y="{y:.5g}"{look}>{escape(shown)}{title}</text>'


def _width(text: str, size: int) -> float:
    """About what a text takes; fonts differ, so rather too much."""
    return len(text) * size * 0.6
