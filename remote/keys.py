"""Private keys: loaded once, with the checks that keep a key from being anybody's."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import asyncssh
from asyncssh import SSHCertificate, SSHKey


class Identity(NamedTuple):
    """A private key, and the OpenSSH certificate beside it (`KEY-cert.pub`) if there is one."""

    path: Path
    key: SSHKey
    certificate: SSHCertificate | None


class IdentityError(Exception):
    """A private key cannot be used. The message names the file and the way out."""


class EncryptedKeyError(IdentityError):
    """A private key is protected by a passphrase; AnyJob runs alone and asks nobody."""


class KeyRing:
    """The private keys of a process. A file that changed is read again."""

    def __init__(self) -> None:
        self._loaded: dict[Path, tuple[tuple[int, ...], Identity]] = {}

    def load(self, paths: Sequence[Path], *, use_agent: bool) -> list[Identity]:
        """Return the keys in the order of `paths`.

        A key with a passphrase is passed over as long as another one, or the agent, may do.

        Raises:
            IdentityError: when a file is missing, is no private key, or is open to others.
        """
        found: list[Identity] = []
        encrypted: EncryptedKeyError | None = None
        for path in paths:
            try:
                found.append(self._identity(path))
            except EncryptedKeyError as error:
                encrypted = encrypted or error
        if encrypted is not None and not found and not use_agent:
            raise encrypted
        return found

    def _identity(self, path: Path) -> Identity:
        beside = path.with_name(path.name + "-cert.pub")
        stamp = (*_private_stamp(path), *_stamp(beside))
        cached = self._loaded.get(path)
        if cached is None or cached[0] != stamp:
            cached = self._loaded[path] = (stamp, _read(path, beside if beside.exists() else None))
        return cached[1]


def _private_stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a key file changes, after a look at whom it belongs to."""
    try:
        found = path.stat()
    except OSError as error:
        raise IdentityError(f"the key {path} cannot be read: {error.strerror}. Check `identity`") from None
    if not stat.S_ISREG(found.st_mode):
        raise IdentityError(f"the key {path} is not a regular file")
    if found.st_mode & 0o077:
        raise IdentityError(
            f"the key {path} is open to other users (mode {stat.S_IMODE(found.st_mode):04o}). Run: chmod 600 {path}"
        )
    if found.st_uid not in {0, os.geteuid()}:
        raise IdentityError(f"the key {path} belongs to user {found.st_uid}. Run: chown {os.geteuid()} {path}")
    return _stamp(path)


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read(path: Path, beside: Path | None) -> Identity:
    try:
        key = asyncssh.read_private_key(path)
    except asyncssh.KeyEncryptionError as error:
        raise EncryptedKeyError(f"the key {path} cannot be decrypted: {error}") from None
    except asyncssh.KeyImportError as error:
        if "assphrase" in str(error):
            raise EncryptedKeyError(
                f"the key {path} is protected by a passphrase. Load it into ssh-agent and set ssh.use_agent, "
                "or use a key of its own for AnyJob"
            ) from None
        raise IdentityError(f"the key {path} is not a private key: {error}") from None
    except OSError as error:
        raise IdentityError(f"the key {path} cannot be read: {error.strerror}") from None
    try:
        certificate = asyncssh.read_certificate(beside) if beside else None
    except (OSError, asyncssh.KeyImportError) as error:
        raise IdentityError(f"the certificate {beside} cannot be used: {error}") from None
    return Identity(path, key, certificate)
