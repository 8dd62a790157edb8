"""A test case with a relay of its own, on which jobs are run."""

import os
import time
import unittest

from tests.unit.remote.runner.relay_process import PATIENCE_S, RelayProcess, make_directory, remove


def lives(pid):
    """Tell whether a process runs (a zombie does not)."""
    try:
        with open("/proc/%d/stat" % int(pid)) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class JobCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = make_directory()
        cls.relay = RelayProcess(cls.directory)
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.relay.close()
        remove(cls.directory)

    def token(self):
        type(self).count += 1
        return "job.%d" % self.count

    def shell(self, text, inputs=(), **changes):
        return self.relay.run(self.token(), inputs, argv=["bash", "-c", text], **changes)

    def start_shell(self, text, **changes):
        """Start a job that says something when it is ready; return its token, and what it said."""
        token = self.token()
        self.relay.start(token, argv=["bash", "-c", text], **changes)
        while True:
            header, payload = self.relay.receive()
            if header["t"] == "output" and header["token"] == token:
                return token, payload

    def end(self, token):
        return self.relay.expect("ended", token)["outcome"]

    def wait_for(self, is_so):
        until = time.monotonic() + PATIENCE_S
        while not is_so() and time.monotonic() < until:
            time.sleep(0.01)
        self.assertTrue(is_so())

    def refusal(self, inputs=(), **changes):
        token = self.token()
        self.relay.start(token, inputs, **changes)
        return self.relay.expect("refused", token)

    def spooled(self):
        """Return the contents of all files below the spool."""
        found = []
        for directory, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        found.append(file.read())
        return found
