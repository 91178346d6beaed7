"""A proxy: run as a program, it prints its port, then a line for every request that it passes on."""

from __future__ import annotations

from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Proxy(BaseHTTPRequestHandler):
    """Passes GET requests on as they are."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        print(self.path, "Proxy-Authorization" in self.headers, flush=True)
        parts = urlsplit(self.path)
        link = HTTPConnection(parts.netloc)
        link.request("GET", parts.path + ("?" + parts.query if parts.query else ""))
        answer = link.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name != "Content-Length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.3", 0), Proxy) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
