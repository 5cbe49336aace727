"""Every limit of the broker at N and at N + 1: what is refused, in which words, and which counter tells of it. And who
does not read, or never stops, is in nobody's way.
"""
import json
import os
import resource
import socket as tcp
import struct
import subprocess
import time
import unittest

import msgpack
import zmq

import harness
from harness import step, until, workflow

EX_USAGE = 64
PING = [b"REEL1", b"PING", msgpack.packb({})]
WAIT_MS = 1000 * harness.DEADLINE_S


def frames(command, header, *document):
    return [b"REEL1", command, msgpack.packb(header), *document]


def ready(name="w", slots=1, modalities=("echo",)):
    return frames(b"READY", {"name": name, "instance": os.urandom(16), "slots": slots, "modalities": modalities})


class Limits(harness.TestCase):
    def counters(self):
        return self.stage.ask(b"STATS")[1]["counters"]

    def check_refused(self, counter, word, answer, code="overloaded"):
        """One request was refused by that limit, by no other, and said so."""
        kind, header, *_ = answer
        self.assertEqual(("ERROR", code), (kind, header["code"]))
        self.assertIn(word, header["message"])
        refused = {name: count for name, count in self.counters().items() if name.startswith("refused_") and count}
        self.assertEqual({counter: 1}, refused)

    def submit(self, name, size=0):
        document = workflow(step("a", "nobody", {"x": "x" * size}), workflow_id=name)
        return self.stage.ask(b"SUBMIT", {}, msgpack.packb(document))

    def test_live_workflows(self):
        self.stage.broker("--queue-count-max", "2")
        self.assertEqual(["OK", "OK"], [self.submit(name)[0] for name in "ab"])
        self.check_refused("refused_queue_count", "queue-count-max", self.submit("c"))
        self.stage.ask(b"CANCEL", {"workflow_id": "a"})
        self.assertEqual("OK", self.submit("c")[0])

    def test_memory_of_live_workflows(self):
        self.stage.broker("--queue-bytes-max", "20000")
        self.assertEqual("OK", self.submit("a", 15000)[0])
        self.check_refused("refused_queue_bytes", "queue-bytes-max", self.submit("b", 15000))
        self.assertEqual("OK", self.submit("c", 10)[0])

    def test_requests_that_wait(self):
        self.stage.broker("--waits-max", "2")
        self.submit("a")
        wait = frames(b"RECEIPT", {"workflow_id": "a", "wait_ms": WAIT_MS})
        sockets = [self.stage.socket(zmq.REQ, "client") for _ in range(2)]
        for socket in sockets:
            socket.send_multipart(wait)
        until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["waits"] == 2, "two wait")
        self.check_refused("refused_waits", "waits-max",
                           self.stage.ask(b"RECEIPT", {"workflow_id": "a", "wait_ms": WAIT_MS}))
        self.stage.ask(b"CANCEL", {"workflow_id": "a"})
        self.assertEqual([b"OK"] * 2, [socket.recv_multipart()[1] for socket in sockets])

    def test_workers(self):
        self.stage.broker("--workers-max", "2")
        sockets = [self.stage.socket(zmq.DEALER, "worker") for _ in range(3)]
        for socket in sockets[:2]:
            socket.send_multipart(ready())
            self.assertEqual(b"WELCOME", socket.recv_multipart()[1])
        sockets[2].send_multipart(ready())
        _, kind, header = sockets[2].recv_multipart()
        self.check_refused("refused_workers", "workers-max", (kind.decode(), msgpack.unpackb(header)))
        sockets[0].send_multipart(frames(b"LEAVE", {}))
        until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["workers"] == 1, "one has left")
        sockets[2].send_multipart(ready())
        self.assertEqual(b"WELCOME", sockets[2].recv_multipart()[1])

    def test_what_workers_say(self):
        """Seventeen that say much are too much to show; the workers themselves do not mind."""
        self.stage.broker()
        dispatch = {"echo": {"adapter": "exec", "class": "neither", "limits": {"x": "x" * 65000}}}
        sockets = [self.stage.socket(zmq.DEALER, "worker") for _ in range(17)]
        for number, socket in enumerate(sockets):
            if number == 16:
                self.assertEqual((16, "OK"), (len((answer := self.stage.ask(b"WORKERS"))[1]["workers"]), answer[0]))
                self.assertEqual(0, self.stage.reel("workers", "--json").code)
            socket.send_multipart(frames(b"READY", {"name": "w", "slots": 1, "modalities": ["echo"], "dispatch": dispatch}))
            self.assertEqual(b"WELCOME", socket.recv_multipart()[1])
        self.check_refused("refused_size", "1023 KiB", self.stage.ask(b"WORKERS"), "too_large")
        done = self.stage.reel("workers")
        self.assertIn("1023 KiB", done.err)

    def test_documents(self):
        self.stage.broker()

        def document(size):
            packed = msgpack.packb(workflow(step("a", "nobody", {"x": b""})))
            return msgpack.packb(workflow(step("a", "nobody", {"x": bytes(size - len(packed) - 3)})))  # bin 32 for bin 8

        largest = document(16 << 20)
        self.assertEqual(16 << 20, len(largest))
        self.assertEqual("OK", self.stage.ask(b"SUBMIT", {}, largest)[0])
        self.check_refused("refused_size", "16 MiB", self.stage.ask(b"SUBMIT", {}, document((16 << 20) + 1)), "too_large")
        # A frame of more than twice that is not even taken in: its connection ends, and comes back.
        with self.stage.socket(zmq.DEALER, "client") as socket:
            socket.send_multipart(frames(b"SUBMIT", {}, bytes((32 << 20) + 1)))
            until(lambda: socket.send_multipart(PING) or socket.poll(100), "another connection")
            self.assertEqual(b"OK", socket.recv_multipart()[1])

    # --- what waits to be read ----------------------------------------------------------------------

    MIB = 1 << 20

    def deaf(self, kind, which, *topics):
        """A socket that takes next to nothing, until it is read."""
        socket = self.stage.context.socket(kind)
        socket.linger, socket.rcvhwm, socket.rcvbuf, socket.sndhwm, socket.rcvtimeo = 0, 1, 4096, 0, WAIT_MS
        for topic in topics:
            socket.subscribe(topic)
        socket.connect(self.stage.endpoints[which])
        return socket

    def waiting(self, which):
        return self.stage.ask(b"STATS")[1]["gauges"][f"{which}_waiting_bytes"]

    def test_answers_that_are_not_read(self):
        self.stage.broker("--waiting-bytes-max", str(8 * self.MIB))
        self.submit("large", self.MIB)
        with self.deaf(zmq.DEALER, "client") as deaf:
            for number in range(100):
                deaf.send_multipart(frames(b"GET", {"workflow_id": "large", "request_id": number}))
            until(lambda: self.counters()["refused_waiting_bytes"] > 20, "most are refused")
            # A quarter of it, since it has some; others have what they ask for.
            self.assertLess(self.waiting("client"), 3 * self.MIB)
            self.assertEqual("OK", self.stage.ask(b"GET", {"workflow_id": "large"})[0])
            # Each has its answer, now that they are read.
            answers = {}
            while len(answers) < 100:
                _, kind, header, *_ = deaf.recv_multipart()
                header = msgpack.unpackb(header)
                answers[header["request_id"]] = kind
                if kind == b"ERROR":
                    self.assertEqual("overloaded", header["code"])
                    self.assertIn("waiting-bytes-max", header["message"])
            self.assertEqual({b"OK", b"ERROR"}, set(answers.values()))
            self.assertEqual(0, self.counters()["dropped"])
            deaf.send_multipart(frames(b"GET", {"workflow_id": "large", "request_id": 100}))
            self.assertEqual(b"OK", deaf.recv_multipart()[1])
            for number in range(20):
                deaf.send_multipart(frames(b"GET", {"workflow_id": "large", "request_id": number}))
            until(lambda: self.waiting("client") > 0, "something waits")
        until(lambda: self.waiting("client") == 0, "nothing waits for one that is gone")

    def test_refusals_that_are_not_read(self):
        """They are small, but they are not free either."""
        self.stage.broker("--waiting-bytes-max", "1")
        with self.deaf(zmq.DEALER, "client") as deaf:
            for _ in range(9000):  # fewer than wait as messages
                deaf.send_multipart(frames(b"GET", {"workflow_id": "none", "request_id": bytes(200)}))
            until(lambda: self.counters()["dropped"] > 0, "what there is no room for is dropped")
            self.assertLessEqual(self.waiting("client"), 65536)
            self.assertEqual("OK", self.stage.ask(b"PING")[0])

    def test_work_that_is_not_read(self):
        """A worker that does not read gets no more; another one does all of it."""
        self.stage.broker("--waiting-bytes-max", str(8 * self.MIB), "--lease-ms", "2000", "--heartbeat-ms", "200")
        names = [f"w{number}" for number in range(40)]
        with self.deaf(zmq.DEALER, "worker") as deaf:
            deaf.send_multipart(ready("deaf", 100))
            self.assertEqual(b"WELCOME", deaf.recv_multipart()[1])
            for name in names:
                self.stage.submit(workflow(step("a", "echo", {"x": "x" * self.MIB}), workflow_id=name))
            self.assertLess(self.waiting("worker"), 4 * self.MIB)
            stats = self.stage.ask(b"STATS")[1]
            self.assertGreater(stats["gauges"]["queued"], 20)
            self.assertEqual(0, stats["counters"]["dropped"])
            self.stage.worker("--slots", "4")
            for name in names:
                self.assertEqual("failed", self.stage.receipt(name)["status"])  # its receipt is too large
        until(lambda: self.waiting("worker") == 0, "nothing waits for one that is gone")

    def test_events_that_are_not_read(self):
        """Past what a subscriber that does not read may hold up, the others find what is large with EVENTS."""
        self.stage.broker("--waiting-bytes-max", str(2 * self.MIB))
        self.stage.worker()
        with self.deaf(zmq.SUB, "events", "event/") as deaf:
            until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["subscribers"], "it listens")
            follower = self.stage.start_reel("events", "--follow", "--json")
            name = 0
            while not self.counters()["subscriber_full"]:
                self.stage.submit(workflow(step("a", "echo", {"x": "x" * 200000}), workflow_id=f"w{name}"))
                self.stage.receipt(f"w{name}")
                name += 1
                self.assertLess(name, 100)
            self.assertLess(self.waiting("event"), 2 * self.MIB + 65536)
            keen = self.stage.socket(zmq.SUB, "events", "beat")
            self.assertEqual(b"beat", keen.recv_multipart()[0])
            last = self.stage.ask(b"STATS")[1]["counters"]["events"]
            seqs = [json.loads(follower.line())["seq"] for _ in range(last)]
            self.assertEqual(list(range(1, last + 1)), seqs)
            follower.kill()
        until(lambda: self.waiting("event") == 0, "nothing waits for one that is gone")

    # --- connections --------------------------------------------------------------------------------

    def check_connections(self, kind, which, hello, gauge):
        """Two are let in; a third one is not, until one of them leaves. `hello` says whether a socket is connected."""
        asker = self.stage.socket(zmq.REQ, "client")

        def stats():
            asker.send_multipart(frames(b"STATS", {}))
            return msgpack.unpackb(asker.recv_multipart()[2])

        inside = 2 if which != "client" else 1  # the asker is a client
        sockets = []
        for number in range(inside):
            sockets.append(self.stage.socket(kind, which))
            hello(sockets[-1])
            until(lambda: stats()["gauges"][gauge] == number + 3 - inside, "it is counted")  # pylint: disable=cell-var-from-loop
        self.assertEqual(0, stats()["counters"]["refused_connections"])
        late = self.stage.socket(kind, which)
        until(lambda: stats()["counters"]["refused_connections"] >= 2, "a third one is turned away, again and again")
        self.assertLessEqual(stats()["gauges"][gauge], 3)
        sockets[0].close(0)
        hello(late)
        self.assertEqual(2, stats()["gauges"][gauge])
        self.assertIn("connections-max is reached", self.stage.processes[0].errors())

    def test_connections(self):
        def ping(socket):
            socket.send_multipart(PING)
            self.assertEqual(b"OK", socket.recv_multipart()[1])

        def welcome(socket):
            socket.send_multipart(ready())
            self.assertEqual(b"WELCOME", socket.recv_multipart()[1])

        def beat(socket):
            socket.subscribe("beat")
            self.assertEqual(b"beat", socket.recv_multipart()[0])

        for which, kind, hello in (("client", zmq.DEALER, ping), ("worker", zmq.DEALER, welcome), ("events", zmq.SUB, beat)):
            with self.subTest(which):
                self.stage.broker("--connections-max", "2")
                self.check_connections(kind, which, hello, which.removesuffix("s") + "_connections")
            self.doCleanups()
            self.setUp()

    def test_connections_that_do_not_speak_zeromq_are_counted_too(self):
        self.stage.broker()
        host, _, port = self.stage.endpoints["client"].removeprefix("tcp://").rpartition(":")
        gauge = lambda: self.stage.ask(b"STATS")[1]["gauges"]["client_connections"]
        sockets = [tcp.create_connection((host, int(port))) for _ in range(6)]
        until(lambda: gauge() == 7, "they are counted")
        for number, one in enumerate(sockets):
            if number % 3 == 1:
                one.sendall(b"GET / HTTP/1.0\r\n\r\n" * 10)
            if number % 3 == 2:  # gone with a reset
                one.setsockopt(tcp.SOL_SOCKET, tcp.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        until(lambda: gauge() == 1, "they are gone")

    def test_connections_are_bounded_by_the_limit_of_open_files(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (364, 364))

        def check(number):
            return subprocess.run([harness.BIN / "reel-broker", "--check-config", "--connections-max", str(number)],
                                  capture_output=True, text=True, preexec_fn=limit, timeout=harness.DEADLINE_S, check=False)

        self.assertEqual(0, check(100).returncode)
        done = check(101)
        self.assertEqual(EX_USAGE, done.returncode)
        self.assertIn("ulimit -n) allows 100 connections", done.stderr)
        # So many come that descriptors would run out, and it neither spins nor stumbles.
        broker = self.stage.broker(preexec_fn=limit)
        sockets = [self.stage.socket(zmq.DEALER, "client") for _ in range(400)]
        for socket in sockets:
            socket.send_multipart(PING)
        until(lambda: sum(1 for socket in sockets if socket.poll(0)) >= 100, "a hundred are answered")
        self.assertLessEqual(len(os.listdir(f"/proc/{broker.pid}/fd")), 364)
        for socket in sockets:
            socket.close(0)
        self.assertEqual("OK", self.stage.ask(b"PING")[0])
        self.assertGreater(self.counters()["refused_connections"], 0)


class Share(harness.TestCase):
    """Somebody does not read, or never stops: the others hardly notice."""

    def run_some(self, prefix, count=500):
        """The seconds that so many workflows take from the first submission to the last receipt."""
        begun = time.monotonic()
        with self.stage.socket(zmq.DEALER, "client") as socket:
            for n in range(count):
                name = f"{prefix}-{n}"
                socket.send_multipart(frames(b"SUBMIT", {"request_id": 0}, msgpack.packb(workflow(workflow_id=name))))
                socket.send_multipart(frames(b"RECEIPT", {"request_id": 1, "workflow_id": name, "wait_ms": WAIT_MS}))
            done = 0
            while done < count:
                _, kind, header, *_ = socket.recv_multipart()
                self.assertEqual(b"OK", kind, header)
                done += msgpack.unpackb(header)["request_id"]
        return time.monotonic() - begun

    def check_unharmed(self, alone):
        """It takes about as long as it did, whatever else is going on. The best of a few tries counts."""
        beside = min(self.run_some(f"beside{n}") for n in range(3))
        print(f"{self.id()}: {alone:.2f} s alone, {beside:.2f} s beside it", flush=True)
        self.assertLess(beside, 3 * alone + 0.5)

    def alone(self, *options):
        self.stage.broker(*options)
        self.stage.worker("--slots", "8")
        return min(self.run_some(f"alone{n}") for n in range(3))

    def test_subscriber_that_does_not_read(self):
        alone = self.alone("--subscriber-waiting-max", "50")
        deaf = self.stage.context.socket(zmq.SUB)
        deaf.linger, deaf.rcvhwm, deaf.rcvbuf = 0, 1, 4096
        deaf.subscribe("event/")
        deaf.connect(self.stage.endpoints["events"])
        until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["subscribers"], "it listens")
        keen = self.stage.socket(zmq.SUB, "events", "event/", "beat")
        while keen.recv_multipart()[0] != b"beat":
            pass
        # Large enough to fill what lies between.
        name = 0
        while not self.stage.ask(b"STATS")[1]["counters"]["subscriber_full"]:
            self.stage.submit(workflow(step("a", "echo", {"x": "x" * 100000}), workflow_id=f"large{name}"))
            self.stage.receipt(f"large{name}")
            name += 1
            self.assertLess(name, 2000)
            while keen.poll(0):
                keen.recv_multipart()
        self.check_unharmed(alone)

    def test_client_that_does_not_read(self):
        alone = self.alone()
        deaf = self.stage.context.socket(zmq.DEALER)
        deaf.linger, deaf.rcvhwm, deaf.rcvbuf, deaf.sndhwm = 0, 1, 4096, 0
        deaf.connect(self.stage.endpoints["client"])
        self.stage.submit(workflow(step("a", "nobody", {"x": "x" * 1000}), workflow_id="large"))
        for _ in range(12000):
            deaf.send_multipart(frames(b"GET", {"workflow_id": "large"}))
        until(lambda: self.stage.ask(b"STATS")[1]["counters"]["dropped"] > 0, "its answers are dropped")
        self.check_unharmed(alone)

    def test_worker_that_does_nothing(self):
        alone = self.alone("--lease-ms", "1000", "--heartbeat-ms", "200")
        stuck = self.stage.socket(zmq.DEALER, "worker")
        stuck.send_multipart(ready("stuck", 4, ["echo"]))
        self.assertEqual(b"WELCOME", stuck.recv_multipart()[1])
        # What it got is held up for its lease, and given to others then.
        names = [f"given{n}" for n in range(40)]
        for name in names:
            self.stage.submit(workflow(workflow_id=name))
        for name in names:
            self.assertEqual("succeeded", self.stage.receipt(name)["status"])
        self.check_unharmed(alone)

    def test_flood_of_one_producer(self):
        """Others are answered while it lasts, not behind all of it."""
        self.stage.broker()
        flood = self.stage.context.socket(zmq.DEALER)
        flood.linger, flood.sndhwm, flood.rcvhwm = 0, 0, 0
        flood.connect(self.stage.endpoints["client"])
        polite = self.stage.socket(zmq.REQ, "client")

        def submission(name, size):
            return frames(b"SUBMIT", {}, msgpack.packb(workflow(step("a", "nobody", {"x": bytes(size)}), workflow_id=name)))

        count, seqs = 3000, [0]
        for message in [submission(f"f{n}", 50000) for n in range(count)]:
            flood.send_multipart(message, copy=False)
        while seqs[-1] < count:
            polite.send_multipart(submission(f"p{len(seqs)}", 0))
            seqs.append(msgpack.unpackb(polite.recv_multipart()[2])["seq"])
        gaps = [after - before for before, after in zip(seqs, seqs[1:])]
        print(f"{self.id()}: {len(gaps)} answers before the flood was over, at most {max(gaps)} of it between two", flush=True)
        self.assertGreater(len(gaps), 3)

    def test_flood_of_large_answers(self):
        """Whoever comes while one client's requests are waiting is heard next."""
        self.stage.broker("--waiting-bytes-max", "1")
        self.stage.submit(workflow(step("a", "nobody", {"x": bytes(3 << 20)}), workflow_id="large"))
        flood = self.stage.context.socket(zmq.DEALER)
        flood.linger, flood.rcvhwm, flood.rcvbuf, flood.sndhwm = 0, 1, 4096, 0
        flood.connect(self.stage.endpoints["client"])
        polite = self.stage.socket(zmq.REQ, "client")
        count, done = 100, [0]
        for _ in range(count):
            flood.send_multipart(frames(b"GET", {"workflow_id": "large"}))
        while done[-1] < count - 10:  # those that were sent
            polite.send_multipart(frames(b"STATS", {}))
            counters = msgpack.unpackb(polite.recv_multipart()[2])["counters"]
            done.append(counters["dropped"] + counters["refused_waiting_bytes"])
        gaps = sorted(after - before for before, after in zip(done, done[1:]) if after > before)
        print(f"{self.id()}: {len(gaps)} answers before the flood was over, {gaps[len(gaps) // 2]} of it between two", flush=True)
        self.assertLess(gaps[len(gaps) // 2], 20)  # libzmq by itself: 25
        flood.close(0)

    def test_flood_of_one_worker(self):
        """Reports that fill every batch leave room for clients."""
        self.stage.broker()
        worker = self.stage.context.socket(zmq.DEALER)
        worker.linger, worker.sndhwm, worker.rcvtimeo = 0, 0, WAIT_MS
        worker.connect(self.stage.endpoints["worker"])
        worker.send_multipart(ready())
        self.assertEqual(b"WELCOME", worker.recv_multipart()[1])
        self.stage.submit(workflow(workflow_id="w"))
        _, kind, header, *_ = worker.recv_multipart()
        self.assertEqual(b"ASSIGN", kind)
        lease, now = msgpack.unpackb(header)["lease"], time.time_ns() // 1000
        polite = self.stage.socket(zmq.REQ, "client")
        count, answers, index = 700, 0, 0

        def report(number, **event):
            worker.send_multipart(frames(b"REPORT", {"lease": lease, "report_index": number},
                                         msgpack.packb([{"step_id": "only", "at_us": now, **event}])))

        report(1, kind="step.started", attempt=1, idempotent=True)
        for number in range(2, count + 1):
            report(number, kind="step.checkpoint", checkpoint=bytes(250000))
        while index < count:
            polite.send_multipart(PING)
            self.assertEqual(b"OK", polite.recv_multipart()[1])
            while worker.poll(0):
                _, kind, header, *_ = worker.recv_multipart()
                self.assertEqual(b"ACK", kind)
                index = msgpack.unpackb(header)["report_index"]
            answers += index < count
        print(f"{self.id()}: {answers} answers before the flood was over", flush=True)
        self.assertGreater(answers, 3)


if __name__ == "__main__":
    unittest.main()
