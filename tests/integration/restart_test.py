"""The gateway and the broker are restarted under load, and librdkafka's producer ends, over all pairings of connectors:
every message is accounted for, and the application only sends on."""
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import streamlayer
from streamlayer import Platform, Running, wait_for

PATIENCE_S = 150
PAIRS = [(producer, consumer) for producer in ("kafka", "http") for consumer in ("kafka", "http")]


def free_port():
    """One below those that outgoing connections are given, so that none takes it while its owner is stopped."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(15000, 32768)))
                return probe.getsockname()[1]
            except OSError:  # somebody's
                continue


class Kafka:
    """An Apache Kafka that the test starts and stops by itself, of the jars that `streamlayer up` has fetched."""

    def __init__(self, directory):
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        jars = sorted(glob.glob(cache + "/streamlayer/kafka-[0-9]*"))
        if not jars:
            raise AssertionError(f"no Kafka below {cache}/streamlayer: the shared platform fetches it")
        self.directory, self.port, self.process = directory, free_port(), None
        self.class_path = jars[-1] + "/*"
        os.makedirs(directory)
        controller = free_port()
        with open(directory + "/server.properties", "w", encoding="utf-8") as file:
            file.write(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
log.dirs={directory}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
""")
        self.java("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA", "-c",
                  directory + "/server.properties").wait()

    def java(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        with open(self.directory + "/log", "ab") as log:
            return subprocess.Popen(["java", "-Xmx384m", "-cp", self.class_path, *arguments], stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    def start(self):
        self.process = self.java("kafka.Kafka", self.directory + "/server.properties")
        wait_for(self.answers, 100, "Kafka does not answer; its log is " + self.directory + "/log")

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("Kafka ended: " + (streamlayer.read_text(self.directory + "/log") or "")[-3000:])
        return subprocess.run(["kcat", "-L", "-b", f"127.0.0.1:{self.port}", "-m", "2"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Load:
    """restart_load in the background."""

    def __init__(self, platform, hrn, pair, ends):
        self.name, self.received, self.lines = "-".join(pair), 0, []
        command = [os.path.join(os.path.dirname(platform.binaries), "tests", "restart_load"), platform.config, hrn,
                   "layer", pair[0] + "-connector", pair[1] + "-connector", str(ends)]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode())
            count = re.match(rb"delivered \d+ received (\d+)", line)
            if count:
                self.received = int(count.group(1))

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read().decode("utf-8", "replace")[-3000:]

    def goes_on(self, by):
        """Waits until so many more messages came through."""
        goal = self.received + by

        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.complaints()}")
            return self.received >= goal
        try:
            wait_for(look, PATIENCE_S, f"{self.name} does not go on")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.received} received; {self.complaints()}") from None

    def account(self):
        self.process.stdin.close()
        self.process.wait(2 * PATIENCE_S)
        self.reader.join()
        if self.process.returncode:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.complaints()}")
        return json.loads(self.lines[-1])

    def settled(self, test):
        """Ends it; nothing may be missing. Where librdkafka's producer ended (before 2.3 it may when a broker is restarted),
        what was under way has failed, and may be there or not."""
        account = self.account()
        print(self.name, account)
        said = f"{self.name}: {account}\n{self.complaints()}"
        test.assertEqual((account["failed"] - account["ended"], account["lost"], account["disordered"]), (0, 0, 0), said)
        test.assertEqual(account["sent"], account["delivered"] + account["failed"], said)
        test.assertGreaterEqual(account["received"], account["delivered"], said)
        test.assertLessEqual(account["received"], account["sent"], said)
        return account

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.errors.close()


class Restart(streamlayer.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="streamlayer-restart-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.kafka, self.up, self.loads, self.port, self.starts = None, None, [], free_port(), 0
        self.addCleanup(self.end)

    def end(self):
        for load in self.loads:
            load.kill()
        if self.up and self.up.process.poll() is None:
            self.up.kill()
        if self.kafka:
            self.kafka.stop(signal.SIGKILL)

    def start_gateway(self, brokers):
        self.starts += 1
        log = f"{self.directory}/log-{self.starts}"
        self.up = Running(self.platform.binaries, self.directory + "/data", log, "--kafka", brokers, port=self.port)
        url = self.up.ready()
        config = self.directory + "/data/application.conf"
        return Platform({"URL": url, "BIN": self.platform.binaries, "CONFIG": config, "BROKERS": brokers})

    def start_loads(self, platform, pairs=None, ends=0):
        for pair in pairs or PAIRS:
            hrn = platform.catalog()
            platform.layer(hrn, "layer")
            self.loads.append(Load(platform, hrn, pair, ends))
        for load in self.loads:
            load.goes_on(200)

    def settle(self):
        """Everything goes on, and at the end nothing is missing."""
        for load in self.loads:
            load.goes_on(300)
        return [load.settled(self) for load in self.loads]

    def own_kafka(self):
        self.kafka = Kafka(self.directory + "/kafka")
        self.kafka.start()
        return f"127.0.0.1:{self.kafka.port}"

    def test_gateway_restarted_under_load(self):
        self.start_loads(self.start_gateway(self.platform.brokers))
        self.assertEqual(self.up.stop(), 0)
        self.start_gateway(self.platform.brokers)
        self.settle()
        self.assertEqual(self.up.stop(), 0)

    def test_gateway_killed_under_load(self):
        self.start_loads(self.start_gateway(self.platform.brokers))
        self.up.kill()
        self.start_gateway(self.platform.brokers)
        self.settle()
        self.assertEqual(self.up.stop(), 0)

    def test_broker_restarted_under_load(self):
        self.start_loads(self.start_gateway(self.own_kafka()))
        self.kafka.stop()
        self.kafka.start()
        self.settle()
        self.assertEqual(self.up.stop(), 0)

    def test_broker_killed_under_load(self):
        self.start_loads(self.start_gateway(self.own_kafka()))
        self.kafka.stop(signal.SIGKILL)
        self.kafka.start()
        self.settle()
        self.assertEqual(self.up.stop(), 0)

    def test_producer_ended_under_load(self):
        pairs = [pair for pair in PAIRS if pair[0] == "kafka"]
        self.start_loads(self.platform, pairs, ends=2)
        for account in self.settle():
            self.assertEqual((account["ends"], account["again"]), (2, 0), account)


if __name__ == "__main__":
    streamlayer.main()
