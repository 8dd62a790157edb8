"""The store on servers that are not our own default: Valkey from the package, and one that somebody else runs."""

import asyncio
import dataclasses
import datetime
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from jobs.lifecycle import Event
from orchestrator.store import embedded
from orchestrator.store.connection import StoreSettings
from orchestrator.store.embedded import EmbeddedRedis
from orchestrator.store.interface import StoreUnavailableError
from orchestrator.store.redis_store import RedisStore
from orchestrator.store.servers import find_server, servers
from tests.fixtures.redis import new_run


async def whole_life(store: RedisStore) -> None:
    """Let a job live from its submission to its removal, with somebody watching."""
    epoch = await store.begin_epoch()
    run, [job] = new_run(1)
    assert await store.submit(run, [job], b"in")
    async with store.bell(run.id) as bell:
        await anext(bell)
        assert await store.assign([job.id], dispatcher="main", epoch=epoch, now=1.0) == [job.id]
        assert [work.job for work in await store.work("main", "0", block_s=5)] == [job.id]
        assert await store.append_output(job.id, "stdout", 0, b"hello", epoch=epoch) == 5
        while job.id not in await anext(bell):
            pass
    assert await store.request_cancel([job.id], by="root", grace_s=1.0, now=2.0) == (0, 1, 0)
    assert await store.apply(job.id, 1, Event.CANCELLED, epoch=epoch, now=3.0, fields={"signal": 15})
    await store.archive(now=1e9)
    assert (await store.output(job.id, "stdout", 1, limit=10)).data == b"ello"
    assert await store.resolve(run.id[-6:]) == [run.id]
    await store.trim_control(await store.control_position())
    assert await store.prune(now=3e9) == 1
    assert await store.run(run.id, with_jobs=True) is None


async def test_a_whole_life_on_the_default_server(store: RedisStore) -> None:
    await whole_life(store)


async def test_a_whole_life_on_the_valkey_that_came_with_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [*_, packaged] = servers()
    assert packaged.kind == "valkey"
    monkeypatch.setattr(embedded, "find_server", lambda: packaged)
    server = EmbeddedRedis(tmp_path / "r")
    await server.start()
    assert server.server == packaged
    store = RedisStore(StoreSettings(url=server.url, archive_dir=tmp_path / "archive"))
    await store.open()
    assert (await store.stats())["redis_kind"] == "valkey"
    await whole_life(store)
    await store.close()
    await server.stop()


class External(NamedTuple):
    """A server on TCP, with a password."""

    port: int


# What a Redis shared with others needs to allow: our own keys and channels, nothing dangerous but what `stats` asks.
ACL = "~anyjob:* &anyjob:* -@all +@read +@write +@connection +@scripting +@pubsub +@stream +@transaction +info -keys"


@pytest.fixture
async def external(tmp_path: Path) -> AsyncIterator[External]:
    """A server that AnyJob did not start: TCP, password, an ACL user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = f"--port {port} --bind 127.0.0.1 --appendonly yes --requirepass hunter2 --dir {tmp_path}".split()
    process = await asyncio.create_subprocess_exec(
        find_server().path,
        *arguments,
        "--save",
        "",
        "--user",
        "anyjob",
        "on",
        ">s3cret",
        *ACL.split(),
        stdout=subprocess.DEVNULL,
    )
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            break
        except OSError:
            await asyncio.sleep(0.01)
    yield External(port)
    process.terminate()
    await process.wait()


def settings_for(external: External, tmp_path: Path, user: str = "") -> StoreSettings:
    return StoreSettings(url=f"redis://{user}127.0.0.1:{external.port}/0", archive_dir=tmp_path / "archive")


@pytest.mark.parametrize("user", [":hunter2@", "anyjob:s3cret@"])
async def test_a_whole_life_on_somebody_elses_server(external: External, tmp_path: Path, user: str) -> None:
    store = RedisStore(settings_for(external, tmp_path, user))
    await store.open()
    await whole_life(store)
    await store.close()


async def test_a_database_of_its_own_keeps_two_installations_apart(external: External, tmp_path: Path) -> None:
    stores = []
    for database in (0, 3):
        url = f"redis://:hunter2@127.0.0.1:{external.port}/{database}"
        stores.append(RedisStore(StoreSettings(url=url, archive_dir=tmp_path / "archive")))
        await stores[-1].open()
    run, jobs = new_run(1)
    await stores[0].submit(run, jobs, b"")
    assert await stores[1].runs(active=False, limit=5, before=None) == []
    for store in stores:
        await store.close()


@pytest.mark.parametrize("user", [":wrong@", "", "nobody:x@"])
async def test_a_wrong_password_is_told_without_telling_it(external: External, tmp_path: Path, user: str) -> None:
    store = RedisStore(settings_for(external, tmp_path, user))
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:\d+/0 refuses us.*password in redis\.url") as told:
        await store.open()
    assert "wrong@" not in str(told.value)
    await store.close()


async def test_a_server_that_is_not_there_is_told_with_its_address(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        store = RedisStore(settings_for(External(free.getsockname()[1]), tmp_path))
        with pytest.raises(StoreUnavailableError, match=r"redis://127\.0\.0\.1:\d+/0 cannot be reached"):
            await store.open()
    await store.close()


@pytest.fixture
async def tls(external: External, tmp_path: Path) -> AsyncIterator[StoreSettings]:
    """Settings for the same server behind TLS."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    write_certificate(key, certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ends: list[asyncio.StreamWriter] = []
    copies: set[asyncio.Task[None]] = set()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", external.port)
        ends.extend((writer, back_writer))
        copies.update(map(asyncio.create_task, (copy(reader, back_writer), copy(back_reader, writer))))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    yield StoreSettings(
        url=f"rediss://:hunter2@127.0.0.1:{port}/0?ssl_ca_certs={certificate}", archive_dir=tmp_path / "archive"
    )
    server.close()
    for task in copies:
        task.cancel()
    await asyncio.gather(*copies, return_exceptions=True)
    for end in ends:
        end.close()
    await asyncio.gather(*(end.wait_closed() for end in ends), return_exceptions=True)


def write_certificate(key_file: Path, certificate_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate_file.write_bytes(certificate.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


async def test_a_whole_life_over_tls(tls: StoreSettings) -> None:
    store = RedisStore(tls)
    await store.open()
    await whole_life(store)
    await store.close()


async def test_a_certificate_that_nobody_we_trust_has_signed_is_refused(tls: StoreSettings) -> None:
    store = RedisStore(dataclasses.replace(tls, url=tls.url.partition("?")[0]))
    with pytest.raises(StoreUnavailableError, match=r"cannot be reached.*CERTIFICATE_VERIFY_FAILED"):
        await store.open()
