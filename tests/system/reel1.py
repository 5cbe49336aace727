"""REEL1 as someone writes it who has the text of proto/README.md, Python, pyzmq and msgpack, and nothing else.

It shows that the text is enough: `Client` asks one thing at a time (REQ), `Pipeline` many at once (DEALER),
`Follower` gives every event once and in order whatever becomes of the subscription, `Worker` executes workflows.
test_reel1.py runs them against the real programs. Nothing of the project's own code is used here.
"""
import os
import time
import uuid
from collections import deque

import msgpack
import zmq

PROTOCOL = b"REEL1"
# How long one wait for a reply takes before the question is put again on a new socket.
PATIENCE_S = 5


class Refused(Exception):
    """The broker's ERROR."""

    def __init__(self, header):
        super().__init__(f"{header['code']}: {header['message']}")
        self.code, self.message = header["code"], header["message"]
        self.reason, self.path = header.get("reason"), header.get("path")
        self.request_id = header.get("request_id")


class Unanswered(Exception):
    """No reply came; whether the request was heard is not known."""


class Incomplete(Exception):
    """Events that were asked for are not kept any more, or the broker has another journal than before."""


def frames(command, header, document=None):
    """A message without delimiter. Bytes are a document that is packed already."""
    message = [PROTOCOL, command.encode(), msgpack.packb(header)]
    if document is not None:
        message.append(document if isinstance(document, bytes) else msgpack.packb(document))
    return message


def unframe(message):
    """Command, header, document."""
    protocol, command, header, *document = message[1:] if message[0] == b"" else message
    if protocol != PROTOCOL:
        raise ValueError(f"not REEL1: {protocol!r}")
    return command.decode(), msgpack.unpackb(header), msgpack.unpackb(document[0]) if document else None


def present(**fields):
    """The fields that are given: absent and nil are the same."""
    return {name: value for name, value in fields.items() if value is not None}


def now_us():
    return time.time_ns() // 1000


def dealer(context, endpoint, kind=zmq.DEALER):
    socket = context.socket(kind)
    socket.linger = 0
    socket.connect(endpoint)
    return socket


class Client:
    """One request at a time. A reply that does not come is asked for again, where that is safe."""

    def __init__(self, context, endpoint, patience_s=PATIENCE_S, deadline_s=60):
        self.context, self.endpoint = context, endpoint
        self.patience_s, self.deadline_s = patience_s, deadline_s
        self.socket = None
        self.count = 0

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None

    def ask(self, command, header=None, document=None, wait_s=0, repeat=True, deadline_s=None):
        """The header and the document of the OK. `wait_s`: how long the broker was asked to take."""
        end = time.monotonic() + (self.deadline_s if deadline_s is None else deadline_s) + wait_s
        self.count += 1
        request = frames(command, {**(header or {}), "request_id": self.count}, document)
        while True:
            self.socket = self.socket or dealer(self.context, self.endpoint, zmq.REQ)
            self.socket.send_multipart(request)
            patience_s = min(self.patience_s + wait_s, max(end - time.monotonic(), 0))
            if self.socket.poll(1000 * patience_s):
                break
            # A REQ that waits for a reply is of no use for anything else; a late reply goes with it.
            self.close()
            if not repeat or time.monotonic() >= end:
                raise Unanswered(command)
        answer, header, document = unframe(self.socket.recv_multipart())
        if answer == "ERROR":
            raise Refused(header)
        if answer != "OK" or header.pop("request_id") != self.count:
            raise ValueError(f"not a reply to {command}: {answer} {header}")
        return header, document

    def submit(self, document, provenance=None, priority=None, not_before_us=None):
        """Submits. Repeated only where the document has an id; see `name()`."""
        packed = document if isinstance(document, bytes) else msgpack.packb(document)
        header = present(provenance=provenance, priority=priority, not_before_us=not_before_us)
        return self.ask("SUBMIT", header, packed, repeat="workflow_id" in msgpack.unpackb(packed))[0]

    def get(self, workflow_id):
        """The header and the workflow as it stands."""
        return self.ask("GET", {"workflow_id": workflow_id})

    def receipt(self, workflow_id, wait_s=0):
        """The final receipt, waited for in short waits so that a broker's restart costs little."""
        end = time.monotonic() + wait_s
        while True:
            slice_s = min(max(end - time.monotonic(), 0), 2)
            asked = {"workflow_id": workflow_id, "wait_ms": int(1000 * slice_s)}
            try:
                return self.ask("RECEIPT", asked, wait_s=slice_s)[1]
            except Refused as refused:
                if refused.code != "not_finished" or time.monotonic() >= end:
                    raise

    def list(self, status=None, limit=None):
        """All rows, page by page."""
        after = None
        while True:
            header, _ = self.ask("LIST", present(status=status, limit=limit, after=after))
            yield from header["workflows"]
            after = header.get("next")
            if after is None:
                return

    def events_page(self, after=0, workflow_id=None, limit=None):
        return self.ask("EVENTS", present(after=after, workflow_id=workflow_id, limit=limit))

    def events(self, after=0, workflow_id=None, limit=None):
        """All kept events after `after`, page by page."""
        more = True
        while more:
            header, page = self.events_page(after, workflow_id, limit)
            yield from page
            after, more = header["next"], header["more"]

    def workers(self):
        return self.ask("WORKERS")[0]["workers"]

    def stats(self):
        return self.ask("STATS")[0]

    def ping(self, **options):
        return self.ask("PING", **options)[0]


