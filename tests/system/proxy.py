"""A network that misbehaves: a TCP proxy between a process and the broker.

    proxy = Proxy(stage.endpoints["worker"])
    stage.worker(endpoint=proxy.endpoint)
    proxy.stall(down=True)      # what the broker says does not arrive for now
    proxy.pass_on()             # it does again, nothing was lost

What is under way when a connection is cut is lost; what a half-open one is given vanishes, and neither side hears of
it. Connections made afterwards are as good as new.
"""
import contextlib
import socket
import threading

CHUNK = 65536


class Connection:
    def __init__(self, near, far):
        self.ends = (near, far)
        self.half_open = False

    def close(self):
        for end in self.ends:
            # One that is shut down wakes the thread that waits for it.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    def __init__(self, endpoint):
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.changed = threading.Condition()
        self.stalled = {"up": False, "down": False}
        self.trickling = False
        self.closed = False
        self.connections = set()
        threading.Thread(target=self._listen, daemon=True).start()

    # --- what it does to the network --------------------------------------------------------------

    def pass_on(self):
        self._set(up=False, down=False, trickling=False)

    def stall(self, up=False, down=False):
        """Holds back what goes to the broker (up), or comes from it (down), until pass_on()."""
        self._set(up=up, down=down, trickling=self.trickling)

    def trickle(self):
        """A few bytes at a time."""
        self._set(up=False, down=False, trickling=True)

    def cut(self):
        """Ends every connection."""
        for connection in self._all():
            connection.close()

    def half_open(self):
        """From now on nothing gets through the connections there are, and nobody is told."""
        for connection in self._all():
            connection.half_open = True

    def close(self):
        self.closed = True
        self.pass_on()
        # A listener that is shut down wakes the thread that accepts.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    # --- how ----------------------------------------------------------------------------------------

    def _set(self, up, down, trickling):
        with self.changed:
            self.stalled = {"up": up, "down": down}
            self.trickling = trickling
            self.changed.notify_all()

    def _all(self):
        with self.changed:
            return list(self.connections)

    def _listen(self):
        while not self.closed:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target)
            except OSError:  # the broker is not there: neither are we
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(near, far)
            with self.changed:
                self.connections.add(connection)
            for source, sink, way in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._pump, args=(connection, source, sink, way), daemon=True).start()

    def _await(self, way):
        with self.changed:
            self.changed.wait_for(lambda: not self.stalled[way])

    def _pump(self, connection, source, sink, way):
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                while data and not connection.half_open:
                    self._await(way)
                    few = 7 if self.trickling else len(data)
                    sink.sendall(data[:few])
                    data = data[few:]
                    if data:
                        with self.changed:  # the time between two trickles
                            self.changed.wait(0.0005)
        connection.close()
        with self.changed:
            if connection in self.connections:
                self.connections.remove(connection)
                return
        for end in connection.ends:  # the other thread has gone already
            end.close()
