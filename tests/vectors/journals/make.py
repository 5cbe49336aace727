#!/usr/bin/python3
"""Makes a journal with everything in it that a journal can hold, and the answers that the broker gave about it.

    REEL_BIN=build/dev/bin tests/vectors/journals/make.py DIRECTORY [OPTION OF reel-broker]...

`journal.db` and `journal.tail` are as the broker left them; `answers.json` is what ask() found just before.
"""
import json
import pathlib
import shutil
import sys

import msgpack
import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "system"))
import harness  # pylint: disable=wrong-import-position
from harness import step, until, workflow  # pylint: disable=wrong-import-position

LONG = ("--lease-ms", "3600000", "--heartbeat-ms", "1000")
SHORT = ("--lease-ms", "1000", "--heartbeat-ms", "100")


def plain(value):
    """As JSON has it."""
    if isinstance(value, bytes):
        return {"$bin": value.hex()}
    if isinstance(value, dict):
        return {key: plain(member) for key, member in value.items()}
    return [plain(member) for member in value] if isinstance(value, list) else value


def ask(stage):
    """All that can be asked of what is kept, and does not change with the next start."""
    rows, after = [], 0
    while after is not None:
        _, page, _ = stage.ask(b"LIST", {"limit": 5, "after": after})
        rows, after = rows + page["workflows"], page.get("next")
    workflows = {}
    for name in sorted(row["workflow_id"] for row in rows):
        _, header, document = stage.ask(b"GET", {"workflow_id": name})
        header.pop("worker", None)
        answer, receipt_header, receipt = stage.ask(b"RECEIPT", {"workflow_id": name})
        workflows[name] = {"header": header, "document": document, "receipt": [answer, receipt_header.get("reason"), receipt],
                           "events": [event["seq"] for event in stage.events(name)]}
    return plain({"list": rows, "workflows": workflows, "events": stage.events(),
                  "paused": stage.ask(b"PING")[1]["paused"]})


class Worker:
    """A worker whose every word is given."""

    def __init__(self, stage, name, slots, *modalities):
        self.socket = stage.socket(zmq.DEALER, "worker")
        self.name, self.modalities = name, list(modalities)
        self.say(b"READY", {"name": name, "instance": name.encode().ljust(16, b"."), "slots": slots,
                            "modalities": self.modalities, "dispatch": {m: {"adapter": m, "class": "resumable"} for m in modalities}})
        self.hear(b"WELCOME")

    def say(self, command, header, *document):
        self.socket.send_multipart([b"REEL1", command, msgpack.packb(header), *map(msgpack.packb, document)])

    def hear(self, wanted):
        while True:
            _, command, header, *document = self.socket.recv_multipart()
            if command == wanted:
                return msgpack.unpackb(header), [msgpack.unpackb(frame) for frame in document]

    def take(self, workflow_id):
        header, _ = self.hear(b"ASSIGN")
        assert header["workflow_id"] == workflow_id, header
        return header["lease"]

    def report(self, lease, *events, index=1):
        self.say(b"REPORT", {"lease": lease, "report_index": index},
                 [{"kind": kind, "at_us": 1700000000000000 + n, **more} for n, (kind, more) in enumerate(events)])
        header, _ = self.hear(b"ACK")
        assert header["report_index"] == index + len(events) - 1, header


def started(name, attempt=1, idempotent=False, **more):
    return "step.started", {"step_id": name, "attempt": attempt, "idempotent": idempotent, **more}


def succeeded(name):
    return "step.succeeded", {"step_id": name, "receipt": {"adapter": "by hand", "output": {"of": name, "raw": b"\x00\xff"}}}


def failed(name, kind="step.failed", **more):
    return kind, {"step_id": name, "error": {"code": "x", "message": "no", "retryable": False}, **more}


ENDED = ("workflow.ended", {})


