import os
import signal
import stat
import time
import unittest
from collections import namedtuple

from tests.unit.remote.runner.relay_process import PATIENCE_S, RelayProcess, make_directory, remove

IGNORE_TERM = "trap '' TERM; echo ready; while :; do sleep 60 & wait $!; done"


Process = namedtuple("Process", ["pid", "group"])


def processes():
    """Return what runs (a zombie does not)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found.append(Process(int(pid), int(fields[2])))
    return found


OWN = (b"ANYJOB_FD", b"ANYJOB_TOKEN", b"ANYJOB_MARK", b"PYTHONPATH")


class SupervisorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.relay = RelayProcess(cls.directory, env={"PATH": os.environ["PATH"], "SECRET": "of the login"})
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.relay.close()
        remove(cls.directory)

    def token(self):
        SupervisorTest.count += 1
        return "job.%d" % self.count

    def run_job(self, *argv, **changes):
        return self.relay.run(self.token(), argv=list(argv) or None, **changes)

    def shell(self, text, **changes):
        return self.run_job("sh", "-c", text, **changes)

    def script(self, text, **changes):
        return self.relay.run(self.token(), inputs={"script": text}, **changes)

    def not_started(self, reason, *argv, **changes):
        result = self.run_job(*argv, **changes)
        self.assertEqual((result.kinds, result.outcome["kind"]), (["claimed", "ended"], "not_started"))
        self.assertEqual(result.outcome["reason"], reason)
        return result.outcome["message"]

    def test_every_exit_code_is_recorded(self):
        for code in range(256):
            self.relay.start("code.%d" % code, argv=["sh", "-c", "exit %d" % code])
        results = self.relay.results(256)
        self.assertEqual(
            {"code.%d" % code: code for code in range(256)}, {t: r.outcome["code"] for t, r in results.items()}
        )
        self.assertEqual({result.outcome["kind"] for result in results.values()}, {"exited"})

    def test_a_signal_that_ends_the_job_is_recorded(self):
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            end = self.shell("kill -%d $$" % number).outcome
            self.assertEqual((end["kind"], end["signal"], end["code"], end["cause"]), ("signalled", number, None, None))

    def test_a_life_is_told_in_order(self):
        result = self.shell("echo out; echo err >&2; exit 3")
        self.assertEqual(result.kinds[:2] + result.kinds[-1:], ["claimed", "started", "ended"])
        self.assertEqual((result.out, result.err), (b"out\n", b"err\n"))
        end = result.outcome
        self.assertEqual((end["out"], end["err"], end["out_dropped"], end["err_dropped"]), (4, 4, 0, 0))
        self.assertLessEqual(end["started_at"], end["ended_at"])
        self.assertGreater(end["max_rss"], 100000)

    def test_output_is_exact(self):
        data = os.urandom(1 << 20) + b"\0no newline"
        self.assertEqual(self.relay.run(self.token(), inputs={"stdin": data}, argv=["cat"]).out, data)

    def test_frames_in_the_output_are_output(self):
        data = b'\0\0\0\x10\0\x0e{"t":"ended"}'
        self.assertEqual(self.relay.run(self.token(), inputs={"stdin": data}, argv=["cat"]).out, data)

    def test_without_input_standard_input_is_empty(self):
        self.assertEqual(self.run_job("cat").outcome["out"], 0)

    def test_an_empty_input_is_empty(self):
        self.assertEqual(self.run_job("cat", stdin=True).outcome["code"], 0)

    def test_output_beyond_the_limit_is_counted_and_the_job_goes_on(self):
        result = self.shell("head -c 300000 /dev/zero; echo done >&2", max_output=1000)
        self.assertEqual((len(result.out), result.err), (1000, b"done\n"))
        self.assertEqual(result.outcome["out_dropped"], 299000)

    def test_a_script_without_a_first_line_is_the_shells(self):
        self.assertEqual(self.script(b"echo $((6*7)); exit 4").out, b"42\n")

    def test_a_script_is_run_by_its_first_line(self):
        result = self.script(b"#! /usr/bin/env  cat\nI am text\n")
        self.assertEqual(result.out, b"#! /usr/bin/env  cat\nI am text\n")

    def test_a_script_is_run_by_the_named_interpreter(self):
        self.assertEqual(self.script(b"#!/bin/false\necho $1", interpreter=["sh", "-u"]).outcome["kind"], "exited")
        self.assertEqual(self.script(b"text", interpreter=["cat"]).out, b"text")

    def test_a_script_has_arguments(self):
        self.assertEqual(self.script(b"echo $#-$2", argv=["-x", "a b"]).out, b"2-a b\n")
        self.assertEqual(self.script(b"#!/bin/echo -n", argv=["x"], interpreter=["echo"]).out[-3:], b" x\n")

    def test_a_script_can_read_its_own_input(self):
        result = self.relay.run(self.token(), inputs={"script": b"cat", "stdin": b"input"})
        self.assertEqual(result.out, b"input")

    def test_the_environment_is_clean_and_what_is_asked_for(self):
        out = self.run_job("env", env={"ASKED": "f\u00fcr\nmich"}).out
        self.assertIn("ASKED=f\u00fcr\nmich\n".encode(), out)
        self.assertNotIn(b"SECRET", out)
        names = {line.split(b"=")[0] for line in out.splitlines() if b"=" in line}
        self.assertEqual(names, {b"HOME", b"USER", b"LOGNAME", b"SHELL", b"PATH", b"LANG", b"ASKED", *OWN})

    def test_arguments_arrive_as_they_are(self):
        argv = ["printf", "%s|", "", " ", "$(id)", "`id`", "*", "\\", "'\"", "\n", "\u00e4\U0001f600"]
        self.assertEqual(self.run_job(*argv).out, "|".join(argv[2:] + [""]).encode())

    def test_the_working_directory_is_the_home_or_what_is_asked_for(self):
        home = self.shell('[ "$PWD" = "$HOME" ] || pwd', cwd=None)
        self.assertIn(home.out, (b"", b"/\n"))
        self.assertEqual(self.run_job("pwd", cwd="/usr").out, b"/usr\n")

    def test_the_umask_is_what_is_asked_for(self):
        self.assertEqual(self.shell("umask", umask=0o027).out.strip(b"0\n"), b"27")

    def test_nothing_is_inherited_but_the_three_standard_descriptors(self):
        self.assertEqual(self.shell("cd /proc/self/fd && echo *").out.split()[:3], [b"0", b"1", b"2"])
        self.assertLessEqual(len(self.shell("ls /proc/$$/fd").out.split()), 4)

    def test_no_signal_is_ignored_or_blocked(self):
        lines = self.run_job("cat", "/proc/self/status").out.decode().splitlines()
        masks = {
            line.split(":")[0]: int(line.split()[1], 16) for line in lines if line.startswith("Sig") and "/" not in line
        }
        # glibc keeps 32 and 33 to itself: whatever posix_spawn has started (make's commands) ignores them for good.
        reserved = 1 << 31 | 1 << 32
        self.assertEqual((masks["SigIgn"] & ~reserved, masks["SigBlk"]), (0, 0))

    def test_the_job_has_a_session_of_its_own(self):
        fields = self.run_job("cat", "/proc/self/stat").out.split()
        pid, group, session, terminal = fields[0], fields[4], fields[5], fields[6]
        self.assertEqual((group, session, terminal), (pid, pid, b"0"))

    def test_the_limit_of_open_files_is_the_logins(self):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertEqual(self.shell("ulimit -n").out, b"%d\n" % soft)

    def test_a_missing_program_is_named(self):
        self.assertIn("'no-such-program' is not in /", self.not_started("no_such_program", "no-such-program"))
        self.assertIn("'/no/such' does not exist", self.not_started("no_such_program", "/no/such"))

    def test_a_file_that_is_no_program_is_named(self):
        self.assertIn("'/etc/passwd' may not be executed", self.not_started("not_executable", "/etc/passwd"))
        path = os.path.join(self.directory, "noise")
        with open(path, "wb") as file:
            file.write(b"\1\2\3")
        os.chmod(path, stat.S_IRWXU)
        self.assertIn("no program of this machine", self.not_started("not_executable", path))

    def test_a_missing_interpreter_is_told_apart_from_a_missing_script(self):
        path = os.path.join(self.directory, "orphan")
        with open(path, "wb") as file:
            file.write(b"#!/no/such/interpreter\n")
        os.chmod(path, stat.S_IRWXU)
        self.assertIn("is there, but the interpreter", self.not_started("no_such_program", path))

    def test_windows_line_ends_are_told(self):
        result = self.script(b"#!/bin/sh\r\necho hi\r\n")
        self.assertEqual(result.outcome["reason"], "no_such_program")
        self.assertIn("Windows line ends", result.outcome["message"])

    def test_a_missing_directory_is_named(self):
        self.assertIn("'/no/such'", self.not_started("no_such_directory", "true", cwd="/no/such"))

    def test_an_unknown_user_is_named(self):
        self.assertIn("'#0'", self.not_started("no_such_user", "true", user="#0"))

    def test_the_run_time_limit_ends_the_job(self):
        end = self.run_job("sleep", "60", timeout_s=0.1).outcome
        self.assertEqual((end["kind"], end["signal"], end["cause"]), ("signalled", signal.SIGTERM, "timeout"))

    def test_at_the_run_time_limit_a_stubborn_job_is_killed_after_the_grace(self):
        result = self.shell(IGNORE_TERM, timeout_s=0.1, grace_s=0.1)
        self.assertEqual((result.outcome["signal"], result.outcome["cause"]), (signal.SIGKILL, "timeout"))
        self.assertEqual(result.out, b"ready\n")

    def test_a_job_that_ends_in_time_has_no_cause(self):
        self.assertIsNone(self.run_job("true", timeout_s=60).outcome["cause"])

    def cancel(self, token, grace_s):
        self.relay.send({"t": "cancel", "token": token, "grace_s": grace_s})

    def test_a_cancel_asks_first(self):
        token = self.token()
        self.relay.start(token, argv=["sh", "-c", "trap 'echo bye; exit 7' TERM; echo ready; sleep 60 & wait"])
        self.relay.expect("output", token)
        self.cancel(token, 60)
        end = self.relay.expect("ended", token)["outcome"]
        self.assertEqual((end["kind"], end["code"], end["cause"], end["out"]), ("exited", 7, "cancel", 10))

    def test_a_cancel_kills_the_whole_group_after_the_grace(self):
        token = self.token()
        self.relay.start(token, argv=["sh", "-c", "(%s) & %s" % (IGNORE_TERM, IGNORE_TERM)])
        self.relay.expect_bytes(token, len(b"ready\nready\n"))
        pid = self.relay_pid(token)
        self.cancel(token, 0.1)
        end = self.relay.expect("ended", token)["outcome"]
        self.assertEqual((end["signal"], end["cause"]), (signal.SIGKILL, "cancel"))
        self.assert_gone(lambda: [member for member in processes() if member.group == pid])

    def assert_gone(self, look):
        """Wait until nothing is left: the kernel takes its time to end what was killed."""
        until = time.monotonic() + PATIENCE_S
        while look() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(look(), [])

    def relay_pid(self, token):
        with open(os.path.join(self.directory, "test/j", token, "started")) as file:
            return int(file.read().split('"pid": ')[1].split(",")[0])

    def test_a_second_cancel_can_only_come_earlier(self):
        token = self.token()
        self.relay.start(token, argv=["sh", "-c", IGNORE_TERM])
        self.relay.expect("output", token)
        for grace_s in (600, 0.1, 600):
            self.cancel(token, grace_s)
        self.assertEqual(self.relay.expect("ended", token)["outcome"]["signal"], signal.SIGKILL)

    def test_a_stopped_job_can_be_cancelled(self):
        token = self.token()
        self.relay.start(token, argv=["sh", "-c", "echo ready; kill -STOP $$"])
        self.relay.expect("output", token)
        self.cancel(token, 60)
        self.assertEqual(self.relay.expect("ended", token)["outcome"]["signal"], signal.SIGTERM)

    def test_a_child_that_is_left_behind_is_killed_and_does_not_hold_the_end_up(self):
        result = self.shell("sleep 600 & echo $!; exit 5")
        self.assertEqual(result.outcome["code"], 5)
        self.assert_gone(lambda: [process for process in processes() if process.pid == int(result.out)])

    def test_a_child_that_leaves_the_session_does_not_hold_the_end_up(self):
        result = self.shell("setsid sleep 4 & exit 5")
        self.assertEqual(result.outcome["code"], 5)

    def tty(self, text, data=None, **changes):
        inputs = {} if data is None else {"stdin": data}
        tty = {"rows": 10, "cols": 33, "term": "vt100"}
        return self.relay.run(self.token(), inputs, argv=["sh", "-c", text], tty=tty, **changes)

    def test_a_terminal_is_the_jobs_own(self):
        result = self.tty(
            "stty size; echo $TERM; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && : > /dev/tty && echo yes >&2; exit 9"
        )
        self.assertEqual((result.out, result.err), (b"10 33\r\nvt100\r\nyes\r\n", b""))
        self.assertEqual(result.outcome["code"], 9)

    def test_input_is_typed_into_a_terminal_and_ends(self):
        data = b"".join(b"line %d\n" % number for number in range(3000))
        result = self.tty("cat", data)
        self.assertEqual(result.out, data.replace(b"\n", b"\r\n"))

    def test_a_terminal_without_input_gives_an_end_of_input(self):
        self.assertEqual(self.tty("cat; echo end").out, b"end\r\n")

    def test_a_job_with_a_terminal_can_be_cancelled(self):
        self.assertEqual(self.tty(IGNORE_TERM, timeout_s=0.1, grace_s=0.1).outcome["signal"], signal.SIGKILL)

    @staticmethod
    def status(out):
        return {line.split(":")[0]: line.split()[1:] for line in out.decode().splitlines() if ":" in line}

    def test_another_user_is_become_completely_or_not_at_all(self):
        if os.geteuid() != 0:
            self.not_started("no_permission", "true", user="root")
            return
        import grp
        import pwd

        nobody = pwd.getpwnam("nobody")
        status = self.status(self.run_job("cat", "/proc/self/status", user="nobody").out)
        self.assertEqual((status["Uid"], status["Gid"]), ([str(nobody.pw_uid)] * 4, [str(nobody.pw_gid)] * 4))
        self.assertEqual(set(status["Groups"]), {str(gid) for gid in os.getgrouplist("nobody", nobody.pw_gid)})
        self.assertEqual((status["CapEff"], status["CapPrm"]), (["0" * 16], ["0" * 16]))
        status = self.status(self.run_job("cat", "/proc/self/status", user="nobody", group="daemon").out)
        self.assertEqual(status["Gid"], [str(grp.getgrnam("daemon").gr_gid)] * 4)

    def test_another_user_can_run_a_script_and_read_its_input_but_not_the_spool(self):
        user = "nobody" if os.geteuid() == 0 else None
        token = self.token()
        script = b"#!/bin/sh\nid -un; cat; ls %s/test/j >/dev/null || echo locked" % self.directory.encode()
        result = self.relay.run(token, inputs={"script": script, "stdin": b"input\n"}, user=user)
        self.assertEqual(result.outcome["code"], 0, result)
        self.assertEqual(result.out.endswith(b"input\nlocked\n"), user is not None)

    def test_another_user_has_a_terminal_that_it_may_open(self):
        result = self.tty("echo hi > $(tty)", user="nobody" if os.geteuid() == 0 else None)
        self.assertEqual((result.out, result.outcome["code"]), (b"hi\r\n", 0))
