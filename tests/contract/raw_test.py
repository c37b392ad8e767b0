"""Bytes instead of requests: slow, half, too large, and such as two readers understand differently. Others are served
meanwhile, which a prober finds out all the time."""
import http.client
import itertools
import json
import re
import resource
import socket
import ssl
import subprocess
import threading
import urllib.parse

import daemon
import streamlayer
from streamlayer import Subscription, TestCase, data

OCTETS = {"Content-Type": "application/octet-stream"}
HOST = b"Host: x\r\n"
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"  # what would be answered if it were taken for a request
PATIENCE_S = 60  # for what must happen, however slow the machine


def address_of(url):
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port


def read_all(connection):
    """What comes until the other side closes, or resets because it did not want all that was sent."""
    answer = b""
    try:
        while piece := connection.recv(65536):
            answer += piece
    except ConnectionError:
        pass
    return answer


def talk(address, text):
    """Sends all of it as far as it is taken; returns all that comes back."""
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(text)
        except ConnectionError:
            pass
        return read_all(connection)


def dribble(connection, piece=b"x"):
    """Sends a little now and then until the other side has had enough; returns what it said."""
    connection.settimeout(0.1)
    while True:
        try:
            connection.send(piece)
            answer = connection.recv(65536)
            return answer + read_all(connection) if answer else b""
        except socket.timeout:
            continue
        except ConnectionError:
            return b""


class Prober:
    """Asks for /health again and again, on one connection that it keeps, until it is stopped."""

    def __init__(self, url, context=None):
        self.url, self.context = url, context
        self.answers, self.wrong = 0, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        host, port = address_of(self.url)
        connection = (http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=self.context) if self.context
                      else http.client.HTTPConnection(host, port, timeout=PATIENCE_S))
        while not self.stopping.is_set():
            try:
                connection.request("GET", "/health")
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    self.wrong.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(repr(error))
                return
            self.answers += 1
        connection.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


