"""Gunicorn as a school would run it, and tidy for a test: no files outside, no worker that outlives it."""

import ctypes
import signal

wsgi_app = "school.wsgi"
worker_class = "sync"
graceful_timeout = 2
control_socket_disable = True
loglevel = "warning"

PR_SET_PDEATHSIG = 1


def post_fork(server, worker):
    # A sync worker notices a killed master only after half its timeout; until then it would keep the port.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