def first_life(stage, *options):
    """What ends, and what loses its worker."""
    stage.broker(*SHORT, *options)
    worker = Worker(stage, "first", 1, "echo")
    stage.submit(workflow(step("a", payload={"raw": b"\x01\x02", "n": 2**63}), step("b", depends_on=["a"]), workflow_id="done",
                          global_provenance={"film": "one"}), provenance={"who": "me"}, priority=3)
    worker.report(worker.take("done"), started("a"), succeeded("a"), started("b", idempotent=True),
                  failed("b", "step.retrying", delay_ms=1), started("b", 2, True), succeeded("b"), ENDED)
    stage.submit(workflow(step("a"), step("b", depends_on=["a"]), workflow_id="broken"))
    worker.report(worker.take("broken"), started("a"), failed("a"), failed("b", "step.skipped"), ENDED)
    stage.submit(workflow(workflow_id="called-off"), not_before_us=2**52)
    stage.ask(b"CANCEL", {"workflow_id": "called-off"})
    stage.ask(b"RERUN", {"workflow_id": "broken", "new_workflow_id": "broken-again"})
    worker.report(worker.take("broken-again"), started("a"), succeeded("a"), started("b"), succeeded("b"), ENDED)
    for name, more in (("requeued", {"idempotent": True}), ("held", {}), ("resolved", {}), ("retried", {"in_doubt": "retry"}),
                       ("given-up", {"in_doubt": "fail"})):
        stage.submit(workflow(step("a"), step("b"), workflow_id=name), priority=1)
        worker.report(worker.take(name), started("a", **more))
        worker.say(b"LEAVE", {})
        until(lambda wanted=name: stage.status(wanted) != "running", f"{name} is lost")
        if name == "resolved":
            stage.ask(b"RESOLVE", {"workflow_id": name, "step_id": "a", "as": "retry", "note": "it never began"})
        stage.ask(b"PAUSE", {"workflow_id": name})
        worker = Worker(stage, name, 1, "echo")
    stage.ask(b"CANCEL", {"workflow_id": "given-up"})


def second_life(stage, *options):
    """What lives on."""
    broker = stage.broker(*LONG, *options)
    worker = Worker(stage, "second", 8, "echo", "film")
    stage.submit(workflow(step("a"), step("b", "film"), step("c"), workflow_id="running"))
    lease = worker.take("running")
    worker.report(lease, started("a"), succeeded("a"), started("b"), ("step.checkpoint", {"step_id": "b", "checkpoint": {"job": 7}}))
    stage.submit(workflow(step("a"), workflow_id="between"))
    worker.report(worker.take("between"), started("a"), failed("a", "step.retrying", delay_ms=100000))
    stage.submit(workflow(step("a"), step("b", "sound"), workflow_id="handed-on"))
    worker.report(worker.take("handed-on"), started("a"), succeeded("a"), ("workflow.yielded", {}))
    stage.submit(workflow(step("a"), workflow_id="cancelling"))
    worker.report(worker.take("cancelling"), started("a"))
    stage.ask(b"CANCEL", {"workflow_id": "cancelling"})
    stage.submit(workflow(step("a", "sound"), workflow_id="later"), not_before_us=2**52, priority=-4)
    stage.submit(workflow(step("a", "sound"), workflow_id="waiting", unknown={"kept": [1, None]}), provenance={"who": "me"})
    stage.ask(b"PAUSE")
    stage.ask(b"RESUME")
    stage.ask(b"RERUN", {"workflow_id": "done", "new_workflow_id": "done-again", "from_step": "b"})
    worker.take("done-again")
    stage.ask(b"PAUSE")
    answers = ask(stage)
    assert broker.stop() == 0, broker.errors()
    return answers


def main(directory, *options):
    stage = harness.Stage()
    try:
        first_life(stage, *options)
        stage.processes[-1].stop()
        answers = second_life(stage, *options)
        directory.mkdir(parents=True)
        for name in ("journal.db", "journal.tail"):
            shutil.copy(stage.directory / "data" / name, directory / name)
        (directory / "answers.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    finally:
        print("\n".join(stage.close()) or "made", stage.directory)
        stage.remove()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
