"""`reel` when things go wrong: refusals of every kind, replies that never come or make no sense, lost
connections, lost publications, and a broker that is killed and comes back."""
import json
import signal
import threading
import unittest

import msgpack
import zmq

import harness
from harness import step, workflow

EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_SOFTWARE, EX_TEMPFAIL, EX_PROTOCOL, EX_NOPERM = 65, 66, 69, 70, 75, 76, 77


class FakeBroker:
    """A broker that answers as it is told: `answer(command, header, document)` gives the frames after the protocol name
    and command, or None for silence. What it was asked is in `asked`."""

    def __init__(self, answer, publish=None):
        self.asked = []
        self.answer = answer
        self.publish = publish
        self.context = zmq.Context()
        self.client, self.events = self.context.socket(zmq.ROUTER), self.context.socket(zmq.XPUB)
        self.endpoints = {}
        for name, socket in (("client", self.client), ("events", self.events)):
            socket.linger = 0
            socket.bind("tcp://127.0.0.1:*")
            self.endpoints[name] = socket.last_endpoint.decode()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        poller = zmq.Poller()
        poller.register(self.client, zmq.POLLIN)
        poller.register(self.events, zmq.POLLIN)
        while not self.stopping.is_set():
            for socket, _ in poller.poll(20):
                frames = socket.recv_multipart()
                if socket is self.events:
                    if frames[0] == b"\x01beat" and self.publish:
                        self.publish(self)
                    continue
                peer, _, command, header, *document = frames
                header = msgpack.unpackb(header)
                self.asked.append((command.decode(), header, document[0] if document else None))
                reply = self.answer(command.decode(), header, document[0] if document else None)
                if reply is not None:
                    self.client.send_multipart([peer, *reply])

    def send(self, topic, event):
        self.events.send_multipart([topic.encode(), msgpack.packb(event)])

    def close(self):
        self.stopping.set()
        self.thread.join()
        self.context.destroy(0)


def reply(command, header, *document, request):
    return [b"REEL1", command, msgpack.packb({**header, "request_id": request["request_id"]}),
            *(msgpack.packb(each) for each in document)]


