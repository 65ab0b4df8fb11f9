"""Programs that change the file system."""

import posixpath

from podward.simulate.files import absolute
from podward.simulate.processes import Process, Program


def _split(process: Process) -> tuple[str, list[str]]:
    """(letters of the options, the other words)."""
    words = process.argv[1:]
    flags = "".join(w[1:] for w in words if w.startswith("-") and len(w) > 1)
    return flags, [w for w in words if not w.startswith("-") or w == "-"]


def _complain(process: Process, text: str) -> int:
    process.stderr.write(f"{process.argv[0].rpartition('/')[2]}: {text}\n".encode())
    return 1


async def touch(process: Process) -> int:
    code = 0
    for name in _split(process)[1]:
        try:
            if process.files.kind(absolute(name, process.cwd)) is None:
                process.files.write(absolute(name, process.cwd), b"", append=True)
        except OSError as error:
            code = _complain(process, f"{name}: {error.strerror}")
    return code


async def rm(process: Process) -> int:
    flags, names = _split(process)
    code = 0
    for name in names:
        path = absolute(name, process.cwd)
        kind = process.files.kind(path)
        if kind is None and "f" in flags:
            continue
        if kind == "directory" and not set(flags) & {"r", "R"}:
            code = _complain(process, f"'{name}' is a directory")
            continue
        try:
            process.files.remove(path)
        except OSError as error:
            code = _complain(process, f"can't remove '{name}': {error.strerror}")
    return code


async def mkdir(process: Process) -> int:
    flags, names = _split(process)
    code = 0
    for name in names:
        try:
            process.files.make_directory(absolute(name, process.cwd), parents="p" in flags)
        except OSError as error:
            code = _complain(process, f"can't create directory '{name}': {error.strerror}")
    return code


async def rmdir(process: Process) -> int:
    code = 0
    for name in _split(process)[1]:
        path = absolute(name, process.cwd)
        try:
            if process.files.names(path):
                code = _complain(process, f"'{name}': Directory not empty")
            else:
                process.files.remove(path)
        except OSError as error:
            code = _complain(process, f"'{name}': {error.strerror}")
    return code


async def cp(process: Process) -> int:
    """Also `mv` (which removes the source) and `ln` (whose link is a copy)."""
    flags, names = _split(process)
    name = process.argv[0].rpartition("/")[2]
    *sources, target = names
    into = absolute(target, process.cwd)
    code = 0
    for source in sources:
        start = absolute(source, process.cwd)
        end = into
        if process.files.kind(into) == "directory":
            end = posixpath.join(into, posixpath.basename(start))
        try:
            if (
                process.files.kind(start) == "directory"
                and name == "cp"
                and not set(flags) & set("rRa")
            ):
                code = _complain(process, f"omitting directory '{source}'")
                continue
            _copy(process, start, end)
            if name == "mv":
                process.files.remove(start)
        except OSError as error:
            code = _complain(process, f"can't {_VERBS[name]} '{source}': {error.strerror}")
    return code


_VERBS = {"cp": "stat", "mv": "rename", "ln": "link"}


def _copy(process: Process, start: str, end: str) -> None:
    if process.files.kind(start) != "directory":
        process.files.write(end, process.files.read(start))
        return
    process.files.make_directory(end, parents=True)
    for name in process.files.names(start):
        _copy(process, posixpath.join(start, name), posixpath.join(end, name))


async def ls(process: Process) -> int:
    flags, names = _split(process)
    code = 0
    for name in names or ["."]:
        path = absolute(name, process.cwd)
        kind = process.files.kind(path)
        if kind is None:
            code = _complain(process, f"{name}: No such file or directory")
            continue
        listed = [name] if kind == "file" or "d" in flags else process.files.names(path)
        shown = [n for n in listed if not n.startswith(".") or set(flags) & set("aA")]
        process.stdout.write("".join(f"{n}\n" for n in shown).encode())
    return code


async def chmod(process: Process) -> int:
    code = 0
    for name in _split(process)[1][1:]:
        if process.files.kind(absolute(name, process.cwd)) is None:
            code = _complain(process, f"{name}: No such file or directory")
    return code


async def tee(process: Process) -> int:
    flags, names = _split(process)
    data = await process.stdin.read_all()
    process.stdout.write(data)
    for name in names:
        process.files.write(absolute(name, process.cwd), data, append="a" in flags)
    return 0


PROGRAMS: dict[str, Program] = {
    "touch": touch, "rm": rm, "unlink": rm, "mkdir": mkdir, "rmdir": rmdir, "cp": cp, "mv": cp, "ln": cp,
    "ls": ls, "chmod": chmod, "chown": chmod, "tee": tee,
}  # fmt: skip
