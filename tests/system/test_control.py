"""What operators do to workflows under way, with real processes: cancel, pause, resolve what is held, run again."""
import signal
import unittest

import harness
from harness import step, until, workflow

EX_DATAERR, EX_NOINPUT, EX_USAGE = 65, 66, 64
# Steps that note each start in a ledger, then wait for the file `go`; one that may not run twice, one that may. The
# stubborn one hears no TERM, and leaves a child in a session of its own.
CONFIG = """
modality
    echo
        adapter = echo
    fail
        adapter = fail
    once
        adapter = exec
        command = "{directory}/script"
        argument = "{directory}"
        argument = "{{step_id}}"
    again
        adapter = exec
        command = "{directory}/script"
        argument = "{directory}"
        argument = "{{step_id}}"
        class = idempotent
    stubborn
        adapter = exec
        command = "{directory}/stubborn"
        argument = "{directory}"
        grace_ms = 200
"""
SCRIPT = """#!/bin/sh
echo "$2 $$" >>"$1/ledger"
while [ -d "$1" ] && [ ! -e "$1/go" ]; do sleep 0.02; done
echo '{"done": "'"$2"'"}'
"""
STUBBORN = """#!/bin/sh
trap '' TERM
setsid sh -c 'trap "" TERM; echo "far $$" >>"$1/ledger"; while [ -d "$1" ]; do sleep 0.02; done' sh "$1" &
echo "near $$" >>"$1/ledger"
while [ -d "$1" ]; do sleep 0.02; done
"""


