"""The values of documents, once more: reel's JSON forms and msgpack, written here from their description alone.

A value is what Python's json or msgpack makes of it, but F32 for a float of 32 bits and Ext for an extension,
so that nothing is lost between the two.
"""
import base64
import collections
import math
import re
import struct

import msgpack

Ext = collections.namedtuple("Ext", "code body")
FORM = re.compile(r"(\$+)(bin|ext|uint|f32|f64)")


class F32(collections.namedtuple("F32", "bits")):
    @property
    def value(self):
        return struct.unpack(">f", self.bits)[0]


# --- JSON --------------------------------------------------------------------------------------


def from_json(value):
    """The value that reel's JSON form stands for, of what json.loads() made of it."""
    if isinstance(value, list):
        return [from_json(member) for member in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        key, inner = next(iter(value.items()))
        form = FORM.fullmatch(key)
        if form and len(form[1]) > 1:
            return {key[1:]: from_json(inner)}
        if form:
            return from_form(form[2], inner)
    return {key: from_json(member) for key, member in value.items()}


def from_form(name, inner):
    if name == "bin":
        return base64.b64decode(inner, validate=True)
    if name == "ext":
        return Ext(inner[0], base64.b64decode(inner[1], validate=True))
    if name == "uint":
        return int(inner)
    bits = bytes.fromhex(inner)
    return F32(bits) if name == "f32" else struct.unpack(">d", bits)[0]


def to_json(value):
    """The other direction, for json.dumps()."""
    if isinstance(value, bytes):
        return {"$bin": base64.b64encode(value).decode()}
    if isinstance(value, Ext):
        return {"$ext": [value.code, base64.b64encode(value.body).decode()]}
    if isinstance(value, F32):
        return {"$f32": value.bits.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$f64": struct.pack(">d", value).hex()}
    if isinstance(value, int) and value >= 1 << 63:
        return {"$uint": str(value)}
    if isinstance(value, list):
        return [to_json(member) for member in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and FORM.fullmatch(next(iter(value))):
        return {"$" + key: to_json(member) for key, member in value.items()}
    return {key: to_json(member) for key, member in value.items()}


# --- msgpack -----------------------------------------------------------------------------------


def unpack(data):
    """What Python's msgpack makes of bytes."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=True, ext_hook=Ext, max_buffer_size=len(data))
    unpacker.feed(data)
    value = unpacker.unpack()
    if unpacker.tell() != len(data):
        raise ValueError("bytes left over")
    return value


def pack(value):
    """What Python's msgpack makes of a value."""
    packer, single = msgpack.Packer(autoreset=False), msgpack.Packer(use_single_float=True)

    def add(value):
        if isinstance(value, list):
            packer.pack_array_header(len(value))
            for member in value:
                add(member)
        elif isinstance(value, dict):
            packer.pack_map_header(len(value))
            for key, member in value.items():
                packer.pack(key)
                add(member)
        elif isinstance(value, Ext):
            packer.pack_ext_type(value.code, value.body)
        elif isinstance(value, F32):
            pieces.append(packer.bytes())
            packer.reset()
            # Its way through a double would quiet a signalling NaN.
            pieces.append(b"\xca" + value.bits if math.isnan(value.value) else single.pack(value.value))
        else:
            packer.pack(value)

    pieces = []
    add(value)
    return b"".join(pieces) + packer.bytes()


def timestamp(body):
    """The seconds and nanoseconds that the body of an extension of type -1 says, by the msgpack specification."""
    if len(body) == 4:
        return struct.unpack(">I", body)[0], 0
    if len(body) == 8:
        both = struct.unpack(">Q", body)[0]
        return both & (1 << 34) - 1, both >> 34
    nanoseconds, seconds = struct.unpack(">Iq", body)
    return seconds, nanoseconds


def same(unpacked, value):
    """Is that the value which was unpacked? Python's msgpack makes doubles of all floats, and reads timestamps."""
    if isinstance(value, Ext) and value.code == -1:
        return isinstance(unpacked, msgpack.Timestamp) and (unpacked.seconds,
                                                            unpacked.nanoseconds) == timestamp(value.body)
    if isinstance(value, F32):
        return isinstance(unpacked, float) and (struct.pack(">f", unpacked) == value.bits or
                                                (math.isnan(unpacked) and math.isnan(value.value)))
    if type(unpacked) is not type(value):
        return False
    if isinstance(value, float):
        return struct.pack(">d", unpacked) == struct.pack(">d", value)
    if isinstance(value, list):
        return len(unpacked) == len(value) and all(map(same, unpacked, value))
    if isinstance(value, dict):
        return list(unpacked) == list(value) and all(same(unpacked[key], value[key]) for key in value)
    return unpacked == value
