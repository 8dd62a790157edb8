"""The site's keys, and what is sealed with them: secrets that lie in the store.

A sealed text is `aj1.` + the key's id + `.` + base64 of a random nonce and AES-256-GCM's output. The *purpose* (whose
secret it is, such as `run:01JD...`) is authenticated with it: what was sealed for one purpose opens for no other, so
nobody who can write the store can move a secret from one place to another.

The key file holds one key per line, in hex, the newest first: it seals; all open. To rotate, put a new line on top, and
remove an old one when nothing that it sealed is left.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE: Final = "site.key"  #: below the data directory
KEY_SIZE: Final = 32  #: bytes
MAX_KEYS: Final = 16

_VERSION: Final = "aj1"
_NONCE: Final = 12  # bytes, as AES-GCM wants it
_MAX_FILE: Final = MAX_KEYS * (2 * KEY_SIZE + 2)
_HEX: Final = re.compile(rb"[0-9a-fA-F]{%d}" % (2 * KEY_SIZE))


class SealingError(Exception):
    """Nothing can be sealed or opened, and nothing was. The text never holds a key or a secret."""


class Sealer:
    """Seals and opens with the keys of one site."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take the keys, the newest first."""
        if not keys or any(len(key) != KEY_SIZE for key in keys):
            raise SealingError(f"expected one key or more, each of {KEY_SIZE} bytes")
        self._newest = _id(keys[0])
        self._ciphers = {_id(key): AESGCM(key) for key in keys}

    def __repr__(self) -> str:
        return f"Sealer({len(self._ciphers)} keys, newest {self._newest})"

    def seal(self, data: bytes, purpose: str) -> str:
        """Return `data` as text that only this site can read, and only for the same `purpose`."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + self._ciphers[self._newest].encrypt(nonce, data, _bound(self._newest, purpose))
        return f"{_VERSION}.{self._newest}.{base64.urlsafe_b64encode(sealed).decode()}"

    def unseal(self, sealed: str, purpose: str) -> bytes:
        """Return what was sealed.

        Raises:
            SealingError: it is no sealed text, was changed, was sealed for another purpose, or its key is gone.
        """
        version, _, rest = sealed.partition(".")
        key, _, text = rest.partition(".")
        if version != _VERSION:
            raise SealingError("this is no sealed text that this version of AnyJob knows")
        if key not in self._ciphers:
            raise SealingError(
                f"it was sealed with the key {key[:8]!a}, which the key file lacks: it has {', '.join(self._ciphers)}. "
                "Put that key back, or give the secret again"
            )
        try:
            whole = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
            return self._ciphers[key].decrypt(whole[:_NONCE], whole[_NONCE:], _bound(key, purpose))
        except (InvalidTag, binascii.Error, ValueError):
            raise SealingError(f"it was changed, or sealed for something else than {purpose!a}") from None


def open_sealer(data_dir: Path) -> Sealer:
    """Return the site's sealer; make the key at the first use.

    Raises:
        SealingError: the key file is not ours alone, damaged, or cannot be read or made.
    """
    path = data_dir / KEY_FILE
    try:
        if not path.exists():
            _create(path)
        return Sealer(_read(path))
    except OSError as error:
        raise SealingError(f"the site's key {path} cannot be used: {error.strerror}") from None


def _id(key: bytes) -> str:
    """Return a key's name: it tells nothing about the key."""
    return hashlib.sha256(b"anyjob key id\0" + key).hexdigest()[:8]


def _bound(key: str, purpose: str) -> bytes:
    return f"{_VERSION}.{key}.{purpose}".encode()


def _read(path: Path) -> list[bytes]:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        _refuse_shared(path, os.fstat(fd))
        lines = file.read(_MAX_FILE + 1).split()
    if not 0 < len(lines) <= MAX_KEYS:
        raise SealingError(
            f"{path}: expected 1 to {MAX_KEYS} keys; without its key nothing that was sealed can be opened"
        )
    wrong = [number for number, line in enumerate(lines, start=1) if not _HEX.fullmatch(line)]
    if wrong:
        raise SealingError("\n".join(f"{path}:{number}: expected {2 * KEY_SIZE} hex digits" for number in wrong))
    return [bytes.fromhex(line.decode()) for line in lines]


def _refuse_shared(path: Path, about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise SealingError(f"{path} is no file")
    if about.st_uid not in (0, os.geteuid()):
        raise SealingError(f"{path} belongs to the user {about.st_uid}, not to us; run: chown {os.geteuid()} {path}")
    if about.st_mode & 0o077:
        mode = f"{stat.S_IMODE(about.st_mode):04o}"
        raise SealingError(f"{path} can be read or changed by others (mode {mode}); run: chmod 600 {path}")


def _create(path: Path) -> None:
    """Make the key file, unless another process is faster: then its key is the site's."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_hex(KEY_SIZE).encode() + b"\n")
            file.flush()
            os.fsync(fd)  # a key that is lost opens nothing
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    _sync(path.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
