"""The binding in Python (examples/python), on the shared platform."""
import json
import os
import subprocess
import sys

import streamlayer

BINDING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "python")

# Run by a Python of its own, which has the binding and not what the tests share under the same name.
ROUND_TRIP = """
import json, sys
import streamlayer
config, hrn, layer, connector = sys.argv[1:]
connectors = {f"here.platform.data-client.stream.connector.{side}": connector for side in ("producer", "consumer")}
payloads = [b"", b"a\\0b", bytes(range(256)) * 8192]
with streamlayer.Client(config, connectors) as client:
    with client.producer(hrn, layer) as producer:
        assert producer.connector == connector
        for payload in payloads:
            producer.send(payload, partition_id="stra\\u00dfe", headers=[("kind", b"\\xff"), ("kind", b"")])
        producer.flush()
    got = []
    with client.consumer(hrn, layer, group=sys.argv[2].rsplit(":", 1)[1], from_begin=True) as consumer:
        assert consumer.connector == connector
        while len(got) < len(payloads):
            got += consumer.poll(timeout_ms=30000, max_messages=1)
            if len(got) == 2:
                consumer.commit()
    assert [message.payload for message in got] == payloads
    assert all(message.partition_id == "stra\\u00dfe" for message in got)
    assert all(message.headers == [("kind", b"\\xff"), ("kind", b"")] for message in got)
    assert [(message.partition, message.offset) for message in got] == [(0, 0), (0, 1), (0, 2)]
    with client.consumer(hrn, layer, group=sys.argv[2].rsplit(":", 1)[1], from_begin=True) as consumer:
        assert [message.offset for message in consumer.poll(timeout_ms=30000)] == [2]  # the third was not committed
        assert consumer.poll(timeout_ms=0) == []
    try:
        client.producer(hrn, "boats")
    except streamlayer.Error as error:
        print(json.dumps([error.status, error.retriable, str(error)]))
"""


class Python(streamlayer.TestCase):
    def run_python(self, *arguments):
        environment = {**os.environ, "STREAMLAYER_CONFIG": self.platform.config, "PYTHONPATH": BINDING,
                       "LD_LIBRARY_PATH": os.path.dirname(self.platform.binaries) + "/lib"}
        done = subprocess.run([sys.executable, "-W", "error", *arguments], capture_output=True, text=True, timeout=100,
                              env=environment, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_hello_reads_what_it_wrote(self):
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "cars", "text/plain", parallelization=1)
        self.assertEqual(self.run_python(BINDING + "/hello.py", hrn, "cars"), "car-7 52.52,13.40 position\n")

    def test_all_bytes_come_back_and_errors_are_raised(self):
        for connector in "kafka-connector", "http-connector":
            with self.subTest(connector):
                hrn = self.platform.catalog()
                self.platform.layer(hrn, "cars", parallelization=1)
                said = self.run_python("-c", ROUND_TRIP, self.platform.config, hrn, "cars", connector)
                status, retriable, text = json.loads(said)
                self.assertEqual((status, retriable), (12, False))  # SL_NOT_FOUND
                self.assertIn("boats", text)


if __name__ == "__main__":
    streamlayer.main()
