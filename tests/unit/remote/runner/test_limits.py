import signal
import unittest

from remote.runner.deadlines import Deadlines
from tests.unit.remote.runner.job_case import JobCase
from tests.unit.remote.runner.relay_process import spec


class LimitsTest(JobCase):
    def test_a_job_has_the_limits_and_the_priority_that_were_asked_for(self):
        limits = {
            "nofile": [64, 128],
            "core": [0, 0],
            "fsize": [1024, None],
            "cpu": [100, 200],
            "as": [1 << 31, 1 << 32],
        }
        result = self.shell(
            "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Sf; ulimit -St; ulimit -Hv; nice", rlimits=limits, nice=7
        )
        self.assertEqual(result.out.split(), [b"64", b"128", b"0", b"1", b"100", b"4194304", b"7"])

    def test_a_job_that_takes_more_than_its_limits_ends_by_the_kernel_and_is_recorded(self):
        end = self.shell("while :; do :; done", rlimits={"cpu": [1, 2]}).outcome
        self.assertEqual((end["kind"], end["signal"]), ("signalled", signal.SIGXCPU))
        end = self.shell("head -c 9999 /dev/zero > big", rlimits={"fsize": [512, 512]}, cwd=self.directory).outcome
        self.assertNotEqual(end["code"], 0)

    def test_a_limit_that_cannot_be_set_starts_nothing(self):
        end = self.shell("true", rlimits={"nofile": [9, 5]}).outcome
        self.assertEqual((end["kind"], end["reason"]), ("not_started", "no_permission"))
        self.assertIn("the limit nofile", end["message"])

    def test_a_silent_job_is_ended(self):
        end = self.shell("sleep 600", inactivity_s=0.3).outcome
        self.assertEqual((end["signal"], end["cause"]), (signal.SIGTERM, "inactivity"))

    def test_a_job_that_writes_or_reports_is_not_silent(self):
        for stream in ("1", "2", "$ANYJOB_FD"):
            text = "for i in 1 2 3 4 5 6 7 8; do echo x >&%s; sleep 0.2; done" % stream
            end = self.shell(text, inactivity_s=1).outcome
            self.assertEqual((end["code"], end["cause"]), (0, None))

    def test_a_job_that_writes_too_much_can_be_ended(self):
        result = self.shell("yes", on_output_limit="kill", max_output=1000)
        self.assertEqual((result.outcome["cause"], result.outcome["out"]), ("output_limit", 1000))
        self.assertGreater(result.outcome["out_dropped"], 0)
        exact = self.shell("head -c 1000 /dev/zero", on_output_limit="kill", max_output=1000).outcome
        self.assertEqual((exact["code"], exact["cause"], exact["out"]), (0, None, 1000))

    def test_a_job_that_writes_too_much_can_be_made_to_wait(self):
        result = self.shell("yes", on_output_limit="block", max_output=1000, timeout_s=0.5)
        self.assertEqual((result.outcome["cause"], result.outcome["out"]), ("timeout", 1000))
        self.assertLessEqual(result.outcome["out_dropped"], 1 << 16)
        exact = self.shell("head -c 5000 /dev/zero", on_output_limit="block", max_output=1000).outcome
        self.assertEqual((exact["code"], exact["out"], exact["out_dropped"]), (0, 1000, 4000))

    def test_a_terminal_can_be_made_to_wait_too(self):
        tty = {"rows": 9, "cols": 80, "term": "vt100"}
        end = self.shell("yes", tty=tty, on_output_limit="block", max_output=1000, timeout_s=0.5).outcome
        self.assertEqual((end["cause"], end["out"]), ("timeout", 1000))


class DeadlinesTest(unittest.TestCase):
    def test_the_first_cause_counts_and_a_later_request_can_only_come_earlier(self):
        deadlines = Deadlines(spec(timeout_s=10), 100.0)
        self.assertEqual((deadlines.overdue(109.9), deadlines.next()), (None, 110.0))
        self.assertEqual(deadlines.overdue(110.0), "timeout")
        self.assertTrue(deadlines.end("timeout", 5, 110.0))
        self.assertFalse(deadlines.end("cancel", 2, 110.0))
        self.assertFalse(deadlines.end("cancel", 9, 110.0))
        self.assertEqual((deadlines.cause, deadlines.next(), deadlines.overdue(999.0)), ("timeout", 112.0, None))
        self.assertEqual([deadlines.must_kill(at) for at in (111.9, 112.0, 112.1, 114.0)], [False, True, False, True])

    def test_silence_counts_from_what_was_heard_last(self):
        deadlines = Deadlines(spec(inactivity_s=3), 0.0)
        deadlines.hear(2.0)
        self.assertEqual((deadlines.overdue(4.9), deadlines.overdue(5.0), deadlines.next()), (None, "inactivity", 5.0))
        self.assertIsNone(Deadlines(spec(), 0.0).next())
