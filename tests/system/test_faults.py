"""What the README promises when processes are killed: nothing accepted is lost, nothing finished is done again,
what was published is what is kept. And what is refused, with each code of the wire."""
import os
import random
import signal
import unittest

import msgpack
import zmq

import harness
from harness import step, until, workflow
from load import Listener, check_history

# A step that notes each start in a ledger, then waits for the file `go`.
LEDGER = """
modality
    once
        adapter = exec
        command = "{script}"
        argument = "{directory}"
        argument = "{{step_id}}"
        class = {kind}
"""
SCRIPT = """#!/bin/sh
# Notes the start, waits to be let go (or for the end of the test), answers.
echo "$2" >>"$1/ledger"
while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.02; done
echo '{"done": "'"$2"'"}'
"""


class Faults(harness.TestCase):
    def set_stage(self, stage):
        stage.file("once.sh", SCRIPT)
        os.chmod(stage.directory / "once.sh", 0o755)

    def config(self, kind):
        return LEDGER.format(script=self.stage.directory / "once.sh", directory=self.stage.directory, kind=kind)

    def ledger(self):
        path = self.stage.directory / "ledger"
        return path.read_text().split() if path.exists() else []

    def let_go(self):
        self.stage.file("go", "")

    def test_broker_killed_under_load(self):
        self.stage.broker("--lease-ms", "3000", "--heartbeat-ms", "300")
        listener = Listener(self.stage)
        until(lambda: listener.beats, "the first beat")
        workers = [self.stage.worker("--slots", "8") for _ in range(2)]
        dice = random.Random(4)
        acknowledged, number = [], 0
        for _ in range(12):
            broker = [process for process in self.stage.processes if process.name == "broker"][-1]
            socket = self.stage.socket(zmq.DEALER, "client")
            limit = dice.randrange(1, 60)
            for _ in range(60):
                document = workflow(step("a", payload={"n": number}), step("b", depends_on=["a"]),
                                    step("c", "sleep", {"ms": 1}), workflow_id=f"w{number}")
                socket.send_multipart([b"REEL1", b"SUBMIT", msgpack.packb({"request_id": number}), msgpack.packb(document)])
                number += 1
            for _ in range(limit):
                _, answer, header, *_ = socket.recv_multipart()
                self.assertEqual(b"OK", answer)
                acknowledged.append(msgpack.unpackb(header)["workflow_id"])
            broker.kill()
            socket.close(0)
            self.stage.broker("--lease-ms", "3000", "--heartbeat-ms", "300")
        for workflow_id in acknowledged:
            receipt = self.stage.receipt(workflow_id)
            self.assertEqual("succeeded", receipt["status"])
            self.assertEqual(["succeeded"] * 3, [one["status"] for one in receipt["steps"]])
        until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["running"] == 0, "nothing is under way")
        events = self.stage.events()
        ends = check_history(self, events)
        self.assertLessEqual(set(acknowledged), set(ends))
        outcomes = {}
        for event in events:
            if event["kind"] == "step.succeeded":
                outcomes.setdefault((event["workflow_id"], event["step_id"]), []).append(event)
        self.assertEqual([], [key for key, found in outcomes.items() if len(found) > 1], "recorded twice")
        beats = listener.beats
        until(lambda: listener.beats > beats, "another beat")
        listener.stop()
        self.assertEqual([], listener.doubles)
        kept = {event["seq"]: event for event in events}
        self.assertGreater(len(listener.seen), 100)
        for seq, event in listener.seen.items():
            self.assertEqual(kept[seq], event)
        for worker in workers:
            self.assertIsNone(worker.popen.poll(), "the workers outlive it")

    def test_worker_killed_in_an_idempotent_step(self):
        self.stage.broker("--lease-ms", "1000", "--heartbeat-ms", "100")
        first = self.stage.worker(config="modality\n    echo\n        adapter = echo\n" + self.config("idempotent").replace("\nmodality\n", ""))
        workflow_id = self.stage.submit(workflow(step("made", payload={"n": 2**63, "f": 0.1, "b": b"\0\xff"}),
                                                 step("slow", "once", depends_on=["made"])))
        until(lambda: self.ledger() == ["slow"], "the step has begun")
        made = [event for event in self.stage.events(workflow_id) if event["kind"] == "step.succeeded"]
        self.assertEqual(["made"], [event["step_id"] for event in made])
        first.kill()
        self.let_go()
        self.stage.worker(config="modality\n    echo\n        adapter = echo\n" + self.config("idempotent").replace("\nmodality\n", ""))
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 2), (receipt["status"], receipt["deliveries"]))
        self.assertEqual(["slow", "slow"], self.ledger())
        events = self.stage.events(workflow_id)
        check_history(self, events)
        self.assertEqual(["made", "slow"], [event["step_id"] for event in events if event["kind"] == "step.succeeded"])
        with self.stage.socket(zmq.REQ, "client") as socket:
            socket.send_multipart([b"REEL1", b"RECEIPT", msgpack.packb({"workflow_id": workflow_id})])
            raw = socket.recv_multipart()[-1]
        self.assertIn(msgpack.packb(made[0]["receipt"]), raw, "the receipt is kept byte for byte")

    def test_worker_killed_in_a_step_that_is_not_idempotent(self):
        self.stage.broker("--lease-ms", "500", "--heartbeat-ms", "100")
        worker = self.stage.worker(config=self.config("neither"))
        workflow_id = self.stage.submit(workflow(step("paid", "once")))
        until(lambda: self.ledger() == ["paid"], "the step has begun")
        worker.kill()
        self.let_go()
        self.stage.worker(config=self.config("neither"))
        until(lambda: self.stage.status(workflow_id) == "held", "the workflow is held")
        self.assertEqual(["step.in_doubt:paid", "workflow.held:paid"], self.stage.kinds(workflow_id)[-2:])
        self.assertEqual(["paid"], self.ledger())

    def test_in_doubt_policies(self):
        self.stage.broker("--lease-ms", "500", "--heartbeat-ms", "100")
        worker = self.stage.worker("--slots", "2", config=self.config("neither"))
        again = self.stage.submit(workflow(step("again", "once", policy={"in_doubt": "retry"})))
        fail = self.stage.submit(workflow(step("fail", "once", policy={"in_doubt": "fail"})))
        until(lambda: sorted(self.ledger()) == ["again", "fail"], "both steps have begun")
        worker.kill()
        self.let_go()
        self.stage.worker("--slots", "2", config=self.config("neither"))
        self.assertEqual("succeeded", self.stage.receipt(again)["status"])
        failed = self.stage.receipt(fail)
        self.assertEqual(("failed", "in_doubt"), (failed["status"], failed["steps"][0]["error"]["code"]))
        self.assertEqual(["again", "again", "fail"], sorted(self.ledger()))

    def test_worker_goes_on_when_the_broker_is_back(self):
        broker = self.stage.broker("--heartbeat-ms", "100", "--lease-ms", "1000")
        self.stage.worker(config=self.config("neither"))
        workflow_id = self.stage.submit(workflow(step("paid", "once"), step("more", "once")))
        until(lambda: self.ledger() == ["paid"], "the step has begun")
        broker.kill()
        self.let_go()
        self.stage.broker("--heartbeat-ms", "100", "--lease-ms", "1000")
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 1), (receipt["status"], receipt["deliveries"]))
        self.assertEqual(["paid", "more"], self.ledger())

    def test_stopped_worker_comes_back(self):
        self.stage.broker("--heartbeat-ms", "100", "--lease-ms", "400")
        worker = self.stage.worker(config=self.config("neither"))
        workflow_id = self.stage.submit(workflow(step("paid", "once")))
        until(lambda: self.ledger() == ["paid"], "the step has begun")
        worker.signal(signal.SIGSTOP)
        until(lambda: self.stage.status(workflow_id) == "held", "the workflow is held")
        self.let_go()
        worker.signal(signal.SIGCONT)
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 1), (receipt["status"], receipt["deliveries"]))
        self.assertEqual(["paid"], self.ledger())

    def test_poison_is_given_up(self):
        self.stage.broker("--heartbeat-ms", "50", "--lease-ms", "200", "--deliveries-max", "2")
        workflow_id = None
        for count in (1, 2):
            worker = self.stage.worker(config=self.config("idempotent"))
            workflow_id = workflow_id or self.stage.submit(workflow(step("poison", "once")))
            until(lambda: len(self.ledger()) == count, "the step has begun")  # pylint: disable=cell-var-from-loop
            worker.kill()
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("failed", "too_many_deliveries"), (receipt["status"], receipt["error"]["code"]))

    def test_hand_over_between_three_workers(self):
        """One run that each of them has a part in; the receipts go with it."""
        self.stage.broker()
        modalities = ("one", "two", "three")
        workers = {modality: self.stage.worker(config=f"modality\n    {modality}\n        adapter = echo\n")
                   for modality in modalities}
        steps = [step("s0", "one", {"n": 2**63})]
        for number, modality in enumerate(("two", "three", "three", "one"), 1):
            before = f"s{number - 1}"
            steps.append(step(f"s{number}", modality, {"n": {"$ref": f"#/{before}/output/n"}}, depends_on=[before]))
        workflow_id = self.stage.submit(workflow(*steps))
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 4), (receipt["status"], receipt["deliveries"]))
        self.assertEqual([2**63] * 5, [one["receipt"]["output"]["n"] for one in receipt["steps"]])
        events = self.stage.events(workflow_id)
        self.assertEqual([workers[modality].label for modality in (*modalities, "one")],
                         [event["worker"] for event in events if event["kind"] == "workflow.assigned"])
        self.assertEqual(3, self.stage.kinds(workflow_id).count("workflow.yielded"))
        self.assertEqual(0, self.stage.ask(b"STATS")[1]["counters"]["requeued"])

    def test_hand_over_waits_for_who_is_missing(self):
        self.stage.broker()
        self.stage.worker(config="modality\n    one\n        adapter = echo\n")
        workflow_id = self.stage.submit(workflow(step("a", "one"), step("b", "two"), step("c", "one")))
        until(lambda: self.stage.ask(b"GET", {"workflow_id": workflow_id})[1].get("waiting_for") == "two",
              "it waits for somebody who serves two")
        self.stage.worker(config="modality\n    two\n        adapter = echo\n")
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 3), (receipt["status"], receipt["deliveries"]))

if __name__ == "__main__":
    unittest.main()