def name(document):
    """The workflow with an id of its own, so that to submit it twice is to submit it once."""
    return document if "workflow_id" in document else {"workflow_id": str(uuid.uuid4()), **document}


class Pipeline:
    """Many requests under way on one DEALER, told apart by `request_id`."""

    def __init__(self, context, endpoint, delimiter=True, patience_s=PATIENCE_S, window=1000):
        self.context, self.endpoint = context, endpoint
        self.prefix = [b""] if delimiter else []
        self.patience_s, self.window = patience_s, window
        self.socket = dealer(context, endpoint)
        self.under_way, self.replies = {}, {}
        self.count = 0

    def close(self):
        self.socket.close()

    def send(self, command, header=None, document=None, repeat=True):
        """Sends; gives the request_id, under which `replies` has the reply one day."""
        while len(self.under_way) >= self.window:
            self._receive()
        self.count += 1
        message = self.prefix + frames(command, {**(header or {}), "request_id": self.count}, document)
        self.under_way[self.count] = (message, repeat)
        self.socket.send_multipart(message)
        return self.count

    def _receive(self):
        """One reply, in whatever order they come; after a silence everything is asked again."""
        if not self.socket.poll(1000 * self.patience_s):
            self.socket.close()
            self.socket = dealer(self.context, self.endpoint)
            for request_id, (message, repeat) in list(self.under_way.items()):
                if repeat:
                    self.socket.send_multipart(message)
                else:
                    self.replies[request_id] = Unanswered(request_id)
                    del self.under_way[request_id]
            return
        message = self.socket.recv_multipart()
        if message[:len(self.prefix)] != self.prefix:
            raise ValueError("the delimiter is not mirrored")
        answer, header, document = unframe(message)
        request_id = header.pop("request_id")
        if self.under_way.pop(request_id, None):
            self.replies[request_id] = (header, document) if answer == "OK" else Refused(header)

    def gather(self, deadline_s=60):
        """Waits for all replies; gives them by request_id, a refusal as the exception it is."""
        end = time.monotonic() + deadline_s
        while self.under_way:
            self._receive()
            if time.monotonic() > end:
                raise Unanswered(f"{len(self.under_way)} requests")
        replies, self.replies = self.replies, {}
        return replies


