import json
import os
import threading
import unittest

from remote.runner.inputs import variable
from tests.unit.remote.runner.job_case import JobCase
from tests.unit.remote.runner.relay_process import RelayProcess

CANARY = "k4n4ry-of-the-secret-%s" % ("x" * 20)
SECRETS = json.dumps({"password": CANARY}).encode()
PARAMS = json.dumps({"params": {"table": "\u00e4 b"}, "props": {"ticket": 7}}).encode()
READ = "cat /dev/fd/$ANYJOB_PARAMS_FD"


class InputsTest(JobCase):
    def test_a_job_reads_params_props_and_secrets_as_one_object(self):
        result = self.shell(READ, {"params": PARAMS, "secrets": SECRETS})
        expected = {"params": {"table": "\u00e4 b"}, "props": {"ticket": 7}, "secrets": {"password": CANARY}}
        self.assertEqual(json.loads(result.out.decode()), expected)
        alone = json.loads(self.shell(READ, {"secrets": SECRETS}).out.decode())
        self.assertEqual(alone, {"params": {}, "props": {}, "secrets": {"password": CANARY}})

    def test_they_can_be_read_more_than_once_and_not_be_changed(self):
        text = "cat /dev/fd/$ANYJOB_PARAMS_FD; echo; %s; echo x >/dev/fd/$ANYJOB_PARAMS_FD && echo CHANGED" % READ
        lines = self.shell(text, {"params": PARAMS}, user=other_user()).out.splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertEqual(lines[0], lines[1])

    def test_large_params_arrive_whole(self):
        params = json.dumps({"params": {"text": "x" * 1000000}, "props": {}}).encode()
        self.assertEqual(len(self.shell(READ, {"params": params}).out), len(params) + len(', "secrets": {}'))

    def test_without_params_there_is_no_descriptor(self):
        self.assertEqual(self.shell("echo ${ANYJOB_PARAMS_FD:-none}; ls /proc/self/fd | wc -l").out, b"none\n5\n")

    def test_the_helpers_are_found_and_understand_what_the_runner_gives(self):
        python = 'import anyjob; print(anyjob.param("table"), anyjob.secret("password")); anyjob.progress(50)'
        text = (
            "anyjob-report param table; anyjob-report state going; python3 -c '%s'; anyjob-report secret password"
            % python
        )
        result = self.shell(text, {"params": PARAMS, "secrets": SECRETS}, env={"PYTHONIOENCODING": "utf-8"})
        table = "\u00e4 b".encode()
        self.assertEqual(result.out, b"%s\n%s %s\n%s\n" % (table, table, CANARY.encode(), CANARY.encode()), result.err)
        reports = [json.loads(line.decode()) for line in result.rep.splitlines()]
        self.assertEqual(reports, [{"state": "going"}, {"progress": {"percent": 50}}])

    def test_secret_files_are_the_users_alone_and_gone_with_the_job(self):
        text = "f=$ANYJOB_SECRET_PASSWORD_FILE; echo $f; cat $f; echo; stat -c '%a %U' $f"
        result = self.shell(text, {"secrets": SECRETS}, secret_files=["password"], user=other_user())
        path, content, state = result.out.decode().splitlines()
        self.assertEqual((content, state.split()[0]), (CANARY, "400"), result.err)
        self.assertFalse(os.path.exists(os.path.dirname(path)))

    def test_secret_files_of_a_killed_supervisor_are_removed_when_it_is_forgotten(self):
        text = "echo $PPID $ANYJOB_SECRET_PASSWORD_FILE; sleep 600"
        token = self.token()
        self.relay.start(token, {"secrets": SECRETS}, argv=["bash", "-c", text], secret_files=["password"])
        said = b""
        while not said.endswith(b"\n"):
            header, payload = self.relay.receive()
            said += payload if header["t"] == "output" else b""
        supervisor, path = said.decode().split()
        os.kill(int(supervisor), 9)
        self.assertEqual(self.end(token)["kind"], "lost")
        self.assertTrue(os.path.exists(path))
        self.relay.send({"t": "forget", "token": token})
        self.wait_for(lambda: not os.path.exists(os.path.dirname(path)))

    def test_a_supervisor_and_a_relay_leave_no_core(self):
        token, _ = self.start_shell("echo ready; sleep 600")
        with open(os.path.join(self.directory, "test/j", token, "started")) as file:
            job = json.load(file)["pid"]
        with open("/proc/%d/stat" % job) as file:
            supervisor = int(file.read().rpartition(")")[2].split()[1])
        for pid in (supervisor, self.relay.process.pid):
            with open("/proc/%d/limits" % pid) as file:
                core = next(line for line in file if line.startswith("Max core file size"))
            self.assertEqual(core.split()[4], "0")
        self.relay.send({"t": "cancel", "token": token, "grace_s": 60})
        self.end(token)

    def test_secrets_that_did_not_come_or_are_of_another_form_are_refused_without_their_text(self):
        self.assertEqual(self.refusal(argv=["true"], secrets=True)["reason"], "missing_input")
        for text in (b'["%s"]' % CANARY.encode(), b'{"a": 1, "b": "%s"}' % CANARY.encode(), CANARY.encode()):
            answer = self.refusal({"secrets": text}, argv=["true"])
            self.assertEqual(answer["reason"], "bad_spec")
            self.assertNotIn(CANARY, answer["message"])
        answer = self.refusal({"secrets": SECRETS}, argv=["true"], secret_files=["other"])
        self.assertIn("no secret named other", answer["message"])
        self.assertEqual(self.refusal({"secrets": b"x" * 49153}, argv=["true"])["reason"], "missing_input")
        self.assertEqual(self.refusal({"params": b"x" * 1048577}, argv=["true"])["reason"], "missing_input")

    def test_params_of_another_form_start_nothing(self):
        for text in (b"[1]", b"\xff", b"{"):
            end = self.shell("true", {"params": text}).outcome
            self.assertEqual((end["kind"], end["reason"]), ("not_started", "exec_failed"))

    def test_secrets_are_asked_for_again_after_the_connection_was_lost(self):
        with RelayProcess(self.directory) as second:
            second.send({"t": "input", "token": "lost.1", "name": "secrets", "offset": 0}, SECRETS)
            second.send({"t": "ping", "n": 1})
            second.expect("pong")
        self.assertEqual(self.refusal(argv=["true"], secrets=True)["reason"], "missing_input")


