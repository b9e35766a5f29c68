"""Runs acme2certifier, a real ACME server, on loopback: `python -m support.acme_server PORT PEM`."""

from __future__ import annotations

import ssl
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    """It asks back while it is asked."""

    daemon_threads = True


def main(port: int, pair: str) -> None:
    """Nothing; answers until it is told to end."""
    from acme2certifier.share.acme2certifier_wsgi import application

    def by_tls(environ, start_response):
        return application({**environ, "HTTP_X_FORWARDED_PROTO": "https"}, start_response)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    server = make_server("127.0.0.1", port, by_tls, Server, WSGIRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
