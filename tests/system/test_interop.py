#!/usr/bin/python3
"""Generated documents, executed workflows among them, in both forms, between reel and Python's msgpack and json.

REEL_SEED gives other documents.
"""
import json
import os
import pathlib
import subprocess
import unittest

import forms

BIN = pathlib.Path(os.environ["REEL_BIN"])
TESTS = pathlib.Path(os.environ["REEL_TESTS"])
SEED = os.environ.get("REEL_SEED", "1")
COUNT = 2000


def output(*command, given=b""):
    done = subprocess.run([str(word) for word in command], input=given, capture_output=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]}: exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def convert(given):
    return output(BIN / "reel", "convert", given=given)


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.msgpack = output(TESTS / "interop_documents", SEED, COUNT)
        cls.values = forms.from_json(json.loads(convert(cls.msgpack)))

    def alike(self, got, wanted, what):
        """As bytes: the first document that is not the same is shown, not all of them."""
        if got == wanted:
            return
        for index, (one, other) in enumerate(zip(forms.unpack(got), self.values)):
            self.assertTrue(forms.same(one, other), f"document {index} of seed {SEED} {what}: {one} for {other}")
        self.fail(f"the values of seed {SEED} {what} are the same, the bytes are not")

    def test_there_are_documents(self):
        self.assertEqual(COUNT, len(self.values))
        statuses = {step.get("status") for workflow in self.values[::2] for step in workflow["steps"]}
        self.assertLessEqual({"succeeded", "failed", "skipped", "pending"}, statuses)

    def test_python_unpacks_what_reel_packs(self):
        for index, (unpacked, value) in enumerate(zip(forms.unpack(self.msgpack), self.values)):
            self.assertTrue(forms.same(unpacked, value), f"document {index} of seed {SEED}: {unpacked} for {value}")

    def test_python_packs_the_same_bytes(self):
        self.alike(forms.pack(self.values), self.msgpack, "packed by Python")

    def test_reel_reads_what_python_packs(self):
        self.assertEqual(convert(self.msgpack), convert(forms.pack(self.values)))

    def test_reel_reads_the_json_of_python(self):
        for style in ({}, {"ensure_ascii": False, "separators": (",", ":")}, {"indent": 1}):
            text = json.dumps(forms.to_json(self.values), allow_nan=False, **style)
            self.alike(convert(text.encode()), self.msgpack, f"as JSON with {style}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
