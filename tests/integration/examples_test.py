"""The examples, each at work on the shared platform."""
import os
import subprocess

import streamlayer

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples")
CONNECTOR = "here.platform.data-client.stream.connector"


class Examples(streamlayer.TestCase):
    def setUp(self):
        self.place = self.scratch()
        self.hrn = self.platform.catalog()
        self.layer("cars")

    def layer(self, name, content_type="text/plain"):
        self.platform.layer(self.hrn, name, content_type, parallelization=1)

    def run_example(self, name, *arguments, connector=None, credentials=None, status=0, **options):
        """Runs an example with the platform's configuration, and both sides over the connector."""
        config = f"{self.place}/application.conf"
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'include required(file("{self.platform.config}"))\n')
            for side in ("producer", "consumer") if connector else ():
                file.write(f"{CONNECTOR}.{side} = {connector}-connector\n")
            if credentials:
                file.write(f"here.platform.data-client.request-signer.credentials.file-path = {credentials}\n")
        done = subprocess.run([f"{self.platform.binaries}/example_{name}", *arguments], capture_output=True, timeout=100,
                              env={**os.environ, "STREAMLAYER_CONFIG": config}, check=False,
                              **(options or {"stdin": subprocess.DEVNULL}))
        self.assertEqual(done.returncode, status, done.stderr.decode(errors="replace"))
        return done

    def test_hello_reads_what_it_wrote(self):
        for name in "hello", "hello_cpp":
            with self.subTest(name):
                self.assertEqual(self.run_example(name, self.hrn, "cars").stdout, b"52.52,13.40\n")

    def test_a_consumer_prints_what_a_producer_was_given(self):
        for connector in "kafka", "http":
            with self.subTest(connector):
                self.run_example("producer", self.hrn, "cars", "car-7", connector=connector, input=b"one\ntwo\n")
                group = self.platform.name("examples")
                first = self.run_example("consumer", self.hrn, "cars", group, "1", connector=connector)
                self.assertEqual(first.stdout, b"car-7\tone\n")
                # What it has printed is committed, and no more.
                second = self.run_example("consumer", self.hrn, "cars", group, "1", connector=connector)
                self.assertEqual(second.stdout, b"car-7\ttwo\n")

    def test_mixed_connectors_copy_a_layer(self):
        self.layer("copy")
        self.run_example("producer", self.hrn, "cars", "car-7", input=b"one\ntwo\nthree\n")
        done = self.run_example("mixed", f"{EXAMPLES}/mixed.conf", self.hrn, "cars", "copy", "3")
        self.assertEqual(done.stdout, b"http-connector to kafka-connector\n")
        done = self.run_example("consumer", self.hrn, "copy", self.platform.name("examples"), "3")
        self.assertEqual(done.stdout, b"car-7\tone\ncar-7\ttwo\ncar-7\tthree\n")

    def test_the_marketplace_is_read_by_subscription(self):
        hrn = self.platform.cli("catalog", "create", self.platform.name("market"), "--marketplace").stdout.decode().split()[-1]
        self.platform.layer(hrn, "roads", "text/plain", parallelization=1)
        self.run_example("producer", hrn, "roads", "A100", input=b"open\nclosed\n")
        credentials, name = self.place + "/reader.properties", self.platform.name("reader")
        self.platform.cli("app", "create", name, "--credentials", credentials)
        said = self.run_example("marketplace", hrn, "roads", "2", credentials=credentials, status=1).stderr.decode()
        self.assertIn("the Marketplace refuses: ", said)
        self.assertIn("subscription", said)
        self.platform.cli("marketplace", "subscribe", name, hrn, "--until", "2099-01-01T00:00Z", "--out-kbps", "500")
        done = self.run_example("marketplace", hrn, "roads", "2", credentials=credentials, connector="kafka")
        self.assertEqual(done.stdout, b"open\nclosed\n")
        self.assertEqual(done.stderr, b"subscribed until 2099-01-01, 500 KBps\n")

    def test_large_payloads_come_back_whole(self):
        for size, where in (1000, "in the message"), (3 << 20, "in a blob"):
            with self.subTest(where):
                payload = os.urandom(size)
                with open(self.place + "/payload", "wb") as file:
                    file.write(payload)
                done = self.run_example("large", self.hrn, "cars", self.place + "/payload", self.place + "/copy")
                self.assertEqual(done.stdout.decode(), f"{size} bytes, {where}\n")
                with open(self.place + "/copy", "rb") as file:
                    self.assertTrue(file.read() == payload)

    def test_examples_say_what_is_wrong(self):
        for name in "hello", "hello_cpp", "producer", "consumer", "mixed", "large", "marketplace":
            with self.subTest(name):
                self.assertIn(b"usage: ", self.run_example(name, status=1).stderr)
        for name, *rest in ("hello",), ("hello_cpp",), ("producer",), ("consumer", "g", "1"):
            with self.subTest(name):
                said = self.run_example(name, self.hrn, "boats", *rest, status=1).stderr.decode()
                self.assertIn("boats", said)
                self.assertEqual(said.count("\n"), 1, said)

    def test_large_says_what_is_wrong_with_files(self):
        for file, copy, text in ((self.place + "/none", "/dev/null", "/none cannot be read"),
                                 ("/dev/null", self.place, "cannot be written")):
            said = self.run_example("large", self.hrn, "cars", file, copy, status=1).stderr.decode()
            self.assertIn(text, said)
            self.assertNotIn("usage", said)


if __name__ == "__main__":
    streamlayer.main()
