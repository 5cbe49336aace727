"""Processes that are stopped and go on later, and what killed ones leave behind.

A worker that was stopped past its lease goes on if nobody has taken over. Otherwise it changes nothing, dispatches
nothing and ends its children. What a killed worker had started is killed.
"""
import contextlib
import os
import signal
import unittest

import harness
from harness import step, until, workflow
from proxy import Proxy

# `once` may not run twice, `again` may. Each notes its start, and waits until its delivery is let go.
CONFIG = """
modality
    echo
        adapter = echo
    once
        adapter = exec
        command = "{directory}/script"
        argument = "{directory}"
    again
        adapter = exec
        command = "{directory}/script"
        argument = "{directory}"
        class = idempotent
    stubborn
        adapter = exec
        command = "{directory}/stubborn"
        argument = "{directory}"
"""
SCRIPT = """#!/bin/sh
echo "$REEL_STEP_ID $REEL_DELIVERY $$" >>"$1/ledger"
while [ -d "$1" ] && [ ! -e "$1/go-$REEL_DELIVERY" ]; do sleep 0.02; done
echo '{}'
"""
# Hears no TERM, and has children in its own group, in a session of their own, and without a parent.
STUBBORN = """#!/bin/sh
trap '' TERM HUP
stay='trap "" TERM HUP; echo "$2 0 $$" >>"$1/ledger"; while [ -d "$1" ]; do sleep 0.02; done'
sh -c "$stay" sh "$1" near &
setsid sh -c "$stay" sh "$1" far &
(setsid sh -c "$stay" sh "$1" orphan &) &
echo "self 0 $$" >>"$1/ledger"
while [ -d "$1" ]; do sleep 0.02; done
"""
BROKER = ("--lease-ms", "500", "--heartbeat-ms", "100")


