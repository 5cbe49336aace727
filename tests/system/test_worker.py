"""The worker as a program: its options and configuration, commands as steps, and how it ends."""
import json
import os
import signal
import subprocess
import unittest

import harness
from harness import BIN, step, until, workflow

EXEC = """modality
    make
        adapter = exec
        command = "/bin/sh"
        argument = "-c"
        argument = "{script}"
        class = {class_}
"""


def config(script, class_="neither", **top):
    lines = "".join(f"{key} = {value}\n" for key, value in top.items())
    return lines + EXEC.replace("{script}", script).replace("{class_}", class_)


class Options(harness.TestCase):
    """What can be had without a broker."""
    shared = True

    def worker(self, *arguments, **environment):
        return subprocess.run([BIN / "reel-worker", *map(str, arguments)], capture_output=True, check=False, text=True,
                              cwd=self.stage.directory, timeout=harness.DEADLINE_S, env={**os.environ, **environment})

    def test_help_and_version(self):
        done = self.worker("--help")
        self.assertEqual(0, done.returncode)
        for option in ("--broker", "--config", "--name", "--slots", "--drain-ms", "--log", "--list-dispatch", "--json",
                       "--check-config"):
            self.assertIn(option, done.stdout)
        self.assertRegex(self.worker("--version").stdout, r"^reel-worker \d+\.\d+\.\d+\n$")

    def test_list_dispatch(self):
        table = self.worker("--list-dispatch").stdout.splitlines()
        self.assertEqual(["MODALITY", "ADAPTER", "CLASS", "LIMITS"], table[0].split())
        self.assertEqual([["echo", "echo", "idempotent"], ["fail", "fail", "idempotent"], ["sleep", "sleep", "idempotent"]],
                         [row.split() for row in table[1:]])
        path = self.stage.file("list.zpl", config("true") + "        timeout_ms = 5\n    video\n        adapter = echo\n")
        inventory = json.loads(self.worker("--config", path, "--list-dispatch", "--json").stdout)
        self.assertEqual({"make": {"adapter": "exec", "class": "neither", "limits": {"timeout_ms": 5}},
                          "video": {"adapter": "echo", "class": "idempotent"}}, inventory)

    def test_check_config(self):
        good = self.stage.file("good.zpl", config("true"))
        self.assertEqual((0, "", ""), self.left(self.worker("--config", good, "--check-config")))
        bad = self.stage.file("bad.zpl", "modality\n    x\n        adapter = telepathy\n")
        code, out, err = self.left(self.worker("--config", bad, "--check-config"))
        self.assertEqual((os.EX_CONFIG, ""), (code, out))
        self.assertIn("bad.zpl: modality/x/adapter", err)
        code, _, err = self.left(self.worker("--config", "gone.zpl"))
        self.assertEqual(os.EX_CONFIG, code)
        self.assertIn("gone.zpl", err)
        unknown = self.stage.file("unknown.zpl", "worker\n    slotz = 1\n")
        self.assertIn("worker/slotz", self.worker("--config", unknown, "--check-config").stderr)

    @staticmethod
    def left(done):
        return done.returncode, done.stdout, done.stderr

    def test_usage(self):
        for arguments, says in ((["--slots", "0"], "slots"), (["--slots", "4097"], "slots"), (["--slots", "many"], "slots"),
                                (["--log", "loud"], "loud"), (["--json"], "--list-dispatch"), (["extra"], "extra"),
                                (["--nonsense"], "--nonsense"), (["--broker", "nonsense"], "nonsense"),
                                (["--name", "x" * 1025], "--name"), (["--name", ""], "--name"),
                                (["--name", b"\xff".decode(errors="surrogateescape")], "--name")):
            with self.subTest(arguments):
                done = self.worker(*arguments)
                self.assertEqual(os.EX_USAGE, done.returncode, done.stderr)
                self.assertIn(says, done.stderr)


