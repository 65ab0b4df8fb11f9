"""A part of a volume: found inside it and nowhere else, whatever links lie there."""

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kubelet.mounting import mounted_below, mounter

from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_plan import VolumeError
from podward.kubelet.volume_subpaths import clear, mount_part, open_part

__all__ = ["mounter"]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """With a file, a link that stays inside, and links that do not."""
    found = tmp_path / "volume"
    (found / "deep/er").mkdir(parents=True)
    (found / "deep/file").write_text("inside")
    (found / "inner").symlink_to("deep/er")
    (found / "absolute").symlink_to(found / "deep")
    (found / "out").symlink_to("../beside")
    (found / "root").symlink_to("/etc")
    (tmp_path / "beside").mkdir()
    (tmp_path / "volume-2").mkdir()
    (found / "similar").symlink_to(tmp_path / "volume-2")
    return found


def where(volume: Path, part: str, *, make: bool = True) -> str:
    held, place = open_part(volume, part, make=make)
    try:
        assert os.readlink(f"/proc/self/fd/{held}") == str(place)
    finally:
        os.close(held)
    return str(place.relative_to(volume))


@pytest.mark.parametrize(
    ("part", "place"),
    [("deep/file", "deep/file"), ("deep", "deep"), ("inner", "deep/er"), ("absolute/er", "deep/er"),
     ("inner/../file", "deep/file")],
)  # fmt: skip
def test_what_is_inside_is_found(volume: Path, part: str, place: str) -> None:
    assert where(volume, part, make=False) == place


@pytest.mark.parametrize("part", ["out", "root", "root/passwd", "out/new", "similar", "similar/x"])
def test_what_leads_outside_is_refused_and_nothing_is_made_there(volume: Path, part: str) -> None:
    with pytest.raises(VolumeError, match="leads out of its volume"):
        open_part(volume, part, make=True)
    assert list((volume.parent / "beside").iterdir()) == []
    assert list((volume.parent / "volume-2").iterdir()) == []


def test_directories_that_are_not_there_are_made_with_the_volumes_mode(volume: Path) -> None:
    volume.chmod(0o2775)
    assert where(volume, "inner/new/one") == "deep/er/new/one"
    for made in ("deep/er/new", "deep/er/new/one"):
        assert (volume / made).stat().st_mode & 0o7777 == 0o2775


def test_or_are_missed(volume: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_part(volume, "none", make=False)
    assert not (volume / "none").exists()


def test_what_is_below_a_file_cannot_be_had(volume: Path) -> None:
    with pytest.raises(NotADirectoryError):
        open_part(volume, "deep/file/x", make=True)


def test_whoever_swaps_a_directory_for_a_link_all_the_time_wins_nothing(volume: Path) -> None:
    """The race of CVE-2017-1002101: each try finds the inside, or is refused."""
    (volume / "x").mkdir()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (volume / "x").rename(volume / "y")
            (volume / "x").symlink_to("/etc")
            (volume / "x").unlink()
            (volume / "y").rename(volume / "x")

    swapper = threading.Thread(target=swap)
    swapper.start()
    found = set()
    try:
        for _ in range(500):
            try:
                held, _ = open_part(volume, "x", make=False)
            except (VolumeError, OSError):
                continue
            found.add(os.fstat(held).st_ino)
            os.close(held)
    finally:
        stop.set()
        swapper.join()
    assert found <= {(volume / "x").stat().st_ino}


NAMES = st.sampled_from(["a", "b", "c", "..", "."])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@settings(max_examples=60)
@given(links=st.dictionaries(st.sampled_from("abc"), PATHS, max_size=3), part=PATHS)
def test_no_links_lead_outside(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], part: str
) -> None:
    top = tmp_path_factory.mktemp("links")
    volume = top / "volume"
    volume.mkdir()
    for name, target in links.items():
        (volume / name).symlink_to(target)
    try:
        held, place = open_part(volume, part, make=True)
    except (VolumeError, OSError):
        pass
    else:
        assert place.is_relative_to(volume)
        assert os.fstat(held).st_ino == place.stat().st_ino
        os.close(held)
    assert [entry.name for entry in top.iterdir()] == ["volume"]


def test_a_part_is_mounted_and_mounted_again(
    mounter: Mounter, tmp_path: Path, volume: Path
) -> None:
    spot = tmp_path / "spots/v/c/0"
    for part, content in (("deep", True), ("deep/file", "inside"), ("inner", True)):
        held, _ = open_part(volume, part, make=False)
        mount_part(mounter, held, spot)
        os.close(held)
        assert mounted_below(tmp_path) == ["spots/v/c/0"]
        assert spot.is_dir() if content is True else spot.read_text() == content
    (spot / "new").touch()
    assert (volume / "deep/er/new").exists()
    clear(mounter, spot)
    assert mounted_below(tmp_path) == []
    assert not spot.exists()
    assert (volume / "deep/er/new").exists()
