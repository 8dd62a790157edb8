from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.targets import Chain, Kind, Leaf, TargetError, Tree, inline_files, parse


def shape(tree: Tree) -> object:
    """The tree without places: leaves as kind and text, chains as tuples."""
    if isinstance(tree, Leaf):
        return f"{tree.kind}:{tree.text}"
    return (shape(tree.first), *((operator, shape(operand)) for operator, operand in tree.rest))


@pytest.mark.parametrize(
    ("text", "kind", "inner"),
    [
        ("web1", Kind.WORD, "web1"),
        ("web[1-20,33]", Kind.WORD, "web[1-20,33]"),
        ("web*", Kind.WORD, "web*"),
        ("*", Kind.WORD, "*"),
        ("'web1'", Kind.WORD, "web1"),
        ("@web", Kind.GROUP, "web"),
        ("@*", Kind.GROUP, "*"),
        ("env=prod", Kind.LABEL, "env=prod"),
        ("env='a, b'", Kind.LABEL, "env=a, b"),
        ("env=", Kind.LABEL, "env="),
        ("~web(01|02)", Kind.REGEX, "web(01|02)"),
        ("~^web[0-9,]+$", Kind.REGEX, "^web[0-9,]+$"),
        ('~"a:b"', Kind.REGEX, "a:b"),
        ("@./hosts.txt", Kind.FILE, "./hosts.txt"),
        ("@/etc/hosts:x", Kind.FILE, "/etc/hosts:x"),
        ("^hosts.txt", Kind.FILE, "hosts.txt"),
        ("@'/a b/c'", Kind.FILE, "/a b/c"),
        ("((web1))", Kind.WORD, "web1"),
        (" web1 ", Kind.WORD, "web1"),
    ],
)
def test_an_operand_is_told_by_its_first_sign(text: str, kind: Kind, inner: str):
    tree = parse(text)
    assert isinstance(tree, Leaf)
    assert (tree.kind, tree.text) == (kind, inner)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a,b&c", ("word:a", (",", "word:b"), ("&", "word:c"))),
        ("a,(b&c)", ("word:a", (",", ("word:b", ("&", "word:c"))))),
        ("a!b,c", ("word:a", ("!", "word:b"), (",", "word:c"))),
        ("a^b", ("word:a", ("^", "word:b"))),
        ("a,^b", ("word:a", (",", "file:b"))),
        ("a:b", ("word:a", (",", "word:b"))),
        ("@a:b", ("group:a", (",", "word:b"))),
        ("a:!b:c", ("word:a", (",", "word:c"), ("!", "word:b"))),
        ("a:!b:&c:d", ("word:a", (",", "word:d"), ("&", "word:c"), ("!", "word:b"))),
        ("a,!b,c", ("word:a", (",", "word:c"), ("!", "word:b"))),
        ("!a", ("word:all", ("!", "word:a"))),
        ("(a&b):!c", (("word:a", ("&", "word:b")), ("!", "word:c"))),
    ],
)
def test_operators_apply_from_left_to_right_and_ansibles_in_its_order(text: str, tree: object):
    assert shape(parse(text)) == tree


@pytest.mark.parametrize(
    ("text", "start", "message"),
    [
        ("", 0, "expected a node"),
        ("a,", 2, "expected a node"),
        ("a,,b", 2, "expected a node"),
        ("a&", 2, "expected a node"),
        ("()", 1, "expected a node"),
        ("(a", 0, "'(' without ')'"),
        ("a)", 1, "')' without '('"),
        ("a b", 2, "expected an operator"),
        ("a:&b!c", 0, "mixes"),
        ("a&b:!c", 0, "mixes"),
        ("@", 0, "expected a name"),
        ("@,a", 0, "expected a name"),
        ("'a", 0, "the quote is not closed"),
        ("(" * 60 + "a" + ")" * 60, 50, "more than 50 brackets"),
        ("a" * (1 << 20) + "a", 0, "longer than"),
    ],
)
def test_a_mistake_is_shown_at_its_place(text: str, start: int, message: str):
    with pytest.raises(TargetError) as caught:
        parse(text)
    assert caught.value.start == start
    assert message in str(caught.value)


