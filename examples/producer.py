#!/usr/bin/python3
"""Submits a workflow of two steps: producer.py WORKFLOW_ID [ENDPOINT]"""
import sys, msgpack, zmq

say = {"step_id": "say", "modality": "echo", "payload": {"text": "hello"}}
again = {"step_id": "again", "modality": "echo", "payload": {"heard": {"$ref": "#/say/output/text"}}, "depends_on": ["say"]}
socket = zmq.Context().socket(zmq.REQ)
socket.connect(sys.argv[2] if len(sys.argv) > 2 else "tcp://127.0.0.1:5570")
workflow = msgpack.packb({"workflow_id": sys.argv[1], "steps": [say, again]})
socket.send_multipart([b"REEL1", b"SUBMIT", msgpack.packb({}), workflow])
protocol, answer, header, *document = socket.recv_multipart()
print(answer.decode(), msgpack.unpackb(header))
sys.exit(answer != b"OK")
