import os
import tempfile
import unittest

from remote.runner.stream import Stream


class StreamTest(unittest.TestCase):
    def setUp(self):
        self.source, self.writer = os.pipe()
        self.file = tempfile.TemporaryFile()
        self.addCleanup(self.file.close)
        self.addCleanup(os.close, self.source)

    def recorded(self):
        return os.pread(self.file.fileno(), 1 << 20, 0)

    def test_a_full_disk_loses_nothing_and_room_lets_it_go_on(self):
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        stream = Stream(self.source, full, 1 << 20)
        os.write(self.writer, b"first ")
        self.assertEqual((stream.pump(), stream.is_blocked), (0, True))
        os.write(self.writer, b"second")
        os.close(self.writer)
        self.assertEqual((stream.pump(), stream.is_blocked), (0, True))
        os.dup2(self.file.fileno(), full)
        self.assertEqual((stream.pump(), stream.is_blocked, stream.is_open), (12, False, False))
        self.assertEqual(self.recorded(), b"first second")

    def test_what_is_beyond_the_limit_is_read_counted_and_dropped(self):
        stream = Stream(self.source, self.file.fileno(), 5)
        os.write(self.writer, b"123")
        stream.pump()
        os.write(self.writer, b"4567890")
        os.close(self.writer)
        stream.pump()
        self.assertEqual((stream.recorded, stream.dropped, stream.is_open), (5, 5, False))
        self.assertEqual(self.recorded(), b"12345")

    def test_a_limit_of_nothing_keeps_nothing(self):
        stream = Stream(self.source, self.file.fileno(), 0)
        os.write(self.writer, b"123")
        os.close(self.writer)
        stream.pump()
        self.assertEqual((stream.recorded, stream.dropped, self.recorded()), (0, 3, b""))

    def test_what_can_never_be_recorded_is_counted(self):
        full = os.open("/dev/full", os.O_WRONLY)
        self.addCleanup(os.close, full)
        stream = Stream(self.source, full, 1 << 20)
        os.write(self.writer, b"12345")
        os.close(self.writer)
        stream.pump()
        stream.give_up()
        self.assertEqual((stream.recorded, stream.dropped, stream.is_open), (0, 5, False))

    def test_without_splice_the_bytes_are_the_same(self):
        stream = Stream(self.source, self.file.fileno(), 1 << 20)
        stream._splice = None
        os.write(self.writer, bytes(range(256)) * 100)
        os.close(self.writer)
        stream.pump()
        self.assertEqual(self.recorded(), bytes(range(256)) * 100)

    def test_one_turn_has_an_end_while_the_job_writes_on(self):
        stream = Stream(self.source, self.file.fileno(), 1 << 20)
        os.write(self.writer, bytes(60000))
        moved = stream.pump(10)
        self.assertGreaterEqual(moved, 10)
        self.assertTrue(stream.is_open)
        os.close(self.writer)
