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
        sent = [producer.send(payload, partition_id="stra\\u00dfe", headers=[("kind", b"\\xff"), ("kind", b"")])
                for payload in payloads]
        producer.flush()
        told = [future.result(0) for future in sent]
        # Of what goes by a blob the platform does not say where it lies.
        assert told == [(0, 0), (0, 1), (-1, -1) if connector == "http-connector" else (0, 2)], told
        assert told[1].offset == 1
        assert not sent[0].cancel()
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


# The layer goes away between the first message and the others.
FAILING = """
import json, sys, threading
import streamlayer
hrn, told = sys.argv[1], []
settings = {"here.platform.data-client.stream.connector.producer": "http-connector",
            "here.platform.data-client.stream.blob.max-size": "2 MiB"}
with streamlayer.Client(settings=settings) as client:
    producer = client.producer(hrn, "cars")
    assert producer.send(b"one").result(30).offset == 0
    try:
        producer.send(bytes(3 << 20))
    except streamlayer.Error as error:
        assert error.status == 14, error  # SL_TOO_LARGE: it is not reported, too
    print("sent", flush=True)
    sys.stdin.readline()
    failing = [producer.send(b"two", partition_id="k") for _ in range(3)]
    failing[0].add_done_callback(lambda future: told.append(threading.current_thread() is threading.main_thread()))
    producer.close()  # all of them are reported
    assert told == [False]
    for future in failing:
        error = future.exception(0)
        assert isinstance(error, streamlayer.Error)
        print(json.dumps([error.status, str(error)]))
    lost = client.producer(hrn, "boats")
    sent = lost.send(b"three")
    del lost  # nobody closes it; its future is told all the same
    assert sent.result(30).offset == 0
"""


class Python(streamlayer.TestCase):
    def start_python(self, *arguments, libraries="/lib", **options):
        environment = {**os.environ, "STREAMLAYER_CONFIG": self.platform.config, "PYTHONPATH": BINDING,
                       "LD_LIBRARY_PATH": os.path.dirname(self.platform.binaries) + libraries}
        return subprocess.Popen([sys.executable, "-W", "error", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, env=environment, **options)

    def end_python(self, process, *said):
        try:
            out, complaint = process.communicate(*said, timeout=100)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 0, complaint)
        return out

    def run_python(self, *arguments):
        return self.end_python(self.start_python(*arguments, stdin=subprocess.DEVNULL))

    def test_hello_reads_what_it_wrote(self):
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "cars", "text/plain", parallelization=1)
        self.assertEqual(self.run_python(BINDING + "/hello.py", hrn, "cars"), "car-7 52.52,13.40 position\n")

    def test_says_where_the_library_is_wanted(self):
        process = self.start_python("-c", "import streamlayer", libraries="/none", stdin=subprocess.DEVNULL)
        self.assertIn("ImportError: libstreamlayer.so.1: cannot open shared object file: No such file or directory; install the "
                      "package libstreamlayer1", process.communicate(timeout=100)[1])

    def test_all_bytes_come_back_and_errors_are_raised(self):
        for connector in "kafka-connector", "http-connector":
            with self.subTest(connector):
                hrn = self.platform.catalog()
                self.platform.layer(hrn, "cars", parallelization=1)
                said = self.run_python("-c", ROUND_TRIP, self.platform.config, hrn, "cars", connector)
                status, retriable, text = json.loads(said)
                self.assertEqual((status, retriable), (12, False))  # SL_NOT_FOUND
                self.assertIn("boats", text)

    def test_what_is_not_delivered_is_told(self):
        hrn = self.platform.catalog()
        for layer in "cars", "boats":
            self.platform.layer(hrn, layer, parallelization=1)
        process = self.start_python("-c", FAILING, hrn, stdin=subprocess.PIPE)
        line = process.stdout.readline()
        if line == "sent\n":
            self.platform.cli("layer", "delete", hrn, "cars", "--yes")
        said = self.end_python(process, "deleted\n").splitlines()
        self.assertEqual((line, len(said)), ("sent\n", 3))
        for status, text in map(json.loads, said):
            self.assertEqual(status, 12)  # SL_NOT_FOUND
            self.assertIn("cars", text)


if __name__ == "__main__":
    streamlayer.main()