class Follower:
    """Every kept event of the broker, or of one workflow, once and in the order of `seq`.

    Live publications only say that there is something; what is missing is asked for. `seen` is the `seq` up to
    which nothing is missing: to go on another day, start another with that as `after`.
    """

    # Beats come once a second: as long a silence means that the connection is of no use.
    SILENCE_S = 4

    def __init__(self, client, endpoint, after=0, workflow_id=None, silence_s=SILENCE_S):
        self.client, self.endpoint, self.workflow_id = client, endpoint, workflow_id
        self.seen, self.index = after, None
        self.silence_s = silence_s
        self.events, self.progress, self.receipts = deque(), [], {}
        self.beats = self.live = self.gaps = self.doubles = self.silences = 0
        self.socket = None
        self._subscribe()

    def close(self):
        self.socket.close()

    def _subscribe(self):
        if self.socket:
            self.socket.close()
        self.socket = self.client.context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.connect(self.endpoint)
        self.socket.subscribe(f"event/{self.workflow_id}/" if self.workflow_id else "event/")
        self.socket.subscribe(f"receipt/{self.workflow_id or ''}")
        # Last: the first beat says that the others are in effect.
        self.socket.subscribe("beat")
        self.heard = time.monotonic()
        self._replay()

    def _take(self, event):
        self.seen, self.index = event["seq"], event["index"]
        self.events.append(event)

    def _replay(self):
        """What EVENTS has after what was seen. False: the broker does not answer just now."""
        more = True
        while more:
            try:
                header, page = self.client.ask("EVENTS", present(after=self.seen, workflow_id=self.workflow_id),
                                               deadline_s=self.silence_s)
            except Unanswered:
                return False
            except Refused as refused:
                # It may be submitted yet; the event of that will be live, or before a beat.
                if refused.code != "unknown_workflow" or self.index:
                    raise
                return True
            if header["last_seq"] < self.seen:
                raise Incomplete(f"the newest event is {header['last_seq']}, {self.seen} was seen")
            if not self.workflow_id and page and page[0]["seq"] != self.seen + 1:
                raise Incomplete(f"after {self.seen} the oldest event kept is {page[0]['seq']}")
            for event in page:
                self._take(event)
            more = header["more"]
        return True

    def _publication(self, topic, body):
        if topic == b"beat":
            self.beats += 1
            if body["seq"] != self.seen and self._replay():
                # Nothing of this workflow is missing up to there, even where all that came is of others.
                self.seen = max(self.seen, body["seq"])
            return
        what, workflow_id, *_ = topic.decode().split("/")
        if self.workflow_id not in (None, workflow_id):
            return  # prefixes: "receipt/a" is also the beginning of "receipt/ab"
        if what == "receipt":
            self.receipts[workflow_id] = body
        elif "seq" not in body:
            self.progress.append(body)
        elif body["seq"] <= self.seen:
            self.doubles += 1
        elif body["index"] == (self.index or 0) + 1 if self.workflow_id else body["seq"] == self.seen + 1:
            self.live += 1
            self._take(body)
        else:
            self.gaps += 1
            self._replay()

    def next(self, deadline_s=60):
        """The next event."""
        end = time.monotonic() + deadline_s
        while not self.events:
            if time.monotonic() > end:
                raise Unanswered("nothing happened")
            self.turn()
        return self.events.popleft()

    def turn(self):
        """One publication, or a little time without."""
        if self.socket.poll(50):
            topic, body = self.socket.recv_multipart()
            self.heard = time.monotonic()
            self._publication(topic, msgpack.unpackb(body))
        elif time.monotonic() - self.heard > self.silence_s:
            self.silences += 1
            self._subscribe()

    def until(self, last, deadline_s=60):
        """Events up to the one for which `last` is true."""
        found = [self.next(deadline_s)]
        while not last(found[-1]):
            found.append(self.next(deadline_s))
        return found


class Lease:
    """One hand-out to a worker: what was reported under it, until it is acknowledged."""

    def __init__(self, header, document):
        self.lease = header["lease"]
        self.assignment, self.workflow = header, document
        self.kept, self.first = deque(), 1
        self.over = self.resumed = False

    @property
    def last(self):
        """The index of the last event reported."""
        return self.first + len(self.kept) - 1

    def add(self, events):
        """Keeps events; gives the index of the first."""
        index = self.last + 1
        self.kept.extend(events)
        return index

    def ack(self, index):
        while self.first <= index and self.kept:
            self.kept.popleft()
            self.first += 1


