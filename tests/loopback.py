"""A web server on 127.0.0.1 that misbehaves on request: what a download must survive, without leaving the machine."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves ``content``. ``script`` holds one behaviour per request; when it is used up, requests are served whole.

    A behaviour is ``{"status": 404}``, or any of: ``cut`` (bytes sent before the connection ends), ``stall`` (bytes
    sent before it falls silent), ``slow`` (seconds between pieces), ``body`` (other bytes), ``ranges=False`` (Range is
    ignored), ``length=False`` (no Content-Length), ``part`` (Content-Range of another part).
    """

    def __init__(self, content, *script):
        self.content, self.script, self.ranges, self.release = content, list(script), [], threading.Event()

    def answer(self, request):
        self.ranges.append(request.headers.get("Range"))
        how = self.script.pop(0) if self.script else {}
        body, asked, status = how.get("body", self.content), self.ranges[-1], how.get("status", 200)
        if status >= 400:
            request.send_error(status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and how.get("ranges", True) else 0
        if start >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", how.get("part", f"bytes {start}-{len(body) - 1}/{len(body)}"))
        if how.get("length", True):
            request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        self.send(request.wfile, body[start:], how)

    def send(self, stream, body, how):
        if "slow" in how:
            for i in range(0, len(body), max(1, len(body) // 10)):
                stream.write(body[i:i + max(1, len(body) // 10)])
                time.sleep(how["slow"])
            return
        stream.write(body[:how.get("cut", how.get("stall"))])
        stream.flush()
        if "stall" in how:
            self.release.wait(20)


@contextmanager
def serving(content, *script):
    """``with serving(b"...", {"cut": 10}) as server:`` then ``server.url`` is an address without a file name."""
    server = Server(content, *script)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    server.url = f"http://127.0.0.1:{web.server_port}/"
    threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.release.set()
        web.shutdown()
        web.server_close()
