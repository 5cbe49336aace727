"""Real processes for the system tests: brokers, workers, the `reel` command, terminals.

    class Something(harness.TestCase):
        def test_it(self):
            self.stage.broker()
            self.stage.worker()
            done = self.stage.reel("submit", "--wait", self.stage.file("a.json", {"steps": [...]}))
            self.assertEqual((0, "succeeded"), (done.code, done.rows[-1]["status"]))

A stage has a directory of its own and free ports, and ends every process it started, whatever
became of the test: those that were not killed must end well by SIGTERM, sanitizers and leaks
included. Nothing sleeps: what is waited for has a deadline. What the processes wrote to
standard error is shown when a test fails.

REEL_BIN names the folder of the programs.
"""
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

import msgpack
import zmq

BIN = pathlib.Path(os.environ["REEL_BIN"])
# Of one wait. Generous: a sanitizer's build on a busy machine takes its time.
DEADLINE_S = 60


def until(condition, what="the condition", deadline_s=DEADLINE_S):
    """Calls `condition` until it gives something true, which is returned."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come about within {deadline_s} s")
        time.sleep(0.01)


def lives(pid):
    """Is there such a process, and no zombie?"""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def step(step_id, modality="echo", payload=None, **more):
    return {"step_id": step_id, "modality": modality, "payload": payload or {}, **more}


def workflow(*steps, **more):
    return {**more, "steps": list(steps) or [step("only")]}


class Done:
    """What a program left: exit code, output, errors, and the output's lines of JSON."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode()

    @property
    def rows(self):
        return [json.loads(line) for line in self.text.splitlines()]

    def __repr__(self):
        return f"exit code {self.code}\nout: {self.out!r}\nerr: {self.err}"