class Scripted(harness.TestCase):
    shared = True

    def broker(self, answer, publish=None):
        fake = FakeBroker(answer, publish)
        self.addCleanup(fake.close)
        self.stage.endpoints = fake.endpoints
        return fake

    def reel(self, *arguments, code, **more):
        done = self.stage.reel(*arguments, **more)
        self.assertEqual(code, done.code, done)
        return done

    def test_every_refusal_has_its_exit_code(self):
        refusal = {}
        self.broker(lambda _, header, __: reply(b"ERROR", refusal, request=header))
        for name, code in (("malformed", EX_DATAERR), ("invalid_workflow", EX_DATAERR), ("too_large", EX_DATAERR),
                           ("conflict", EX_DATAERR), ("bad_state", EX_DATAERR), ("unknown_workflow", EX_NOINPUT),
                           ("unknown_step", EX_NOINPUT), ("not_finished", EX_TEMPFAIL), ("overloaded", EX_TEMPFAIL),
                           ("draining", EX_TEMPFAIL), ("forbidden", EX_NOPERM), ("unsupported_version", EX_PROTOCOL),
                           ("unknown_command", EX_PROTOCOL), ("internal", EX_SOFTWARE), ("of_the_future", EX_SOFTWARE)):
            refusal = {"code": name, "message": "what to do\x1b[2J", "reason": "cycle", "path": "/steps/0"}
            done = self.reel("get", "x", code=code)
            self.assertEqual(f"reel: x: {name}/cycle at /steps/0: what to do\\x1b[2J\n", done.err)

    def test_silence_is_a_timeout(self):
        self.broker(lambda *_: None)
        done = self.reel("ping", "--timeout-ms", "200", code=EX_TEMPFAIL)
        self.assertRegex(done.err, "^reel: timeout: the broker at .* did not answer within 200 ms\n$")

    def test_silence_leaves_a_submission_open(self):
        self.broker(lambda *_: None)
        path = self.stage.file("w.json", workflow())
        done = self.reel("submit", "--timeout-ms", "200", path, path, code=EX_TEMPFAIL)
        self.assertRegex(done.err, "(?m)^reel: .*: it is not known whether it was accepted; submitting it again with "
                                   "--id [0-9a-f-]{36} is safe$")
        self.assertEqual(1, done.err.count("timeout"), "the second one was not tried")

    def test_nonsense_is_a_protocol_error(self):
        nonsense = (
            lambda header: [b"REEL1", b"OK", b"\xc1"],
            lambda header: [b"REEL1", b"OK", b""],
            lambda header: [b"HTTP/1.1", b"OK", b"\x80"],
            lambda header: [b"hello"],
            lambda header: reply(b"OK", {"version": 7, "epoch": 1, "ready": True, "paused": False}, request=header),
            lambda header: reply(b"OK", {}, request=header),
            lambda header: reply(b"WELCOME", {}, request=header),
        )
        for make in nonsense:
            self.broker(lambda _, header, __, make=make: make(header))
            self.reel("ping", code=EX_PROTOCOL)
        self.broker(lambda _, header, __: reply(b"OK", {"workflow_id": "x", "status": "queued", "delivery": 0, "last_seq": 1},
                                                request=header) + [b"\xdd\x10\x00\x00\x00"])
        self.reel("get", "x", code=EX_PROTOCOL)

    def test_replies_to_others_are_dropped(self):
        pong = {"version": "1", "epoch": 1, "ready": True, "paused": False}

        def answer(_, header, __):
            peer = fake.asked[-1]
            self.assertEqual("PING", peer[0])
            return reply(b"OK", pong, request={"request_id": 999}) if len(fake.asked) < 2 else None
        fake = self.broker(answer)
        self.reel("ping", "--timeout-ms", "200", code=EX_TEMPFAIL)

    def test_a_page_of_a_list_may_be_empty(self):
        row = {"workflow_id": "w", "status": "succeeded", "seq": 3, "submitted_us": 1, "started_us": None, "finished_us": 2,
               "deliveries": 0, "origin": None}
        pages = {0: ([], 900), 900: ([], 500), 500: ([row], 3), 3: ([], 3)}  # the last one leads nowhere

        def answer(_, header, __):
            rows, following = pages[header.get("after", 0)]
            return reply(b"OK", {"workflows": rows, "next": following}, request=header)
        self.broker(answer)
        self.assertEqual([row], self.reel("list", "--status", "succeeded", "--all", code=0).rows)

    def test_not_ready_is_said(self):
        self.broker(lambda _, header, __: reply(b"OK", {"version": "1", "epoch": 1, "ready": False, "paused": False},
                                                request=header))
        self.assertFalse(self.reel("ping", code=EX_TEMPFAIL).rows[0]["ready"])

    # --- following ------------------------------------------------------------------------------

    def journal(self, count):
        return [{"seq": n, "index": n, "at_us": n, "kind": "step.started", "workflow_id": "w", "step_id": "s"}
                for n in range(1, count + 1)]

    def page(self, events, header):
        after, limit = header["after"], min(header.get("limit", 3), 3)
        page = [event for event in events if event["seq"] > after][:limit]
        end = page[-1]["seq"] if page else after
        return reply(b"OK", {"first_seq": 1, "last_seq": len(events), "next": end, "more": end < len(events)}, page,
                     request=header)

    def follow(self, events, publish):
        """Follows until the last event has come; gives the seqs as they came."""
        self.broker(lambda _, header, __: self.page(events, header), publish)
        following = self.stage.start_reel("events", "--follow")
        seqs = []
        while len(seqs) < len(events):
            seqs.append(json.loads(following.line())["seq"])
        following.signal(signal.SIGINT)
        self.assertEqual(130, following.wait().code)
        return seqs

    def test_lost_publications_are_replayed(self):
        events = self.journal(20)

        def publish(fake):
            for event in events:
                if event["seq"] % 4 != 1:  # 1, 5, 9, 13, 17 are lost
                    fake.send("event/w/step.started", event)
                    fake.send("event/w/step.started", event)
            fake.send("beat", {"seq": 20, "epoch": 1, "at_us": 1})
        self.assertEqual(list(range(1, 21)), self.follow(events, publish))

    def test_beat_shows_the_loss_of_the_last(self):
        events = self.journal(5)

        def publish(fake):
            events.append({**events[0], "seq": 6, "index": 6})  # kept after the first replay, never published
            fake.send("beat", {"seq": 6, "epoch": 1, "at_us": 1})
        self.broker(lambda _, header, __: self.page(events, header), publish)
        following = self.stage.start_reel("events", "--follow")
        self.assertEqual(list(range(1, 7)), [json.loads(following.line())["seq"] for _ in range(6)])
        following.signal(signal.SIGTERM)
        following.wait()

    def test_another_history_ends_the_following(self):
        events = self.journal(8)

        def publish(fake):
            del events[2:]
            fake.send("beat", {"seq": 2, "epoch": 2, "at_us": 1})
        fake = self.broker(lambda _, header, __: self.page(events, header),
                           lambda fake: fake.send("beat", {"seq": 8, "epoch": 1, "at_us": 1}))
        following = self.stage.start_reel("events", "--follow")
        for _ in range(8):
            following.line()
        harness.until(lambda: len(fake.asked) >= 4, "the asking after the first beat")
        fake.publish = None
        del events[2:]
        # The follower asks by itself when it hears nothing.
        done = following.wait()
        self.assertEqual(EX_PROTOCOL, done.code, done)
        self.assertIn("journal_replaced", done.err)

    def test_pruned_events_are_mentioned(self):
        events = self.journal(10)[6:]

        def answer(_, header, __):
            page = [event for event in events if event["seq"] > header["after"]]
            return reply(b"OK", {"first_seq": 7, "last_seq": 10, "next": 10, "more": False}, page, request=header)
        self.broker(answer)
        following = self.stage.start_reel("events", "--follow", "--after", "2")
        self.assertEqual([7, 8, 9, 10], [json.loads(following.line())["seq"] for _ in range(4)])
        following.signal(signal.SIGINT)
        self.assertIn("reel: 4 events are no longer kept by the broker\n", following.wait().err)


