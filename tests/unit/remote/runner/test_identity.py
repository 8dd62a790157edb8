import os
import pwd
import unittest

from remote.runner.identity import StartError, can_become, environment, resolve

ME = pwd.getpwuid(os.geteuid())


class IdentityTest(unittest.TestCase):
    def test_nobody_named_is_the_login_user(self):
        identity = resolve(None, None)
        self.assertEqual((identity.name, identity.uid, identity.home), (ME.pw_name, ME.pw_uid, ME.pw_dir))

    def test_an_id_is_no_name(self):
        for user in ("0", "#0", "-1", "+0", "4294967295", "nobody ", "root\n", "\u00e4", "no such user"):
            with self.subTest(user), self.assertRaises(StartError) as caught:
                resolve(user, None)
            self.assertEqual(caught.exception.reason, "no_such_user")
            self.assertIn(repr(user), str(caught.exception))

    def test_an_unknown_group_is_told(self):
        with self.assertRaises(StartError) as caught:
            resolve(None, "no such group")
        self.assertIn("group 'no such group'", str(caught.exception))

    def test_only_root_becomes_somebody_else(self):
        other = "nobody" if ME.pw_uid == 0 else "root"
        self.assertEqual(can_become(other), "yes" if ME.pw_uid == 0 else "no")
        self.assertEqual((can_become(ME.pw_name), can_become("no such user")), ("yes", "unknown_user"))

    def test_the_environment_is_clean(self):
        os.environ["ANYJOB_CANARY"] = "x"
        self.addCleanup(os.environ.pop, "ANYJOB_CANARY")
        env = environment(resolve(None, None), {"NAME": "v\u00e4", "PATH": "/mine"}, None)
        self.assertEqual(set(env), {b"HOME", b"USER", b"LOGNAME", b"SHELL", b"PATH", b"LANG", b"NAME"})
        self.assertEqual((env[b"NAME"], env[b"PATH"]), (b"v\xc3\xa4", b"/mine"))
        self.assertEqual(environment(resolve(None, None), {}, "vt100")[b"TERM"], b"vt100")
