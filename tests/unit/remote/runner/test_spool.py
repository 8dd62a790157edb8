import os
import subprocess
import sys
import unittest

from remote.runner.spool import FLOOR, Refusal, Spool, floor_of, is_token
from tests.unit.remote.runner.relay_process import ROOT, make_directory, remove

CLAIM = """
import sys; sys.path.insert(0, %r)
from remote.runner.spool import Spool
sys.stdin.read()
try: Spool(%r).claim("a.1", b"{}", [])
except FileExistsError: print("known")
else: print("claimed")
"""


class SpoolTest(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory()
        self.addCleanup(remove, self.directory)
        self.root = os.path.join(self.directory, "spool", "test").encode()
        self.spool = Spool(self.root)

    def claim(self, token="a.1", inputs=()):
        entry, lock = self.spool.claim(token, b"{}", list(inputs))
        os.close(lock)
        return entry

    def test_of_many_claims_at_once_one_succeeds(self):
        command = [sys.executable, "-E", "-s", "-S", "-c", CLAIM % (ROOT, self.root)]
        claims = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
            for _ in range(8)
        ]
        for claim in claims:
            claim.stdin.close()
        said = [claim.stdout.read().strip() for claim in claims]
        for claim in claims:
            claim.stdout.close()
            claim.wait()
        self.assertEqual(sorted(said), ["claimed"] + ["known"] * 7)

    def test_the_generation_stays_until_the_spool_is_removed(self):
        self.assertEqual(len(self.spool.generation), 32)
        self.assertEqual(Spool(self.root).generation, self.spool.generation)
        remove(self.directory + "/spool")
        self.assertNotEqual(Spool(self.root).generation, self.spool.generation)

    def test_everything_is_readable_by_the_owner_alone(self):
        self.spool.stage("a.1", "stdin", 0, b"secret")
        self.claim(inputs=["stdin"])
        for directory, directories, files in os.walk(self.root):
            for name in directories + files:
                self.assertEqual(os.lstat(os.path.join(directory, name)).st_mode & 0o077, 0, name)

    def test_an_input_comes_in_pieces_and_goes_into_the_entry(self):
        self.spool.stage("a.1", "stdin", 0, b"old")
        self.spool.stage("a.1", "stdin", 0, b"abc")
        self.spool.stage("a.1", "stdin", 3, b"def")
        entry = self.claim(inputs=["stdin", "script"])
        self.assertEqual((entry.content("stdin"), entry.content("script")), (b"abcdef", b""))

    def test_an_input_with_a_gap_or_too_large_is_refused(self):
        with self.assertRaises(Refusal) as gap:
            self.spool.stage("a.1", "stdin", 1, b"abc")
        self.spool.stage("a.2", "stdin", 0, b"")
        os.truncate(os.path.join(self.root, b"stage", os.listdir(self.root + b"/stage")[0], b"a.2.stdin"), 16 << 20)
        with self.assertRaises(Refusal) as large:
            self.spool.stage("a.2", "stdin", 16 << 20, b"x")
        self.assertEqual((gap.exception.reason, large.exception.reason), ("missing_input", "missing_input"))
        self.assertIn("16 MiB", str(large.exception))

    def test_a_removed_token_leaves_nothing_and_a_link_in_it_is_not_followed(self):
        outside = os.path.join(self.directory, "outside")
        os.mkdir(outside)
        open(os.path.join(outside, "kept"), "w").close()
        self.claim()
        entry = os.path.join(self.root, b"j", b"a.1")
        os.symlink(outside, entry + b"/link")
        os.makedirs(entry + b"/work/deep")
        self.spool.remove("a.1")
        self.spool.close()
        self.assertEqual(os.listdir(self.root + b"/j") + os.listdir(self.root + b"/stage"), [])
        self.assertEqual(os.listdir(outside), ["kept"])

    def test_inputs_of_a_relay_that_is_gone_are_removed_and_those_of_a_living_one_stay(self):
        living = Spool(self.root)
        living.stage("a.1", "stdin", 0, b"x")
        os.makedirs(self.root + b"/stage/0123456789abcdef/a.9.gone")
        self.spool.stage("a.2", "stdin", 0, b"x")
        self.assertEqual(len(os.listdir(self.root + b"/stage")), 2)
        living.stage("a.1", "stdin", 1, b"y")

    def test_the_floor_is_64_mib_and_5_percent_of_a_small_filesystem(self):
        self.assertEqual((floor_of(1 << 40), floor_of(1 << 30), floor_of(100 << 20)), (FLOOR, FLOOR, 5 << 20))

    def test_a_token_is_a_name_and_no_path(self):
        for good in ("01J.1", "a", "A-b_c.9", "x" * 128):
            self.assertTrue(is_token(good), good)
        for bad in ("", ".", "..", ".a", "-a", "a/b", "../a", "a\0", "a b", "\u00e4", "x" * 129, None, 1, ["a"]):
            self.assertFalse(is_token(bad), bad)
            self.assertIsNone(self.spool.entry(bad))
