"""What may stand between a node and its database: it passes everything on, until it takes everything and passes on nothing."""

import socket
import threading
import time


class Relay:
    """A port that leads to another one of this machine."""

    def __init__(self, target):
        self._target = target
        self._is_silent = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self):
        """From now on nobody hears anything, not even that a connection has ended."""
        self._is_silent.set()

    def speak_again(self):
        """Connections of before end; new ones are as at first."""
        self._is_silent.clear()

    def close(self):
        """No more connections."""
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source, sink):
        try:
            while data := source.recv(65536):
                if not self._is_silent.is_set():
                    sink.sendall(data)
        except OSError:
            pass
        while self._is_silent.is_set():
            time.sleep(0.1)
        try:
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended by itself
        sink.close()
