"""ingest v1: one message a request."""
import hashlib
import time
import time

import streamlayer
from streamlayer import Subscription, TestCase, data

OCTETS = "application/octet-stream"


class Ingest(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", parallelization=1)
        self.url = f"{self.platform.base('ingest', 'v1', self.hrn)}/layers/layer"

    def post(self, body, content_type=OCTETS, **options):
        headers = {**({"Content-Type": content_type} if content_type else {}), **options.pop("headers", {})}
        return self.platform.post(self.url + options.pop("query", ""), body, headers=headers, **options)

    def messages(self, count):
        subscription = Subscription(self.platform, self.hrn, "layer", properties={"auto.offset.reset": "earliest"})
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
        """Over 1 MiB does not go inline; far over any limit is refused, and the connection's next request works."""
        answer = self.post(b"m" * (21 * 1024 * 1024))
        self.assertEqual(answer.status, 413, answer.text[:300])
        self.assertEqual(self.post(b"x").status, 200)

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
        import socket
        import urllib.parse
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
