import os
import pwd
import sys
import unittest

from remote.runner.first_stage import (
    UnsafeSpoolError,
    cache_path,
    load_compiled,
    make_safe_directory,
    spool_root,
    store_compiled,
)
from tests.unit.remote.runner.relay_process import make_directory, remove


class SafeDirectoryTest(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory().encode()
        self.addCleanup(remove, self.directory)

    def refused(self, path):
        with self.assertRaises(UnsafeSpoolError) as caught:
            make_safe_directory(path)
        return str(caught.exception)

    def test_what_is_missing_is_made_for_the_owner_alone(self):
        make_safe_directory(self.directory + b"/a/b/test")
        for path in (b"/a", b"/a/b", b"/a/b/test"):
            self.assertEqual(os.stat(self.directory + path).st_mode & 0o777, 0o700)
        make_safe_directory(self.directory + b"/a/b/test")

    def test_a_parent_that_others_can_write_is_refused_with_the_way_out(self):
        os.chmod(self.directory, 0o777)
        self.assertIn("chmod go-w " + self.directory.decode(), self.refused(self.directory + b"/test"))

    def test_a_spool_that_others_can_read_is_refused(self):
        os.mkdir(self.directory + b"/test", 0o755)
        os.chmod(self.directory + b"/test", 0o750)
        self.assertIn("chmod 700", self.refused(self.directory + b"/test"))

    def test_a_spool_that_is_a_symbolic_link_is_refused(self):
        os.mkdir(self.directory + b"/real", 0o700)
        os.symlink(b"real", self.directory + b"/test")
        self.assertIn("symbolic link", self.refused(self.directory + b"/test"))

    def test_a_link_above_the_spool_is_followed_and_what_it_leads_to_is_checked(self):
        os.mkdir(self.directory + b"/real", 0o700)
        os.symlink(b"real", self.directory + b"/link")
        make_safe_directory(self.directory + b"/link/test")
        self.assertTrue(os.path.isdir(self.directory + b"/real/test"))
        os.chmod(self.directory + b"/real", 0o707)
        self.assertIn("/real can be written", self.refused(self.directory + b"/link/test"))

    def test_a_link_to_itself_is_refused(self):
        os.symlink(b"loop", self.directory + b"/loop")
        self.assertIn("symbolic link", self.refused(self.directory + b"/loop/test"))

    def test_a_file_in_the_way_is_refused(self):
        open(self.directory + b"/file", "w").close()
        self.assertIn("not a directory", self.refused(self.directory + b"/file/test"))

    def test_a_directory_of_another_user_is_refused(self):
        if os.geteuid() == 0:
            os.chown(self.directory, 65534, 65534)
            self.assertIn("belongs to another user (uid 65534)", self.refused(self.directory + b"/test"))
        else:
            self.assertIn("must be yours alone", self.refused(b"/usr"))

    def test_the_default_is_where_the_login_users_state_belongs(self):
        if os.geteuid() == 0:
            self.assertEqual(spool_root(None, "c"), b"/var/lib/anyjob/c")
        else:
            home = pwd.getpwuid(os.geteuid()).pw_dir
            self.assertEqual(spool_root(None, "c"), os.fsencode(home) + b"/.local/state/anyjob/c")
        self.assertEqual(spool_root("/s", "c"), b"/s/c")


class CacheTest(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory().encode()
        self.addCleanup(remove, self.directory)
        self.path = cache_path(self.directory, "ab" * 32)
        self.compiled = {"m": compile("x = 1", "m.py", "exec")}

    def test_what_is_stored_is_loaded(self):
        store_compiled(self.path, self.compiled)
        self.assertEqual(load_compiled(self.path)["m"].co_consts, self.compiled["m"].co_consts)
        self.assertIn(sys.implementation.cache_tag.encode(), self.path)

    def test_a_damaged_cache_is_not_loaded(self):
        store_compiled(self.path, self.compiled)
        with open(self.path, "rb") as file:
            whole = file.read()
        for damaged in (whole[:-1], whole[:20], b"", whole[:-1] + bytes((whole[-1] ^ 1,)), b"AJR2" + whole[4:]):
            with open(self.path, "wb") as file:
                file.write(damaged)
            self.assertIsNone(load_compiled(self.path))

    def test_a_cache_that_others_could_have_written_is_not_loaded(self):
        store_compiled(self.path, self.compiled)
        os.chmod(self.path, 0o620)
        self.assertIsNone(load_compiled(self.path))

    def test_a_link_in_the_place_of_the_cache_is_not_followed(self):
        store_compiled(self.path, self.compiled)
        os.rename(self.path, self.path + b".moved")
        os.symlink(self.path + b".moved", self.path)
        self.assertIsNone(load_compiled(self.path))

    def test_runners_of_other_versions_are_removed_and_those_of_other_interpreters_stay(self):
        old = cache_path(self.directory, "cd" * 32)
        store_compiled(old, self.compiled)
        store_compiled(self.path + b"x", self.compiled)
        store_compiled(self.path, self.compiled)
        left = sorted(os.listdir(os.path.dirname(self.path)))
        self.assertEqual(left, sorted(os.path.basename(path) for path in (self.path, self.path + b"x")))

    def test_a_cache_that_cannot_be_written_is_no_error(self):
        store_compiled(b"/dev/null/runner/x", self.compiled)
