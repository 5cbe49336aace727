"""Plugins, hooks and the embedding library with real processes: what is called when, what is refused by name, and that
a function that blocks holds up nobody else."""
import json
import os
import pathlib
import subprocess
import unittest

import zmq

import harness
from harness import step, until, workflow

TESTS = pathlib.Path(os.environ["REEL_TESTS"])
PLUGINS = TESTS / "plugins"
EX_CONFIG = 78
LEDGER = """#!/bin/sh
# Notes the point and the step; what comes in is kept for the test to look at.
cat >"$1/$REEL_HOOK.json"
echo "ledger $REEL_HOOK $REEL_WORKFLOW_ID $REEL_STEP_ID" >>"$1/log"
[ ! -e "$1/stop" ] || { echo "no room in the ledger" >&2; exit 3; }
"""


class Plugin(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.stage.directory / "log"
        self.environment = {**os.environ, "PROBE_LOG": str(self.log)}
        self.script = self.stage.file("ledger.sh", LEDGER)
        self.script.chmod(0o755)

    def configuration(self, hook=True, plugin="probe"):
        text = f'plugin = "{PLUGINS}/{plugin}.so"\n'
        if hook:
            text += (f'hook\n    ledger\n        point = "pre_step post_step on_failure"\n        command = "{self.script}"\n'
                     f'        argument = "{self.stage.directory}"\n')
        return text + ("modality\n    wait\n        adapter = probe-wait\n    heed\n        adapter = probe-heed\n"
                       "        timeout_ms = 60000\n    echo\n        adapter = echo\n    fail\n        adapter = fail\n")

    def lines(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def run_it(self, document, configuration=None):
        """Runs a document without any broker; gives what came of it, and the receipt."""
        config = self.stage.file("worker.zpl", configuration or self.configuration())
        path = self.stage.file("workflow.json", json.dumps(document))
        done = self.stage.reel("run", "--json", "--config", config, path, PROBE_LOG=str(self.log))
        return done, done.rows[-1] if done.rows else None

    def test_hooks_are_called_in_order_around_each_step(self):
        document = {"workflow_id": "wf", "steps": [
            {"step_id": "a", "modality": "echo", "payload": {"n": 1}},
            {"step_id": "b", "modality": "fail"},
            {"step_id": "c", "modality": "echo", "depends_on": ["b"]}]}
        done, receipt = self.run_it(document)
        self.assertEqual(["succeeded", "failed", "skipped"], [s["status"] for s in receipt["steps"]], done)
        self.assertEqual(["first pre_step wf a", "second pre_step wf a", "ledger pre_step wf a",
                          "first post_step wf a", "ledger post_step wf a",
                          "first pre_step wf b", "second pre_step wf b", "ledger pre_step wf b",
                          "first on_failure wf b", "ledger on_failure wf b"], self.lines())
        told = json.loads((self.stage.directory / "post_step.json").read_text())
        self.assertEqual(document["steps"][0], told["step"])
        self.assertEqual(receipt["steps"][0]["receipt"], told["receipt"])
        self.assertEqual({"workflow_id": "wf", "step_id": "a", "modality": "echo", "attempt": 1, "delivery": 1,
                          "idempotency_key": "wf/a",
                          "provenance": {"workflow_id": "wf", "workflow_step_id": "a"}}, told["context"])
        told = json.loads((self.stage.directory / "on_failure.json").read_text())
        self.assertEqual(receipt["steps"][1]["error"], told["error"])

    def test_failing_hook_of_a_plugin_ends_the_run(self):
        for payload, first in (({"refuse": True}, "failed"), ({"regret": True}, "succeeded")):
            done, receipt = self.run_it({"workflow_id": "wf", "steps": [
                {"step_id": "a", "modality": "echo", "payload": payload}, {"step_id": "b", "modality": "echo"}]})
            self.assertNotEqual(0, done.code)
            self.assertEqual([first, "pending"], [s["status"] for s in receipt["steps"]])
            self.assertEqual(("failed", "hook_failed", "probe-first"),
                             (receipt["status"], receipt["error"]["code"], receipt["error"]["detail"]["hook"]))
        self.assertNotIn("second pre_step wf a", self.lines()[:1])

    def test_failing_command_ends_the_run_through_a_broker(self):
        self.stage.broker()
        self.stage.worker(config=self.configuration(), env=self.environment)
        (self.stage.directory / "stop").touch()
        self.stage.submit(workflow(step("a"), step("b"), workflow_id="wf"))
        receipt = self.stage.receipt("wf")
        self.assertEqual(("failed", "hook_failed"), (receipt["status"], receipt["error"]["code"]))
        self.assertIn("no room in the ledger", receipt["error"]["message"])
        self.assertEqual(["failed", "pending"], [s["status"] for s in receipt["steps"]])
        self.assertEqual("hook_failed", receipt["steps"][0]["error"]["code"])

    def test_function_that_blocks_holds_up_nobody(self):
        self.stage.broker("--lease-ms", "600", "--heartbeat-ms", "100")
        worker = self.stage.worker("--slots", "2", config=self.configuration(hook=False), env=self.environment)
        go = self.stage.directory / "go"
        self.stage.submit(workflow(step("a", "wait", {"until": str(go)}), workflow_id="blocked"))
        until(lambda: "begin blocked a" in self.lines(), "the function is called")
        # Others come and go in the other slot for several times the lease.
        before = self.stage.ask(b"STATS")[1]["counters"]
        for n in range(20):
            self.stage.submit(workflow(step("a"), step("b"), workflow_id=f"quick{n}"))
            self.assertEqual("succeeded", self.stage.receipt(f"quick{n}")["status"])
        with self.stage.socket(zmq.SUB, "events", "beat") as beats:
            for _ in range(4):  # one a second
                beats.recv_multipart()
        self.assertEqual("running", self.stage.status("blocked"))
        go.touch()
        receipt = self.stage.receipt("blocked")
        self.assertEqual(("succeeded", 1, {"waited": True}),
                         (receipt["status"], receipt["deliveries"], receipt["steps"][0]["receipt"]["output"]))
        after = self.stage.ask(b"STATS")[1]["counters"]
        self.assertEqual([before[key] for key in ("requeued", "held")],
                         [after[key] for key in ("requeued", "held")])
        self.assertEqual(0, worker.stop())

    def test_function_is_told_at_its_deadline(self):
        done, receipt = self.run_it({"workflow_id": "wf", "steps": [
            {"step_id": "a", "modality": "heed", "policy": {"timeout_ms": 50}}]})
        self.assertEqual("timeout", receipt["steps"][0]["error"]["code"], done)
        self.assertIn("told wf a", self.lines())

    def test_worker_ends_though_a_function_does_not(self):
        self.stage.broker()
        worker = self.stage.worker("--drain-ms", "1000", config=self.configuration(hook=False), env=self.environment)
        self.stage.submit(workflow(step("a", "wait", {"until": "/nowhere/to/be/found"}), workflow_id="stuck"))
        until(lambda: "begin stuck a" in self.lines(), "the function is called")
        worker.popen.terminate()
        worker.popen.terminate()
        worker.popen.wait(harness.DEADLINE_S)
        worker.killed = True  # its exit code says that it left something

    def refused(self, configuration, **environment):
        config = self.stage.file("worker.zpl", configuration)
        done = subprocess.run([harness.BIN / "reel-worker", "--config", config, "--list-dispatch"], capture_output=True,
                              text=True, env={**os.environ, **environment}, timeout=harness.DEADLINE_S, check=False)
        self.assertEqual((EX_CONFIG, ""), (done.returncode, done.stdout), done.stderr)
        return done.stderr

    def test_what_is_no_plugin_is_refused_by_name(self):
        def only(name):
            return f'plugin = "{PLUGINS}/{name}.so"\n'
        self.assertIn("old.so was built for ABI 99 of reel/adapter.h, this is ABI 1", self.refused(only("old")))
        self.assertIn("empty.so is no plugin", self.refused(only("empty")))
        self.assertIn("none.so cannot be loaded", self.refused(only("none")))
        self.assertIn("unwilling.so did not start: its init returned 7", self.refused(only("unwilling")))
        self.assertIn("cannot be loaded", self.refused(f'plugin = "{self.script}"\n'))
        for wrong, why in (("name", "adapter Not-A-Name is no name"), ("null", "adapter NULL is no name"),
                           ("builtin", "adapter echo is there already"), ("class", "adapter x has no function, or a class"),
                           ("function", "adapter x has no function"), ("twice", "adapter x is there already"),
                           ("hook", "hook h is there twice"), ("point", "hook h has no point")):
            self.assertIn(why, self.refused(only("unwilling"), WRONG=wrong))
        self.assertIn("adapter x is there already", self.refused(only("unwilling") + only("unwilling"), WRONG="twice"))
        self.assertIn("hook probe-first is there twice", self.refused(only("probe") + only("probe")))
        self.assertIn("'probe-sing' is none of exec, echo, sleep, fail, and no plugin brought it",
                      self.refused(only("probe") + "modality\n    x\n        adapter = probe-sing\n"))
        self.assertIn("modality/x/adapter: probe-wait takes none of the keys of exec",
                      self.refused(only("probe") + "modality\n    x\n        adapter = probe-wait\n        class = neither\n"))

    def test_hooks_are_listed_in_their_order(self):
        config = self.stage.file("worker.zpl", self.configuration())
        shown = subprocess.run([harness.BIN / "reel-worker", "--config", config, "--list-dispatch"], text=True,
                               capture_output=True, timeout=harness.DEADLINE_S, check=True).stdout
        self.assertIn("\nhook probe-first: pre_step post_step on_failure\nhook probe-second: pre_step\n"
                      "hook ledger: pre_step post_step on_failure\n", shown)
        self.assertRegex(shown, r"wait +probe-wait +neither")

    def test_example_plugin_works(self):
        frames = self.stage.directory / "frames"
        frames.mkdir()
        configuration = f'plugin = "{PLUGINS}/frames.so"\nmodality\n    frames\n        adapter = frames\n'
        done, receipt = self.run_it({"workflow_id": "wf", "steps": [
            {"step_id": "a", "modality": "frames", "payload": {"count": 5, "into": str(frames), "price": 20}},
            {"step_id": "b", "modality": "frames", "payload": {"count": 1, "into": str(frames), "price": 200}}]},
            configuration)
        self.assertEqual({"frames": 5, "width": 64, "height": 36}, receipt["steps"][0]["receipt"]["output"], done)
        self.assertEqual(5, len(list(frames.glob("frame-*.ppm"))))
        self.assertEqual("hook_failed", receipt["error"]["code"])
        self.assertIn("must not cost more than 100", receipt["error"]["message"])

    def test_example_that_embeds_works(self):
        document = {"workflow_id": "wf", "steps": [
            {"step_id": "card", "modality": "title", "payload": {"title": "Reel"}},
            {"step_id": "same", "modality": "echo", "payload": {"of": {"$ref": "#/card/output/image"}},
             "depends_on": ["card"]}]}
        path, out = self.stage.file("in.json", json.dumps(document)), self.stage.directory / "out.json"

        def run(*arguments):
            return subprocess.run([TESTS / "example_embed", *arguments], text=True, capture_output=True,
                                  timeout=harness.DEADLINE_S, check=False)
        done = run(path, out)
        self.assertEqual((0, 'title card of card from {"title":"Reel"}\nstep card is done\nstep same is done\n'
                          "succeeded: 2 steps\n"), (done.returncode, done.stdout), done.stderr)
        saved = json.loads(out.read_text())
        self.assertEqual({"of": "title.png"}, saved["steps"][1]["receipt"]["output"])
        # Run again: nothing is done again.
        self.assertEqual((0, "succeeded: 0 steps\n"), (lambda d: (d.returncode, d.stdout))(run(out, out)))
        # And what does not hold is said with its place.
        document["steps"][1]["depends_on"] = ["nobody"]
        done = run(self.stage.file("bad.json", json.dumps(document)), out)
        self.assertEqual(1, done.returncode)
        self.assertIn("missing_dependency at /steps/1/depends_on/0: ", done.stderr)
        self.assertIn("none.json: No such file", run("none.json", out).stderr)


if __name__ == "__main__":
    unittest.main()
