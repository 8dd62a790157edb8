import json
import os
import unittest

from remote.runner.identity import StartError, resolve
from remote.runner.policy import admit, check_account
from tests.unit.remote.runner.relay_process import make_directory, remove


class PolicyTest(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory()
        self.addCleanup(remove, self.directory)
        self.path = os.path.join(self.directory, "node.conf")
        self.me = resolve(None, None)

    def write(self, rules):
        with open(self.path, "w") as file:
            file.write(rules if isinstance(rules, str) else json.dumps(rules))
        os.chmod(self.path, 0o644)

    def forbidden(self, rules, identity=None, cluster="test"):
        self.write(rules)
        with self.assertRaises(StartError) as caught:
            admit(identity or self.me, cluster, self.path)
        self.assertEqual(caught.exception.reason, "forbidden_on_node")
        return str(caught.exception)

    def test_without_a_file_everybody_may_run(self):
        admit(self.me, "test", self.path)
        admit(self.me, "test", self.path + "/below")

    def test_users_and_clusters_can_be_listed(self):
        name = self.me.name
        self.write({"allowed_users": [name], "denied_users": ["no such user"], "clusters": ["test"]})
        admit(self.me, "test", self.path)
        self.assertIn("(allowed_users)", self.forbidden({"allowed_users": ["other"]}))
        self.assertIn("(denied_users)", self.forbidden({"allowed_users": [name], "denied_users": [name]}))
        self.assertIn("cluster 'test'", self.forbidden({"clusters": ["other"]}))

    def test_another_name_of_a_denied_account_is_denied(self):
        alias = self.me._replace(name="toor")
        self.assertIn("as toor (denied_users)", self.forbidden({"denied_users": [self.me.name]}, alias))

    def test_a_file_of_another_form_forbids_all(self):
        for rules in ("", "{", "[]", {"users": []}, {"clusters": "test"}, {"clusters": [1]}, {"denied_users": None}):
            self.assertIn("so nothing is started", self.forbidden(rules))

    def test_a_file_that_others_could_have_written_forbids_all(self):
        self.write({})
        for mode in (0o664, 0o646):
            os.chmod(self.path, mode)
            with self.assertRaises(StartError):
                admit(self.me, "test", self.path)
        os.chmod(self.path, 0o644)
        os.chown(self.path, 65534, 0)
        with self.assertRaises(StartError):
            admit(self.me, "test", self.path)
        os.chown(self.path, 0, 0)
        admit(self.me, "test", self.path)
        os.chmod(self.directory, 0o777)
        with self.assertRaises(StartError):
            admit(self.me, "test", self.path)
        os.chmod(self.directory, 0o755)
        os.rename(self.path, self.path + ".real")
        os.symlink(self.path + ".real", self.path)
        with self.assertRaises(StartError):
            admit(self.me, "test", self.path)

    def test_a_locked_or_expired_account_is_told_from_one_without_a_password(self):
        other = self.me._replace(name="app", uid=4242)
        for field, expires, is_locked in (
            ("!$6$salt$hash", "", True),
            ("!!$6$salt$hash", "", True),
            ("$6$salt$hash", "1", True),
            ("*", "1", True),
            ("$6$salt$hash", "", False),
            ("$6$salt$hash", "99999", False),
            ("!", "", False),
            ("!!", "", False),
            ("*", "", False),
            ("", "", False),
        ):
            self.write("application:!$6$x:1::::::\napp:%s:19000:0:99999:7::%s:\n" % (field, expires))
            if is_locked:
                with self.subTest(field), self.assertRaises(StartError) as caught:
                    check_account(other, self.path)
                self.assertEqual(caught.exception.reason, "account_locked")
            else:
                check_account(other, self.path)

    def test_the_login_user_and_what_cannot_be_seen_are_not_judged(self):
        self.write("%s:!$6$x:1:::::1:\n" % self.me.name)
        check_account(self.me, self.path)
        check_account(self.me._replace(name="app", uid=4242), self.path + ".missing")
