"""A volume's files on disk: swapped whole, untouched when nothing changed, whole again after a death."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podward.kubelet.volume_plan import File
from podward.kubelet.volume_writer import write_files


def files(**texts: str) -> dict[str, File]:
    return {name.replace("__", "/"): File(text.encode(), 0o644) for name, text in texts.items()}


def seen(place: Path) -> dict[str, File]:
    """As a container sees it: by the names that do not begin with dots."""
    found = {}
    for top in place.iterdir():
        if top.name.startswith(".."):
            continue
        below = [top, *top.resolve().rglob("*")] if top.is_dir() else [top]
        for path in below:
            if path.is_file():
                name = path.relative_to(top.resolve()) if path != top else Path()
                mode = path.stat().st_mode & 0o777
                found[str(top.name / name)] = File(path.read_bytes(), mode)
    return found


@pytest.mark.parametrize("group", [None, os.getgid()], ids=["nobody's", "a group's"])
def test_directories_can_be_read_by_all_whatever_our_umask(
    tmp_path: Path, group: int | None
) -> None:
    umask = os.umask(0o077)
    try:
        write_files(tmp_path, files(sub__deep__x="1"), group)
    finally:
        os.umask(umask)
    mode = 0o755 if group is None else 0o2755
    for name in ("..data", "..data/sub", "..data/sub/deep"):
        assert (tmp_path / name).stat().st_mode & 0o7777 == mode
    assert (tmp_path / "sub/deep/x").stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_gets_another_owner_is_written_anew(tmp_path: Path) -> None:
    for user, group in ((77, None), (78, None), (78, 4321), (78, 4322)):
        mine = {"a": File(b"1", 0o400, user)}
        assert write_files(tmp_path, mine, group)
        assert not write_files(tmp_path, mine, group)
        found = (tmp_path / "a").stat()
        assert found.st_uid == user
        assert found.st_gid == (0 if group is None else group)
        assert found.st_mode & 0o777 == (0o400 if group is None else 0o440)


def test_content_is_swapped_and_old_names_go(tmp_path: Path) -> None:
    assert write_files(tmp_path, files(a="1", sub__x="2", sub__y="3"))
    assert write_files(tmp_path, files(a="4", sub__x="2", new="5"))
    assert seen(tmp_path) == files(a="4", sub__x="2", new="5")
    assert write_files(tmp_path, {})
    assert seen(tmp_path) == {}
    assert len(list(tmp_path.glob("..files_*"))) == 1


def test_the_same_content_touches_nothing(tmp_path: Path) -> None:
    content = {**files(a="1"), "locked": File(b"x", 0), "odd": File(b"y", 0o200)}
    write_files(tmp_path, content)

    def state() -> list[tuple[str, int, int]]:
        found = [tmp_path, *tmp_path.rglob("*")]
        return sorted((str(p), p.lstat().st_ino, p.lstat().st_mtime_ns) for p in found)

    before = state()
    assert not write_files(tmp_path, content)
    assert state() == before
    assert (tmp_path / "odd").stat().st_mode & 0o777 == 0o200


@pytest.mark.parametrize("changed", [File(b"1", 0o600), File(b"2", 0o644)], ids=["mode", "data"])
def test_whatever_differs_is_written(tmp_path: Path, changed: File) -> None:
    write_files(tmp_path, files(a="1"))
    assert write_files(tmp_path, {"a": changed})
    assert seen(tmp_path) == {"a": changed}


def test_who_has_a_file_open_reads_on_what_he_opened(tmp_path: Path) -> None:
    write_files(tmp_path, files(a="old old old"))
    with (tmp_path / "a").open() as reader:
        assert reader.read(3) == "old"
        write_files(tmp_path, files(a="new"))
        assert reader.read() == " old old"
    assert (tmp_path / "a").read_text() == "new"


def test_a_directory_that_was_entered_shows_one_version(tmp_path: Path) -> None:
    """Who reads through one look at `..data` never mixes two versions."""
    write_files(tmp_path, files(a="1", b="1"))
    entered = os.open(tmp_path / "..data", os.O_RDONLY | os.O_DIRECTORY)
    try:
        first = os.open("a", os.O_RDONLY, dir_fd=entered)
        write_files(tmp_path, files(a="2", b="2"))
        assert os.read(first, 9) == b"1"
        with pytest.raises(FileNotFoundError):  # gone, not changed
            os.open("b", os.O_RDONLY, dir_fd=entered)
    finally:
        os.close(first)
        os.close(entered)


def test_what_cannot_be_written_leaves_all_as_it_was(tmp_path: Path) -> None:
    write_files(tmp_path, files(a="1"))
    with pytest.raises(OSError, match="a"):
        write_files(tmp_path, files(b="2", a="2", a__b="3"))  # a file, and a directory
    assert seen(tmp_path) == files(a="1")
    write_files(tmp_path, files(a="4"))
    assert seen(tmp_path) == files(a="4")
    assert len(list(tmp_path.glob("..files_*"))) == 1


class Died(Exception):
    pass


_CONTENTS = (files(a="1", b="1", sub__x="1"), files(a="2", sub__x="1", c="2"), files(a="3"))
_STEPS = ("mkdir", "symlink_to", "rename", "unlink", "write_bytes", "chmod")


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(death=st.integers(0, 30), then=st.sampled_from(_CONTENTS))
def test_a_death_at_any_step_shows_old_or_new_and_is_mended(
    tmp_path_factory: pytest.TempPathFactory, death: int, then: dict[str, File]
) -> None:
    place = tmp_path_factory.mktemp("volume")
    old, new = _CONTENTS[:2]
    write_files(place, old)
    with pytest.MonkeyPatch.context() as patch:
        left = [death]

        def mortal(step: str) -> None:
            real = getattr(Path, step)

            def taken(*args: object, **named: object) -> object:
                if left[0] == 0:
                    raise Died
                left[0] -= 1
                return real(*args, **named)

            patch.setattr(Path, step, taken)

        for step in _STEPS:
            mortal(step)
        try:
            write_files(place, new)
        except Died:
            pass
    behind = {name: (place / "..data" / name) for name in ("a", "b", "c", "sub/x")}
    assert {n: File(p.read_bytes(), 0o644) for n, p in behind.items() if p.exists()} in (old, new)
    write_files(place, then)
    assert seen(place) == then
    assert {p.name for p in place.glob("..*")} == {"..data", os.readlink(place / "..data")}
