"""kill -9 of brokers and workers, at random, under load: nothing accepted is lost, nothing paid is paid twice.

REEL_KILLS says how often (20), REEL_SEED with which dice; the seed is printed and chooses who is killed, when, and
what is submitted. Where a process is hit is up to the machine.
"""
import os
import random
import time
import unittest

import harness
from harness import until
from load import Load

BROKER = ("--lease-ms", "600", "--heartbeat-ms", "100", "--deliveries-max", "100000")


class Kills(harness.TestCase):
    def test_nothing_is_lost_and_nothing_is_paid_twice(self):
        kills = int(os.environ.get("REEL_KILLS", "20"))
        seed = int(os.environ.get("REEL_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"{kills} kills, REEL_SEED={seed}", flush=True)
        dice, begun = random.Random(seed), time.monotonic()
        broker = self.stage.broker(*BROKER)
        load = Load(self.stage, dice)
        self.addCleanup(load.close)
        workers = [load.worker(wait=True) for _ in range(4)]
        killed = {"broker": 0, "worker": 0}
        for count in range(1, kills + 1):
            load.submit(6)
            load.attend(dice.choice((0.02, 0.1, 0.2, 0.35)))
            if dice.random() < 0.25:
                broker.kill()
                broker = self.stage.broker(*BROKER)
                killed["broker"] += 1
            else:
                victim = dice.randrange(len(workers))
                workers[victim].kill()
                workers[victim] = load.worker(workers[victim].kind)
                killed["worker"] += 1
            if count % 50 == 0:
                print(f"{count} kills after {time.monotonic() - begun:.0f} s, {len(load.sent)} workflows", flush=True)
        until(lambda: len(self.stage.ask(b"WORKERS")[1]["workers"]) >= len(workers), "all workers are back")
        load.finish(self)
        print(f"killed {killed}: {len(load.acknowledged)} workflows acknowledged, {len(load.ledger())} effects, "
              f"{len(load.listener.seen)} events seen, in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    unittest.main()
