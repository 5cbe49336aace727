"""What the adapter commands beside this file share.

A command gets the step's payload as JSON on standard input, runs in an empty directory of its
own, and says on standard output, a JSON object a line, how far it is and at last its output. It
fails by exiting with another code than 0; what it wrote to standard error says why.
"""
import hashlib
import json
import os
import subprocess
import sys


class Refused(Exception):
    """The payload asks for what this command cannot do."""


def say(line):
    print(json.dumps(line), flush=True)


def ffmpeg(arguments, seconds=None, message=None):
    """Runs ffmpeg; tells the progress towards `seconds` of output."""
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-stats_period", "0.2",
               "-progress", "pipe:1", *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            key, _, value = line.strip().partition("=")
            if seconds and key == "out_time_us" and value.lstrip("-").isdigit():
                fraction = min(max(int(value) / 1e6 / seconds, 0.0), 1.0)
                say({"progress": round(fraction, 3), "message": message or ""})
    if process.returncode != 0:
        raise Refused(f"ffmpeg ended with {process.returncode}")


def probe(path, entries):
    """What ffprobe says of a file, as {name: text}."""
    command = ["ffprobe", "-loglevel", "error", "-show_entries", entries, "-of", "json", path]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise Refused(f"ffprobe cannot read {path}")
    return json.loads(done.stdout)


def seconds_of(path):
    return round(float(probe(path, "format=duration")["format"]["duration"]), 3)


def artifact(path, media_type):
    """A file as a receipt lists it."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    path = os.path.abspath(path)
    return {"uri": path, "sha256": digest.hexdigest(), "bytes": os.path.getsize(path), "media_type": media_type}


def main(make):
    """Calls make(payload), whose result is the step's output."""
    try:
        say(make(json.load(sys.stdin)))
    except Refused as error:
        sys.exit(str(error))
    except KeyError as error:
        sys.exit(f"the payload lacks {error}")
