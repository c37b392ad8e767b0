"""Event streams: GET …/partitions with Accept: text/event-stream."""
import ctypes
import json
import socket
import struct
import threading
import urllib.parse

import streamlayer
from streamlayer import Subscription, TestCase, data, last_offsets

SO_ATTACH_FILTER = 26  # Linux's; the socket module has no name for it


class EventStream:
    """One stream, read as a program without any library would."""

    def __init__(self, subscription, query="", version="1.1", receive_buffer=None):
        parts = urllib.parse.urlsplit(subscription.url("partitions") + query)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(30)
        self.socket.connect((parts.hostname, parts.port))
        path = parts.path + ("?" + parts.query if parts.query else "")
        self.socket.sendall((f"GET {path} HTTP/{version}\r\nHost: {parts.netloc}\r\nAccept: text/event-stream\r\n"
                             f"Authorization: Bearer {subscription.platform.token}\r\n\r\n").encode())
        self.raw, self.text, self.ended, self.chunked = b"", b"", False, False
        while b"\r\n\r\n" not in self.raw:
            self.fill()
        head, self.raw = self.raw.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
        self.chunked = self.headers.get("transfer-encoding") == "chunked"

    def fill(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise EOFError("the connection ended")
        self.raw += piece

    def more(self):
        """Adds to text. The end: ended."""
        if not self.chunked:
            try:
                if not self.raw:
                    self.fill()
            except EOFError:
                self.ended = True
            self.text, self.raw = self.text + self.raw, b""
            return
        while b"\r\n" not in self.raw:
            self.fill()
        size = int(self.raw.split(b"\r\n", 1)[0], 16)
        start = self.raw.index(b"\r\n") + 2
        while len(self.raw) < start + size + 2:
            self.fill()
        self.text += self.raw[start:start + size]
        self.raw = self.raw[start + size + 2:]
        self.ended = size == 0

    def block(self):
        """What stands before the next empty line, as (field, value) pairs. A comment's field is empty."""
        while b"\n\n" not in self.text:
            if self.ended:
                raise EOFError("the stream ended")
            self.more()
        block, self.text = self.text.split(b"\n\n", 1)
        return [tuple(line.split(": ", 1)) if not line.startswith(":") else ("", line[1:])
                for line in block.decode().split("\n")]

    def event(self):
        """The next event, as a dictionary; comments are passed over."""
        while True:
            fields = dict(self.block())
            if set(fields) != {""}:
                return fields

    def receive(self, count):
        messages = []
        while len(messages) < count:
            messages += json.loads(self.event()["data"])["messages"]
        return messages

    def rest(self):
        """Reads to the stream's end; the last event."""
        last = None
        try:
            while True:
                last = self.event()
        except EOFError:
            return last

    def vanish(self):
        """From now on all that comes for the socket is thrown away before TCP sees it: nothing is acknowledged."""
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF_RET: 0 bytes are kept
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(drop_all)))

    def close(self):
        self.socket.close()