class Case(harness.TestCase):
    def set_stage(self, stage):
        for name, text in (("script", SCRIPT), ("stubborn", STUBBORN)):
            stage.file(name, text).chmod(0o755)
        self.config = CONFIG.format(directory=stage.directory)

    def worker(self, **more):
        return self.stage.worker(config=self.config, **more)

    def lines(self):
        path = self.stage.directory / "ledger"
        return [line.split() for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []

    def starts(self):
        """Which step, in which delivery."""
        return [(name, int(delivery)) for name, delivery, _ in self.lines()]

    def pid(self, name, delivery=0):
        return next(int(pid) for *key, pid in self.lines() if key == [name, str(delivery)])

    def go(self, delivery):
        self.stage.file(f"go-{delivery}", "")

    def status(self, workflow_id):
        return self.stage.status(workflow_id)

    def fenced(self):
        return self.stage.ask(b"STATS")[1]["counters"]["fenced"]


class Stopped(Case):
    def stop(self, *steps):
        """A worker that is stopped past its lease in the first step. Gives it and the workflow."""
        self.stage.broker(*BROKER)
        worker = self.worker()
        workflow_id = self.stage.submit(workflow(*steps))
        until(self.starts, "the step begins")
        until(lambda: "step.started:a" in self.stage.kinds(workflow_id), "its start is kept")
        worker.signal(signal.SIGSTOP)
        until(lambda: self.status(workflow_id) in ("queued", "held"), "its lease has expired")
        return worker, workflow_id

    def take_over(self, workflow_id):
        """Another one does all of it, in the second delivery."""
        other = self.worker()
        self.go(2)
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 2), (receipt["status"], receipt["deliveries"]))
        return other

    def check_it_is_harmless(self, worker, workflow_id, other, continue_it):
        """It goes on, hears that it has lost its lease, and that is all."""
        events, starts, fenced = self.stage.events(), self.starts(), self.fenced()
        continue_it()
        until(lambda: self.fenced() > fenced, "it is told")
        until(lambda: not any(harness.lives(pid) for _, delivery, pid in self.lines() if delivery == "1"), "its children end")
        self.assertEqual(0, other.stop())
        # It is of use again, and by then has done whatever it would have.
        self.assertEqual("succeeded", self.stage.receipt(self.stage.submit(workflow(step("x"))))["status"])
        self.assertEqual(events, self.stage.events()[:len(events)])
        self.assertEqual(events, [event for event in self.stage.events() if event["workflow_id"] == workflow_id])
        self.assertEqual(starts, self.starts())
        self.assertIsNone(worker.popen.poll())

    def test_nobody_has_taken_over(self):
        for modality, was in (("again", "queued"), ("once", "held")):
            with self.subTest(modality):
                worker, workflow_id = self.stop(step("a", modality), step("b", modality))
                self.assertEqual(was, self.status(workflow_id))
                self.go(1)
                worker.signal(signal.SIGCONT)
                receipt = self.stage.receipt(workflow_id)
                self.assertEqual(("succeeded", 1), (receipt["status"], receipt["deliveries"]))
                self.assertEqual([("a", 1), ("b", 1)], self.starts())
            self.doCleanups()
            self.setUp()

    def test_taken_over_while_its_step_runs(self):
        worker, workflow_id = self.stop(step("a", "again"), step("b", "again"))
        other = self.take_over(workflow_id)
        self.check_it_is_harmless(worker, workflow_id, other, lambda: worker.signal(signal.SIGCONT))
        self.assertEqual([("a", 1), ("a", 2), ("b", 2)], self.starts())

    def test_taken_over_and_its_step_has_ended_meanwhile(self):
        worker, workflow_id = self.stop(step("a", "again"), step("b", "again"))
        other = self.take_over(workflow_id)
        child = self.pid("a", 1)
        self.go(1)
        until(lambda: not harness.lives(child), "its step has ended")
        self.check_it_is_harmless(worker, workflow_id, other, lambda: worker.signal(signal.SIGCONT))
        self.assertEqual([("a", 1), ("a", 2), ("b", 2)], self.starts())

    def test_held_and_resolved_by_somebody(self):
        worker, workflow_id = self.stop(step("a", "once"), step("b", "again"))
        self.assertEqual("OK", self.stage.ask(b"RESOLVE", {"workflow_id": workflow_id, "step_id": "a", "as": "retry"})[0])
        other = self.take_over(workflow_id)
        self.check_it_is_harmless(worker, workflow_id, other, lambda: worker.signal(signal.SIGCONT))
        self.assertEqual([("a", 1), ("a", 2), ("b", 2)], self.starts())

    # --- between step.started and the call --------------------------------------------------------

    def stop_before_the_call(self):
        """Its `paid` step is known to have started, but it does not know that. Gives it, its way, and the workflow."""
        self.stage.broker(*BROKER)
        proxy = Proxy(self.stage.endpoints["worker"])
        self.addCleanup(proxy.close)
        worker = self.worker(endpoint=proxy.endpoint)
        self.addCleanup(worker.stop)  # while it has its way to the broker, and the last acknowledgement
        workflow_id = self.stage.submit(workflow(step("a", "again"), step("paid", "once")))
        until(self.starts, "the first step begins")
        proxy.stall(down=True)
        self.go(1)
        until(lambda: "step.started:paid" in self.stage.kinds(workflow_id), "the start of the other is kept")
        worker.signal(signal.SIGSTOP)
        until(lambda: self.status(workflow_id) == "held", "the workflow is held")
        self.assertEqual([("a", 1)], self.starts())

        def go_on():
            proxy.pass_on()
            worker.signal(signal.SIGCONT)

        return worker, go_on, workflow_id

    def test_not_yet_called_and_nobody_has_taken_over(self):
        _, go_on, workflow_id = self.stop_before_the_call()
        go_on()
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 1), (receipt["status"], receipt["deliveries"]))
        self.assertEqual([("a", 1), ("paid", 1)], self.starts())

    def test_not_yet_called_and_taken_over(self):
        worker, go_on, workflow_id = self.stop_before_the_call()
        self.stage.ask(b"RESOLVE", {"workflow_id": workflow_id, "step_id": "paid", "as": "retry"})
        other = self.take_over(workflow_id)
        self.check_it_is_harmless(worker, workflow_id, other, go_on)
        self.assertEqual([("a", 1), ("paid", 2)], self.starts())

    # --- the broker -----------------------------------------------------------------------------------

    def test_stopped_broker_loses_nobody(self):
        broker = self.stage.broker(*BROKER)
        self.worker()
        workflow_id = self.stage.submit(workflow(step("a", "once"), step("b", "again")))
        until(lambda: "step.started:a" in self.stage.kinds(workflow_id), "the step has begun")
        until(self.starts, "and is there")
        broker.signal(signal.SIGSTOP)
        child = self.pid("a", 1)
        self.go(1)
        until(lambda: not harness.lives(child), "it ends meanwhile")
        # The worker has missed the broker for longer than its lease when it looks for another connection.
        until(lambda: "connecting again" in self.stage.processes[1].errors(), "the worker misses it")
        broker.signal(signal.SIGCONT)
        receipt = self.stage.receipt(workflow_id)
        self.assertEqual(("succeeded", 1), (receipt["status"], receipt["deliveries"]))
        self.assertEqual([("a", 1), ("b", 1)], self.starts())
        self.assertEqual(0, self.stage.ask(b"STATS")[1]["counters"]["requeued"])


