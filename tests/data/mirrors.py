"""A world of two mirrors: a tiny MNIST of known pixels, and a server that misbehaves as told."""

import contextlib
import gzip
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

PARTS = ("train", "train_labels", "test", "test_labels")
PIXELS = {
    "train": np.random.RandomState(0).randint(0, 256, (100, 28, 28), np.uint8),
    "train_labels": np.arange(100, dtype=np.uint8) % 10,
    "test": np.random.RandomState(1).randint(0, 256, (10, 28, 28), np.uint8),
    "test_labels": np.arange(10, dtype=np.uint8),
}


def idx(array: np.ndarray) -> bytes:
    """IDX, written with struct: the reader under test has no writer."""
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


PLAIN = {part: idx(array) for part, array in PIXELS.items()}
GZ = {part: gzip.compress(contents, mtime=0) for part, contents in PLAIN.items()}
ANOTHER = gzip.compress(PLAIN["train"][:-1] + bytes([PLAIN["train"][-1] ^ 1]), mtime=0)


# ---- a server on the loopback interface; an answer is a function of the request


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        queue = self.server.answers.get(self.path, [status(404)])
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        with contextlib.suppress(ConnectionError):  # a client that was killed
            answer(self)

    def log_message(self, *args):
        pass


Answer = Callable[[Handler], None]


def send(handler, body: bytes, length: int | None, code: int = 200, **headers: str) -> None:
    handler.send_response(code)
    if length is not None:
        headers["Content-Length"] = str(length)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()


def whole(body: bytes, **headers: str) -> Answer:
    return lambda handler: send(handler, body, len(body), **headers)


def status(code: int) -> Answer:
    return lambda handler: send(handler, b"no", 2, code)


def truncated(body: bytes, told: bool) -> Answer:
    """Half of it, then the connection closes; ``told``: the client knows the length."""
    return lambda handler: send(handler, body[: len(body) // 2], len(body) if told else None)


def held(body: bytes, event: threading.Event) -> Answer:
    """Half of it, the rest once the event is set."""

    def answer(handler):
        send(handler, body[: len(body) // 2], len(body))
        event.wait(120)
        handler.wfile.write(body[len(body) // 2 :])

    return answer


class Server(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []
        self.answers: dict[str, list[Answer]] = {}

    def url(self, mirror: str, part: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{mirror}/{part}"

    def serve(self, mirror: str, part: str, *answers: Answer) -> None:
        """These answers one after the other, the last one for ever."""
        self.answers[f"/{mirror}/{part}"] = list(answers)
