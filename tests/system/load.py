"""Work under way while things go wrong, and what must be true of it in the end.

    load = Load(stage, random.Random(seed))
    load.worker()                   # any number, of three kinds
    while ...:
        load.submit(5)
        load.attend(0.1)            # takes answers in, resolves what is held
        ...                         # kill somebody, cut a cable
    load.finish(test)               # everything ends; then all promises are checked

Each `paid` step (not idempotent) and each `free` one (idempotent) notes its effect in a ledger, by one write to a file
opened with O_APPEND, before it takes its time. What may be there twice, and what may not, follows from the events.
"""
import collections
import os
import threading
import time

import msgpack
import zmq

from harness import step, until

EFFECT = """#!/bin/sh
echo "$REEL_IDEMPOTENCY_KEY $REEL_DELIVERY $REEL_ATTEMPT" >>"$1"
sleep "$2"
echo '{}'
"""
EXEC = """
    {modality}
        adapter = exec
        command = "{directory}/effect"
        argument = "{directory}/ledger"
        argument = "{{payload/s}}"
        class = {kind}
        grace_ms = 200
"""
ECHO = """
    echo
        adapter = echo
"""
FINAL = ("workflow.succeeded", "workflow.failed", "workflow.cancelled")


class Listener(threading.Thread):
    """Keeps every event and receipt that is published, through restarts of the broker."""

    def __init__(self, stage, endpoint=None):
        super().__init__(daemon=True)
        self.socket = stage.context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.rcvtimeo = 100
        self.socket.subscribe("")
        self.socket.connect(endpoint or stage.endpoints["events"])
        self.seen, self.receipts, self.beats, self.doubles = {}, {}, 0, []
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                topic, body = self.socket.recv_multipart()
            except zmq.Again:
                continue
            if topic == b"beat":
                self.beats += 1
            elif topic.startswith(b"receipt/"):
                self.receipts.setdefault(topic[8:].decode(), []).append(body)
            else:
                event = msgpack.unpackb(body)
                if "seq" in event and event["seq"] in self.seen:
                    self.doubles.append(event["seq"])
                if "seq" in event:
                    self.seen[event["seq"]] = event
        self.socket.close(0)

    def stop(self):
        self.over.set()
        self.join()


def check_history(test, events):
    """Gap-free over the broker and over each workflow, one end for each, one outcome for each step. Gives the ends."""
    test.assertEqual(list(range(1, len(events) + 1)), [event["seq"] for event in events])
    indexes, ends, outcomes = {}, {}, set()
    for event in events:
        workflow_id, kind = event["workflow_id"], event["kind"]
        indexes[workflow_id] = indexes.get(workflow_id, 0) + 1
        test.assertEqual(indexes[workflow_id], event["index"])
        test.assertNotIn(workflow_id, ends, "an event after the end")
        if kind in FINAL:
            ends[workflow_id] = event
        if kind in ("step.succeeded", "step.failed", "step.skipped"):
            test.assertNotIn((workflow_id, event["step_id"]), outcomes, "a second outcome")
            outcomes.add((workflow_id, event["step_id"]))
    return ends


