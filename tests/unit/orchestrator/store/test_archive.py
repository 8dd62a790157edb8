import datetime
import stat
from pathlib import Path

import pytest

from orchestrator.store.archive import Archive, ArchiveError

JOB = "01ARZ3NDEKTSV4RRFFQ69G5FAV-1"
DAY = "2016-07-30"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def test_every_offset_is_read_across_segments(archive: Archive) -> None:
    data = bytes(range(200))
    archive.write(JOB, "out", 0, data[:70])
    archive.write(JOB, "out", 70, data[70:])
    archive.write(JOB, "err", 0, b"other")
    for offset in range(200):
        start, piece = archive.read(JOB, "out", offset, 1000)
        assert start == offset
        assert piece == (data[offset:70] if offset < 70 else data[offset:])
    assert archive.read(JOB, "out", 200, 1000) is None


def test_a_missing_segment_is_stepped_over_and_said(archive: Archive) -> None:
    archive.write(JOB, "out", 10, b"abc")
    assert archive.read(JOB, "out", 3, 2) == (10, b"ab")


def test_what_was_written_again_longer_is_read_as_it_is_now(archive: Archive) -> None:
    archive.write(JOB, "out", 0, b"abc")
    assert archive.read(JOB, "out", 0, 100) == (0, b"abc")
    archive.write(JOB, "out", 0, b"abcdef")
    assert archive.read(JOB, "out", 0, 100) == (0, b"abcdef")


def test_only_the_owner_can_look_into_it(archive: Archive, tmp_path: Path) -> None:
    archive.write(JOB, "out", 0, b"abc")
    for path in (tmp_path / "archive").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert stat.S_IMODE((tmp_path / "archive").stat().st_mode) == 0o700


def test_a_symbolic_link_in_the_way_is_not_followed(archive: Archive, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "archive" / DAY).mkdir(parents=True)
    (tmp_path / "archive" / DAY / JOB).symlink_to(elsewhere)
    with pytest.raises(ArchiveError, match="cannot be written"):
        archive.write(JOB, "out", 0, b"abc")
    assert list(elsewhere.iterdir()) == []


def test_removal_does_not_follow_a_symbolic_link(archive: Archive, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / JOB).mkdir(parents=True)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / DAY).symlink_to(elsewhere)
    archive.remove([JOB])
    assert (elsewhere / JOB).exists()
    assert archive.ids(datetime.date(2030, 1, 1)) == []


def test_a_write_that_fails_leaves_nothing_behind(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "archive" / DAY / JOB / f"out.{0:020d}.gz").mkdir(parents=True)
    with pytest.raises(ArchiveError, match="Free space there"):
        archive.write(JOB, "out", 0, b"abc")
    assert [path.name for path in (tmp_path / "archive" / DAY / JOB).iterdir()] == [f"out.{0:020d}.gz"]


def test_a_damaged_file_is_named_with_the_way_out(archive: Archive, tmp_path: Path) -> None:
    archive.write(JOB, "out", 0, b"abc" * 1000)
    file = tmp_path / "archive" / DAY / JOB / f"out.{0:020d}.gz"
    file.write_bytes(file.read_bytes()[:-12])
    with pytest.raises(ArchiveError, match=rf"{JOB}/out\.0{{20}}\.gz is damaged"):
        archive.read(JOB, "out", 0, 10)


def test_two_who_move_one_jobs_output_exclude_each_other(archive: Archive, tmp_path: Path) -> None:
    with archive.alone(JOB) as first, Archive(tmp_path / "archive").alone(JOB) as second:
        assert (first, second) == (True, False)
    with archive.alone(JOB) as again:
        assert again


def test_jobs_are_listed_by_the_day_of_their_submission(archive: Archive, tmp_path: Path) -> None:
    archive.write(JOB, "out", 0, b"abc")
    (tmp_path / "archive" / DAY / "not-a-job").mkdir()
    (tmp_path / "archive" / "notes").mkdir()
    assert archive.ids(datetime.date(2016, 7, 31)) == [JOB]
    assert archive.ids(datetime.date(2016, 7, 30)) == []


def test_a_day_goes_with_its_last_job(archive: Archive, tmp_path: Path) -> None:
    archive.write(JOB, "out", 0, b"abc")
    archive.remove([JOB])
    assert list((tmp_path / "archive").iterdir()) == []
