import os
import signal
import subprocess
import sys

from tests.unit.remote.runner.job_case import JobCase, lives
from tests.unit.remote.runner.relay_process import ROOT

# A daemon as textbooks make it: two forks, a session of its own, no descriptor held, deaf to TERM. It tells its number.
DAEMON = """\
import os, signal, sys, time
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(w, b"%d\\n" % os.getpid())
        os.closerange(0, 100)
        time.sleep(600)
    os._exit(0)
os.wait()
sys.stdout.write(os.read(r, 99).decode())
sys.stdout.flush()
"""
# The same with an empty environment: only its parents tell whose it is.
NAMELESS = "import os, sys; os.execve(sys.executable, [sys.executable, '-c', %r], {'PATH': '/usr/bin'})" % DAEMON
FORKER = """\
import os, time  # FORKER
end = time.time() + 60  # whatever becomes of the test
for _ in range(2):
    os.fork()
os.setsid() if os.getpid() != os.getpgid(0) else None
while time.time() < end:
    if os.fork():
        os._exit(0)
"""


def command_of(pid):
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as file:
            return file.read()
    except OSError:
        return b""


class LeftoversTest(JobCase):
    def python(self, code, **changes):
        return self.relay.run(self.token(), argv=[sys.executable, "-c", code], **changes)

    def test_a_daemon_that_left_the_session_is_killed_with_its_job(self):
        for code in (DAEMON, NAMELESS):
            result = self.python(code)
            self.assertEqual((result.outcome["code"], result.outcome["left"]), (0, []))
            self.assertFalse(lives(result.out))

    def test_processes_that_go_on_forking_are_killed_with_their_job(self):
        result = self.python("import os, sys\nif os.fork() == 0:\n exec(%r)\nos.write(1, b'ready')" % FORKER)
        self.assertEqual((result.outcome["code"], result.outcome["left"]), (0, []))
        self.assertEqual([pid for pid in filter(str.isdigit, os.listdir("/proc")) if b"FORKER" in command_of(pid)], [])

    def test_a_job_can_leave_processes_which_its_end_names(self):
        result = self.python(DAEMON, leftovers="leave")
        try:
            self.assertEqual(result.outcome["left"], [int(result.out)])
            self.assertTrue(lives(result.out))
        finally:
            os.kill(int(result.out), signal.SIGKILL)

    def test_a_job_can_wait_for_what_it_left_and_gets_all_of_its_output(self):
        result = self.shell("setsid sh -c 'sleep 3; echo late' & exit 5", leftovers="wait")
        self.assertEqual((result.out, result.outcome["code"], result.outcome["left"]), (b"late\n", 5, []))

    def test_while_a_job_waits_for_what_it_left_its_limits_act(self):
        result = self.python(DAEMON, leftovers="wait", timeout_s=0.5, grace_s=0.1)
        self.assertEqual((result.outcome["code"], result.outcome["cause"]), (0, "timeout"))
        self.assertFalse(lives(result.out))

    def test_while_a_job_waits_for_what_it_left_it_can_be_cancelled(self):
        child = "while kill -0 $0 2>/dev/null; do sleep 0.02; done; echo $$; exec sleep 600"  # once the job has ended
        token, said = self.start_shell("setsid bash -c '%s' $$ & exit 4" % child, leftovers="wait")
        self.relay.send({"t": "cancel", "token": token, "grace_s": 60})
        end = self.end(token)
        self.assertEqual((end["code"], end["cause"]), (4, "cancel"))
        self.assertFalse(lives(said))

    def test_a_cancel_reaches_what_left_the_session(self):
        text = "setsid bash -c 'trap \"echo bye; exit\" TERM; echo ready; while :; do sleep 0.05; done' & wait"
        token, _ = self.start_shell(text)
        self.relay.send({"t": "cancel", "token": token, "grace_s": 60})
        self.assertEqual(self.relay_output(token), b"bye\n")

    def test_every_process_of_a_job_gets_one_term(self):
        text = "n=0; trap 'n=$((n+1))' TERM; echo ready; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.3; echo $n"
        token, _ = self.start_shell(text)
        self.relay.send({"t": "cancel", "token": token, "grace_s": 60})
        self.assertIn(b"1\n", self.relay_output(token))

    def relay_output(self, token):
        said = b""
        while True:
            header, payload = self.relay.receive()
            if header["t"] == "ended":
                return said
            said += payload if header["t"] == "output" and header["stream"] == "out" else b""

    def test_other_processes_are_left_alone(self):
        code = "import sys; sys.path.insert(0, %r); from remote.runner.family import Family; Family().kill()" % ROOT
        other = subprocess.Popen(["sleep", "600"])
        try:
            self.assertEqual(subprocess.call([sys.executable, "-c", code]), 0)
            self.assertIsNone(other.poll())
        finally:
            other.kill()
            other.wait()

    def test_before_there_is_a_job_no_signal_is_sent_to_anybody(self):
        code = "import sys; sys.path.insert(0, %r); from remote.runner.family import Family\n" % ROOT
        code += "family = Family()\nfamily.signal(15)\nprint('alive')"
        self.assertEqual(subprocess.check_output([sys.executable, "-c", code], start_new_session=True), b"alive\n")
