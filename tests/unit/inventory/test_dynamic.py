import os
import stat
from pathlib import Path

import pytest

from inventory.dynamic import read
from inventory.effective import build
from inventory.problems import InvalidFilesError

LIST = """#!/bin/sh
echo run >> "$(dirname "$0")/runs"
echo '{"web": ["w1"], "_meta": {"hostvars": {"w1": {"ansible_host": "10.0.0.1"}}}}'
"""


def program(directory: Path, text: str) -> Path:
    path = directory / "cloud.sh"
    path.write_text(text)
    path.chmod(0o755)
    return path


def runs(directory: Path) -> int:
    return len((directory / "runs").read_text().splitlines())


def test_a_program_is_asked_for_its_list(tmp_path: Path):
    draft = read(program(tmp_path, LIST), cache_dir=None)
    assert build(draft).nodes["w1"].host == "10.0.0.1"


def test_a_program_without_meta_is_asked_for_each_host(tmp_path: Path):
    text = """#!/bin/sh
case "$1" in
  --list) echo '{"web": ["w1", "w2"]}';;
  --host) echo "{\\"ansible_user\\": \\"u-$2\\"}";;
esac
"""
    nodes = build(read(program(tmp_path, text), cache_dir=None)).nodes
    assert [node.user for node in nodes.values()] == ["u-w1", "u-w2"]


def test_the_copy_spares_the_program_while_it_is_fresh_and_is_for_us_alone(tmp_path: Path):
    cache = tmp_path / "cache"
    path = program(tmp_path, LIST)
    read(path, cache_dir=cache)
    assert list(read(path, cache_dir=cache).nodes) == ["w1"]
    assert runs(tmp_path) == 1
    (copy,) = cache.iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_an_old_copy_is_fetched_anew(tmp_path: Path):
    path = program(tmp_path, LIST)
    read(path, cache_dir=tmp_path / "cache")
    read(path, cache_dir=tmp_path / "cache", cache_s=0)
    assert runs(tmp_path) == 2


def test_a_copy_that_is_older_than_the_program_is_fetched_anew(tmp_path: Path):
    path = program(tmp_path, LIST)
    read(path, cache_dir=tmp_path / "cache")
    (copy,) = (tmp_path / "cache").iterdir()
    os.utime(copy, (path.stat().st_mtime - 5, path.stat().st_mtime - 5))
    read(path, cache_dir=tmp_path / "cache")
    assert runs(tmp_path) == 2


@pytest.mark.parametrize(
    ("failing", "message"),
    [
        (
            "#!/bin/sh\necho 'no \x1b[31mcloud' >&2\nexit 3\n",
            "cloud.sh --list failed with exit code 3: 'no \\x1b[31mcloud'",
        ),
        ("#!/bin/sh\nkill -9 $$\n", "cloud.sh --list failed with signal 9"),
        ("#!/bin/sh\necho '{'\n", "is not JSON"),
        ('#!/bin/sh\necho \'{"web": ["-rf"]}\'\n', "'-rf' cannot be a node's name"),
        ("#!/no/such/interpreter\n", "cannot be run: No such file or directory"),
        ("#!/bin/sh\nsleep 60 & exec sleep 60\n", "did not end within 0.3 seconds"),
        ("#!/bin/sh\nsleep 60 &\nexit 0\n", "did not end within 0.3 seconds"),
    ],
)
def test_a_failing_program_is_a_problem_or_its_last_good_copy_with_a_warning(
    tmp_path: Path, failing: str, message: str
):
    path = program(tmp_path, failing)
    with pytest.raises(InvalidFilesError) as caught:
        read(path, cache_dir=tmp_path / "cache", time_limit_s=0.3)
    assert message in str(caught.value)
    read(program(tmp_path, LIST), cache_dir=tmp_path / "cache")
    draft = read(program(tmp_path, failing), cache_dir=tmp_path / "cache", cache_s=0, time_limit_s=0.3)
    assert list(draft.nodes) == ["w1"]
    assert message in str(draft.warnings[0])
    assert "seconds ago is used instead" in str(draft.warnings[0])


def test_endless_output_is_refused_within_bounded_memory(tmp_path: Path):
    with pytest.raises(InvalidFilesError, match="printed more than 67108864 bytes"):
        read(program(tmp_path, "#!/bin/sh\nexec yes\n"), cache_dir=None)


def test_noise_on_standard_error_stops_nothing(tmp_path: Path):
    text = "#!/bin/sh\nyes | head -c 1000000 >&2\n" + LIST.partition("\n")[2]
    assert list(read(program(tmp_path, text), cache_dir=None).nodes) == ["w1"]


def test_the_program_does_not_see_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANYJOB_REDIS_URL", "redis://:hunter2@x")
    monkeypatch.setenv("CLOUD_TOKEN", "t")
    answer = '{"g": {"hosts": ["n"], "vars": {"v": "\'$ANYJOB_REDIS_URL/$CLOUD_TOKEN\'"}}, "_meta": {}}'
    text = f"#!/bin/sh\necho '{answer}'\n"
    assert build(read(program(tmp_path, text), cache_dir=None)).nodes["n"].vars == {"v": "/t"}


def test_a_damaged_copy_is_no_copy(tmp_path: Path):
    cache = tmp_path / "cache"
    path = program(tmp_path, LIST)
    read(path, cache_dir=cache)
    (copy,) = cache.iterdir()
    copy.write_text('{"web"')
    assert list(read(path, cache_dir=cache).nodes) == ["w1"]
    copy.write_text("{")
    with pytest.raises(InvalidFilesError, match="exit code 1"):
        read(program(tmp_path, "#!/bin/sh\nexit 1\n"), cache_dir=cache, cache_s=0)


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path: Path):
    (tmp_path / "file").write_text("")
    draft = read(program(tmp_path, LIST), cache_dir=tmp_path / "file")
    assert list(draft.nodes) == ["w1"]
    assert "cannot be kept" in str(draft.warnings[0])
