"""The wire as proto/README.md describes it: a client and a worker written from that text alone (reel1.py), against the
real programs. What fails here is either a broken promise or a text that does not say enough."""
import concurrent.futures
import select
import socket
import threading
import unittest

import zmq

import harness
import reel1
from harness import step, until, workflow

ENDS = ("workflow.succeeded", "workflow.failed")


class Wire:
    """A TCP connection's way to the broker, which a test can cut, or leave standing with nothing coming through."""

    def __init__(self, endpoint):
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.pairs, self.stalled, self.orders = {}, [], []
        self.open, self.ended = True, False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended:
            if self.orders:
                self.orders.pop(0)()
            for one in select.select([self.listener, *self.pairs], [], [], 0.02)[0]:
                if one is self.listener:
                    self._accept()
                elif one in self.pairs:
                    self._forward(one)
        self._drop()
        for one in [self.listener, *self.stalled]:
            one.close()

    def _accept(self):
        here, _ = self.listener.accept()
        try:
            there = socket.create_connection(self.target) if self.open else None
        except OSError:
            there = None
        if there:
            self.pairs.update({here: there, there: here})
        else:
            here.close()

    def _forward(self, one):
        other = self.pairs[one]
        try:
            data = one.recv(65536)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (one, other):
                del self.pairs[end]
                end.close()

    def _drop(self):
        for one in self.pairs:
            one.close()
        self.pairs = {}

    def _order(self, what):
        done = threading.Event()
        self.orders.append(lambda: (what(), done.set()))
        assert done.wait(harness.DEADLINE_S)

    def cut(self):
        """Ends all connections and lets none in."""
        self._order(lambda: (setattr(self, "open", False), self._drop()))

    def mend(self):
        self._order(lambda: setattr(self, "open", True))

    def stall(self):
        """The connections there are stay, but nothing comes through any more. New ones are whole."""
        self._order(lambda: (self.stalled.extend(self.pairs), self.pairs.clear()))

    def close(self):
        self.ended = True
        self.thread.join()


class Filter:
    """Publications on their way: some get lost, some come twice."""

    def __init__(self, context, endpoint):
        self.front, self.back = context.socket(zmq.XPUB), context.socket(zmq.XSUB)
        self.front.linger = self.back.linger = 0
        self.back.connect(endpoint)
        self.endpoint = f"tcp://127.0.0.1:{self.front.bind_to_random_port('tcp://127.0.0.1')}"
        self.count, self.lost, self.ended = 0, 0, False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended:
            if self.front.poll(5):
                self.back.send_multipart(self.front.recv_multipart())
            while self.back.poll(0):
                message = self.back.recv_multipart()
                self.count += message[0].startswith(b"event/")
                copies = 1 if message[0] == b"beat" else (1, 0, 2, 1, 0)[self.count % 5]
                self.lost += copies == 0
                for _ in range(copies):
                    self.front.send_multipart(message)
        self.front.close()
        self.back.close()

    def close(self):
        self.ended = True
        self.thread.join()


class TestCase(harness.TestCase):
    def client(self, **options):
        client = reel1.Client(self.stage.context, self.stage.endpoints["client"], **options)
        self.addCleanup(client.close)
        return client

    def pipeline(self, **options):
        pipeline = reel1.Pipeline(self.stage.context, self.stage.endpoints["client"], **options)
        self.addCleanup(pipeline.close)
        return pipeline

    def follower(self, client=None, endpoint=None, **options):
        follower = reel1.Follower(client or self.client(), endpoint or self.stage.endpoints["events"], **options)
        self.addCleanup(follower.close)
        return follower

    def through(self, kind):
        way = kind(self.stage.endpoints["events"])
        self.addCleanup(way.close)
        return way

    def refused(self, code, call, *arguments, **more):
        with self.assertRaises(reel1.Refused) as caught:
            call(*arguments, **more)
        self.assertEqual(code, caught.exception.code, caught.exception)
        return caught.exception


