#!/usr/bin/python3
"""Another implementation of msgpack reads the same values out of the vectors' bytes.

Python's msgpack and json, and forms.py for what JSON cannot say.
"""
import json
import os
import pathlib
import sys

import forms

SOURCE = pathlib.Path(os.environ.get("REEL_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
VECTORS = SOURCE / "tests" / "vectors"


def problem(path):
    """What is wrong with one vector, or None."""
    text, *lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    value = forms.from_json(json.loads(text))
    data = [bytes.fromhex(line) for line in lines]
    if not isinstance(value, list) or value[:1] != ["REEL1"]:
        return None if len(data) == 1 and forms.same(forms.unpack(data[0]), value) else "the bytes say something else"
    if len(data) != len(value):
        return "not one line a frame"
    if [frame.decode("ascii") for frame in data[:2]] != value[:2]:
        return "the first two frames are not what they are said to be"
    for frame, expected in zip(data[2:], value[2:]):
        if not forms.same(forms.unpack(frame), expected):
            return "a frame says something else"
    return None


def main():
    paths = sorted(VECTORS.glob("*/*.vector"))
    failed = 0
    for path in paths:
        wrong = problem(path)
        if wrong:
            failed += 1
            print(f"{path.relative_to(SOURCE)}: {wrong}", file=sys.stderr)
    print(f"{len(paths) - failed} passed, {failed} failed")
    return 1 if failed or len(paths) < 50 else 0


sys.exit(main())
