"""A bad network between the broker and everybody else: cut, stalled, half-open and trickling connections, from a seed.

REEL_FAULTS says how many faults there are (8), REEL_SEED with which dice; the seed is printed. What must hold is what
holds when processes are killed (load.py).
"""
import os
import random
import time
import unittest

import harness
from load import Load
from proxy import Proxy

BROKER = ("--lease-ms", "1000", "--heartbeat-ms", "200", "--deliveries-max", "100000")


class BadNetwork(harness.TestCase):
    def test_the_same_holds(self):
        faults = int(os.environ.get("REEL_FAULTS", "8"))
        seed = int(os.environ.get("REEL_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"{faults} faults, REEL_SEED={seed}", flush=True)
        dice, begun = random.Random(seed), time.monotonic()
        self.stage.broker(*BROKER)
        proxies = {which: Proxy(endpoint) for which, endpoint in self.stage.endpoints.items()}
        for proxy in proxies.values():
            self.addCleanup(proxy.close)
        load = Load(self.stage, dice, {which: proxy.endpoint for which, proxy in proxies.items()})
        self.addCleanup(load.close)
        workers = [load.worker(wait=True) for _ in range(3)]
        for _ in range(faults):
            load.submit(6)
            proxy = proxies[dice.choice(("worker", "worker", "client", "events"))]
            fault, how = dice.choice(((proxy.cut, {}), (proxy.half_open, {}), (proxy.trickle, {}), (proxy.stall, {"up": True}),
                                      (proxy.stall, {"down": True}), (proxy.stall, {"up": True, "down": True})))
            fault(**how)
            load.attend(dice.choice((0.1, 0.5, 1.5)))
            proxy.pass_on()
            # Workers help themselves. Others do what a client does that hears nothing: they connect again, and a
            # producer asks again, under the same ids.
            if proxy is proxies["events"] and fault == proxy.half_open:
                proxy.cut()
            if proxy is proxies["client"]:
                load.reconnect()
            load.attend(0.1)
        load.finish(self)
        for worker in workers:
            self.assertIsNone(worker.popen.poll(), "the workers outlive it")
        print(f"{len(load.acknowledged)} workflows acknowledged, {len(load.ledger())} effects, "
              f"{len(load.listener.seen)} events seen, in {time.monotonic() - begun:.0f} s", flush=True)

    def test_reel_follows_through_it_without_loss(self):
        """The command line sees every event once, in order, whatever becomes of its connections."""
        self.stage.broker()
        proxies = {which: Proxy(self.stage.endpoints[which]) for which in ("client", "events")}
        for proxy in proxies.values():
            self.addCleanup(proxy.close)
        self.stage.worker()
        through = {"REEL_CLIENT": proxies["client"].endpoint, "REEL_EVENTS": proxies["events"].endpoint}
        watching = self.stage.start_reel("events", "--follow", "--json", env={**self.stage.environment(), **through})
        faults = [proxies["events"].half_open, proxies["client"].half_open, proxies["events"].cut, proxies["client"].cut,
                  proxies["events"].trickle, lambda: proxies["events"].stall(down=True)]
        names = []
        for number, fault in enumerate(faults):
            for n in range(20):
                names.append(f"w{number}-{n}")
                self.stage.submit(harness.workflow(workflow_id=names[-1]))
            fault()
            for name in names[-20:]:
                self.stage.receipt(name)
            for proxy in proxies.values():
                proxy.pass_on()
        last = self.stage.events()[-1]["seq"]
        seen = []
        while not seen or seen[-1]["seq"] < last:
            row = watching.line()
            seen.append(harness.json.loads(row))
        watching.kill()
        self.assertEqual(list(range(1, last + 1)), [row["seq"] for row in seen])


if __name__ == "__main__":
    unittest.main()
