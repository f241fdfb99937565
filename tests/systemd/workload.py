# SPDX-License-Identifier: Apache-2.0
"""What the tests under systemd run: units, and load on them from within the machine."""
import json
import subprocess

from machine import DEADLINE

PORT = 8080


def web(release="1", listen=str(PORT)):
    return """
[[socket]]
name = "http"
listen = "%s"
non_blocking = true
[service]
type = "notify"
exec_start = ["/opt/holdfast-webserver", "--release", "%s"]
timeout_start = "10s"
[rollout]
probation = "0s"
""" % (listen, release)


def shell(script, more=""):
    return '[service]\ntype = "exec"\nexec_start = ["/bin/sh", "-c", %s]\n%s' % (json.dumps(script), more)


class Load:
    """client.py in the machine, from now until `finish`."""

    def __init__(self, machine, target=PORT):
        self.process = machine.popen("python3", "/opt/client.py", str(target), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.process.stdout.readline() != "begun\n":
            raise AssertionError(self.process.communicate()[1])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def finish(self):
        out, err = self.process.communicate(timeout=2 * DEADLINE)
        if not out:
            raise AssertionError(err)
        return json.loads(out)
