"""The examples do what they are shown for: the ten lines of Python, the film, the failing step."""
import ast
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BIN = pathlib.Path(os.environ["REEL_BIN"])
EXAMPLES = pathlib.Path(os.environ["REEL_SOURCE"]) / "examples"
PYTHON = os.environ.get("PYTHON", "/usr/bin/python3")
DEADLINE_S = 90


class Examples(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="reel-examples-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.endpoints = {}
        broker = self.start(BIN / "reel-broker", "--client", "tcp://127.0.0.1:*", "--worker", "tcp://127.0.0.1:*",
                            "--events", "tcp://127.0.0.1:*", "--data", self.directory / "broker")
        for line in broker.stdout:
            if line == "ready\n":
                break
            name, _, endpoint = line.strip().partition("=")
            self.endpoints[name] = endpoint
        self.assertEqual({"client", "worker", "events"}, set(self.endpoints))

    def start(self, *command):
        """Starts a program that ends with the test, by SIGTERM and well."""
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   text=True)
        self.addCleanup(self.stop, process)
        return process

    def stop(self, process):
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.fail(f"{process.args[0]} did not end after SIGTERM")
        self.assertEqual(0, process.returncode, process.args[0])

    def example(self, name, *arguments):
        """Starts one of the examples, which ends by itself."""
        process = subprocess.Popen([PYTHON, str(EXAMPLES / name), *arguments], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def reel(self, *arguments, status=0):
        environment = {**os.environ, "REEL_CLIENT": self.endpoints["client"], "REEL_EVENTS": self.endpoints["events"]}
        done = subprocess.run([BIN / "reel", *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True,
                              timeout=DEADLINE_S, check=False)
        if status is not None:
            self.assertEqual(status, done.returncode, done.stdout)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def media_worker(self):
        """A worker with the configuration of the examples, whose files go into the test's directory."""
        config = (EXAMPLES / "worker.zpl").read_text(encoding="utf-8")
        config = config.replace('"../build/work"', f'"{self.directory}/work"')
        config = config.replace('"adapters/', f'"{EXAMPLES}/adapters/')
        (self.directory / "worker.zpl").write_text(config, encoding="utf-8")
        self.start(BIN / "reel-worker", "--broker", self.endpoints["worker"], "--config", self.directory / "worker.zpl")

    def submit(self, name):
        """Submits an example, waits for its end, and gives its receipt with the steps by id."""
        (submitted, *_) = self.reel("submit", "--json", EXAMPLES / name)
        (receipt,) = self.reel("receipt", "--json", "--wait", submitted["workflow_id"], status=None)
        return receipt, {step["step_id"]: step for step in receipt["steps"]}

    def test_python_producer_is_followed_by_python_subscriber(self):
        self.start(BIN / "reel-worker", "--broker", self.endpoints["worker"])
        subscriber = self.example("subscriber.py", "from-python", self.endpoints["events"])
        self.assertTrue(subscriber.stdout.readline().startswith("beat "))
        producer = self.example("producer.py", "from-python", self.endpoints["client"])
        said, _ = producer.communicate(timeout=DEADLINE_S)
        self.assertEqual(0, producer.returncode, said)
        self.assertIn("OK", said)
        lines, _ = subscriber.communicate(timeout=DEADLINE_S)
        self.assertEqual(0, subscriber.returncode)
        heard = [line.split(" ", 1) for line in lines.splitlines() if not line.startswith("beat ")]
        self.assertEqual(["event/from-python/workflow.accepted", "event/from-python/workflow.assigned",
                          "event/from-python/step.started", "event/from-python/step.succeeded",
                          "event/from-python/step.started", "event/from-python/step.succeeded",
                          "event/from-python/workflow.succeeded", "receipt/from-python"], [topic for topic, _ in heard])
        published = ast.literal_eval(heard[-1][1])  # what Python printed of its own maps
        self.assertEqual(published, self.reel("receipt", "--json", "from-python")[0])
        self.assertEqual({"heard": "hello"}, published["steps"][1]["receipt"]["output"])
        document = self.reel("get", "--json", "from-python")[0]
        self.assertEqual([step["receipt"] for step in published["steps"]],
                         [step["receipt"] for step in document.get("workflow", document)["steps"]])

    def test_keyframe_becomes_a_film(self):
        self.media_worker()
        receipt, steps = self.submit("keyframe_video.json")
        self.assertEqual("succeeded", receipt["status"], receipt)
        for step in steps.values():
            (artifact,) = step["receipt"]["artifacts"]
            self.assertEqual(os.path.getsize(artifact["uri"]), artifact["bytes"])
            self.assertTrue(re.fullmatch("[0-9a-f]{64}", artifact["sha256"]))
        film = steps["film"]["receipt"]["output"]
        self.assertEqual(["h264", "aac"], film["streams"])
        self.assertAlmostEqual(6.0, film["seconds"], delta=0.2)
        self.assertEqual({"project": "lighthouse", "author": "reel demo", "workflow_id": receipt["workflow_id"],
                          "workflow_step_id": "film"}, steps["film"]["receipt"]["provenance"])

    def test_what_depends_on_a_failed_step_is_skipped_and_the_rest_runs(self):
        self.media_worker()
        receipt, steps = self.submit("one_step_fails.json")
        self.assertEqual("failed", receipt["status"])
        self.assertEqual({"keyframe": "succeeded", "video": "failed", "soundtrack": "succeeded", "film": "skipped"},
                         {name: step["status"] for name, step in steps.items()})
        self.assertIn("backflip", json.dumps(steps["video"]["error"]))
        self.assertEqual("dependency_failed", steps["film"]["error"]["code"])
        self.assertIsNone(steps["film"]["started_us"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
