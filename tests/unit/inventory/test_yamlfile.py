from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.problems import InvalidFilesError
from inventory.yamlfile import MAX_BYTES, MAX_DEPTH, parse, read


def problems(data: bytes) -> list[str]:
    with pytest.raises(InvalidFilesError) as caught:
        parse(data, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("null", None),
        ("~", None),
        ("", None),
        ("22", 22),
        ("-7", -7),
        ("0", 0),
        ("0755", "0755"),
        ("0o17", "0o17"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("22:22", "22:22"),
        ("2001-12-14", "2001-12-14"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("9" * 5000, "9" * 5000),
        ("'22'", "22"),
        ('"true"', "true"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_scalars_are_what_a_person_reads(text: str, value: object):
    assert parse(f"a: {text}\n".encode(), "f.yaml").root.plain() == {"a": value}


def test_values_and_keys_know_their_places():
    root = parse(b"a: 1\nb:\n  - x\n  - {c: y}\n", "f.yaml").root
    assert isinstance(root.content, dict)
    assert root.keys == {"a": (1, 1), "b": (2, 1)}
    item = root.content["b"].content
    assert isinstance(item, tuple)
    assert (item[1].line, item[1].column) == (4, 5)


@pytest.mark.parametrize("data", [b"", b"# only a comment\n", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_nothing(data: bytes):
    assert parse(data, "f.yaml").root.plain() is None


def test_a_byte_order_mark_and_crlf_are_accepted():
    assert parse(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n  y\r\n", "f.yaml").root.plain() == {"a": 1, "b": "x\ny\n"}


def test_all_mistakes_are_told_at_once():
    data = b"a: 1\na: 2\nb: &x 1\nc: *x\nd: !!python/object:os.system 1\n1: x\n<<: {e: 1}\n"
    assert problems(data) == [
        "f.yaml:2:1: a: is given twice (first in line 1); remove one of them",
        "f.yaml:3:4: b: the anchor &x is not supported; write the value out",
        "f.yaml:4:4: c: the alias *x is not supported; write the value out",
        "f.yaml:5:4: d: the tag !!python/object:os.system is not supported; write plain YAML",
        "f.yaml:6:1: the key 1 is a number, not text; quote it",
        "f.yaml:7:1: merge keys (<<) are not supported; write the fields out",
    ]


def test_every_line_that_is_indented_by_a_tab_is_named():
    assert problems(b"a:\n\tb: 1\n\tc: 2\n") == [
        "f.yaml:2:1: a tab; indent with spaces",
        "f.yaml:3:1: a tab; indent with spaces",
    ]


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        (b"a: b: c\n", "f.yaml:1:5", "not YAML"),
        (b"a: [1\nb: 2\n", "f.yaml:2:2", "not YAML"),
        (b"a: 'x\n", "f.yaml:2:1", "not YAML"),
        (b"a: 1\n---\nb: 2\n", "f.yaml:2:1", "second document"),
        (b"a: x\x07y\n", "f.yaml:1:5", "control character U+0007"),
        (b"a: x\x00y\n", "f.yaml:1:5", "control character U+0000"),
        (b"ok: 1\nb: caf\xe9\n", "f.yaml:2:7", "byte 0xe9 is not UTF-8"),
        (b'a: "\\ud800"\n', "f.yaml:1", ""),
        (b"? [a]\n: 1\n", "f.yaml:1:3", "a key must be text"),
        (b"a: &a [*a]\n", "f.yaml:1:4", "anchor"),
    ],
)
def test_what_surprises_is_refused_with_its_place(data: bytes, place: str, words: str):
    found = problems(data)
    assert found[0].startswith(place)
    assert words in found[0]


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"? ", b"a:\n "])
def test_deep_nesting_is_refused_before_it_is_built(opening: bytes):
    data = opening * 100_000
    with pytest.raises(InvalidFilesError):
        parse(data, "f.yaml")


def test_the_allowed_depth_is_allowed():
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse(data, "f.yaml").root.kind == "a list"
    assert "nested deeper than 32 levels" in problems(b"[" + data + b"]")[0]


def test_an_alias_bomb_is_refused_without_being_expanded():
    lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)]
    assert len(problems(b"\n".join(lines))) == 9 + 8 * 9


def test_a_large_file_is_refused_without_being_read_whole(tmp_path: Path):
    path = tmp_path / "big.yaml"
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(InvalidFilesError, match=f"larger than {MAX_BYTES} bytes"):
        read(path)


def test_a_missing_file_says_so(tmp_path: Path):
    with pytest.raises(InvalidFilesError, match="cannot be read: No such file or directory"):
        read(tmp_path / "no.yaml")


def test_a_tag_that_the_reader_asked_for_is_kept_as_text():
    root = parse(b"a: !vault |\n  $ANSIBLE_VAULT\n", "f.yaml", tags=frozenset({"!vault"})).root
    assert isinstance(root.content, dict)
    assert (root.content["a"].tag, root.content["a"].content) == ("!vault", "$ANSIBLE_VAULT\n")


def outcome(data: bytes) -> object:
    """What came of it: the value in a list, or the problems (never an empty tuple)."""
    try:
        return [parse(data, "f.yaml").root.plain()]
    except InvalidFilesError as error:
        return error.problems


@given(st.binary(max_size=300))
def test_any_bytes_give_a_document_or_problems(data: bytes):
    assert outcome(data)


@given(st.text(alphabet="ab:-?[]{}&*!|>'\"%@`#,\n\t 0", max_size=60))
def test_any_yaml_like_text_gives_a_document_or_problems(text: str):
    assert outcome(text.encode())