class Slow(TestCase):
    """On a gateway of their own, which is impatient."""

    def start(self, settings):
        running = daemon.Daemon(self.platform, self.scratch(), settings=settings).start()
        self.addCleanup(running.kill)
        return running.url(), running

    def cut(self, url, waited_for, context=None):
        """How many connections were cut, by /metrics."""
        host, port = address_of(url)
        connection = (http.client.HTTPSConnection(host, port, timeout=PATIENCE_S, context=context) if context
                      else http.client.HTTPConnection(host, port, timeout=PATIENCE_S))
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        for line in text.splitlines():
            if line.startswith(f'streamlayer_http_connections_cut_total{{waited_for="{waited_for}"}} '):
                return int(line.rsplit(" ", 1)[1])
        raise AssertionError(f"not counted: {waited_for}")

    def test_slow_senders_are_cut(self):
        """A head that does not end, a body that comes too slowly, a connection that says nothing: many of each."""
        url, running = self.start("limits { header-timeout = 1 s, body-rate = 100 KiB, idle-timeout = 10 minutes }")
        address, said, threads = address_of(url), [], []

        def send(begin):
            with socket.create_connection(address, timeout=PATIENCE_S) as connection:
                connection.sendall(begin)
                said.append(dribble(connection) if begin else read_all(connection))

        heads = [b"GET /hea", b"GET /health HTTP/1.1\r\n" + HOST + b"X-A: "]
        bodies = [b"POST /oauth2/token HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\nx",
                  b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\nx"]
        with Prober(url) as prober:
            for begin in [*heads, *bodies, b""] * 20:
                threads.append(threading.Thread(target=send, args=(begin,)))
                threads[-1].start()
            for thread in threads:
                thread.join()
        self.assertEqual(said, [b""] * 100)
        self.assertEqual((prober.wrong, prober.answers > 0), ([], True))
        self.assertEqual((self.cut(url, "head"), self.cut(url, "body")), (60, 40))
        self.assertEqual(running.stop(), 0, running.text())

    def test_a_slow_chunked_body_is_cut(self):
        """Chunks of one byte cost ten times what they bring."""
        url, running = self.start("limits { header-timeout = 1 s, body-rate = 100 KiB }")
        with socket.create_connection(address_of(url), timeout=PATIENCE_S) as connection:
            connection.sendall(b"POST /oauth2/token HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            self.assertEqual(dribble(connection, b"1\r\nx\r\n"), b"")
        self.assertEqual(self.cut(url, "body"), 1)
        self.assertEqual(running.stop(), 0, running.text())

    def test_slow_handshakes_are_cut(self):
        directory = self.scratch()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1", "-out",
                        f"{directory}/pem", "-keyout", f"{directory}/key"], check=True, capture_output=True)
        url, running = self.start(f'limits.header-timeout = 1 s, listen.tls {{ certificate = "{directory}/pem", '
                                  f'key = "{directory}/key" }}')
        context = ssl.create_default_context(cafile=f"{directory}/pem")
        with Prober(url, context) as prober:
            for begin in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):  # nothing; a ClientHello's first bytes
                with socket.create_connection(address_of(url), timeout=PATIENCE_S) as connection:
                    connection.sendall(begin)
                    said = dribble(connection, b"\x00") if begin else read_all(connection)
                    self.assertNotIn(b"HTTP", said)
            with socket.create_connection(address_of(url), timeout=PATIENCE_S) as plain, \
                    context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\n" + HOST)  # and no end
                with self.assertRaises((OSError, EOFError)):
                    if not connection.recv(1):
                        raise EOFError
        self.assertEqual((prober.wrong, prober.answers > 0), ([], True))
        self.assertEqual(self.cut(url, "head", context), 3)
        self.assertEqual(running.stop(), 0, running.text())

    def test_a_reader_that_takes_nothing_is_cut(self):
        """Metrics again and again, none of which is read: the connection ends, and what it held."""
        url, running = self.start("limits { idle-timeout = 1 s, body-rate = 100 KiB }")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(PATIENCE_S)
        connection.connect(address_of(url))
        with Prober(url) as prober:
            def push():
                try:
                    while True:
                        connection.sendall(b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n")
                except OSError:
                    return
            thread = threading.Thread(target=push)
            thread.start()
            streamlayer.wait_for(lambda: self.cut(url, "answer") == 1, PATIENCE_S, "it is cut")
            thread.join()
        connection.close()
        self.assertEqual((prober.wrong, prober.answers > 0), ([], True))
        self.assertEqual(running.stop(), 0, running.text())

    def test_an_address_has_so_many_connections(self):
        url, running = self.start("limits { connections-per-address = 3, header-timeout = 7 s }")
        held = [socket.create_connection(address_of(url), timeout=PATIENCE_S) for _ in range(3)]
        for connection in held:
            connection.sendall(SMUGGLED)
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
        answer = talk(address_of(url), SMUGGLED + SMUGGLED)
        self.assertTrue(answer.startswith(b"HTTP/1.1 429 "), answer)
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
        for part in (b'"code":"too-many-connections"', b"Retry-After: 7\r\n", b"Connection: close\r\n"):
            self.assertIn(part, answer)
        other = socket.create_connection(address_of(url), timeout=PATIENCE_S, source_address=("127.0.0.2", 0))
        other.sendall(SMUGGLED)
        self.assertTrue(other.recv(65536).startswith(b"HTTP/1.1 200 "))
        for connection in [*held, other]:
            connection.close()
        streamlayer.wait_for(lambda: talk(address_of(url), SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                             .startswith(b"HTTP/1.1 200 "), PATIENCE_S, "those that ended made room")
        self.assertRegex(talk(address_of(url), SMUGGLED.replace(b"/health", b"/metrics").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")),
                         rb'\nstreamlayer_limit_reached_total\{limit="connections-per-address"\} [1-9]')
        self.assertEqual(running.stop(), 0, running.text())

    def test_what_is_no_request_gets_a_page(self):
        """The HTTP library's own, as docs/errors.md says; with what is known of it in the access log."""
        log = self.scratch() + "/access.log"
        url, running = self.start(f'access-log {{ file = "{log}", format = json }}')
        post, rest = b"POST /oauth2/token HTTP/1.1\r\n" + HOST, HOST + b"\r\n"
        rows = [(post + b"Content-Length: -5\r\n\r\n", 400), (post + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
                (post + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400), (b"GET /health\r\n" + rest, 400),
                (post + b"no header\r\n\r\n", 400), (b"GET /health HTTP/2.0\r\n" + rest, 505),
                (b"GET /health HTTP/1.1\r\nX-A: " + b"a" * 100000 + b"\r\n" + rest, 431),
                (b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n" + rest, 414)]
        for text, status in rows:
            answer = talk(address_of(url), text)
            self.assertEqual(set(re.findall(rb"HTTP/1\.[01] (\d+) ", answer)), {b"%d" % status}, (text[:80], answer))
            self.assertIn(b"<html>", answer)
            self.assertIn(b"\r\nConnection: close\r\n", answer)
            self.assertNotIn(b"X-Request-Id", answer)
        self.assertEqual(running.stop(), 0, running.text())
        entries = [json.loads(line) for line in streamlayer.read_text(log).splitlines()]
        self.assertEqual({(entry["client"], entry["status"]) for entry in entries}, {("127.0.0.1", 0)}, entries)

    def test_ten_thousand_idle_connections(self):
        """Each has had an answer, and keeps its connection. Messages are written and read as ever."""
        count, each = 10000, 500
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertGreaterEqual(hard, count + 500, "the machine allows too few descriptors for this test")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        directory = self.scratch()
        key = daemon.make_data(self.platform, directory)
        running = daemon.Daemon(self.platform, directory, settings="limits { connections = 10100, idle-timeout = 1 h }")
        running.before = ("sh", "-c", 'ulimit -Sn 1024; exec "$@"', "sh")  # as a login has it
        running.start()
        self.addCleanup(running.kill)
        platform = daemon.platform_of(running, key)
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        held = []
        self.addCleanup(lambda: [connection.close() for connection in held])
        with Prober(running.url()) as prober:
            for i in range(count):
                source = (f"127.0.0.{2 + i // each}", 0)
                connection = socket.create_connection(address_of(running.url()), timeout=PATIENCE_S, source_address=source)
                held.append(connection)
                connection.sendall(SMUGGLED)
            for connection in held:
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
            text = platform.get("/metrics", token=None).text
            self.assertGreaterEqual(int(text.split("\nstreamlayer_http_connections ")[1].split()[0]), count)
            subscription = Subscription(platform, hrn, "layer", properties={"auto.offset.reset": "earliest"})
            for i in range(20):
                platform.publish(hrn, "layer", b"%d" % i)
            self.assertEqual([data(message) for message in subscription.receive(20)], [b"%d" % i for i in range(20)])
            subscription.delete()
            for connection in held[::100]:  # they are served still
                connection.sendall(SMUGGLED)
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 200 "))
        self.assertEqual((prober.wrong, prober.answers > 0), ([], True))
        for connection in held:
            connection.close()
        self.assertEqual(running.stop(), 0, running.text())


class Odd(TestCase):
    """On the shared gateway."""

    def setUp(self):
        self.address = address_of(self.platform.url)

    def head(self, hrn, more):
        path = urllib.parse.urlsplit(self.platform.base("ingest", "v1", hrn)).path
        return (f"POST {path}/layers/layer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.platform.token}\r\n"
                f"Content-Type: application/octet-stream\r\n").encode() + more + b"\r\n"

    def test_half_closed_connections(self):
        """A whole request is answered though its client sends no more; half a one is nothing."""
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "layer", parallelization=1)
        whole = self.head(hrn, b"Content-Length: 5\r\n")
        rows = [(SMUGGLED, 1), (whole + b"whole", 1), (SMUGGLED[:-2], 0), (b"GET /hea", 0),
                (b"", 0), (whole, 0), (whole + b"hal", 0), (self.head(hrn, b"Transfer-Encoding: chunked\r\n") + b"5\r\nhal", 0),
                (self.head(hrn, b"Transfer-Encoding: chunked\r\n") + b"4\r\nhalf\r\n", 0)]
        for (text, answers), more in itertools.product(rows, (0, socket.MSG_MORE)):  # the end by itself, and with it
            with socket.create_connection(self.address, timeout=PATIENCE_S) as connection:
                connection.sendall(text, more)
                connection.shutdown(socket.SHUT_WR)
                answer = read_all(connection)
                self.assertEqual(answer.count(b"HTTP/1.1 200 "), answers, (text, answer))
                self.assertEqual(answer.count(b"HTTP/1.1 "), answers, (text, answer))
        self.platform.publish(hrn, "layer", b"last")
        subscription = Subscription(self.platform, hrn, "layer", properties={"auto.offset.reset": "earliest"})
        self.assertEqual([data(message) for message in subscription.receive(3)], [b"whole", b"whole", b"last"])
        subscription.delete()

    def test_bombs(self):
        """Heads without an end: refused or cut off, and bounded in memory."""
        line = b"GET /health HTTP/1.1\r\n" + HOST
        bombs = [line + b"X-A: " + b"a" * 10000000 + b"\r\n\r\n", line + b"a" * 10000000,
                 line + b"X-A: b\r\n" * 1000000 + b"\r\n", line + b"a:b\r\n" * 1000000,
                 line + b"X-A: b\r\n" + b" c\r\n" * 1000000, b"GET /" + b"a" * 10000000 + b" HTTP/1.1\r\n\r\n",
                 b"GET /health?" + b"a=b&" * 1000000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
                 line + b"Cookie: " + b"a=b; " * 1000000 + b"\r\n\r\n", b"\r\n" * 5000000, b"\0" * 10000000,
                 b"A" * 10000000]

        def rss():
            text = self.platform.get("/metrics", token=None).text
            return int(float(text.split("\nprocess_resident_memory_bytes ")[1].split()[0]))

        with Prober(self.platform.url) as prober:
            before = rss()
            for bomb in bombs:
                answer = talk(self.address, bomb)
                self.assertNotIn(b"HTTP/1.1 2", answer, bomb[:80])
                self.assertLessEqual(answer.count(b"HTTP/1.1 "), 1, (bomb[:80], answer))
            self.assertLess(rss() - before, 64 << 20)
        self.assertEqual((prober.wrong, prober.answers > 0), ([], True))

    def test_requests_are_not_smuggled(self):
        """Where a request ends is clear, or the connection ends: what follows is not answered as another request."""
        lengths = [b"Content-Length: 4\r\nContent-Length: 4\r\n", b"Content-Length: 4\r\nContent-Length: 0\r\n",
                   b"Content-Length: 4, 4\r\n", b"Content-Length: +4\r\n", b"Content-Length: -4\r\n", b"Content-Length: 0x4\r\n",
                   b"Content-Length: 4 4\r\n", b"Content-Length: 4;\r\n", b"Content-Length:\r\n", b"Content-Length: a\r\n",
                   b"Content-Length: 4.0\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length : 4\r\n",
                   b"Content-Length\t: 4\r\n", b" Content-Length: 4\r\n", b"Content-Length\0: 4\r\n", b"Content-Length 4\r\n"]
        codings = [b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                   b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                   b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"Transfer-Encoding: identity\r\n",
                   b"Transfer-Encoding: gzip, chunked\r\n", b"Transfer-Encoding: chunked, gzip\r\n",
                   b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding: xchunked\r\n",
                   b"Transfer-Encoding: chunkedx\r\n", b"Transfer-Encoding: \"chunked\"\r\n", b"Transfer-Encoding: chunked;q=1\r\n",
                   b"Transfer-Encoding: \x0bchunked\r\n", b"Transfer-Encoding: chunked\x00\r\nTransfer-Encoding: x\r\n",
                   b"Transfer-Encoding:\r\n", b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding\t: chunked\r\n",
                   b" Transfer-Encoding: chunked\r\n", b"X: y\r\n Transfer-Encoding: chunked\r\n",
                   b"Transfer-Encodin: chunked\r\n g\r\n", b"Transfer-Encoding:\r\n chunked\r\n", b"X: y\rTransfer-Encoding: chunked\r\n",
                   b"X: y\r\n\tz\r\n", b"Transfer-Encoding: chunked\rX: y\r\n"]
        hosts = [b"Host: y\r\n", b"Host : y\r\n", b"X-A: b\rHost: y\r\n"]
        for more in [*lengths, *codings, *hosts]:
            text = b"POST /oauth2/token HTTP/1.1\r\n" + HOST + more + b"\r\n0\r\n\r\n" + SMUGGLED
            self.refused(text)
        self.refused(b"GET /health HTTP/1.1\r\n\r\n" + SMUGGLED)  # no Host
        self.refused(b"POST /oauth2/token HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED)
        for line in (b"GET /health HTTP/1.1 \r\n", b"GET /health HTTP/1.1\t\r\n", b"GET /health http/1.1\r\n", b"GET /health\r\n",
                     b"GET /health HTTP/2.0\r\n", b"GET /health HTTP/0.9\r\n", b"GET  HTTP/1.1\r\n", b"GET\t/health HTTP/1.1\r\n"):
            self.refused(line + HOST + b"\r\n" + SMUGGLED)
        answer = talk(self.address, b"GET /health /health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertIn(b'"code":"bad-url"', answer)

    def test_bad_chunks_end_the_connection(self):
        chunks = [b"x\r\n", b"-1\r\nx\r\n", b"+1\r\nx\r\n", b"0x1\r\nx\r\n", b" 1\r\nx\r\n", b"1 \r\nx\r\n", b"1\t\r\nx\r\n",
                  b"\r\n", b";a=b\r\n", b"ffffffffffffffffff\r\nx\r\n", b"1\r\nxy\r\n", b"1\r\nx1\r\n", b"g\r\n"]
        for chunk in chunks:
            self.refused(b"POST /oauth2/token HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n" +
                         SMUGGLED)

    def refused(self, text):
        """With the end of the connection, and without an answer to anything else."""
        answer = talk(self.address, text)
        self.assertNotIn(b'"up"', answer, text)
        if answer:  # libmicrohttpd writes the head of some of its own pages twice
            self.assertRegex(answer, rb"^HTTP/1\.[01] (400|413|501|505) ", text)
            self.assertIn(b"\r\nConnection: close\r\n", answer, text)
            self.assertEqual(set(re.findall(rb"HTTP/1\.[01] (\d+) ", answer)), {answer[9:12]}, (text, answer))

    def test_what_is_clear_is_answered(self):
        """The same shapes as they should be: all of what follows is answered, too."""
        for more in (b"Content-Length: 5\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"Transfer-Encoding: Chunked\r\n\r\n1;a=b\r\nx\r\n00\r\n\r\n", b"Content-Length: 05\r\n\r\n0\r\n\r\n",
                     b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Trailer: y\r\nContent-Length: 9\r\n\r\n"):
            with socket.create_connection(self.address, timeout=PATIENCE_S) as connection:
                connection.sendall(b"POST /nowhere HTTP/1.1\r\n" + HOST + more + SMUGGLED)
                for status in (404, 200):
                    response = http.client.HTTPResponse(connection)
                    answer = b""
                    while b"\r\n\r\n" not in answer:
                        answer += connection.recv(1)
                    self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), (more, answer))
                    length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    while length:
                        length -= len(connection.recv(length))
                    response.close()


if __name__ == "__main__":
    streamlayer.main()