class Work(harness.TestCase):
    """Against a real broker."""

    def row(self, name):
        return next((row for row in self.stage.ask(b"WORKERS")[1]["workers"] if row["name"] == name), None)

    def test_flags_environment_and_file(self):
        self.stage.broker()
        content = config("true") + "worker\n    slots = 3\n    name = from-file\n"
        path = self.stage.file("worker.zpl", content)
        for arguments, environment, name, slots in (([], {}, "from-file", 3), ([], {"REEL_NAME": "from-env"}, "from-env", 3),
                                                    (["--slots", "7"], {"REEL_SLOTS": "5"}, "from-file", 7)):
            worker = harness.Process(self.stage, "worker",
                                     [BIN / "reel-worker", "--broker", self.stage.endpoints["worker"], "--config", path,
                                      *arguments], env={**os.environ, **environment})
            row = until(lambda name=name: self.row(name))
            self.assertEqual(slots, row["slots"])
            self.assertEqual({"make": {"adapter": "exec", "class": "neither"}}, row["dispatch"])
            self.assertEqual(0, worker.stop())
            until(lambda name=name: self.row(name) is None)

    def test_a_command_is_a_step(self):
        self.stage.broker()
        path = self.stage.file("make.sh", "#!/bin/sh\necho begun >&2\necho '{\"progress\": 0.5}'\n"
                                          "printf '{\"in\":%s,\"id\":\"%s\",\"artifacts\":[]}' \"$(cat)\" \"$REEL_STEP_ID\"\n")
        path.chmod(0o755)
        worker = self.stage.worker(config='modality\n    make\n        adapter = exec\n        command = "./make.sh"\n')
        receipt = self.stage.receipt(self.stage.submit(workflow(step("a", "make", {"n": 1}))))
        made = receipt["steps"][0]["receipt"]
        self.assertEqual(("exec", {"in": {"n": 1}, "id": "a"}, []), (made["adapter"], made["output"], made["artifacts"]))
        self.assertIn("/a: begun", worker.errors())

    def test_a_command_that_fails_says_why(self):
        self.stage.broker()
        self.stage.worker(config=config("echo no paper >&2; exit 3"))
        receipt = self.stage.receipt(self.stage.submit(workflow(step("a", "make"))))
        self.assertEqual({"code": "exit_status", "message": "exit status 3: no paper", "retryable": False,
                          "detail": {"exit_status": 3, "stderr": "no paper"}}, receipt["steps"][0]["error"])

    def test_defaults_of_the_configuration_and_the_policy_of_a_step(self):
        self.stage.broker()
        self.stage.worker(config="modality\n    fail\n        adapter = fail\n        max_attempts = 3\n        backoff_ms = 20\n"
                                 "        backoff_max_ms = 30\n    sleep\n        adapter = sleep\n        timeout_ms = 10\n")
        again, final = {"message": "no", "retryable": True}, {"message": "no", "retryable": False}
        workflow_id = self.stage.submit(workflow(
            step("default", "fail", again), step("own", "fail", again, policy={"retry": {"max_attempts": 2, "backoff_ms": 0}}),
            step("final", "fail", final), step("late", "sleep", {"ms": 3600000}),
            step("patient", "sleep", {"ms": 20}, policy={"timeout_ms": 3600000})))
        steps = {s["step_id"]: s for s in self.stage.receipt(workflow_id)["steps"]}
        events = [e for e in self.stage.events(workflow_id) if e["kind"].startswith("step.")]
        history = lambda name: [e["kind"][5:] for e in events if e["step_id"] == name]
        once = ["started", "failed"]
        self.assertEqual(["started", "retrying"] * 2 + once, history("default"))
        self.assertEqual(["started", "retrying"] + once, history("own"))
        self.assertEqual((once, once), (history("final"), history("late")))
        self.assertEqual(("timeout", "succeeded"), (steps["late"]["error"]["code"], steps["patient"]["status"]))
        retrying = [e for e in events if e["kind"] == "step.retrying"]
        self.assertTrue(all(0 <= e["delay_ms"] <= (30 if e["step_id"] == "default" else 0) for e in retrying), retrying)
        self.assertEqual({("failed", "no", True)}, {(e["error"]["code"], e["error"]["message"], e["error"]["retryable"])
                                                    for e in retrying})
        started = [e for e in events if e["kind"] == "step.started" and e["step_id"] == "default"]
        self.assertEqual([1, 2, 3], [e["attempt"] for e in started])
        self.assertEqual(started[0]["at_us"], steps["default"]["started_us"])

    def test_terminated_it_ends_its_step_and_gives_back_the_rest(self):
        self.stage.broker()
        worker = self.stage.worker(config=config("touch ../../begun; while [ ! -e ../../go ]; do sleep 0.02; done",
                                                 work="work") + "    echo\n        adapter = echo\n")
        workflow_id = self.stage.submit(workflow(step("a", "make"), step("b")))
        until((self.stage.directory / "work" / "begun").exists)
        worker.signal(signal.SIGTERM)
        until(lambda: self.row(worker.label)["slots"] == 0)
        self.assertEqual("running", self.stage.status(workflow_id))
        (self.stage.directory / "work" / "go").touch()
        self.assertEqual(0, worker.wait().code)
        self.assertIsNone(self.row(worker.label))
        self.assertEqual("queued", self.stage.status(workflow_id))
        self.stage.worker()
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 2), (receipt["status"], receipt["deliveries"]))
        self.assertEqual(1, self.stage.kinds(workflow_id).count("step.started:a"))

    def test_terminated_it_takes_nothing_new(self):
        self.stage.broker()
        worker = self.stage.worker("--slots", "2", config=config("touch ../../begun; while [ ! -e ../../go ]; do sleep 0.02; done",
                                                                work="work"))
        first = self.stage.submit(workflow(step("a", "make")))
        until((self.stage.directory / "work" / "begun").exists)
        worker.signal(signal.SIGTERM)
        until(lambda: self.row(worker.label)["slots"] == 0)
        second = self.stage.submit(workflow(step("a", "make")))
        (self.stage.directory / "work" / "go").touch()
        self.assertEqual("succeeded", self.stage.receipt(first)["status"])
        self.assertEqual(0, worker.wait().code)
        self.assertEqual(("queued", ["workflow.accepted"]), (self.stage.status(second), self.stage.kinds(second)))

    def test_terminated_it_gives_up_what_does_not_end_in_time(self):
        self.stage.broker("--lease-ms", "1000", "--heartbeat-ms", "200")
        worker = self.stage.worker("--drain-ms", "200", config=config("touch ../../begun; while :; do sleep 0.02; done", work="work"))
        workflow_id = self.stage.submit(workflow(step("a", "make")))
        until((self.stage.directory / "work" / "begun").exists)
        worker.signal(signal.SIGTERM)
        done = worker.wait()
        self.assertEqual(os.EX_TEMPFAIL, done.code)
        self.assertIn("1 workflows are given up: their steps did not end in 200 ms", done.err)
        worker.killed = True  # it did not end well, and was not meant to
        until(lambda: self.stage.status(workflow_id) == "held")

    def test_terminated_twice_it_ends_at_once(self):
        self.stage.broker("--lease-ms", "1000", "--heartbeat-ms", "200")
        worker = self.stage.worker(config=config("trap '' TERM; touch ../../begun; while :; do sleep 0.02; done", work="work"))
        workflow_id = self.stage.submit(workflow(step("a", "make")))
        until((self.stage.directory / "work" / "begun").exists)
        worker.signal(signal.SIGTERM)
        until(lambda: self.row(worker.label)["slots"] == 0)
        worker.signal(signal.SIGTERM)
        self.assertEqual(os.EX_TEMPFAIL, worker.wait().code)
        worker.killed = True  # it did not end well, and was not meant to
        until(lambda: self.stage.status(workflow_id) == "held")

    def test_killed_it_loses_nothing_that_was_recorded(self):
        self.stage.broker("--lease-ms", "1000", "--heartbeat-ms", "200")
        first = self.stage.worker()
        workflow_id = self.stage.submit(workflow(step("a", payload={"n": 1}), step("b", "sleep", {"ms": 3000})))
        until(lambda: "step.started:b" in self.stage.kinds(workflow_id))
        before = [event for event in self.stage.events(workflow_id) if event["kind"] == "step.succeeded"]
        first.kill()
        self.stage.worker()
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 2), (receipt["status"], receipt["deliveries"]))
        self.assertEqual(before[0]["receipt"], receipt["steps"][0]["receipt"])
        kinds = self.stage.kinds(workflow_id)
        self.assertEqual((1, 2), (kinds.count("step.started:a"), kinds.count("step.started:b")))

    def test_it_outlives_its_broker(self):
        broker = self.stage.broker("--lease-ms", "2000", "--heartbeat-ms", "200")
        self.stage.worker(config=config("touch ../../begun; while [ ! -e ../../go ]; do sleep 0.02; done; echo run >>../../runs",
                                        work="work"))
        workflow_id = self.stage.submit(workflow(step("a", "make")))
        until((self.stage.directory / "work" / "begun").exists)
        broker.kill()
        (self.stage.directory / "work" / "go").touch()
        until((self.stage.directory / "work" / "runs").exists)
        self.stage.broker("--lease-ms", "2000", "--heartbeat-ms", "200")
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 1), (receipt["status"], receipt["deliveries"]))
        self.assertEqual("run\n", (self.stage.directory / "work" / "runs").read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
