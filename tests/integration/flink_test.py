"""Stream layers and Apache Flink itself: the project of `flink init` on a MiniCluster, against the shared platform.

flink.project runs first: what Maven makes there, the others run without Maven. Flink and what it needs are fetched by Maven
into its own repository, once a machine; so are the recorded positions, from PyPI, into our cache.
"""
import collections
import datetime
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys

from accounts import Accounts
import streamlayer
from streamlayer import TestCase, wait_for

PLACE = os.path.join(os.path.dirname(os.environ.get("STREAMLAYER_TEST_PLATFORM", "/nowhere/platform")), "flink")
CLASSPATH = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
CONNECTOR = "here.platform.data-client.stream.connector."
UNCOMMITTED = "here.platform.data-client.stream.kafka.consumer.\"isolation.level\"=read_uncommitted"
POSITIONS = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "positions.py")
RECORDING = "traffic==2.13"
RECORDS = 20000
FETCH_S = 240  # how long a download may take
MAVEN_S = 560
PATIENCE_S = 240  # a MiniCluster takes 10 s to start, and on a busy machine minutes
COLUMNS = ["-C", "icao24:STRING", "-C", "groundspeed:DOUBLE", "-C", "altitude:DOUBLE", "-C", "timestamp:BIGINT"]
RESULTS = ["-C", "icao24:STRING", "-C", "minute:TIMESTAMP(3)", "-C", "positions:BIGINT", "-C", "groundspeed:DOUBLE",
           "-C", "altitude:DOUBLE"]
MEANS = """
INSERT INTO means (icao24, `minute`, positions, groundspeed, altitude, sl_partition_id, sl_headers)
SELECT icao24, window_start, COUNT(*), AVG(groundspeed), MAX(altitude), icao24,
       MAP['sl-trace-id', CAST(icao24 || '@' || REPLACE(CAST(window_start AS STRING), ' ', 'T') AS BYTES), 'made-by', CAST('flink' AS BYTES)]
FROM TABLE(TUMBLE(TABLE positions, DESCRIPTOR(sl_event_time), INTERVAL '1' MINUTE))
GROUP BY icao24, window_start, window_end;
"""


def recorded_positions():
    """The recording as examples/positions.py writes it: lines of a key, a tab and JSON."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = os.path.join(home, "streamlayer", "positions", RECORDING.replace("==", "-"))
    os.makedirs(cache, exist_ok=True)
    with open(cache + "/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not glob.glob(cache + "/*.whl"):
            python = sys.executable
            if subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
                subprocess.run([python, "-m", "venv", cache + "/venv"], check=True, timeout=FETCH_S)
                python = cache + "/venv/bin/python"
            subprocess.run([python, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                            "--only-binary", ":all:", "-d", cache, RECORDING], check=True, timeout=FETCH_S)
        lines = f"{cache}/{RECORDS}.txt"
        if not os.path.exists(lines):
            subprocess.run([sys.executable, POSITIONS, "make", glob.glob(cache + "/*.whl")[0], lines + ".new",
                            "--records", str(RECORDS)], check=True, stdout=subprocess.DEVNULL, timeout=FETCH_S)
            os.rename(lines + ".new", lines)
    with open(lines, encoding="utf-8") as file:
        return file.read().splitlines(keepends=True)


class Layers(TestCase):
    """Layers of the test's own, written and read by the command line."""

    def setUp(self):
        self.hrn = self.platform.catalog()

    def produce(self, layer, lines, *arguments, connector="kafka-connector"):
        self.platform.cli("-D", f"{CONNECTOR}producer={connector}", "produce", self.hrn, layer, *arguments,
                          input="".join(lines).encode())

    def consume(self, layer, *arguments, connector="kafka-connector", hrn=None):
        """All messages of a layer, by key, as --json gives them; also where the marks of transactions end it."""
        done = self.platform.cli("-D", f"{CONNECTOR}consumer={connector}", *arguments, "consume", hrn or self.hrn, layer, "--json",
                                 "--offset", "begin:end", "--no-commit", "--group", self.platform.name("g"))
        found = collections.defaultdict(list)
        for line in done.stdout.splitlines():
            message = json.loads(line)
            found[message["key"]].append(message)
        return found

    def ddl(self, layer, *arguments):
        return self.platform.cli("flink", "ddl", self.hrn, layer, *arguments).stdout.decode()


