"""Imported images: a name, a root filesystem, and what the image says about how to run it.

There is no registry to pull from. A directory or a tar archive is copied below the data directory under its
name; an archive in `docker save` or OCI layout brings its entrypoint, arguments and environment along.
"""

import hashlib
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

import msgspec

HOST_NOTE = "not imported: it stands for this machine's own filesystem"


class ImageError(Exception):
    """The image cannot be imported, and why."""


class ImageConfig(msgspec.Struct, rename={"entrypoint": "Entrypoint", "command": "Cmd", "env": "Env",
                                          "working_dir": "WorkingDir"}):  # fmt: skip
    """The part of an OCI image configuration that running it needs."""

    entrypoint: list[str] | None = None
    command: list[str] | None = None
    env: list[str] | None = None
    working_dir: str = ""


class Image(msgspec.Struct):
    name: str
    """Normalized: `docker.io/library/busybox:latest`."""
    id: str
    config: ImageConfig = msgspec.field(default_factory=ImageConfig)


class _Manifest(msgspec.Struct):
    config: str = msgspec.field(name="Config")
    layers: list[str] = msgspec.field(name="Layers")


class _ConfigFile(msgspec.Struct):
    config: ImageConfig = msgspec.field(default_factory=ImageConfig)


def normalize(name: str) -> str:
    """`busybox` -> `docker.io/library/busybox:latest`, as every engine completes it."""
    base, at, digest = name.partition("@")
    first, slash, _ = base.partition("/")
    if not slash:
        base = f"docker.io/library/{base}"
    elif "." not in first and ":" not in first and first != "localhost":
        base = f"docker.io/{base}"
    if at:
        return f"{base}@{digest}"
    return base if ":" in base.rpartition("/")[2] else f"{base}:latest"


class ImageStore:
    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, name: str) -> tuple[Image, Path] | None:
        """The image and its root filesystem."""
        folder = self._folder(normalize(name))
        try:
            image = msgspec.json.decode((folder / "image.json").read_bytes(), type=Image)
        except FileNotFoundError:
            return None
        return image, folder / "rootfs"

    def list(self) -> list[Image]:
        if not self._root.is_dir():
            return []
        found = [
            msgspec.json.decode(path.read_bytes(), type=Image)
            for path in self._root.glob("*/image.json")
        ]
        return sorted(found, key=lambda image: image.name)

    def import_image(self, name: str, source: Path) -> Image:
        """Copy a directory, or unpack an archive, as image `name`; replaces one of that name."""
        if not source.exists():
            raise ImageError(f"cannot import {source}: no such file or directory")
        folder = self._folder(normalize(name))
        fresh = folder.with_name(folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        rootfs = fresh / "rootfs"
        try:
            rootfs.mkdir(parents=True)
            config = ImageConfig()
            if source.is_dir():
                shutil.copytree(source, rootfs, symlinks=True, dirs_exist_ok=True)
            else:
                config = _unpack(source, rootfs)
            digest = hashlib.sha256(f"{normalize(name)} {source.stat().st_mtime_ns}".encode())
            image = Image(normalize(name), f"sha256:{digest.hexdigest()}", config)
            (fresh / "image.json").write_bytes(msgspec.json.encode(image))
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        except (OSError, tarfile.TarError, msgspec.DecodeError) as error:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ImageError(f"cannot import {source}: {error}") from error
        return image

    def remove(self, name: str) -> bool:
        """False if there is no such image."""
        folder = self._folder(normalize(name))
        if not folder.exists():
            return False
        shutil.rmtree(folder)
        return True

    def _folder(self, normalized: str) -> Path:
        return self._root / hashlib.sha256(normalized.encode()).hexdigest()[:32]


def _unpack(archive: Path, rootfs: Path) -> ImageConfig:
    with tarfile.open(archive) as tar:
        try:
            manifest = tar.extractfile("manifest.json")
        except KeyError:
            _extract(tar, rootfs)
            return ImageConfig()
        if manifest is None:
            raise ImageError(f"cannot import {archive}: manifest.json is not a file")
        described = msgspec.json.decode(manifest.read(), type=list[_Manifest])[0]
        for layer in described.layers:
            data = tar.extractfile(layer)
            if data is None:
                raise ImageError(f"cannot import {archive}: layer {layer} is missing")
            with tarfile.open(fileobj=data) as layer_tar:
                _extract(layer_tar, rootfs)
        config = tar.extractfile(described.config)
        if config is None:
            return ImageConfig()
        return msgspec.json.decode(config.read(), type=_ConfigFile).config


def _extract(tar: tarfile.TarFile, rootfs: Path) -> None:
    """Devices are left out (the sandbox has its own), whiteouts delete, nothing is written outside `rootfs`."""
    for member in tar:
        target = _inside(rootfs, member.name)
        if target.name.startswith(".wh."):
            _remove(target.with_name(target.name.removeprefix(".wh.")))
        elif member.islnk():
            _remove(target)
            os.link(_inside(rootfs, member.linkname), target, follow_symlinks=False)
        elif member.issym() or member.isfile() or member.isdir():
            if not (member.isdir() and target.is_dir()):
                _remove(target)
            member.name = str(target.relative_to(rootfs))
            tar.extract(member, rootfs, numeric_owner=True)


def _inside(rootfs: Path, name: str) -> Path:
    """Where a member belongs: links on the way are followed as if `rootfs` were the root, so none leads out."""
    walked = Path()
    *folders, last = PurePosixPath("/" + name).parts[1:] or (".",)
    for part in folders:
        step = rootfs / walked / part
        if part == "..":
            walked = walked.parent
        elif step.is_symlink():
            target = os.path.normpath("/" + os.path.join(str(walked), os.readlink(step)))
            walked = Path(target.lstrip("/"))
        else:
            walked = walked / part
    if last in ("..", ".", ""):
        return rootfs / walked
    return rootfs / walked / last


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