class CanaryTest(JobCase):
    def test_a_secret_is_in_no_argument_no_environment_and_no_file_while_the_job_runs_and_after(self):
        hits, stop = [], threading.Event()

        def sample():
            while not stop.is_set():
                pids = list(filter(str.isdigit, os.listdir("/proc")))
                paths = ["/proc/%s/%s" % (pid, name) for pid in pids for name in ("cmdline", "environ")]
                hits.extend(path for path in paths if CANARY.encode() in content_of(path))

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            text = "%s | wc -c; echo ready; sleep 0.5; ulimit -c" % READ
            token, _ = self.start_secret(text)
            while_it_runs = self.spooled()
            self.end(token)
        finally:
            stop.set()
            sampler.join()
        self.assertEqual(hits, [])
        for content in while_it_runs + self.spooled():
            self.assertNotIn(CANARY.encode(), content)

    def start_secret(self, text):
        token = self.token()
        self.relay.start(
            token, {"params": PARAMS, "secrets": SECRETS}, argv=["bash", "-c", text], secret_files=["password"]
        )
        while True:
            header, payload = self.relay.receive()
            if header["t"] == "output" and b"ready" in payload:
                return token, payload


class VariableTest(unittest.TestCase):
    def test_a_secrets_variable_is_its_name_in_capitals(self):
        self.assertEqual(variable("db-password.2"), "ANYJOB_SECRET_DB_PASSWORD_2_FILE")


def content_of(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def other_user():
    return "nobody" if os.geteuid() == 0 else None
