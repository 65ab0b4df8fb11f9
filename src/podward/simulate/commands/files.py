"""Programs about the file system."""

import posixpath
import re
from datetime import UTC, datetime

from podward.simulate.commands import options
from podward.simulate.commands.options import Options
from podward.simulate.commands.text import read_date
from podward.simulate.files import Stat, absolute
from podward.simulate.processes import CannotSimulate, Endless, Process, Program
from podward.simulate.shell.patterns import matches


def _complain(process: Process, text: str) -> int:
    process.complain(f"{process.name}: {text}")
    return 1


def _usage(process: Process) -> int:
    process.complain(f"Usage: {process.name}")
    return 1


async def touch(process: Process) -> int:
    chosen = options.read(process, "cham", "drt", {"no-create": "c", "date": "d", "reference": "r"})
    if not chosen.names:
        return _usage(process)
    moment = process.group.now().timestamp()
    if "d" in chosen:
        at = read_date(chosen["d"])
        if at is None:
            raise options.unknown(process, f"-d {chosen['d']}")
        moment = at.timestamp()
    if "t" in chosen:
        raise options.unknown(process, "-t")
    files = process.files
    if "r" in chosen:
        found = files.stat(absolute(chosen["r"], process.cwd))
        if found is None:
            return _complain(process, f"{chosen['r']}: No such file or directory")
        moment = found.changed
    code = 0
    for name in chosen.names:
        path = absolute(name, process.cwd)
        try:
            if files.stat(path) is None:
                if "c" in chosen:
                    continue
                files.open(path, append=True)
            files.set_changed(path, moment)
        except OSError as error:
            code = _complain(process, f"{name}: {error.strerror}")
    return code


async def rm(process: Process) -> int:
    chosen = options.read(process, "rRfiv", "", {"force": "f", "recursive": "r"})
    if not chosen.names and "f" not in chosen:
        return _usage(process)
    code = 0
    for name in chosen.names:
        path = absolute(name, process.cwd)
        if posixpath.basename(name.rstrip("/")) in (".", ".."):
            code = _complain(
                process, f"refusing to remove '.' or '..' directory: skipping '{name}'"
            )
            continue
        try:
            found = process.files.stat(path, follow=False)
            if found is None:
                if "f" not in chosen:
                    code = _complain(process, f"can't remove '{name}': No such file or directory")
            elif found.kind == "directory" and not set(chosen) & {"r", "R"}:
                code = _complain(process, f"'{name}' is a directory")
            else:
                process.files.remove(path)
        except OSError as error:
            code = _complain(process, f"can't remove '{name}': {error.strerror}")
    return code


async def unlink(process: Process) -> int:
    process.argv = [process.argv[0], *process.argv[1:2]]
    return await rm(process)


async def mkdir(process: Process) -> int:
    chosen = options.read(process, "pv", "m", {"parents": "p", "mode": "m"})
    if not chosen.names:
        return _usage(process)
    code = 0
    for name in chosen.names:
        path = absolute(name, process.cwd)
        try:
            existed = process.files.kind(path) is not None
            process.files.make_directory(path, parents="p" in chosen)
            if not existed:
                mode = int(chosen["m"], 8) if "m" in chosen else 0o777 & ~process.umask
                process.files.set_mode(path, mode)
        except OSError as error:
            code = _complain(process, f"can't create directory '{name}': {error.strerror}")
    return code


async def rmdir(process: Process) -> int:
    chosen = options.read(process, "", "", {"ignore-fail-on-non-empty": "i"})
    code = 0
    for name in chosen.names:
        path = absolute(name, process.cwd)
        try:
            if process.files.names(path):
                code = _complain(process, f"'{name}': Directory not empty")
            else:
                process.files.remove(path)
        except OSError as error:
            code = _complain(process, f"'{name}': {error.strerror}")
    return code


