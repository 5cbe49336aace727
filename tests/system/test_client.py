"""The commands of `reel` against a real broker and a real worker: what they print and how they exit."""
import json
import os
import signal
import socket
import unittest

import msgpack

import harness
from harness import step, until, workflow

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE = 64, 65, 66, 69
EX_IOERR, EX_TEMPFAIL, EX_CONFIG, INTERRUPTED = 74, 75, 78, 130
FAILED = 1

RECEIPT_KEYS = ["workflow_id", "status", "created_at", "submitted_us", "started_us", "finished_us", "deliveries", "origin",
                "error", "global_provenance", "steps"]
TWO_STEPS = workflow(step("one"), step("two", "echo", {"from": {"$ref": "#/one/output"}}, depends_on=["one"]))
FAILING = workflow(step("one", "fail", {"message": "no", "retryable": False}), step("two", depends_on=["one"]),
                   step("three"))
KINDS = ["workflow.accepted", "workflow.assigned", "step.started", "step.succeeded", "step.started", "step.succeeded",
         "workflow.succeeded"]


class Commands(harness.TestCase):
    shared = True

    @classmethod
    def set_stage(cls, stage):
        stage.broker()
        stage.worker("--slots", "4")

    def reel(self, *arguments, code=0, **more):
        done = self.stage.reel(*arguments, **more)
        self.assertEqual(code, done.code, done)
        return done

    def file(self, document, name="workflow.json"):
        return self.stage.file(name, document)

    # --- submit ---------------------------------------------------------------------------------

    def test_submit_says_what_was_accepted(self):
        path = self.file(TWO_STEPS)
        (row,) = self.reel("submit", path).rows
        self.assertEqual(["workflow_id", "status", "duplicate", "seq", "file"], list(row))
        self.assertEqual(("queued", False, str(path)), (row["status"], row["duplicate"], row["file"]))
        self.assertRegex(row["workflow_id"], "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        kept = self.stage.ask(b"GET", {"workflow_id": row["workflow_id"]})[2]
        # The id went in at the end of the document, and nothing else was touched.
        self.assertEqual(["steps", "workflow_id", "created_at"], list(kept))

    def test_submit_twice_is_a_duplicate(self):
        path = self.file(workflow(workflow_id="twice"))
        (first,), (second,) = self.reel("submit", path).rows, self.reel("submit", path).rows
        self.assertEqual((False, True), (first["duplicate"], second["duplicate"]))
        self.assertEqual(first["seq"], second["seq"])

    def test_submit_with_id(self):
        path = self.file(workflow())
        for duplicate in (False, True):
            (row,) = self.reel("submit", "--id", "given", path).rows
            self.assertEqual(("given", duplicate), (row["workflow_id"], row["duplicate"]))
        own = self.file(workflow(workflow_id="own-id"))
        self.assertEqual("own-id", self.reel("submit", "--id", "own-id", own).rows[0]["workflow_id"])
        done = self.reel("submit", "--id", "another", own, code=EX_DATAERR)
        self.assertIn("id_conflict: the document has the workflow_id own-id already", done.err)
        self.assertIn("bad_id", self.reel("submit", "--id", "no good", path, code=EX_USAGE).err)
        self.assertIn("--id is for one document", self.reel("submit", "--id", "x", path, own, code=EX_USAGE).err)

    def test_submit_nil_id_counts_as_none(self):
        (row,) = self.reel("submit", self.file({"workflow_id": None, **workflow()})).rows
        self.assertEqual(36, len(row["workflow_id"]))

    def test_submit_conflict(self):
        self.reel("submit", self.file(workflow(workflow_id="taken")))
        done = self.reel("submit", self.file(workflow(step("other"), workflow_id="taken")), code=EX_DATAERR)
        self.assertRegex(done.err, "^reel: .*workflow.json: conflict at /workflow_id: ")
        self.assertEqual(b"", done.out)

    def test_submit_invalid_says_where(self):
        path = self.file(workflow(step("fine"), step("not fine")), "bad.json")
        done = self.reel("submit", path, code=EX_DATAERR)
        self.assertRegex(done.err, f"^reel: {path}: invalid_workflow/bad_id at /steps/1/step_id: .+\n$")

    def test_submit_goes_on_after_a_refusal(self):
        lines = [workflow(workflow_id="lines-1"), workflow(step("a", depends_on=["a"])), workflow(workflow_id="lines-3")]
        done = self.reel("submit", self.file(lines, "mixed.jsonl"), code=EX_DATAERR)
        self.assertEqual(["lines-1", "lines-3"], [row["workflow_id"] for row in done.rows])
        self.assertIn("mixed.jsonl:2: invalid_workflow/self_dependency at /steps/0/depends_on/0: ", done.err)

    def test_submit_msgpack(self):
        document = {"workflow_id": "packed", "steps": [step("one", "echo", {"raw": b"\x00\xff", "big": 2**64 - 1})]}
        self.reel("submit", self.file(msgpack.packb(document), "packed.msgpack"))
        output = self.stage.receipt("packed")["steps"][0]["receipt"]["output"]
        self.assertEqual({"raw": b"\x00\xff", "big": 2**64 - 1}, output)

    def test_submit_standard_input(self):
        for data in (json.dumps(workflow(workflow_id="stdin-json")).encode(),
                     b"\xef\xbb\xbf" + json.dumps(workflow(workflow_id="stdin-mark")).encode(),
                     msgpack.packb(workflow(workflow_id="stdin-msgpack"))):
            (row,) = self.reel("submit", "-", input=data).rows
            self.assertEqual("standard input", row["file"])
            self.assertTrue(row["workflow_id"].startswith("stdin-"))

    def test_submit_json_lines(self):
        lines = "\n".join(["", *(json.dumps(workflow(workflow_id=f"line-{n}")) for n in range(5)), "", ""])
        rows = self.reel("submit", self.file(lines, "five.jsonl")).rows
        self.assertEqual([f"line-{n}" for n in range(5)], [row["workflow_id"] for row in rows])
        self.assertTrue(rows[0]["file"].endswith("five.jsonl:2"))

    def test_submit_pretty_json_is_one_document(self):
        text = json.dumps(workflow(workflow_id="pretty"), indent=2)
        self.assertEqual(1, len(self.reel("submit", self.file(text)).rows))

    def test_submit_nothing_when_one_file_cannot_be_read(self):
        good = self.file(workflow(workflow_id="never-sent"))
        for bad, code, word in ((self.file("{\n  \"steps\": [,]\n}", "broken.json"), EX_DATAERR, "malformed: .*line 2"),
                                (self.file("", "empty.json"), EX_DATAERR, "malformed: there is no document"),
                                (self.stage.directory / "none.json", EX_NOINPUT, "No such file"),
                                (self.stage.directory, EX_NOINPUT, "Is a directory"),
                                (self.file('{"a":1,"a":2}', "twice.json"), EX_DATAERR, "bad_type")):
            done = self.reel("submit", good, bad, code=code)
            self.assertRegex(done.err, f"^reel: {bad}: {word}")
            self.assertEqual(b"", done.out)
        self.assertEqual("ERROR", self.stage.ask(b"GET", {"workflow_id": "never-sent"})[0])

    def test_submit_priority_and_provenance(self):
        self.reel("submit", "--priority", "-7", "--provenance", '{"who": "me", "x": {"$bin": "AAE="}}',
                  self.file({**workflow(workflow_id="with-extras"), "global_provenance": {"who": "you", "y": 1}}))
        (accepted, *_) = self.stage.events("with-extras")
        self.assertEqual(-7, accepted["priority"])
        merged = self.stage.receipt("with-extras")["steps"][0]["receipt"]["provenance"]
        self.assertEqual({"who": "me", "y": 1, "x": b"\x00\x01", "workflow_id": "with-extras", "workflow_step_id": "only"},
                         merged)

    def test_submit_wait(self):
        submitted, receipt = self.reel("submit", "--wait", self.file(TWO_STEPS)).rows
        self.assertEqual(RECEIPT_KEYS, list(receipt))
        self.assertEqual((submitted["workflow_id"], "succeeded"), (receipt["workflow_id"], receipt["status"]))

    def test_submit_wait_for_many(self):
        lines = [workflow(workflow_id="many-1"), {**FAILING, "workflow_id": "many-2"}, workflow(workflow_id="many-3")]
        rows = self.reel("submit", "--wait", self.file(lines), code=FAILED).rows
        self.assertEqual(["succeeded", "failed", "succeeded"], [row["status"] for row in rows[3:]])

    def test_submit_watch(self):
        submitted, *events, receipt = self.reel("submit", "--watch", self.file(TWO_STEPS)).rows
        self.assertEqual(KINDS, [event["kind"] for event in events])
        self.assertEqual(list(range(1, 8)), [event["index"] for event in events])
        self.assertEqual(submitted["seq"], events[0]["seq"])
        self.assertEqual("succeeded", receipt["status"])
        self.assertEqual(receipt, json.loads(json.dumps(self.stage.receipt(submitted["workflow_id"]))))

    def test_submit_watch_failing(self):
        *_, end, receipt = self.reel("submit", "--watch", self.file(FAILING), code=FAILED).rows
        self.assertEqual(("workflow.failed", "failed"), (end["kind"], receipt["status"]))
        self.assertEqual(["failed", "skipped", "succeeded"], [each["status"] for each in receipt["steps"]])

    def test_submit_watch_many(self):
        lines = [workflow(workflow_id="watched-1"), {**FAILING, "workflow_id": "watched-2"}, workflow(workflow_id="watched-3")]
        self.stage.submit(workflow(workflow_id="not-watched"))
        rows = self.reel("submit", "--watch", self.file(lines), code=FAILED).rows[3:]
        self.assertEqual({"watched-1", "watched-2", "watched-3"}, {row["workflow_id"] for row in rows})
        for name in ("watched-1", "watched-2", "watched-3"):
            *events, receipt = [row for row in rows if row["workflow_id"] == name]
            self.assertEqual([event["seq"] for event in self.stage.events(name)], [event["seq"] for event in events])
            self.assertIn("steps", receipt)
        seqs = [row["seq"] for row in rows if "seq" in row]
        self.assertEqual(sorted(seqs), seqs)

    def test_submit_watch_again_after_the_end(self):
        path = self.file(workflow(workflow_id="seen-twice"))
        first, second = (self.reel("submit", "--watch", path).rows for _ in range(2))
        self.assertEqual(first[1:], second[1:])

    # --- watch ----------------------------------------------------------------------------------

    def test_watch_an_ended_one(self):
        workflow_id = self.stage.submit(TWO_STEPS)
        receipt = self.stage.receipt(workflow_id)
        *events, last = self.reel("watch", workflow_id).rows
        self.assertEqual(KINDS, [event["kind"] for event in events])
        self.assertEqual(json.loads(json.dumps(receipt)), last)

    def test_watch_several(self):
        ids = [self.stage.submit(workflow()) for _ in range(3)]
        rows = self.reel("watch", *ids).rows
        self.assertEqual(set(ids), {row["workflow_id"] for row in rows if "steps" in row})

    def test_watch_unknown(self):
        self.assertRegex(self.reel("watch", "nobody-knows", code=EX_NOINPUT).err, "^reel: nobody-knows: unknown_workflow: ")
        self.assertIn("bad_id", self.reel("watch", "no id", code=EX_USAGE).err)

    def test_watch_shows_progress(self):
        # It goes on until progress was seen: it is not kept, and what comes before the subscription is missed.
        go = self.stage.directory / "go"
        script = self.stage.file("progress.sh", f"""#!/bin/sh
until [ -e {go} ]; do
    echo '{{"progress": 0.25, "message": "a quarter"}}'
    sleep 0.05
done
echo '{{}}'
""")
        script.chmod(0o755)
        worker = self.stage.worker(config=f'modality\n    slow\n        adapter = exec\n        command = "{script}"\n')
        self.addCleanup(worker.stop)
        watching = self.stage.start_reel("submit", "--watch", self.file(workflow(step("one", "slow"))))
        row = {}
        while row.get("kind") != "step.progress":
            row = json.loads(watching.line())
        self.assertEqual((0.25, "a quarter", "one"), (row["fraction"], row["message"], row["step_id"]))
        self.assertFalse({"seq", "index"} & set(row))
        go.touch()
        done = watching.wait()
        self.assertEqual((0, "succeeded"), (done.code, done.rows[-1]["status"]))

    def test_watch_everything_from_now_on(self):
        before = self.stage.submit(workflow())
        self.stage.receipt(before)
        watching = self.stage.start_reel("watch")
        subscribers = lambda: self.stage.ask(b"STATS")[1]["gauges"]["subscribers"]
        harness.until(subscribers, "a subscription")
        after = self.stage.submit(workflow())
        kinds = []
        while "workflow.succeeded" not in kinds:
            event = json.loads(watching.line())
            self.assertNotEqual(before, event["workflow_id"])
            if event["workflow_id"] == after:
                kinds.append(event["kind"])
        self.assertEqual(["workflow.accepted", "workflow.assigned"], kinds[:2])
        watching.signal(signal.SIGINT)
        self.assertEqual(INTERRUPTED, watching.wait().code)

    def test_interrupted_watching_leaves_the_workflow(self):
        workflow_id = self.stage.submit(workflow(step("long", "sleep", {"ms": 1500})))
        for number, code in ((signal.SIGINT, INTERRUPTED), (signal.SIGTERM, 143)):
            watching = self.stage.start_reel("watch", workflow_id)
            watching.line()
            watching.signal(number)
            done = watching.wait()
            self.assertEqual(code, done.code)
            self.assertIn(f"workflow {workflow_id} goes on; follow it again with: reel watch {workflow_id}", done.err)
        self.assertEqual("succeeded", self.stage.receipt(workflow_id)["status"])

    # --- get, receipt, list -----------------------------------------------------------------------

    def test_get(self):
        workflow_id = self.stage.submit(TWO_STEPS)
        receipt = self.stage.receipt(workflow_id)
        (document,) = self.reel("get", workflow_id).rows
        self.assertEqual(["steps", "workflow_id", "created_at"], list(document))
        for kept, final in zip(document["steps"], receipt["steps"]):
            self.assertEqual({key: kept[key] for key in final}, final)
        # What it prints can be run again, which is resuming: nothing is left to do.
        done = self.reel("run", "-", input=json.dumps(document).encode())
        self.assertEqual(["workflow.accepted", "workflow.succeeded"], [row["kind"] for row in done.rows[:-1]])

    def test_get_header(self):
        workflow_id = self.stage.submit(workflow(step("nobody", "nobody-serves-this")))
        (header,) = self.reel("get", "--header", workflow_id).rows
        self.assertEqual(("queued", "nobody-serves-this"), (header["status"], header["waiting_for"]))
        self.assertNotIn("request_id", header)

    def test_get_unknown(self):
        self.assertRegex(self.reel("get", "nobody-knows", code=EX_NOINPUT).err, "^reel: nobody-knows: unknown_workflow: ")
        self.assertIn("bad_id", self.reel("get", "a/b", code=EX_USAGE).err)

    def test_receipt(self):
        workflow_id = self.stage.submit(FAILING)
        expected = self.stage.receipt(workflow_id)
        (receipt,) = self.reel("receipt", workflow_id).rows
        self.assertEqual(RECEIPT_KEYS, list(receipt))
        self.assertEqual(json.loads(json.dumps(expected)), receipt)

    def test_receipt_not_finished(self):
        workflow_id = self.stage.submit(workflow(step("nobody", "nobody-serves-this")))
        done = self.reel("receipt", workflow_id, code=EX_TEMPFAIL)
        self.assertRegex(done.err, f"^reel: {workflow_id}: not_finished/queued: ")
        self.assertIn("not_finished", self.reel("receipt", "--wait-ms", "50", workflow_id, code=EX_TEMPFAIL).err)
        self.assertIn("unknown_workflow", self.reel("receipt", "--wait", "nobody-knows", code=EX_NOINPUT).err)

    def test_receipt_wait(self):
        good = self.stage.submit(workflow(step("a", "sleep", {"ms": 300})))
        self.assertEqual("succeeded", self.reel("receipt", "--wait", good).rows[0]["status"])
        bad = self.stage.submit(FAILING)
        self.assertEqual("failed", self.reel("receipt", "--wait", bad, code=FAILED).rows[0]["status"])
        self.assertEqual("failed", self.reel("receipt", bad).rows[0]["status"])

    def test_receipt_wait_interrupted(self):
        workflow_id = self.stage.submit(workflow(step("nobody", "nobody-serves-this")))
        waiting = self.stage.start_reel("receipt", "--wait", workflow_id)
        harness.until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["waits"], "the wait")
        waiting.signal(signal.SIGINT)
        done = waiting.wait()
        self.assertEqual(INTERRUPTED, done.code)
        self.assertIn(f"wait for it again with: reel receipt --wait {workflow_id}", done.err)

    def test_list(self):
        ids = [self.stage.submit(workflow(step("nobody", "nobody-serves-this"))) for _ in range(5)]
        rows = self.reel("list", "--limit", "3").rows
        self.assertEqual(ids[:1:-1], [row["workflow_id"] for row in rows])
        self.assertEqual(["workflow_id", "status", "seq", "submitted_us", "started_us", "finished_us", "deliveries",
                          "origin"], list(rows[0]))
        rest = self.reel("list", "--limit", "2", "--after", rows[-1]["seq"]).rows
        self.assertEqual(ids[1::-1], [row["workflow_id"] for row in rest])
        queued = {row["status"] for row in self.reel("list", "--status", "queued", "--all").rows}
        self.assertEqual({"queued"}, queued)
        self.assertEqual([], self.reel("list", "--status", "cancelled").rows)
        self.assertIn("'odd' is none of queued|", self.reel("list", "--status", "odd", code=EX_USAGE).err)

    def test_list_all_pages(self):
        document = [workflow(workflow_id=f"page-{n}") for n in range(30)]
        self.reel("submit", self.file(document))
        rows = self.reel("list", "--all").rows
        self.assertEqual({f"page-{n}" for n in range(30)},
                         {row["workflow_id"] for row in rows if row["workflow_id"].startswith("page-")})
        seqs = [row["seq"] for row in rows]
        self.assertEqual(sorted(set(seqs), reverse=True), seqs)

    # --- events ---------------------------------------------------------------------------------

    def test_events(self):
        workflow_id = self.stage.submit(TWO_STEPS)
        self.stage.receipt(workflow_id)
        everything = self.reel("events").rows
        self.assertEqual(list(range(1, len(everything) + 1)), [event["seq"] for event in everything])
        own = self.reel("events", workflow_id).rows
        self.assertEqual([event for event in everything if event["workflow_id"] == workflow_id], own)
        self.assertEqual(own[3:], self.reel("events", workflow_id, "--after", own[2]["seq"]).rows)
        self.assertEqual([], self.reel("events", "--after", 2**62).rows)
        self.assertIn("unknown_workflow", self.reel("events", "nobody-knows", code=EX_NOINPUT).err)

    def test_events_follow_one_to_its_end(self):
        workflow_id = self.stage.submit(workflow(step("one", "sleep", {"ms": 300}), step("two")))
        rows = self.reel("events", "--follow", workflow_id).rows
        self.assertEqual(KINDS, [event["kind"] for event in rows])
        self.assertEqual(json.loads(json.dumps(self.stage.events(workflow_id))), rows)

    def test_events_follow_all_until_interrupted(self):
        following = self.stage.start_reel("events", "--follow")
        workflow_id = self.stage.submit(workflow())
        rows = []
        while not rows or rows[-1]["workflow_id"] != workflow_id or rows[-1]["kind"] != "workflow.succeeded":
            event = json.loads(following.line())
            if "seq" in event:
                rows.append(event)
        following.signal(signal.SIGINT)
        self.assertEqual(INTERRUPTED, following.wait().code)
        self.assertEqual(list(range(1, len(rows) + 1)), [event["seq"] for event in rows])

    def test_closed_pipe_is_no_error(self):
        self.stage.submit(workflow())
        for command in (["events", "--follow"], ["events"], ["list"]):
            reading, writing = os.pipe()
            os.close(reading)
            done = self.stage.start_reel(*command, stdout=writing)
            os.close(writing)
            left = done.wait()
            self.assertEqual((-signal.SIGPIPE, ""), (left.code, left.err), command)

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_lost_output_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = self.stage.start_reel("ping", stdout=full).wait()
        self.assertEqual(EX_IOERR, done.code)
        self.assertIn("cannot write to standard output", done.err)

    def test_closed_output_is_an_error(self):
        """It is not the number of the socket that is opened next."""
        for command in (["ping"], ["list"], ["events"], ["get", self.stage.submit(workflow())], ["--help"]):
            done = self.stage.start_reel(*command, stdout=None, preexec_fn=lambda: os.close(1)).wait()
            self.assertEqual(EX_IOERR, done.code, (command, done))
            self.assertIn("cannot write to standard output: Bad file descriptor", done.err)

    # --- workers, stats, ping ---------------------------------------------------------------------

    def test_workers(self):
        row = self.reel("workers").rows[0]
        self.assertEqual(["name", "slots", "leases", "heard_us", "dispatch"], list(row))
        self.assertEqual((4, ["echo", "fail", "sleep"]), (row["slots"], sorted(row["dispatch"])))

    def test_stats(self):
        (row,) = self.reel("stats").rows
        self.assertEqual(["counters", "gauges"], list(row))
        self.assertEqual(1, row["gauges"]["workers"])

    def test_ping(self):
        (row,) = self.reel("ping").rows
        self.assertEqual(["version", "epoch", "ready", "paused"], list(row))
        self.assertEqual((True, False), (row["ready"], row["paused"]))

    # --- where things are set -----------------------------------------------------------------------

    def test_flags_environment_and_file(self):
        config = self.stage.file("client.zpl", f"client = \"{self.stage.endpoints['client']}\"\ntimeout_ms = 9000\n")
        nowhere = "tcp://127.0.0.1:1"
        environment = {key: value for key, value in os.environ.items() if key != "REEL_CLIENT"}
        done = self.stage.start_reel("ping", "--config", config, env=environment).wait()
        self.assertEqual(0, done.code, done)
        self.reel("ping", "--config", config, "--timeout-ms", "200", REEL_CLIENT=nowhere, code=EX_UNAVAILABLE)
        self.reel("ping", "--broker", self.stage.endpoints["client"], REEL_CLIENT=nowhere)
        self.reel("ping", REEL_CLIENT_CONFIG=str(self.stage.directory / "none"), code=EX_CONFIG)
        self.reel("ping", "--config", self.stage.file("odd.zpl", "nonsense = 1\n"), code=EX_CONFIG)
        self.reel("ping", REEL_TIMEOUT_MS="soon", code=EX_USAGE)
        self.assertIn("bad_endpoint", self.reel("ping", "--broker", "nonsense", code=EX_USAGE).err)


