import base64
import hashlib
import hmac
import os
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from remote.hostkeys import ChangedKeyError, Server, refusal, trust
from remote.knownhosts import HostKey, KnownHosts, fingerprint, parse_key


def make(algorithm: str = "ssh-ed25519") -> HostKey:
    text = asyncssh.generate_private_key(algorithm).export_public_key().decode()
    key = parse_key(text)
    assert key is not None
    return key


A, B, ECDSA = make(), make(), make("ecdsa-sha2-nistp256")


def hashed(name: str) -> str:
    salt = os.urandom(20)
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def keys(file: Path, host: str, port: int = 22) -> list[HostKey]:
    return [entry.key for entry in KnownHosts([file]).lookup(host, port)]


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_text(A.text)
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True)
    assert fingerprint(A.blob) in shown.stdout


@pytest.mark.parametrize(
    ("hosts", "host", "port", "is_known"),
    [
        ("web01", "web01", 22, True),
        ("WEB01", "web01", 22, True),
        ("web01", "WEB01", 22, True),
        ("web02", "web01", 22, False),
        ("a,web01,b", "web01", 22, True),
        ("[web01]:2222", "web01", 2222, True),
        ("[web01]:2222", "web01", 22, False),
        ("web01", "web01", 2222, True),
        ("*.example.org", "web01.example.org", 22, True),
        ("*.example.org,!web01.example.org", "web01.example.org", 22, False),
        ("web0?", "web01", 22, True),
        ("[10.0.0.*]:2222", "10.0.0.7", 2222, True),
        ("[10.0.0.*]:2222", "10.0.0.7", 2223, False),
        ("w[e]b01", "web01", 22, False),
        ("2001:db8::1", "2001:db8::1", 22, True),
    ],
)
def test_a_line_names_its_servers_as_in_openssh(
    file: Path, hosts: str, host: str, port: int, *, is_known: bool
) -> None:
    file.write_text(f"# comment\n\n{hosts} {A.text} comment\n")
    assert keys(file, host, port) == ([A] if is_known else [])


@pytest.mark.parametrize(("name", "port"), [("web01", 22), ("[web01]:2222", 2222)])
def test_hashed_names_are_found(file: Path, name: str, port: int) -> None:
    file.write_text(f"{hashed('other')} {B.text}\n{hashed(name)} {A.text}\n")
    assert keys(file, "web01", port) == [A]


def test_a_file_hashed_by_ssh_keygen_is_read(file: Path) -> None:
    file.write_text(f"[web01]:2222 {A.text}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", file], check=True, capture_output=True)
    assert file.read_text().startswith("|1|")
    assert keys(file, "web01", 2222) == [A]


def test_damaged_lines_do_not_hide_the_good_ones(file: Path) -> None:
    file.write_text(
        f"web01\nweb01 ssh-ed25519 ???\nweb01 ssh-rsa {A.text.split()[1]}\n"
        f"|1|x {A.text}\n@odd web01 x\nweb01 {A.text}\n"
    )
    assert keys(file, "web01") == [A]


def test_all_files_count_and_a_changed_file_is_read_again(tmp_path: Path) -> None:
    first, second = tmp_path / "site", tmp_path / "user"
    known = KnownHosts([first, second])
    assert list(known.lookup("web01", 22)) == []
    second.write_text(f"web01 {A.text}\n")
    first.write_text(f"\nweb01 {B.text}\n")
    assert [entry.place for entry in known.lookup("web01", 22)] == [f"{first}:2", f"{second}:1"]
    second.write_text(f"other {A.text}\n")
    assert [entry.key for entry in known.lookup("web01", 22)] == [B]


def test_trust_writes_a_private_file_without_duplicates(file: Path) -> None:
    assert trust(file, "Web01", 2222, [A, ECDSA, A]) == [A, ECDSA]
    assert trust(file, "web01", 2222, [ECDSA, A]) == []
    assert file.read_text() == f"[web01]:2222 {A.text}\n[web01]:2222 {ECDSA.text}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["known_hosts"]


def test_what_trust_writes_is_what_openssh_finds(file: Path) -> None:
    trust(file, "web01", 2222, [A])
    found = subprocess.run(["ssh-keygen", "-F", "[web01]:2222", "-f", file], capture_output=True, text=True, check=True)
    assert A.text in found.stdout


def test_a_changed_key_is_replaced_only_when_told_so(file: Path) -> None:
    file.write_text(f"# mine\nother,[web01]:2222 {A.text} note\n{hashed('[web01]:2222')} {A.text}\nweb01 {A.text}\n")
    before = file.read_bytes()
    with pytest.raises(ChangedKeyError, match=r"known_hosts:2, .*known_hosts:3"):
        trust(file, "web01", 2222, [B])
    assert file.read_bytes() == before
    assert trust(file, "web01", 2222, [B], replace=True) == [B]
    assert file.read_text() == f"# mine\nother {A.text} note\nweb01 {A.text}\n[web01]:2222 {B.text}\n"


def test_a_pattern_keeps_its_other_servers_when_one_key_is_replaced(file: Path) -> None:
    file.write_text(f"web* {A.text}\n")
    trust(file, "web01", 22, [B], replace=True)
    assert (keys(file, "web01"), keys(file, "web02")) == ([B], [A])


def test_trust_follows_a_symbolic_link(tmp_path: Path, file: Path) -> None:
    real = tmp_path / "real"
    real.write_text("")
    file.symlink_to(real)
    trust(file, "web01", 22, [A])
    assert file.is_symlink()
    assert A.text in real.read_text()


def test_many_writers_lose_nothing(file: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from remote.hostkeys import trust; "
        "from remote.knownhosts import parse_key; "
        "trust(Path(sys.argv[1]), sys.argv[2], 22, [parse_key(sys.argv[3])])"
    )
    root = Path(__file__).parents[3]
    writers = [subprocess.Popen([sys.executable, "-c", code, str(file), f"web{n}", A.text], cwd=root) for n in range(6)]
    assert [writer.wait() for writer in writers] == [0] * 6
    assert len(file.read_text().splitlines()) == 6


def test_an_unknown_a_changed_and_a_revoked_key_are_told_apart(file: Path) -> None:
    server = Server(node="web01", host="10.0.0.1", port=2222)
    known = KnownHosts([file])
    unknown = refusal(known, server, A)
    file.write_text(f"[10.0.0.1]:2222 {B.text}\n@revoked * {ECDSA.text}\n")
    changed, revoked = refusal(known, server, A), refusal(known, server, ECDSA)
    assert "not known" in unknown
    assert "anyjob nodes trust web01" in unknown
    assert "CHANGED" in changed
    assert all(part in changed for part in (A.fingerprint, B.fingerprint, f"{file}:1", "trust --replace web01"))
    assert "revoked" in revoked
    assert f"{file}:2" in revoked


def test_an_unknown_authority_is_named(file: Path) -> None:
    text = refusal(KnownHosts([file]), Server(node="w", host="h", port=22), A, is_authority=True)
    assert A.fingerprint in text
    assert "@cert-authority" in text