def _targets(process: Process, chosen: Options) -> list[tuple[str, str]] | None:
    """(source, where to) as absolute paths; None if there is no such folder for several."""
    *sources, target = chosen.names
    into = absolute(target, process.cwd)
    folder = process.files.kind(into) == "directory" and "T" not in chosen
    if len(sources) > 1 and not folder:
        return None
    return [
        (source, posixpath.join(into, posixpath.basename(source.rstrip("/"))) if folder else into)
        for source in sources
    ]


async def cp(process: Process) -> int:
    chosen = options.read(process, "rRafpLPduT")
    if len(chosen.names) < 2:
        return _usage(process)
    targets = _targets(process, chosen)
    if targets is None:
        return _complain(process, f"target '{chosen.names[-1]}' is not a directory")
    recursive = bool(set(chosen) & set("rRa"))
    code = 0
    for source, end in targets:
        start = absolute(source, process.cwd)
        try:
            if process.files.kind(start) == "directory" and not recursive:
                code = _complain(process, f"omitting directory '{source}'")
            else:
                _copy(process, start, end, keep=bool(set(chosen) & set("ap")))
        except OSError as error:
            missing = process.files.kind(start) is None
            verb, name = ("stat", source) if missing else ("create", end)
            code = _complain(process, f"can't {verb} '{name}': {error.strerror}")
    return code


def _copy(process: Process, start: str, end: str, *, keep: bool) -> None:
    files = process.files
    found = files.stat(start)
    if found is not None and found.kind == "directory":
        names = files.names(start)
        files.make_directory(end, parents=True)
        for name in names:
            _copy(process, posixpath.join(start, name), posixpath.join(end, name), keep=keep)
        return
    data = files.read(start)
    existed = files.kind(end) is not None
    files.write(end, data)
    if found is not None and not existed:
        files.set_mode(end, found.mode)
    if found is not None and keep:
        files.set_changed(end, found.changed)


async def mv(process: Process) -> int:
    chosen = options.read(process, "finT")
    if len(chosen.names) < 2:
        return _usage(process)
    targets = _targets(process, chosen)
    if targets is None:
        return _complain(process, f"target '{chosen.names[-1]}' is not a directory")
    code = 0
    for source, end in targets:
        start = absolute(source, process.cwd)
        try:
            if "n" not in chosen or process.files.stat(end, follow=False) is None:
                process.files.rename(start, end)
        except OSError as error:
            code = _complain(process, f"can't rename '{source}': {error.strerror}")
    return code


async def ln(process: Process) -> int:
    chosen = options.read(process, "sfnT")
    if len(chosen.names) == 1:
        chosen.names.append(".")
    targets = _targets(process, chosen) or []
    code = 0
    for source, end in targets:
        try:
            if "f" in chosen and process.files.stat(end, follow=False) is not None:
                process.files.remove(end)
            if "s" in chosen:
                process.files.make_link(end, source)
            else:
                process.files.hard_link(absolute(source, process.cwd), end)
        except OSError as error:
            code = _complain(process, f"{end}: {error.strerror}")
    return code


async def readlink(process: Process) -> int:
    chosen = options.read(process, "fn")
    code = 0
    for name in chosen.names:
        path = absolute(name, process.cwd)
        found = process.files.real(path) if set(chosen) & {"f"} or process.name == "realpath" else (
            process.files.read_link(path))  # fmt: skip
        if found is None:
            code = 1
        else:
            process.write(found + ("" if "n" in chosen else "\n"))
    return code


# ---- looking


async def ls(process: Process) -> int:
    chosen = options.read(process, "1aAdlRtrFnhS", "", {"all": "a"})
    if set(chosen) & set("FhS"):
        raise options.unknown(process, "-F, -h or -S")
    names, code = chosen.names or ["."], 0
    found: list[tuple[str, str]] = []
    for name in names:
        path = absolute(name, process.cwd)
        if process.files.stat(path, follow=False) is None:
            code = _complain(process, f"{name}: No such file or directory")
        else:
            found.append((name, path))
    folders = [] if "d" in chosen else [f for f in found if process.files.kind(f[1]) == "directory"]
    single = [f for f in found if f not in folders]
    _list(process, chosen, _sorted(process, chosen, single))
    titled = len(names) > 1 or "R" in chosen
    first = not single
    for name, path in _sorted(process, chosen, folders):
        first = _list_folder(process, chosen, name, path, titled=titled, first=first)
    return code


