import hashlib
import io
import json
import os
import zipfile

from tests.unit.remote.runner.job_case import JobCase
from tests.unit.remote.runner.relay_process import RelayProcess

CODE = """\
import anyjob
from pack.words import GREETING

def greet(params):
    anyjob.state("greeting")
    print(GREETING, params["name"])
    return 7

def fail(job):
    raise ValueError("broken on purpose")
"""


def bundle(salt=""):
    """Return a zip file, and how it is announced; another salt makes another file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("pack/__init__.py", "")
        archive.writestr("pack/words.py", "GREETING = 'hello' # %s" % salt)
        archive.writestr("work/job.py", CODE)
        archive.writestr("plain.py", CODE)
    data = file.getvalue()
    announced = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "function": "plain:greet"}
    return data, announced


PARAMS = json.dumps({"params": {"name": "world"}, "props": {}}).encode()


class BundlesTest(JobCase):
    def begin(self, announced, **changes):
        token = self.token()
        self.relay.start(token, {"params": PARAMS}, bundle=announced, **changes)
        return token

    def send(self, token, data):
        for offset in range(0, len(data), 100):
            piece = data[offset : offset + 100]
            self.relay.send({"t": "input", "token": token, "name": "bundle", "offset": offset}, piece)

    def test_a_bundle_is_asked_for_once_and_its_function_is_the_job(self):
        data, announced = bundle("first")
        for function in ("plain:greet", "work/job.py:greet"):
            token = self.begin(dict(announced, function=function))
            if function == "plain:greet":
                self.assertEqual(self.relay.receive().header, {"t": "want", "token": token, "name": "bundle"})
                self.send(token, data)
            result = self.relay.results(1)[token]
            self.assertEqual((result.out, result.outcome["code"]), (b"hello world\n", 0), result.err)
            self.assertEqual(
                [json.loads(line.decode()) for line in result.rep.splitlines()], [{"state": "greeting"}, {"result": 7}]
            )

    def test_another_user_can_run_a_bundle_that_it_cannot_reach(self):
        data, announced = bundle("of another user")
        token = self.begin(announced, user="nobody" if os.geteuid() == 0 else None, interpreter=["/usr/bin/python3"])
        self.relay.expect("want", token)
        self.send(token, data)
        result = self.relay.results(1)[token]
        self.assertEqual((result.out, result.outcome["code"]), (b"hello world\n", 0), result.err)

    def test_an_exception_is_told_and_fails(self):
        data, announced = bundle("failing")
        token = self.begin(dict(announced, function="plain:fail"))
        self.relay.expect("want", token)
        self.send(token, data)
        result = self.relay.results(1)[token]
        self.assertEqual(result.outcome["code"], 1)
        self.assertIn(b"broken on purpose", result.err)

    def test_starts_that_need_the_same_bundle_wait_for_one_sending(self):
        data, announced = bundle("shared")
        tokens = [self.begin(announced) for _ in range(5)]
        self.assertEqual(self.relay.receive().header["token"], tokens[0])
        self.send(tokens[0], data)
        results = self.relay.results(5)
        self.assertEqual({token: results[token].out for token in tokens}, dict.fromkeys(tokens, b"hello world\n"))
        self.assertEqual({kind for result in results.values() for kind in result.kinds} & {"want"}, set())

    def test_a_damaged_bundle_is_refused_and_the_next_start_brings_it(self):
        data, announced = bundle("damaged")
        first, second = self.begin(announced), self.begin(announced)
        self.relay.expect("want", first)
        self.send(first, data[:-1] + b"!")
        self.assertEqual(self.relay.expect("refused", first)["reason"], "bad_bundle")
        self.relay.expect("want", second)
        self.send(second, data)
        self.assertEqual(self.relay.results(1)[second].out, b"hello world\n")

    def test_a_bundle_larger_than_announced_is_refused(self):
        data, announced = bundle("large")
        token = self.begin(announced)
        self.relay.expect("want", token)
        self.relay.send({"t": "input", "token": token, "name": "bundle", "offset": 0}, data + b"more")
        self.assertEqual(self.relay.expect("refused", token)["reason"], "missing_input")

    def test_a_bundle_that_nobody_wants_is_told(self):
        self.relay.send({"t": "input", "token": "other.1", "name": "bundle", "offset": 0}, b"x")
        self.assertIn("not understood", self.relay.expect("fault")["message"])

    def test_a_start_that_waits_for_its_bundle_can_be_cancelled(self):
        data, announced = bundle("cancelled")
        token = self.begin(announced)
        self.relay.expect("want", token)
        self.relay.send({"t": "cancel", "token": token, "grace_s": 0})
        self.send(token, data)
        self.assertEqual(self.relay.expect("ended", token)["outcome"]["cause"], "cancel")

    def test_a_start_that_waits_is_forgotten_with_the_connection(self):
        _, announced = bundle("lost")
        with RelayProcess(self.directory) as other:
            other.start("lost.1", bundle=announced)
            other.expect("want", "lost.1")
        self.relay.tail("lost.1")
        self.relay.expect("absent", "lost.1")
