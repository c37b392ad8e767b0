"""ingest v1: one message a request, large ones, batches; messages that are sent again."""
import base64
import gzip
import hashlib
import os
import socket
import struct
import time
import urllib.parse

import streamlayer
from streamlayer import Subscription, TestCase, data

OCTETS = "application/octet-stream"
CBOR = "application/cbor-seq"
MIB = 1024 * 1024


def cbor(value):
    """As much of RFC 8949 as records need."""
    def head(major, number):
        for size, code in ((1, 24), (2, 25), (4, 26), (8, 27)):
            if number < 24:
                return bytes([major << 5 | number])
            if number < 1 << 8 * size:
                return bytes([major << 5 | code]) + number.to_bytes(size, "big")
        raise ValueError(number)
    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(cbor(each) for each in value)
    return head(5, len(value)) + b"".join(cbor(key) + cbor(value[key]) for key in value)


def uncbor(text):
    """The values of a sequence."""
    def read(at):
        major, number = text[at] >> 5, text[at] & 31
        at += 1
        if text[at - 1] == 0xf6:
            return None, at
        if number >= 24:
            size = 1 << number - 24
            number = int.from_bytes(text[at:at + size], "big")
            at += size
        if major == 0:
            return number, at
        if major in (2, 3):
            piece = text[at:at + number]
            return (piece if major == 2 else piece.decode()), at + number
        assert major == 5, major
        found = {}
        for _ in range(number):
            key, at = read(at)
            found[key], at = read(at)
        return found, at
    values, at = [], 0
    while at < len(text):
        value, at = read(at)
        values.append(value)
    return values


