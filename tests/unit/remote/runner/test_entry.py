import os
import unittest

from remote.runner import outcome
from remote.runner.entry import SLOT, Entry
from tests.unit.remote.runner.relay_process import make_directory, remove


class EntryTest(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory()
        self.addCleanup(remove, self.directory)
        self.entry = Entry("a.1", os.open(self.directory, os.O_RDONLY))
        self.addCleanup(self.entry.close)
        os.close(self.entry.create("result", bytes(SLOT)))

    def test_an_empty_slot_is_no_outcome(self):
        self.assertIsNone(self.entry.outcome())

    def test_an_outcome_is_written_once(self):
        first, second = outcome.build("exited", code=3), outcome.build("exited", code=0)
        self.assertEqual((self.entry.record(first), self.entry.record(second)), (True, False))
        self.assertEqual(self.entry.outcome(), first)

    def test_the_slot_keeps_its_size_so_that_a_full_disk_does_not_matter(self):
        self.entry.record(outcome.build("not_started", reason="exec_failed", message="x" * 9000))
        self.assertEqual(self.entry.size("result"), SLOT)
        self.assertEqual(self.entry.outcome()["message"], "x" * 200)

    def test_a_damaged_or_half_written_slot_is_no_outcome(self):
        self.entry.record(outcome.build("exited", code=0))
        fd = self.entry.open("result", os.O_WRONLY)
        os.pwrite(fd, b"9", 40)
        os.close(fd)
        self.assertIsNone(self.entry.outcome())
        os.truncate(os.path.join(self.directory, "result"), 7)
        self.assertIsNone(self.entry.outcome())

    def test_a_lock_is_held_by_one(self):
        held = self.entry.lock()
        self.assertIsNone(self.entry.lock())
        os.close(held)
        again = self.entry.lock()
        self.assertIsNotNone(again)
        os.close(again)

    def test_a_symbolic_link_in_the_place_of_a_file_is_not_followed(self):
        os.symlink("/etc/passwd", os.path.join(self.directory, "out"))
        with self.assertRaises(OSError):
            self.entry.piece("out", 0, 10)