class Restarts(harness.TestCase):
    def test_submit_is_sent_again_over_the_next_connection(self):
        """The first broker takes the request in and dies; the second, at the same endpoint, gets it again."""
        first = FakeBroker(lambda *_: None)
        self.stage.endpoints = first.endpoints
        path = self.stage.file("w.json", workflow())
        submitting = self.stage.start_reel("submit", path)
        harness.until(lambda: first.asked, "the first request")
        first.close()
        endpoints = {**first.endpoints, "worker": "tcp://127.0.0.1:*"}
        self.stage.broker(endpoints=endpoints)
        done = submitting.wait()
        self.assertEqual(0, done.code, done)
        (row,) = done.rows
        (_, _, document), = first.asked
        self.assertEqual(msgpack.unpackb(document)["workflow_id"], row["workflow_id"])
        self.assertFalse(row["duplicate"])

    def test_watching_outlives_the_broker(self):
        broker = self.stage.broker()
        workflow_id = self.stage.submit(workflow(step("one"), step("two")))
        watching = self.stage.start_reel("watch", workflow_id)
        self.assertEqual("workflow.accepted", json.loads(watching.line())["kind"])
        broker.kill()
        self.stage.broker()
        self.stage.worker()
        done = watching.wait()
        self.assertEqual(0, done.code, done)
        *events, receipt = done.rows
        self.assertEqual([event["seq"] for event in self.stage.events(workflow_id)][1:], [event["seq"] for event in events])
        self.assertEqual("succeeded", receipt["status"])

    def test_waiting_outlives_the_broker(self):
        broker = self.stage.broker()
        workflow_id = self.stage.submit(workflow())
        waiting = self.stage.start_reel("receipt", "--wait", workflow_id)
        harness.until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["waits"], "the wait")
        broker.kill()
        self.stage.broker()
        self.stage.worker()
        done = waiting.wait()
        self.assertEqual((0, "succeeded"), (done.code, done.rows[0]["status"]))

    def test_following_everything_through_kills(self):
        broker = self.stage.broker()
        worker = self.stage.worker()
        following = self.stage.start_reel("events", "--follow")
        ids = []
        for _ in range(3):
            ids += [self.stage.submit(workflow(step("a"), step("b"))) for _ in range(10)]
            for workflow_id in ids:
                self.stage.receipt(workflow_id)
            broker.kill()
            broker = self.stage.broker()
        worker.stop()
        expected = len(self.stage.events())
        seqs = []
        while len(seqs) < expected:
            event = json.loads(following.line())
            if "seq" in event:
                seqs.append(event["seq"])
        following.signal(signal.SIGINT)
        self.assertEqual(130, following.wait().code)
        self.assertEqual(list(range(1, expected + 1)), seqs)

    def test_giving_up_on_a_broker_that_stays_away(self):
        broker = self.stage.broker()
        workflow_id = self.stage.submit(workflow())
        watching = self.stage.start_reel("watch", "--timeout-ms", "500", workflow_id)
        watching.line()
        broker.kill()
        done = watching.wait()
        self.assertEqual(EX_UNAVAILABLE, done.code, done)
        self.assertRegex(done.err, f"reel: {workflow_id}: unreachable: ")

    def test_wait_outlasts_a_broker_that_ends(self):
        """It is told `draining`, and asks the next one."""
        broker = self.stage.broker()
        self.stage.submit(workflow(workflow_id="w"))
        waiting = self.stage.start_reel("receipt", "--wait", "w")
        harness.until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["waits"], "it waits")
        self.assertEqual(0, broker.stop())
        self.stage.broker()
        self.stage.worker()
        done = waiting.wait()
        self.assertEqual((0, "succeeded"), (done.code, done.rows[-1]["status"]), done)

    def test_overloaded_broker(self):
        self.stage.broker("--queue-count-max", "1")
        path = self.stage.file("w.json", workflow())
        self.assertEqual(0, self.stage.reel("submit", path).code)
        done = self.stage.reel("submit", path)
        self.assertEqual(EX_TEMPFAIL, done.code, done)
        self.assertRegex(done.err, f"^reel: {path}: overloaded: ")

    def test_too_large(self):
        self.stage.broker()
        path = self.stage.file("big.msgpack", msgpack.packb(workflow(step("a", "echo", {"x": b"\x00" * (16 << 20)}))))
        done = self.stage.reel("submit", path)
        self.assertEqual(EX_DATAERR, done.code, done)
        self.assertRegex(done.err, f"^reel: {path}: too_large: ")


if __name__ == "__main__":
    unittest.main()
