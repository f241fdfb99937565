# SPDX-License-Identifier: Apache-2.0
# No `bind`: gunicorn takes the listeners it is given (LISTEN_FDS) and says READY=1 by itself.
preload_app = True  # import the application before READY=1, so that a release that cannot be imported is never ready
workers = 2
backlog = 4096  # gunicorn calls listen() again on the socket it is given; keep what the unit says
graceful_timeout = 8  # for requests in flight after SIGTERM; below the unit's drain_timeout
