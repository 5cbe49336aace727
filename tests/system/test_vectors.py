#!/usr/bin/python3
"""Another implementation of msgpack reads the same values out of the vectors' bytes.

Python's msgpack and json, and the reading of the `$` forms written here once more from their
description in proto/json.h.
"""
import base64
import json
import math
import os
import pathlib
import re
import struct
import sys

import msgpack

SOURCE = pathlib.Path(os.environ.get("REEL_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
VECTORS = SOURCE / "tests" / "vectors"


def from_json(value):
    """The value that reel's JSON form stands for."""
    if isinstance(value, list):
        return [from_json(member) for member in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        key, inner = next(iter(value.items()))
        form = re.fullmatch(r"(\$+)(bin|ext|uint|f32|f64)", key)
        if form and len(form[1]) > 1:
            return {key[1:]: from_json(inner)}
        if form:
            return from_form(form[2], inner)
    return {key: from_json(member) for key, member in value.items()}


def from_form(name, inner):
    if name == "bin":
        return base64.b64decode(inner, validate=True)
    if name == "ext":
        return ("ext", inner[0], base64.b64decode(inner[1], validate=True))
    if name == "uint":
        return int(inner)
    return struct.unpack(">f" if name == "f32" else ">d", bytes.fromhex(inner))[0]


def from_msgpack(data):
    """The value of msgpack bytes; timestamps stay bytes, as they are in the JSON form."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=True, ext_hook=lambda code, body: ("ext", code, body),
                                timestamp=0)
    unpacker.feed(data)
    value = unpacker.unpack()
    if unpacker.tell() != len(data):
        raise ValueError("bytes left over")
    return value


def timestamp_bytes(stamp):
    """Python's msgpack decodes ext -1 whatever it is asked: back to what was there, the shortest of three forms."""
    if stamp.seconds >> 34 == 0 and stamp.nanoseconds == 0 and stamp.seconds < 1 << 32:
        return struct.pack(">I", stamp.seconds)
    if stamp.seconds >> 34 == 0:
        return struct.pack(">Q", stamp.nanoseconds << 34 | stamp.seconds)
    return struct.pack(">Iq", stamp.nanoseconds, stamp.seconds)


def same(a, b):
    if isinstance(a, msgpack.Timestamp):
        a = ("ext", -1, timestamp_bytes(a))
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return a == b


def problem(path):
    """What is wrong with one vector, or None."""
    text, *lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    value = from_json(json.loads(text))
    data = [bytes.fromhex(line) for line in lines]
    if not isinstance(value, list) or value[:1] != ["REEL1"]:
        return None if len(data) == 1 and same(from_msgpack(data[0]), value) else "the bytes say something else"
    if len(data) != len(value):
        return "not one line a frame"
    if [frame.decode("ascii") for frame in data[:2]] != value[:2]:
        return "the first two frames are not what they are said to be"
    for frame, expected in zip(data[2:], value[2:]):
        if not same(from_msgpack(frame), expected):
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
