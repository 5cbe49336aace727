"""The past is forgotten by age and by size while the broker works; a backup is taken meanwhile, and served from."""
import itertools
import sqlite3
import threading
import unittest

import msgpack
import zmq

import harness
from harness import BIN, step, until, workflow

EX_NOINPUT, EX_IOERR, EX_TEMPFAIL = 66, 74, 75


class Kept(harness.TestCase):
    def set_stage(self, stage):
        self.numbers = itertools.count()

    def verify(self, directory):
        return harness.Process(self.stage, "verify", [BIN / "reel-broker", "--verify", self.stage.directory / directory]).wait()

    def stats(self):
        _, header, _ = self.stage.ask(b"STATS")
        return {**header["counters"], **header["gauges"]}

    def run_some(self):
        """Workflows that end, one after the other; gives their ids."""
        names = [f"wf{next(self.numbers)}" for _ in range(10)]
        for name in names:
            self.stage.submit(workflow(step("a", payload={"x": "x" * 1000}), workflow_id=name))
            self.assertEqual("succeeded", self.stage.receipt(name)["status"])
        return names

    def run_until_forgotten(self, least):
        """Runs workflows until so many ended ones are forgotten."""
        names = []
        until(lambda: names.extend(self.run_some()) or self.stats()["forgotten"] >= least, f"{least} are forgotten")
        return names

    def code(self, command, **header):
        answer, header, _ = self.stage.ask(command, header)
        return header["code"] if answer == "ERROR" else answer

    def check_consistent(self, live=()):
        """What LIST shows can be asked for in every way; what it does not show is not there."""
        _, page, _ = self.stage.ask(b"LIST", {"limit": 1000})
        listed = {row["workflow_id"]: row["status"] for row in page["workflows"]}
        self.assertEqual(set(live), {name for name, status in listed.items() if status in ("queued", "running", "held")})
        for name, status in listed.items():
            if name in live:
                continue
            self.assertEqual(status, self.stage.receipt(name)["status"])
            _, header, document = self.stage.ask(b"GET", {"workflow_id": name})
            self.assertEqual((status, name, 1), (header["status"], document["workflow_id"], len(document["steps"])))
            kinds = self.stage.kinds(name)
            self.assertEqual("workflow.succeeded", kinds[-1])
        for number in range(int(next(self.numbers))):
            if f"wf{number}" not in listed:
                for command in (b"GET", b"RECEIPT", b"RERUN", b"CANCEL"):
                    self.assertEqual("unknown_workflow", self.code(command, workflow_id=f"wf{number}"))
        events = self.stage.events()
        stats = self.stats()
        self.assertEqual(list(range(stats["first_seq"], stats["events"] + 1)), [event["seq"] for event in events])
        self.assertEqual(len(listed) - len(live), stats["ended"])
        return listed


FOR_EVER = ("--retain-ms", "0", "--retain-bytes", "0")