class Asking(TestCase):
    """Requests, replies, refusals."""
    shared = True

    @classmethod
    def set_stage(cls, stage):
        stage.broker()
        stage.worker("--slots", "4")

    def test_submitting(self):
        client = self.client()
        document = workflow(step("a", "nobody"), workflow_id="submitting")
        first = client.submit(document)
        self.assertEqual(("submitting", "queued", False), (first["workflow_id"], first["status"], first["duplicate"]))
        # What the header says does not make it another workflow.
        again = client.submit(document, priority=7)
        self.assertEqual({**first, "duplicate": True}, again)
        self.refused("conflict", client.submit, {**document, "steps": [step("b", "nobody")]})
        given = client.submit(workflow(step("a", "nobody")))["workflow_id"]
        self.assertEqual(given, client.get(given)[1]["workflow_id"])
        self.assertEqual("7", given[14])

        header, found = client.get("submitting")
        self.assertEqual(("queued", "nobody", 0, first["seq"]),
                         tuple(header[key] for key in ("status", "waiting_for", "delivery", "last_seq")))
        self.assertEqual(document["steps"], found["steps"])
        self.assertNotIn("priority", header)

    def test_what_the_header_brings(self):
        client = self.client()
        later = reel1.now_us() + 3600_000_000
        client.submit(workflow(workflow_id="later"), provenance={"who": "me"}, priority=-2, not_before_us=later)
        header, _ = client.get("later")
        self.assertEqual(({"who": "me"}, -2, later, "queued"),
                         tuple(header[key] for key in ("provenance", "priority", "not_before_us", "status")))
        event = next(client.events(workflow_id="later"))
        self.assertEqual(("workflow.accepted", -2, later, 1),
                         tuple(event[key] for key in ("kind", "priority", "not_before_us", "index")))

    def test_refusals(self):
        client = self.client()
        self.refused("unknown_command", client.ask, "DANCE")
        self.refused("unknown_workflow", client.get, "none")
        self.refused("unknown_workflow", client.receipt, "none")
        self.refused("unknown_workflow", client.events_page, workflow_id="none")
        client.submit(workflow(step("a", "nobody"), workflow_id="refusals"))
        self.assertEqual("queued", self.refused("not_finished", client.receipt, "refusals", wait_s=0.1).reason)
        for path, command, header in (("/workflow_id", "GET", {}), ("/after", "EVENTS", {}), ("/limit", "LIST", {"limit": "1"}),
                                      ("/priority", "SUBMIT", {"priority": 1.5}), ("/status", "LIST", {"status": "odd"}),
                                      ("/wait_ms", "RECEIPT", {"workflow_id": "a", "wait_ms": -1})):
            document = {"steps": []} if command == "SUBMIT" else None
            self.assertEqual(path, self.refused("malformed", client.ask, command, header, document).path)
        self.refused("malformed", client.ask, "SUBMIT")
        self.refused("malformed", client.ask, "SUBMIT", {}, b"\x82")
        self.refused("too_large", client.ask, "SUBMIT", {}, {"workflow_id": "big", "padding": bytes(16 << 20)})
        with self.stage.socket(zmq.REQ, "client") as raw:
            for code, frames in (("unsupported_version", [b"REEL2", b"PING", b"\x80"]),
                                 ("unknown_command", [b"REEL1", b"ping", b"\x80"]),
                                 ("malformed", [b"HTTP", b"PING", b"\x80"]), ("malformed", [b"REEL1", b"PING", b"\x93"]),
                                 ("malformed", [b"REEL1", b"PING"]), ("malformed", [b"REEL1", b"PING", b"\x80", b"\x80"])):
                raw.send_multipart(frames)
                answer, header, _ = reel1.unframe(raw.recv_multipart())
                self.assertEqual(("ERROR", code), (answer, header["code"]), frames)

    def test_refused_workflows(self):
        deep = {}
        for _ in range(30):
            deep = {"deeper": deep}
        two = [step("a"), step("b", depends_on=["a"])]
        client = self.client()
        for reason, path, steps in (
                ("empty_workflow", "/steps", []),
                ("duplicate_step", "/steps/1/step_id", [step("a"), step("a")]),
                ("missing_dependency", "/steps/0/depends_on/0", [step("a", depends_on=["z"])]),
                ("self_dependency", "/steps/0/depends_on/0", [step("a", depends_on=["a"])]),
                ("cycle", None, [step("a", depends_on=["b"]), step("b", depends_on=["a"])]),
                ("forward_reference", "/steps/0/depends_on/0", [step("a", depends_on=["b"]), step("b")]),
                ("bad_id", "/steps/0/step_id", [step("no good")]),
                ("bad_id", "/steps/0/modality", [step("a", "No Good")]),
                ("bad_type", "/steps/0/payload", [step("a", payload=3)]),
                ("missing_field", "/steps/0", [{"step_id": "a"}]),
                ("bad_reference", "/steps/1/payload/x", [step("a"), step("b", payload={"x": {"$ref": "#/a/output"}})]),
                ("limit_exceeded", None, [step("a", payload=deep)]),
                ("limit_exceeded", None, [step(f"s{i}") for i in range(1001)]),
                ("bad_status", "/steps/0", [{**two[0], "status": "succeeded"}, two[1]])):
            refused = self.refused("invalid_workflow", client.submit, {"steps": steps})
            self.assertEqual(reason, refused.reason, refused)
            if path:
                self.assertTrue(refused.path.startswith(path), f"{reason}: {refused.path}")

    def test_overload_is_no_silence(self):
        stage = harness.Stage()
        self.addCleanup(stage.remove)
        self.addCleanup(stage.close)
        stage.broker("--queue-count-max", "1", "--waits-max", "0")
        client = reel1.Client(stage.context, stage.endpoints["client"])
        client.submit(workflow(step("a", "nobody"), workflow_id="one"))
        self.refused("overloaded", client.submit, workflow(workflow_id="two"))
        self.assertTrue(client.submit(workflow(step("a", "nobody"), workflow_id="one"))["duplicate"])
        client.close()

    def test_many_under_way(self):
        for delimiter in (True, False):
            pipeline = self.pipeline(delimiter=delimiter)
            documents = [workflow(step("a", payload={"n": n}), workflow_id=f"many-{delimiter}-{n}") for n in range(300)]
            submitted = {pipeline.send("SUBMIT", {}, document): document for document in documents}
            waiting = {pipeline.send("RECEIPT", {"workflow_id": document["workflow_id"], "wait_ms": 60000}): document
                       for document in documents}
            wrong = pipeline.send("GET", {"workflow_id": "none"})
            replies = pipeline.gather()
            self.assertEqual("unknown_workflow", replies.pop(wrong).code)
            self.assertEqual(submitted.keys() | waiting.keys(), replies.keys())
            for request_id, document in submitted.items():
                self.assertEqual(document["workflow_id"], replies[request_id][0]["workflow_id"])
            for request_id, document in waiting.items():
                header, receipt = replies[request_id]
                self.assertEqual(("succeeded", document["workflow_id"]), (header["status"], receipt["workflow_id"]))
                self.assertEqual(document["steps"][0]["payload"], receipt["steps"][0]["receipt"]["output"])

    def test_lookups_agree(self):
        client = self.client()
        ids = [client.submit(workflow(workflow_id=f"agree-{n}"))["workflow_id"] for n in range(7)]
        receipts = {one: client.receipt(one, wait_s=60) for one in ids}
        rows = {row["workflow_id"]: row for row in client.list()}
        # Page by page it is the same, newest first.
        self.assertEqual(list(client.list()), list(client.list(limit=2)))
        self.assertEqual(ids[::-1], [row["workflow_id"] for row in client.list(status="succeeded", limit=3)
                                     if row["workflow_id"] in receipts])
        for one, receipt in receipts.items():
            header, document = client.get(one)
            for key in ("status", "submitted_us", "started_us", "finished_us", "deliveries", "origin"):
                self.assertEqual(receipt[key], rows[one][key], key)
            self.assertEqual((receipt["status"], receipt["deliveries"]), (header["status"], header["delivery"]))
            self.assertEqual(receipt["steps"][0]["receipt"], document["steps"][0]["receipt"])
            events = list(client.events(workflow_id=one, limit=2))
            self.assertEqual(header["last_seq"], events[-1]["seq"])
            self.assertLessEqual(events[-1]["seq"], client.events_page(workflow_id=one, limit=1)[0]["last_seq"])
            self.assertEqual(list(range(1, len(events) + 1)), [event["index"] for event in events])
            self.assertEqual(rows[one]["seq"], events[0]["seq"])
            self.assertEqual(receipt["finished_us"], events[-1]["at_us"])
            self.assertEqual(receipt["steps"][0]["receipt"],
                             next(event["receipt"] for event in events if event["kind"] == "step.succeeded"))

    def test_state(self):
        client = self.client()
        ping = client.ping()
        self.assertEqual((True, False), (ping["ready"], ping["paused"]))
        self.assertEqual(1, len(client.workers()))
        before = client.stats()["counters"]["submitted"]
        client.submit(workflow())
        self.assertEqual(before + 1, client.stats()["counters"]["submitted"])
        self.assertEqual(1, client.stats()["gauges"]["workers"])
        # More than there may be is as much as there may be, and nothing is one.
        self.assertEqual(1, client.events_page(limit=1 << 40)[1][0]["seq"])
        header, page = client.events_page(limit=0, workflow_id=client.submit(workflow())["workflow_id"])
        self.assertEqual((1, client.events_page()[0]["last_seq"] >= header["last_seq"]), (len(page), True))


