"""A TCP relay before PostgreSQL that can lose the answer to one COMMIT: the transaction is durable, nobody hears of it."""

import socket
import threading

_COMMITTED = b"COMMIT\x00"  # the tag of CommandComplete, PostgreSQL's protocol 3
_BYTES = 65_536


class Relay:
    """Listens on ``port`` of 127.0.0.1. ``lost``: whether an answer was lost."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._armed = threading.Event()
        self.lost = False

    def lose_next_commit(self) -> None:
        self._armed.set()

    def serve(self) -> None:
        """Until `close`; a thread for each direction of a connection."""
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._server)
            for source, target, watched in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, target, watched), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pump(self, source: socket.socket, target: socket.socket, watched: bool) -> None:
        """An answer of a purchase fits into one segment, so the tag is not looked for across two."""
        try:
            while data := source.recv(_BYTES):
                if watched and self._armed.is_set() and _COMMITTED in data:
                    self._armed.clear()
                    self.lost = True
                    break
                target.sendall(data)
        except OSError:  # the other direction has ended
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:  # it was closed by its peer
                continue
