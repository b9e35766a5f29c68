"""A lab of the picker's tests: answers every address with one line, until SIGUSR1 makes it deaf but alive."""

import os
import signal
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlparse


class Lab(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"the lab of the test, process {os.getpid()}".encode())

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", urlparse(os.environ["JUPYTERHUB_SERVICE_URL"]).port), Lab)
signal.signal(signal.SIGUSR1, lambda *_: server.socket.close())
server.serve_forever()
