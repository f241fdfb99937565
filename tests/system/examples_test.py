# SPDX-License-Identifier: Apache-2.0
"""Each example under examples/ as its unit file has it (but on a free port), restarted five times under load: nothing is lost."""
import os
import re
import shutil

from harness import PYTHON, ROOT, Story, http_get, main, program

EXAMPLES = os.path.join(ROOT, "examples")


class Examples(Story):
    def unit(self, folder, name=None):
        with open(os.path.join(EXAMPLES, folder, (name or folder) + ".toml")) as file:
            text = file.read()
        text = re.sub(r'listen = "127\.0\.0\.1:\d+"', 'listen = "127.0.0.1:0"', text)
        text = re.sub(r"probation = .*\n", "", text).replace("[rollout]\n", '[rollout]\nprobation = "50ms"\n')
        text = text.replace("/usr/libexec/holdfast/holdfast-webserver", program("holdfast-webserver"))
        return text.replace("/usr/share/holdfast/examples", EXAMPLES).replace('"/usr/bin/python3"', '"%s"' % PYTHON)

    def five_restarts(self, text, rate=200, keep_alive=False):
        """The load's result; each restart is done."""
        daemon = self.daemon({"example": text})
        port = daemon.port("example")
        # A server of type exec runs before it serves: the first client is served when it does.
        self.assertEqual(http_get(port)[0], 200)
        load = self.load(port, seconds=3, rate=rate, keep_alive=keep_alive)
        count = 0
        while load.is_running() or count < 5:
            self.assert_says(daemon.run("restart", "example"), 0)
            count += 1
        result = load.finish()
        print("\n%d restarts, %d requests, %d failed, %d keep-alive races, slowest %d us" % (
            count, result["sent"], result["failed"], result["keepalive_races"], result["latency_us"]["max"]))
        return result

    def test_our_own_web_server(self):
        self.assert_clean(self.five_restarts(self.unit("webserver", "web")), least=100)

    def test_our_own_web_server_with_keep_alive(self):
        result = self.five_restarts(self.unit("webserver", "web"), keep_alive=True)
        self.assert_clean(result, least=100)
        self.assertEqual(result["keepalive_races"], 0)

    def test_the_python_worker(self):
        self.assert_clean(self.five_restarts(self.unit("python-scm")), least=100)

    def test_gunicorn(self):
        if not shutil.which("gunicorn", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"):
            self.skip("gunicorn is not installed")
        self.assert_clean(self.five_restarts(self.unit("gunicorn"), rate=100), least=100)

    def test_lighttpd(self):
        if not os.path.exists("/usr/sbin/lighttpd"):
            self.skip("lighttpd is not installed")
        self.assert_clean(self.five_restarts(self.unit("lighttpd")), least=100)

    def test_lighttpd_with_keep_alive(self):
        """It closes idle connections at the end: a client that is just sending repeats the request, as HTTP has it."""
        if not os.path.exists("/usr/sbin/lighttpd"):
            self.skip("lighttpd is not installed")
        self.assert_clean(self.five_restarts(self.unit("lighttpd"), keep_alive=True), least=100)


if __name__ == "__main__":
    main()