class Push(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.group = self.platform.name("g")
        self.open = []
        self.addCleanup(lambda: [each() for each in reversed(self.open)])

    def layer(self, partitions=1):
        return self.platform.layer(self.hrn, "layer", parallelization=partitions)

    def subscribe(self, **properties):
        subscription = Subscription(self.platform, self.hrn, "layer", "mode=serial", {
            "auto.offset.reset": "earliest", "group.id": self.group,
            **{k.replace("_", "."): v for k, v in properties.items()}})
        self.open.append(subscription.delete)
        return subscription

    def stream(self, subscription, *arguments, **options):
        stream = EventStream(subscription, *arguments, **options)
        self.open.append(stream.close)
        return stream

    def publish(self, *bodies):
        for body in bodies:
            self.platform.publish(self.hrn, "layer", body)

    def test_push(self):
        """Head and a comment come at once, then events as messages are written; commits are as ever."""
        self.layer()
        self.publish(b"0", b"1")
        subscription = self.subscribe()
        stream = self.stream(subscription)
        self.assertEqual((stream.status, stream.headers["content-type"]), (200, "text/event-stream"))
        self.assertTrue(stream.headers["x-correlation-id"])
        self.assertEqual(stream.block(), [("", "")])
        messages = stream.receive(2)
        self.assertEqual([data(each) for each in messages], [b"0", b"1"])
        for number in range(2, 6):
            self.publish(b"%d" % number)
            event = stream.event()
            body = json.loads(event["data"])["messages"]
            self.assertEqual([data(each) for each in body], [b"%d" % number])
            self.assertEqual(event["id"], f"0:{number}")
            self.assertIn("traceId", body[0]["metaData"])
            messages += body
        self.assertEqual(subscription.commit(last_offsets(messages)).status, 200)
        stream.close()
        subscription.delete()
        self.publish(b"6")
        self.assertEqual([data(each) for each in self.stream(self.subscribe()).receive(1)], [b"6"])

    def test_push_bounds_its_events(self):
        self.layer()
        self.publish(*(b"%d" % i for i in range(10)))
        subscription = self.subscribe()
        streamlayer.wait_for(lambda: self.platform.get(subscription.url("positions")).json()["positions"][0]["lag"]
                             == 10, 20, "all are there")
        stream = self.stream(subscription, "?maxMessages=3")
        sizes, total = [], 0
        while total < 10:
            sizes.append(len(json.loads(stream.event()["data"])["messages"]))
            total += sizes[-1]
        self.assertLessEqual(max(sizes), 3)
        for query in ("?maxMessages=0", "?maxBytes=x"):
            answer = self.platform.get(subscription.url("partitions") + query,
                                       headers={"Accept": "text/event-stream"})
            self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-parameter"))

    def test_push_to_http_1_0(self):
        """No chunks; the connection's end is the stream's."""
        self.layer()
        self.publish(b"0")
        subscription = self.subscribe()
        stream = self.stream(subscription, version="1.0")
        self.assertEqual((stream.status, stream.chunked), (200, False))
        self.assertEqual([data(each) for each in stream.receive(1)], [b"0"])
        self.publish(b"1")
        self.assertEqual([data(each) for each in stream.receive(1)], [b"1"])
        self.assertEqual(subscription.delete().status, 200)
        self.assertEqual(stream.rest()["event"], "end")

    def test_push_ends_with_its_subscription(self):
        self.layer()
        subscription = self.subscribe()
        stream = self.stream(subscription)
        stream.block()
        self.assertEqual(subscription.delete().status, 200)
        self.assertEqual(stream.rest(), {"event": "end", "data": "{}"})
        answer = self.platform.get(subscription.url("partitions"), headers={"Accept": "text/event-stream"})
        self.assertEqual((answer.status, answer.json()["code"]), (404, "no-such-subscription"))

    def test_push_ends_with_another_poll(self):
        """A poll takes over, and so does another stream; the ends of the older are told."""
        self.layer()
        subscription = self.subscribe()
        first = self.stream(subscription)
        self.publish(b"0")
        self.assertEqual([data(each) for each in first.receive(1)], [b"0"])
        second = self.stream(subscription)
        self.assertEqual(first.rest()["event"], "end")
        self.publish(b"1")
        self.assertEqual([data(each) for each in second.receive(1)], [b"1"])
        self.assertEqual(subscription.poll(), [])
        self.assertEqual(second.rest()["event"], "end")
        self.publish(b"2")
        self.assertEqual([data(each) for each in subscription.receive(1)], [b"2"])

    def test_push_pauses(self):
        """Pause, resume and seek act on a stream as on polls."""
        self.layer()
        subscription = self.subscribe()
        stream = self.stream(subscription)
        self.publish(b"0")
        stream.receive(1)
        self.assertEqual(self.platform.put(subscription.url("pause")).status, 200)
        self.publish(b"1")
        self.assertEqual(self.platform.get(subscription.url("positions")).json()["positions"][0]["lag"], 1)
        self.assertEqual(self.platform.put(subscription.url("resume")).status, 200)
        self.assertEqual([data(each) for each in stream.receive(1)], [b"1"])
        self.assertEqual(subscription.seek([{"partition": 0, "offset": 0}]).status, 200)
        self.assertEqual([data(each) for each in stream.receive(2)], [b"0", b"1"])

    def test_push_to_a_slow_reader(self):
        """What the connection does not take stays in Kafka; all comes when it is read, once."""
        self.layer()
        count, body = 96, bytes(range(256)) * 1024  # 24 MiB
        subscription = self.subscribe()
        stream = self.stream(subscription, "?maxMessages=4", receive_buffer=65536)
        writer = threading.Thread(target=lambda: self.publish(*([body] * count)))
        writer.start()
        writer.join()
        position = self.platform.get(subscription.url("positions")).json()["positions"][0]
        self.assertGreater(position["lag"], count // 2)
        messages = stream.receive(count)
        self.assertEqual([each["offset"]["offset"] for each in messages], list(range(count)))
        self.assertTrue(all(data(each) == body for each in messages))

    def test_push_to_a_broken_connection(self):
        """What was not written whole comes again with the next poll of the subscription."""
        self.layer()
        count, body = 24, bytes(range(256)) * 3072  # 18 MiB: more than sockets hold
        self.publish(*([body] * count))
        subscription = self.subscribe()
        stream = self.stream(subscription, "?maxMessages=1", receive_buffer=65536)
        stream.receive(2)
        stream.close()
        seen = streamlayer.wait_for(subscription.poll, 30, "the poll gets the rest")
        first = seen[0]["offset"]["offset"]
        self.assertGreaterEqual(first, 2)
        self.assertLess(first, count)
        streamlayer.wait_for(lambda: seen.extend(subscription.poll()) or len(seen) == count - first, 30, "the others")
        self.assertEqual([each["offset"]["offset"] for each in seen], list(range(first, count)))

    def test_push_is_told_of_a_closed_connection(self):
        """At once, though nothing is written: no poll waits any more, and the group gets the partitions back."""
        platform = self.own("-D", "streamlayer.gateway.limits.subscription-lost=1s",
                            "-D", "streamlayer.gateway.push.heartbeat=10 minutes")
        self.layer()
        subscription = self.subscribe()
        self.open.clear()
        stream = self.stream(subscription)
        stream.block()

        def says(name, count):
            return f"\nstreamlayer_{name} {count}\n" in platform.get("/metrics", token=None).text
        streamlayer.wait_for(lambda: says("polls_waiting", 1), 20, "the stream waits")
        self.assertTrue(says("http_streams", 1))
        stream.close()
        streamlayer.wait_for(lambda: says("polls_waiting", 0), 20, "its end is known")
        streamlayer.wait_for(lambda: says("http_streams", 0), 20, "it is not open any more")
        streamlayer.wait_for(lambda: says("subscriptions", 0), 20, "the subscription ends")

    def given_up(self, stream, platform):
        """The stream ends, and with it the subscription, though the client's side says nothing."""
        def says(name, count):
            return f"\nstreamlayer_{name} {count}\n" in platform.get("/metrics", token=None).text
        streamlayer.wait_for(lambda: says("http_streams", 0), 60, "the stream is broken off")
        streamlayer.wait_for(lambda: says("subscriptions", 0), 60, "the subscription ends")
        self.open.clear()
        stream.close()

    def test_push_to_a_client_that_has_vanished(self):
        """A host without power, say: no end of the connection comes, and no answer to anything."""
        platform = self.own("-D", "streamlayer.gateway.limits.subscription-lost=1s",
                            "-D", "streamlayer.gateway.limits.subscription-idle=2s",
                            "-D", "streamlayer.gateway.push.heartbeat=1s")
        self.layer()
        stream = self.stream(self.subscribe())
        for _ in range(4):  # one that is there stays
            self.assertEqual(stream.block(), [("", "")])
        stream.vanish()
        self.given_up(stream, platform)

    def test_push_to_a_client_that_reads_nothing(self):
        """Its side answers, but has no room: for limits.subscription-idle it is waited for."""
        platform = self.own("-D", "streamlayer.gateway.limits.subscription-lost=1s",
                            "-D", "streamlayer.gateway.limits.subscription-idle=2s")
        self.layer()
        self.publish(*([bytes(900000)] * 20))
        self.given_up(self.stream(self.subscribe(), receive_buffer=65536), platform)

    def own(self, *arguments):
        """A gateway of the test's own, on the shared Kafka; the catalog too."""
        directory = self.scratch()
        up = streamlayer.Running(self.platform.binaries, directory + "/data", directory + "/log", "--kafka",
                                 self.platform.brokers, *arguments)
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        platform = streamlayer.Platform({"URL": up.ready(60), "BIN": self.platform.binaries,
                                         "CONFIG": directory + "/data/application.conf"})
        platform.up = up
        self.platform = platform
        self.hrn = platform.catalog()
        return platform

    def test_push_outlives_the_idle_timeout(self):
        """Comments come every push.heartbeat; a stream without anything else is not idle; the end is told when the
        gateway is stopped."""
        platform = self.own("-D", "streamlayer.gateway.limits.idle-timeout=2s",
                            "-D", "streamlayer.gateway.push.heartbeat=1s")
        self.layer()
        subscription = self.subscribe()
        stream = self.stream(subscription)
        for _ in range(6):
            self.assertEqual(stream.block(), [("", "")])
        self.publish(b"late")
        self.assertEqual([data(each) for each in stream.receive(1)], [b"late"])
        self.open.clear()
        stopper = threading.Thread(target=platform.up.stop)
        stopper.start()
        self.assertEqual(stream.rest()["event"], "end")
        stream.close()
        stopper.join(60)
        self.assertEqual(platform.up.process.poll(), 0, platform.up.text()[-3000:])

    def test_push_that_nobody_reads_does_not_hold_the_end_up(self):
        """A connection that is full when the gateway is stopped is cut."""
        platform = self.own()
        self.layer()
        self.publish(*([bytes(900000)] * 20))
        stream = self.stream(self.subscribe(), receive_buffer=65536)
        streamlayer.wait_for(lambda: "\nstreamlayer_polls_waiting 0\n" in platform.get("/metrics", token=None).text, 20,
                             "the event is being written")
        self.open.clear()
        self.assertEqual(platform.up.stop(30), 0, platform.up.text()[-3000:])
        stream.close()


if __name__ == "__main__":
    streamlayer.main()
