"""One SSH handshake: asyncssh, hardened, with its needless waits taken out.

asyncssh offers no hook for three things that are done here, in a subclass of its client connection:

* **Sign at once.** When exactly one key can be used, the probes for "none" and for the unsigned key are left out: two
  round trips, and twice the 5 ms that sshd waits after each request which has not authenticated.
* **Acknowledge at once.** sshd has Nagle's algorithm on until the first channel is open, so its second small packet
  waits for our delayed acknowledgement (40 ms). TCP_QUICKACK does not stick, so it is set after each receive.
* **No channels from the server.** A server that opens one (agent, X11, forwarded port) is dropped, not only refused.

`tests/unit/remote/test_handshake.py` holds the parts of asyncssh that this relies on.
"""

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import asyncssh
from asyncssh.auth import _ClientPublicKeyAuth
from asyncssh.constants import MSG_CHANNEL_OPEN
from asyncssh.kex import get_kex_algs
from asyncssh.logging import SSHLogger
from asyncssh.packet import SSHPacket

MAX_BANNER: Final = 64 << 10  #: characters that a server may show before the login; more is an attack on memory

#: Strong and fast first. What is older (SHA-1, CBC, DSA, 3DES) is not offered, nor is compression: a server could send
#: a decompression bomb.
ALGORITHMS: Final = {
    "kex_algs": [
        *(name.decode() for name in get_kex_algs() if name == b"mlkem768x25519-sha256"),  # where cryptography has it
        "ecdh-sha2-nistp256",
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group14-sha256",
    ],
    "encryption_algs": [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
        "aes256-ctr",
        "aes192-ctr",
        "aes128-ctr",
    ],
    "mac_algs": [
        "hmac-sha2-256-etm@openssh.com",
        "hmac-sha2-512-etm@openssh.com",
        "hmac-sha2-256",
        "hmac-sha2-512",
    ],
    "compression_algs": ["none"],
    "signature_algs": [
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ],
}


@dataclass(slots=True)
class Witness:
    """What was seen of a server during the handshake: it tells later what went wrong."""

    connected: bool = False
    greeting: bytes = b""  #: its first bytes
    shown: asyncssh.SSHKey | None = None  #: the host key that was not accepted, or its authority's
    shown_is_authority: bool = False
    host_key_blob: bytes = b""  #: as it was shown, key or certificate
    authenticating: bool = False


class _Client(asyncssh.SSHClient):
    """Accepts nothing that known_hosts does not, and remembers what it was asked about."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._banner = 0

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:  # noqa: ARG002
        self._witness.connected = True

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        self._witness.shown = key
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        self._witness.shown, self._witness.shown_is_authority = key, True
        return False

    def begin_auth(self, username: str) -> None:  # noqa: ARG002
        self._witness.authenticating = True

    def auth_banner_received(self, msg: str, lang: str) -> None:  # noqa: ARG002
        self._banner += len(msg)
        if self._banner > MAX_BANNER:
            raise asyncssh.ProtocolError("more than 64 KiB of banners before the login")


class _SignAtOnce(_ClientPublicKeyAuth):
    """Public key authentication (RFC 4252, section 7) without the question whether the key would be acceptable."""

    async def _start(self) -> None:
        self._keypair = await self._conn.public_key_auth_requested()
        if self._keypair is None:
            self._conn.try_next_auth(next_method=True)
        else:
            await self._send_signed_request()


class _Quiet(SSHLogger):
    """Stands in for asyncssh's logger while nobody listens: its formatting is a tenth of a handshake's cost."""

    def get_child(self, child: str = "", context: str = "") -> "SSHLogger":  # noqa: ARG002
        return self

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        pass


_QUIET: Final = _Quiet()


class Connection(asyncssh.SSHClientConnection):
    """A client connection as described above."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: asyncssh.SSHClientConnectionOptions,
        witness: Witness,
        *,
        sign_at_once: bool,
    ) -> None:
        super().__init__(loop, options, wait="auth")
        self._witness = witness
        self._sign_at_once = sign_at_once
        self._quick: socket.socket | None = None
        if not logging.getLogger("asyncssh").isEnabledFor(logging.INFO):
            self._logger = _QUIET

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the socket, and go on."""
        self._quick = transport.get_extra_info("socket")
        super().connection_made(transport)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Take bytes, and have them acknowledged without delay."""
        if len(self._witness.greeting) < 256:
            self._witness.greeting += data[:256]
        super().data_received(data, datatype)
        if self._quick is not None:
            try:
                self._quick.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            except (OSError, AttributeError):  # closed meanwhile; or not Linux
                self._quick = None

    @property
    def is_gone(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport is None

    def channel_is_open(self) -> None:
        """Tell that the first channel is open: from here on delayed acknowledgements save packets."""
        self._quick = None

    def validate_server_host_key(self, key_data: bytes) -> asyncssh.SSHKey:
        """Check the host key, and note what was shown."""
        self._witness.host_key_blob = key_data
        return super().validate_server_host_key(key_data)

    def try_next_auth(self, *, next_method: bool = False) -> None:
        """Begin with the signed request if there is one key alone."""
        if self._sign_at_once:
            self._sign_at_once = False
            self._auth = _SignAtOnce(self, b"publickey")
        else:
            super().try_next_auth(next_method=next_method)

    def _refuse_channel(self, _kind: int, _number: int, packet: SSHPacket) -> NoReturn:
        kind = packet.get_string()[:40]
        raise asyncssh.ProtocolError(f"the server opened a channel of its own ({kind!r})")

    _packet_handlers = {  # noqa: RUF012  a class-wide table, as in the parent
        **asyncssh.SSHClientConnection._packet_handlers,
        MSG_CHANNEL_OPEN: _refuse_channel,
    }


async def handshake(
    options: dict[str, Any], tunnel: asyncssh.SSHClientConnection | None, witness: Witness, *, sign_at_once: bool
) -> Connection:
    """Connect and log in. The caller sets the time limit; when it strikes, the connection is closed.

    Args:
        options: of asyncssh, with `host` and `port`.
        tunnel: the bastion's connection to go through.
        witness: is filled in as the handshake goes on.
        sign_at_once: there is exactly one key.

    Raises:
        OSError, asyncssh.Error: as they come; `remote/diagnosis.py` explains them.
    """
    loop = asyncio.get_running_loop()
    agent = options.pop("agent_path", None)
    prepared = asyncssh.SSHClientConnectionOptions(
        config=None,
        client_factory=lambda: _Client(witness),
        agent_path=agent,
        agent_forwarding=False,
        x11_forwarding=False,
        preferred_auth=["publickey"],
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        **ALGORITHMS,
        **options,
    )
    # An empty list of keys, and no path of an agent, mean "the user's own" to asyncssh; here they mean none.
    prepared.client_keys = prepared.client_keys if options["client_keys"] else ()
    prepared.agent_path = agent
    prepared.waiter = loop.create_future()

    def factory() -> Connection:
        return Connection(loop, prepared, witness, sign_at_once=sign_at_once)

    host, port = options["host"], options["port"]
    connection: Connection
    if tunnel is not None:
        _, connection = await tunnel.create_connection(factory, host, port)  # type: ignore[assignment, arg-type]
    else:
        _, connection = await loop.create_connection(factory, host, port, happy_eyeballs_delay=0.25)
    try:
        await prepared.waiter
    except BaseException:
        connection.abort()
        await connection.wait_closed()
        raise
    return connection
