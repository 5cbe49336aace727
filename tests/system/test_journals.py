"""Journals of every format there has been: this broker reads them, knows all that is in them, and goes on."""
import json
import os
import pathlib
import shutil
import sqlite3
import sys
import unittest

import harness
from harness import BIN, until

VECTORS = pathlib.Path(os.environ["REEL_SOURCE"]) / "tests" / "vectors" / "journals"
sys.path.insert(0, str(VECTORS))
import make  # pylint: disable=wrong-import-position

NEWEST = max(int(path.name) for path in VECTORS.iterdir() if path.name.isdigit())
EX_DATAERR = 65


class Journals(harness.TestCase):
    def each(self, test):
        """Runs the test on each format, in a stage of its own, with a copy of its journal."""
        for path in sorted(VECTORS.glob("[0-9]*")):
            with self.subTest(format=path.name):
                stage = harness.Stage()
                self.addCleanup(stage.remove)
                try:
                    (stage.directory / "data").mkdir(0o700)
                    for name in ("journal.db", "journal.tail"):
                        shutil.copy(path / name, stage.directory / "data" / name)
                    test(path, stage)
                finally:
                    self.assertEqual([], stage.close())

    def verify(self, stage):
        process = harness.Process(stage, "verify", [BIN / "reel-broker", "--verify", stage.directory / "data"])
        return process.wait()

    def test_everything_in_them_is_known(self):
        def test(path, stage):
            wanted = json.loads((path / "answers.json").read_text(encoding="utf-8"))
            for start in range(3):
                stage.broker(*make.LONG)
                self.assertEqual(wanted, make.ask(stage), f"start {start}")
                self.assertEqual(0, stage.processes[-1].stop())
            done = self.verify(stage)
            self.assertEqual(0, done.code, done)
            self.assertIn(f" {len(wanted['events'])} events, 11 workflows live, 5 ended", done.text)
        self.each(test)

    def test_what_lives_in_them_goes_on(self):
        def test(_, stage):
            # From a snapshot of what was read.
            for options in (("--snapshot-bytes", "1"), ()):
                stage.broker(*make.LONG, *options)
                stage.ask(b"RESUME")
                if options:
                    stage.submit(harness.workflow(harness.step("a", payload={"x": "x" * 200000}), workflow_id="large"))
                    stage.ask(b"CANCEL", {"workflow_id": "large"})
                    until(lambda: stage.ask(b"STATS")[1]["counters"]["snapshots"] > 0, "a snapshot")
                    stage.processes[-1].kill()
            for name in ("requeued", "held", "resolved", "retried"):
                stage.ask(b"RESUME", {"workflow_id": name})
            stage.ask(b"RESOLVE", {"workflow_id": "held", "step_id": "a", "as": "succeeded", "receipt": {"by": "hand"}})
            lease = [event["lease"] for event in stage.events("running") if event["kind"] == "workflow.assigned"][-1]
            worker = make.Worker(stage, "third", 0, "echo")
            worker.say(b"READY", {"name": "third", "slots": 0, "modalities": [], "resume": [[lease, 4]]})
            self.assertEqual(4, worker.hear(b"ACK")[0]["report_index"])
            worker.report(lease, make.succeeded("b"), make.started("c"), make.succeeded("c"), make.ENDED, index=5)
            self.assertEqual(["succeeded"] * 3, [step["status"] for step in stage.receipt("running")["steps"]])
            worker.socket.close()
            stage.worker()
            for name in ("requeued", "held", "resolved", "retried"):
                self.assertEqual("succeeded", stage.receipt(name)["status"], name)
            self.assertEqual("failed", stage.receipt("broken")["status"])
            self.assertEqual("OK", stage.ask(b"RERUN", {"workflow_id": "broken", "new_workflow_id": "anew"})[0])
            self.assertEqual("succeeded", stage.receipt("anew")["status"])
            stage.processes[-1].stop()
            self.assertEqual(0, stage.processes[-2].stop())
            self.assertEqual(0, self.verify(stage).code)
        self.each(test)

    def test_a_newer_one_is_refused_by_name(self):
        def test(path, stage):
            with sqlite3.connect(stage.directory / "data" / "journal.db") as db:
                db.execute(f"PRAGMA user_version = {NEWEST + 1}")
            db.close()
            done = self.verify(stage)
            self.assertEqual(EX_DATAERR, done.code, path)
            self.assertIn(f"has format {NEWEST + 1}, and this version of reel knows those up to {NEWEST}", done.err)
        self.each(test)


if __name__ == "__main__":
    unittest.main()
