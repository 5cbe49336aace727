"""What an operator does with the processes: checks a journal, starts and stops under a service manager."""
import hashlib
import os
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import unittest

import msgpack
import zmq

import harness

EX_DATAERR, EX_NOINPUT, EX_IOERR, EX_TEMPFAIL = 65, 66, 74, 75
STEP = {"step_id": "a", "modality": "echo", "payload": {"text": "x" * 200}}


class Verify(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.data = self.stage.directory / "data"

    def verify(self, directory=None):
        done = subprocess.run([harness.BIN / "reel-broker", "--verify", directory or self.data], capture_output=True,
                              text=True, timeout=harness.DEADLINE_S, check=False)
        return done.returncode, done.stdout, done.stderr

    def fill(self):
        """Ten workflows that have ended, one that has not; the broker is killed."""
        broker = self.stage.broker()
        worker = self.stage.worker()
        for n in range(10):
            self.stage.submit({"workflow_id": f"wf{n}", "steps": [STEP]})
        for n in range(10):
            self.stage.receipt(f"wf{n}")
        worker.stop()
        self.stage.submit({"workflow_id": "waits", "steps": [STEP]})
        broker.kill()

    def test_whole(self):
        self.fill()
        code, output, errors = self.verify()
        self.assertEqual(0, code, errors)
        self.assertRegex(output, r"data is whole: \d+ records, 51 events, 1 workflows live, 10 ended\n")
        # It may be looked at again, and served from.
        self.assertEqual(0, self.verify()[0])
        self.stage.broker()
        self.assertEqual("waits", self.stage.ask(b"GET", {"workflow_id": "waits"})[1]["workflow_id"])

    def contents(self):
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.data.iterdir()}

    def test_nothing_is_changed(self):
        """Neither the log of a broker that was killed, nor what another left half done, nor an earlier format."""
        self.fill()
        (self.data / "backup.db").write_bytes(b"half a copy")
        before = self.contents()
        self.assertGreater((self.data / "journal.db-wal").stat().st_size, 0)
        for tail in (True, False):
            if not tail:
                (self.data / "journal.tail").unlink()
                del before["journal.tail"]
            code, output, errors = self.verify()
            self.assertEqual(0, code, errors)
            self.assertIn("is whole", output)
            self.assertEqual(before, self.contents())
        shutil.rmtree(self.data)
        for journal in sorted((pathlib.Path(os.environ["REEL_SOURCE"]) / "tests" / "vectors" / "journals").glob("[0-9]*")):
            with self.subTest(format=journal.name):
                self.data.mkdir()
                for name in ("journal.db", "journal.tail"):
                    shutil.copyfile(journal / name, self.data / name)
                before = self.contents()
                code, output, errors = self.verify()
                self.assertEqual(0, code, errors)
                self.assertIn("11 workflows live, 5 ended", output)
                self.assertEqual(before, self.contents())
                # No more does one that is found wanting.
                os.truncate(self.data / "journal.db", (self.data / "journal.db").stat().st_size - 16384)
                before = self.contents()
                self.assertNotEqual(0, self.verify()[0])
                self.assertEqual(before, self.contents())
                shutil.rmtree(self.data)

    def test_each_damaged_batch_is_found(self):
        self.fill()
        self.assertEqual(0, self.verify()[0])
        database = sqlite3.connect(self.data / "journal.db")
        numbers = [row[0] for row in database.execute("SELECT number FROM batch ORDER BY number")]
        database.close()
        for number in sorted({*numbers[::7], numbers[-1]}):
            copy = self.stage.directory / f"copy{number}"
            shutil.copytree(self.data, copy)
            database = sqlite3.connect(copy / "journal.db")
            records = bytearray(database.execute("SELECT records FROM batch WHERE number = ?", (number,)).fetchone()[0])
            records[len(records) // 2] ^= 1
            database.execute("UPDATE batch SET records = ? WHERE number = ?", (bytes(records), number))
            database.commit()
            database.close()
            code, output, errors = self.verify(copy)
            self.assertEqual((EX_IOERR, ""), (code, output), number)
            self.assertIn(f"batch {number} is not what was written", errors)

    def test_missing_end_is_found(self):
        self.fill()
        self.assertEqual(0, self.verify()[0])
        database = sqlite3.connect(self.data / "journal.db")
        database.execute("DELETE FROM batch WHERE number = (SELECT max (number) FROM batch)")
        database.commit()
        database.close()
        code, output, errors = self.verify()
        self.assertEqual((EX_DATAERR, ""), (code, output))
        self.assertIn("was committed: what was acknowledged since is lost", errors)

    def test_in_use(self):
        self.stage.broker()
        code, output, errors = self.verify()
        self.assertEqual((EX_TEMPFAIL, ""), (code, output), errors)

    def test_not_there(self):
        code, output, errors = self.verify(self.stage.directory / "none")
        self.assertEqual((EX_NOINPUT, ""), (code, output))
        self.assertIn("none/journal.db: No such file or directory", errors)
        self.assertFalse((self.stage.directory / "none").exists())


class Disk(harness.TestCase):
    def test_reserve_refuses_what_is_new_and_lets_the_rest_end(self):
        broker = self.stage.broker()
        self.stage.submit({"workflow_id": "before", "steps": [STEP]})
        broker.stop()
        self.stage.broker("--disk-reserve-bytes", str(2**62))
        answer, header, _ = self.stage.ask(b"SUBMIT", {}, msgpack.packb({"workflow_id": "new", "steps": [STEP]}))
        self.assertEqual(("ERROR", "overloaded"), (answer, header["code"]))
        self.assertIn("disk-reserve-bytes", header["message"])
        self.stage.worker()
        self.assertEqual("succeeded", self.stage.receipt("before")["status"])
        again = msgpack.packb({"workflow_id": "before", "steps": [STEP]})
        answer, header, _ = self.stage.ask(b"SUBMIT", {}, again)
        self.assertEqual(("OK", True), (answer, header.get("duplicate")))
        self.assertGreater(self.stage.ask(b"STATS")[1]["gauges"]["disk_free_bytes"], 0)

    def take(self, beats):
        """Takes much of the disk after a beat, and commits. Gives whether that shows; nothing if the next beat has come."""
        taken = 128 << 20
        while beats.poll(0):
            beats.recv_multipart()
        beats.recv_multipart()
        before = self.stage.ask(b"STATS")[1]["gauges"]["disk_free_bytes"]
        with open(self.stage.file("taken", ""), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, taken)
        self.stage.submit({"steps": [STEP]})
        after = self.stage.ask(b"STATS")[1]["gauges"]["disk_free_bytes"]
        os.truncate(self.stage.directory / "taken", 0)
        return [] if beats.poll(0) else [before - after > taken // 2]

    def test_disk_is_looked_at_with_every_commit(self):
        """In one beat a flood writes more than is to stay free."""
        self.stage.broker()
        beats = self.stage.socket(zmq.SUB, "events", "beat")
        self.assertEqual([True], harness.until(lambda: self.take(beats), "a commit between two beats"))

    def test_failure_ends_the_broker_and_loses_nothing(self):
        """Files may not grow any more, as on a disk that fails or is full; each time a little later."""
        acknowledged, number = [], 0
        for room in 150_000, 400_000, 700_000:
            broker = self.stage.broker()
            resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
            with self.stage.socket(zmq.DEALER, "client") as client:
                while True:
                    number += 1
                    document = {"workflow_id": f"wf{number}", "steps": [{**STEP, "payload": {"text": "x" * 3000}}]}
                    client.send_multipart([b"REEL1", b"SUBMIT", msgpack.packb({}), msgpack.packb(document)])
                    harness.until(lambda: client.poll(0) or broker.popen.poll() is not None, "an answer, or an end")
                    if not client.poll(0):
                        break
                    self.assertEqual(b"OK", client.recv_multipart()[1])
                    acknowledged.append(f"wf{number}")
            done = broker.wait()
            broker.killed = True  # it need not end well again
            self.assertEqual(EX_IOERR, done.code)
            self.assertRegex(done.err, r"data/journal\.(db|tail)")
        self.assertGreater(len(acknowledged), 10)
        self.stage.broker()
        for workflow_id in acknowledged:
            self.assertEqual("OK", self.stage.ask(b"GET", {"workflow_id": workflow_id})[0], workflow_id)


class Notify(harness.TestCase):
    def listen(self, name):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listener.close)
        listener.bind(name)
        listener.settimeout(harness.DEADLINE_S)
        return listener

    def test_broker_and_worker_say_when_they_are_ready_and_when_they_stop(self):
        path = str(self.stage.directory / "notify")
        brokers = self.listen(path)
        name = f"reel-test-{os.getpid()}"
        workers = self.listen("\0" + name)
        broker = self.stage.broker(env={**os.environ, "NOTIFY_SOCKET": path})
        self.assertEqual(b"READY=1", brokers.recv(100))
        worker = self.stage.worker(env={**os.environ, "NOTIFY_SOCKET": "@" + name})
        self.assertEqual(b"READY=1", workers.recv(100))
        worker.signal(signal.SIGTERM)
        self.assertEqual(b"STOPPING=1", workers.recv(100))
        broker.signal(signal.SIGTERM)
        self.assertEqual(b"STOPPING=1", brokers.recv(100))

    def test_nobody_there_is_no_harm(self):
        for name in ("/nowhere/to/be/found", "relative", "@", "x" * 300, "/" + "x" * 300):
            self.stage.broker(env={**os.environ, "NOTIFY_SOCKET": name}).stop()


if __name__ == "__main__":
    unittest.main()
