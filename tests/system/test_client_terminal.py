"""`reel` on a terminal: the live view, tables, colours, signals, and text that means harm."""
import json
import os
import pathlib
import re
import signal
import time
import unittest

import msgpack

import harness
from harness import step, workflow

FAILED, EX_USAGE, INTERRUPTED = 1, 64, 130
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SHOWN, RESTORED = "\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h"

# Says how far it is until the file that it is told of is there. Progress is not kept, so once is not enough.
STAGED = """#!/bin/sh
until [ -e "$1" ]; do
    echo '{"progress": 0.25, "message": "a quarter"}'
    sleep 0.05
done
echo '{}'
"""


class Terminal(harness.TestCase):
    shared = True

    @classmethod
    def set_stage(cls, stage):
        stage.broker()
        script = stage.file("staged.sh", STAGED)
        script.chmod(0o755)
        builtin = "".join(f"    {name}\n        adapter = {name}\n" for name in ("echo", "sleep", "fail"))
        stage.worker("--slots", "4", config=f"""modality
{builtin}    staged
        adapter = exec
        command = "{script}"
        argument = "{{payload/go}}"
        class = idempotent
""")

    def setUp(self):
        super().setUp()
        self.go = self.stage.directory / f"go-{self.id()}"

    def staged(self, *more, **members):
        return workflow(step("still"), step("clip", "staged", {"go": str(self.go)}), *more, **members)

    def watch(self, document, *options, **more):
        return self.stage.terminal("submit", "--watch", *options, self.stage.file("w.json", document), **more)

    def restored(self, terminal):
        """The cursor is hidden while something is drawn, and shown after it; so is wrapping."""
        self.assertEqual(terminal.text.count(SHOWN), terminal.text.count(RESTORED))
        self.assertGreater(terminal.text.rfind(RESTORED), terminal.text.rfind(SHOWN))

    # --- the live view --------------------------------------------------------------------------

    def test_live_view(self):
        terminal = self.watch(self.staged(step("film", "echo", depends_on=["clip"]), workflow_id="live"))
        terminal.read_until(r"clip.*█████░+.* 25% .*a quarter")
        self.assertNotIn(RESTORED, terminal.text)
        self.go.touch()
        self.assertEqual(0, terminal.wait())
        self.restored(terminal)
        head, still, clip, film, *rest = terminal.screen()
        self.assertRegex(head, r"^live  succeeded +\d+\.\d+s")
        for line, name, modality in ((still, "still", "echo"), (clip, "clip", "staged"), (film, "film", "echo")):
            self.assertRegex(line, rf"^ ✓ {name} +{modality} +\d+\.\d+s$")
        self.assertEqual([""], rest)

    def test_failing_steps(self):
        terminal = self.watch(workflow(step("one", "fail", {"message": "no luck"}), step("two", depends_on=["one"]),
                                       step("three")))
        self.assertEqual(FAILED, terminal.wait())
        _, one, two, three, _ = terminal.screen()
        self.assertRegex(one, r"^ ✗ one .* no luck$")
        self.assertRegex(two, r"^ – two .* dependency_failed: ")
        self.assertRegex(three, r"^ ✓ three ")
        self.assertIn("\x1b[31m✗", terminal.text)

    def test_watch_again(self):
        workflow_id = self.stage.submit(workflow(step("a"), step("b", "fail", {"message": "no"})))
        self.stage.receipt(workflow_id)
        terminal = self.stage.terminal("watch", workflow_id)
        self.assertEqual(FAILED, terminal.wait())
        self.assertRegex("\n".join(terminal.screen()), rf"^{workflow_id}  failed.*\n ✓ a .*\n ✗ b ")

    def test_several(self):
        lines = [workflow(step("one", "sleep", {"ms": 200}), workflow_id=f"several-{n}") for n in range(3)]
        lines.append(workflow(step("bad", "fail", {"message": "no luck"}), workflow_id="several-4"))
        terminal = self.stage.terminal("submit", "--watch", self.stage.file("w.jsonl", lines))
        self.assertEqual(FAILED, terminal.wait())
        self.restored(terminal)
        *ended, totals, _ = terminal.screen()
        self.assertEqual("0 running, 0 queued, 4 ended", totals)
        for n in range(3):
            self.assertRegex("\n".join(ended), rf"(?m)^✓ several-{n}  succeeded  1/1 ")
        self.assertRegex("\n".join(ended), r"(?m)^✗ several-4  failed  1/1 .* bad  .*no luck")

    def test_everything(self):
        terminal = self.stage.terminal("watch")
        terminal.read_until("0 running, 0 queued, 0 ended")
        harness.until(lambda: self.stage.ask(b"STATS")[1]["gauges"]["subscribers"], "a subscription")
        self.stage.submit(self.staged(workflow_id="passing"))
        terminal.read_until(r"passing.*running.*1/2.*clip")
        self.go.touch()
        terminal.read_until(r"passing.*succeeded.*2/2")
        terminal.read_until("0 running, 0 queued, 1 ended")
        terminal.type("\x03")
        self.assertEqual(INTERRUPTED, terminal.wait())
        self.restored(terminal)

    def test_many_steps_on_a_low_terminal(self):
        steps = [step(f"s{n:02}") for n in range(60)] + [step("last", "staged", {"go": str(self.go)})]
        terminal = self.watch(workflow(*steps), columns=60, rows=8)
        terminal.read_until("last.* 25%")
        self.go.touch()
        self.assertEqual(0, terminal.wait())
        moves = [int(number) for number in re.findall(r"\x1b\[(\d+)A", terminal.text)]
        self.assertLessEqual(max(moves), 7)
        self.assertRegex("\n".join(terminal.screen()), r"… \d+ more: \d+ succeeded")

    def test_narrow_terminal_and_resizing(self):
        terminal = self.watch(self.staged(), columns=100)
        terminal.read_until("25%")
        before = len(terminal.text)
        terminal.resize(24, 10)
        time_limit = time.monotonic() + harness.DEADLINE_S
        # Two drawings later the first of them was made for the new size.
        while terminal.text[before:].count("\x1b[J") < 4:
            self.assertLess(time.monotonic(), time_limit)
            terminal.read_until(rf"(?s)^.{{{len(terminal.text) + 1}}}")
        last = terminal.text.rsplit("\x1b[J", 2)[1]
        for line in last.splitlines():
            self.assertLess(len(CONTROL.sub("", line)), 24, line)
        self.go.touch()
        self.assertEqual(0, terminal.wait())

    # --- signals --------------------------------------------------------------------------------

    def test_ctrl_c_leaves_the_workflow(self):
        terminal = self.watch(self.staged(workflow_id="left"))
        terminal.read_until("25%")
        terminal.type("\x03")
        self.assertEqual(INTERRUPTED, terminal.wait())
        self.restored(terminal)
        self.assertIn("reel: workflow left goes on; follow it again with: reel watch left", terminal.text)
        self.go.touch()
        self.assertEqual("succeeded", self.stage.receipt("left")["status"])

    def test_ctrl_z_gives_the_terminal_back(self):
        terminal = self.watch(self.staged())
        terminal.read_until("25%")
        terminal.type("\x1a")
        terminal.read_until(re.escape(RESTORED))
        status = pathlib.Path(f"/proc/{terminal.pid}/status")
        harness.until(lambda: "T (stopped)" in status.read_text(encoding="utf-8"), "stopping")
        os.kill(terminal.pid, signal.SIGCONT)
        terminal.read_until(re.escape(RESTORED) + "(?s:.*)" + re.escape(SHOWN))
        self.go.touch()
        self.assertEqual(0, terminal.wait())
        self.restored(terminal)

    def test_hanging_up(self):
        terminal = self.watch(self.staged(workflow_id="hung-up"))
        terminal.read_until("25%")
        os.kill(terminal.pid, signal.SIGHUP)
        self.assertEqual(128 + signal.SIGHUP, terminal.wait())
        self.restored(terminal)
        self.go.touch()

    # --- looks ----------------------------------------------------------------------------------

    def test_no_color(self):
        terminal = self.watch(workflow(), NO_COLOR="1")
        self.assertEqual(0, terminal.wait())
        self.assertNotRegex(terminal.text, r"\x1b\[[0-9;]*m")
        self.assertIn(SHOWN, terminal.text)

    def test_ascii(self):
        terminal = self.watch(workflow(), LC_ALL="C")
        self.assertEqual(0, terminal.wait())
        self.assertTrue(terminal.text.isascii(), terminal.text)
        self.assertRegex(terminal.screen()[1], r"^ \+ only ")

    def test_dumb_terminal(self):
        terminal = self.watch(workflow(workflow_id="dumb"), TERM="dumb")
        self.assertEqual(0, terminal.wait())
        self.assertNotIn("\x1b", terminal.text)
        self.assertRegex(terminal.text, r"dumb  queued\r\n✓ dumb  succeeded  1/1 .*\r\n")

    def test_json_on_a_terminal(self):
        terminal = self.watch(workflow(step("only", "echo", {"text": "\x7f\u009b\u202e"})), "--json")
        self.assertEqual(0, terminal.wait())
        self.assertNotRegex(terminal.text, "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]")
        *_, receipt = [json.loads(line) for line in terminal.text.splitlines()]
        self.assertEqual("\x7f\u009b\u202e", receipt["steps"][0]["receipt"]["output"]["text"])

    def test_hostile_text_is_shown_and_not_obeyed(self):
        hostile = "\x1b]0;title\x07\x1b[2J\u009b31m\u202egpj\r\n"
        terminal = self.watch(workflow(step("bad", "fail", {"message": hostile})), columns=200)
        self.assertEqual(FAILED, terminal.wait())
        self.assertIn(r"\x1b]0;title\x07\x1b[2J\u{9b}31m\u{202e}gpj\x0d\x0a", terminal.text)
        worker_id = self.stage.submit(workflow(step("bad", "fail", {"message": hostile})))
        self.stage.receipt(worker_id)
        for command in (["events", worker_id], ["receipt", worker_id], ["get", worker_id]):
            terminal = self.stage.terminal(*command)
            self.assertEqual(0, terminal.wait())
            self.assertNotRegex(terminal.text, "[\x07\x1b\x9b\u202e]")

    def test_hostile_errors(self):
        path = self.stage.file("bad\x1b[2Jname.json", workflow(step("a\x1b[31m")))
        for command in ("validate", "submit"):
            terminal = self.stage.terminal(command, path)
            self.assertEqual(65, terminal.wait())
            self.assertNotIn("\x1b", terminal.text)
            self.assertIn(r"bad\x1b[2Jname.json: invalid_workflow/bad_id", terminal.text)

    # --- the other commands ---------------------------------------------------------------------

    def lines(self, *arguments, code=0, **more):
        terminal = self.stage.terminal(*arguments, **more)
        self.assertEqual(code, terminal.wait(), terminal.text)
        return terminal.text.replace("\r\n", "\n").splitlines()

    def test_tables(self):
        workflow_id = self.stage.submit(workflow())
        self.stage.receipt(workflow_id)
        titles, *rows = self.lines("list")
        self.assertRegex(titles, r"^WORKFLOW +STATUS +SUBMITTED +TOOK +DELIV$")
        self.assertRegex(rows[0], rf"^{workflow_id}  succeeded +\d\d-\d\d \d\d:\d\d:\d\d +\d+\.\d+s +1$")
        titles, row = self.lines("workers")
        self.assertRegex(titles, r"^WORKER +LEASES  SLOTS +HEARD  SERVES$")
        self.assertRegex(row, r"^worker-\d+ +\d+ +4 +\d+\.\d+s  echo fail sleep staged$")
        lines = self.lines("stats")
        self.assertRegex("\n".join(lines), r"(?s)^COUNTER +\nsubmitted +\d+\n.*\nGAUGE +\n.*\nworkers +1\n")
        (line,) = self.lines("ping")
        self.assertRegex(line, rf"^{re.escape(self.stage.endpoints['client'])}: ready, version \d.*, epoch \d+$")
        for line in self.lines("list", columns=30):
            self.assertLessEqual(len(line), 30)

    def test_events(self):
        workflow_id = self.stage.submit(workflow(step("a", "fail", {"message": "no luck"})))
        self.stage.receipt(workflow_id)
        # A line may be longer than the terminal is wide.
        text = "\n".join(self.lines("events", workflow_id))
        self.assertRegex(text, rf"(?m)^ +\d+  \d\d:\d\d:\d\d\.\d{{3}}  step.failed +{workflow_id}/a  error=.*no luck$")

    def test_documents(self):
        workflow_id = self.stage.submit(workflow())
        self.stage.receipt(workflow_id)
        for command in ("get", "receipt"):
            lines = self.lines(command, workflow_id)
            self.assertGreater(len(lines), 5)
            self.assertEqual(workflow_id, json.loads("\n".join(lines))["workflow_id"])
        self.assertRegex(self.lines("submit", self.stage.file("a.json", workflow(workflow_id="said")))[0], "^said  queued$")
        self.assertRegex(self.lines("validate", self.stage.file("a.json", workflow()))[0], "a.json: valid, 1 step$")

    def test_convert(self):
        packed = self.stage.file("a.msgpack", msgpack.packb({"a": [1, 2]}))
        self.assertEqual({"a": [1, 2]}, json.loads("\n".join(self.lines("convert", packed))))
        self.assertIn("not for a terminal", self.lines("convert", self.stage.file("a.json", {}), code=EX_USAGE)[0])

    def test_run(self):
        path = self.stage.file("run.json", workflow(step("a", "sleep", {"ms": 300}), workflow_id="run-live"))
        terminal = self.stage.terminal("run", path)
        terminal.read_until("▶.*a")
        self.assertEqual(0, terminal.wait())
        self.restored(terminal)
        head, line, _ = terminal.screen()
        self.assertRegex(head, "^run-live  succeeded")
        self.assertRegex(line, r"^ ✓ a  sleep +0\.[3-9]s$")

    def test_run_interrupted(self):
        path = self.stage.file("run.json", workflow(step("a", "sleep", {"ms": 60000})))
        terminal = self.stage.terminal("run", path)
        terminal.read_until("▶.*a")
        terminal.type("\x03")
        self.assertEqual(INTERRUPTED, terminal.wait())
        self.restored(terminal)
        self.assertIn("cancelled", terminal.screen()[1])


if __name__ == "__main__":
    unittest.main()