class Ingest(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", parallelization=1)
        self.url = f"{self.platform.base('ingest', 'v1', self.hrn)}/layers/layer"
        self.blobs = f"{self.platform.base('blob', 'v1', self.hrn)}/layers/layer/data"

    def post(self, body, content_type=OCTETS, **options):
        headers = {**({"Content-Type": content_type} if content_type else {}), **options.pop("headers", {})}
        return self.platform.post(self.url + options.pop("query", ""), body, headers=headers, **options)

    def messages(self, count, layer="layer"):
        subscription = Subscription(self.platform, self.hrn, layer, properties={"auto.offset.reset": "earliest"})
        try:
            messages = subscription.receive(count) if count else subscription.poll()
            self.assertEqual(len(messages), count)
            return messages
        finally:
            subscription.delete()

    def test_ingest_answers_the_trace_id(self):
        answer = self.post(b"x", query="?billingTag=t&sentWith=test")
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(set(answer.json()), {"TraceID"})
        self.assertIsInstance(answer.json()["TraceID"], str)
        self.assertTrue(answer.json()["TraceID"])
        message = self.messages(1)[0]
        self.assertEqual(message["metaData"]["partition"], answer.json()["TraceID"])

    def test_ingest_echoes_the_trace_id(self):
        answer = self.post(b"x", headers={"X-HERE-TraceId": "my-trace-id"})
        self.assertEqual(answer.json(), {"TraceID": "my-trace-id"})

    def test_ingest_takes_the_message_key(self):
        self.assertEqual(self.post(b"x", headers={"X-HERE-Message-Key": "Z%C3%BCrich%20%25"}).status, 200)
        self.assertEqual(self.messages(1)[0]["metaData"]["partition"], "Zürich %")
        for key in ("%C3", "%ZZ", "x" * 501):
            self.assertEqual(self.post(b"x", headers={"X-HERE-Message-Key": key}).status, 400, key)

    def test_ingest_checks_the_checksum(self):
        digest = hashlib.sha256(b"right").hexdigest()
        self.assertEqual(self.post(b"right", headers={"X-HERE-Checksum": digest}).status, 200)
        answer = self.post(b"wrong", headers={"X-HERE-Checksum": digest})
        self.assertEqual(answer.status, 400, answer.text)
        self.assertRegex(answer.text, "(?i)checksum")
        self.assertEqual(self.post(b"x", headers={"X-HERE-Checksum": "no-sha"}).status, 400)
        self.assertEqual([data(each) for each in self.messages(1)], [b"right"])

    def test_ingest_wants_the_content_type(self):
        for content_type in ("text/plain", "application/json", None):
            answer = self.post(b"x", content_type)
            self.assertEqual(answer.status, 415, f"{content_type}: {answer.text}")
            self.assertIn(OCTETS, answer.text)
        self.assertEqual(self.post(b"x", OCTETS + "; charset=utf-8").status, 200)
        self.assertEqual(self.post(b"x", "Application/Octet-Stream").status, 200)

    def test_ingest_takes_bodies_of_all_sizes(self):
        bodies = [b"", b"\0", bytes(range(256)), b"m" * 1048576]
        for body in bodies:
            self.assertEqual(self.post(body).status, 200)
        self.assertEqual([data(each) for each in self.messages(4)], bodies)

    def test_ingest_refuses_what_is_too_large(self):
        for body in (b"m" * (20 * MIB + 1), (b"m" * MIB for _ in range(21))):  # the second in chunks, without a length
            answer = self.post(body)
            self.assertEqual(answer.status, 413, answer.text[:300])
            self.assertEqual(answer.json()["code"], "body-too-large")
        self.assertEqual(self.post(b"x").status, 200)
        self.assertEqual([data(each) for each in self.messages(1)], [b"x"])

    def check_large(self, message, body, **more):
        meta = message["metaData"]
        digest = hashlib.sha256(body).hexdigest()
        self.assertNotIn("data", meta)
        self.assertEqual((meta["dataSize"], meta["checksum"]), (len(body), digest))
        self.assertEqual({name: meta.get(name) for name in more}, more)
        blob = self.platform.get(f"{self.blobs}/{meta['dataHandle']}")
        self.assertEqual((blob.status, blob.headers["content-type"], len(blob.body)), (200, OCTETS, len(body)))
        self.assertEqual(hashlib.sha256(blob.body).hexdigest(), digest)

    def test_ingest_of_large_bodies(self):
        """Blob and message in one call, with a length and without."""
        bodies = [os.urandom(MIB + 1), os.urandom(3 * MIB + 77), os.urandom(20 * MIB)]
        for number, body in enumerate(bodies):
            headers = {"X-HERE-TraceId": f"t-{number}", "X-HERE-Message-Key": "k"}
            if number:
                headers["X-HERE-Checksum"] = hashlib.sha256(body).hexdigest().upper()
            answer = self.post(body if number != 1 else iter([body[:MIB], body[MIB:]]), headers=headers)
            self.assertEqual((answer.status, answer.json()), (200, {"TraceID": f"t-{number}"}))
        messages = self.messages(3)
        for message, body in zip(messages, bodies):
            self.check_large(message, body, partition="k")

    def test_ingest_of_a_large_body_that_is_wrong(self):
        """A checksum that is not the body's, or none at all: neither message nor blob."""
        for given in (hashlib.sha256(b"other").hexdigest(), "no-sha"):
            answer = self.post(b"m" * (2 * MIB), headers={"X-HERE-Checksum": given})
            self.assertEqual(answer.status, 400, answer.text)
            self.assertRegex(answer.text, "(?i)checksum")
        self.assertEqual(self.messages(0), [])

    def test_ingest_of_a_large_gzip_body(self):
        self.gzip_layer()
        body = gzip.compress(os.urandom(2 * MIB))
        answer = self.post(body, headers={"Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 200, answer.text)
        meta = self.messages(1, "zip")[0]["metaData"]
        self.assertEqual((meta["dataSize"], meta["compressedDataSize"]), (len(body), len(body)))
        blob = self.platform.get(f"{self.blobs}/{meta['dataHandle']}")
        self.assertEqual(blob.headers["content-encoding"], "gzip")
        self.assertTrue(blob.body == body)

    def gzip_layer(self):
        config = self.platform.base("config", "v1")
        layer = {"id": "zip", "contentType": OCTETS, "contentEncoding": "gzip", "streamProperties": {"parallelization": 1}}
        self.assertEqual(self.platform.post(f"{config}/catalogs/{self.hrn}/layers", layer).status, 201)
        self.url, self.blobs = [url.replace("/layers/layer", "/layers/zip") for url in (self.url, self.blobs)]

    def test_ingest_checks_that_gzip_is_gzip(self):
        """Of a layer with contentEncoding gzip: every payload, however it comes; what is not gzip is not written."""
        self.gzip_layer()
        good, large = gzip.compress(b"text"), gzip.compress(os.urandom(2 * MIB))
        zipped = {"Content-Encoding": "gzip"}
        for body in (b"text", b"", good[:19], good[:3] + b"\xff" + good[4:], b"m" * (2 * MIB)):
            for chunked in (False, True):
                answer = self.post(iter([body]) if chunked else body, headers=zipped)
                self.assertEqual((answer.status, answer.json()["code"]), (400, "not-gzip"), answer.text)
                self.assertIn("compress", answer.json()["action"])
        digest = hashlib.sha256(b"text").hexdigest()
        self.assertEqual(self.post(b"text", headers={**zipped, "X-HERE-Checksum": digest}).json()["code"], "not-gzip")
        results = self.batch({1: "a", 2: b"text"}, {1: "b", 2: good}, {1: "c", 2: None}, {1: "d", 2: b""})
        self.assertEqual([(each[1], each.get(5)) for each in results],
                         [(400, "not-gzip"), (200, None), (200, None), (400, "not-gzip")])
        self.assertIn("compress", results[0][6])
        partitions = f"{self.platform.base('publish', 'v2', self.hrn)}/layers/zip/partitions"
        for payload, status in ((b"text", 400), (good, 204)):
            entries = [{"partition": "e", "data": base64.b64encode(each).decode()} for each in (good, payload)]
            answer = self.platform.post(partitions, {"partitions": entries})
            self.assertEqual(answer.status, status, answer.text)
            self.assertIn("not-gzip" if status == 400 else "", answer.text)
        for body in (good, large, iter([large])):
            self.assertEqual(self.post(body, headers=zipped).status, 200)
        messages = self.messages(7, "zip")
        self.assertEqual([data(each) for each in messages], [good, b"", good, good, good, b"", b""])
        self.assertEqual([each["metaData"]["dataSize"] for each in messages[5:]], [len(large)] * 2)

    def test_ingest_checks_that_blobs_of_gzip_layers_are_gzip(self):
        """Whatever the PUT's Content-Encoding says: consumers go by the layer's."""
        self.gzip_layer()
        good = gzip.compress(os.urandom(MIB))
        for body in (b"text", b"", good[:19], b"m" * MIB):
            for headers in ({}, {"Content-Encoding": "gzip"}):
                answer = self.platform.put(f"{self.blobs}/h", body, headers={"Content-Type": OCTETS, **headers})
                self.assertEqual((answer.status, answer.json()["code"]), (400, "not-gzip"), answer.text)
        self.assertEqual(self.platform.get(f"{self.blobs}/h").status, 404)
        self.assertEqual(self.platform.put(f"{self.blobs}/h", good, headers={"Content-Type": OCTETS}).status, 204)
        self.assertEqual(self.platform.get(f"{self.blobs}/h").body, good)

    def batch(self, *records):
        answer = self.post(b"".join(cbor(record) for record in records), CBOR)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, CBOR))
        return uncbor(answer.body)

    def test_ingest_of_records_with_a_data_handle(self):
        body = os.urandom(2 * MIB)
        digest = hashlib.sha256(body).hexdigest()
        self.assertEqual(self.platform.put(f"{self.blobs}/h-1", body, headers={"Content-Type": OCTETS}).status, 204)
        results = self.batch({1: "a", 7: "h-1"}, {1: "b", 7: "missing"}, {1: "c", 2: b"x", 7: "h-1"},
                             {1: "d", 7: "a/b"}, {1: "e", 5: "0" * 64, 7: "h-1"}, {1: "f", 2: b"inline"},
                             {1: "g", 5: digest, 7: "h-1", 8: len(body)})
        self.assertEqual([(each[1], each.get(5)) for each in results],
                         [(200, None), (400, "no-such-blob"), (400, "data-handle-refused"), (400, "bad-data-handle"),
                          (400, "checksum-mismatch"), (200, None), (200, None)])
        first, second, third = self.messages(3)
        self.check_large(first, body, partition="a", dataHandle="h-1")
        self.assertEqual(data(second), b"inline")
        self.check_large(third, body, partition="g", dataHandle="h-1")

    # --- messages that are sent again ---

    def lose(self, body, content_type, headers):
        """Sends a whole request and breaks the connection without reading the answer."""
        parts = urllib.parse.urlsplit(self.url)
        head = (f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {self.platform.token}\r\n"
                f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
                + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(head + body)
            if len(body) > MIB:  # a reset would throw away what has not been read
                connection.shutdown(socket.SHUT_WR)
            else:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))

    def test_ingest_lost_answers(self):
        """The answer is lost, the request is sent again: one record."""
        rounds = 30
        for number in range(rounds):
            headers = {"X-HERE-TraceId": f"t-{number}", "X-HERE-Message-Key": "k"}
            body = b"payload %d" % number
            self.lose(body, OCTETS, headers)
            answer = self.post(body, headers=headers)
            self.assertEqual((answer.status, answer.json()), (200, {"TraceID": f"t-{number}"}))
        messages = self.messages(rounds)
        self.assertEqual([data(each) for each in messages], [b"payload %d" % number for number in range(rounds)])

    def test_ingest_lost_answers_of_batches(self):
        """Every record of the batch that is sent again has the first one's offset."""
        records = [{1: "k", 2: b"%d" % number, 4: f"t-{number}"} for number in range(500)]
        body = b"".join(cbor(record) for record in records)
        self.lose(body, CBOR, {})
        first, second = self.batch(*records), self.batch(*records)
        self.assertEqual([each[1] for each in first], [200] * 500)
        self.assertEqual(first, second)
        self.assertEqual([each[4] for each in first], list(range(500)))
        self.assertEqual([data(each) for each in self.messages(500)], [b"%d" % number for number in range(500)])

    def test_ingest_lost_answers_of_large_bodies(self):
        headers = {"X-HERE-TraceId": "t", "X-HERE-Message-Key": "k"}
        body = os.urandom(2 * MIB)
        self.lose(body, OCTETS, headers)
        for _ in range(2):
            self.assertEqual(self.post(body, headers=headers).status, 200)
        self.check_large(self.messages(1)[0], body)

    def test_ingest_what_is_no_repeat(self):
        """Another trace id, key or payload, or none of the client's: written again."""
        first = {"X-HERE-TraceId": "t", "X-HERE-Message-Key": "k"}
        for headers, body in ((first, b"x"), ({**first, "X-HERE-TraceId": "u"}, b"x"),
                              ({**first, "X-HERE-Message-Key": "l"}, b"x"), (first, b"y"),
                              ({"X-HERE-Message-Key": "k"}, b"x"), ({"X-HERE-Message-Key": "k"}, b"x")):
            self.assertEqual(self.post(body, headers=headers).status, 200)
        results = self.batch({1: "k", 2: b"x", 4: "t"}, {1: "k", 2: b"x"}, {1: "k", 2: b"x"}, {1: "k", 2: None, 4: "t"},
                             {1: "k", 2: b"n", 4: "v"}, {1: "k", 2: b"n", 4: "v"})
        self.assertEqual([(each[1], each[4]) for each in results],
                         [(200, 0), (200, 6), (200, 7), (200, 8), (200, 9), (200, 9)])
        self.assertEqual(len(self.messages(10)), 10)

    def test_ingest_repeats_are_counted(self):
        def counter():
            lines = self.platform.get("/metrics").text.splitlines()
            return [int(line.split()[1]) for line in lines if line.startswith("streamlayer_repeats_answered_total ")][0]
        before = counter()
        for _ in range(3):
            self.assertEqual(self.post(b"x", headers={"X-HERE-TraceId": "t"}).status, 200)
        self.assertGreaterEqual(counter(), before + 2)

    def test_ingest_with_a_timestamp_and_headers(self):
        """Ours: X-SL-Timestamp and X-SL-Header-NAME."""
        stamp = int(time.time() * 1000) - 12345
        answer = self.post(b"x", headers={"X-SL-Timestamp": str(stamp), "X-SL-Header-source": "probe"})
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(self.messages(1)[0]["metaData"]["timestamp"], stamp)
        for expired_or_ahead in ("1700000000123", str(stamp + 7200000)):
            self.assertEqual(self.post(b"x", headers={"X-SL-Timestamp": expired_or_ahead}).status, 400)
        for wrong in ("yesterday", "-1", "99999999999999999999"):
            self.assertEqual(self.post(b"x", headers={"X-SL-Timestamp": wrong}).status, 400, wrong)

    def test_ingest_of_a_large_body_asks_first(self):
        """Expect: 100-continue, as SDKs send it with large bodies."""
        parts = urllib.parse.urlsplit(self.url)
        body = b"e" * 500000
        head = (f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {self.platform.token}\r\n"
                f"Content-Type: {OCTETS}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n"
                "Connection: close\r\n\r\n").encode()
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall(head)
            self.assertRegex(connection.recv(100), rb"^HTTP/1\.1 100 ")
            connection.sendall(body)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        self.assertRegex(answer, rb"^HTTP/1\.1 200 ")
        self.assertEqual(data(self.messages(1)[0]), body)

    def test_ingest_wrong_token(self):
        for token in (None, "not-a-token"):
            answer = self.post(b"x", token=token)
            self.assertEqual(answer.status, 401)
            self.assertRegex(answer.headers.get("www-authenticate", ""), "Bearer")
        self.assertEqual(self.messages(0), [])


if __name__ == "__main__":
    streamlayer.main()
