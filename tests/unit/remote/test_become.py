import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.route import Become, Method
from remote.become import PROMPT, Refusal, asks, in_front, reason, refused, waits
from remote.bootstrap import Became, Bootstrap, Have, Ready
from remote.bundle import command
from tests.pair import hello, pieces

NONCE = "0123456789abcdef" * 2
BECAME = b"\0AJ1 - became\n"
SUDO, DOAS, SU = (Become(method=method, user="app") for method in Method)


@pytest.mark.parametrize(
    ("become", "may_ask", "words"),
    [
        (SUDO, False, ["sudo", "-n", "-H", "-u", "app", "--", "sh", "-c"]),
        (SUDO, True, ["sudo", "-S", "-p", PROMPT, "-H", "-u", "app", "--", "sh", "-c"]),
        (DOAS, True, ["doas", "-n", "-u", "app", "--", "sh", "-c"]),
        (SU, False, ["su", "-s", "/bin/sh", "-c"]),
    ],
)
def test_the_method_stands_in_front_of_the_same_script(become: Become, may_ask: bool, words: list[str]) -> None:
    plain = shlex.split(command())[-1]
    found = shlex.split(in_front(become, command(), may_ask=may_ask))
    script = 'cd /;printf "\\0AJ1 - became\\n";' + plain
    assert found == ["env", "LC_MESSAGES=C", *words, script, *(["app"] if become is SU else [])]


@pytest.mark.parametrize("user", ["", "-u", "a b", "a'b", "$(id)", "a;b", "#0", "@run_as", "a\n"])
def test_what_could_be_more_than_a_name_to_a_shell_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="expected a user name"):
        in_front(Become(user=user), command(), may_ask=False)


def test_only_what_may_ask_is_waited_for() -> None:
    assert [waits(become, may_ask=False) for become in (SUDO, DOAS, SU)] == [False, False, True]
    assert [waits(become, may_ask=True) for become in (SUDO, DOAS, SU)] == [True, False, True]


@pytest.mark.parametrize(
    ("become", "end", "is_asked"),
    [
        (SUDO, f"Lecture\n{PROMPT}".encode(), True),
        (SUDO, f"{PROMPT}\n".encode(), False),
        (SUDO, b"Password: ", False),
        (SU, b"Password: ", True),
        (SU, "Passwort für app: ".encode(), True),
        (SU, b"su: Authentication failure\n", False),
        (SU, b"", False),
        (DOAS, b"doas (app@h) password: ", False),
    ],
)
def test_a_question_is_told_from_other_words(become: Become, end: bytes, is_asked: bool) -> None:
    assert asks(become, end) is is_asked


@pytest.mark.parametrize(
    ("become", "said", "why"),
    [
        (SUDO, "env: \u2018sudo\u2019: No such file or directory", Refusal.MISSING),
        (SUDO, "env: can't execute 'sudo': No such file or directory", Refusal.MISSING),
        (DOAS, "doas: doas is not enabled, /etc/doas.conf: No such file or directory", Refusal.NOT_ALLOWED),
        (SUDO, "sudo: sorry, you must have a tty to run sudo", Refusal.TERMINAL),
        (SUDO, "sudo: unknown user nosuch", Refusal.UNKNOWN_USER),
        (SUDO, "sudo: unknown user: nosuch", Refusal.UNKNOWN_USER),
        (SU, "su: user nosuch does not exist or the user entry does not contain", Refusal.UNKNOWN_USER),
        (SUDO, "sudo: account validation failure, is your account locked?", Refusal.NO_LOGIN),
        (SU, "Your account has expired; please contact your system administrator.", Refusal.NO_LOGIN),
        (SU, "This account is currently not available.", Refusal.NO_LOGIN),
        (SUDO, "This account is currently not available.", Refusal.LOGIN_SHELL),
        (SUDO, "deploy is not in the sudoers file.", Refusal.NOT_ALLOWED),
        (SUDO, "Sorry, user deploy is not allowed to execute '/bin/sh' as root on h.", Refusal.NOT_ALLOWED),
        (DOAS, "doas: Operation not permitted", Refusal.NOT_ALLOWED),
        (SUDO, "sudo: 1 incorrect password attempt", Refusal.WRONG_PASSWORD),
        (SUDO, "sudo: a password is required", Refusal.PASSWORD_NEEDED),
        (DOAS, "doas: Authentication required", Refusal.PASSWORD_NEEDED),
        (SUDO, "sudo: effective uid is not 0", Refusal.OTHER),
        (SUDO, "", Refusal.OTHER),
    ],
)
def test_what_a_program_says_has_a_meaning(become: Become, said: str, why: Refusal) -> None:
    assert reason(become, said.encode(), answered=False) is why


def test_a_password_that_was_sent_in_vain_is_wrong() -> None:
    assert reason(SU, b"su: Authentication failure", answered=True) is Refusal.WRONG_PASSWORD
    assert reason(SU, b"su: Authentication failure", answered=False) is Refusal.PASSWORD_NEEDED


@pytest.mark.parametrize("become", [SUDO, DOAS, SU])
@pytest.mark.parametrize("why", list(Refusal))
def test_every_refusal_has_its_text(become: Become, why: Refusal) -> None:
    text = refused(become, why, b"motd\nits own {words}\x1b[2J\n", "deploy")
    assert text
    assert text.isprintable()


def test_the_programs_own_lines_are_shown_instead_of_a_lecture() -> None:
    text = refused(SUDO, Refusal.OTHER, f"Respect!\n{PROMPT}sudo: no setuid\n".encode(), "deploy")
    assert "it said: sudo: no setuid." in text


def test_no_answer_counts_before_the_word_that_rights_were_given() -> None:
    answer = b"\0AJ1 " + NONCE.encode() + b" have 3.11.2 /p\n"
    boot = Bootstrap(NONCE, becomes=True)
    assert boot.feed(answer + b"\0AJ1 - nopython\n") == []
    found = boot.feed(b"noise" + BECAME + answer + hello())
    assert [type(one) for one in found] == [Became, Have, Ready]


@given(st.lists(st.integers(0, 300), max_size=10))
def test_any_cut_gives_the_same_answers(cuts: list[int]) -> None:
    data = b"noise\0AJ1 x\n\0AJ1 - bec" + BECAME + b"\0AJ1 " + NONCE.encode() + b" have 3.11.2 /p\n" + hello()
    boot = Bootstrap(NONCE, becomes=True)
    found: list[type] = []
    for piece in pieces(data, cuts):
        if Ready not in found:
            found += [type(answer) for answer in boot.feed(piece)]
    assert found == [Became, Have, Ready]
