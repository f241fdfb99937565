# SPDX-License-Identifier: Apache-2.0
"""The JSON schema of unit files, as editors use it: it takes every unit that holdfast takes, and refuses what a value alone shows
to be wrong. Run as: schema_test.py SOURCE_FOLDER FOLDER_OF_THE_PROGRAMS FOLDER_OF_THE_SCHEMA
"""
import glob
import json
import os
import re
import subprocess
import sys
import unittest

SOURCE, BIN, BUILT = (os.path.abspath(path) for path in sys.argv[1:4])

# Debian's package belongs to Debian's Python, which need not be the one that runs the other tests.
for module in ("jsonschema", "tomllib"):
    try:
        globals()[module] = __import__(module)
    except ImportError:
        own = "/usr/bin/python3"
        if os.path.realpath(sys.executable) != os.path.realpath(own) and os.path.exists(own):
            os.execv(own, [own, "-B", *sys.argv])
        print("skipped: there is no Python module " + module)
        sys.exit(0)

# No schema sees these, and why.
ONLY_THE_PROGRAM_SEES = {
    "several keys of the unit together": """
        accept accept-on-demand idle-stop-eager in-place-without-reload lazy-without-socket reuse-port-unix share-without-socket
        socket-duplicate-address socket-duplicate-name socket-unnamed-twice steering-byte-of-tcp steering-byte-without-mode
        steering-empty steering-too-few-numbers steering-without-shards surge-none""",
    "what a placeholder names": "placeholder-argument placeholder-no-socket placeholder-socket placeholder-unknown",
    "the name of the file": "template@",
}
EXEMPT = {name for names in ONLY_THE_PROGRAM_SEES.values() for name in names.split()}


def read_toml(path):
    with open(path, "rb") as file:
        return tomllib.loads(file.read().decode("utf-8-sig").replace("\r\n", "\n"))


def read_schema(name):
    with open(os.path.join(BUILT, name + ".schema.json"), encoding="utf-8") as file:
        return json.load(file)


