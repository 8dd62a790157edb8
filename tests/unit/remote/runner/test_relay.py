import os
import signal
import stat
import subprocess
import sys
import time
import unittest

from remote.runner.frames import encode
from tests.unit.remote.runner.relay_process import PATIENCE_S, ROOT, RelayProcess, make_directory, remove, spec

GATE = "echo ready; cat %s/gate; echo done"


class RelayTest(unittest.TestCase):
    def setUp(self):
        self.directory = make_directory()
        self.addCleanup(remove, self.directory)
        os.mkfifo(self.directory + "/gate")

    def relay(self, **options):
        relay = RelayProcess(self.directory, **options)
        self.addCleanup(relay.close)
        return relay

    def open_gate(self):
        """Let the job that waits at the gate go on."""
        with open(self.directory + "/gate", "wb"):
            pass

    def start_at_gate(self, relay, token="a.1"):
        relay.start(token, argv=["sh", "-c", GATE % self.directory])
        relay.expect("output", token)

    def entry(self, token="a.1"):
        return os.path.join(self.directory, "test/j", token)

    def supervisor_of(self, token="a.1"):
        """Return the process that holds the token's lock."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                held = [os.readlink("/proc/%s/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%s/fd" % pid)]
            except OSError:
                continue
            if self.entry(token) + "/lock" in held:
                return int(pid)
        raise AssertionError("nobody holds the lock")

    def wait_for(self, is_so):
        until = time.monotonic() + PATIENCE_S
        while not is_so() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertTrue(is_so())

    def has_outcome(self, token):
        try:
            with open(self.entry(token) + "/result", "rb") as file:
                return file.read(4) == b"AJR1"
        except FileNotFoundError:
            return False

    def test_the_first_frame_says_who_the_node_is(self):
        hello = self.relay().hello
        self.assertEqual((hello["t"], hello["protocol"], hello["uid"]), ("hello", 1, os.geteuid()))
        self.assertEqual(hello["spool"], self.directory + "/test")
        self.assertEqual(hello["generation"], self.relay().hello["generation"])

    def test_only_what_is_needed_is_imported(self):
        loaded = self.modules("sys.path.insert(0, %r); import remote.runner.main" % ROOT)
        dear = {"typing", "subprocess", "asyncio", "ctypes", "selectors", "logging", "tempfile", "random", "hashlib"}
        dear |= {"zipimport", "threading", "socket", "pathlib", "inspect", "contextlib", "shutil"}
        self.assertEqual(dear & (loaded - self.modules("import json, os")), set())

    @staticmethod
    def modules(code):
        """Return what is imported after this code."""
        command = [sys.executable, "-E", "-s", "-S", "-c", "import sys; %s; print(*sys.modules)" % code]
        return set(subprocess.check_output(command).decode().split())

    def test_the_jobs_go_on_when_the_connection_ends_and_can_be_followed_by_another(self):
        first = self.relay()
        self.start_at_gate(first)
        self.assertEqual(first.close(), 0)
        second = self.relay()
        second.tail("a.1", out=3)
        self.open_gate()
        frames = []
        while not frames or frames[-1].header["t"] != "ended":
            frames.append(second.receive())
        self.assertEqual(frames[0].header["t"], "started")
        output = [frame for frame in frames if frame.header["t"] == "output"]
        self.assertEqual(output[0].header["offset"], 3)
        self.assertEqual(b"".join(frame.payload for frame in output), b"dy\ndone\n")
        self.assertEqual(frames[-1].header["outcome"]["out"], 11)

    def test_a_killed_relay_is_no_different(self):
        first = self.relay()
        self.start_at_gate(first)
        first.process.kill()
        first.process.wait()
        self.open_gate()
        second = self.relay()
        second.tail("a.1")
        self.assertEqual(second.results(1)["a.1"].out, b"ready\ndone\n")

    def test_a_job_does_not_hold_the_channel(self):
        relay = self.relay()
        self.start_at_gate(relay)
        relay.process.stdin.close()
        self.assertEqual(os.read(relay.process.stdout.fileno(), 100), b"")
        self.open_gate()

    def test_a_start_that_is_repeated_is_reported_and_starts_nothing(self):
        relay = self.relay()
        argv = ["sh", "-c", "echo x >> %s/started; cat %s/gate" % (self.directory, self.directory)]
        for _ in range(20):
            relay.start("a.1", argv=argv)
        other = self.relay()
        other.start("a.1", argv=argv)
        for _ in range(20):
            relay.expect("claimed", "a.1")
        other.expect("started", "a.1")
        self.open_gate()
        self.assertEqual(relay.expect("ended", "a.1")["outcome"]["code"], 0)
        self.assertEqual(other.expect("ended", "a.1")["outcome"]["code"], 0)
        with open(self.directory + "/started") as file:
            self.assertEqual(file.read(), "x\n")

    def test_the_same_token_with_another_spec_is_refused(self):
        relay = self.relay()
        relay.run("a.1", argv=["true"])
        relay.start("a.1", argv=["false"])
        self.assertEqual(relay.expect("refused", "a.1")["reason"], "token_conflict")

    def test_a_bad_spec_is_refused(self):
        relay = self.relay()
        relay.start("a.1", argv=["true"], umask=-1)
        self.assertEqual(relay.expect("refused", "a.1")["reason"], "bad_spec")
        relay.tail("a.1")
        relay.expect("absent", "a.1")

    def test_a_start_with_a_spoilt_input_is_refused_once(self):
        relay = self.relay()
        relay.send({"t": "input", "token": "a.1", "name": "stdin", "offset": 5}, b"x")
        relay.send({"t": "input", "token": "a.1", "name": "stdin", "offset": 6}, b"x")
        relay.start("a.1", argv=["cat"], stdin=True)
        self.assertEqual(relay.receive().header["reason"], "missing_input")
        relay.send({"t": "ping", "n": 1})
        self.assertEqual(relay.receive().header, {"t": "pong", "n": 1})

    def test_a_forgotten_token_leaves_nothing(self):
        relay = self.relay()
        relay.run("a.1", inputs={"stdin": b"x" * 300000}, argv=["cat"])
        relay.send({"t": "forget", "token": "a.1"})
        relay.tail("a.1")
        relay.expect("absent", "a.1")
        self.assertEqual(relay.close(), 0)
        left = [os.path.join(directory, name) for directory, _, names in os.walk(self.directory) for name in names]
        self.assertEqual(
            sorted(map(os.path.basename, left)), ["anyjob-report", "anyjob.py", "gate", "generation", "lock"]
        )

    def test_a_running_job_is_not_forgotten(self):
        relay = self.relay()
        self.start_at_gate(relay)
        relay.send({"t": "forget", "token": "a.1"})
        self.assertIn("not ended", relay.expect("fault", "a.1")["message"])
        self.open_gate()
        relay.expect("ended", "a.1")

    def test_what_is_not_known_is_cancelled_and_forgotten_in_silence(self):
        relay = self.relay()
        relay.send({"t": "cancel", "token": "x.1", "grace_s": 1})
        relay.send({"t": "forget", "token": "x.1"})
        relay.send({"t": "probe", "n": 3, "users": ["no such user"]})
        facts = relay.receive().header
        self.assertEqual((facts["t"], facts["n"], facts["can_become"]), ("facts", 3, {"no such user": "unknown_user"}))

    def test_a_cancel_from_another_connection_reaches_the_job(self):
        first = self.relay()
        self.start_at_gate(first)
        self.relay().send({"t": "cancel", "token": "a.1", "grace_s": 60})
        self.assertEqual(first.expect("ended", "a.1")["outcome"]["cause"], "cancel")

    def test_a_token_that_another_connection_removes_is_not_the_end_of_this_one(self):
        first, second = self.relay(), self.relay()
        first.start("a.1", argv=["head", "-c", "30000000", "/dev/zero"])
        first.expect("claimed", "a.1")
        self.wait_for(lambda: self.has_outcome("a.1"))
        second.send({"t": "forget", "token": "a.1"})
        self.wait_for(lambda: not os.path.exists(self.entry()))
        self.assertIn("cannot be read any more", first.expect("fault", "a.1")["message"])
        self.assertEqual(first.run("a.2", argv=["true"]).outcome["code"], 0)

    def test_a_frame_that_is_not_understood_is_told_and_the_next_one_is_served(self):
        relay = self.relay()
        for header in (
            {"t": "run"},
            {"t": "__class__"},
            {"t": "tail"},
            {"t": "tail", "token": "../x", "out": 0, "err": 0},
            {"t": "tail", "token": "a.1", "out": -1, "err": 0},
            {"t": "tail", "token": "a.1", "out": 0, "err": 0.5},
            {"t": "cancel", "token": "a.1", "grace_s": -1},
            {"t": "input", "token": "a.1", "name": "spec", "offset": 0},
            {"t": "start", "token": "a/b", "spec": spec(argv=["true"])},
        ):
            relay.send(header)
            fault = relay.receive().header
            self.assertEqual(fault["t"], "fault", header)
            self.assertIn("not understood", fault["message"])
        self.assertEqual(relay.run("a.1", argv=["true"]).outcome["code"], 0)

    def test_bytes_that_are_no_frames_end_the_relay(self):
        relay = self.relay()
        relay.write(b"GET / HTTP/1.1\r\n\r\n")
        self.assertIn("no frames", relay.expect("fault")["message"])
        self.assertEqual(relay.process.wait(PATIENCE_S), 0)

    def test_a_controller_of_another_cluster_is_sent_away(self):
        relay = self.relay()
        relay.send({"t": "hello", "cluster": "other", "epoch": 1})
        self.assertIn("cluster test", relay.expect("fault")["message"])
        self.assertEqual(relay.process.wait(PATIENCE_S), 0)

    def test_a_ping_is_answered_before_commands_that_wait(self):
        relay = self.relay()
        count = 100
        starts = [encode({"t": "start", "token": "a.%d" % n, "spec": spec(argv=["true"])}) for n in range(count)]
        relay.write(b"".join(starts) + encode({"t": "ping", "n": 1}))
        before = 0
        while True:
            header = relay.receive().header
            if header["t"] == "pong":
                break
            before += header["t"] == "claimed"
        self.assertLess(before, count)
        ended = 0
        while ended < count:
            ended += relay.receive().header["t"] == "ended"

    def test_a_flood_does_not_hold_up_a_quiet_job(self):
        relay = self.relay()
        relay.start("flood.1", argv=["head", "-c", "30000000", "/dev/zero"])
        relay.expect("claimed", "flood.1")
        self.wait_for(lambda: self.has_outcome("flood.1"))
        relay.start("quiet.1", argv=["echo", "hi"])
        self.wait_for(lambda: self.has_outcome("quiet.1"))
        flooded, kinds = 0, []
        while "ended" not in kinds:
            header, payload = relay.receive()
            if header["token"] == "quiet.1":
                kinds.append(header["t"])
            flooded += len(payload)
        self.assertEqual(kinds, ["claimed", "started", "output", "ended"])
        self.assertLess(flooded, 10000000)
        relay.expect("ended", "flood.1")

    def test_a_channel_that_nobody_reads_stops_the_relay_at_the_file_and_not_the_job(self):
        relay = self.relay()
        relay.start("a.1", argv=["head", "-c", "60000000", "/dev/zero"])
        relay.expect("claimed", "a.1")
        self.wait_for(lambda: self.has_outcome("a.1"))
        with open("/proc/%d/statm" % relay.process.pid) as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self.assertLess(resident, 40000000)
        self.assertEqual(len(relay.results(1)["a.1"].out), 60000000)

    def test_a_killed_supervisor_is_told_and_the_job_is_not_called_failed(self):
        relay = self.relay()
        self.start_at_gate(relay)
        os.kill(self.supervisor_of(), signal.SIGKILL)
        end = relay.expect("ended", "a.1")["outcome"]
        self.assertEqual((end["kind"], end["reason"], end["out"]), ("lost", "lost_supervisor", 6))
        self.assertIn("may still run", end["message"])
        self.open_gate()

    def test_a_claim_whose_job_never_began_is_provably_not_started(self):
        relay = self.relay()
        relay.run("a.1", argv=["true"])
        os.rename(self.entry() + "/started", self.entry() + "/idle")
        with open(self.entry() + "/result", "wb") as file:
            file.write(bytes(4096))
        relay.tail("a.1")
        end = relay.expect("ended", "a.1")["outcome"]
        self.assertEqual((end["kind"], end["reason"]), ("not_started", "lost_supervisor"))

    def test_after_a_restart_of_the_node_a_job_without_an_outcome_is_lost(self):
        relay = self.relay()
        relay.run("a.1", argv=["echo", "hi"])
        for name, content in (("result", bytes(4096)), ("boot", b"another")):
            with open(os.path.join(self.entry(), name), "wb") as file:
                file.write(content)
        relay.tail("a.1")
        end = relay.expect("ended", "a.1")["outcome"]
        self.assertEqual((end["kind"], end["reason"], end["out"]), ("lost", "node_reboot", 3))

    def test_output_that_a_power_failure_took_is_an_explicit_gap(self):
        relay = self.relay()
        relay.run("a.1", argv=["echo", "hi"])
        os.truncate(self.entry() + "/out", 1)
        relay.tail("a.1")
        result = relay.results(1)["a.1"]
        self.assertEqual((result.out, result.outcome["out"], result.outcome["out_dropped"]), (b"h", 1, 2))

    def test_a_tail_beyond_the_spool_is_told(self):
        relay = self.relay()
        relay.run("a.1", argv=["echo", "hi"])
        relay.tail("a.1", out=4)
        self.assertIn("fewer bytes", relay.expect("fault", "a.1")["message"])

    def test_many_jobs_at_once_all_end(self):
        relay = self.relay()
        relay.write(
            b"".join(
                encode({"t": "start", "token": "a.%d" % n, "spec": spec(argv=["echo", str(n)])}) for n in range(200)
            )
        )
        results = relay.results(200)
        self.assertEqual(
            {token: result.out for token, result in results.items()}, {"a.%d" % n: b"%d\n" % n for n in range(200)}
        )

    def test_the_spool_and_all_in_it_is_the_login_users_alone(self):
        self.relay().run("a.1", inputs={"script": b"true"})
        for directory, directories, files in os.walk(self.directory + "/test"):
            for name in directories + files:
                mode = os.lstat(os.path.join(directory, name)).st_mode
                self.assertEqual(stat.S_IMODE(mode) & 0o077, 0, name)

    def test_an_unsafe_spool_is_told_and_nothing_is_done(self):
        os.chmod(self.directory, 0o777)
        self.addCleanup(os.chmod, self.directory, 0o755)
        said = self.relay().hello
        self.assertEqual(said["t"], "fault")
        self.assertIn("can be written by other users", said["message"])
        self.assertFalse(os.path.exists(self.directory + "/test"))
