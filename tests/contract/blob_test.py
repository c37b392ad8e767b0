"""blob v1: bytes beside a layer, and messages whose payload is one."""
import hashlib
import os
import socket
import urllib.parse

import streamlayer
from streamlayer import TestCase, wait_for

OCTETS = "application/octet-stream"
MIB = 1024 * 1024


class Blob(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", parallelization=1)
        self.base = f"{self.platform.base('blob', 'v1', self.hrn)}/layers/layer/data"

    def put(self, handle, body, **headers):
        answer = self.platform.put(f"{self.base}/{handle}", body, headers=headers)
        self.assertEqual(answer.status, 204, answer.text)
        self.assertEqual(answer.body, b"")

    def get(self, handle, **headers):
        return self.platform.get(f"{self.base}/{handle}", headers=headers)

    def raw(self, head, *pieces):
        """One request byte by byte; returns what comes back until the server closes."""
        parts = urllib.parse.urlsplit(self.base)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
            connection.sendall((head.replace("BASE", parts.path) + f"Host: {parts.netloc}\r\nAuthorization: Bearer "
                                f"{self.platform.token}\r\nConnection: close\r\n\r\n").encode())
            answer = b""
            for piece in pieces:
                if callable(piece):
                    piece(connection)
                else:
                    connection.sendall(piece)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def test_blob_is_stored_and_read(self):
        for size in (0, 1, MIB + 1, 5 * MIB + 12345):
            body = os.urandom(size)
            self.put("b.1-_X", body, **{"Content-Type": "image/png"})
            answer = self.get("b.1-_X")
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.body == body, f"{size}: {len(answer.body)} bytes came")
            self.assertEqual(answer.headers["content-type"], "image/png")
            self.assertEqual(answer.headers["content-length"], str(size))
            self.assertEqual(answer.headers["accept-ranges"], "bytes")
            self.assertEqual(answer.headers["etag"], f'"{hashlib.sha256(body).hexdigest()}"')
            self.assertIn("X-Correlation-Id", [name for name, _ in answer.raw_headers])
            head = self.platform.request("HEAD", f"{self.base}/b.1-_X")
            self.assertEqual((head.status, head.body, head.headers["content-length"]), (200, b"", str(size)))
            self.assertEqual(head.headers["etag"], answer.headers["etag"])

    def test_blob_accept_header_is_no_matter(self):
        self.put("b", b"x", **{"Content-Type": "image/png"})
        self.assertEqual(self.get("b", Accept="application/json").status, 200)

    def test_blob_that_is_not_there(self):
        for method in ("GET", "HEAD"):
            self.assertEqual(self.platform.request(method, f"{self.base}/missing").status, 404)
        self.assertEqual(self.get("missing").json()["code"], "no-such-blob")
        other = self.base.replace("/layer/", "/no-such-layer/")
        self.assertEqual(self.platform.put(f"{other}/b", b"x").json()["code"], "no-such-layer")
        self.assertEqual(self.platform.get(f"{other}/b").json()["code"], "no-such-layer")

    def test_blob_handles(self):
        for handle in ("a%2Fb", "..%2F..%2Fx", "a%20b", "%C3%A4", "a%0A", "x" * 129):
            for answer in (self.platform.put(f"{self.base}/{handle}", b"x"), self.get(handle)):
                self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-data-handle"), handle)
        for handle in ("x" * 128, "..", "%2e"):  # the dots come as they are: no client in between resolves them
            head = f"PUT BASE/{handle} HTTP/1.1\r\nContent-Length: 1\r\n"
            self.assertRegex(self.raw(head, b"y"), rb"^HTTP/1\.1 204 ")
            self.assertRegex(self.raw(f"GET BASE/{handle} HTTP/1.1\r\n"), rb"(?s)^HTTP/1\.1 200 .*\r\n\r\ny$")

    def test_blob_ranges(self):
        body = bytes(range(256)) * 8
        self.put("b", body)
        for text, first, end in (("0-0", 0, 1), ("0-9", 0, 10), ("10-", 10, 2048), ("-5", 2043, 2048),
                                 ("2047-9999", 2047, 2048), ("-9999", 0, 2048), ("0-", 0, 2048)):
            answer = self.get("b", Range=f"bytes={text}")
            self.assertEqual(answer.status, 206, text)
            self.assertEqual(answer.body, body[first:end], text)
            self.assertEqual(answer.headers["content-range"], f"bytes {first}-{end - 1}/2048")
            self.assertEqual(answer.headers["content-length"], str(end - first))
        for text in ("2048-", "5000-6000", "-0"):
            answer = self.get("b", Range=f"bytes={text}")
            self.assertEqual((answer.status, answer.headers.get("content-range")), (416, "bytes */2048"), text)
            self.assertEqual(answer.json()["code"], "range-not-satisfiable")
        for text in ("bytes=5-4", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=-", "bytes=1",
                     "bytes=99999999999999999999-"):
            answer = self.get("b", Range=text)
            self.assertEqual((answer.status, answer.body), (200, body), text)
        head = self.platform.request("HEAD", f"{self.base}/b", headers={"Range": "bytes=0-1"})
        self.assertEqual((head.status, head.headers["content-length"]), (200, "2048"))

    def test_blob_if_range(self):
        self.put("b", b"0123456789")
        etag = self.get("b").headers["etag"]
        self.assertEqual(self.get("b", Range="bytes=0-1", **{"If-Range": etag}).body, b"01")
        self.put("b", b"abcdefghij")
        answer = self.get("b", Range="bytes=0-1", **{"If-Range": etag})
        self.assertEqual((answer.status, answer.body), (200, b"abcdefghij"))

    def test_blob_keeps_the_encoding(self):
        self.put("b", b"not really gzip", **{"Content-Type": "text/plain", "Content-Encoding": "gzip"})
        answer = self.get("b")
        self.assertEqual((answer.headers["content-encoding"], answer.body), ("gzip", b"not really gzip"))

    def test_blob_put_without_a_length(self):
        """Chunked; with neither a length nor a body; and with leave asked for first."""
        answer = self.raw("PUT BASE/chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
                          b"5\r\nhello\r\n", b"6\r\n world\r\n", b"0\r\n\r\n")
        self.assertRegex(answer, rb"^HTTP/1\.1 204 ")
        self.assertEqual(self.get("chunked").body, b"hello world")
        self.assertRegex(self.raw("PUT BASE/empty HTTP/1.1\r\n"), rb"^HTTP/1\.1 204 ")
        answer = self.get("empty")
        self.assertEqual((answer.status, answer.body), (200, b""))
        body = os.urandom(2 * MIB)
        asked = lambda connection: self.assertRegex(connection.recv(100), rb"^HTTP/1\.1 100 ")
        answer = self.raw(f"PUT BASE/asked HTTP/1.1\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n", asked, body)
        self.assertRegex(answer, rb"^HTTP/1\.1 204 ")
        self.assertTrue(self.get("asked").body == body)

    def test_blob_half_a_body_is_no_blob(self):
        cut = lambda connection: connection.shutdown(socket.SHUT_RDWR)
        try:
            self.raw("PUT BASE/half HTTP/1.1\r\nContent-Length: 3000000\r\n", os.urandom(2 * MIB), cut)
        except OSError:
            pass
        self.assertEqual(self.get("half").status, 404)
        incoming = os.path.join(self.platform.environment["DIR"], "data", "blobs", "incoming")
        wait_for(lambda: not os.listdir(incoming), 60, "the half that came is removed")

    def test_blob_too_large(self):
        """Refused before the body comes, when its length is told."""
        answer = self.raw(f"PUT BASE/huge HTTP/1.1\r\nContent-Length: {10 ** 12}\r\nExpect: 100-continue\r\n")
        self.assertRegex(answer, rb"^HTTP/1\.1 413 ")
        self.assertIn(b"blob-too-large", answer)
        self.assertEqual(self.get("huge").status, 404)

    def test_blob_wants_a_token(self):
        self.put("b", b"x")
        for method in ("PUT", "GET", "HEAD"):
            answer = self.platform.request(method, f"{self.base}/b", token=None)
            self.assertEqual(answer.status, 401)

    def test_blob_of_a_layer_made_again(self):
        self.put("b", b"x")
        config = self.platform.base("config", "v1")
        self.assertEqual(self.platform.delete(f"{config}/catalogs/{self.hrn}/layers/layer").status, 200)
        self.assertEqual(self.get("b").status, 404)
        self.platform.layer(self.hrn, "layer", parallelization=1)
        self.assertEqual(self.get("b").json()["code"], "no-such-blob")


if __name__ == "__main__":
    streamlayer.main()