class Control(harness.TestCase):
    def set_stage(self, stage):
        for name, text in (("script", SCRIPT), ("stubborn", STUBBORN)):
            stage.file(name, text).chmod(0o755)
        self.brokers = ["--lease-ms", "1000", "--heartbeat-ms", "100"]
        stage.broker(*self.brokers)

    def worker(self):
        return self.stage.worker(config=CONFIG.format(directory=self.stage.directory))

    def submit(self, *steps, workflow_id="wf"):
        return self.stage.submit(workflow(*steps, workflow_id=workflow_id))

    def ledger(self):
        path = self.stage.directory / "ledger"
        return dict(line.split() for line in path.read_text().splitlines()) if path.exists() else {}

    def starts(self):
        path = self.stage.directory / "ledger"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    def began(self, *names):
        until(lambda: set(names) <= set(self.starts()), f"{names} begin")

    def kept(self, kind):
        until(lambda: self.stage.kinds("wf")[-1] == kind, f"{kind} is kept")

    def go(self):
        (self.stage.directory / "go").touch()

    def reel(self, *arguments, code=0, **more):
        done = self.stage.reel(*arguments, "--json", **more)
        self.assertEqual(code, done.code, done)
        return done.rows[0] if done.rows else None

    def outcomes(self, receipt):
        return [(s["status"], s["error"]["code"] if s["error"] else None) for s in receipt["steps"]]

    def hold(self):
        """Its worker is lost while a step runs that may not run twice."""
        worker = self.worker()
        self.submit(step("a", "once"), step("b", "echo", depends_on=["a"]))
        self.began("a")
        self.kept("step.started:a")
        worker.kill()
        until(lambda: self.stage.status("wf") == "held", "the workflow is held")

    # --- cancel ---------------------------------------------------------------------------------

    def test_cancel_of_a_queued_one(self):
        self.submit(step("a"))
        self.assertEqual({"workflow_id": "wf", "status": "cancelled"}, self.reel("cancel", "wf"))
        receipt = self.stage.receipt("wf")
        self.assertEqual(("cancelled", "cancelled", [("pending", None)]),
                         (receipt["status"], receipt["error"]["code"], self.outcomes(receipt)))
        # Again, and of what is not there.
        self.assertEqual("cancelled", self.reel("cancel", "wf")["status"])
        self.reel("cancel", "none", code=EX_NOINPUT)

    def test_cancel_ends_what_runs_with_all_its_children(self):
        self.worker()
        self.submit(step("a", "stubborn"), step("b"))
        self.began("near", "far")
        self.assertEqual("cancelling", self.reel("cancel", "wf")["status"])
        receipt = self.stage.receipt("wf")
        self.assertEqual(("cancelled", [("failed", "cancelled"), ("pending", None)]),
                         (receipt["status"], self.outcomes(receipt)))
        self.assertEqual([False, False], [harness.lives(pid) for pid in self.ledger().values()])
        self.assertEqual(["workflow.cancelling", "step.failed:a", "workflow.cancelled"], self.stage.kinds("wf")[-3:])

    def test_cancelled_workflow_that_is_watched_did_not_succeed(self):
        self.submit(step("a"))
        self.reel("cancel", "wf")
        self.assertEqual(1, self.stage.reel("receipt", "wf", "--wait", "--json").code)

    def test_worker_that_is_lost_while_cancelling(self):
        worker = self.worker()
        self.submit(step("a", "again"), step("b"))
        self.began("a")
        self.kept("step.started:a")
        worker.signal(signal.SIGSTOP)
        self.assertEqual("cancelling", self.reel("cancel", "wf")["status"])
        worker.kill()
        receipt = self.stage.receipt("wf")
        self.assertEqual(("cancelled", [("failed", "in_doubt"), ("pending", None)]),
                         (receipt["status"], self.outcomes(receipt)))
        self.go()

    def test_cancelling_goes_on_over_a_restart_of_the_broker(self):
        worker = self.worker()
        self.submit(step("a", "again"), step("b"))
        self.began("a")
        self.kept("step.started:a")
        worker.signal(signal.SIGSTOP)
        self.assertEqual("cancelling", self.reel("cancel", "wf")["status"])
        self.stage.processes[0].kill()
        self.stage.broker(*self.brokers)
        worker.signal(signal.SIGCONT)
        receipt = self.stage.receipt("wf")
        self.assertEqual(("cancelled", [("failed", "cancelled"), ("pending", None)]),
                         (receipt["status"], self.outcomes(receipt)))

    def test_cancel_of_a_held_one(self):
        self.hold()
        self.assertEqual("cancelled", self.reel("cancel", "wf")["status"])
        self.assertEqual([("failed", "in_doubt"), ("pending", None)], self.outcomes(self.stage.receipt("wf")))

    # --- resolve ----------------------------------------------------------------------------------

    def test_resolve_as_retry(self):
        self.hold()
        self.worker()
        self.go()
        self.assertEqual("queued", self.reel("resolve", "wf", "a", "--as", "retry", "--note", "it was not billed")["status"])
        receipt = self.stage.receipt("wf")
        self.assertEqual(("succeeded", ["a", "a"]), (receipt["status"], self.starts()))
        event = next(e for e in self.stage.events("wf") if e["kind"] == "workflow.resolved")
        self.assertEqual(("a", "retry", "it was not billed"), (event["step_id"], event["as"], event["note"]))

    def test_resolve_as_failed(self):
        self.hold()
        self.worker()
        self.reel("resolve", "wf", "a", "--as", "failed")
        receipt = self.stage.receipt("wf")
        self.assertEqual([("failed", "in_doubt"), ("skipped", "dependency_failed")], self.outcomes(receipt))
        self.assertEqual(["a"], self.starts())

    def test_resolve_as_succeeded(self):
        self.hold()
        self.worker()
        self.reel("resolve", "wf", "a", "--as", "succeeded", "--receipt", "-", input=b'{"output": {"done": "by hand"}}')
        receipt = self.stage.receipt("wf")
        self.assertEqual(("succeeded", {"output": {"done": "by hand"}}, ["a"]),
                         (receipt["status"], receipt["steps"][0]["receipt"], self.starts()))

    def test_resolve_is_refused(self):
        self.submit(step("a"))
        self.reel("resolve", "wf", "a", "--as", "retry", code=EX_DATAERR)  # it is not held
        self.reel("resolve", "wf", "x", "--as", "retry", code=EX_NOINPUT)
        self.reel("resolve", "none", "a", "--as", "retry", code=EX_NOINPUT)
        for wrong in (["--as", "maybe"], [], ["--as", "succeeded"], ["--as", "retry", "--receipt", "-"]):
            self.reel("resolve", "wf", "a", *wrong, code=EX_USAGE)

    # --- pause and resume ---------------------------------------------------------------------------

    def test_pause_of_one(self):
        self.worker()
        self.submit(step("a", "once"), step("b", "once"))
        self.began("a")
        self.assertEqual("running", self.reel("pause", "wf")["status"])
        self.go()
        until(lambda: self.stage.kinds("wf")[-1] == "workflow.yielded", "it is given back")
        self.assertEqual("queued", self.stage.status("wf"))
        self.assertTrue(self.stage.ask(b"GET", {"workflow_id": "wf"})[1]["paused"])
        # Others pass it by.
        self.submit(step("x"), workflow_id="other")
        self.assertEqual("succeeded", self.stage.receipt("other")["status"])
        self.assertEqual(["a"], self.starts())
        self.assertEqual("queued", self.reel("resume", "wf")["status"])
        receipt = self.stage.receipt("wf")
        self.assertEqual(("succeeded", 2, ["a", "b"]), (receipt["status"], receipt["deliveries"], self.starts()))
        self.assertEqual(0, self.stage.ask(b"STATS")[1]["counters"]["requeued"])
        self.reel("pause", "wf", code=EX_DATAERR)  # it has ended

    def test_pause_of_everything(self):
        self.assertEqual({"status": "paused"}, self.reel("pause"))
        self.worker()
        self.submit(step("a"))
        self.stage.processes[0].kill()
        self.stage.broker(*self.brokers)
        self.assertTrue(self.stage.ask(b"PING")[1]["paused"])
        until(lambda: self.stage.ask(b"WORKERS")[1]["workers"], "the worker is back")
        self.assertEqual("queued", self.stage.status("wf"))
        self.assertEqual({"status": "resumed"}, self.reel("resume"))
        self.assertEqual("succeeded", self.stage.receipt("wf")["status"])

    # --- rerun --------------------------------------------------------------------------------------

    def test_rerun_keeps_what_succeeded(self):
        self.worker()
        self.go()
        self.submit(step("a", "once"), step("b", "fail"), step("c", "once", depends_on=["b"]))
        first = self.stage.receipt("wf")
        self.assertEqual(["succeeded", "failed", "skipped"], [s["status"] for s in first["steps"]])
        row = self.reel("rerun", "wf", "--id", "again")
        self.assertEqual(("again", False), (row["workflow_id"], row["duplicate"]))
        receipt = self.stage.receipt("again")
        self.assertEqual(("wf", first["steps"][0]), (receipt["origin"], receipt["steps"][0]))
        self.assertEqual(["a"], self.starts())
        self.assertEqual("wf", next(r for r in self.stage.ask(b"LIST")[1]["workflows"]
                                    if r["workflow_id"] == "again")["origin"])
        # The same again is the same; something else under that id is not.
        self.assertTrue(self.reel("rerun", "wf", "--id", "again")["duplicate"])
        self.reel("rerun", "wf", "--id", "again", "--from", "a", code=EX_DATAERR)
        # From a step on, whatever became of it.
        row = self.reel("rerun", "wf", "--from", "a")
        self.stage.receipt(row["workflow_id"])
        self.assertEqual(["a", "a"], self.starts())

    def test_rerun_is_refused(self):
        self.submit(step("a"))
        self.reel("rerun", "wf", code=EX_DATAERR)
        self.reel("rerun", "none", code=EX_NOINPUT)
        self.reel("cancel", "wf")
        self.reel("rerun", "wf", "--from", "x", code=EX_NOINPUT)
        self.reel("rerun", "wf", "--id", "wf", code=EX_DATAERR)
        self.reel("rerun", "wf", "--id", "/", code=EX_USAGE)

    def test_people_are_told_in_words(self):
        self.submit(step("a"))
        self.assertEqual("wf: queued\n", self.words("pause", "wf"))
        self.assertEqual("wf: cancelled\n", self.words("cancel", "wf"))

    def words(self, *arguments):
        terminal = harness.Terminal(self.stage, *arguments)
        self.assertEqual(0, terminal.wait())
        return terminal.text.replace("\r", "")


if __name__ == "__main__":
    unittest.main()