class Following(TestCase):
    """Nothing is missed, nothing comes twice, whatever becomes of the publications."""

    def set_up(self, *options):
        self.stage.broker(*options)
        self.stage.worker("--slots", "4")
        return self.client()

    def run_some(self, client, prefix, count=8):
        ids = [client.submit(workflow(step("a"), step("b", depends_on=["a"]), workflow_id=f"{prefix}-{n}"))["workflow_id"]
               for n in range(count)]
        for one in ids:
            client.receipt(one, wait_s=60)
        return ids

    def drain(self, follower):
        """What the follower gives up to the newest event there is."""
        last = list(self.client().events())[-1]["seq"]
        return follower.until(lambda event: event["seq"] == last)

    def test_live_is_what_is_replayed(self):
        client = self.set_up()
        follower = self.follower(client)
        until(lambda: follower.turn() or follower.beats, "a beat")
        ids = self.run_some(client, "live")
        followed = self.drain(follower)
        self.assertEqual(list(range(1, len(followed) + 1)), [event["seq"] for event in followed])
        self.assertEqual(list(client.events()), followed)
        self.assertEqual((len(followed), 0), (follower.live, follower.gaps))
        until(lambda: follower.turn() or len(follower.receipts) == len(ids), "the final receipts")
        self.assertEqual({one: client.receipt(one) for one in ids}, follower.receipts)

    def test_a_cut_costs_nothing(self):
        client = self.set_up()
        wire = self.through(Wire)
        self.run_some(client, "before", 3)
        kept = list(client.events())
        # From the beginning, from the middle, and one workflow from its second event. None gives up by itself.
        whole = self.follower(client, wire.endpoint, silence_s=3600)
        middle = self.follower(client, wire.endpoint, silence_s=3600, after=kept[9]["seq"])
        client.submit(workflow(step("a", "sleep", {"ms": 1}), workflow_id="one"), not_before_us=reel1.now_us() + 500_000)
        first = next(client.events(workflow_id="one"))
        one = self.follower(client, wire.endpoint, silence_s=3600, after=first["seq"], workflow_id="one")
        followers = (whole, middle, one)
        until(lambda: [follower.turn() for follower in followers] and all(follower.beats for follower in followers), "beats")
        wire.cut()
        beats = [follower.beats for follower in followers]
        self.run_some(client, "missed")
        client.receipt("one", wait_s=60)
        live = whole.live
        wire.mend()
        self.run_some(client, "after", 2)
        every = list(client.events())
        self.assertEqual(every, self.drain(whole))
        self.assertLess(whole.live - live, len(every) - len(kept))
        self.assertEqual([event for event in every if event["seq"] > kept[9]["seq"]], self.drain(middle))
        self.assertEqual([event for event in every if event["workflow_id"] == "one"][1:],
                         one.until(lambda event: event["kind"] in ENDS))
        for follower, before in zip(followers, beats):
            until(lambda f=follower, b=before: f.turn() or f.beats > b, "a beat over the mended wire")
            self.assertFalse(follower.events)

    def test_a_dead_connection_is_noticed(self):
        client = self.set_up()
        wire = self.through(Wire)
        follower = self.follower(client, wire.endpoint, silence_s=2)
        until(lambda: follower.turn() or follower.beats, "a beat")
        wire.stall()
        self.run_some(client, "dark", 2)
        self.assertEqual(list(client.events()), self.drain(follower))
        self.assertGreater(follower.silences, 0)

    def test_loss_and_doubles(self):
        client = self.set_up()
        way = Filter(self.stage.context, self.stage.endpoints["events"])
        self.addCleanup(way.close)
        one = self.follower(client, way.endpoint, workflow_id="odd-3")
        follower = self.follower(client, way.endpoint)
        until(lambda: follower.turn() or follower.beats, "a beat")
        self.run_some(client, "odd", 10)
        self.assertEqual(list(client.events()), self.drain(follower))
        beats = follower.beats
        until(lambda: follower.turn() or follower.beats > beats, "a beat after all that")
        self.assertFalse(follower.events)
        self.assertGreater(follower.gaps, 0)
        self.assertGreater(follower.doubles, 0)
        self.assertGreater(way.lost, 0)
        self.assertEqual(list(client.events(workflow_id="odd-3")), one.until(lambda event: event["kind"] in ENDS))

    def test_a_restart_in_the_middle(self):
        client = self.set_up()
        client.patience_s = 0.3
        follower = self.follower(client)
        until(lambda: follower.turn() or follower.beats, "a beat")
        pipeline = self.pipeline(patience_s=0.5)
        documents = [workflow(step("a"), workflow_id=f"restart-{n}") for n in range(60)]
        sent = [pipeline.send("SUBMIT", {}, document) for document in documents[:30]]
        found = follower.until(lambda event: event["kind"] in ENDS)
        epoch = client.ping()["epoch"]
        self.stage.processes[0].kill()
        # Nothing is known of what is not answered: it may be asked again only if it can be told to be the same.
        with self.assertRaises(reel1.Unanswered):
            self.client(patience_s=0.1).submit(workflow())
        sent += [pipeline.send("SUBMIT", {}, document) for document in documents[30:]]
        patient = self.client(patience_s=0.2)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            late = pool.submit(patient.submit, reel1.name(workflow()))
            until(lambda: patient.count, "the question")
            self.stage.broker()
            self.assertEqual("queued", late.result(60)["status"])
        replies = pipeline.gather()
        self.assertEqual([document["workflow_id"] for document in documents],
                         [replies[request_id][0]["workflow_id"] for request_id in sent])
        for document in documents:
            self.assertEqual("succeeded", client.receipt(document["workflow_id"], wait_s=60)["status"])
        self.assertEqual(61, len(list(client.list())))
        self.assertGreater(client.ping()["epoch"], epoch)
        until(lambda: not client.stats()["gauges"]["running"] + client.stats()["gauges"]["queued"], "the end of all")
        self.assertEqual(list(client.events()), found + self.drain(follower))

    def test_another_journal_is_noticed(self):
        client = self.set_up()
        follower = self.follower(client)
        self.run_some(client, "gone", 1)
        self.drain(follower)
        self.stage.processes[0].kill()
        self.stage.broker(data="other")
        with self.assertRaises(reel1.Incomplete):
            follower.next()


