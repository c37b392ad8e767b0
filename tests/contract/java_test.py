"""HERE's authentication library for Java, unpatched, gets its tokens from the gateway, and calls it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "credentials"))
from differential import library  # noqa: E402
from clients import Clients  # noqa: E402
import streamlayer  # noqa: E402


class JavaClient(Clients):
    # Nothing that a sanitizer wants of our programs.
    PLAIN = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "JAVA_HOME")}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.classes = tempfile.mkdtemp(prefix="streamlayer-java-")
        cls.addClassCleanup(shutil.rmtree, cls.classes)
        subprocess.run(["javac", "-nowarn", "-XDsuppressNotes", "-cp", library(), "-d", cls.classes,
                        os.path.join(HERE, "java", "Calls.java")], check=True, env=cls.PLAIN)

    def calls(self, platform, *ways, options=()):
        """Runs ways of Calls.java, and returns the tokens that they got, which are all good."""
        run = subprocess.run(["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *options, "-cp",
                              f"{library()}:{self.classes}", "Calls", platform.environment["CREDENTIALS"], platform.url,
                              *ways], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False,
                             env=self.PLAIN)
        self.assertEqual(run.returncode, 0, run.stdout)
        tokens = re.findall(r"^ey[^.\s]+\.[^.\s]+\.[^.\s]+$", run.stdout, re.M)
        for token in tokens:
            self.assertEqual(platform.get("/lookup/v1/platform/apis", token=token).status, 200)
        return tokens

    def check(self, count, *ways):
        self.assertEqual(len(set(self.calls(self.platform, *ways))), count)

    def test_java_gets_a_token(self):
        self.check(2, "once")

    def test_java_refreshes_its_token(self):
        self.check(5, "refreshing")

    def test_java_provides_a_token(self):
        self.check(3, "provider")

    def test_java_mends_a_slow_clock(self):
        self.check(1, "late")

    def test_java_finds_credentials_everywhere(self):
        self.check(10, "sources")

    def test_java_is_told_why(self):
        self.check(1, "refusals")

    def test_java_calls_other_apis(self):
        self.check(1, "client")

    def test_java_uses_rotated_keys(self):
        credentials = self.scratch() + "/credentials.properties"
        name = self.platform.name("app")
        self.platform.cli("app", "create", name, "--credentials", credentials)
        self.addCleanup(self.platform.cli, "app", "delete", name, "--yes")
        platform = streamlayer.Platform({**self.platform.environment, "CREDENTIALS": credentials})

        def rotate(*how):
            printed = self.platform.cli("app", "rotate", name, *how).stdout.decode()
            with open(credentials, "w", encoding="utf-8") as file:
                file.write(printed)
        first = streamlayer.read_text(credentials)
        rotate()
        self.assertNotEqual(streamlayer.read_text(credentials), first)
        kept = self.scratch() + "/credentials.properties"
        streamlayer.write_text(kept, first)
        old = streamlayer.Platform({**self.platform.environment, "CREDENTIALS": kept})
        for each in (platform, old):  # both are good for the grace
            self.assertEqual(len(self.calls(each, "once")), 2)
        rotate("--now")
        self.assertEqual(self.calls(old, "ended"), [])
        self.assertEqual(len(self.calls(platform, "once")), 2)

    def test_java_while_keys_change(self):
        """The gateway's, which sign its tokens: each that was got stays good."""
        directory = self.scratch()
        url = self.up(directory, "-D", "streamlayer.gateway.token.key-lifetime=2s", "-D",
                      "streamlayer.gateway.token.key-lead=1s")
        self.assertGreaterEqual(len(self.calls(self.serving(url, directory), "changing")), 3)

    WAYS = ("once", "late", "provider", "sources", "refusals", "client")
    TOKENS = 2 + 1 + 3 + 10 + 1 + 1

    def test_java_over_https(self):
        platform = self.https()
        store = self.scratch() + "/trust.p12"
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", platform.environment["CA"],
                        "-keystore", store, "-storetype", "PKCS12", "-storepass", "changeit"], check=True, capture_output=True,
                       env=self.PLAIN)
        trust = [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
        self.assertEqual(len(self.calls(platform, *self.WAYS, options=trust)), self.TOKENS)
        with self.assertRaisesRegex(AssertionError, "PKIX path building failed"):
            self.calls(platform, "once")

    def test_java_behind_a_public_url(self):
        self.assertEqual(len(self.calls(self.behind_public_url(), *self.WAYS)), self.TOKENS)

    def test_java_behind_a_trusted_proxy(self):
        self.assertEqual(len(self.calls(self.behind_trusted_proxy(), *self.WAYS)), self.TOKENS)


if __name__ == "__main__":
    streamlayer.main()
