"""Who serves what, and what waits for whom: `reel dispatch`, `--list-dispatch`, and the words of `reel get`."""
import json
import re
import subprocess
import time
import unittest

import msgpack
import zmq

import harness
from harness import BIN, step, until, workflow

CONFIG = """modality
    keyframe
        adapter = exec
        command = "/bin/true"
        class = idempotent
        timeout_ms = 60000
        max_attempts = 3
    video
        adapter = exec
        command = "/bin/true"
        in_doubt = fail
    echo
        adapter = echo
"""
ROW = ["modality", "worker", "number", "adapter", "class", "limits", "slots", "free"]


class Inventory(harness.TestCase):
    """Long leases: a worker that is played here is not heard of again."""

    @classmethod
    def set_stage(cls, stage):
        stage.broker("--lease-ms", "600000")

    def ready(self, name, **header):
        """A worker that has said READY and takes no notice of what it gets."""
        worker = self.stage.socket(zmq.DEALER, "worker")
        self.addCleanup(worker.close)
        header = {"name": name, "slots": 1, "modalities": [], **header}
        worker.send_multipart([b"REEL1", b"READY", msgpack.packb(header)])
        self.assertEqual(b"WELCOME", worker.recv_multipart()[1])
        return worker

    def rows(self, *arguments):
        done = self.stage.reel("dispatch", *arguments)
        self.assertEqual((0, ""), (done.code, done.err))
        for row in done.rows:
            self.assertEqual(ROW, list(row))
        return [tuple(row.values()) for row in done.rows]

    def table(self, *arguments, columns=200):
        terminal = self.stage.terminal("dispatch", *arguments, columns=columns)
        self.assertEqual(0, terminal.wait())
        return terminal, terminal.screen()[:-1]

    # --- dispatch -------------------------------------------------------------------------------

    def test_nobody(self):
        self.assertEqual([], self.rows())
        self.assertEqual([["MODALITY", "WORKER", "#", "ADAPTER", "CLASS", "FREE", "SLOTS", "LIMITS"]],
                         [line.split() for line in self.table()[1]])

    def test_two_workers(self):
        made = self.stage.worker("--slots", "3", config=CONFIG).label
        plain = self.stage.worker().label
        number = {row["name"]: place for place, row in enumerate(self.stage.ask(b"WORKERS")[1]["workers"], 1)}
        limits = {"timeout_ms": 60000, "max_attempts": 3}
        expected = [("echo", made, number[made], "echo", "idempotent", None, 3, 3),
                    ("echo", plain, number[plain], "echo", "idempotent", None, 1, 1),
                    ("fail", plain, number[plain], "fail", "idempotent", None, 1, 1),
                    ("keyframe", made, number[made], "exec", "idempotent", limits, 3, 3),
                    ("sleep", plain, number[plain], "sleep", "idempotent", None, 1, 1),
                    ("video", made, number[made], "exec", "neither", {"in_doubt": "fail"}, 3, 3)]
        self.assertEqual(sorted(expected), sorted(self.rows(), key=str))
        names = [row[0] for row in self.rows("--json")]
        self.assertEqual(["echo", "echo", "fail", "keyframe", "sleep", "video"], names)
        self.assertEqual(expected[3:4], self.rows("--modality", "keyframe"))
        self.assertEqual([], self.rows("--modality", "key"))
        _, table = self.table()
        self.assertEqual(["keyframe", made, str(number[made]), "exec", "idempotent", "3", "3", "timeout_ms=60000",
                          "max_attempts=3"], table[4].split())
        self.assertEqual(["sleep", plain, str(number[plain]), "sleep", "idempotent", "1", "1", "-"], table[5].split())
        self.assertEqual(["video", made, str(number[made]), "exec", "neither", "3", "3", "in_doubt=fail"],
                         table[6].split())

    def test_free_slots(self):
        worker = self.stage.worker("--slots", "2").label
        workflow_id = self.stage.submit(workflow(step("long", "sleep", {"ms": 600000})))
        until(lambda: self.stage.status(workflow_id) == "running", "it runs")
        self.assertEqual({(worker, 2, 1)}, {(row[1], row[6], row[7]) for row in self.rows()})
        self.stage.processes[-1].kill()

    def test_without_dispatch_and_of_one_name(self):
        self.ready("studio", modalities=["video", "audio"], slots=2)
        self.ready("studio", modalities=["video"], dispatch={"video": {"adapter": "gpu", "class": "resumable",
                                                                       "limits": {"cost": 2.5, "odd": [1]}}})
        self.ready("leaving", modalities=["video"], slots=0)
        self.assertEqual([("audio", "studio", 1, None, None, None, 2, 2),
                          ("video", "leaving", 3, None, None, None, 0, 0),
                          ("video", "studio", 1, None, None, None, 2, 2),
                          ("video", "studio", 2, "gpu", "resumable", {"cost": 2.5, "odd": [1]}, 1, 1)], self.rows())
        self.assertEqual(["audio", "studio", "1", "-", "-", "2", "2", "-"], self.table()[1][1].split())

    def test_hostile_names(self):
        evil = "\x1b]0;owned\x07\x1b[2J\u202e\nx"
        self.ready(evil, dispatch={evil: {"adapter": evil, "class": evil, "limits": {evil: evil}}, "b": evil,
                                   "c": {"adapter": {"x": 1}, "class": 5, "limits": "none"}})
        self.ready("good", modalities=["d"], dispatch={"d": {"adapter": "a" * 5000, "class": "neither"}})
        terminal, table = self.table()
        self.assertIsNone(re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", terminal.text), terminal.text)
        self.assertEqual(5, len(table))
        self.assertIn("\\x1b]0;owned\\x07\\x1b[2J", table[1])
        # Nobody's names push what others say out of sight.
        self.assertRegex(table[4], r"^d +good +2 +a{31}… +neither +1 +1 +-$")
        terminal = self.stage.terminal("dispatch", "--json")
        self.assertEqual(0, terminal.wait())
        self.assertNotIn("\x1b", terminal.text)
        self.assertEqual([(evil, evil, None, {evil: evil}), ("b", None, None, None), ("c", None, None, None)],
                         [(row[0], row[3], row[4], row[5]) for row in self.rows()[:3]])

    def test_huge_maps_are_cut(self):
        self.ready("huge", dispatch={f"m{n:04}": {} for n in range(300)})
        self.ready("small", dispatch={"z": {}})
        done = self.stage.reel("dispatch")
        self.assertEqual((0, 257), (done.code, len(done.rows)))
        self.assertEqual(("z", "small"), (done.rows[-1]["modality"], done.rows[-1]["worker"]))
        self.assertIn("44 more modalities are not listed", done.err)

    def test_list_dispatch_is_what_ready_says(self):
        path = self.stage.file("worker.zpl", CONFIG)
        command = [BIN / "reel-worker", "--config", path, "--list-dispatch"]
        said = json.loads(subprocess.run([*command, "--json"], capture_output=True, check=True).stdout)
        self.stage.worker("--config", path)
        self.assertEqual(self.stage.ask(b"WORKERS")[1]["workers"][0]["dispatch"], said)
        self.assertEqual(["echo", "keyframe", "video"], list(said))
        table = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
        self.assertEqual([["MODALITY", "ADAPTER", "CLASS", "LIMITS"], ["echo", "echo", "idempotent"],
                          ["keyframe", "exec", "idempotent", "timeout_ms=60000", "max_attempts=3"],
                          ["video", "exec", "neither", "in_doubt=fail"]], [line.split() for line in table])

    # --- what is waited for -----------------------------------------------------------------------

    def says(self, workflow_id, expected):
        """The words in both forms; the document stays a document."""
        done = self.stage.reel("get", workflow_id)
        self.assertEqual((0, f"reel: {workflow_id}: {expected}\n" if expected else ""), (done.code, done.err))
        self.assertEqual(workflow_id, done.rows[0]["workflow_id"])
        (header,) = self.stage.reel("get", "--header", workflow_id).rows
        self.assertEqual(expected or None, header.get("waiting"))
        return header

    def test_unserved(self):
        workflow_id = self.stage.submit(workflow(step("clip", "video")))
        header = self.says(workflow_id, "waiting for a worker that serves `video`; no worker is connected")
        self.assertEqual("video", header["waiting_for"])
        self.ready("other", modalities=["audio"])
        self.says(workflow_id, "waiting for a worker that serves `video`; 1 worker is connected")
        self.ready("leaving", modalities=["video"], slots=0)
        self.says(workflow_id, "waiting for a worker that serves `video`; 2 workers are connected")
        self.ready("serves", modalities=["video"])
        until(lambda: self.stage.status(workflow_id) == "running", "it is handed out")
        self.says(workflow_id, "")

    def test_unserved_in_the_middle(self):
        self.stage.worker()
        workflow_id = self.stage.submit(workflow(step("still"), step("clip", "video", depends_on=["still"])))
        until(lambda: "workflow.yielded" in self.stage.kinds(workflow_id), "the worker gives it back")
        self.says(workflow_id, "waiting for a worker that serves `video`; 1 worker is connected")

    def test_all_slots_busy(self):
        worker = self.ready("busy", modalities=["video"])
        first = self.stage.submit(workflow(step("clip", "video")))
        self.assertEqual(b"ASSIGN", worker.recv_multipart()[1])
        second = self.stage.submit(workflow(step("clip", "video")))
        self.says(first, "")
        header = self.says(second, "waiting for a free slot of a worker that serves `video`")
        self.assertNotIn("waiting_for", header)

    def test_not_before(self):
        self.ready("idle", modalities=["echo"])
        not_before_us = (int(time.time()) + 3600) * 1000000
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(not_before_us // 1000000))
        self.says(self.stage.submit(workflow(), not_before_us=not_before_us), f"waiting until {at}")
        self.says(self.stage.submit(workflow(step("x", "video")), not_before_us=not_before_us),
                  f"waiting until {at}, and for a worker that serves `video`; 1 worker is connected")

    def test_held(self):
        worker = self.ready("careless", modalities=["video"])
        workflow_id = self.stage.submit(workflow(step("clip", "video")))
        lease = msgpack.unpackb(worker.recv_multipart()[2])["lease"]
        # Given back in the middle of a step that is not idempotent: as good as lost.
        events = [{"kind": "step.started", "at_us": 1, "step_id": "clip", "attempt": 1, "idempotent": False},
                  {"kind": "workflow.yielded", "at_us": 2}]
        worker.send_multipart([b"REEL1", b"REPORT", msgpack.packb({"lease": lease, "report_index": 1}),
                               msgpack.packb(events)])
        until(lambda: self.stage.status(workflow_id) == "held", "it is held")
        self.says(workflow_id, "held: whether its running step took effect is not known; waiting for its worker")

    def test_ended(self):
        self.stage.worker()
        workflow_id = self.stage.submit(workflow())
        self.stage.receipt(workflow_id)
        self.says(workflow_id, "")

    def test_live_view(self):
        workflow_id = self.stage.submit(workflow(step("clip", "video"), workflow_id="film"))
        terminal = self.stage.terminal("watch", workflow_id, columns=120, NO_COLOR="1")
        terminal.read_until(r"film  queued .*waiting for a worker that serves `video`; no worker is connected")
        self.ready("busy", modalities=["echo"])
        terminal.read_until(r"film  queued .*waiting for a worker that serves `video`; 1 worker is connected")
        self.ready("camera", modalities=["video"])
        terminal.read_until(r"film  running .*camera")
        self.assertNotIn("waiting", "\n".join(terminal.screen()))


if __name__ == "__main__":
    unittest.main()
