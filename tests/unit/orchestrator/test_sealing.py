import base64
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.sealing import KEY_FILE, KEY_SIZE, MAX_KEYS, Sealer, SealingError, open_sealer

KEY, OTHER = b"k" * KEY_SIZE, b"o" * KEY_SIZE


@given(st.binary(max_size=200), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_what_was_sealed_opens(data: bytes, purpose: str) -> None:
    sealed = Sealer([KEY]).seal(data, purpose)
    assert sealed.isascii()
    assert Sealer([KEY]).unseal(sealed, purpose) == data


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    sealer = Sealer([KEY])
    assert len({sealer.seal(b"geheim", "run:1") for _ in range(100)}) == 100


def test_it_opens_for_no_other_purpose() -> None:
    sealer = Sealer([KEY])
    with pytest.raises(SealingError, match="changed, or sealed for something else than 'run:2'"):
        sealer.unseal(sealer.seal(b"geheim", "run:1"), "run:2")


@given(st.data())
def test_a_changed_text_does_not_open(data: st.DataObject) -> None:
    sealer = Sealer([KEY])
    head, _, text = sealer.seal(b"geheim", "run:1").rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealingError):
        sealer.unseal(f"{head}.{base64.urlsafe_b64encode(raw).decode()}", "run:1")


@given(st.text(max_size=60) | st.text("aj1.0f=", max_size=40).map("aj1.".__add__))
def test_what_is_no_sealed_text_is_refused(text: str) -> None:
    with pytest.raises(SealingError):
        Sealer([KEY]).unseal(text, "run:1")


def test_a_truncated_text_is_refused() -> None:
    sealer = Sealer([KEY])
    sealed = sealer.seal(b"geheim", "run:1")
    for length in range(len(sealed)):
        with pytest.raises(SealingError):
            sealer.unseal(sealed[:length], "run:1")


def test_the_newest_key_seals_and_all_open() -> None:
    old = Sealer([OTHER]).seal(b"old", "p")
    both = Sealer([KEY, OTHER])
    assert both.unseal(old, "p") == b"old"
    assert Sealer([KEY]).unseal(both.seal(b"new", "p"), "p") == b"new"


def test_a_key_that_is_gone_is_named_and_nothing_opens() -> None:
    with pytest.raises(SealingError, match=r"which the key file lacks: it has \w+\. Put that key back"):
        Sealer([KEY]).unseal(Sealer([OTHER]).seal(b"geheim", "p"), "p")


def test_neither_key_nor_secret_stands_in_a_text() -> None:
    sealer = Sealer([KEY])
    assert KEY.hex() not in repr(sealer)
    assert "kkkk" not in repr(sealer)
    with pytest.raises(SealingError) as caught:
        sealer.unseal(sealer.seal(b"geheim", "p"), "q")
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_key_is_made_at_the_first_use_and_stays(tmp_path: Path) -> None:
    sealed = open_sealer(tmp_path).seal(b"geheim", "p")
    about = (tmp_path / KEY_FILE).stat()
    assert stat.S_IMODE(about.st_mode) == 0o600
    assert open_sealer(tmp_path).unseal(sealed, "p") == b"geheim"
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_processes_that_begin_at_once_agree_on_one_key(tmp_path: Path) -> None:
    sealers: list[Sealer] = []
    threads = [threading.Thread(target=lambda: sealers.append(open_sealer(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({repr(sealer) for sealer in sealers}) == 1
    assert len(sealers) == 8


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o620, 0o666])
def test_a_key_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    open_sealer(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)
    with pytest.raises(SealingError, match=rf"mode {mode:04o}\); run: chmod 600 {tmp_path}"):
        open_sealer(tmp_path)


def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    open_sealer(tmp_path)
    os.chown(tmp_path / KEY_FILE, 12345, -1)
    with pytest.raises(SealingError, match="belongs to the user 12345, not to us; run: chown 0 "):
        open_sealer(tmp_path)


def test_a_symbolic_link_or_a_directory_is_no_key(tmp_path: Path) -> None:
    open_sealer(tmp_path)
    (tmp_path / KEY_FILE).rename(tmp_path / "elsewhere")
    (tmp_path / KEY_FILE).symlink_to("elsewhere")
    with pytest.raises(SealingError, match="cannot be used"):
        open_sealer(tmp_path)
    (tmp_path / KEY_FILE).unlink()
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(SealingError, match=r"is no file|cannot be used"):
        open_sealer(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", f"expected 1 to {MAX_KEYS} keys"),
        ("00\n" * (MAX_KEYS + 1), f"expected 1 to {MAX_KEYS} keys"),
        (
            f"{KEY.hex()}\nnonsense\n{'zz' * KEY_SIZE}\n",
            f":2: expected 64 hex digits\n.*{KEY_FILE}:3: expected 64 hex digits",
        ),
        (KEY.hex()[:-1], ":1: expected 64 hex digits"),
    ],
)
def test_a_damaged_key_file_is_refused_and_never_replaced(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / KEY_FILE
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SealingError, match=expected) as caught:
        open_sealer(tmp_path)
    assert path.read_text() == content
    assert "nonsense" not in str(caught.value)


def test_a_line_on_top_is_the_new_key(tmp_path: Path) -> None:
    sealed = open_sealer(tmp_path).seal(b"old", "p")
    path = tmp_path / KEY_FILE
    path.write_text(f"{KEY.hex()}\n{path.read_text()}")
    sealer = open_sealer(tmp_path)
    assert sealer.unseal(sealed, "p") == b"old"
    assert Sealer([KEY]).unseal(sealer.seal(b"new", "p"), "p") == b"new"


def test_where_no_key_can_be_made_nothing_is_sealed(tmp_path: Path) -> None:
    with pytest.raises(SealingError, match="cannot be used: No such file or directory"):
        open_sealer(tmp_path / "missing")
    with pytest.raises(SealingError, match="expected one key or more"):
        Sealer([])
