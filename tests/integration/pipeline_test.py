"""examples/pipeline.c stopped in the midst of its work: at least once, exactly once."""
import collections
import json
import os
import signal
import socket
import subprocess
import urllib.parse

from cage import Relay
import streamlayer
from streamlayer import TestCase, wait_for

CONNECTOR = "here.platform.data-client.stream.connector"
SESSION = 'here.platform.data-client.stream.kafka.consumer."session.timeout.ms" = 6000\n'
PORTION = 1000


class Line:
    """The gateway at an address of its own, from which it can be cut off."""

    def __init__(self, url):
        place = urllib.parse.urlsplit(url)
        self.target, self.relay, self.port = (place.hostname, place.port), None, 0
        self.connect()

    def connect(self):
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.relay = Relay(listener, self.target)

    def cut(self):
        self.relay.close()
        self.relay.thread.join()
        for connection in self.relay.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended
                pass

    def settings(self):
        return ("here.platform.data-client.endpoint-locator { discovery-service-env = custom, "
                f'discovery-service-url = "http://127.0.0.1:{self.port}/lookup/v1" }}\n')


class Pipeline(TestCase):
    def setUp(self):
        self.hrn, self.group = self.platform.catalog(), self.platform.name("g")
        for layer in ("in", "out"):
            self.platform.layer(self.hrn, layer, "text/plain", 2)
        self.place = self.scratch()
        self.config = self.place + "/application.conf"
        self.sent = 0

    def produce(self, count):
        lines = "".join(f"key-{i % 20}\tmessage {i}\n" for i in range(self.sent, self.sent + count))
        self.sent += count
        self.platform.cli("produce", self.hrn, "in", "--key-delimiter", "\\t", input=lines.encode())

    def start(self, connector, *transactions, producer=None, settings="", stderr=subprocess.PIPE):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f'include required(file("{self.platform.config}"))\n{SESSION}{settings}'
                       f'{CONNECTOR} {{ producer = {producer or connector}-connector, consumer = {connector}-connector }}\n')
        process = subprocess.Popen(
            [self.platform.binaries + "/example_pipeline", self.hrn, "in", "out", self.group, *transactions],
            env={**os.environ, "STREAMLAYER_CONFIG": self.config}, stdin=subprocess.DEVNULL, stderr=stderr)

        def end():
            process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()
        self.addCleanup(end)
        return process

    def results(self):
        """How often each result is in the layer; and the order of each key."""
        done = self.platform.cli("consume", self.hrn, "out", "--json", "--offset", "begin:end", "--no-commit", "--group",
                                 self.platform.name("look"))
        found, order = collections.Counter(), collections.defaultdict(list)
        for line in done.stdout.splitlines():
            message = json.loads(line)
            found[message["payload"]] += 1
            order[message["key"]].append(int(message["payload"].split()[1]))
        return found, order

    def run_stopped(self, connector, stops, *transactions):
        """Has the pipeline stopped by these signals while it works, and started again; returns what it came to."""
        for number in stops:
            before = sum(self.results()[0].values())
            process = self.start(connector, *transactions)
            self.produce(2 * PORTION)
            wait_for(lambda: process.poll() is not None or sum(self.results()[0].values()) > before, 60, "no results")
            self.assertIsNone(process.poll(), "it ended by itself")
            self.produce(PORTION)
            process.send_signal(number)
            process.wait()
        process = self.start(connector, *transactions)
        self.produce(1)
        wait_for(lambda: process.poll() is not None or len(self.results()[0]) >= self.sent, 60, "results are missing")
        process.terminate()
        said = process.communicate(timeout=30)[1].decode()
        self.assertEqual(process.returncode, 0, said)
        found, order = self.results()
        self.assertEqual(found.keys(), {f"MESSAGE {i}" for i in range(self.sent)})
        return found, order

    def test_exactly_once(self):
        found, order = self.run_stopped("kafka", [signal.SIGKILL, signal.SIGKILL], self.platform.name("pipeline"))
        self.assertEqual({result: count for result, count in found.items() if count != 1}, {})
        for key, numbers in order.items():
            self.assertEqual(numbers, sorted(numbers), key)

    def test_at_least_once(self):
        self.run_stopped("kafka", [signal.SIGKILL])

    def test_at_least_once_over_http(self):
        """A subscriber that is killed keeps its share for a while, so this one is not."""
        self.run_stopped("http", [signal.SIGTERM])

    def run_cut_off(self, connector, settings, said):
        """The gateway cannot be reached for a while, until the pipeline says so; then all is as it was."""
        line = Line(self.platform.url)
        self.addCleanup(line.cut)
        log = self.place + "/pipeline.log"
        with open(log, "wb") as stderr:
            process = self.start(connector, producer="http", settings=settings + line.settings(), stderr=stderr)

        def await_results(enough, what):
            wait_for(lambda: process.poll() is not None or enough(), 60, what)
            self.assertIsNone(process.poll(), streamlayer.read_text(log))
        self.produce(PORTION)
        await_results(lambda: len(self.results()[0]) >= self.sent, "results are missing")
        line.cut()
        self.produce(PORTION)
        await_results(lambda: said in streamlayer.read_text(log), "it does not say that it cannot get on")
        line.connect()
        self.produce(PORTION)
        await_results(lambda: len(self.results()[0]) >= self.sent, "results are missing")
        process.terminate()
        self.assertEqual(process.wait(30), 0, streamlayer.read_text(log))
        self.assertEqual(self.results()[0].keys(), {f"MESSAGE {i}" for i in range(self.sent)})

    def test_goes_on_when_polls_fail_for_a_while(self):
        self.run_cut_off("http", "", "; going on\n")

    def test_goes_on_when_results_are_not_delivered(self):
        self.run_cut_off("kafka", "here.platform.data-client.stream.producer.delivery-timeout = 3 s\n",
                         "; going on from what is committed\n")

    def test_says_what_is_wrong(self):
        process = self.start("http", "transactions")
        said = process.communicate(timeout=60)[1].decode()
        self.assertEqual(process.returncode, 1, said)
        self.assertIn("the http-connector has no transactions", said)
        self.group = "g 3"
        process = self.start("http")
        said = process.communicate(timeout=60)[1].decode()
        self.assertEqual((process.returncode, said), (1, "g 3: invalid argument\n"))


if __name__ == "__main__":
    streamlayer.main()
