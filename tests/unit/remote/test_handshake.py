"""The parts of asyncssh that `remote/handshake.py` relies on beside its public interface."""

import inspect

import asyncssh
from asyncssh.auth import ClientAuth, _ClientPublicKeyAuth
from asyncssh.constants import MSG_CHANNEL_OPEN
from asyncssh.logging import SSHLogger
from asyncssh.packet import SSHPacketHandler

from remote.handshake import ALGORITHMS, Connection


def test_the_installed_asyncssh_has_the_fixes_that_the_hardening_counts_on() -> None:
    assert tuple(int(part) for part in asyncssh.__version__.split(".")[:3]) >= (2, 24, 1)


def test_authentication_begins_where_it_is_replaced() -> None:
    assert issubclass(_ClientPublicKeyAuth, ClientAuth)
    assert inspect.iscoroutinefunction(_ClientPublicKeyAuth._start)
    assert inspect.iscoroutinefunction(_ClientPublicKeyAuth._send_signed_request)
    assert "self.try_next_auth()" in inspect.getsource(asyncssh.SSHClientConnection._process_service_accept).replace(
        "cast('SSHClientConnection', self)", "self"
    )
    assert list(inspect.signature(asyncssh.SSHClientConnection.try_next_auth).parameters) == ["self", "next_method"]
    assert "self._auth = lookup_client_auth(" in inspect.getsource(asyncssh.SSHClientConnection.try_next_auth)


def test_channels_from_the_server_go_through_the_table_that_is_replaced() -> None:
    assert "self._packet_handlers[pkttype](self" in inspect.getsource(SSHPacketHandler.process_packet)
    ours, theirs = Connection._packet_handlers, asyncssh.SSHClientConnection._packet_handlers
    assert ours.keys() == theirs.keys()
    assert [kind for kind in ours if ours[kind] is not theirs[kind]] == [MSG_CHANNEL_OPEN]


def test_the_logger_is_the_attribute_that_is_replaced() -> None:
    assert "return self._logger" in inspect.getsource(asyncssh.SSHClientConnection.logger.fget)
    assert {"log", "get_child"} <= vars(SSHLogger).keys()


def test_host_keys_are_checked_by_the_method_that_is_watched() -> None:
    assert "_validate_host_key" in inspect.getsource(asyncssh.SSHClientConnection.validate_server_host_key)


def test_nothing_weak_is_offered() -> None:
    offered = " ".join(name for names in ALGORITHMS.values() for name in names)
    assert ALGORITHMS["compression_algs"] == ["none"]
    assert not [weak for weak in ("sha1", "cbc", "3des", "dss", "md5", "arcfour", "ssh-rsa") if weak in offered]
