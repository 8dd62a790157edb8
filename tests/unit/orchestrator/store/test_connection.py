from pathlib import Path

import pytest
from redis.exceptions import AuthenticationError, ExecAbortError, OutOfMemoryError, ResponseError
from redis.exceptions import ConnectionError as LostError

from orchestrator.store.connection import RefusedForNowError, StoreSettings, address, client, explain
from orchestrator.store.health import open_to_eavesdroppers
from orchestrator.store.interface import StaleEpochError, StoreUnavailableError

URL = "redis://alice:s3cret@db.example:6380/2?client_name=x"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (URL, "redis://db.example:6380/2"),
        ("unix:///run/redis.sock?db=1&password=s3cret", "unix:///run/redis.sock"),
        ("rediss://:s3cret@[::1]:6379", "rediss://::1:6379"),
    ],
)
def test_an_address_in_a_message_has_no_password(url: str, shown: str) -> None:
    assert address(url) == shown


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (LostError("refused"), StoreUnavailableError, "cannot be reached"),
        (OSError(111, "refused"), StoreUnavailableError, "cannot be reached"),
        (AuthenticationError("invalid username-password pair"), StoreUnavailableError, "password in redis.url"),
        (ResponseError("NOPERM no permissions to run EVALSHA"), StoreUnavailableError, "ACL"),
        (ResponseError("WRONGTYPE k holds a list that is not ours"), StoreUnavailableError, "redis.prefix"),
        (OutOfMemoryError("command not allowed"), RefusedForNowError, "maxmemory"),
        (ExecAbortError("Transaction discarded because of: OOM"), RefusedForNowError, "maxmemory"),
        (ResponseError("MISCONF Redis is configured to save"), RefusedForNowError, "disk"),
        (ResponseError("STALE epoch 1, the store has seen 2"), StaleEpochError, "newer controller"),
    ],
)
def test_a_refusal_says_what_where_and_the_way_out(error: Exception, kind: type[Exception], words: str) -> None:
    told = explain(error, URL)
    assert type(told) is kind
    assert words in str(told)
    assert "s3cret" not in str(told)


def test_a_url_that_is_none_is_told_with_examples(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match=r"redis\.url: .*rediss://"):
        client(StoreSettings(url="http://x", archive_dir=tmp_path))


@pytest.mark.parametrize(
    ("url", "is_open"),
    [
        ("redis://10.0.0.1:6379", True),
        ("redis://db.example", True),
        ("redis://localhost", False),
        ("redis://127.0.0.9:1", False),
        ("redis://[::1]:1", False),
        ("rediss://db.example", False),
        ("unix:///run/redis.sock", False),
    ],
)
def test_only_plain_tcp_to_another_machine_is_open_to_eavesdroppers(url: str, is_open: bool) -> None:
    assert open_to_eavesdroppers(url) is is_open