def last_checkpoint(directory):
    """The newest that is complete, of a job that was started there."""
    complete = glob.glob(directory + "/checkpoints/*/chk-*/_metadata")
    return os.path.dirname(max(complete, key=lambda name: (os.path.getmtime(name),
                                                           int(re.search(r"chk-(\d+)", name).group(1)))))


def comparable(message):
    """What must be the same in a copy."""
    return {name: value for name, value in message.items() if name not in ("partition", "offset")}


class Project(Layers):
    def test_project(self):
        """What `flink init` makes, as a user runs it: a layer copied to another, and read by both connectors."""
        shutil.rmtree(PLACE, ignore_errors=True)
        for layer in ("a", "b"):
            self.platform.layer(self.hrn, layer, "application/octet-stream", 2)
        lines = [json.dumps({"key": f"car-{i % 7}", "payload": f"päyload {i}", "traceId": f"trace-{i}",
                             "checksum": hashlib.sha256(f"päyload {i}".encode()).hexdigest(),
                             "headers": [{"name": "number", "value": str(i)}]}) + "\n" for i in range(100)]
        self.produce("a", lines[:50], "--ndjson")
        self.produce("a", lines[50:], "--ndjson", connector="http-connector")
        os.makedirs(PLACE)
        self.platform.cli("flink", "init", PLACE + "/copy", self.hrn, "a", self.hrn, "b", "-s", "begin", "--until", "end")
        with open(PLACE + "/maven.log", "wb") as log:
            maven = subprocess.Popen(["mvn", "-B", "package", "exec:exec", CLASSPATH, "-Dmdep.outputFile=target/classpath"],
                                     cwd=PLACE + "/copy", stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            maven.wait(MAVEN_S)
        finally:
            streamlayer.kill_all(maven.pid)  # with the job that it runs
            maven.wait()
        self.assertEqual(maven.returncode, 0, streamlayer.read_text(PLACE + "/maven.log")[-6000:])
        sent = self.consume("a")
        self.assertEqual(sum(map(len, sent.values())), 100)
        self.assertEqual(sent["car-1"][0].keys() & {"checksum", "traceId", "headers"}, {"checksum", "traceId", "headers"})
        for connector in ("kafka-connector", "http-connector"):
            received = self.consume("b", connector=connector)
            self.assertEqual({key: list(map(comparable, each)) for key, each in received.items()},
                             {key: list(map(comparable, each)) for key, each in sent.items()}, connector)


class Job:
    """A job in a process of its own: the project's main class on its MiniCluster."""

    def __init__(self, directory, sql, *arguments, options=()):
        self.script, self.log = directory + "/job.sql", directory + "/job.log"
        jar = PLACE + "/copy/target/copy.jar"
        streamlayer.write_text(self.script, sql)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx700m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                 "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.util=ALL-UNNAMED",
                 *options, "-classpath", jar + ":" + streamlayer.read_text(PLACE + "/copy/target/classpath").strip(),
                 "streamlayer.flink.Pipeline", *arguments, self.script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def check(self):
        """Fails where it has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"the job ended with {self.process.returncode}:\n{streamlayer.read_text(self.log)[-6000:]}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client_ids(self, kind):
        """What Kafka's clients of a kind, "Producer" or "Consumer", have as their ids; of jobs started with LOG_CLIENTS."""
        log = streamlayer.read_text(self.log)
        return set(re.findall(rf"{kind}Config values:.*?\tclient\.id = (\S*)", log, re.S))


class Jobs(Layers):
    def start(self, directory, sql, *arguments, options=()):
        settings = (f"SET 'execution.checkpointing.dir' = 'file://{directory}/checkpoints';\n"
                    "SET 'execution.checkpointing.interval' = '2s';\n"
                    "SET 'execution.checkpointing.externalized-checkpoint-retention' = 'RETAIN_ON_CANCELLATION';\n"
                    "SET 'table.local-time-zone' = 'UTC';\n")
        job = Job(directory, settings + sql, *arguments, options=options)
        self.addCleanup(job.kill)
        return job

    def await_messages(self, job, layer, enough, what, *arguments):
        """Reads the layer until it has enough: what the condition says of all its messages by key."""
        return self.await_results(job, lambda: self.consume(layer, *arguments), enough, what)

    def await_results(self, job, read, enough, what):
        def look():
            job.check()
            found = read()
            return found if enough(found) else None
        try:
            return wait_for(look, PATIENCE_S, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the job's log:\n{streamlayer.read_text(job.log)[-6000:]}") from None


# What Kafka's clients are made with, in the job's log.
LOG_CLIENTS = """
appender.console.type = Console
appender.console.name = console
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.producer.name = org.apache.kafka.clients.producer.ProducerConfig
logger.producer.level = info
logger.consumer.name = org.apache.kafka.clients.consumer.ConsumerConfig
logger.consumer.level = info
"""


def count(messages):
    return sum(map(len, messages.values()))


def means_of(lines):
    """What the job should come to: {(aircraft, minute): (positions, mean ground speed, highest altitude)}."""
    windows = collections.defaultdict(list)
    for line in lines:
        position = json.loads(line.split("\t", 1)[1])
        windows[position["icao24"], position["timestamp"] // 60000].append(position)
    results = {}
    for (aircraft, minute), inside in windows.items():
        speeds = [each["groundspeed"] for each in inside if each.get("groundspeed") is not None]
        altitudes = [each["altitude"] for each in inside if each.get("altitude") is not None]
        results[aircraft, minute] = (len(inside), sum(speeds) / len(speeds) if speeds else None,
                                     max(altitudes) if altitudes else None)
    return results


class Windows(Jobs):
    def check_results(self, messages, expected):
        found = {}
        for aircraft, each in messages.items():
            for message in each:
                row = json.loads(message["payload"])
                self.assertEqual(row["icao24"], aircraft)
                start = datetime.datetime.fromisoformat(row["minute"]).replace(tzinfo=datetime.timezone.utc)
                window = aircraft, int(start.timestamp()) // 60
                self.assertNotIn(window, found, "written twice")
                found[window] = row["positions"], row["groundspeed"], row["altitude"]
                self.assertEqual(message["headers"], [{"name": "made-by", "value": "flink"}])
                self.assertRegex(message["traceId"], f"^{aircraft}@2021-10-07T")
        self.assertEqual(found.keys(), expected.keys())
        for window, (positions, speed, altitude) in expected.items():
            self.assertEqual(found[window][0], positions, window)
            self.assertEqual(found[window][2], altitude, window)
            self.assertEqual(found[window][1] is None, speed is None, window)
            if speed is not None:
                self.assertAlmostEqual(found[window][1], speed, 6, window)

    def test_job_is_killed_and_restored(self):
        """Means of recorded positions by minute, exactly once, though the job is killed between two checkpoints."""
        lines = recorded_positions()
        last = max(json.loads(line.split("\t", 1)[1])["timestamp"] for line in lines)
        # So late that all windows before them close, in each Kafka partition.
        ends = [f"end-{i}\t" + json.dumps({"icao24": f"end-{i}", "timestamp": last + 600000}) + "\n" for i in range(64)]
        self.platform.layer(self.hrn, "positions", "application/json", 2)
        self.platform.layer(self.hrn, "means", "application/json", 2)
        sql = (self.ddl("positions", "--source", *COLUMNS, "--event-time", "timestamp", "-s", "begin", "-J", "means") +
               self.ddl("means", "--sink", *RESULTS, "--exactly-once", "-J", "means") + MEANS)
        directory = self.scratch()
        self.produce("positions", lines[:RECORDS // 2], "--key-delimiter", "\\t")
        job = self.start(directory, sql)
        committed = self.await_messages(job, "means", count, "nothing is committed")
        self.produce("positions", lines[RECORDS // 2:RECORDS * 3 // 4], "--key-delimiter", "\\t")
        self.await_messages(job, "means", lambda found: count(found) > count(committed), "nothing new is written",
                            "-D", UNCOMMITTED)
        job.kill()
        self.produce("positions", lines[RECORDS * 3 // 4:] + ends, "--key-delimiter", "\\t")
        expected = means_of(lines)
        job = self.start(directory, sql, "--restore", last_checkpoint(directory))
        self.await_messages(job, "means", lambda found: count(found) >= len(expected), "results are missing")
        job.kill()
        for connector in ("kafka-connector", "http-connector"):
            self.check_results(self.consume("means", connector=connector), expected)


class Payloads(Jobs):
    NOTHING = "CREATE TABLE nothing ({}) WITH ('connector' = 'blackhole');\n"

    def finish(self, sql):
        """(exit status, log) of a job that ends."""
        job = self.start(self.scratch(), "SET 'restart-strategy.type' = 'none';\n" + sql)
        return job.process.wait(PATIENCE_S), streamlayer.read_text(job.log)

    def test_each_type_is_flinks(self):
        """Flink takes the types that --column takes, in a layer of JSON."""
        self.platform.layer(self.hrn, "cars", "application/json", 1)
        types = ["string", "CHAR(3)", "VARCHAR(9)", "BOOLEAN NOT NULL", "BYTES", "BINARY(2)", "VARBINARY(2)", "TINYINT", "SMALLINT",
                 "INTEGER", "BIGINT", "FLOAT", "DOUBLE PRECISION", "DECIMAL(38, 38)", "NUMERIC", "DATE", "TIME(3) WITHOUT TIME ZONE",
                 "TIMESTAMP(9) WITHOUT TIME ZONE", "TIMESTAMP(9) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(3)", "INT NOT NULL ARRAY", "MULTISET<STRING>", "MAP<STRING, ARRAY<DOUBLE>>",
                 "ROW<x DOUBLE NOT NULL, `a``b>` ROW(z INT)>"]
        names = ", ".join(f"c{i}" for i in range(len(types)))
        code, log = self.finish(
            self.ddl("cars", "--source", "-s", "begin", "--until", "end", *(f"-Cc{i}:{each}" for i, each in enumerate(types))) +
            self.NOTHING.format(", ".join(f"c{i} {each}" for i, each in enumerate(types))) +
            f"INSERT INTO nothing SELECT {names} FROM cars;")
        self.assertEqual(code, 0, log[-6000:])

    def test_bad_payload_is_found(self):
        """What ends a job, and the query of docs/flink.md that tells where it lies."""
        for layer, media in (("cars", "application/json"), ("bad", "text/plain")):
            self.platform.layer(self.hrn, layer, media, 2)
        self.produce("cars", ['a\t{"id": "a"}\n', "b\tnot JSON\n", 'c\t{"id": "c"}\n'], "--key-delimiter", "\\t")
        bounds = ("--source", "-s", "begin", "--until", "end")
        code, log = self.finish(self.ddl("cars", *bounds, "-C", "id:STRING") + self.NOTHING.format("id STRING") +
                                "INSERT INTO nothing SELECT id FROM cars;")
        self.assertNotEqual(code, 0)
        self.assertIn("Failed to deserialize JSON 'not JSON'", log)
        code, log = self.finish(self.ddl("cars", *bounds, "-t", "cars_raw") + self.ddl("bad", "--sink") +
                                "INSERT INTO bad (payload, sl_partition_id) SELECT CONCAT_WS(' ', CAST(sl_kafka_partition AS STRING), "
                                "CAST(sl_offset AS STRING)), sl_partition_id FROM cars_raw WHERE payload IS NOT JSON;")
        self.assertEqual(code, 0, log[-6000:])
        message, = self.consume("cars")["b"]
        self.assertEqual({key: [each["payload"] for each in some] for key, some in self.consume("bad").items()},
                         {"b": [f"{message['partition']} {message['offset']}"]})


class Marketplace(Jobs):
    def test_reads_the_copy_of_a_marketplace_layer(self):
        """`flink ddl` refuses the layer; the pipe that it names and a job on the copy run side by side."""
        name = self.platform.name("market")
        made = self.platform.post("/config/v1/catalogs", {
            "id": name, "marketplace": True, "layers": [{"id": "cars", "contentType": "application/json",
                                                         "streamProperties": {"dataOutThroughputKbps": 2000}}]})
        self.assertEqual(made.status, 201, made.text)
        market = made.json()["hrn"]
        refused = self.platform.cli("flink", "ddl", market, "cars", check=False).stderr.decode()
        command = re.search(r"^  (streamlayer pipe .*)$", refused, re.M).group(1).replace("hrn:…:MINE", self.hrn)
        for layer in ("cars", "ids"):
            self.platform.layer(self.hrn, layer, "application/json", 1)
        pipe = subprocess.Popen([self.platform.binaries + "/streamlayer", "--config", self.platform.config,
                                 *command.split()[1:], "-D", f"{CONNECTOR}producer=kafka-connector"],
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(pipe.stderr.close)
        self.addCleanup(pipe.wait)
        self.addCleanup(pipe.kill)
        job = self.start(self.scratch(), self.ddl("cars", "--source", "-C", "id:STRING", "-s", "begin") + self.ddl(
            "ids", "--sink", "-C", "id:STRING") + "INSERT INTO ids (id, sl_partition_id, sl_headers) "
            "SELECT id, sl_partition_id, MAP['from', CAST(sl_trace_id AS BYTES)] FROM cars;")
        ids = [f"car-{i}" for i in range(20)]
        for each in ids:
            self.platform.publish(market, "cars", json.dumps({"id": each, "speed": 1}).encode(), "application/json",
                                  X_HERE_Message_Key=each, X_HERE_TraceId="trace-" + each)
        found = self.await_messages(job, "ids", lambda found: count(found) >= len(ids), "the job writes nothing")
        self.assertEqual({key: [(json.loads(each["payload"]), each["headers"]) for each in some]
                          for key, some in found.items()},
                         {each: [({"id": each}, [{"name": "from", "value": "trace-" + each}])] for each in ids})
        self.assertIsNone(pipe.poll(), "the pipe has ended")


class Secured(Jobs):
    @classmethod
    def setUpClass(cls):
        cls.platform = streamlayer.Platform(streamlayer.read_environment(os.environ["STREAMLAYER_SECURE_PLATFORM"]))

    def test_reads_and_writes_a_secured_kafka(self):
        """One table has its tokens by the access key, the other from a file; no table has either."""
        directory = self.scratch()
        streamlayer.write_text(directory + "/token", self.platform.token)
        streamlayer.write_text(directory + "/log4j2.properties", LOG_CLIENTS)
        for layer in ("a", "b"):
            self.platform.layer(self.hrn, layer, "text/plain", 1)
        self.produce("a", [f"key-{i}\tpayload {i}\n" for i in range(20)], "--key-delimiter", "\\t")
        tables = (self.ddl("a", "--source", "-s", "begin") + self.ddl("b", "--sink", "--token-file", directory + "/token"))
        credentials = streamlayer.read_credentials(self.platform.environment["CREDENTIALS"])
        for secret in (self.platform.token, credentials["here.access.key.secret"], credentials["here.access.key.id"]):
            self.assertNotIn(secret, tables)
        # Without the hint it would never end.
        job = self.start(directory, tables + "INSERT INTO b (payload, sl_partition_id, sl_timestamp) /* a comment; */ "
                         "SELECT payload, sl_partition_id, sl_timestamp FROM a "
                         "/*+ OPTIONS('scan.bounded.mode'='latest-offset') */;",
                         options=[f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{directory}/token",
                                  f"-Dlog4j2.configurationFile={directory}/log4j2.properties"])
        self.assertEqual(job.process.wait(120), 0, (streamlayer.read_text(job.log) or "")[-6000:])
        sent, received = self.consume("a"), self.consume("b")
        self.assertEqual(count(received), 20)
        self.assertEqual({key: list(map(comparable, each)) for key, each in received.items()},
                         {key: list(map(comparable, each)) for key, each in sent.items()})
        ids = [self.platform.get(f"{self.platform.base('stream', 'v2', self.hrn)}/layers/{layer}/endpoint").json()["clientId"]
               for layer in ("a", "b")]
        self.assertEqual(job.client_ids("Producer"), {ids[1]})
        self.assertTrue(job.client_ids("Consumer"))
        for each in job.client_ids("Consumer"):
            self.assertRegex(each, f"^{re.escape(ids[0])}-\\d+$")

    def test_secured_job_is_killed_and_restored(self):
        """Exactly once on a secured Kafka, by an application that may read the one layer and write the other, and no more."""
        directory = self.scratch()
        for layer in ("a", "b"):
            self.platform.layer(self.hrn, layer, "text/plain", 1)
        account = Accounts(self.platform).make()
        self.addCleanup(self.platform.delete, f"/config/v1/applications/{account.name}")
        other = self.platform.catalog()
        self.platform.layer(other, "out", "text/plain", 1)
        account.grant(self.hrn, "read")
        account.grant(other, "write")
        credentials = directory + "/job.properties"
        streamlayer.write_text(credentials, f"here.client.id = {account.id}\nhere.access.key.id = {account.key}\n"
                               f"here.access.key.secret = {account.secret}\n"
                               f"here.token.endpoint.url = {account.token_url}\n")
        os.chmod(credentials, 0o600)
        own = ["-D", "here.platform.data-client.request-signer.credentials.file-path=" + credentials]

        def table(hrn, layer, *arguments):
            return self.platform.cli(*own, "flink", "ddl", hrn, layer, "-J", "copy", *arguments).stdout.decode()

        def results(*arguments):
            return self.consume("out", *arguments, hrn=other)

        def produce(first, last):
            self.produce("a", [f"key-{i % 7}\tpayload {i}\n" for i in range(first, last)], "--key-delimiter", "\\t")
        sql = (table(self.hrn, "a", "--source", "-s", "begin") + table(other, "out", "--sink", "--exactly-once") +
               "INSERT INTO `out` (payload, sl_partition_id) SELECT payload, sl_partition_id FROM a;")
        produce(0, 1000)
        job = self.start(directory, sql)
        first = self.await_results(job, results, lambda found: count(found) >= 1000, "nothing is committed")
        produce(1000, 2000)
        self.await_results(job, lambda: results("-D", UNCOMMITTED), lambda found: count(found) > count(first),
                           "nothing new is written")
        job.kill()
        produce(2000, 3000)
        job = self.start(directory, sql, "--restore", last_checkpoint(directory))
        found = self.await_results(job, results, lambda found: count(found) >= 3000, "results are missing")
        job.kill()
        self.assertEqual({key: [message["payload"] for message in each] for key, each in found.items()},
                         {f"key-{i}": [f"payload {n}" for n in range(i, 3000, 7)] for i in range(7)})


if __name__ == "__main__":
    streamlayer.main()
