#!/usr/bin/python3
"""Generated documents, read and written again by Node's @msgpack/msgpack, are the same to reel.

npm puts the module into REEL_TESTS. What JavaScript cannot keep apart is not asked for: an integral double comes back as
an integer, a float of 32 bits as a double, and keys that look like array indexes come first. REEL_SEED gives other
documents.
"""
import json
import math
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
import forms

BIN = pathlib.Path(os.environ["REEL_BIN"])
MODULES = pathlib.Path(os.environ["REEL_TESTS"]) / "node"
SEED = os.environ.get("REEL_SEED", "1")
COUNT = 2000
NODE_MIN = 18


def run(*command, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def install():
    """npm ci, unless what is there is what is wanted."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            sys.exit(f"there is no {program}: script/bootstrap --full installs it")
    version = run("node", "--version").decode().strip()
    if int(re.match(r"v(\d+)", version)[1]) < NODE_MIN:
        sys.exit(f"node is {version}: at least v{NODE_MIN} is needed")
    names = ("package.json", "package-lock.json")
    done = MODULES / "installed"
    if done.exists() and all((MODULES / name).read_bytes() == (HERE / name).read_bytes() for name in names):
        return
    shutil.rmtree(MODULES, ignore_errors=True)
    MODULES.mkdir(parents=True)
    for name in names:
        shutil.copy(HERE / name, MODULES)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=MODULES)
    if not (MODULES / "node_modules" / "@msgpack" / "msgpack").is_dir():
        sys.exit("npm ci ended well, and has installed nothing")
    done.touch()


def in_order(keys):
    """JavaScript's order of a map's keys."""
    indexes = [key for key in keys if re.fullmatch(r"0|[1-9][0-9]{0,9}", key) and int(key) < (1 << 32) - 1]
    return sorted(indexes, key=int) + [key for key in keys if key not in indexes]


def kept(got, value):
    """Is that the value, as far as JavaScript can keep it?"""
    if isinstance(value, (float, forms.F32)):
        wanted = value.value if isinstance(value, forms.F32) else value
        if isinstance(got, int) and not isinstance(got, bool):
            return got == wanted
        return isinstance(got, float) and (struct.pack(">d", got) == struct.pack(">d", wanted) or
                                           (math.isnan(got) and math.isnan(wanted)))
    if type(got) is not type(value):
        return False
    if isinstance(value, list):
        return len(got) == len(value) and all(map(kept, got, value))
    if isinstance(value, dict):
        return list(got) == in_order(list(value)) and all(kept(got[key], value[key]) for key in value)
    return got == value


def values(data):
    return forms.from_json(json.loads(run(BIN / "reel", "convert", input=data)))


def main():
    install()
    made, again = MODULES / "documents.msgpack", MODULES / "again.msgpack"
    made.write_bytes(run(MODULES.parent / "interop_documents", SEED, COUNT))
    run("node", HERE / "again.mjs", MODULES, made, again)
    wanted, got = values(made.read_bytes()), values(again.read_bytes())
    wrong = [index for index, (one, other) in enumerate(zip(got, wanted)) if not kept(one, other)]
    for index in wrong[:10]:
        print(f"document {index} of seed {SEED} is not kept: {got[index]} for {wanted[index]}", file=sys.stderr)
    print(f"{len(got) - len(wrong)} documents kept, {len(wrong)} not")
    return 1 if wrong or len(got) != COUNT or len(wanted) != COUNT else 0


sys.exit(main())