def units(*path):
    return sorted(glob.glob(os.path.join(SOURCE, *path)))


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema, cls.daemon_schema = (read_schema(name) for name in ("holdfast.unit", "holdfast.toml"))
        cls.validator = jsonschema.Draft7Validator(cls.schema)

    def faults(self, unit):
        return [error.message for error in self.validator.iter_errors(unit)]

    def test_it_is_a_schema(self):
        for schema in (self.schema, self.daemon_schema):
            jsonschema.Draft7Validator.check_schema(schema)

    def test_that_of_holdfast_toml_takes_the_good_and_refuses_the_bad_ones(self):
        validator = jsonschema.Draft7Validator(self.daemon_schema)
        for path in units("tests", "units", "daemon", "*", "*.toml"):
            with self.subTest(os.path.relpath(path, SOURCE)):
                try:
                    is_good = validator.is_valid(read_toml(path))
                except tomllib.TOMLDecodeError:
                    is_good = False
                self.assertEqual(is_good, os.path.basename(os.path.dirname(path)) == "good")

    def test_it_takes_the_examples_and_every_good_unit(self):
        paths = units("tests", "units", "good", "*.toml") + units("examples", "*", "*.toml")
        self.assertGreater(len(paths), 15)
        for path in paths:
            with self.subTest(os.path.relpath(path, SOURCE)):
                self.assertEqual(self.faults(read_toml(path)), [])

    def test_it_refuses_every_bad_unit_whose_fault_a_value_shows(self):
        names = set()
        for path in units("tests", "units", "bad", "*.toml"):
            name = os.path.basename(path)[:-len(".toml")]
            names.add(name)
            with self.subTest(name):
                try:
                    unit = read_toml(path)
                except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
                    self.assertNotIn(name, EXEMPT, "it is no TOML at all")
                    continue
                self.assertEqual(not self.faults(unit), name in EXEMPT, self.faults(unit))
        self.assertEqual(EXEMPT - names, set(), "there is no such bad unit")

    def test_every_value_that_is_named_as_default_is_one(self):
        count = 0
        for section in (*self.schema["properties"].values(), *self.daemon_schema["properties"].values()):
            for key, value in section.get("items", section)["properties"].items():
                if "default" in value:
                    count += 1
                    with self.subTest(key):
                        self.assertEqual(list(jsonschema.Draft7Validator(value).iter_errors(value["default"])), [])
        self.assertGreater(count, 25)

    def test_a_key_that_is_not_supported_yet_is_refused_with_its_description(self):
        nice = self.schema["properties"]["service"]["properties"]["nice"]
        self.assertTrue(nice["description"].startswith("Not supported yet: "))
        self.assertTrue(self.faults({"service": {"exec_start": ["/bin/true"], "nice": 5}}))
        self.assertTrue(self.faults({"service": {"exec_start": ["/bin/true"]}, "sandbox": {}}))

    def test_it_says_of_single_values_what_holdfast_says(self):
        """Neither stricter nor, where one value shows it, laxer."""
        values = {
            "timeout_start": [0, 1, 1.5, -1, "0", "0s", "5", "1min 30s", "1 2", "1.5h 3 ms", "infinity", "soon", "1..5s", "", " 7s "],
            "restart_delay": [0, "0s", "infinity", "250ms", "1 fortnight"],
            "drain_signal": ["TERM", "SIGTERM", "term", 15, 99, "RTMIN+3", "SIGRTMAX-1", "SIGKILL", "SIGPOLL", "15"],
            "user": ["www-data", 33, -1, "a b", "a:b", "-a", ""],
            "umask": ["0027", "27", "0800", "1777", 27, ""],
            "workers": [0, 1, 1024, 1025, "auto", "many", 1.5],
            "working_directory": ["/", "", "srv"],
            "limits": [{"nofile": 1}, {"nofile": "64K:2G"}, {"nofile": "64Q"}, {"files": 1}, {"nofile": -1}, 5],
            "environment": [{"A": "b"}, {"A B": "c"}, {"A": 5}, ["A=b"], ["A"], "A=b"],
            "handoff": ["listen_fds", ["listen_fds", "scm_rights"], ["listen_fds", "listen_fds"], "nginx", []],
            "exec_reload": [["/bin/true"], [], [""], ["bin/true"], ["/bin/"], "true", ["true", ""]],
        }
        listen = ["80", "00080", "65535", "65536", "127.0.0.1:80", "127.0.0.1", "256.0.0.1:80", "[::1]:80", "[::1", "::1:80",
                  "[fe80::1%eth0]:80", "[fe80::1%]:80", "tcp://127.0.0.1:0", "udp://53", "tpc://80", "unix:/run/a", "unix:///run/a",
                  "unix://run/a", "/run/a", "/run/", "/run/../a", "/run/a..b", "@a", "@", "unix:@a/../b", "inherit:http",
                  "inherit:http:2", "inherit:http:1", "inherit:a/b", "localhost:80", ":80", "", "mptcp://80", 80, [], ["80", "81"]]
        for value in listen:
            self.check(value, '[[socket]]\nlisten = %s\n[service]\nexec_start = ["/bin/true"]\n' % to_toml(value),
                       {"socket": [{"listen": value}], "service": {"exec_start": ["/bin/true"]}})
        for key, tried in values.items():
            for value in tried:
                self.check(value, '[service]\nexec_start = ["/bin/true"]\n%s = %s\n' % (key, to_toml(value)),
                           {"service": {"exec_start": ["/bin/true"], key: value}})

    def check(self, value, text, unit):
        with self.subTest(repr(value)):
            self.assertEqual(unit, tomllib.loads(text))
            path = os.path.join(BUILT, "schema-test-%d.toml" % os.getpid())
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            try:
                said = subprocess.run([os.path.join(BIN, "holdfast"), "--json", "verify", path], stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True, timeout=30, check=False)
            finally:
                os.unlink(path)
            is_good = json.loads(said.stdout)["units"][0]["ok"]
            self.assertEqual(not self.faults(unit), is_good, said.stdout)


def to_toml(value):
    if isinstance(value, dict):
        return "{ %s }" % ", ".join('%s = %s' % (key if re.fullmatch(r"\w+", key) else '"%s"' % key, to_toml(one)) for key, one in value.items())
    if isinstance(value, list):
        return "[%s]" % ", ".join(to_toml(one) for one in value)
    return json.dumps(value)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
