"""Every code of a refusal, from a broker: none that the specification lists is without a case here, and none can be
sent that it does not list. The same for the codes of steps' errors and the keys of a worker's
configuration, which README.md lists."""
import os
import pathlib
import re
import signal
import unittest

import msgpack
import zmq

import harness
from harness import step, until, workflow

SOURCE = pathlib.Path(os.environ["REEL_SOURCE"])
SPECIFICATION = (SOURCE / "proto/README.md").read_text(encoding="utf-8")
# What no client can bring about: a record that cannot be read, two ids of one fingerprint (unit/test_core_get.c).
NOT_TO_BE_HAD = {"internal"}

QUEUED = workflow(step("a", "nobody"), workflow_id="queued")
BIG = bytes(257 << 10)
BOMB = b"\xdd\x10\x00\x00\x00"

# code: [(command, header, document, path, reason), ...]; a workflow "queued" is there, the queue is full with another.
CLIENT = {
    "malformed": [
        (b"GET", {}, None, "/workflow_id", None),
        (b"GET", {"workflow_id": 7}, None, "/workflow_id", None),
        (b"GET", BOMB, None, "", None),
        (b"SUBMIT", {}, None, "", None),
        (b"SUBMIT", {}, BOMB, "", None),
        (b"LIST", {"status": "odd"}, None, "/status", None),
        (b"RESOLVE", {"workflow_id": "queued", "step_id": "a", "as": "maybe"}, None, "/as", None),
        (b"RESOLVE", {"workflow_id": "queued", "step_id": "a", "as": "succeeded"}, None, "/receipt", None)],
    "unknown_command": [(b"FROBNICATE", {}, None, "", None), (b"READY", {}, None, "", None)],
    "unsupported_version": [(b"PING", {}, None, "", None)],
    "invalid_workflow": [(b"SUBMIT", {}, msgpack.packb({"steps": []}), "/steps", "empty_workflow")],
    "too_large": [
        (b"SUBMIT", {}, msgpack.packb(workflow(step("a", payload={"x": bytes(16 << 20)}))), "", None),
        (b"SUBMIT", {"provenance": {"x": BIG}}, msgpack.packb(workflow()), "/provenance", None),
        (b"RESOLVE", {"workflow_id": "queued", "step_id": "a", "as": "succeeded", "receipt": {"x": BIG}}, None,
         "/receipt", None)],
    "conflict": [(b"SUBMIT", {}, msgpack.packb(workflow(step("b"), workflow_id="queued")), "/workflow_id", None)],
    "unknown_workflow": [
        (command, {"workflow_id": "none", **more}, None, "", None) for command, more in (
            (b"GET", {}), (b"RECEIPT", {}), (b"CANCEL", {}), (b"RESOLVE", {"step_id": "a", "as": "retry"}), (b"RERUN", {}),
            (b"PAUSE", {}), (b"RESUME", {}), (b"EVENTS", {"after": 0}))],
    "unknown_step": [(b"RESOLVE", {"workflow_id": "queued", "step_id": "z", "as": "retry"}, None, "/step_id", None)],
    "bad_state": [
        (b"RESOLVE", {"workflow_id": "queued", "step_id": "a", "as": "retry"}, None, "", "queued"),
        (b"RERUN", {"workflow_id": "queued"}, None, "", "queued")],
    "not_finished": [(b"RECEIPT", {"workflow_id": "queued"}, None, "", "queued")],
    "overloaded": [
        (b"SUBMIT", {}, msgpack.packb(workflow(workflow_id="third")), "", None),
        (b"RECEIPT", {"workflow_id": "queued", "wait_ms": 1000}, None, "", None)],
}

GOOD = step("a")
VALIDATION = {
    "empty_workflow": [("/steps", {"steps": []})],
    "missing_field": [("", {}), ("/steps/0", workflow({"step_id": "a"}))],
    "duplicate_step": [("/steps/1/step_id", workflow(GOOD, GOOD))],
    "missing_dependency": [("/steps/0/depends_on/0", workflow(step("a", depends_on=["z"])))],
    "self_dependency": [("/steps/0/depends_on/0", workflow(step("a", depends_on=["a"])))],
    "cycle": [("/steps/0/depends_on/0", workflow(step("a", depends_on=["b"]), step("b", depends_on=["a"])))],
    "forward_reference": [("/steps/0/depends_on/0", workflow(step("a", depends_on=["b"]), step("b")))],
    "bad_id": [("/steps/0/step_id", workflow(step("a b"))), ("/steps/0/modality", workflow(step("a", "No Good"))),
               ("/workflow_id", workflow(GOOD, workflow_id=""))],
    "bad_type": [("/steps/0/payload", workflow({**GOOD, "payload": []})),
                 ("/steps/0/status", workflow({**GOOD, "status": "odd"}))],
    "bad_reference": [("/steps/1/payload/x", workflow(GOOD, step("b", payload={"x": {"$ref": "#/a/output"}})))],
    "limit_exceeded": [("/steps", workflow(*(step(f"s{i}") for i in range(1001)))),
                       ("/steps/0/depends_on", workflow(step("a", depends_on=["z"] * 1001)))],
    "bad_status": [("/steps/0/status", workflow({**GOOD, "status": "running"}))],
}

