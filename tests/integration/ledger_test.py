"""What the Marketplace's ledger counts, against what a test knows that it sent and received.

LEDGER_KILLS=100 python3 ledger_test.py Ledger.test_ledger_survives_kills: so many kills instead of ten.
"""
import base64
import collections
import hashlib
import json
import os
import random
import resource
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.parse

import daemon
import streamlayer
from accounts import Accounts
from streamlayer import Subscription, TestCase, data, last_offsets, wait_for

KILLS = int(os.environ.get("LEDGER_KILLS", "10"))
EARLIEST = {"auto.offset.reset": "earliest", "group.id": "readers"}
KEEP = 'ledger.keep-deliveries = "1 day"'
COUNTED, CONFIRMED = 1, 2
SETTLED = 2
FIGURES = ("calls_in", "calls_out", "messages_in", "messages_out", "bytes_in", "bytes_out", "blob_bytes_in",
           "blob_bytes_out")


def records_of(text):
    """The records of a delivery, as gateway/ledger/records.h has them: ((partition, offset), bytes, marks)."""
    numbers, value, shift = [], 0, 0
    for byte in text:
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    found, at = [], 0
    while at < len(numbers):
        partition, first, run = numbers[at:at + 3]
        count, marks = run >> 2, run & 3
        at += 3
        found += [((partition, first + i), numbers[at + i], marks) for i in range(count)]
        at += count
    return found


class Book:
    """A ledger.db, read as anybody can; before that the gateway, where one is given, takes into it what is in its
    journal, as it does whenever usage is asked for."""

    def __init__(self, file, gateway=None):
        self.file, self.gateway = file, gateway

    def ask(self, sql, *values):
        if self.gateway:
            answer = self.gateway.get("/usage/v1/usage?limit=1")
            assert answer.status == 200, answer.text
        connection = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def usage(self, hrn, layer="%", group="%"):
        row = self.ask("SELECT " + ", ".join(f"total({name})" for name in FIGURES)
                       + " FROM usage WHERE hrn = ? AND layer LIKE ? AND grp LIKE ?", hrn, layer, group)[0]
        return {name: int(value) for name, value in zip(FIGURES, row)}

    def deliveries(self, hrn, group):
        """(state, records) of each that is kept."""
        return [(state, records_of(records)) for state, records in
                self.ask("SELECT state, records FROM deliveries WHERE hrn = ? AND grp LIKE ?", hrn, group)]

    def billed(self, hrn, group="%"):
        """How often each record was counted, and how often that is not confirmed."""
        billed, unconfirmed = collections.Counter(), collections.Counter()
        for state, records in self.deliveries(hrn, group):
            for place, _, marks in records:
                if marks & COUNTED:
                    billed[place] += 1
                    if state != SETTLED and not marks & CONFIRMED:
                        unconfirmed[place] += 1
        return billed, unconfirmed

    def unconfirmed(self, hrn):
        return self.ask("SELECT total(messages), total(blob_bytes) FROM deliveries WHERE hrn = ? AND state = 1", hrn)[0]


def sizes_of(text):
    """As docs/marketplace.md says it, which is what is run here."""
    with open(os.path.join(os.path.dirname(__file__), "..", "..", "docs", "marketplace.md"), encoding="utf-8") as file:
        code = file.read().split("```python\n")[1].split("```")[0]
    names = {"base64": base64}
    exec(code, names)  # pylint: disable=exec-used
    return list(names["sizes_of"](text))


def add_up(brokers, topic):
    """What anybody finds in the ledger's topic by the rule of docs/marketplace.md: the figures by (HRN, layer, group)."""
    names = dict(zip(("callsIn", "callsOut", "messagesIn", "bytesIn", "blobBytesIn", "blobBytesOut"),
                     (name for name in FIGURES if name not in ("messages_out", "bytes_out"))))
    lines = subprocess.run(["kcat", "-q", "-C", "-e", "-b", brokers, "-t", topic, "-o", "beginning", "-f", "%p %s\n"],
                           stdout=subprocess.PIPE, timeout=60, check=True).stdout.splitlines()
    usage = collections.defaultdict(collections.Counter)
    taken, counted = set(), set()
    for line in lines:
        partition, text = line.split(b" ", 1)
        event = json.loads(text)
        number = (event["writer"], partition, event["sequence"])
        if number in taken:
            continue
        taken.add(number)
        if event["kind"] not in ("used", "delivered", "sought"):
            continue
        sums = usage[event["catalog"], event["layer"], event["group"]]
        sums.update({ours: event.get(name, 0) for name, ours in names.items()})
        who = (event["application"], event["group"], event["topic"])
        for run in event.get("records", ()):
            if event["kind"] == "sought":
                counted = {place for place in counted if place[:2] != (who, run[0]) or place[2] < run[1]}
                continue
            sizes = sizes_of(run[4])
            assert (len(sizes), sum(sizes)) == (run[2], run[3]), run
            for i, size in enumerate(sizes):
                place = (who, run[0], run[1] + i)
                if place not in counted:
                    counted.add(place)
                    sums.update(messages_out=1, bytes_out=size)
    return usage


