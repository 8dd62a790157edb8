"""A real relay in a process of its own, spoken to by frames; plain Python 3.6, as everything that tests the runner."""

import io
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections import OrderedDict, namedtuple

from remote.runner.frames import Decoder, encode

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../.."))
PROGRAM = "import sys; sys.path.insert(0, %r); from remote.runner.main import run; run(%r)"
PATIENCE_S = 30
FILES = {}
for _name in ("anyjob.py", "anyjob-report"):
    with io.open(os.path.join(ROOT, "remote/helper", _name), encoding="utf-8") as _file:
        FILES[_name] = _file.read()

Result = namedtuple("Result", ["kinds", "out", "err", "rep", "outcome"])


def spec(**changes):
    """Return a StartSpec that runs nothing yet."""
    whole = {
        "argv": None,
        "interpreter": None,
        "script": False,
        "bundle": None,
        "stdin": False,
        "params": False,
        "secrets": False,
        "secret_files": [],
        "env": {},
        "cwd": "/",
        "umask": 0o022,
        "nice": None,
        "rlimits": {},
        "new_privs": False,
        "tty": None,
        "user": None,
        "group": None,
        "timeout_s": None,
        "inactivity_s": None,
        "grace_s": 5.0,
        "max_output": 1 << 30,
        "on_output_limit": "gap",
        "leftovers": "kill",
    }
    whole.update(changes)
    return whole


def make_directory():
    """Return a new directory that the job's user may enter, whoever it is."""
    directory = tempfile.mkdtemp(prefix="anyjob-test-")
    os.chmod(directory, 0o755)
    return directory


class RelayProcess:
    """A relay on a spool; `with` ends it."""

    def __init__(self, spool, env=None, cwd="/", python=sys.executable):
        config = {"cluster": "test", "spool": spool, "hash": "0" * 64, "files": FILES}
        command = [python, "-E", "-s", "-S", "-c", PROGRAM % (ROOT, config)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=cwd, bufsize=0
        )
        self._decoder = Decoder()
        self._frames = []
        self.hello = self.receive().header  # or the fault that is said in its place
        if self.hello["t"] == "hello":
            self.send({"t": "hello", "cluster": "test", "epoch": 1})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, header, payload=b""):
        self.write(encode(header, payload))

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[self.process.stdin.write(view) :]

    def receive(self):
        """Return the next frame."""
        while not self._frames:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
            assert ready, "the relay says nothing"
            data = os.read(self.process.stdout.fileno(), 1 << 18)
            assert data, "the relay has ended"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def expect(self, kind, token=None):
        """Return the header of the next frame of this kind, about this token; what comes before it is dropped."""
        while True:
            header = self.receive().header
            if header["t"] == kind and token in (None, header.get("token")):
                return header

    def expect_bytes(self, token, count):
        """Wait until a job has written this many bytes to its standard output."""
        while True:
            header, payload = self.receive()
            is_his = (header["t"], header.get("token"), header.get("stream")) == ("output", token, "out")
            if is_his and header["offset"] + len(payload) >= count:
                return

    def start(self, token, inputs=(), **changes):
        """Send the inputs and the start of a job."""
        for name, data in dict(inputs).items():
            changes.setdefault(name, True)
            for offset in range(0, len(data), 100000):
                self.send(
                    {"t": "input", "token": token, "name": name, "offset": offset}, data[offset : offset + 100000]
                )
        self.send({"t": "start", "token": token, "spec": spec(**changes)})

    def tail(self, token, out=0, err=0, rep=0):
        self.send({"t": "tail", "token": token, "out": out, "err": err, "rep": rep})

    def results(self, count):
        """Return token → Result of the next `count` jobs that end; their offsets have no gaps."""
        seen = OrderedDict()
        ended = 0
        while ended < count:
            header, payload = self.receive()
            kinds, streams, _ = seen.setdefault(
                header["token"], ([], {name: bytearray() for name in ("out", "err", "rep")}, [])
            )
            kinds.append(header["t"])
            if header["t"] == "output":
                stream = streams[header["stream"]]
                assert header["offset"] == len(stream), header
                stream += payload
            elif header["t"] == "ended":
                seen[header["token"]][2].append(header["outcome"])
                ended += 1
        return {
            token: Result(kinds, *map(bytes, streams.values()), outcomes[0] if outcomes else None)
            for token, (kinds, streams, outcomes) in seen.items()
        }

    def run(self, token, inputs=(), **changes):
        """Run one job to its end."""
        self.start(token, inputs, **changes)
        return self.results(1)[token]

    def close(self):
        """End the connection; return the relay's exit code."""
        if not self.process.stdin.closed:
            self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        return code


def remove(directory):
    shutil.rmtree(directory)