READY = {"name": "w", "slots": 1, "modalities": ["m"]}
WORKER = {
    "malformed": (b"REEL1", b"READY", {"name": "w"}),
    "unknown_command": (b"REEL1", b"SUBMIT", {}),
    "unsupported_version": (b"REEL2", b"READY", READY),
    "overloaded": (b"REEL1", b"READY", READY),
}


def listed(text, head, until):
    """The first cells of a table's rows."""
    section = text[text.index(head):]
    section = section[:section.index(until)] if until else section
    return set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE))


class Refusals(harness.TestCase):
    shared = True

    @classmethod
    def set_stage(cls, stage):
        stage.broker("--queue-count-max", "2", "--waits-max", "0", "--workers-max", "1")
        stage.submit(QUEUED)
        stage.submit(workflow(step("a", "nobody"), workflow_id="other"))

    def tearDown(self):
        """What is refused leaves no event."""
        self.assertEqual(["workflow.accepted"] * 2, [event["kind"] for event in self.stage.events()])

    def refused(self, command, header, document=None, protocol=b"REEL1"):
        frames = [protocol, command, header if isinstance(header, bytes) else msgpack.packb(header)]
        with self.stage.socket(zmq.REQ, "client") as socket:
            socket.send_multipart(frames if document is None else [*frames, document])
            _, answer, header, *_ = socket.recv_multipart()
        self.assertEqual(b"ERROR", answer)
        header = msgpack.unpackb(header)
        self.assertTrue(header["message"])
        return header["code"], header.get("path") or "", header.get("reason")

    def test_every_code(self):
        self.assertEqual(listed(SPECIFICATION, "### Codes of ERROR", "## 5."), set(CLIENT) | {"draining"} | NOT_TO_BE_HAD)
        for code, cases in CLIENT.items():
            for command, header, document, path, reason in cases:
                with self.subTest(code, command=command, path=path):
                    protocol = b"REEL2" if code == "unsupported_version" else b"REEL1"
                    self.assertEqual((code, path, reason), self.refused(command, header, document, protocol))

    def test_every_code_of_validation(self):
        self.assertEqual(listed(SPECIFICATION, "## 8. Codes of validation", None), set(VALIDATION))
        for code, cases in VALIDATION.items():
            for path, document in cases:
                with self.subTest(code, path=path):
                    self.assertEqual(("invalid_workflow", path, code), self.refused(b"SUBMIT", {}, msgpack.packb(document)))

    def test_every_code_for_a_worker(self):
        with self.stage.socket(zmq.DEALER, "worker") as first, self.stage.socket(zmq.DEALER, "worker") as second:
            first.send_multipart([b"REEL1", b"READY", msgpack.packb(READY)])
            self.assertEqual(b"WELCOME", first.recv_multipart()[1])
            for code, (protocol, command, header) in WORKER.items():
                with self.subTest(code):
                    second.send_multipart([protocol, command, msgpack.packb(header)])
                    _, answer, header, *_ = second.recv_multipart()
                    self.assertEqual((b"ERROR", code), (answer, msgpack.unpackb(header)["code"]))


class Ending(harness.TestCase):
    def test_draining(self):
        broker = self.stage.broker()
        self.stage.submit(QUEUED)
        with self.stage.socket(zmq.REQ, "client") as socket:
            socket.send_multipart([b"REEL1", b"RECEIPT", msgpack.packb({"workflow_id": "queued", "wait_ms": 3600000})])
            until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["waits"], "the waiting")
            broker.signal(signal.SIGTERM)
            _, answer, header = socket.recv_multipart()
        self.assertEqual((b"ERROR", "draining"), (answer, msgpack.unpackb(header)["code"]))
        self.assertEqual(0, broker.wait().code)


class Sources(unittest.TestCase):
    """Codes and keys that the sources name are documented."""

    def named(self, folder, *patterns):
        found = set()
        for path in (SOURCE / folder).glob("*.c"):
            text = path.read_text(encoding="utf-8")
            for pattern in patterns:
                found.update(re.findall(pattern, text))
        return found

    def test_codes_of_refusals(self):
        found = self.named("broker/core", r'reel_request_refuse \(\s*core, [&>a-z_-]+, "([a-z_]+)"',
                           r'\(struct refusal\)\{"([a-z_]+)"')
        self.assertGreater(len(found), 6)
        self.assertLessEqual(found, listed(SPECIFICATION, "### Codes of ERROR", "## 5."))

    def test_keys_of_a_configuration(self):
        readme = (SOURCE / "README.md").read_text(encoding="utf-8")
        keys = self.named("worker", r'\{"([a-z_]+)", take_[a-z_]+, OF_')
        self.assertGreater(len(keys), 10)
        for key in keys:
            self.assertRegex(readme, rf"(?m)^ +{key} = ")

    def test_codes_of_steps(self):
        readme = listed((SOURCE / "README.md").read_text(encoding="utf-8"), "## Errors of steps", "## In C")
        fail = r'\.code = "([a-z_]+)"', r'refuse \(task, "([a-z_]+)"', r'reel_run_fail \(run, "([a-z_]+)"', r'reel_pack_error \([^,]+, "([a-z_]+)"', \
            r'reel_core_fail_step \(core, flow, "([a-z_]+)"', r'"(unresolved_reference|work_directory|spawn_failed|bad_context)"'
        found = self.named("worker", *fail) | self.named("broker/core", *fail) | self.named("proto", *fail[-1:])
        self.assertEqual(found, readme)


if __name__ == "__main__":
    unittest.main()
