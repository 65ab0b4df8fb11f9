"""Images for an engine without a registry, built from what this machine has, for `ctr images import`.

podward.test/pause:1              what sandboxes run
docker.io/library/busybox:latest  busybox-static with all its applets, under the names of BUSYBOX_NAMES
docker.io/library/nginx:latest    Debian's nginx, with the libraries that it loads
docker.io/library/host:latest     what stands for this machine on an engine: its Python, to serve files
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Image:
    """A layer and how it is run."""

    names: Sequence[str]
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    """Path below the root -> its content, or the file of this machine that is copied."""
    links: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[str] = ("tmp", "proc", "sys", "dev", "etc", "root", "var/run")
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Sequence[str] = (PATH,)
    user: str = ""
    working_dir: str = ""
    stop_signal: str = ""

    def parts(self) -> tuple[bytes, bytes]:
        """Its configuration, and its layer as a tar archive."""
        layer = self._layer()
        config: dict[str, object] = {
            "Env": list(self.env),
            "Entrypoint": list(self.entrypoint) or None,
            "Cmd": list(self.command) or None,
            "User": self.user,
            "WorkingDir": self.working_dir,
        }
        if self.stop_signal:
            config["StopSignal"] = self.stop_signal
        document = {
            "architecture": _architecture(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
        return json.dumps(document).encode(), layer

    def archive(self) -> bytes:
        """As `docker save` writes it."""
        described, layer = self.parts()
        name = f"{digest_of(described).removeprefix('sha256:')}.json"
        manifest = [{"Config": name, "RepoTags": list(self.names), "Layers": ["layer.tar"]}]
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            _add(archive, name, described)
            _add(archive, "layer.tar", layer)
            _add(archive, "manifest.json", json.dumps(manifest).encode())
        return out.getvalue()

    def _layer(self) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for folder in self.folders:
                info = tarfile.TarInfo(folder)
                info.type, info.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
                archive.addfile(info)
            for path, content in self.files.items():
                data = content.read_bytes() if isinstance(content, Path) else content
                executable = isinstance(content, Path) or data.startswith(b"#!")
                _add(archive, path, data, 0o755 if executable else 0o644)
            for path, target in self.links.items():
                info = tarfile.TarInfo(path)
                info.type, info.linkname = tarfile.SYMTYPE, target
                archive.addfile(info)
        return out.getvalue()


ACCOUNTS: Mapping[str, bytes | Path] = {
    "etc/passwd": (
        b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"
        b"web:x:1001:1001::/home/web:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n"
    ),
    "etc/group": b"root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\nweb:x:1001:\nextra:x:1234:web\n",
}


def busybox_files() -> tuple[dict[str, bytes | Path], dict[str, str]]:
    """(files, links)."""
    binary = Path(shutil.which("busybox") or "/bin/busybox").resolve()
    listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True)
    applets = [name for name in listed.stdout.split() if name != "busybox"]
    files = {"bin/busybox": binary, **ACCOUNTS}
    return files, {f"bin/{name}": "/bin/busybox" for name in applets} | {
        "usr/bin/env": "/bin/busybox"
    }


def pause() -> Image:
    files, links = busybox_files()
    # It reaps what is left to it (shareProcessNamespace), and ends when told to.
    script = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"
    return Image(["podward.test/pause:1"], files, links, entrypoint=["/bin/sh", "-c", script])


BUSYBOX_NAMES = (
    "docker.io/library/busybox:latest", "docker.io/library/busybox:1.36", "registry.k8s.io/busybox:latest",
    "k8s.gcr.io/busybox:latest",
)  # fmt: skip


def busybox() -> Image:
    files, links = busybox_files()
    return Image(BUSYBOX_NAMES, files, links, command=["sh"])


def nginx() -> Image:
    """With busybox's tools beside it, as Debian's image has a shell."""
    files, links = busybox_files()
    binary = Path(shutil.which("nginx") or "/usr/sbin/nginx").resolve()
    files["usr/sbin/nginx"] = binary
    for library in _libraries(binary):
        files[str(library).lstrip("/")] = library.resolve()
    for path in ("etc/nginx/mime.types", "etc/nginx/fastcgi_params"):
        if Path("/", path).exists():
            files[path] = Path("/", path).read_bytes()
    files["etc/nginx/nginx.conf"] = (
        b"worker_processes 1;\nerror_log /dev/stderr;\npid /run/nginx.pid;\nevents {}\n"
        b"http {\n  access_log /dev/stdout;\n  include /etc/nginx/conf.d/*.conf;\n}\n"
    )
    files["etc/nginx/conf.d/default.conf"] = (
        b"server { listen 80; location / { root /usr/share/nginx/html; index index.html; } }\n"
    )
    files["usr/share/nginx/html/index.html"] = b"<h1>Welcome to nginx!</h1>\n"
    return Image(
        ["docker.io/library/nginx:latest", "docker.io/library/nginx:1.25"], files, links,
        folders=("tmp", "proc", "sys", "dev", "etc", "root", "run", "var/log/nginx", "var/lib/nginx"),
        command=["nginx", "-g", "daemon off;"], stop_signal="SIGQUIT",
    )  # fmt: skip


_SERVES = """
import sys
sys.modules["ssl"] = None
import argparse, contextlib, http.server, runpy
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler): pass
print(*{m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)}, sep="\\n")
"""


def host() -> Image:
    """busybox, and of this machine's Python what its web server loads, where it is here."""
    files, links = busybox_files()
    own = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    python = next(path for path in (Path("/usr/bin/python3"), own) if path.exists()).resolve()
    command = [str(python), "-I", "-c", _SERVES]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    modules = [path for path in map(Path, listed.split()) if path.is_absolute()]
    for path in (python, *modules):
        files[str(path).lstrip("/")] = path
        if path == python or path.suffix == ".so":
            files |= {str(library).lstrip("/"): library.resolve() for library in _libraries(path)}
    files["etc/nsswitch.conf"] = (
        b"hosts: files\n"  # the tests' network has no name server to wait for
    )
    links["usr/local/bin/python3"] = str(python)
    return Image(["docker.io/library/host:latest"], files, links)


def _libraries(binary: Path) -> list[Path]:
    found = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout
    return [Path(p) for p in re.findall(r"(/\S+) \(0x", found)]


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    archive.addfile(info, io.BytesIO(data))


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _architecture() -> str:
    import platform

    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
