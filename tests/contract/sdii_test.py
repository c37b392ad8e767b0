"""ingest v1: SDII message lists, protobuf."""
import hashlib
import os
import socket
import struct
import subprocess
import threading
import urllib.parse

import streamlayer
from streamlayer import Subscription, TestCase, data

PROTOBUF = "application/x-protobuf"
MIB = 1024 * 1024


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(text, size=0):
    """An SDII message: an envelope with a version, a submitter and a vehicle, and a path with one position."""
    position = field(1, b"\x08" + varint(1767225600000) + b"\x11" + struct.pack("<d", 52.52) +
                     b"\x19" + struct.pack("<d", 13.4))
    return field(1, field(1, b"3.3.2") + field(2, text + b"s" * size)) + field(2, position)


def message_list(*messages):
    return b"".join(field(1, each) for each in messages)


class Sdii(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", PROTOBUF, parallelization=1)
        self.base = f"{self.platform.base('ingest', 'v1', self.hrn)}/layers"
        self.url = f"{self.base}/layer/sdiiMessageList"

    def post(self, body, headers=None, **options):
        return self.platform.post(options.pop("url", self.url), body,
                                  headers={"Content-Type": PROTOBUF, **(headers or {})}, **options)

    def messages(self, count, layer="layer"):
        subscription = Subscription(self.platform, self.hrn, layer, properties={"auto.offset.reset": "earliest"})
        try:
            messages = subscription.receive(count) if count else subscription.poll()
            self.assertEqual(len(messages), count)
            return messages
        finally:
            subscription.delete()

    def expect(self, answer, status, code):
        self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer.text)

    def ids(self, answer):
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(list(answer.json()), ["TraceID"])
        self.assertEqual(sorted(answer.json()["TraceID"]), ["GeneratedIDs", "ParentID"])
        return answer.json()["TraceID"]["ParentID"], answer.json()["TraceID"]["GeneratedIDs"]

    def test_sdii_makes_a_message_of_each(self):
        """The bytes of each as they came, an id for each, in the list's order."""
        sent = [message(b"one"), message(b"two") + b"\x18\x05" + field(4, b"media"), message(b"three", 3000)]
        parent, ids = self.ids(self.post(message_list(*sent), url=self.url + "?billingTag=t&sentWith=test"))
        self.assertTrue(parent)
        self.assertEqual(len(set(ids)), 3)
        got = self.messages(3)
        self.assertEqual([data(each) for each in got], sent)
        self.assertEqual([each["metaData"]["partition"] for each in got], ids)
        headers = subprocess.run(["kcat", "-q", "-C", "-b", self.platform.brokers, "-t",
                                  self.platform.topic(self.hrn, "layer"), "-e", "-f", "%h\n"],
                                 check=True, capture_output=True, timeout=60).stdout.decode().split("\n")
        self.assertEqual(headers[:3], [f"sl-trace-id={each}" for each in ids])
        other, more = self.ids(self.post(message_list(*sent)))
        self.assertNotEqual(other, parent)
        self.assertFalse(set(more) & set(ids))

    def test_sdii_datum_of_the_sdk(self):
        """In the shape of what HERE's SDK for C++ tests with: 105 bytes, a message of 103, 52 of them envelope."""
        envelope = field(1, b"3.3.2") + field(2, b"s" * 43)
        path = field(1, b"\x09" + struct.pack("<d", 52.0) + b"\x11" + struct.pack("<d", 13.0) + field(3, b"p" * 25))
        datum = message_list(field(1, envelope) + field(2, path))
        self.assertEqual((len(datum), datum[:4], datum[56:58]), (105, b"\x0a\x67\x0a\x34", b"\x12\x2f"))
        self.ids(self.post(datum))
        self.assertEqual(data(self.messages(1)[0]), datum[2:])

    def test_sdii_list_without_messages(self):
        for body in (b"", iter([])):
            parent, ids = self.ids(self.post(body, {"X-HERE-TraceId": "t"}))
            self.assertEqual((parent, ids), ("t", []))
        self.assertEqual(self.messages(0), [])

    def test_sdii_ids_follow_from_the_trace_id(self):
        sent = message_list(message(b"one"), message(b"two"))
        for trace in ("my-trace", 'a"b\\c', "x" * 116):
            self.assertEqual(self.ids(self.post(sent, {"X-HERE-TraceId": trace})), (trace, [trace + "-0", trace + "-1"]))
        hashed = hashlib.sha256(b"y" * 128).hexdigest()[:32]
        self.assertEqual(self.ids(self.post(sent, {"X-HERE-TraceId": "y" * 128})),
                         ("y" * 128, [hashed + "-0", hashed + "-1"]))
        self.assertEqual(self.messages(8)[2]["metaData"]["partition"], 'a"b\\c-0')
        for wrong in ("z" * 129, "a b"):
            self.expect(self.post(sent, {"X-HERE-TraceId": wrong}), 400, "bad-trace-id")

    def test_sdii_that_is_malformed_writes_nothing(self):
        good = message(b"good")
        rows = [(b"text", "not protobuf"), (message_list(good)[:-1], "not protobuf"),
                (message_list(good) + b"\x0a", "not protobuf"), (message_list(good) + b"\x0b\x0c", "not protobuf"),
                (good, "has a field 2"),  # a message where a list is due
                (message_list(good, b""), "message 1"), (message_list(good, good, b"text"), "message 2"),
                (message_list(good, field(1, b"")), "message 1"), (message_list(good, field(2, b"")), "message 1"),
                (message_list(good, field(1, b"a") + field(2, b"")), "envelope"),
                (message_list(good, field(1, b"") + field(2, b"a")), "path")]
        for body, cause in rows:
            answer = self.post(body)
            self.expect(answer, 400, "malformed-sdii")
            self.assertIn(cause, answer.json()["cause"], body)
            self.assertIn("nothing was stored", answer.json()["action"])
        self.assertEqual(self.messages(0), [])

    def test_sdii_checks_the_checksum(self):
        sent = message_list(message(b"one"))
        digest = hashlib.sha256(sent).hexdigest()
        for given, code in ((hashlib.sha256(b"other").hexdigest(), "checksum-mismatch"), ("no-sha", "bad-checksum")):
            self.expect(self.post(sent, {"X-HERE-Checksum": given}), 400, code)
        self.ids(self.post(sent, {"X-HERE-Checksum": digest.upper()}))
        meta = self.messages(1)[0]["metaData"]
        self.assertNotIn("checksum", meta)  # the list's, not the message's

    def test_sdii_wants_its_content_type(self):
        sent = message_list(message(b"one"))
        for content_type in ("application/octet-stream", "application/json", ""):
            self.expect(self.post(sent, {"Content-Type": content_type}), 415, "wrong-content-type")
        self.expect(self.post(sent, {"Content-Encoding": "gzip"}), 415, "wrong-content-encoding")
        self.platform.layer(self.hrn, "other")
        answer = self.post(sent, url=f"{self.base}/other/sdiiMessageList")
        self.expect(answer, 415, "wrong-content-type")
        self.assertIn("application/octet-stream", answer.json()["cause"])
        config = self.platform.base("config", "v1")
        layer = {"id": "zip", "contentType": PROTOBUF, "contentEncoding": "gzip"}
        self.assertEqual(self.platform.post(f"{config}/catalogs/{self.hrn}/layers", layer).status, 201)
        self.expect(self.post(sent, url=f"{self.base}/zip/sdiiMessageList"), 415, "wrong-content-encoding")
        self.expect(self.post(sent, url=f"{self.base}/none/sdiiMessageList"), 404, "no-such-layer")
        self.assertEqual(self.post(sent, token=None).status, 401)
        answer = self.platform.get(self.url)
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "POST, OPTIONS"))
        self.ids(self.post(sent, {"Content-Type": "Application/X-Protobuf; messageType=sdii",
                                  "Content-Encoding": "identity"}))
        self.assertEqual(len(self.messages(1)), 1)

    def test_sdii_limits(self):
        """A message of 1 MiB goes, one byte more does not; a body of the smallest fields is refused in time."""
        largest = message(b"", MIB - len(message(b"", MIB)) + MIB)
        self.assertEqual(len(largest), MIB)
        answer = self.post(message_list(message(b"first"), largest + b"\x18\x00"))
        self.expect(answer, 413, "payload-too-large")
        self.assertIn("message 1", answer.json()["cause"])
        self.expect(self.post(b"\x0a\x00" * (10 * MIB)), 413, "too-many-records")
        self.expect(self.post(b"\x12\x00" * (10 * MIB)), 413, "too-many-records")
        self.expect(self.post(b"\x0a\x04\x0a\x00\x12\x00" * 100001), 413, "too-many-records")
        for body in (b"m" * (20 * MIB + 1), (b"m" * MIB for _ in range(21))):
            self.expect(self.post(body), 413, "body-too-large")
        self.ids(self.post(message_list(largest)))
        self.assertTrue(data(self.messages(1)[0]) == largest)

    def test_sdii_long_lists(self):
        """Longer than what is written at once, and of many bytes."""
        layer = {"id": "fast", "contentType": PROTOBUF, "streamProperties": {
            "parallelization": 1, "dataInThroughputKbps": 32800, "dataOutThroughputKbps": 65500}}
        config = self.platform.base("config", "v1")
        self.assertEqual(self.platform.post(f"{config}/catalogs/{self.hrn}/layers", layer).status, 201)
        url = f"{self.base}/fast/sdiiMessageList"
        sent = [message(b"%d" % number) for number in range(5000)]
        _, ids = self.ids(self.post(iter([message_list(*sent[:2500]), message_list(*sent[2500:])]), url=url))
        large = [message(b"%d" % number, 900000) for number in range(20)]
        self.ids(self.post(message_list(*large), url=url))
        got = self.messages(5020, "fast")
        self.assertEqual([data(each) for each in got[:5000]], sent)
        self.assertEqual([each["metaData"]["partition"] for each in got[:5000]], ids)
        self.assertTrue([data(each) for each in got[5000:]] == large)

    # --- lists that are sent again ---

    def lose(self, body, headers):
        """Sends a whole request and breaks the connection without reading the answer."""
        parts = urllib.parse.urlsplit(self.url)
        head = (f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {self.platform.token}\r\n"
                f"Content-Type: {PROTOBUF}\r\nContent-Length: {len(body)}\r\n"
                + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(head + body)
            connection.shutdown(socket.SHUT_WR)  # a reset would throw away what has not been read

    def test_sdii_lost_answers(self):
        """The answer is lost, the list is sent again, by several at once: each message is there once."""
        sent = [message(b"%d" % number, 100) for number in range(3000)]
        body, headers = message_list(*sent), {"X-HERE-TraceId": "t"}
        self.lose(body, headers)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.post(body, headers))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = ("t", [f"t-{number}" for number in range(3000)])
        self.assertEqual([self.ids(answer) for answer in answers], [expected] * 4)
        got = self.messages(3000)
        self.assertEqual(sorted(data(each) for each in got), sorted(sent))

    def test_sdii_what_is_no_repeat(self):
        """Another trace id, another message at the place, or no trace id of the client's: written again."""
        first = [message(b"one"), message(b"two")]
        self.ids(self.post(message_list(*first), {"X-HERE-TraceId": "t"}))
        self.ids(self.post(message_list(first[0], message(b"new")), {"X-HERE-TraceId": "t"}))  # one is a repeat
        self.ids(self.post(message_list(*first), {"X-HERE-TraceId": "u"}))
        for _ in range(2):
            self.ids(self.post(message_list(*first)))
        got = [data(each) for each in self.messages(9)]
        self.assertEqual(got, first + [message(b"new")] + first * 3)

    def test_sdii_beside_hostile_clients(self):
        """Half a list is none; the gateway serves on."""
        body = message_list(*[message(os.urandom(10).hex().encode()) for _ in range(100)])
        parts = urllib.parse.urlsplit(self.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall((f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer "
                                f"{self.platform.token}\r\nContent-Type: {PROTOBUF}\r\n"
                                f"Content-Length: {len(body)}\r\n\r\n").encode() + body[:-1])
        self.ids(self.post(message_list(message(b"after"))))
        self.assertEqual([data(each) for each in self.messages(1)], [message(b"after")])


if __name__ == "__main__":
    streamlayer.main()