def test_the_caret_stands_below_the_mistake():
    with pytest.raises(TargetError) as caught:
        parse("web1 web2")
    assert str(caught.value) == "expected an operator; separate names with a comma\n  web1 web2\n       ^"


def test_a_long_expression_is_shown_around_its_mistake():
    with pytest.raises(TargetError) as caught:
        parse("a," * 500 + ",b" + ",c" * 500)
    _, line, carets = str(caught.value).split("\n")
    assert len(line) <= 102
    assert line[carets.index("^")] == ","


def test_control_characters_of_an_expression_do_not_reach_the_screen():
    with pytest.raises(TargetError) as caught:
        parse("a \x1b[31m")
    assert "\x1b" not in str(caught.value)


@given(st.text(alphabet="ab@~^!&,:()[]'\"=*?/. 1-", max_size=40))
def test_any_text_gives_a_tree_or_an_error_with_a_place(text: str):
    try:
        parse(text)
    except TargetError as error:
        start, told = error.start, str(error)
    else:
        start, told = 0, "a tree"
    assert 0 <= start <= len(text)
    assert told


LEAVES = st.sampled_from(["a", "web[1-3]", "@g", "w*", "env=prod", "~x.*y"])
TREES = st.recursive(
    LEAVES.map(parse),
    lambda inner: st.builds(
        Chain, inner, st.lists(st.tuples(st.sampled_from(",&!^"), inner), min_size=1, max_size=4).map(tuple)
    ),
    max_leaves=12,
)


def printed(tree: Tree) -> str:
    if isinstance(tree, Leaf):
        return {Kind.GROUP: "@", Kind.REGEX: "~"}.get(tree.kind, "") + tree.text
    return printed_operand(tree.first) + "".join(op + printed_operand(operand) for op, operand in tree.rest)


def printed_operand(tree: Tree) -> str:
    return printed(tree) if isinstance(tree, Leaf) else f"({printed(tree)})"


@given(TREES)
def test_a_printed_tree_reads_as_itself(tree: Tree):
    assert shape(parse(printed(tree))) == shape(tree)


def test_names_of_a_file_take_its_place(tmp_path: Path):
    (tmp_path / "hosts.txt").write_text("web1 # the first\n\n web[2-3],db*\n")
    assert inline_files("@./hosts.txt!web1,^hosts.txt", tmp_path) == "(web1,web[2-3],db*)!web1,(web1,web[2-3],db*)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"web1\nroot:x:0:0\n", ":2: 'root:x:0:0' is not a name"),
        (b"web1)!(web2\n", "is not a name"),
        (b"web[1\n", "is not a name"),
        (b"# nothing\n", "names no node"),
        (b"\xff\n", "not UTF-8"),
        (b"a" * ((1 << 20) + 1), "larger than"),
    ],
)
def test_a_file_with_anything_else_is_refused(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(TargetError) as caught:
        inline_files("@./f", tmp_path)
    assert message in str(caught.value)


def test_a_missing_file_says_so(tmp_path: Path):
    with pytest.raises(TargetError, match="cannot be read: No such file"):
        inline_files("@./nope", tmp_path)


@pytest.mark.parametrize("expression", ["@~nobody-of-this-name/x", "@/a\0b"])
def test_a_file_that_is_no_path_is_refused(tmp_path: Path, expression: str):
    with pytest.raises(TargetError, match="is not a path"):
        inline_files(expression, tmp_path)


def test_an_expression_without_files_stays_as_it_is(tmp_path: Path):
    assert inline_files("web1, @g", tmp_path) == "web1, @g"
    assert inline_files("a b (", tmp_path) == "a b ("