class Load:
    """Endpoints other than the broker's own lead through somebody who may do harm."""

    def __init__(self, stage, dice, endpoints=None, live_max=24):
        self.stage, self.dice, self.live_max = stage, dice, live_max
        self.through = {**stage.endpoints, **(endpoints or {})}
        stage.file("effect", EFFECT).chmod(0o755)
        self.socket = None
        self._connect()
        self.listener = Listener(stage, self.through["events"])
        until(lambda: self.listener.beats, "the first beat")
        self.sent, self.acknowledged = {}, set()
        self.replies = collections.Counter()
        self.workers = 0

    def _connect(self):
        if self.socket is not None:
            self.socket.close(0)
        self.socket = self.stage.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(self.through["client"])

    def reconnect(self):
        """Asks again for what was not answered, over another connection."""
        self._connect()
        for workflow_id, document in self.sent.items():
            if workflow_id not in self.acknowledged:
                self._say(b"SUBMIT", {"request_id": workflow_id}, msgpack.packb(document))

    def close(self):
        self.socket.close(0)
        self.listener.stop()

    # --- work ---------------------------------------------------------------------------------------

    def worker(self, kind=None, wait=False):
        """One that serves everything, or everything but what is paid, or only what is paid."""
        kind = self.workers % 3 if kind is None else kind
        self.workers += 1
        parts = [ECHO] if kind != 2 else []
        parts += [EXEC.format(modality="free", kind="idempotent", directory=self.stage.directory)] if kind != 2 else []
        parts += [EXEC.format(modality="paid", kind="neither", directory=self.stage.directory)] if kind != 1 else []
        worker = self.stage.worker("--slots", "4", config="modality" + "".join(parts), wait=wait,
                                   endpoint=self.through["worker"])
        worker.kind = kind
        return worker

    def _step(self, number):
        payload = {"s": f"{self.dice.choice((0, 0, 0.01, 0.05, 0.2))}"}
        modality = self.dice.choice(("paid", "paid", "free", "echo"))
        more = {}
        if modality == "paid" and self.dice.random() < 0.6:
            more = {"policy": {"in_doubt": self.dice.choice(("retry", "fail"))}}
        return step(f"s{number}", modality, payload, **more)

    def submit(self, count):
        """Sends so many more, as far as there are not too many under way."""
        for _ in range(min(count, self.live_max - self.live())):
            workflow_id = f"w{len(self.sent)}"
            document = {"workflow_id": workflow_id,
                        "steps": [self._step(n) for n in range(self.dice.randrange(1, 4))]}
            self.sent[workflow_id] = document
            self._say(b"SUBMIT", {"request_id": workflow_id}, msgpack.packb(document))

    def live(self):
        gauges = self.stage.ask(b"STATS")[1]["gauges"]
        return gauges["queued"] + gauges["running"] + gauges["held"]

    def _say(self, command, header, *document):
        self.socket.send_multipart([b"REEL1", command, msgpack.packb(header), *document], copy=False)

    def attend(self, seconds):
        """Reads answers for that long. Whatever is held by then is resolved, one way or the other."""
        end = time.monotonic() + seconds
        self._say(b"LIST", {"request_id": 0, "status": "held"})
        while (left := end - time.monotonic()) > 0:
            if self.socket.poll(1000 * left):
                self._take(self.socket.recv_multipart())

    def _take(self, frames):
        header = msgpack.unpackb(frames[2])
        asked = header["request_id"]
        self.replies[frames[1].decode() + " " + header.get("code", "")] += 1
        if frames[1] == b"OK" and isinstance(asked, str):
            self.acknowledged.add(asked)
        for row in header.get("workflows", ()):
            self._say(b"GET", {"request_id": 1, "workflow_id": row["workflow_id"]})
        if asked == 1 and header.get("status") == "held":
            self._resolve(header["workflow_id"], msgpack.unpackb(frames[3]))

    def _resolve(self, workflow_id, document):
        doubtful = next(one["step_id"] for one in document["steps"] if one.get("status") == "running")
        outcome = self.dice.choice(("retry", "retry", "failed", "succeeded"))
        receipt = {"receipt": {"output": {"by": "hand"}}} if outcome == "succeeded" else {}
        self._say(b"RESOLVE", {"request_id": 2, "workflow_id": workflow_id, "step_id": doubtful, "as": outcome, **receipt})

    # --- the end ------------------------------------------------------------------------------------

    def finish(self, test, deadline_s=60):
        """Nothing goes wrong any more: everything that was accepted ends. Then all promises are checked."""
        self._connect()
        end = time.monotonic() + deadline_s
        while self.live():
            test.assertLess(time.monotonic(), end, f"still under way: {self.stage.ask(b'LIST', {'limit': 50})}")
            self.attend(0.1)
        beats = self.listener.beats
        until(lambda: self.listener.beats > beats, "another beat")
        self.listener.stop()
        self.check(test)

    def check(self, test):
        events = self.stage.events()
        ends = check_history(test, events)
        accepted = {event["workflow_id"] for event in events if event["kind"] == "workflow.accepted"}
        test.assertLessEqual(self.acknowledged, accepted, "lost")
        test.assertLessEqual(accepted, set(self.sent))
        test.assertEqual(accepted, set(ends), "not ended")
        test.assertEqual([], self.listener.doubles, "published twice")
        kept = {event["seq"]: event for event in events}
        test.assertGreater(len(self.listener.seen), 0)
        for seq, event in self.listener.seen.items():
            test.assertEqual(kept.get(seq), event, "published, but not kept")
        histories = collections.defaultdict(list)
        for event in events:
            histories[event["workflow_id"]].append(event)
        effects = collections.defaultdict(list)
        for line in self.ledger():
            key, delivery, attempt = line.split()
            effects[key].append((int(delivery), int(attempt)))
        for workflow_id, history in histories.items():
            for one in self.sent[workflow_id]["steps"]:
                if one["modality"] != "echo":
                    self._check_step(test, one, history, effects.pop(f"{workflow_id}/{one['step_id']}", []))
        test.assertEqual({}, effects, "effects of nobody's steps")

    @staticmethod
    def _check_step(test, one, history, effects):
        mine = [event for event in history if event.get("step_id") == one["step_id"]]
        kinds = [event["kind"] for event in mine]
        where = f"{mine[0]['workflow_id'] if mine else ''}: {kinds}, effects (delivery, attempt) {effects}"
        starts = kinds.count("step.started")
        by_hand = [event["as"] for event in mine if event["kind"] == "workflow.resolved"]
        delivery = 0
        for event in history:
            delivery = event.get("delivery", delivery)
            if event["kind"] in ("step.succeeded", "step.failed") and event.get("step_id") == one["step_id"]:
                break
        if one["modality"] == "paid":
            policy = one.get("policy", {}).get("in_doubt", "hold")
            allowed = starts if policy == "retry" else 1 + by_hand.count("retry")
            test.assertLessEqual(len(effects), allowed, f"paid twice: {where}")
            test.assertLessEqual(len(effects), starts, f"paid before it was known: {where}")
            test.assertEqual(len(effects), len(set(effects)), f"the same attempt twice: {where}")
        if "step.succeeded" in kinds and "succeeded" not in by_hand:
            test.assertGreater(len(effects), 0, f"succeeded without an effect: {where}")
        test.assertLessEqual(max((d for d, _ in effects), default=0), delivery, f"done again after its end: {where}")

    def ledger(self):
        path = self.stage.directory / "ledger"
        return path.read_text(encoding="ascii").splitlines() if os.path.exists(path) else []