class Working(TestCase):
    """A worker that knows nothing but the text."""

    def set_up(self, *options):
        self.stage.broker(*options)
        return self.client()

    def worker(self, name, adapters, **options):
        worker = reel1.Worker(self.stage.context, self.stage.endpoints["worker"], name, adapters, **options)
        self.addCleanup(worker.close)
        return worker

    def serve(self, worker):
        """Runs the worker to the end of the test."""
        stop = threading.Event()
        thread = threading.Thread(target=worker.serve, args=(stop.is_set,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        return stop, thread

    def assigned(self, worker):
        """The next lease that the worker gets."""
        before = set(worker.leases)
        return worker.leases[until(lambda: worker.turn() and set(worker.leases) - before, "an assignment").pop()]

    def settle(self, worker, held):
        until(lambda: (worker.turn(), not held.kept)[1], "the acknowledgement")

    def test_workflows(self):
        client = self.set_up()

        def fail(payload, _):
            raise ValueError(payload["why"])
        worker = self.worker("python", {"add": lambda payload, _: {"sum": sum(payload["of"])}, "break": fail}, slots=2)
        stop, thread = self.serve(worker)
        self.stage.worker()
        client.submit(workflow(
            step("a", "add", {"of": [1, 2]}), step("b", "echo", {"got": {"$ref": "#/a/output/sum"}}, depends_on=["a"]),
            step("c", "add", {"of": [{"$ref": "#/b/output/got"}, {"$ref": "#/a/output/sum"}]}, depends_on=["a", "b"]),
            step("d", "echo", {"all": {"$ref": "#/c/output"}, "kept": {"$$ref": 1}}, depends_on=["c"]),
            workflow_id="mixed", global_provenance={"lab": "x", "who": "nobody"}), provenance={"who": "me"})
        receipt = client.receipt("mixed", wait_s=60)
        self.assertEqual("succeeded", receipt["status"], receipt)
        outputs = {one["step_id"]: one["receipt"]["output"] for one in receipt["steps"]}
        self.assertEqual({"a": {"sum": 3}, "b": {"got": 3}, "c": {"sum": 6}, "d": {"all": {"sum": 6}, "kept": {"$ref": 1}}},
                         outputs)
        # Both workers say the same of where it comes from.
        for one in receipt["steps"]:
            self.assertEqual({"lab": "x", "who": "me", "workflow_id": "mixed", "workflow_step_id": one["step_id"]},
                             one["receipt"]["provenance"])
            self.assertEqual(f"mixed/{one['step_id']}", one["receipt"]["idempotency_key"])
        client.submit(workflow(step("a", "break", {"why": "because"}), step("b", "add", {"of": []}, depends_on=["a"]),
                               step("c", "add", {"of": [5]}), workflow_id="broken"))
        receipt = client.receipt("broken", wait_s=60)
        self.assertEqual(["failed", "skipped", "succeeded"], [one["status"] for one in receipt["steps"]])
        self.assertEqual(("failed", "because"), (receipt["status"], receipt["steps"][0]["error"]["message"]))
        self.assertEqual(([], []), (worker.fenced, worker.errors))
        # It leaves at once, not after a silence.
        stop.set()
        thread.join()
        until(lambda: "python" not in [row["name"] for row in client.workers()], "the leave", 5)

    def test_every_event_once(self):
        client = self.set_up()
        follower = self.follower(client)
        until(lambda: follower.turn() or follower.beats, "a beat")
        worker = self.worker("python", {"by-hand": None})
        client.submit(workflow(step("a", "by-hand"), workflow_id="once"))
        held = self.assigned(worker)
        self.assertEqual(("once", 1), (held.assignment["workflow_id"], held.assignment["delivery"]))
        started = {"kind": "step.started", "step_id": "a", "attempt": 1, "idempotent": True}
        worker.report(held, started)
        kept = list(held.kept)
        self.settle(worker, held)
        worker.report_progress(held, step_id="a", fraction=0.5)
        for index, events in ((1, kept), (7, kept)):  # again; beyond a gap
            worker.send("REPORT", {"lease": held.lease, "report_index": index}, events)
            self.assertEqual(1, until(lambda: next((header["report_index"] for command, header in [worker.turn() or ("", {})]
                                                    if command == "ACK"), None), "the acknowledgement"))
        worker.heartbeat()
        until(lambda: (worker.turn() or [""])[0] == "HEARTBEAT", "the echo")
        # Said, but never heard: the connection is lost, and the next one makes good for it.
        held.add([{"at_us": reel1.now_us(), "kind": "step.checkpoint", "step_id": "a", "checkpoint": {"at": 3}}])
        worker.connect()
        self.settle(worker, held)
        worker.report(held, {"kind": "step.retrying", "step_id": "a", "delay_ms": 0,
                             "error": {"code": "again", "message": "m", "retryable": True}},
                      {**started, "attempt": 2}, {"kind": "step.succeeded", "step_id": "a", "receipt": {"output": {}}},
                      {"kind": "workflow.ended"})
        self.settle(worker, held)
        self.assertEqual([], worker.fenced)
        followed = follower.until(lambda event: event["kind"] in ENDS)
        self.assertEqual(["workflow.accepted", "workflow.assigned", "step.started", "step.checkpoint", "step.retrying",
                          "step.started", "step.succeeded", "workflow.succeeded"], [event["kind"] for event in followed])
        self.assertEqual([("step.progress", 0.5)], [(event["kind"], event["fraction"]) for event in follower.progress])

    def test_a_lost_worker(self):
        client = self.set_up("--lease-ms", "500", "--heartbeat-ms", "100")
        first = self.worker("first", {"by-hand": None})
        client.submit(workflow(step("a", "by-hand"), workflow_id="lost"))
        held = self.assigned(first)
        first.report(held, {"kind": "step.started", "step_id": "a", "attempt": 1, "idempotent": True},
                     {"kind": "step.checkpoint", "step_id": "a", "checkpoint": {"at": 3}})
        self.settle(first, held)
        second = self.worker("second", {"by-hand": lambda payload, step: {}})  # pylint: disable=redefined-outer-name
        got = self.assigned(second)
        self.assertEqual((2, {"at": 3}, 1), tuple(got.assignment[key] for key in ("delivery", "checkpoint", "attempts")))
        second.execute(got)
        got.over = True
        until(lambda: (second.turn(), not second.leases)[1], "the end")
        # Too late: what it says changes nothing.
        first.report(held, {"kind": "step.failed", "step_id": "a", "error": "late"})
        until(lambda: (first.turn(), first.fenced)[1], "the fence")
        self.assertEqual(held.lease, first.fenced[0]["lease"])
        self.assertFalse(first.leases)
        receipt = client.receipt("lost")
        self.assertEqual(("succeeded", 2), (receipt["status"], receipt["deliveries"]))
        self.assertEqual(2, receipt["steps"][0]["receipt"]["attempts"])

    def test_a_contradiction_and_strangers(self):
        client = self.set_up()
        stranger = reel1.dealer(self.stage.context, self.stage.endpoints["worker"])
        self.addCleanup(stranger.close)
        stranger.send_multipart(reel1.frames("HEARTBEAT", {"leases": [], "sent_us": 1}))
        self.assertEqual("WHO", reel1.unframe(stranger.recv_multipart())[0])
        stranger.send_multipart(reel1.frames("READY", {"name": "x"}))
        command, header, _ = reel1.unframe(stranger.recv_multipart())
        self.assertEqual(("ERROR", "malformed", "/slots"), (command, header["code"], header["path"]))
        worker = self.worker("python", {"by-hand": None})
        client.submit(workflow(step("a", "by-hand"), workflow_id="odd"))
        held = self.assigned(worker)
        worker.report(held, {"kind": "step.succeeded", "step_id": "a", "receipt": {}})
        again = self.assigned(worker)
        self.assertEqual("contradiction", worker.fenced[0]["error"]["code"])
        self.assertEqual(2, again.assignment["delivery"])


if __name__ == "__main__":
    unittest.main()