class Worker:
    """The wire of a worker, and `serve()`, which executes what it is given, step by step, in the order of the list.

    `adapters` maps a modality to a function of payload and step that gives the output or raises.
    """

    def __init__(self, context, endpoint, name, adapters, slots=1):  # pylint: disable=redefined-outer-name
        self.context, self.endpoint, self.name, self.adapters, self.slots = context, endpoint, name, adapters, slots
        self.instance = os.urandom(16)
        self.leases = {}
        self.welcome = None
        self.fenced, self.errors = [], []
        self.beat_at = 0
        self.socket = None
        self.connect()

    def connect(self):
        """A new connection: the offer, and what was reported over the last one."""
        if self.socket:
            self.socket.close()
        self.socket = dealer(self.context, self.endpoint)
        self.heard = time.monotonic()
        self.ready()

    def close(self):
        self.socket.close()

    def send(self, command, header, document=None):
        self.socket.send_multipart(frames(command, header, document))

    def ready(self):
        dispatch = {modality: {"adapter": "python", "class": "idempotent"} for modality in self.adapters}
        for held in self.leases.values():
            held.resumed = True
        self.send("READY", {"name": self.name, "instance": self.instance, "slots": self.slots,
                            "modalities": sorted(self.adapters), "dispatch": dispatch,
                            "resume": [[held.lease, held.last] for held in self.leases.values()]})

    def report(self, held, *events):
        events = [{"at_us": now_us(), **event} for event in events]
        self.send("REPORT", {"lease": held.lease, "report_index": held.add(events)}, events)

    def report_progress(self, held, **event):
        self.send("REPORT", {"lease": held.lease, "report_index": None},
                  [{"kind": "step.progress", "at_us": now_us(), **event}])

    def heartbeat(self):
        self.send("HEARTBEAT", {"leases": [held.lease for held in self.leases.values()], "sent_us": now_us()})

    def turn(self, wait_ms=50):
        """Keeps the connection alive and takes one message, which is given; None if none came."""
        if self.welcome and time.monotonic() >= self.beat_at:
            self.heartbeat()
            self.beat_at = time.monotonic() + self.welcome["heartbeat_ms"] / 1000
        if not self.socket.poll(wait_ms):
            if self.welcome and time.monotonic() - self.heard > self.welcome["lease_ms"] / 1000:
                self.connect()
            return None
        self.heard = time.monotonic()
        command, header, document = unframe(self.socket.recv_multipart())
        held = self.leases.get(tuple(header.get("lease") or ()))
        if command == "WELCOME":
            self.welcome = header
        elif command == "ASSIGN":
            self.leases[tuple(header["lease"])] = Lease(header, document)
        elif command == "ACK" and held:
            self._acknowledged(held, header["report_index"])
        elif command == "FENCED":
            self.fenced.append(header)
            if held:
                held.over = True
                del self.leases[tuple(held.lease)]
        elif command == "WHO":
            self.ready()
        elif command == "ERROR":
            self.errors.append(header)
        return command, header

    def _acknowledged(self, held, index):
        """Forgets what is durable; sends the rest again where this answers `resume`."""
        held.ack(index)
        again, held.resumed = held.resumed, False
        if again and held.kept:
            self.send("REPORT", {"lease": held.lease, "report_index": held.first}, list(held.kept))
        if held.over and not held.kept:
            del self.leases[tuple(held.lease)]

    def serve(self, stop):
        """Executes until `stop()` and everything is acknowledged, then leaves."""
        while not stop() or self.leases:
            for held in [held for held in self.leases.values() if not held.over]:
                self.execute(held)
            self.turn()
        self.send("LEAVE", {"name": self.name})
        # Whatever a closed socket drops was sent before: the broker learns of the end by silence otherwise.
        self.socket.linger = 1000

    def execute(self, held):
        """All of one workflow that this worker serves."""
        steps = {step["step_id"]: step for step in held.workflow["steps"]}
        for step in held.workflow["steps"]:
            if step.get("status", "pending") != "pending" or held.over:
                continue
            missing = [one for one in step.get("depends_on") or [] if steps[one]["status"] != "succeeded"]
            if missing:
                error = {"code": "dependency_failed", "message": f"{missing[0]} did not succeed", "retryable": False}
                step["status"] = "skipped"
                self.report(held, {"kind": "step.skipped", "step_id": step["step_id"], "error": error})
                continue
            if step["modality"] not in self.adapters:
                self.report(held, {"kind": "workflow.yielded"})
                held.over = True
                return
            self.execute_step(held, step, steps)
        if not held.over:
            self.report(held, {"kind": "workflow.ended"})
            held.over = True

    def execute_step(self, held, step, steps):
        step_id = step["step_id"]
        # `attempts` is about the step to start with.
        attempt = (held.assignment.pop("attempts", None) or 0) + 1
        self.report(held, {"kind": "step.started", "step_id": step_id, "attempt": attempt, "idempotent": True})
        self.turn(0)
        try:
            output = self.adapters[step["modality"]](resolve(step.get("payload") or {}, steps), step)
        except Exception as error:  # pylint: disable=broad-exception-caught
            step["status"] = "failed"
            self.report(held, {"kind": "step.failed", "step_id": step_id, "error": {
                "code": "adapter_failed", "message": str(error), "retryable": False}})
            return
        provenance = {**(held.workflow.get("global_provenance") or {}), **(held.assignment.get("provenance") or {}),
                      "workflow_id": held.assignment["workflow_id"], "workflow_step_id": step_id}
        step["receipt"] = {"adapter": "python", "output": output, "provenance": provenance, "attempts": attempt,
                           "idempotency_key": f"{held.assignment['workflow_id']}/{step_id}"}
        step["status"] = "succeeded"
        self.report(held, {"kind": "step.succeeded", "step_id": step_id, "receipt": step["receipt"]})


def resolve(value, steps):
    """A payload with its references replaced by what they point at."""
    if isinstance(value, list):
        return [resolve(one, steps) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (key, inner), = value.items()
        if key == "$ref":
            _, step_id, *pointer = inner.split("/")
            found = steps[step_id]["receipt"]
            for part in pointer:
                part = part.replace("~1", "/").replace("~0", "~")
                found = found[int(part)] if isinstance(found, list) else found[part]
            return found
        if key.startswith("$$") and key.lstrip("$") == "ref":
            return {key[1:]: inner}
    return {key: resolve(one, steps) for key, one in value.items()}
