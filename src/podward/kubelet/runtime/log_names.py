"""What the files of a container's logs are called: `{count}.log`, and what was rotated away from it.

`3.log.20260102-150405` and, packed, `3.log.20260102-150405.gz`: by name is by time.
"""

from pathlib import Path

PACKED = ".gz"


def rotated(log: Path) -> list[Path]:
    """Oldest first; of a file that is there packed and not packed, the packed one."""
    prefix = f"{log.name}."
    try:
        names = {one.name for one in log.parent.iterdir() if one.name.startswith(prefix)}
    except (FileNotFoundError, NotADirectoryError):
        return []
    times = {name[len(prefix) :].removesuffix(PACKED) for name in names}
    found = sorted(time for time in times if is_time(time))
    chosen = (f"{prefix}{time}" for time in found)
    return [log.with_name(name + PACKED if name + PACKED in names else name) for name in chosen]


def is_time(text: str) -> bool:
    """`20260102-150405`."""
    return len(text) == 15 and text[8] == "-" and (text[:8] + text[9:]).isdigit()