class Orphans(Case):
    NAMES = {"self", "near", "far", "orphan"}

    def check_that_all_end(self, process, end=None):
        until(lambda: {name for name, _ in self.starts()} == self.NAMES, "all of them are there")
        pids = [int(pid) for _, _, pid in self.lines()]
        self.assertTrue(all(harness.lives(pid) for pid in pids))
        (end or process.kill)()
        until(lambda: not any(harness.lives(pid) for pid in pids), "they end with it")

    def test_killed_worker_leaves_nothing_running(self):
        self.stage.broker(*BROKER)
        worker = self.worker()
        workflow_id = self.stage.submit(workflow(step("a", "stubborn")))
        self.check_that_all_end(worker)
        until(lambda: self.status(workflow_id) == "held", "what became of it is for somebody to say")

    def test_killed_local_run_leaves_nothing_running(self):
        path = self.stage.file("a.json", workflow(step("a", "stubborn")))
        config = self.stage.file("worker.zpl", self.config)
        self.check_that_all_end(self.stage.start_reel("run", "--config", config, path))

    def test_killed_step_takes_a_local_run_in_it_along(self):
        """The outer one is killed, or kills its step when the grace is over: the inner one's own guard sees to its step."""
        path = self.stage.file("a.json", workflow(step("a", "stubborn")))
        inner = self.stage.file("worker.zpl", self.config)
        script = self.stage.file("nested", f"#!/bin/sh\nexec {harness.BIN / 'reel'} run --config {inner} {path}\n")
        script.chmod(0o755)
        nested = f"modality\n    nested\n        adapter = exec\n        command = {script}\n        grace_ms = 10\n"
        config = self.stage.file("outer.zpl", nested)
        outer = self.stage.file("outer.json", workflow(step("a", "nested")))
        self.check_that_all_end(self.stage.start_reel("run", "--config", config, outer))
        (self.stage.directory / "ledger").unlink()
        run = self.stage.start_reel("run", "--config", config, outer)
        self.check_that_all_end(run, lambda: run.signal(signal.SIGINT))
        self.assertEqual(130, run.wait().code)
        (self.stage.directory / "ledger").unlink()
        run = self.stage.start_reel("run", "--config", config, outer)

        def kill_inner_guard():
            with open(f"/proc/{self.pid('self')}/stat", encoding="ascii") as stat:
                self.kill_guard(int(stat.read().rpartition(")")[2].split()[1]))
            run.kill()

        self.check_that_all_end(run, kill_inner_guard)

    def guards(self, parent):
        """Those of its children that are called so, and live."""
        found = []
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as children:
            for pid in map(int, children.read().split()):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                        open(f"/proc/{pid}/comm", encoding="ascii") as name:
                    found += [pid] if name.read() == "reel-guard\n" and harness.lives(pid) else []
        return found

    def guard(self, parent):
        """The one that it has, which is called so as soon as it has begun."""
        (guard,) = until(lambda: self.guards(parent), "it has a guard")
        return guard

    def kill_guard(self, parent):
        guard = self.guard(parent)
        os.kill(guard, signal.SIGKILL)
        until(lambda: self.guards(parent) not in ([], [guard]), "another takes over")

    def kill_without_its_guards(self, process):
        self.kill_guard(process.pid)
        self.kill_guard(process.pid)
        process.kill()

    def test_killed_guard_of_a_worker_is_followed_by_another(self):
        self.stage.broker(*BROKER)
        worker = self.worker()
        self.stage.submit(workflow(step("a", "stubborn")))
        self.check_that_all_end(worker, lambda: self.kill_without_its_guards(worker))

    def test_killed_guard_of_a_local_run_is_followed_by_another(self):
        path = self.stage.file("a.json", workflow(step("a", "stubborn")))
        config = self.stage.file("worker.zpl", self.config)
        run = self.stage.start_reel("run", "--config", config, path)
        self.check_that_all_end(run, lambda: self.kill_without_its_guards(run))

    def test_killed_guard_is_nothing_to_a_worker_that_ends(self):
        self.stage.broker(*BROKER)
        worker = self.worker()
        guard = self.guard(worker.pid)
        os.kill(guard, signal.SIGKILL)
        self.assertEqual(0, worker.stop())

    def test_guard_ends_with_its_worker(self):
        self.stage.broker(*BROKER)
        worker = self.worker()
        guard = self.guard(worker.pid)
        os.kill(guard, signal.SIGTERM)
        self.assertEqual({"0", "1", "2", "3"}, set(os.listdir(f"/proc/{guard}/fd")))
        self.assertTrue(harness.lives(guard))
        self.assertEqual(0, worker.stop())
        until(lambda: not harness.lives(guard), "the guard ends")


if __name__ == "__main__":
    unittest.main()