class Connection:
    """A connection that is kept, and may be broken off within an answer."""

    def __init__(self, platform, timeout=30):
        parts = urllib.parse.urlsplit(platform.url)
        self.platform, self.host = platform, parts.netloc
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout)

    def send(self, method, url, body=b"", **headers):
        path = url[url.index("/", 8):] if "://" in url else url
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Authorization: Bearer {self.platform.token}",
                 f"Content-Length: {len(body)}", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def receive(self, most=None):
        """(status, body); most: leaves off after so many bytes of the body."""
        text = b""
        while b"\r\n\r\n" not in text:
            text += self.piece()
        head, body = text.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        size = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length"))
        while len(body) < (size if most is None else min(size, most)):
            body += self.piece()
        return int(lines[0].split()[1]), body

    def piece(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the connection ended")
        return piece

    def call(self, method, url, body=b"", **headers):
        self.send(method, url, body, **headers)
        return self.receive()

    def close(self):
        self.socket.close()


class Group:
    """What a consumer group has received. Receipts are those of whole answers."""

    def __init__(self, name, serial):
        self.name, self.serial = name, serial
        self.lock = threading.Lock()
        self.receipts = collections.Counter()
        self.certain = collections.Counter()  # received, and to be counted, without any doubt
        self.had = set()  # since the last time that it went back to there
        self.seeks = 0

    def received(self, messages):
        with self.lock:
            for message in messages:
                place = (message["offset"]["partition"], message["offset"]["offset"])
                self.receipts[place] += 1
                if place not in self.had:
                    self.had.add(place)
                    self.certain[place] += 1

    def gone_back(self, partition, offset):
        with self.lock:
            self.had = {place for place in self.had if place[0] != partition or place[1] < offset}


class Consumer(threading.Thread):
    """One consumer over one run of the gateway: it polls, commits, goes back, and is clumsy with its connections. It ends
    when the gateway is gone, or when told."""

    def __init__(self, platform, hrn, group, number, seed):
        super().__init__(daemon=True)
        self.platform, self.hrn, self.group = platform, hrn, group
        self.random = random.Random(seed)
        self.query = "mode=serial" if group.serial else f"mode=parallel&subscriptionId={group.name}&consumerId={number}"
        self.ending, self.fault = threading.Event(), None
        self.connection = self.node = None
        self.arrived = "true"

    def run(self):
        try:
            while not self.ending.is_set():
                self.step()
        except OSError:
            pass  # killed
        except BaseException as error:  # pylint: disable=broad-except
            self.fault = error

    def call(self, method, what, body=None):
        if not self.connection:
            self.connection = Connection(self.platform, 20)
        text = json.dumps(body).encode() if body is not None else b""
        return self.connection.call(method, f"{self.node}/layers/data/{what}", text, Content_Type="application/json")

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def step(self):
        if not self.node:
            self.subscribe()
            return
        choice = self.random.random()
        if choice < 0.1:
            self.break_off()
        elif choice < 0.15 and self.group.serial:
            self.go_back()
        elif choice < 0.18:
            self.call("DELETE", f"subscribe?{self.query}")
            self.node = None
        else:
            self.poll()

    def subscribe(self):
        self.node = f"{self.platform.url}/stream/v2/catalogs/{self.hrn}"
        properties = {"auto.offset.reset": "earliest", "group.id": self.group.name, "session.timeout.ms": 6000}
        status, body = self.call("POST", f"subscribe?{self.query}", {"kafkaConsumerProperties": properties})
        self.node = json.loads(body)["nodeBaseURL"] if status == 201 else None
        self.arrived = "true"
        if status not in (201, 409, 503):
            raise AssertionError(f"subscribe: {status} {body}")

    def what(self):
        return f"partitions?{self.query}&maxWaitMs=100&maxMessages={self.random.randint(1, 200)}&ack={self.arrived}"

    def poll(self):
        status, body = self.call("GET", self.what())
        self.arrived = "true"
        if status == 404:
            self.node = None
        elif status != 200:
            raise AssertionError(f"poll: {status} {body}")
        else:
            messages = json.loads(body)["messages"]
            self.group.received(messages)
            if messages and self.random.random() < 0.3:
                self.call("PUT", f"offsets?{self.query}", {"offsets": last_offsets(messages)})

    def break_off(self):
        """Within the answer, or before it has come: what has come is not read."""
        self.hang_up()
        self.connection = Connection(self.platform, 20)
        self.connection.send("GET", f"{self.node}/layers/data/{self.what()}")
        if self.random.random() < 0.7:
            self.connection.socket.recv(20)
        self.hang_up()
        self.arrived = self.random.choice(("true", "false"))  # to say that it has arrived is a client's own loss

    def go_back(self):
        self.group.seeks += 1
        status, body = self.call("GET", f"positions?{self.query}")
        places = json.loads(body)["positions"] if status == 200 else []
        if not places:
            return
        place = self.random.choice(places)
        to = max(place.get("position", 0) - self.random.randint(1, 100), 0)
        status, _ = self.call("PUT", f"seek?{self.query}", {"offsets": [{"partition": place["partition"], "offset": to}]})
        if status == 200:
            self.arrived = "true"
            self.group.gone_back(place["partition"], to)


class Producer(threading.Thread):
    """Sends as long as the gateway is there; the bytes count what may be in, and what is surely."""

    def __init__(self, platform, hrn, seed):
        super().__init__(daemon=True)
        self.platform, self.hrn, self.random = platform, hrn, random.Random(seed)
        self.ending = threading.Event()
        self.sent = self.known = 0
        self.connection = None

    def run(self):
        try:
            self.connection = connection = Connection(self.platform, 20)
            while not self.ending.is_set():
                self.sent += 1
                status, body = connection.call("POST", f"/ingest/v1/catalogs/{self.hrn}/layers/data",
                                               b"x" * self.random.randint(0, 3000), Content_Type="application/octet-stream")
                if status != 200:
                    raise AssertionError(f"ingest: {status} {body}")
                self.known += 1
        except OSError:
            pass  # killed


class Ledger(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = tempfile.mkdtemp(prefix="streamlayer-ledger-")
        cls.addClassCleanup(shutil.rmtree, cls.place, True)
        cls.key = daemon.make_data(cls.platform, cls.place)

    def start(self, settings=KEEP, place=None, **options):
        running = daemon.Daemon(self.platform, place or self.place, settings=settings, **options)
        streamlayer.write_text(running.log, "")
        running.start()
        self.addCleanup(running.kill)
        gateway = daemon.platform_of(running, self.key)
        self.book = Book(running.data + "/ledger.db", gateway)
        return running, gateway

    def stop(self, running):
        self.book.gateway = None
        self.assertEqual(running.stop(), 0, running.text())
        self.assertNotRegex(running.text(), streamlayer.SANITIZER_REPORT)

    def offer(self, gateway, layers=("data",), marketplace=True, parallelization=2, **more):
        """A catalog with layers; its HRN."""
        name = gateway.name("market")
        answer = gateway.post("/config/v1/catalogs", {
            "id": name, "name": name, "marketplace": marketplace,
            "layers": [{"id": layer, "name": layer, "layerType": "stream", "contentType": "application/octet-stream",
                        "streamProperties": {"parallelization": parallelization, "dataInThroughputKbps": 2000,
                                             "dataOutThroughputKbps": 2000}, **more} for layer in layers]})
        self.assertLess(answer.status, 300, answer.text)
        return answer.json()["hrn"]

    def wait_usage(self, expected, hrn, *which):
        """Waits for the figures: what a client has read may be settled a moment later."""
        wait_for(lambda: self.book.usage(hrn, *which) == expected or None, 10,
                 lambda: f"{self.book.usage(hrn, *which)} is not {expected}")

    # --- what is counted ---

    def test_ledger_counts_what_was_used(self):
        running, gateway = self.start()
        hrn = self.offer(gateway)
        ingest, publish, blob = (gateway.base(api, version, hrn)
                                 for api, version in (("ingest", "v1"), ("publish", "v2"), ("blob", "v1")))
        for size in (0, 10, 2000):
            gateway.publish(hrn, "data", b"x" * size)
        gateway.publish(hrn, "data", b"again", X_HERE_TraceId="one")
        gateway.publish(hrn, "data", b"again", X_HERE_TraceId="one")  # a repeat: a call, and no message
        refused = gateway.post(f"{ingest}/layers/data", b"x", headers={"Content-Type": "text/plain"})
        self.assertEqual(refused.status, 415)
        entries = [{"partition": "p", "data": base64.b64encode(b"y" * 300).decode()},
                   {"partition": "p", "data": base64.b64encode(b"y" * 30).decode()}]
        answer = gateway.post(f"{publish}/layers/data/partitions", {"partitions": entries})
        self.assertEqual(answer.status, 204, answer.text)
        publication = gateway.post(f"{publish}/publications", {"layerIds": ["data"]}).json()["id"]
        for _ in range(2):
            answer = gateway.post(f"{publish}/layers/data/publications/{publication}/partitions", {"partitions": entries})
            self.assertEqual(answer.status, 204, answer.text)
        self.assertEqual(gateway.put(f"{publish}/publications/{publication}").status, 204)
        self.assertEqual(gateway.put(f"{blob}/layers/data/data/h", b"z" * 5000).status, 204)
        # 5 ingests, 1 + 2 + 1 of publish, 1 blob.
        expected = dict.fromkeys(FIGURES, 0)
        expected |= {"calls_in": 10, "messages_in": 10, "bytes_in": 2015 + 3 * 330, "blob_bytes_in": 5000}
        self.assertEqual(self.book.usage(hrn), expected)

        connection = Connection(gateway)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        messages = []
        polls = 0
        while len(messages) < 10:
            status, body = connection.call("GET", subscription.url("partitions"))
            self.assertEqual(status, 200, body)
            messages += json.loads(body)["messages"]
            polls += 1
        self.assertEqual(subscription.commit(last_offsets(messages)).status, 200)
        self.assertEqual(subscription.delete().status, 200)
        out = {"calls_out": polls + 3, "messages_out": 10, "bytes_out": 2015 + 3 * 330}
        self.assertEqual(self.book.usage(hrn, "data", "readers"),
                         dict.fromkeys(FIGURES, 0) | {"calls_out": polls + 3, "messages_out": 10, "bytes_out": 3005})
        for headers, size in (({}, 5000), ({"Range": "bytes=100-199"}, 100), ({"Range": "bytes=9999-"}, 0)):
            connection.call("GET", f"{blob}/layers/data/data/h", **headers)
        connection.send("HEAD", f"{blob}/layers/data/data/h")
        connection.socket.recv(65536)
        out["calls_out"] += 3
        out["blob_bytes_out"] = 5100
        expected |= out
        wait_for(lambda: self.book.usage(hrn) == expected, 10, f"{self.book.usage(hrn)} is not {expected}")
        connection.close()
        wait_for(lambda: not self.book.billed(hrn)[1], 10, "something is not confirmed")
        self.assertEqual(gateway.get("/metrics").text.count("streamlayer_ledger_available 1"), 1)
        other = self.offer(gateway, marketplace=False)
        gateway.publish(other, "data", b"free")
        self.assertEqual(self.book.ask("SELECT count(*) FROM usage WHERE hrn = ?", other), [(0,)])
        self.stop(running)

    # --- once, and again on request ---

    def test_ledger_counts_lost_answers_once(self):
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=1)
        for _ in range(60):
            gateway.publish(hrn, "data", os.urandom(100000))
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        url = subscription.url("partitions") + "?maxBytes=2500000&maxWaitMs=20000"
        broken = Connection(gateway)
        broken.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        broken.send("GET", url + "&ack=true")
        broken.receive(most=100)
        wait_for(lambda: self.book.usage(hrn)["messages_out"], 10, "nothing was counted")
        counted = self.book.usage(hrn)["messages_out"]
        broken.close()  # within the body: with bytes unread
        wait_for(lambda: self.book.unconfirmed(hrn)[0] == counted, 10, "it is not listed")
        connection, received, arrived = Connection(gateway), set(), "false"
        while len(received) < 60:
            status, body = connection.call("GET", f"{url}&ack={arrived}")
            arrived = "true"
            self.assertEqual(status, 200, body)
            received |= {(m["offset"]["partition"], m["offset"]["offset"]) for m in json.loads(body)["messages"]}
        self.assertEqual(subscription.commit([]).status, 200)
        connection.close()
        wait_for(lambda: not self.book.billed(hrn)[1], 10, "it is listed although it has arrived")
        usage = self.book.usage(hrn)
        self.assertEqual((usage["messages_out"], usage["bytes_out"]), (60, 6000000))
        self.assertEqual(self.book.billed(hrn), (collections.Counter(dict.fromkeys(received, 1)), collections.Counter()))
        self.stop(running)

    def test_ledger_knows_what_has_arrived(self):
        """That an answer has arrived shows the next request, or an end in order; at the connection's last one nothing does."""
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=1)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        url = subscription.url("partitions") + "?maxWaitMs=20000"

        def poll(how, end):
            gateway.publish(hrn, "data", b"x" * 10)
            connection = Connection(gateway)
            connection.send("GET", url, **how)
            if end == "half":  # its side of the connection ends with the request
                connection.socket.shutdown(socket.SHUT_WR)
            status, body = connection.receive()
            self.assertEqual((status, len(json.loads(body)["messages"])), (200, 1), body)
            if end == "next":
                self.assertEqual(connection.call("GET", "/health")[0], 200)
            return connection

        for number, (how, end, open_ones) in enumerate((({}, "close", 0), ({}, "next", 0), ({"Connection": "close"}, "close", 0),
                                                        ({}, "half", 1)), 1):
            with self.subTest(end=end, how=how):
                connection = poll(how, end)
                if end != "next":
                    connection.close()
                wait_for(lambda: self.settled(hrn) == (number - open_ones, open_ones), 10,  # pylint: disable=cell-var-from-loop
                         lambda: f"{self.settled(hrn)} are settled, and broken")
                if end == "next":
                    connection.close()
        self.assertEqual(subscription.delete().status, 200)
        self.stop(running)

    def settled(self, hrn):
        """How many deliveries have arrived, and of how many that is not known."""
        return tuple(self.book.ask("SELECT count(*) FROM deliveries WHERE hrn = ? AND state = ?", hrn, state)[0][0]
                     for state in (SETTLED, 1))

    def test_ledger_counts_again_what_is_sought(self):
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=1)
        for i in range(20):
            gateway.publish(hrn, "data", b"x" * 10, X_HERE_Message_Key=str(i))
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        subscription.receive(20)
        self.assertEqual(self.book.usage(hrn)["messages_out"], 20)
        self.assertEqual(subscription.seek([{"partition": 0, "offset": 15}]).status, 200)
        subscription.receive(5)
        self.assertEqual(self.book.usage(hrn)["messages_out"], 25)
        for to, more in (({"to": "begin"}, 20), ({"to": "time", "timestamp": 0}, 20), ({"to": "end"}, 0)):
            before = self.book.usage(hrn)["messages_out"]
            self.assertEqual(gateway.put(subscription.url("seek"), to).status, 200)
            subscription.receive(more)
            self.assertEqual(self.book.usage(hrn)["messages_out"], before + more, to)
        refused = subscription.seek([{"partition": 7, "offset": 0}])
        self.assertEqual(refused.status, 409, refused.text)
        before = self.book.usage(hrn)["messages_out"]
        self.assertEqual(subscription.delete().status, 200)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)  # nothing was committed: all comes again
        subscription.receive(20)
        self.assertEqual(self.book.usage(hrn)["messages_out"], before)
        self.assertEqual(subscription.delete().status, 200)
        groups = f"{gateway.base('stream', 'v2', hrn)}/layers/data/groups/readers/offsets"
        for query, more in (("?dryRun=true", 0), ("", 8)):
            answer = gateway.put(groups + query, {"to": "offset", "offset": 12})
            self.assertEqual(answer.status, 200, answer.text)
            subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
            subscription.receive(8)
            self.assertEqual(self.book.usage(hrn)["messages_out"], before + more)
            self.assertEqual(subscription.delete().status, 200)
        self.stop(running)

    def test_ledger_counts_again_what_a_lost_client_reset(self):
        """Who resets a group and hangs up has gone back all the same."""
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=1)
        for _ in range(20):
            gateway.publish(hrn, "data", b"x" * 10)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        subscription.receive(20)
        self.assertEqual(subscription.delete().status, 200)
        group = f"{gateway.base('stream', 'v2', hrn)}/layers/data/groups/readers"
        lost = Connection(gateway)
        lost.send("PUT", group + "/offsets", json.dumps({"to": "offset", "offset": 12}).encode(),
                  Content_Type="application/json")
        lost.close()
        wait_for(lambda: gateway.get(group).json().get("partitions", [{}])[0].get("committed") == 12, 30,
                 "it was not reset")
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        subscription.receive(8)
        self.assertEqual(self.book.usage(hrn)["messages_out"], 28)
        self.assertEqual(subscription.delete().status, 200)
        self.stop(running)

    def test_ledger_that_cannot_note_a_reset_refuses_it(self):
        """The group stays where it is: what it would get again could not be counted."""
        running, gateway = self.start(before=("env", "--ignore-signal=XFSZ"))
        hrn = self.offer(gateway, parallelization=1)
        gateway.publish(hrn, "data", b"x")
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        subscription.receive(1)
        self.assertEqual(subscription.delete().status, 200)
        group = f"{gateway.base('stream', 'v2', hrn)}/layers/data/groups/readers"
        pid, unlimited = running.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        # A full disk is noticed at once: Kafka has all its time yet, and would move the group.
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            answer = gateway.put(group + "/offsets", {"to": "end"})
            self.assertEqual((answer.status, answer.json()["code"]), (503, "ledger-unavailable"), answer.text)
            self.assertEqual(gateway.get(group).status, 404, "it was reset")
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        wait_for(lambda: gateway.put(group + "/offsets", {"to": "end"}).status == 200, 30, "it goes on")
        self.assertEqual(gateway.get(group).json()["partitions"][0]["committed"], 1)
        self.stop(running)

    def test_ledger_counts_what_was_passed_over(self):
        """A client that goes forward time and again, and never back, has what lies between counted when it comes."""
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=1)
        entries = [{"partition": "p", "data": base64.b64encode(b"x" * 10).decode()}] * 300
        answer = gateway.post(f"{gateway.base('publish', 'v2', hrn)}/layers/data/partitions", {"partitions": entries})
        self.assertEqual(answer.status, 204, answer.text)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        for place in range(0, 300, 3):
            self.assertEqual(subscription.seek([{"partition": 0, "offset": place}]).status, 200)
            url = subscription.url("partitions") + "?maxMessages=1&maxWaitMs=20000"
            offsets = [m["offset"]["offset"] for m in gateway.get(url).json()["messages"]]
            self.assertEqual(offsets, [place])
        self.assertEqual(subscription.delete().status, 200)
        self.assertEqual(self.book.usage(hrn)["messages_out"], 100)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)  # nothing was committed
        subscription.receive(300)
        self.assertEqual(self.book.usage(hrn)["messages_out"], 300)
        self.assertEqual(subscription.delete().status, 200)
        self.stop(running)

    def test_ledger_passes_over_marks_of_transactions(self):
        """They take offsets, and are no more than that: what lies on both sides of one is one range."""
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=1)
        catalogs = sqlite3.connect(f"file:{running.data}/catalogs.db?mode=ro", uri=True)
        topic, = catalogs.execute("SELECT topic FROM layers WHERE hrn = ?", (hrn,)).fetchone()
        catalogs.close()
        program = os.path.join(os.path.dirname(self.platform.binaries), "tests/kafka_as")
        for _ in range(5):
            subprocess.run([program, self.platform.brokers, "-", "/dev/null", "transact", topic, topic], check=True,
                           stdout=subprocess.DEVNULL, timeout=60)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        url = subscription.url("partitions") + "?maxMessages=1&maxWaitMs=20000"
        offsets = [gateway.get(url).json()["messages"][0]["offset"]["offset"] for _ in range(5)]
        self.assertEqual(offsets, [0, 2, 4, 6, 8])
        ranges = "SELECT hex(ranges) FROM reached WHERE topic IN (SELECT topic FROM deliveries WHERE hrn = ?)"
        self.assertEqual(self.book.ask(ranges, hrn), [("0009",)])
        self.assertEqual(self.book.usage(hrn)["messages_out"], 5)
        self.assertEqual(subscription.delete().status, 200)
        self.stop(running)

    def test_ledger_counts_event_streams(self):
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=1)
        for _ in range(30):
            gateway.publish(hrn, "data", b"x" * 10)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        stream = Connection(gateway)
        stream.send("GET", subscription.url("partitions") + "?maxMessages=4", Accept="text/event-stream")
        text = b""
        while text.count(b'"metaData"') < 30:
            text += stream.piece()
        usage = self.book.usage(hrn, "data", "readers")
        self.assertEqual((usage["messages_out"], usage["bytes_out"]), (30, 300))
        self.assertEqual(usage["calls_out"], 2)  # the subscribe and the stream
        stream.close()
        self.assertEqual(subscription.delete().status, 200)
        billed, _ = self.book.billed(hrn)
        self.assertEqual(set(billed.values()), {1})
        wait_for(lambda: not self.book.billed(hrn)[1], 10, "what the stream has taken is listed as unconfirmed")
        self.stop(running)

    # --- where it cannot be written ---

    def refuses(self, gateway, hrn, subscription):
        """All that is to be counted is refused, and says when to come again."""
        for answer in (gateway.post(f"{gateway.base('ingest', 'v1', hrn)}/layers/data", b"x",
                                    headers={"Content-Type": "application/octet-stream"}),
                       gateway.get(subscription.url("partitions")),
                       gateway.put(f"{gateway.base('blob', 'v1', hrn)}/layers/data/data/h", b"z")):
            self.assertEqual(answer.status, 503, answer.text)
            self.assertEqual(answer.json()["code"], "ledger-unavailable")
            self.assertEqual(answer.headers["retry-after"], "1")

    def through(self, gateway, hrn):
        gateway.publish(hrn, "data", b"free")
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        self.assertEqual(data(subscription.receive(1)[0]), b"free")

    def test_ledger_refuses_when_the_disk_is_full(self):
        running, gateway = self.start(before=("env", "--ignore-signal=XFSZ"))
        hrn, other = self.offer(gateway), self.offer(gateway, marketplace=False)
        self.through(gateway, other)
        for _ in range(5):
            gateway.publish(hrn, "data", b"x" * 10)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        pid, unlimited = running.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        try:
            answer = gateway.get(subscription.url("partitions") + "?maxWaitMs=20000")
            self.assertEqual((answer.status, answer.json()["code"]), (503, "ledger-unavailable"), answer.text)
            self.refuses(gateway, hrn, subscription)
            self.assertIn("streamlayer_ledger_refused_total 4", gateway.get("/metrics").text.splitlines())
            answer = gateway.post(f"{gateway.base('ingest', 'v1', other)}/layers/data", b"x",
                                  headers={"Content-Type": "application/octet-stream"})
            self.assertEqual(answer.status, 200, answer.text)
            self.assertIn("streamlayer_ledger_available 0", gateway.get("/metrics").text)
            self.assertEqual(Book(self.book.file).usage(hrn)["messages_out"], 0)
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        wait_for(lambda: "streamlayer_ledger_available 1" in gateway.get("/metrics").text, 20, "it does not recover")
        self.assertEqual(len(subscription.receive(5)), 5)  # what was refused comes again
        self.assertEqual(self.book.usage(hrn)["messages_out"], 5)
        self.assertEqual(running.stop(), 0)

    def test_ledger_notices_by_any_call_that_the_disk_is_full(self):
        """The first that cannot be written is refused as those after it are; what Kafka has of it counts all the same."""
        running, gateway = self.start(before=("env", "--ignore-signal=XFSZ"))
        hrn = self.offer(gateway, parallelization=1)
        ingest, blob = (f"{gateway.base(api, 'v1', hrn)}/layers/data" for api in ("ingest", "blob"))
        octets = {"Content-Type": "application/octet-stream"}
        self.assertEqual(gateway.put(f"{blob}/data/there", b"y" * 100, headers=octets).status, 204)
        subscription = Subscription(gateway, hrn, "data", properties=EARLIEST)
        stream = Connection(gateway)
        stream.send("GET", subscription.url("partitions"), Accept="text/event-stream")
        text = stream.piece()
        pid, unlimited = running.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        for call in (lambda: gateway.post(ingest, b"x", headers=octets), lambda: gateway.get(f"{blob}/data/there"),
                     lambda: gateway.put(f"{blob}/data/new", b"z", headers=octets)):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            try:
                answer = call()
                self.assertEqual((answer.status, answer.json()["code"]), (503, "ledger-unavailable"), answer.text)
                self.assertEqual(answer.headers["retry-after"], "1")
                while not text.endswith(b"0\r\n\r\n"):  # the stream says that it ends, and nothing of the message
                    text += stream.piece()
                self.assertIn(b"event: end", text)
                self.assertNotIn(b"metaData", text)
            finally:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
            self.counts(gateway)
        stream.close()
        self.assertEqual(len(subscription.receive(1)), 1)  # what was refused comes again
        usage = self.book.usage(hrn)
        del usage["calls_out"]  # as many as it polled
        self.assertEqual(usage, {"calls_in": 1, "messages_in": 1, "messages_out": 1, "bytes_in": 1, "bytes_out": 1,
                                 "blob_bytes_in": 100, "blob_bytes_out": 0})
        self.assertEqual(subscription.delete().status, 200)
        self.stop(running)

    def test_ledger_that_is_damaged_is_left_alone(self):
        running, gateway = self.start()
        hrn, other = self.offer(gateway), self.offer(gateway, marketplace=False)
        gateway.publish(hrn, "data", b"x" * 10)
        self.stop(running)
        file = running.data + "/ledger.db"
        shutil.copy(file, self.place + "/copy.db")
        with open(file, "rb") as whole:
            pages = whole.read()

        def change_row():
            connection = sqlite3.connect(file)
            connection.execute("UPDATE usage SET bytes_in = bytes_in - 1")
            connection.commit()
            connection.close()

        def overwrite():
            with open(file, "r+b") as out:
                out.seek(len(pages) // 2)
                out.write(os.urandom(4096))

        def replace():
            streamlayer.write_text(file, "no database\n" * 100)

        for damage in (change_row, overwrite, replace):
            with self.subTest(damage.__name__):
                damage()
                with open(file, "rb") as now:
                    before = hashlib.sha256(now.read()).digest()
                running, gateway = self.start()
                self.assertRegex(running.text(), r"ledger\.db is damaged: stop the gateway, move the file")
                answer = gateway.post(f"{gateway.base('ingest', 'v1', hrn)}/layers/data", b"x",
                                      headers={"Content-Type": "application/octet-stream"})
                self.assertEqual((answer.status, answer.json()["code"]), (503, "ledger-unavailable"), answer.text)
                self.assertIn("ledger.db is damaged", answer.text)
                # Where the gateway's files lie is its operator's to know.
                account = Accounts(gateway).make()
                account.grant(hrn, "write")
                for told in (account.get("/usage/v1/usage"), account.post(
                        f"{gateway.base('ingest', 'v1', hrn)}/layers/data", b"x", headers={"Content-Type": "application/octet-stream"})):
                    self.assertEqual((told.status, told.json()["code"]), (503, "ledger-unavailable"), told.text)
                    self.assertIn("log says why", told.text)
                    self.assertNotIn("ledger.db", told.text)
                account.delete()
                done = gateway.cli("status", "--json", check=False)
                failed = [check for check in json.loads(done.stdout)["checks"] if check["state"] == "failed"]
                self.assertEqual([check["check"] for check in failed], ["ledger"], done.stdout)
                self.assertIn("ledger.db is damaged", failed[0]["detail"])
                self.through(gateway, other)
                self.stop(running)
                with open(file, "rb") as now:
                    self.assertEqual(hashlib.sha256(now.read()).digest(), before)
                for end in ("", "-wal", "-shm"):
                    if os.path.exists(file + end):
                        os.remove(file + end)
                shutil.copy(self.place + "/copy.db", file)
        running, gateway = self.start()
        gateway.publish(hrn, "data", b"x" * 10)
        self.assertEqual(self.book.usage(hrn)["messages_in"], 2)
        self.stop(running)

    # --- killed ---

    def check(self, hrn, groups):
        """Record by record: what was received is billed, and what is billed beyond that is listed as unconfirmed."""
        for group in groups:
            billed, unconfirmed = self.book.billed(hrn, group.name)
            missing = {place: count for place, count in group.certain.items() if billed[place] < count}
            self.assertEqual(missing, {}, f"{group.name}: received, and not billed")
            unlisted = {place: count for place, count in billed.items()
                        if count - group.receipts[place] > unconfirmed[place]}
            self.assertEqual(unlisted, {}, f"{group.name}: billed, neither received nor listed")
            twice = {place: count for place, count in billed.items() if count > 1 + group.seeks}
            self.assertEqual(twice, {}, f"{group.name}: billed too often")
            self.assertEqual(self.book.usage(hrn, "data", group.name)["messages_out"], sum(billed.values()))
        return sum(sum(group.receipts.values()) for group in groups)

    def run_once(self, gateway, hrn, groups, seed, kill):
        """A run of the gateway: ends with kill, or without, when so many more were received."""
        gateways = gateway if isinstance(gateway, list) else [gateway]
        for each in gateways:
            self.assertTrue(each.token)
        threads = [Consumer(gateways[number % len(gateways)], hrn, group, number, f"{seed} {group.name} {number}")
                   for group in groups for number in range(1 if group.serial else 2)]
        producer = Producer(gateways[0], hrn, seed)
        for thread in [*threads, producer]:
            thread.start()
        before = sum(sum(group.receipts.values()) for group in groups)
        more = random.Random(seed).randint(1, 300)
        wait_for(lambda: sum(sum(group.receipts.values()) for group in groups) >= before + more
                 or any(thread.fault for thread in threads), 60, "the consumers receive nothing")
        if kill:
            kill()
        for thread in [*threads, producer]:
            thread.ending.set()
        for thread in [*threads, producer]:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        if producer.connection:
            producer.connection.close()
        for thread in threads:
            thread.hang_up()
            if thread.fault:
                raise thread.fault
        return producer

    def test_ledger_survives_kills(self):
        seed = os.environ.get("LEDGER_SEED", str(time.time_ns()))
        print(f"LEDGER_SEED={seed} LEDGER_KILLS={KILLS}")
        running, gateway = self.start()
        hrn = self.offer(gateway, parallelization=4)
        groups = [Group(f"{mode}-{i}", mode == "serial") for i in range(min(KILLS, 7)) for mode in ("serial", "parallel")]
        sent = known = 0
        for i in range(KILLS):
            # A group whose members were killed waits for their sessions to end: so each has its turn.
            now = groups[2 * i % len(groups):][:2]
            producer = self.run_once(gateway, hrn, now, f"{seed} {i}", running.kill)
            sent, known = sent + producer.sent, known + producer.known
            running, gateway = self.start()
            self.check(hrn, now)
        producer = self.run_once(gateway, hrn, groups, f"{seed} end", None)
        sent, known = sent + producer.sent, known + producer.known
        self.stop(running)
        receipts = self.check(hrn, groups)
        usage = self.book.usage(hrn)
        self.assertLessEqual(known, usage["messages_in"])
        self.assertLessEqual(usage["messages_in"], sent)
        listed = sum(sum(self.book.billed(hrn, group.name)[1].values()) for group in groups)
        print(f"{KILLS} kills: {receipts} receipts, {usage['messages_out']} billed, {listed} of them unconfirmed; "
              f"{known} of {sent} known to be in, {usage['messages_in']} billed")

    # --- several gateways, one ledger ---

    def start_two(self):
        """Two gateways with the same applications, catalogs and topics: [[daemon, platform], …]. Their ledger is a topic."""
        self.topic = self.platform.name("ledger")
        settings = f'{KEEP}, ledger.type = kafka, ledger.partitions = 3, ledger.topic = "{self.topic}"'
        other = tempfile.mkdtemp(prefix="streamlayer-ledger-")
        self.addCleanup(shutil.rmtree, other, True)
        for end in ("", "-wal", "-shm"):
            if os.path.exists(f"{self.place}/data/ledger.db{end}"):
                os.remove(f"{self.place}/data/ledger.db{end}")
        shutil.rmtree(f"{self.place}/data/ledger-journal", True)  # of a run that was killed
        running, gateway = self.start(settings)
        self.counts(gateway)
        hrn = self.offer(gateway)
        self.stop(running)
        shutil.copytree(self.place + "/data", other + "/data", ignore=shutil.ignore_patterns("ledger.db*"))
        self.addCleanup(lambda: [os.remove(f"{self.place}/data/{name}") for name in os.listdir(self.place + "/data")
                                 if name.startswith("ledger.db")])
        return settings, hrn, [list(self.start(settings, place)) for place in (self.place, other)]

    def counts(self, gateway):
        wait_for(lambda: "streamlayer_ledger_available 1" in gateway.get("/metrics").text, 30, "the ledger is not available")

    def agree(self, gateways, condition, what):
        """Waits until both ledgers say the same, and the condition holds."""
        books = [Book(running.data + "/ledger.db") for running, _ in gateways]

        def same():
            pages = [[sorted(book.ask(f"SELECT {columns}")) for columns in (
                "* FROM usage", "* FROM reached", "* FROM clocks",
                "writer, number, state, messages, bytes, records FROM deliveries")] for book in books]
            return pages[0] == pages[1] and condition(books[0])
        wait_for(same, 30, what)

    def anybody_finds_the_same(self, hrn, gateways):
        """In the topic, by adding it up; what is being written is in the ledgers a moment later."""
        books = [Book(running.data + "/ledger.db") for running, _ in gateways]

        def differences():
            found = add_up(self.platform.brokers, self.topic)
            groups = {group for catalog, _, group in found if catalog == hrn}
            assert groups
            return [(group, found[hrn, "data", group], book.usage(hrn, "data", group)) for book in books for group in groups
                    if book.usage(hrn, "data", group) != {name: found[hrn, "data", group][name] for name in FIGURES}]
        wait_for(lambda: not differences(), 30, lambda: f"the topic has other figures: {differences()}")

    def test_ledger_of_two_gateways(self):
        settings, hrn, gateways = self.start_two()
        (_, one), (_, two) = gateways
        for gateway in (one, two):
            self.counts(gateway)
        for i in range(20):
            (one, two)[i % 2].publish(hrn, "data", b"x" * 10)
        subscription = Subscription(one, hrn, "data", properties=EARLIEST)
        subscription.receive(20)
        self.assertEqual(subscription.delete().status, 200)
        self.agree(gateways, lambda book: book.usage(hrn)["messages_out"] == 20, "20 are counted by both")
        subscription = Subscription(two, hrn, "data", properties=EARLIEST)  # nothing was committed
        received = subscription.receive(20)
        place = received[0]["offset"]
        self.assertEqual(subscription.seek([place]).status, 200)
        again = [m for m in received if m["offset"]["partition"] == place["partition"]]
        subscription.receive(len(again))
        self.assertEqual(subscription.delete().status, 200)
        self.agree(gateways, lambda book: book.usage(hrn)["messages_out"] == 20 + len(again), "what was sought counts again")
        usage = self.book.usage(hrn)
        self.assertEqual((usage["messages_in"], usage["bytes_in"], usage["bytes_out"]), (20, 200, 200 + 10 * len(again)))
        # One is killed with an answer under way: both list it, once it is back.
        one.publish(hrn, "data", b"y" * 10)
        subscription = Subscription(one, hrn, "data", properties={**EARLIEST, "group.id": "killed"})
        subscription.receive(21)
        gateways[0][0].kill()
        gateways[0] = list(self.start(settings))
        self.counts(gateways[0][1])
        self.agree(gateways, lambda book: book.usage(hrn, "data", "killed")["messages_out"] == 21
                   and book.billed(hrn, "killed")[0] and not book.ask("SELECT 1 FROM deliveries WHERE state = 0"),
                   "what was open is listed by both")
        self.anybody_finds_the_same(hrn, gateways)
        for running, _ in gateways:
            self.stop(running)

    def test_ledger_of_two_gateways_survives_kills(self):
        seed = os.environ.get("LEDGER_SEED", str(time.time_ns()))
        kills = max(KILLS // 3, 2)
        print(f"LEDGER_SEED={seed} {kills} kills")
        settings, hrn, gateways = self.start_two()
        groups = [Group(f"{mode}-{i}", mode == "serial") for i in range(min(kills, 7)) for mode in ("serial", "parallel")]
        places = [running.directory for running, _ in gateways]
        for i in range(kills):
            for _, gateway in gateways:
                self.counts(gateway)
            now, killed = groups[2 * i % len(groups):][:2], i % 2
            # Each group has consumers of both; the one that survives ends by itself.
            self.run_once([gateway for _, gateway in gateways], hrn, now, f"{seed} {i}", gateways[killed][0].kill)
            gateways[killed] = list(self.start(settings, places[killed]))
        for _, gateway in gateways:
            self.counts(gateway)
        self.run_once([gateway for _, gateway in gateways], hrn, groups, f"{seed} end", None)
        self.agree(gateways, lambda book: True, "both say the same")
        self.anybody_finds_the_same(hrn, gateways)
        for running, _ in gateways:
            self.stop(running)
        receipts = self.check(hrn, groups)
        listed = sum(self.book.billed(hrn)[1].values())
        print(f"{kills} kills of one of two: {receipts} receipts, {self.book.usage(hrn)['messages_out']} billed, "
              f"{listed} of them unconfirmed")


if __name__ == "__main__":
    streamlayer.main()
