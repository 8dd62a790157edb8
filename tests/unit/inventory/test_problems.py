from inventory.problems import InvalidFilesError, Problem, did_you_mean


def test_a_problem_reads_as_place_field_message_and_way_out():
    problem = Problem(file="inventory.yaml", line=12, column=11, field="nodes.a.port", message="bad", hint="fix it")
    assert str(problem) == "inventory.yaml:12:11: nodes.a.port: bad; fix it"


def test_parts_that_are_not_known_leave_no_trace_in_the_text():
    assert str(Problem(file="a.ini", message="does not exist")) == "a.ini: does not exist"


def test_problems_are_sorted_by_place_and_told_once():
    late = Problem(file="a", line=9, message="late")
    early = Problem(file="a", line=2, message="early")
    other = Problem(file="b", message="other")
    error = InvalidFilesError([other, late, early, late])
    assert error.problems == (early, late, other)
    assert str(error) == "a:2: early\na:9: late\nb: other"


def test_a_misspelt_word_gets_a_suggestion_and_a_foreign_one_none():
    assert did_you_mean("prot", ["port", "user"]) == "did you mean 'port'?"
    assert did_you_mean("zzz", ["port", "user"]) == ""


def test_control_characters_of_a_file_do_not_reach_the_terminal():
    text = str(Problem(file="a\udc80", field="x.\x1b[31m", message="größer\u202e", hint="\n"))
    assert text == "a\\udc80: x.\\x1b[31m: größer\\u202e; \\n"