def _list_folder(
    process: Process, chosen: Options, name: str, path: str, *, titled: bool, first: bool
) -> bool:
    entries = [(n, posixpath.join(path, n)) for n in process.files.names(path)
               if not n.startswith(".") or set(chosen) & set("aA")]  # fmt: skip
    if "a" in chosen:
        entries = [(".", path), ("..", posixpath.dirname(path)), *entries]
    entries = _sorted(process, chosen, entries)
    if titled:
        process.write(("" if first else "\n") + f"{name}:\n")
    if "l" in chosen:
        process.write("total 0\n")
    _list(process, chosen, entries)
    if "R" in chosen:
        for entry, below in entries:
            found = process.files.stat(below, follow=False)
            if found is not None and found.kind == "directory" and entry not in (".", ".."):
                _list_folder(
                    process, chosen, f"{name.rstrip('/')}/{entry}", below, titled=True, first=False
                )
    return False


def _sorted(
    process: Process, chosen: Options, entries: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    entries = sorted(entries)
    if "t" in chosen:
        entries.sort(key=lambda entry: -_stat(process, entry[1]).changed)
    return entries[::-1] if "r" in chosen else entries


def _stat(process: Process, path: str) -> Stat:
    found = process.files.stat(path, follow=False)
    assert found is not None
    return found


def _list(process: Process, chosen: Options, entries: list[tuple[str, str]]) -> None:
    for name, path in entries:
        if not set(chosen) & set("ln"):
            process.write(f"{name}\n")
            continue
        found = _stat(process, path)
        at = datetime.fromtimestamp(found.changed, UTC)
        recent = abs(process.group.now().timestamp() - found.changed) < 180 * 86400
        shown = f"{at:%b %e %H:%M}" if recent else f"{at:%b %e  %Y}"
        target = f" -> {process.files.read_link(path)}" if found.kind == "link" else ""
        process.write(
            f"{_permissions(found)}    1 root     root     {found.size:9d} {shown} {name}{target}\n"
        )


def _permissions(found: Stat) -> str:
    kind = {"file": "-", "directory": "d", "link": "l", "device": "c"}[found.kind]
    return kind + "".join(
        c if found.mode >> (8 - i) & 1 else "-" for i, c in enumerate("rwxrwxrwx")
    )


_KINDS = {
    "file": "regular file",
    "directory": "directory",
    "link": "symbolic link",
    "device": "character special file",
}


async def stat(process: Process) -> int:
    chosen = options.read(process, "Lt", "c", {"format": "c"})
    if "c" not in chosen:
        raise options.unknown(process, "the form without -c")
    code = 0
    for name in chosen.names:
        found = process.files.stat(absolute(name, process.cwd), follow="L" in chosen)
        if found is None:
            code = _complain(process, f"can't stat '{name}': No such file or directory")
            continue
        process.write(_stat_line(process, chosen["c"], name, found) + "\n")
    return code


def _stat_line(process: Process, pattern: str, name: str, found: Stat) -> str:
    changed = datetime.fromtimestamp(found.changed, UTC)
    moment = f"{changed:%Y-%m-%d %H:%M:%S.%f}000 +0000"
    seconds = str(int(found.changed))
    kind = "regular empty file" if found.kind == "file" and not found.size else _KINDS[found.kind]
    known = {
        "n": name, "s": str(found.size), "F": kind, "a": f"{found.mode:o}",
        "A": _permissions(found), "Y": seconds, "X": seconds, "Z": seconds, "y": moment, "x": moment,
        "z": moment, "u": "0", "g": "0", "U": "root", "G": "root", "%": "%",
    }  # fmt: skip

    def one(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise options.unknown(process, match[0])
        return known[match[1]]

    return re.sub(r"%(.)", one, pattern)


# ---- find


async def find(process: Process) -> int:
    """Roots, then tests that all must hold, then what to do: `-print`, `-delete`, `-quit` or `-exec ... ;`."""
    words = process.argv[1:]
    roots = []
    while words and not words[0].startswith(("-", "!", "(")):
        roots.append(words.pop(0))
    search = _Find(process, words)
    code = 0
    for root in roots or ["."]:
        if process.files.stat(absolute(root, process.cwd), follow=False) is None:
            code = _complain(process, f"{root}: No such file or directory")
        elif not search.over:
            await search.walk(root, 0)
    return code


class _Find:
    def __init__(self, process: Process, words: list[str]) -> None:
        self._process = process
        self._tests: list[tuple[bool, str, str]] = []
        self._actions: list[tuple[str, list[str]]] = []
        self._least, self._most = 0, 10**6
        self.over = False
        negated = False
        while words:
            word = words.pop(0)
            if word in ("!", "-not"):
                negated = True
                continue
            if word in ("-mindepth", "-maxdepth") and words:
                self._least, self._most = (
                    (int(words.pop(0)), self._most) if word == "-mindepth" else (self._least, int(words.pop(0)))
                )  # fmt: skip
            elif (
                word in ("-name", "-iname", "-path", "-type", "-mmin", "-mtime", "-newer", "-size")
                and words
            ):
                self._tests.append((negated, word, words.pop(0)))
            elif word == "-empty":
                self._tests.append((negated, word, ""))
            elif word in ("-print", "-delete", "-quit"):
                self._actions.append((word, []))
            elif word == "-exec" and ";" in words:
                end = words.index(";")
                self._actions.append((word, words[:end]))
                del words[: end + 1]
            elif word not in ("-a", "-xdev", "-L", "-H"):
                raise options.unknown(process, word)
            negated = False

    async def walk(self, name: str, depth: int) -> None:
        path = absolute(name, self._process.cwd)
        found = self._process.files.stat(path, follow=False)
        if found is None:
            return
        deletes = any(action == "-delete" for action, _ in self._actions)
        if not deletes:
            await self._look(name, found, depth)
        if found.kind == "directory" and depth < self._most:
            for below in self._process.files.names(path):
                if self.over:
                    return
                await self.walk(
                    f"{name.rstrip('/')}/{below}" if name != "/" else f"/{below}", depth + 1
                )
        if deletes:
            await self._look(name, found, depth)

    async def _look(self, name: str, found: Stat, depth: int) -> None:
        if self.over or not self._least <= depth <= self._most:
            return
        if not all(self._holds(t, v, name, found) is not n for n, t, v in self._tests):
            return
        for action, words in self._actions or [("-print", [])]:
            if action == "-print":
                self._process.write(f"{name}\n")
            elif action == "-quit":
                self.over = True
            elif action == "-delete":
                self._process.files.remove(absolute(name, self._process.cwd))
            elif await self._process.run([w.replace("{}", name) for w in words]):
                return

    def _holds(self, test: str, value: str, name: str, found: Stat) -> bool:
        process = self._process
        age = process.group.now().timestamp() - found.changed
        match test:
            case "-name":
                return matches(posixpath.basename(name.rstrip("/")) or "/", value)
            case "-iname":
                return matches(posixpath.basename(name).lower(), value.lower())
            case "-path":
                return matches(name, value)
            case "-type":
                return (
                    value == {"file": "f", "directory": "d", "link": "l", "device": "c"}[found.kind]
                )
            case "-mmin":
                return _compared(process, value, int(age // 60))
            case "-mtime":
                return _compared(process, value, int(age // 86400))
            case "-size":
                return self._has_size(value, found)
            case "-newer":
                other = process.files.stat(absolute(value, process.cwd))
                return other is not None and found.changed > other.changed
        path = absolute(name, process.cwd)
        return not process.files.names(path) if found.kind == "directory" else found.size == 0

    def _has_size(self, value: str, found: Stat) -> bool:
        match = re.fullmatch(r"([-+]?\d+)([ckb]?)", value)
        if match is None:
            raise options.unknown(self._process, f"-size {value}")
        unit = {"c": 1, "k": 1024, "b": 512, "": 512}[match[2]]
        return _compared(self._process, match[1], -(-found.size // unit))


def _compared(process: Process, text: str, number: int) -> bool:
    """`+n` more than, `-n` less than, `n` exactly."""
    if not re.fullmatch(r"[-+]?\d+", text):
        raise options.unknown(process, text)
    value = int(text.lstrip("+-"))
    return (
        number > value if text[0] == "+" else number < value if text[0] == "-" else number == value
    )


# ---- changing


async def chmod(process: Process) -> int:
    words = process.argv[1:]
    recursive = "-R" in words[:1]
    mode, *names = words[recursive:] or [""]
    if not names:
        return _usage(process)
    code = 0
    for name in names:
        path = absolute(name, process.cwd)
        found = process.files.stat(path)
        if found is None:
            code = _complain(process, f"{name}: No such file or directory")
            continue
        for one in [path, *(_below(process, path) if recursive else [])]:
            process.files.set_mode(one, _mode(process, mode, _stat(process, one)))
    return code


def _below(process: Process, path: str) -> list[str]:
    if process.files.kind(path) != "directory":
        return []
    here = [posixpath.join(path, name) for name in process.files.names(path)]
    return [*here, *(below for one in here for below in _below(process, one))]


def _mode(process: Process, text: str, found: Stat) -> int:
    if re.fullmatch(r"[0-7]{1,4}", text):
        return int(text, 8)
    mode = found.mode
    for clause in text.split(","):
        match = re.fullmatch(r"([ugoa]*)([-+=])([rwxXst]*)", clause)
        if match is None:
            raise options.unknown(process, clause)
        bits = 0
        for letter in match[3]:
            applies = letter != "X" or found.kind == "directory" or mode & 0o111
            bits |= {"r": 4, "w": 2, "x": 1, "X": 1}.get(letter, 0) if applies else 0
        who = match[1] or "a"
        shifts = {"u": (6,), "g": (3,), "o": (0,), "a": (6, 3, 0)}
        mask = 0
        for letter in who:
            for shift in shifts[letter]:
                mask |= bits << shift
                if match[2] == "=":
                    mode &= ~(7 << shift)
        if not match[1]:
            mask &= ~process.umask
        mode = mode & ~mask if match[2] == "-" else mode | mask
    return mode


async def chown(process: Process) -> int:
    """Everyone is root here: only whether the files exist counts."""
    code = 0
    for name in options.read(process, "Rhfc").names[1:]:
        if process.files.stat(absolute(name, process.cwd)) is None:
            code = _complain(process, f"{name}: No such file or directory")
    return code


async def truncate(process: Process) -> int:
    chosen = options.read(process, "c", "s")
    match = re.fullmatch(r"(\d+)([kKMG]?)", chosen.get("s", ""))
    if match is None:
        raise options.unknown(process, f"-s {chosen.get('s', '')}")
    size = _bytes(match[1], match[2])
    for name in chosen.names:
        path = absolute(name, process.cwd)
        if process.files.stat(path) is None and "c" in chosen:
            continue
        data = process.files.read(path) if process.files.stat(path) is not None else b""
        process.files.write(path, data[:size].ljust(size, b"\0"))
    return 0


_MOST_BYTES = 1 << 28


def _bytes(number: str, unit: str) -> int:
    size = (
        int(number)
        * {"": 1, "c": 1, "b": 512, "k": 1024, "K": 1024, "M": 1 << 20, "m": 1 << 20, "G": 1 << 30}[
            unit
        ]
    )
    if size > _MOST_BYTES:
        raise CannotSimulate(f"the simulator keeps files in memory: {size} bytes are too many")
    return size


async def dd(process: Process) -> int:
    known = {"if": "", "of": "", "bs": "512", "count": "", "conv": "", "status": "", "skip": "0"}
    for word in process.argv[1:]:
        name, equals, value = word.partition("=")
        if name not in known or not equals or name in ("iflag", "oflag"):
            raise options.unknown(process, word)
        known[name] = value
    match = re.fullmatch(r"(\d+)([kKMGcb]?)B?", known["bs"])
    if match is None:
        raise options.unknown(process, f"bs={known['bs']}")
    size = _bytes(match[1], match[2])
    limit = size * int(known["count"]) if known["count"] else None
    if limit is not None and limit > _MOST_BYTES:
        raise CannotSimulate(f"the simulator keeps files in memory: {limit} bytes are too many")
    try:
        data = await _dd_input(process, known["if"], limit)
        data = data[size * int(known["skip"]) :] if known["skip"] != "0" else data
        if known["of"]:
            process.files.write(absolute(known["of"], process.cwd), data)
        else:
            process.stdout.write(data)
    except OSError as error:
        return _complain(process, f"can't open '{known['if'] or known['of']}': {error.strerror}")
    if known["status"] != "none":
        whole, part = divmod(len(data), size)
        records = f"{whole}+{int(bool(part))} records"
        process.complain(f"{records} in\n{records} out")
    return 0


async def _dd_input(process: Process, name: str, limit: int | None) -> bytes:
    if name in ("/dev/zero", "/dev/urandom", "/dev/random"):
        return bytes(limit) if limit is not None else await Endless().read_all()
    data = (
        await process.stdin.read_all()
        if not name
        else process.files.read(absolute(name, process.cwd))
    )
    return data if limit is None else data[:limit]


async def mktemp(process: Process) -> int:
    chosen = options.read(process, "dqut", "p")
    pattern = (chosen.names or ["tmp.XXXXXX"])[0]
    if not pattern.endswith("XXXXXX"):
        return _complain(process, f"Invalid argument: {pattern}")
    if not chosen.names or "p" in chosen or "t" in chosen:
        folder = chosen.get("p") or process.env.get("TMPDIR", "/tmp")
        pattern = posixpath.join(folder, pattern)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    name = pattern[:-6] + "".join(letters[process.group.random() % 62] for _ in range(6))
    try:
        if "u" not in chosen and "d" in chosen:
            process.files.make_directory(absolute(name, process.cwd))
        elif "u" not in chosen:
            process.files.open(absolute(name, process.cwd))
    except OSError as error:
        return _complain(process, f"{error.strerror}: {pattern}")
    process.write(f"{name}\n")
    return 0


async def basename(process: Process) -> int:
    if len(process.argv) < 2:
        return _usage(process)
    name = process.argv[1].rstrip("/").rpartition("/")[2] or "/"
    if process.name == "dirname":
        name = posixpath.dirname(process.argv[1].rstrip("/")) or (
            "/" if process.argv[1][:1] == "/" else "."
        )
    elif len(process.argv) > 2 and name != process.argv[2]:
        name = name.removesuffix(process.argv[2])
    process.write(f"{name}\n")
    return 0


PROGRAMS: dict[str, Program] = {
    "touch": touch, "rm": rm, "unlink": unlink, "mkdir": mkdir, "rmdir": rmdir, "cp": cp, "mv": mv, "ln": ln,
    "readlink": readlink, "realpath": readlink, "ls": ls, "stat": stat, "find": find, "chmod": chmod,
    "chown": chown, "truncate": truncate, "dd": dd, "mktemp": mktemp, "basename": basename, "dirname": basename,
}  # fmt: skip
