"""A thousand clients and a hundred workers that all come at once, again and again: the broker is as it was.

REEL_STORMS says how often they come again (3). Every descriptor is closed afterwards, and memory is back: within 5 % of
what it was when all had been there once, which is within 10 % of what it was when a few had: what the C library keeps for
each thread is then scattered over more pages. Sanitizers keep what is freed, so there it is not looked at.
"""
import os
import resource
import unittest

import msgpack
import zmq

import harness
from harness import until

CLIENTS, WORKERS, FEW = 1000, 100, 10
PING = [b"REEL1", b"PING", msgpack.packb({})]


def sanitized():
    return b"__asan_init" in (data := (harness.BIN / "reel-broker").read_bytes()) or b"__tsan_init" in data


class Storm(harness.TestCase):
    def set_stage(self, stage):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        stage.context.max_sockets = 2 * CLIENTS + 100
        self.storms = int(os.environ.get("REEL_STORMS", "3"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.broker.pid}/fd"))

    def resident_kib(self):
        with open(f"/proc/{self.broker.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def gauges(self):
        """Asked over one connection, which stays."""
        self.asker.send_multipart([b"REEL1", b"STATS", msgpack.packb({})])
        return msgpack.unpackb(self.asker.recv_multipart()[2])["gauges"]

    def hear_beats(self, count):
        """With the first two that come the broker gives back what is free."""
        while self.beats.poll(0):
            self.beats.recv_multipart()
        for _ in range(count):
            self.beats.recv_multipart()

    def calm(self, before):
        """Nobody is connected but the one who asks."""
        until(lambda: (gauges := self.gauges())["client_connections"] == 1 and gauges["worker_connections"] == 0,
              "everybody has gone")
        until(lambda: self.descriptors() == before, "every descriptor is closed")

    def weather(self, storm, count):
        """Counts descriptors and memory around each storm of so many."""
        self.asker = self.stage.socket(zmq.REQ, "client")
        self.beats = self.stage.socket(zmq.SUB, "events", "beat")
        self.assertEqual(1, self.gauges()["client_connections"])
        self.hear_beats(1)
        before = self.descriptors()
        sizes = []
        for so_many in FEW, count:
            storm(so_many)
            self.calm(before)
            self.hear_beats(3)
            if sizes and not sanitized():
                until(lambda: self.resident_kib() <= 1.10 * sizes[0], f"memory, once {sizes} KiB, is back", 20)
            sizes.append(self.resident_kib())
        for _ in range(self.storms):
            storm(count)
            self.calm(before)
            if not sanitized():
                until(lambda: self.resident_kib() <= 1.05 * sizes[1], f"memory, once {sizes} KiB, is back", 20)
            sizes.append(self.resident_kib())
        print(f"{self.id()}: {self.storms} storms again, resident KiB before and after: {sizes}", flush=True)

    def come(self, which, count):
        return [self.stage.socket(zmq.DEALER, which) for _ in range(count)]

    def test_clients(self):
        self.broker = self.stage.broker()

        def storm(count):
            clients = self.come("client", count)
            for client in clients:
                client.send_multipart(PING)
            for client in clients:
                self.assertEqual(b"OK", client.recv_multipart()[1])
            for client in clients:
                client.close(0)

        self.weather(storm, CLIENTS)

    @unittest.skipIf(sanitized(), "memory is not looked at")
    def test_clients_that_leave_in_two_parts(self):
        """What is left after the most of them have gone is given back, too."""
        self.storms = 1
        self.broker = self.stage.broker()

        def storm(count):
            clients = self.come("client", count)
            for part in (clients[:2 * count // 3], clients[2 * count // 3:]):
                for client in part:
                    client.send_multipart(PING)
                for client in part:
                    self.assertEqual(b"OK", client.recv_multipart()[1])
            for part in (clients[:2 * count // 3], clients[2 * count // 3:]):
                for client in part:
                    client.close(0)
                until(lambda: self.gauges()["client_connections"] <= 1 + count - 2 * count // 3, "a part has gone")
                self.hear_beats(2)

        self.weather(storm, WORKERS)

    def test_workers(self):
        self.broker = self.stage.broker("--lease-ms", "3000", "--heartbeat-ms", "200")
        instances = [os.urandom(16) for _ in range(WORKERS)]

        def storm(count):
            workers = self.come("worker", count)
            for worker, instance in zip(workers, instances):
                worker.send_multipart([b"REEL1", b"READY", msgpack.packb(
                    {"name": "w", "instance": instance, "slots": 1, "modalities": ["none"]})])
            for worker in workers:
                self.assertEqual(b"WELCOME", worker.recv_multipart()[1])
            self.assertEqual(count, self.gauges()["workers"])
            for worker in workers:
                worker.close(0)

        self.weather(storm, WORKERS)
        until(lambda: self.gauges()["workers"] == 0, "they are forgotten")


if __name__ == "__main__":
    unittest.main()