class Retention(Kept):
    def forget(self, *options):
        stage = self.stage
        broker = stage.broker(*options)
        # One that nobody serves, one that is paused, and one that its worker was lost with: they stay whatever happens.
        stage.submit(workflow(step("a", "nothing", payload={"x": [1, None]}), workflow_id="waits"), provenance={"who": "me"})
        stage.submit(workflow(step("a", payload={"y": "y" * 100}), workflow_id="paused"), priority=3, not_before_us=2**52)
        stage.ask(b"PAUSE", {"workflow_id": "paused"})
        stage.worker()
        names = self.run_until_forgotten(60)
        broker.kill()
        broker = stage.broker(*FOR_EVER)
        listed = self.check_consistent(live=("waits", "paused"))
        self.assertNotIn(names[0], listed)
        # Its id may be used anew.
        _, header, _ = stage.ask(b"SUBMIT", {}, msgpack.packb(workflow(step("other"), workflow_id=names[0])))
        self.assertEqual((names[0], False), (header["workflow_id"], header["duplicate"]))
        self.assertEqual(["other"], [one["step_id"] for one in stage.receipt(names[0])["steps"]])
        # The same after a crash, from the last snapshot.
        broker.kill()
        done = self.verify("data")
        self.assertEqual(0, done.code, done)
        self.assertRegex(done.text, "data is whole.*2 workflows live.*\n.*retains events from [0-9]+ on")
        return names

    def test_by_size(self):
        options = ("--retain-bytes", "160000", "--retain-ms", "0")
        self.forget(*options)
        broker = self.stage.broker(*FOR_EVER)
        self.check_consistent(live=("waits", "paused"))
        broker.kill()
        broker = self.stage.broker(*options)
        # What is free is used again: the file is as large after a hundred times as much.
        self.run_until_forgotten(20)
        before = until(lambda: self.stats()["journal_bytes"], "it is measured")
        self.run_until_forgotten(400)
        self.assertLess(self.stats()["journal_bytes"], before + (2 << 20))
        # Those that it kept all the time are whole, and end; what they were made of is in their final records.
        self.stage.ask(b"RESUME", {"workflow_id": "paused"})
        self.assertEqual("cancelled", self.stage.ask(b"CANCEL", {"workflow_id": "waits"})[1]["status"])
        self.assertEqual(3, self.stage.ask(b"GET", {"workflow_id": "paused"})[1]["priority"])
        broker.kill()
        self.stage.broker(*options)
        _, header, document = self.stage.ask(b"GET", {"workflow_id": "waits"})
        self.assertEqual({"who": "me"}, header["provenance"])
        self.assertEqual([1, None], document["steps"][0]["payload"]["x"])
        self.assertEqual("OK", self.code(b"RERUN", workflow_id="waits", new_workflow_id="again"))
        same = msgpack.packb(workflow(step("a", "nothing", payload={"x": [1, None]}), workflow_id="waits"))
        self.assertTrue(self.stage.ask(b"SUBMIT", {}, same)[1]["duplicate"])

    def test_by_age(self):
        names = self.forget("--retain-ms", "800", "--retain-bytes", "0", "--snapshot-bytes", "1000000000")
        self.stage.broker("--retain-ms", "200", "--retain-bytes", "0")
        self.stage.ask(b"RESUME", {"workflow_id": "paused"})
        # Without anything to come, all that had ended is gone in the end.
        until(lambda: self.stats()["ended"] == 0, "the rest is forgotten")
        self.assertEqual("unknown_workflow", self.code(b"GET", workflow_id=names[-1]))
        self.assertEqual("queued", self.stage.status("waits"))

    def test_without_limits_nothing_is_forgotten(self):
        self.stage.broker(*FOR_EVER, "--snapshot-bytes", "1000")
        self.stage.worker()
        until(lambda: self.run_some() and self.stats()["snapshots"] > 20, "snapshots")
        self.assertEqual((0, 1), (self.stats()["forgotten"], self.stats()["first_seq"]))
        self.check_consistent()

    def test_who_follows_is_told_of_the_gap(self):
        self.stage.broker("--retain-bytes", "40000", "--retain-ms", "0")
        self.stage.worker()
        self.run_until_forgotten(40)
        first = self.stats()["first_seq"]
        done = self.stage.reel("events", "--after", "3", "--json")
        self.assertEqual(0, done.code, done)
        self.assertEqual(first, done.rows[0]["seq"])
        follower = self.stage.start_reel("events", "--after", "3", "--follow", "--json")
        self.assertIn(b'"seq":%d,' % first, follower.line())
        until(lambda: f"{first - 4} events" in follower.errors(), "the gap is said")
        follower.kill()


