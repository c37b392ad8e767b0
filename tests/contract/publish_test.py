"""publish v2: messages by their metadata, straight into a layer or gathered in a publication."""
import base64
import hashlib
import json
import os
import socket
import struct
import time
import urllib.parse

import streamlayer
from streamlayer import Subscription, TestCase, data

OCTETS = "application/octet-stream"
MIB = 1024 * 1024


def inline(partition, payload, **more):
    return {"partition": partition, "data": base64.b64encode(payload).decode(), **more}


class Publish(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", parallelization=1)
        self.base = self.platform.base("publish", "v2", self.hrn)
        self.direct = f"{self.base}/layers/layer/partitions"
        self.blobs = f"{self.platform.base('blob', 'v1', self.hrn)}/layers/layer/data"

    def messages(self, count, layer="layer"):
        subscription = Subscription(self.platform, self.hrn, layer, properties={"auto.offset.reset": "earliest"})
        try:
            messages = subscription.receive(count) if count else subscription.poll()
            self.assertEqual(len(messages), count)
            return messages
        finally:
            subscription.delete()

    def expect(self, answer, status, code=None):
        self.assertEqual(answer.status, status, answer.text)
        if code:
            self.assertEqual(answer.json()["code"], code)
        else:
            self.assertEqual(answer.body, b"")

    def begin(self, *layers):
        answer = self.platform.post(f"{self.base}/publications?billingTag=t", {"layerIds": list(layers or ["layer"])})
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(answer.json()["layerIds"], list(layers or ["layer"]))
        self.assertEqual(answer.json()["details"]["state"], "initialized")
        return answer.json()["id"]

    def upload(self, publication, partitions, layer="layer"):
        return self.platform.post(f"{self.base}/layers/{layer}/publications/{publication}/partitions",
                                  {"partitions": partitions})

    def submit(self, publication):
        return self.platform.put(f"{self.base}/publications/{publication}")

    def put_blob(self, handle, size=2 * MIB):
        body = os.urandom(size)
        self.assertEqual(self.platform.put(f"{self.blobs}/{handle}", body, headers={"Content-Type": OCTETS}).status, 204)
        return {"dataHandle": handle, "dataSize": size, "checksum": hashlib.sha256(body).hexdigest()}

    def test_publish_straight(self):
        stamp = int(time.time() * 1000) - 5000
        blob = self.put_blob("h-1")
        partitions = [inline("a", b"one", timestamp=stamp, crc="1a2b"), {"partition": "b", "dataHandle": "h-1"},
                      inline("c", b""), {"partition": "d", **blob, "compressedDataSize": 7},
                      inline("e", b"m" * MIB, checksum=hashlib.sha256(b"m" * MIB).hexdigest(), dataHandle=None)]
        self.expect(self.platform.post(self.direct, {"partitions": partitions, "ignored": 1}), 204)
        self.expect(self.platform.post(self.direct, {"partitions": []}), 204)
        a, b, c, d, e = [message["metaData"] for message in self.messages(5)]
        self.assertEqual([each["partition"] for each in (a, b, c, d, e)], ["a", "b", "c", "d", "e"])
        self.assertEqual((a["data"], a["timestamp"], a["crc"]), ("b25l", stamp, "1a2b"))
        self.assertEqual({name: b.get(name) for name in blob}, blob)
        self.assertNotIn("data", b)
        self.assertEqual(c["data"], "")
        self.assertEqual({name: d.get(name) for name in blob}, blob)
        self.assertEqual(d["compressedDataSize"], 7)
        self.assertEqual(base64.b64decode(e["data"]), b"m" * MIB)

    def test_publish_without_a_partition_id(self):
        """As with ingest: the trace id is the partition id."""
        self.expect(self.platform.post(self.direct, {"partitions": [{"data": "eA=="}, {"data": "eQ==", "partition": None}]}), 204)
        first, second = [message["metaData"]["partition"] for message in self.messages(2)]
        self.assertTrue(first)
        self.assertNotEqual(first, second)

    def test_publish_refuses_all_or_nothing(self):
        self.put_blob("h-1", 10)
        now = int(time.time() * 1000)
        bad = [("bad-partition", {"partition": "k"}), ("bad-partition", "text"), ("bad-partition", inline(7, b"x")),
               ("bad-partition", {"partition": "k", "data": "no base64!"}), ("bad-partition", {"partition": "k", "data": 1}),
               ("bad-partition", inline("k", b"x", dataSize=-1)), ("bad-partition", inline("k", b"x", dataSize="1")),
               ("bad-partition", inline("k", b"x", crc="a b")), ("bad-message-key", inline("", b"x")),
               ("bad-message-key", inline("x" * 501, b"x")), ("data-handle-refused", inline("k", b"x", dataHandle="h-1")),
               ("bad-data-handle", {"partition": "k", "dataHandle": "../h-1"}),
               ("no-such-blob", {"partition": "k", "dataHandle": "missing"}),
               ("bad-checksum", inline("k", b"x", checksum="sha")),
               ("checksum-mismatch", inline("k", b"x", checksum="0" * 64)),
               ("checksum-mismatch", {"partition": "k", "dataHandle": "h-1", "checksum": "0" * 64}),
               ("bad-timestamp", inline("k", b"x", timestamp=now - 80 * 3600 * 1000)),
               ("bad-timestamp", inline("k", b"x", timestamp=now + 2 * 3600 * 1000))]
        publication = self.begin()
        for code, partition in bad:
            for answer in (self.platform.post(self.direct, {"partitions": [inline("k", b"good"), partition]}),
                           self.upload(publication, [inline("k", b"good"), partition])):
                self.expect(answer, 400, code)
                self.assertIn('"partitions"[1]', answer.json()["cause"])
        answer = self.platform.post(self.direct, {"partitions": [inline("k", b"m" * (MIB + 1))]})
        self.expect(answer, 413, "payload-too-large")
        for body in (b"", b"[]", b"{}", b'{"partitions":{}}', b'{"partitions":[{]}', b"null"):
            answer = self.platform.post(self.direct, body, headers={"Content-Type": "application/json"})
            self.assertEqual(answer.status, 400, body)
        self.expect(self.submit(publication), 204)
        self.assertEqual(self.messages(0), [])

    def test_publish_bounds_what_json_takes(self):
        """A value of two bytes takes a hundred in memory."""
        body = b'{"partitions":[{"data":"","unknown":[' + b"[]," * 2000000 + b"[]]}]}"
        answer = self.platform.post(self.direct, body, headers={"Content-Type": "application/json"})
        self.expect(answer, 413, "too-many-records")
        text = base64.b64encode(b"x" * 1000).decode() + "==,[{" * 400000  # not counted: it is one
        answer = self.platform.post(self.direct, {"partitions": [inline("k", b"x"), {"partition": "k", "data": text}]})
        self.expect(answer, 400, "bad-partition")
        answer = self.platform.post(f"{self.base}/publications", {"layerIds": ["layer"], "unknown": "x" * (2 * MIB)})
        self.expect(answer, 413, "body-too-large")

    def test_publish_to_what_is_not_there(self):
        self.expect(self.platform.post(self.direct.replace("/layer/", "/none/"), {"partitions": []}), 404, "no-such-layer")
        self.expect(self.platform.post(f"{self.base}/publications", {"layerIds": ["layer", "none"]}), 404, "no-such-layer")
        for body in ({}, {"layerIds": []}, {"layerIds": [1]}, {"layerIds": "layer"}, []):
            self.assertEqual(self.platform.post(f"{self.base}/publications", body).status, 400, body)
        self.platform.layer(self.hrn, "other", parallelization=1)
        publication = self.begin()
        self.expect(self.upload(publication, [], layer="other"), 400, "layer-not-in-publication")
        self.expect(self.upload(publication, [], layer="none"), 404, "no-such-layer")
        elsewhere = self.platform.base("publish", "v2", self.platform.catalog())
        for method, url in (("PUT", f"{self.base}/publications/none"), ("GET", f"{self.base}/publications/none"),
                            ("DELETE", f"{self.base}/publications/none"), ("GET", f"{elsewhere}/publications/{publication}")):
            self.expect(self.platform.request(method, url), 404, "no-such-publication")
        self.expect(self.upload("none", []), 404, "no-such-publication")

    def test_publish_by_a_publication(self):
        """Nothing is there before it is submitted, and all of it afterwards; a submit sent again changes nothing."""
        self.platform.layer(self.hrn, "other", parallelization=1)
        blob = self.put_blob("h-1")
        publication = self.begin("layer", "other")
        self.expect(self.upload(publication, [inline("k", b"%d" % number) for number in range(1200)]), 204)
        self.expect(self.upload(publication, [inline("o", b"elsewhere")], layer="other"), 204)
        self.expect(self.upload(publication, [{"partition": "b", "dataHandle": "h-1"}]), 204)
        self.assertEqual(self.messages(0), [])
        self.expect(self.submit(publication), 204)
        messages = self.messages(1201)
        self.assertEqual([data(each) for each in messages[:1200]], [b"%d" % number for number in range(1200)])
        self.assertEqual(messages[1200]["metaData"]["dataHandle"], blob["dataHandle"])
        self.assertEqual(data(self.messages(1, "other")[0]), b"elsewhere")
        self.expect(self.submit(publication), 204)
        answer = self.platform.get(f"{self.base}/publications/{publication}")
        self.assertEqual((answer.status, answer.json()["details"]["state"]), (200, "succeeded"))
        self.expect(self.upload(publication, [inline("k", b"late")]), 409, "publication-closed")
        self.assertEqual(len(self.messages(1201)), 1201)

    def test_publish_gives_up(self):
        publication = self.begin()
        self.expect(self.upload(publication, [inline("k", b"x")]), 204)
        url = f"{self.base}/publications/{publication}"
        self.assertEqual(self.platform.get(url).json()["id"], publication)
        self.expect(self.platform.delete(url), 204)
        self.expect(self.platform.get(url), 404, "no-such-publication")
        self.expect(self.submit(publication), 404, "no-such-publication")
        self.assertEqual(self.messages(0), [])

    def test_publish_submit_whose_answer_is_lost(self):
        publication = self.begin()
        count = 5000
        self.expect(self.upload(publication, [inline("k", b"%d" % number) for number in range(count)]), 204)
        parts = urllib.parse.urlsplit(f"{self.base}/publications/{publication}")
        for _ in range(3):
            with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
                connection.sendall((f"PUT {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 0\r\n"
                                    f"Authorization: Bearer {self.platform.token}\r\n\r\n").encode())
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        self.expect(self.submit(publication), 204)
        self.assertEqual([data(each) for each in self.messages(count)], [b"%d" % number for number in range(count)])

    def test_publish_wants_a_token(self):
        for method, url in (("POST", self.direct), ("POST", f"{self.base}/publications"), ("PUT", f"{self.base}/publications/x")):
            answer = self.platform.request(method, url, json.dumps({"partitions": []}).encode(), token=None)
            self.assertEqual(answer.status, 401)


if __name__ == "__main__":
    streamlayer.main()
