import unittest

from remote.runner.spec import canonical, check
from remote.runner.spool import Refusal
from tests.unit.remote.runner.relay_process import spec


class SpecTest(unittest.TestCase):
    def test_a_spec_of_the_protocol_is_taken(self):
        good = spec(
            argv=["true"], tty={"rows": 24, "cols": 80, "term": "xterm"}, timeout_s=1, user="root", env={"A": "="}
        )
        self.assertEqual(check(good), good)

    def test_all_mistakes_are_told_at_once(self):
        bad = spec(argv=["a\0b"], umask=-1, env={"A=B": "c"}, cwd="here", more=1)
        del bad["tty"]
        with self.assertRaises(Refusal) as caught:
            check(bad)
        self.assertEqual(caught.exception.reason, "bad_spec")
        for key in ("argv", "umask", "env", "cwd", "more: unknown", "tty: missing"):
            self.assertIn("spec." + key, str(caught.exception))

    def test_a_value_of_another_kind_is_refused(self):
        for changes in (
            {"argv": []},
            {"argv": [""]},
            {"argv": "true"},
            {"argv": [1]},
            {"script": True, "interpreter": []},
            {},
            {"argv": ["true"], "script": 0},
            {"argv": ["true"], "timeout_s": -1},
            {"argv": ["true"], "timeout_s": True},
            {"argv": ["true"], "grace_s": None},
            {"argv": ["true"], "max_output": 1.5},
            {"argv": ["true"], "tty": {"rows": 1}},
            {"argv": ["true"], "user": ""},
        ):
            with self.subTest(changes), self.assertRaises(Refusal):
                check(spec(**changes))
        with self.assertRaises(Refusal):
            check(["argv"])

    def test_the_order_of_keys_makes_no_other_spec(self):
        one = spec(argv=["true"])
        other = dict(reversed(list(one.items())))
        self.assertEqual(canonical(one), canonical(other))