class Backup(Kept):
    def test_while_it_works(self):
        stage = self.stage
        broker = stage.broker("--snapshot-bytes", "50000")
        worker = stage.worker()
        acknowledged, stop = [], threading.Event()

        def submit():
            with stage.socket(zmq.REQ, "client") as socket:
                for number in itertools.count():
                    if stop.is_set():
                        return
                    document = workflow(step("a", payload={"x": "x" * 5000}), workflow_id=f"load{number}")
                    socket.send_multipart([b"REEL1", b"SUBMIT", msgpack.packb({}), msgpack.packb(document)])
                    self.assertEqual(b"OK", socket.recv_multipart()[1])
                    acknowledged.append(f"load{number}")

        thread = threading.Thread(target=submit)
        thread.start()
        try:
            until(lambda: len(acknowledged) > 200, "there is load")
            for n in range(3):
                before = len(acknowledged)
                epoch = stage.ask(b"PING")[1]["epoch"]
                done = stage.reel("backup", f"copy{n}")
                self.assertEqual(0, done.code, done)
                self.assertEqual(f"copy{n}/journal.db", done.rows[0]["file"])
                self.assertEqual((stage.directory / f"copy{n}" / "journal.db").stat().st_size, done.rows[0]["bytes"])
                self.assertFalse((stage.directory / "data" / "backup.db").exists())
        finally:
            stop.set()
            thread.join()
        self.assertEqual((0, 0), (worker.stop(), broker.stop()))
        done = self.verify("copy2")
        self.assertEqual(0, done.code, done)
        # A broker starts from it: with all that was acknowledged by then, and an epoch of its own.
        other = harness.Broker(stage, data="copy2")
        stage.endpoints = other.endpoints
        self.assertGreater(stage.ask(b"PING")[1]["epoch"], epoch)
        for name in acknowledged[:before]:
            self.assertEqual("OK", self.code(b"GET", workflow_id=name))
        stage.worker()
        self.assertEqual("succeeded", stage.receipt(acknowledged[before - 1])["status"])

    def test_what_is_refused(self):
        stage = self.stage
        stage.broker()
        stage.submit(workflow(workflow_id="wf"))
        self.assertEqual(0, stage.reel("backup", "copy").code)
        done = stage.reel("backup", "copy")
        self.assertEqual(EX_IOERR, done.code)
        self.assertIn("copy/journal.db: File exists", done.err)
        self.assertEqual(EX_IOERR, stage.reel("backup", "nowhere/copy").code)
        # What is left of another journal would be read as a part of the copy.
        for name in ("journal.db-wal", "journal.tail"):
            (stage.directory / name).mkdir()
            (stage.directory / name / name).touch()
            done = stage.reel("backup", name)
            self.assertEqual(EX_IOERR, done.code)
            self.assertIn(f"{name}/{name}: File exists", done.err)
        # One at a time; who began it may go on.
        _, header, _ = stage.ask(b"BACKUP")
        copy = header["copy"]
        done = stage.reel("backup", "other")
        self.assertEqual(EX_TEMPFAIL, done.code, done)
        self.assertFalse((stage.directory / "other" / "journal.db.part").exists())
        header = until(lambda: next(h for h in [stage.ask(b"BACKUP", {"copy": copy})[1]] if h["bytes"]), "the copy is there")
        self.assertEqual("bad_state", self.code(b"BACKUP", copy=copy + 1))
        self.assertEqual("OK", self.code(b"BACKUP", copy=copy, offset=header["bytes"]))
        self.assertEqual("bad_state", self.code(b"BACKUP", copy=copy))
        self.assertEqual(0, stage.reel("backup", "other").code)
        # A restart leaves nothing of one that was not fetched.
        stage.ask(b"BACKUP")
        stage.processes[0].kill()
        stage.broker()
        self.assertFalse((stage.directory / "data" / "backup.db").exists())
        with sqlite3.connect(stage.directory / "other" / "journal.db") as db:
            self.assertEqual("ok", db.execute("PRAGMA integrity_check").fetchone()[0])
        db.close()


if __name__ == "__main__":
    unittest.main()
