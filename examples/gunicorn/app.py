# SPDX-License-Identifier: Apache-2.0
"""The smallest WSGI application that says who it is."""
import os


def application(environ, start_response):
    body = b"gunicorn worker pid=%d\n" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