class WithoutBroker(harness.TestCase):
    shared = True

    def reel(self, *arguments, code=0, **more):
        done = self.stage.reel(*arguments, **more)
        self.assertEqual(code, done.code, done)
        return done

    def test_help_and_version(self):
        self.assertIn("Exit codes: 0 done;", self.reel("--help").text)
        version = self.reel("--version").text
        self.assertRegex(version, r"^reel \d+\.\d+\.\d+")
        for command in ("submit", "watch", "get", "receipt", "list", "events", "workers", "dispatch", "stats", "ping",
                        "validate", "convert", "run", "cancel", "resolve", "rerun", "pause", "resume"):
            self.assertIn(f"\n  {command} ", self.reel("--help").text)
            done = self.reel(command, "--help")
            self.assertTrue(done.text.startswith(f"Usage: reel {command}"), done)
            self.assertEqual("", done.err)
            self.reel(command, "--nosuch", code=EX_USAGE)

    def test_usage(self):
        for arguments in ((), ("nosuch",), ("get",), ("get", "a", "b"), ("submit",), ("ping", "operand"),
                          ("submit", "--priority", "high", "f"), ("submit", "--provenance", "[1]", "f"),
                          ("submit", "--provenance", "{", "f"), ("list", "--limit", "0"), ("events", "--after", "-1"),
                          ("list", "--status", "asleep"), ("resolve", "a", "b"), ("resolve", "a", "b", "--as", "lost"),
                          ("run",), ("run", "--provenance", "1", "f"), ("ping", "--timeout-ms", "0")):
            done = self.reel(*arguments, code=EX_USAGE)
            self.assertIn("--help", done.err, arguments)
            self.assertEqual(b"", done.out)

    def test_unreachable(self):
        path = self.stage.file("w.json", workflow())
        for command in (["ping"], ["get", "x"], ["receipt", "x"], ["receipt", "--wait", "x"], ["list"], ["events"],
                        ["events", "--follow"], ["workers"], ["stats"], ["watch"], ["watch", "x"], ["submit", path],
                        ["submit", "--watch", path, path]):
            done = self.reel(*command, "--timeout-ms", "150", code=EX_UNAVAILABLE)
            self.assertIn("unreachable: ", done.err, command)
            self.assertNotIn("--id", done.err)
            self.assertEqual(b"", done.out)

    def test_not_a_broker(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
            self.reel("ping", "--broker", endpoint, "--timeout-ms", "150", code=EX_UNAVAILABLE)

    # --- validate, convert --------------------------------------------------------------------------

    def test_validate(self):
        good = self.stage.file("good.json", workflow(workflow_id="v"))
        (row,) = self.reel("validate", good).rows
        self.assertEqual({"file": str(good), "valid": True, "workflow_id": "v", "steps": 1}, row)
        packed = self.stage.file("good.msgpack", msgpack.packb(workflow()))
        self.assertTrue(self.reel("validate", packed).rows[0]["valid"])
        self.assertTrue(self.reel("validate", "-", input=packed.read_bytes()).rows[0]["valid"])

    def test_validate_every_code(self):
        two = lambda first, second: workflow(step("a", depends_on=first), step("b", depends_on=second))
        for code, path, document in (
                ("empty_workflow", "/steps", {"steps": []}),
                ("duplicate_step", "/steps/1/step_id", workflow(step("a"), step("a"))),
                ("missing_dependency", "/steps/0/depends_on/0", workflow(step("a", depends_on=["z"]))),
                ("self_dependency", "/steps/0/depends_on/0", workflow(step("a", depends_on=["a"]))),
                ("cycle", "/steps/0/depends_on/0", two(["b"], ["a"])),
                ("forward_reference", "/steps/0/depends_on/0", two(["b"], [])),
                ("bad_id", "/steps/0/step_id", workflow(step(""))),
                ("bad_type", "/steps/0/payload", workflow({"step_id": "a", "modality": "m", "payload": []})),
                ("missing_field", "/steps/0", workflow({"step_id": "a"})),
                ("bad_reference", "/steps/0/payload/x", workflow(step("a", payload={"x": {"$ref": "#/b/output"}}))),
                ("limit_exceeded", "/steps", workflow(*(step(f"s{n}") for n in range(1001)))),
                ("bad_status", "/steps/0/status", workflow(step("a", status="running")))):
            done = self.reel("validate", self.stage.file("bad.json", document), code=EX_DATAERR)
            (row,) = done.rows
            self.assertEqual((False, code, path), (row["valid"], row["code"], row["path"]), row)
            self.assertRegex(done.err, f"^reel: .*bad.json: invalid_workflow/{code} at {path}: ")

    def test_validate_goes_on(self):
        lines = self.stage.file("lines.jsonl", json.dumps(workflow()) + '\n{"steps": 7}\n{nonsense\n' + json.dumps(workflow()))
        done = self.reel("validate", self.stage.directory / "none", lines, code=EX_NOINPUT)
        self.assertEqual([True, False, False, True], [row["valid"] for row in done.rows])
        self.assertEqual(["bad_type", "malformed"], [row["code"] for row in done.rows[1:3]])
        self.assertIn("none: No such file or directory\n", done.err)
        self.assertIn("lines.jsonl:2: invalid_workflow/bad_type at /steps: ", done.err)
        self.assertIn("lines.jsonl:3: malformed: ", done.err)
        cut = self.reel("validate", self.stage.file("cut.msgpack", b"\xdd\x10\x00\x00\x00"), code=EX_DATAERR)
        self.assertIn("cut.msgpack: malformed: ", cut.err)

    def test_convert_loses_nothing(self):
        packed = msgpack.packb({"bin": b"\x00\xff", "ext": msgpack.ExtType(5, b"abc"), "big": 2**64 - 1, "small": -2**63,
                                "float": 0.1, "nan": float("nan"), "single": 1.5, "$bin": 1, "text": "ü\u0001", "nil": None,
                                "nested": [{"$bin": "AA=="}]})
        text = self.reel("convert", input=packed).out
        self.assertEqual(1, text.count(b"\n"))
        self.assertEqual(packed, self.reel("convert", input=text).out)
        self.assertEqual(packed, self.reel("convert", input=self.reel("convert", "--pretty", input=packed).out).out)
        self.assertEqual(packed, self.reel("convert", self.stage.file("a.json", text)).out)

    def test_convert_refuses(self):
        for data, word in ((b"{", "malformed"), (b"\xdd\x10\x00\x00\x00", "malformed"), (b"\x80\x80", "malformed"),
                           (b'{"a":1,"a":1}', "bad_type"), (b"\x81\x01\x02", "bad_type"),
                           (b"[" * 25 + b"]" * 25, "limit_exceeded"), (b"\x91" * 25 + b"\xc0", "limit_exceeded")):
            done = self.reel("convert", input=data, code=EX_DATAERR)
            self.assertRegex(done.err, f"^reel: -: {word}")
            self.assertEqual(b"", done.out)
        self.reel("convert", self.stage.directory / "none", code=EX_NOINPUT)

    # --- run ------------------------------------------------------------------------------------

    def test_run(self):
        *events, receipt = self.reel("run", self.stage.file("r.json", {**TWO_STEPS, "workflow_id": "here"})).rows
        self.assertEqual([kind for kind in KINDS if kind != "workflow.assigned"], [event["kind"] for event in events])
        self.assertEqual(RECEIPT_KEYS, list(receipt))
        self.assertEqual(("here", "succeeded"), (receipt["workflow_id"], receipt["status"]))

    def test_run_failing(self):
        *_, receipt = self.reel("run", self.stage.file("r.json", FAILING), code=FAILED).rows
        self.assertEqual(["failed", "skipped", "succeeded"], [each["status"] for each in receipt["steps"]])
        unserved = self.stage.file("u.json", workflow(step("a", "unserved")))
        *_, receipt = self.reel("run", unserved, code=FAILED).rows
        self.assertEqual("no_adapter", receipt["steps"][0]["error"]["code"])

    def test_run_output_is_resumed(self):
        path, out = self.stage.file("r.json", FAILING), self.stage.directory / "out.json"
        *_, receipt = self.reel("run", "--output", out, path, code=FAILED).rows
        document = json.loads(out.read_text(encoding="utf-8"))
        self.assertEqual(receipt["steps"][0]["error"], document["steps"][0]["error"])
        document["steps"][0] = step("one")
        document["steps"][1].update(status="pending", error=None, finished_us=None)
        out = self.stage.file("again.json", document)
        *events, receipt = self.reel("run", "--output", out, out).rows
        self.assertEqual(["one", "one", "two", "two"], [event["step_id"] for event in events if "step_id" in event])
        self.assertEqual("succeeded", receipt["status"])

    def test_run_given_again_pays_for_nothing_again(self):
        path, out = self.stage.file("r.json", workflow()), self.stage.directory / "kept.json"
        self.reel("run", "--output", out, path)
        kept = out.read_bytes()
        done = self.reel("run", "--output", out, path, code=73)
        self.assertIn(f"go on from it with `reel run {out} --output {out}`", done.err)
        self.assertEqual((b"", kept), (done.out, out.read_bytes()))
        *events, receipt = self.reel("run", "--output", out, out).rows
        self.assertEqual(([], "succeeded"), ([e for e in events if e["kind"].startswith("step.")], receipt["status"]))
        out.write_bytes(b"")
        self.reel("run", "--output", out, path)

    def start_run(self, name):
        """A run in a directory of its own that waits in its step, which notes that it was paid. Gives the run, FILE and OUT."""
        place = self.stage.directory / name
        place.mkdir()
        script = self.stage.file(f"{name}/pay.sh", f"#!/bin/sh\necho paid >>'{place}/ledger'\n"
                                 f"while [ -d '{place}' ] && [ ! -e '{place}/go' ]; do sleep 0.02; done\n")
        script.chmod(0o755)
        self.config = self.stage.file(f"{name}/run.zpl", f"modality\n    pay\n        adapter = exec\n"
                                      f"        command = {script}\n")
        path = self.stage.file(f"{name}/r.json", workflow(step("a", "pay")))
        running = self.stage.start_reel("run", "--config", self.config, "--output", place / "out.json", path)
        until((place / "ledger").exists, "the step begins")
        return running, path, place / "out.json"

    def test_run_twice_at_once_pays_once(self):
        running, path, out = self.start_run("twice")
        for file, same in ((path, out), (out, out), (path, f"{out.parent}/../twice/out.json")):
            done = self.reel("run", "--config", self.config, "--output", same, file, code=EX_TEMPFAIL)
            self.assertEqual(f"reel: {same} is kept by another run, which is still under way (process {running.pid})\n",
                             done.err)
            self.assertEqual(b"", done.out)
        self.stage.file("twice/go", "")
        self.assertEqual(0, running.wait().code)
        self.assertEqual("paid\n", (out.parent / "ledger").read_text(encoding="ascii"))
        self.assertEqual([out], list(out.parent.glob("out.*")))
        self.reel("run", "--config", self.config, "--output", out, out)

    def test_run_that_was_killed_locks_nobody_out(self):
        running, _, out = self.start_run("killed")
        running.kill()
        *_, receipt = self.reel("run", "--config", self.config, "--output", out, out, code=FAILED).rows
        self.assertEqual("in_doubt", receipt["steps"][0]["error"]["code"])
        self.assertEqual([out], list(out.parent.glob("out.*")))

    def test_run_provenance_msgpack_and_standard_input(self):
        out = self.stage.directory / "out.msgpack"
        *_, receipt = self.reel("run", "--provenance", '{"who":"me"}', "--output", out, "-",
                                input=msgpack.packb(workflow(workflow_id="packed"))).rows
        self.assertEqual("me", receipt["steps"][0]["receipt"]["provenance"]["who"])
        self.assertEqual("succeeded", msgpack.unpackb(out.read_bytes())["steps"][0]["status"])

    def test_run_config(self):
        script = self.stage.file("hello.sh", "#!/bin/sh\necho '{\"said\":\"hello\"}'\n")
        script.chmod(0o755)
        config = self.stage.file("run.zpl", f'modality\n    hello\n        adapter = exec\n        command = "{script}"\n')
        path = self.stage.file("r.json", workflow(step("a", "hello")))
        *_, receipt = self.reel("run", "--config", config, path).rows
        self.assertEqual({"said": "hello"}, receipt["steps"][0]["receipt"]["output"])
        self.reel("run", "--config", self.stage.file("odd.zpl", "odd = 1\n"), path, code=EX_CONFIG)

    def test_run_refuses(self):
        bad = self.stage.file("bad.json", workflow(step("a"), step("a")))
        done = self.reel("run", bad, code=EX_DATAERR)
        self.assertRegex(done.err, f"^reel: {bad}: invalid_workflow/duplicate_step at /steps/1/step_id: ")
        self.reel("run", self.stage.directory / "none", code=EX_NOINPUT)
        good = self.stage.file("good.json", workflow())
        self.reel("run", "--output", self.stage.directory / "no" / "dir", good, code=73)

    def test_run_interrupted(self):
        path = self.stage.file("long.json", workflow(step("a", "sleep", {"ms": 60000}), step("b")))
        running = self.stage.start_reel("run", path)
        while json.loads(running.line())["kind"] != "step.started":
            pass
        running.signal(signal.SIGINT)
        done = running.wait()
        self.assertEqual(INTERRUPTED, done.code, done)
        receipt = done.rows[-1]
        self.assertEqual(("cancelled", "cancelled"), (receipt["status"], receipt["steps"][0]["error"]["code"]))
        self.assertEqual("pending", receipt["steps"][1]["status"])


if __name__ == "__main__":
    unittest.main()