class Process:
    """A program under way, whose standard error goes to a log."""

    def __init__(self, stage, name, command, **popen):
        self.name = name
        self.log = stage.directory / f"{name}-{len(stage.processes)}.log"
        self.killed = False
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen([str(word) for word in command], stderr=log, cwd=stage.directory,
                                          **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **popen})
        stage.processes.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def errors(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self):
        """kill -9. Nothing it said is read any more: a test may kill thousands, and select() takes 1,024 descriptors."""
        self.killed = True
        self.popen.kill()
        self.popen.wait(DEADLINE_S)
        if self.popen.stdout is not None:
            self.popen.stdout.close()

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, deadline_s=DEADLINE_S):
        """Waits for the end; gives what it left."""
        out, _ = self.popen.communicate(timeout=deadline_s)
        return Done(self.popen.returncode, out or b"", self.errors())

    def stop(self):
        """SIGTERM, and the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
        return self.wait().code

    def line(self, deadline_s=DEADLINE_S):
        """The next line of its output, without the end; b"" at the end of all."""
        ready, _, _ = select.select([self.popen.stdout], [], [], deadline_s)
        if not ready:
            raise AssertionError(f"{self.name} has said nothing for {deadline_s} s\n{self.errors()}")
        return self.popen.stdout.readline().rstrip(b"\n")


class Broker(Process):
    """A reel-broker that is ready."""

    def __init__(self, stage, *options, endpoints=None, data="data", **popen):
        wanted = endpoints or {name: "tcp://127.0.0.1:*" for name in ("client", "worker", "events")}
        # Unbuffered, so that select() sees every line there is.
        super().__init__(stage, "broker",
                         [BIN / "reel-broker", *(word for name, endpoint in wanted.items() for word in (f"--{name}", endpoint)),
                          "--data", stage.directory / data, *options], bufsize=0, **popen)
        self.endpoints = {}
        for line in iter(self.line, b"ready"):
            if not line:
                raise AssertionError(f"the broker did not become ready: {self.wait()}")
            name, _, endpoint = line.decode().partition("=")
            self.endpoints[name] = endpoint


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, stage, *arguments, columns=80, rows=24, **environment):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(stage.directory)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            base = {**stage.environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
            base.pop("NO_COLOR", None)
            os.execve(BIN / "reel", ["reel", *map(str, arguments)], {**base, **environment})
        stage.terminals.append(self)
        self.code = None

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, text):
        os.write(self.fd, text.encode())

    def _read(self, timeout_s):
        ready, _, _ = select.select([self.fd], [], [], timeout_s)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other end is closed
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def read_until(self, pattern, deadline_s=DEADLINE_S):
        """Reads until the regular expression is found in what came so far; gives the match."""
        end = time.monotonic() + deadline_s
        while True:
            found = re.search(pattern, self.text)
            if found:
                return found
            if time.monotonic() > end or not self._read(0.1):
                raise AssertionError(f"{pattern!r} was never shown in {self.text!r}")

    def wait(self, deadline_s=DEADLINE_S):
        """Reads to the end; gives the exit code, negative for a signal."""
        end = time.monotonic() + deadline_s
        while self._read(0.1):
            if time.monotonic() > end:
                raise AssertionError(f"still running: {self.text!r}")
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def screen(self):
        """What was shown, as the rows that a terminal would have now, scrolled ones included."""
        return render(self.text)


def render(text):
    """The lines that control sequences leave: as much of a terminal as `reel` uses."""
    lines, row, column = [""], 0, 0
    for sequence, character in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|(.)", text, re.S):
        if sequence:
            number = int(re.sub(r"\D", "", sequence) or 1)
            if sequence.endswith("A"):
                row -= number
            elif sequence.endswith("K"):
                lines[row] = lines[row][:column]
            elif sequence.endswith("J"):
                lines[row:] = [lines[row][:column]]
        elif character == "\r":
            column = 0
        elif character == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        else:
            lines[row] = lines[row][:column].ljust(column) + character + lines[row][column + 1:]
            column += 1
    return [line.rstrip() for line in lines]


class Stage:
    """A directory, a broker, workers, clients; all gone after close()."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="reel-test-"))
        self.processes, self.terminals = [], []
        self.endpoints = {}
        self.context = zmq.Context()

    def close(self):
        """Ends everything. Gives what did not end well."""
        wrong = []
        for terminal in self.terminals:
            terminal.close()
        # Workers before brokers, so that they can say so; the last to start goes first.
        for process in sorted(reversed(self.processes), key=lambda one: one.name == "broker"):
            try:
                code = process.stop()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = "none after SIGTERM"
                process.killed = False
            if process.name in ("broker", "worker") and not process.killed and code != 0:
                wrong.append(f"{process.name} ended with exit code {code}\n{process.errors()}")
        self.context.destroy(0)
        return wrong

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def logs(self):
        return "\n".join(f"--- {process.log.name}\n{process.errors()}" for process in self.processes)

    # --- processes ------------------------------------------------------------------------------

    def broker(self, *options, **more):
        """Starts a broker. Where one was before, it takes the same endpoints and data."""
        broker = Broker(self, *options, **{"endpoints": self.endpoints, **more})
        self.endpoints = broker.endpoints
        return broker

    def worker(self, *options, config=None, endpoint=None, wait=True, **popen):
        """Starts a worker, and waits until the broker knows it. `endpoint`: where it finds the broker."""
        name = f"worker-{len(self.processes)}"
        if config is not None:
            options = [*options, "--config", self.file(f"{name}.zpl", config)]
        worker = Process(self, "worker", [BIN / "reel-worker", "--broker", endpoint or self.endpoints["worker"],
                                          "--name", name, *options], **popen)
        worker.label = name
        if wait:
            until(lambda: name in [row["name"] for row in self.ask(b"WORKERS")[1]["workers"]], f"{name} is known")
        return worker

    def environment(self):
        return {**os.environ, "REEL_CLIENT": self.endpoints.get("client", "tcp://127.0.0.1:1"),
                "REEL_EVENTS": self.endpoints.get("events", "tcp://127.0.0.1:1")}

    def reel(self, *arguments, input=None, deadline_s=DEADLINE_S, **environment):  # pylint: disable=redefined-builtin
        """Runs `reel` to its end."""
        done = subprocess.run([BIN / "reel", *map(str, arguments)], input=input if input is not None else b"",
                              capture_output=True, env={**self.environment(), **environment}, cwd=self.directory,
                              timeout=deadline_s, check=False)
        return Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def start_reel(self, *arguments, **popen):
        """Starts `reel`, whose lines can then be read one by one."""
        return Process(self, "reel", [BIN / "reel", *arguments], bufsize=0, **{"env": self.environment(), **popen})

    def terminal(self, *arguments, **more):
        return Terminal(self, *arguments, **more)

    def file(self, name, content):
        """Writes a file: bytes and text as they are, lists as JSON lines, the rest as JSON. Gives its path."""
        path = self.directory / name
        if isinstance(content, list):
            content = "".join(json.dumps(document) + "\n" for document in content)
        elif not isinstance(content, (bytes, str)):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    # --- the wire, without libreel ----------------------------------------------------------------

    def socket(self, kind, which, *topics):
        """A socket connected to the broker; a SUB with its topics subscribed."""
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = 1000 * DEADLINE_S
        for topic in topics:
            socket.subscribe(topic)
        socket.connect(self.endpoints[which])
        return socket

    def ask(self, command, header=None, *document):
        """One request on a socket of its own: OK or ERROR, its header, its document."""
        with self.socket(zmq.REQ, "client") as socket:
            socket.send_multipart([b"REEL1", command, msgpack.packb(header or {}), *document])
            _, answer, header, *document = socket.recv_multipart()
        return answer.decode(), msgpack.unpackb(header), msgpack.unpackb(document[0]) if document else None

    def submit(self, document, **header):
        """Submits over the wire; gives the workflow's id."""
        answer, header, _ = self.ask(b"SUBMIT", header, msgpack.packb(document))
        assert answer == "OK", header
        return header["workflow_id"]

    def status(self, workflow_id):
        return self.ask(b"GET", {"workflow_id": workflow_id})[1]["status"]

    def receipt(self, workflow_id):
        """Waits for the final receipt."""
        answer, header, receipt = self.ask(b"RECEIPT", {"workflow_id": workflow_id, "wait_ms": 1000 * DEADLINE_S})
        assert answer == "OK", header
        return receipt

    def events(self, workflow_id=None):
        """All kept events, in order."""
        found, after = [], 0
        while True:
            asked = {"after": after, **({"workflow_id": workflow_id} if workflow_id else {})}
            _, header, page = self.ask(b"EVENTS", asked)
            found += page
            after = header["next"]
            if not header["more"]:
                return found

    def kinds(self, workflow_id):
        """The kinds of a workflow's events, `step.*` with the step's id."""
        return [event["kind"] + (":" + event["step_id"] if "step_id" in event else "")
                for event in self.events(workflow_id)]


class TestCase(unittest.TestCase):
    """A test with a stage for each test, or, where `shared` is true, one for all tests of the class."""
    shared = False
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if cls.shared:
            cls.stage = Stage()
            cls.addClassCleanup(cls.stage.remove)
            cls.addClassCleanup(cls._close)
            cls.set_stage(cls.stage)

    @classmethod
    def set_stage(cls, stage):
        """What every test wants to be there."""

    @classmethod
    def _close(cls):
        wrong = cls.stage.close()
        if wrong:
            raise AssertionError("\n".join(wrong))

    def setUp(self):
        if not self.shared:
            self.stage = Stage()
            self.addCleanup(self.stage.remove)
            self.addCleanup(self._finish)
            self.set_stage(self.stage)
        else:
            self.addCleanup(self._show)

    def _finish(self):
        wrong = self.stage.close()
        self._show()
        if wrong:
            self.fail("\n".join(wrong))

    def _show(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors):
            print(f"{self.id()}:\n{self.stage.logs()}", file=sys.stderr)
