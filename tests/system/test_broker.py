"""The broker as a process: what it says when it starts, what it keeps when it is killed, how it ends."""
import contextlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import msgpack
import zmq

BIN = pathlib.Path(os.environ["REEL_BIN"])
DEADLINE_MS = 60000
EX_OK, EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_IOERR, EX_TEMPFAIL, EX_CONFIG = 0, 64, 65, 69, 74, 75, 78


def workflow(workflow_id, padding=0):
    step = {"step_id": "only", "modality": "echo", "payload": {"padding": "x" * padding}}
    return msgpack.packb({"workflow_id": workflow_id, "steps": [step]})


class Broker(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="reel-broker-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)

    def run_it(self, *options, **environment):
        """Runs a broker that is expected to end by itself; gives exit code, output and errors."""
        done = subprocess.run([BIN / "reel-broker", *map(str, options)], env={**os.environ, **environment}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_MS / 1000, check=False)
        return done.returncode, done.stdout, done.stderr

    def start(self, *options, data="data", **popen):
        """Starts a broker and waits until it is ready."""
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            [BIN / "reel-broker", "--client", "tcp://127.0.0.1:*", "--worker", "tcp://127.0.0.1:0", "--events",
             f"ipc://{self.directory}/events", "--data", self.directory / data, "--log", "error", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **popen)
        process = self.process
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        lines = [process.stdout.readline().strip() for _ in range(4)]
        self.assertEqual("ready", lines[3], lines)
        self.endpoints = dict(line.split("=", 1) for line in lines[:3])
        self.assertEqual(["client", "worker", "events"], list(self.endpoints))

    def end(self, by=signal.SIGTERM):
        self.process.send_signal(by)
        return self.process.wait(DEADLINE_MS / 1000)

    def connect(self, kind, which):
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.rcvhwm = 0  # it takes whatever comes, also while the test waits for something else
        socket.rcvtimeo = socket.sndtimeo = DEADLINE_MS
        if kind == zmq.SUB:
            socket.subscribe(b"event/")
            socket.subscribe(b"receipt/")
            socket.subscribe(b"beat")
        socket.connect(self.endpoints[which])
        return socket

    def ask(self, command, header=None, *document):
        """One request on a socket of its own: the answer, its header, its document."""
        with self.connect(zmq.REQ, "client") as socket:
            socket.send_multipart([b"REEL1", command, msgpack.packb(header or {}), *document])
            protocol, answer, header, *document = socket.recv_multipart()
        self.assertEqual(b"REEL1", protocol)
        return answer.decode(), msgpack.unpackb(header), msgpack.unpackb(document[0]) if document else None

    def events(self):
        """All events of the journal, in order."""
        found, after = [], 0
        while True:
            answer, header, page = self.ask(b"EVENTS", {"after": after})
            self.assertEqual("OK", answer, header)
            found += page
            after = header["next"]
            if not header["more"]:
                return found

    def accepted(self):
        return {event["workflow_id"]: event["seq"] for event in self.events() if event["kind"] == "workflow.accepted"}

    # --- starting -------------------------------------------------------------------------------

    def test_help_version_and_check(self):
        code, said, _ = self.run_it("--help")
        self.assertEqual(EX_OK, code)
        for word in ("--client", "REEL_DATA", "file: broker/lease_ms", "tcp://127.0.0.1:5570", "default 10000"):
            self.assertIn(word, said)
        self.assertEqual(EX_OK, self.run_it("--version")[0])
        code, said, errors = self.run_it("--check-config", "--data", self.directory / "none")
        self.assertEqual((EX_OK, "", ""), (code, said, errors))
        self.assertFalse((self.directory / "none").exists())

    def test_what_is_wrong_is_named(self):
        config = self.directory / "broker.zpl"
        config.write_text("broker\n    data = x\n    lease = 5\n", encoding="utf-8")
        loud = self.directory / "loud.zpl"
        loud.write_text("broker\n    log = loud\n", encoding="utf-8")
        for code, word, *options in (
                (EX_USAGE, "--nosuch", "--nosuch"),
                (EX_USAGE, "--lease-ms", "--lease-ms", "0"),
                (EX_USAGE, "half of lease-ms", "--lease-ms", "1000", "--heartbeat-ms", "501"),
                (EX_USAGE, "'loud'", "--log", "loud"),
                (EX_USAGE, "'operand'", "operand"),
                (EX_CONFIG, "'loud'", "--config", loud),
                (EX_CONFIG, "unknown key 'broker/lease'", "--config", config),
                (EX_CONFIG, "No such file", "--config", self.directory / "none")):
            got, said, errors = self.run_it("--check-config", *options)
            self.assertEqual((code, ""), (got, said), errors)
            self.assertIn(word, errors)
        code, _, errors = self.run_it("--check-config", REEL_LEASE_MS="soon")
        self.assertEqual(EX_USAGE, code)
        self.assertIn("REEL_LEASE_MS", errors)

    def test_what_cannot_be_had_is_named(self):
        self.start()
        mine = ["--worker", "tcp://127.0.0.1:*", "--events", "tcp://127.0.0.1:*"]
        code, said, errors = self.run_it("--data", self.directory / "data", "--client", "tcp://127.0.0.1:*", *mine)
        self.assertEqual((EX_TEMPFAIL, ""), (code, said), errors)
        self.assertIn("another broker", errors)
        code, said, errors = self.run_it("--data", self.directory / "other", "--client", self.endpoints["client"], *mine)
        self.assertEqual((EX_UNAVAILABLE, ""), (code, said), errors)
        self.assertIn(self.endpoints["client"], errors)
        code, said, errors = self.run_it("--data", self.directory / "other", "--client", "tcp://nonsense", *mine)
        self.assertEqual((EX_CONFIG, ""), (code, said), errors)
        (self.directory / "foreign").mkdir()
        (self.directory / "foreign" / "journal.db").write_bytes(b"not a database" * 1000)
        code, said, errors = self.run_it("--data", self.directory / "foreign", "--client", "tcp://127.0.0.1:*", *mine)
        self.assertEqual((EX_DATAERR, ""), (code, said), errors)
        self.assertIn("not a journal of reel", errors)
        self.assertEqual("OK", self.ask(b"PING")[0])

    def test_closed_standard_descriptors_stay_unused(self):
        def close():
            for descriptor in range(3):
                os.close(descriptor)
        self.endpoints = {name: f"ipc://{self.directory}/{name}" for name in ("client", "worker", "events")}
        options = [word for name, endpoint in self.endpoints.items() for word in (f"--{name}", endpoint)]
        # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
        self.process = subprocess.Popen([BIN / "reel-broker", *options, "--data", self.directory / "data"],
                                        stdin=None, preexec_fn=close)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.assertEqual("OK", self.ask(b"PING")[0])
        self.assertEqual(["/dev/null"] * 3, [os.readlink(f"/proc/{self.process.pid}/fd/{n}") for n in range(3)])
        self.assertEqual(EX_OK, self.end())

    # --- serving --------------------------------------------------------------------------------

    def test_ping_submit_list(self):
        self.start()
        answer, header, _ = self.ask(b"PING", {"request_id": 7})
        self.assertEqual(("OK", True, 7), (answer, header["ready"], header["request_id"]))
        answer, header, _ = self.ask(b"SUBMIT", {}, workflow("one"))
        self.assertEqual(("OK", "one", False), (answer, header["workflow_id"], header["duplicate"]))
        seq = header["seq"]
        answer, header, _ = self.ask(b"SUBMIT", {}, workflow("one"))
        self.assertEqual(("OK", True, seq), (answer, header["duplicate"], header["seq"]))
        rows = self.ask(b"LIST")[1]["workflows"]
        self.assertEqual([("one", "queued", seq)], [(row["workflow_id"], row["status"], row["seq"]) for row in rows])
        self.assertEqual({"one": seq}, self.accepted())
        self.assertEqual("ERROR", self.ask(b"DANCE")[0])

    def test_frames_of_no_form_are_survived(self):
        self.start()
        with self.connect(zmq.DEALER, "client") as socket, self.connect(zmq.DEALER, "worker") as worker:
            for frames in ([b""], [b"x"], [b"", b""], [b"REEL1"], [b"REEL1", b"PING"], [b"x"] * 20,
                           [b"REEL1", b"PING", b"\xdd\x10\0\0\0"], [b"REEL1", b"SUBMIT", b"\x80", b"\xdd\x10\0\0\0"]):
                socket.send_multipart(frames)
                worker.send_multipart(frames)
            socket.send_multipart([b"REEL1", b"PING", msgpack.packb({"request_id": "last"})])
            while True:
                answer = socket.recv_multipart()
                if msgpack.unpackb(answer[-1]).get("request_id") == "last":
                    self.assertEqual([b"REEL1", b"OK"], answer[:2])
                    break

    def test_events_are_published_and_beats_follow(self):
        self.start()
        with self.connect(zmq.SUB, "events") as socket:
            while socket.recv_multipart()[0] != b"beat":
                pass
            seqs = [self.ask(b"SUBMIT", {}, workflow(f"w{i}"))[1]["seq"] for i in range(20)]
            heard = []
            while True:
                topic, body = socket.recv_multipart()
                body = msgpack.unpackb(body)
                if topic == b"beat" and body["seq"] == seqs[-1]:
                    break
                if topic != b"beat":
                    heard.append((topic.decode(), body["seq"]))
            self.assertEqual([(f"event/w{i}/workflow.accepted", seq) for i, seq in enumerate(seqs)], heard)

    # --- ending ---------------------------------------------------------------------------------

    def flood(self, socket, prefix, count, padding=0):
        for i in range(count):
            name = f"{prefix}{i}"
            socket.send_multipart([b"REEL1", b"SUBMIT", msgpack.packb({"request_id": name}), workflow(name, padding)])

    def answers(self, socket, timeout_ms=DEADLINE_MS, count=1 << 30, refused=None):
        """What was acknowledged, id to seq, until `count` or nothing comes for that long; `refused` gets the rest."""
        found = {}
        while len(found) < count and socket.poll(timeout_ms):
            _, answer, header = socket.recv_multipart()
            header = msgpack.unpackb(header)
            if refused is not None and answer == b"ERROR":
                refused[header["request_id"]] = header["code"]
                continue
            self.assertEqual(b"OK", answer, header)
            found[header["request_id"]] = header["seq"]
        return found

    def test_what_was_acknowledged_survives_any_kill(self):
        acknowledged, published = {}, {}
        for round_number in range(4):
            self.start()
            accepted = self.accepted()
            self.assertEqual(acknowledged, {name: accepted.get(name) for name in acknowledged})
            with self.connect(zmq.DEALER, "client") as client, self.connect(zmq.SUB, "events") as events:
                while events.recv_multipart()[0] != b"beat":
                    pass
                self.flood(client, f"r{round_number}-", 3000)
                acknowledged.update(self.answers(client, count=200 + 700 * round_number))
                self.end(signal.SIGKILL)
                acknowledged.update(self.answers(client, 200))
                while events.poll(200):
                    topic, body = events.recv_multipart()
                    if topic != b"beat":
                        published[msgpack.unpackb(body)["seq"]] = body
        self.start()
        accepted = self.accepted()
        self.assertEqual(acknowledged, {name: accepted.get(name) for name in acknowledged})
        kept = {event["seq"]: event for event in self.events()}
        self.assertEqual(list(range(1, len(kept) + 1)), list(kept))
        self.assertGreater(len(published), 800)
        for seq, body in published.items():
            self.assertEqual(msgpack.unpackb(body), kept[seq])
        self.assertEqual(EX_OK, self.end())

    def test_long_messages_of_one_client_make_no_other_wait_for_all_of_them(self):
        # Without an id, they are refused; by then each has been read from its first byte to its last.
        long = [b"REEL1", b"GET", msgpack.packb({f"unknown{n}": n for n in range(4000)})]
        ping, stats = ([b"REEL1", command, msgpack.packb({})] for command in (b"PING", b"STATS"))
        self.start()
        for _ in range(10):
            with self.connect(zmq.DEALER, "client") as one, self.connect(zmq.DEALER, "client") as other:
                for client in (one, other):
                    client.send_multipart(stats)
                    before = msgpack.unpackb(client.recv_multipart()[2])["counters"]["malformed"]
                self.process.send_signal(signal.SIGSTOP)
                for _ in range(600):
                    one.send_multipart(long)
                other.send_multipart(ping)
                self.process.send_signal(signal.SIGCONT)
                other.recv_multipart()
                other.send_multipart(stats)
                read = msgpack.unpackb(other.recv_multipart()[2])["counters"]["malformed"] - before
                for _ in range(600):
                    one.recv_multipart()
            if read < 200:  # the test may have been slow itself
                return
        self.fail(f"{read} messages of another are read first")

    def test_terminated_it_answers_what_it_has_taken_in_and_turns_away_the_rest(self):
        refused = {}
        self.start()
        with self.connect(zmq.DEALER, "client") as client:
            self.flood(client, "t", 5000)
            acknowledged = self.answers(client, count=100)
            self.assertEqual(EX_OK, self.end())
            acknowledged.update(self.answers(client, 500, refused=refused))
        self.assertLessEqual(set(refused.values()), {"draining"})
        self.start()
        self.assertEqual(self.accepted(), acknowledged)
        self.assertEqual(EX_OK, self.end(signal.SIGINT))

    def test_terminated_it_says_so_to_who_comes_then(self):
        ping = [b"REEL1", b"PING", msgpack.packb({})]
        for attempt in range(10):
            self.start(data=f"data{attempt}")
            with self.connect(zmq.DEALER, "client") as client:
                client.send_multipart(ping)
                self.assertEqual(b"OK", client.recv_multipart()[1])
                self.process.send_signal(signal.SIGTERM)
                answers = []
                while self.process.poll() is None:
                    client.send_multipart(ping)
                    while client.poll(1):
                        answers.append(client.recv_multipart())
                self.assertEqual(EX_OK, self.process.returncode)
                refused = [msgpack.unpackb(answer[2])["code"] for answer in answers if answer[1] == b"ERROR"]
                self.assertLessEqual(set(refused), {"draining"})
                if refused:
                    return
        self.fail("nobody was told")

    def test_terminated_it_ends_though_requests_keep_coming(self):
        """More than it can answer: such as take longer to read than to write."""
        ping = [b"REEL1", b"PING", msgpack.packb({f"unknown{n}": n for n in range(2000)})]
        self.start()
        with self.context.socket(zmq.DEALER) as client:
            client.linger = 0
            client.connect(self.endpoints["client"])
            client.send_multipart(ping)
            self.assertEqual(b"OK", client.recv_multipart()[1])
            latest = None
            while self.process.poll() is None:
                with contextlib.suppress(zmq.Again):
                    for _ in range(2000):
                        client.send_multipart(ping, zmq.DONTWAIT)
                if not latest:
                    self.process.send_signal(signal.SIGTERM)
                    latest = time.monotonic() + DEADLINE_MS / 1000
                self.assertLess(time.monotonic(), latest, "it does not end")
                while client.poll(0):
                    client.recv_multipart()
        self.assertEqual(EX_OK, self.process.returncode)

    def test_terminated_it_tells_who_waits(self):
        self.start()
        self.ask(b"SUBMIT", {}, workflow("waits"))
        with self.connect(zmq.REQ, "client") as client:
            client.send_multipart([b"REEL1", b"RECEIPT", msgpack.packb({"workflow_id": "waits", "wait_ms": DEADLINE_MS})])
            while not self.ask(b"STATS")[1]["gauges"]["waits"]:
                pass
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(EX_OK, self.end())  # a second one says nothing new
            _, answer, header = client.recv_multipart()
            self.assertEqual((b"ERROR", "draining"), (answer, msgpack.unpackb(header)["code"]))

    def test_a_disk_that_fails_ends_it_without_a_promise(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))

        self.start(preexec_fn=limit)
        with self.connect(zmq.DEALER, "client") as client, self.connect(zmq.SUB, "events") as events:
            self.assertEqual(b"beat", events.recv_multipart()[0])  # so the subscription is there
            self.flood(client, "d", 200, 50000)
            self.assertEqual(EX_IOERR, self.process.wait(DEADLINE_MS / 1000))
            acknowledged = self.answers(client, 500)
            published = set()
            while events.poll(500):
                topic, event = events.recv_multipart()
                if topic != b"beat":
                    published.add(msgpack.unpackb(event)["seq"])
        self.assertLess(len(acknowledged), 100)
        self.start()
        accepted = self.accepted()
        self.assertEqual(acknowledged, {name: accepted.get(name) for name in acknowledged})
        self.assertEqual(set(), published - set(accepted.values()))

    def test_time_that_it_did_not_run_expires_nothing(self):
        self.start("--lease-ms", "1000", "--heartbeat-ms", "200")
        with self.connect(zmq.DEALER, "worker") as worker:
            worker.send_multipart([b"REEL1", b"READY", msgpack.packb(
                {"name": "w", "instance": os.urandom(16), "slots": 1, "modalities": ["echo"]})])
            self.assertEqual(b"WELCOME", worker.recv_multipart()[1])
            self.ask(b"SUBMIT", {}, workflow("one"))
            _, command, header, _ = worker.recv_multipart()
            self.assertEqual(b"ASSIGN", command)
            lease = msgpack.unpackb(header)["lease"]

            def beat_for(seconds):
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    worker.send_multipart([b"REEL1", b"HEARTBEAT", msgpack.packb({"leases": [lease], "sent_us": 1})])
                    worker.poll(100)
                    while worker.poll(0):
                        self.assertNotEqual(b"FENCED", worker.recv_multipart()[1])

            self.process.send_signal(signal.SIGSTOP)
            beat_for(2.5)
            self.process.send_signal(signal.SIGCONT)
            beat_for(1.5)
            self.assertEqual(["workflow.accepted", "workflow.assigned"], [event["kind"] for event in self.events()])
            # And silence still does.
            until = time.monotonic() + 30
            while "workflow.requeued" not in [event["kind"] for event in self.events()]:
                self.assertLess(time.monotonic(), until)


if __name__ == "__main__":
    unittest.main(verbosity=2)
