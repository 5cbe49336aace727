#!/usr/bin/python3
"""Follows a workflow to its receipt: subscriber.py WORKFLOW_ID [ENDPOINT]. From the first beat on it misses nothing."""
import sys, msgpack, zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[2] if len(sys.argv) > 2 else "tcp://127.0.0.1:5572")
receipt = f"receipt/{sys.argv[1]}"
for topic in (f"event/{sys.argv[1]}/", receipt, "beat"):
    socket.subscribe(topic)
topic = ""
while topic != receipt:
    topic, body = (frame for frame in socket.recv_multipart())
    topic = topic.decode()
    print(topic, msgpack.unpackb(body), flush=True)
