"""The tests of HERE's SDK for TypeScript, on gateways of other kinds: over HTTPS, behind proxies, without
our extensions, with a limit, with keys that change."""
import os
import re
import subprocess

from clients import Clients
from token_keys_test import Tokens
import streamlayer

SDK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "typescript")
ALL = ("sdk", "config", "rights", "not_offered")


class TypeScript:
    def run_tests(self, platform, *files, **environment):
        """Runs the SDK's tests there; platform is as the shared one is, in a directory with an `env`."""
        run = subprocess.run(["node", "--test", "--test-concurrency=1", "--test-reporter=tap",
                              *[f"{SDK}/{file}.test.js" for file in files]], check=False, encoding="utf-8",
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env={**os.environ, "STREAMLAYER_TEST_PLATFORM": platform.environment["DIR"], **environment})
        failed = "\n".join(re.findall(r"(?ms)^not ok .*?^  \.\.\.", run.stdout))
        self.assertEqual(run.returncode, 0, failed or run.stdout[-3000:])
        self.assertRegex(run.stdout, r"(?m)^# pass [1-9]")


class Elsewhere(TypeScript, Clients):
    def test_typescript_over_https(self):
        platform = self.https()
        self.run_tests(platform, *ALL, NODE_EXTRA_CA_CERTS=platform.environment["CA"])
        with self.assertRaisesRegex(AssertionError, "fetch failed"):
            self.run_tests(platform, "config", NODE_EXTRA_CA_CERTS="")

    def test_typescript_behind_a_public_url(self):
        self.run_tests(self.behind_public_url(), *ALL)

    def test_typescript_behind_a_trusted_proxy(self):
        self.run_tests(self.behind_trusted_proxy(), *ALL)


    def test_typescript_asks_again(self):
        directory = self.scratch()
        url = self.up(directory, "-D", "streamlayer.gateway.limits.application-requests=2")
        self.run_tests(self.serving(url, directory), "limits")

    def test_typescript_without_extensions(self):
        directory = self.scratch()
        url = self.up(directory, "-D", "streamlayer.gateway.extensions=false")
        self.run_tests(self.serving(url, directory), "sdk", "config")


class Keys(TypeScript, Tokens):
    def test_typescript_while_keys_change(self):
        running, platform = self.start("token.key-lifetime = 2 s, token.key-lead = 1 s")
        platform.environment.update(DIR=running.directory, CREDENTIALS=running.directory + "/credentials.properties")
        streamlayer.write_environment(running.directory + "/env", platform.environment)
        self.run_tests(platform, "keys")
        self.stop(running)


if __name__ == "__main__":
    streamlayer.main()
