"""HTTPS: the real command line, curl, and sockets against gateways of their own with certificates made here."""
import base64
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import urllib.parse
import warnings

import streamlayer
from streamlayer import Platform, Running, TestCase, wait_for

OCTETS = {"Content-Type": "application/octet-stream"}


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


CA_FILE = "here.platform.data-client.tls.ca-file"
DOCS_TEST = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "integration", "docs_test.py")


class Https(TestCase):
    def setUp(self):
        self.directory = self.scratch()
        self.make_ca("ca")
        self.make("server", "ca", "IP:127.0.0.1,DNS:localhost")

    def at(self, name):
        return f"{self.directory}/{name}"

    def make_ca(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.at(name + ".key"), "-out", self.at(name + ".pem"))

    def make(self, name, ca, alternative="DNS:client", days="20", usage=None):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", self.at(name + ".key"), "-out", self.at(name + ".csr"))
        streamlayer.write_text(self.at("extensions"), f"subjectAltName={alternative}\n" +
                               (f"extendedKeyUsage={usage}\n" if usage else ""))
        openssl("x509", "-req", "-in", self.at(name + ".csr"), "-CA", self.at(ca + ".pem"), "-CAkey", self.at(ca + ".key"),
                "-CAcreateserial", "-days", days, "-extfile", self.at("extensions"), "-out", self.at(name + ".pem"))
        os.chmod(self.at(name + ".key"), 0o600)

    def up(self, *arguments):
        """A whole platform over HTTPS, on the shared Kafka."""
        gateway = "streamlayer.gateway.listen.tls."
        up = Running(self.platform.binaries, self.at("data"), self.at("log"), "--kafka", self.platform.brokers,
                     "-D", f"{gateway}certificate={self.at('server.pem')}", "-D", f"{gateway}key={self.at('server.key')}",
                     "-D", f"here.platform.data-client.tls.ca-file={self.at('ca.pem')}", *arguments)
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        url = up.ready(60)
        self.assertTrue(url.startswith("https://"), url)
        platform = Secure({"URL": url, "BIN": self.platform.binaries, "CONFIG": self.at("data/application.conf")})
        platform.context = self.context()
        return up, platform

    def failed(self, platform, wanted):
        """Until just so many handshakes are counted, by reason."""
        def counted():
            text = platform.get("/metrics", token=None).text
            found = re.findall(r'\nstreamlayer_tls_handshakes_failed_total\{reason="(\w+)"\} (\d+)', text)
            return {reason: int(count) for reason, count in found if count != "0"} == wanted
        wait_for(counted, 30, f"handshakes that failed are counted: {wanted}")

    def context(self, identity=None, **versions):
        context = ssl.create_default_context(cafile=self.at("ca.pem"))
        if identity:
            context.load_cert_chain(self.at(identity + ".pem"), self.at(identity + ".key"))
        for name, value in versions.items():
            setattr(context, name, value)
        return context


class Secure(Platform):
    context = None

    def connect(self, context=None, timeout=60):
        parts = urllib.parse.urlsplit(self.url)
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context or self.context)

    def open_connection(self, parts, timeout):
        return self.connect(timeout=timeout)

    def socket(self, context=None, session=None):
        parts = urllib.parse.urlsplit(self.url)
        raw = socket.create_connection((parts.hostname, parts.port), 30)
        try:
            return (context or self.context).wrap_socket(raw, server_hostname=parts.hostname, session=session)
        except (ssl.SSLError, OSError):
            raw.close()
            raise

    def path(self, url):
        return url[len(self.url):] if url.startswith(self.url) else url

    def head(self, method, url, **headers):
        lines = [f"{method} {self.path(url)} HTTP/1.1", "Host: " + urllib.parse.urlsplit(self.url).netloc,
                 "Authorization: Bearer " + self.token] + [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_answer(receive):
    """Status and body of one answer. receive(): some bytes, b"" at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = receive()
        if not piece:
            raise AssertionError(f"the connection ended: {data!r}")
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"(?i)\r\ncontent-length: (\d+)", head).group(1))
    while len(body) < length:
        piece = receive()
        if not piece:
            raise AssertionError(f"the connection ended in the body, after {len(body)} bytes")
        body += piece
    return int(head.split()[1]), body[:length], body[length:]


class Whole(Https):
    def test_https_end_to_end(self):
        """The command line over both connectors, curl, a large body, and URLs that begin with https."""
        up, platform = self.up()
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        over_http = ["-D", "here.platform.data-client.stream.connector.producer=http-connector",
                     "-D", "here.platform.data-client.stream.connector.consumer=http-connector"]
        for options in (over_http, []):
            platform.cli(*options, "produce", hrn, "layer", "--key", "k", input=b"first\nsecond\n")
        got = platform.cli(*over_http, "consume", hrn, "layer", "--offset", "begin", "--count", "4", "--group", "g")
        self.assertEqual(sorted(got.stdout.decode().split()), ["first", "first", "second", "second"])
        self.assertTrue(platform.base("ingest", "v1", hrn).startswith(platform.url + "/ingest/v1/"))
        subscription = streamlayer.Subscription(platform, hrn, "layer")
        self.assertTrue(subscription.node.startswith("https://"))
        subscription.delete()

        large = os.urandom(5 << 20)
        with open(self.at("large"), "wb") as file:
            file.write(large)
        url = f"{platform.base('blob', 'v1', hrn)}/layers/layer/data/large"
        curl = ["curl", "--silent", "--show-error", "--noproxy", "*", "--fail", "--header",
                "Authorization: Bearer " + platform.token]
        subprocess.run([*curl, "--cacert", self.at("ca.pem"), "--header", "Content-Type: application/octet-stream",
                        "--upload-file", self.at("large"), url], check=True, timeout=60)
        subprocess.run([*curl, "--cacert", self.at("ca.pem"), "--output", self.at("back"), url], check=True, timeout=60)
        with open(self.at("back"), "rb") as file:
            self.assertEqual(hashlib.sha256(file.read()).digest(), hashlib.sha256(large).digest())
        # Nobody is fooled: without the CA, by another name, or without TLS.
        self.assertEqual(subprocess.run([*curl, platform.url + "/health"], capture_output=True, check=False,
                                        timeout=60).returncode, 60)
        plain = subprocess.run([*curl, platform.url.replace("https", "http") + "/health"], capture_output=True,
                               check=False, timeout=60)
        self.assertNotEqual(plain.returncode, 0)
        self.make_ca("others")
        wrong = platform.cli("-D", f"{CA_FILE}={self.at('others.pem')}", "catalog", "list",
                             check=False)
        self.assertNotEqual(wrong.returncode, 0, wrong.stdout)
        self.assertIn(b"certificate", wrong.stderr)
        streamlayer.write_text(self.at("no-ca.conf"), f'include file("{platform.config}")\n{CA_FILE} = null\n')
        for options, name in ((("--config", self.at("no-ca.conf")), "the system's"),
                              (("-D", f"{CA_FILE}={self.at('others.pem')}"), "others.pem")):
            status = platform.cli(*options, "status", check=False)
            self.assertNotEqual(status.returncode, 0)
            self.assertRegex(status.stdout.decode(), rf"(?m)^failed +gateway .*\n +-> .*{CA_FILE}=FILE")
            self.assertIn(name, status.stdout.decode())
            self.assertNotIn("streamlayer up", status.stdout.decode())
        self.assertEqual(up.stop(), 0, up.text()[-3000:])
        self.assertNotRegex(up.text(), streamlayer.SANITIZER_REPORT)

    def test_https_session_with_curl(self):
        """The documents' sessions with curl, as they are."""
        up, platform = self.up()
        streamlayer.write_environment(self.at("env"), {"URL": platform.url, "BIN": platform.binaries,
                                                       "CONFIG": platform.config, "BROKERS": self.platform.brokers})
        for name in ("protocol", "sdii"):
            done = subprocess.run([sys.executable, DOCS_TEST, name], check=False, capture_output=True, timeout=300, text=True,
                                  env={**os.environ, "STREAMLAYER_TEST_PLATFORM": self.directory,
                                       "CURL_CA_BUNDLE": self.at("ca.pem")})
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_https_old_versions_are_refused(self):
        _, platform = self.up()
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with platform.socket(self.context(maximum_version=newest)) as connection:
                self.assertEqual(connection.version(), newest.name.replace("_", "."))
        old = self.context()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        # The gateway's refusal, not this side's.
        with self.assertRaisesRegex(ssl.SSLError, "TLSV1_ALERT_PROTOCOL_VERSION"):
            platform.socket(old)
        self.failed(platform, {"nothing_in_common": 1})

    def test_https_handshakes_that_fail_are_told(self):
        """Plain HTTP is answered, and each failure is counted; what does not fail is not."""
        up, platform = self.up()
        parts = urllib.parse.urlsplit(platform.url)
        for request in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(20000)):
            with socket.create_connection((parts.hostname, parts.port), 30) as plain:
                plain.sendall(request)
                status, body, rest = read_answer(lambda: plain.recv(65536))
            self.assertEqual((status, rest), (400, b""))
            self.assertIn(b"https://", body)
        with self.assertRaises(ssl.SSLError):
            platform.socket(ssl.create_default_context())  # does not know the CA
        with socket.create_connection((parts.hostname, parts.port), 30) as probe:
            probe.shutdown(socket.SHUT_WR)
            self.assertEqual(probe.recv(1), b"")
        self.failed(platform, {"plain_http": 2, "client_left": 1})
        log = up.text() + (streamlayer.read_text(self.at("data/gateway.log")) or "")
        self.assertIn("tls: the handshake with 127.0.0.1 failed: it sent plain HTTP, and was answered 400", log)
        self.assertIn("tls: the handshake with 127.0.0.1 failed: it left; ", log)

    def test_https_sessions_are_resumed(self):
        """Whichever loop the client meets when it comes back."""
        _, platform = self.up("-D", "streamlayer.gateway.threads=3")
        for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context, session = self.context(maximum_version=newest), None
            for number in range(8):
                with platform.socket(context, session) as connection:
                    self.assertEqual(connection.session_reused, number > 0, (newest, number))
                    connection.sendall(platform.head("GET", "/health"))
                    self.assertEqual(read_answer(lambda c=connection: c.recv(65536))[0], 200)
                    session = connection.session  # with TLS 1.3 it comes behind the handshake

    def test_https_requests_in_one_record(self):
        """A second request that lies decrypted in the gateway, while the first one waits, is not forgotten."""
        _, platform = self.up()
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        subscription = streamlayer.Subscription(platform, hrn, "layer")
        with platform.socket() as connection:
            connection.sendall(platform.head("GET", subscription.url("partitions") + "?maxWaitMs=1000")
                               + platform.head("GET", "/health") + platform.head("GET", "/health"))
            rest = [b""]

            def receive():
                piece, rest[0] = rest[0], b""
                return piece or connection.recv(65536)
            for wanted in (b'"messages"', b'"up"', b'"up"'):
                status, body, rest[0] = read_answer(receive)
                self.assertEqual(status, 200)
                self.assertIn(wanted, body)

    def test_https_half_closed_client_is_answered(self):
        """It has said all that it has to say, and reads on."""
        _, platform = self.up()
        parts = urllib.parse.urlsplit(platform.url)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context().wrap_bio(incoming, outgoing, server_hostname=parts.hostname)
        with socket.create_connection((parts.hostname, parts.port), 30) as raw:
            def flush():
                if outgoing.pending:
                    raw.sendall(outgoing.read())

            def run(step):
                while True:
                    try:
                        result = step()
                    except ssl.SSLWantReadError:
                        flush()
                        piece = raw.recv(65536)
                        incoming.write(piece) if piece else incoming.write_eof()
                        continue
                    flush()
                    return result
            run(tls.do_handshake)
            run(lambda: tls.write(platform.head("POST", "/oauth2/token", Content_Type="application/json",
                                                Content_Length=str(len(b"{}"))) + b"{}"))
            with self.assertRaises(ssl.SSLWantReadError):
                tls.unwrap()
            flush()
            raw.shutdown(socket.SHUT_WR)
            status, body, _ = read_answer(lambda: run(lambda: tls.read(65536)))
            self.assertEqual((status, json.loads(body)["code"]), (401, "bad-signature"))

    def test_https_client_that_left_loses_nothing(self):
        """Its poll was held, it said farewell: what came for it is handed out again."""
        _, platform = self.up()
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        subscription = streamlayer.Subscription(platform, hrn, "layer")
        for number in range(3):
            connection = platform.socket()
            connection.sendall(platform.head("GET", subscription.url("partitions") + "?maxWaitMs=20000"))
            wait_for(lambda: "\nstreamlayer_polls_waiting 1\n" in platform.get("/metrics", token=None).text, 20,
                     "the poll waits in the gateway")
            try:
                connection.settimeout(0.001)
                connection.unwrap()  # says farewell, and does not wait for the gateway's
            except OSError:
                pass
            connection.close()
            platform.publish(hrn, "layer", f"message {number}".encode())
            self.assertEqual([streamlayer.data(each) for each in subscription.receive(1)],
                             [f"message {number}".encode()])


class Reload(Https):
    """streamlayerd, which reads its files again on SIGHUP."""

    def configure(self, **tls):
        settings = {"certificate": self.at("server.pem"), "key": self.at("server.key"), **tls}
        lines = "\n".join(f'    {key.replace("_", "-")} = "{value}"' for key, value in settings.items())
        streamlayer.write_text(self.at("gateway.conf"), f"""streamlayer.gateway {{
  listen {{ port = 0, tls {{
{lines}
  }} }}
  data-directory = "{self.at('data')}"
  kafka.brokers = "{self.platform.brokers}"
}}
""")

    def log(self):
        return streamlayer.read_text(self.at("daemon.log")) or ""

    def start(self, **tls):
        self.configure(**tls)
        with open(self.at("daemon.log"), "ab") as log:
            daemon = subprocess.Popen([self.platform.binaries + "/streamlayerd", "--config", self.at("gateway.conf")],
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(lambda: daemon.poll() is None and (daemon.kill(), daemon.wait()))

        def listening():
            self.assertIsNone(daemon.poll(), self.log())
            return re.search(r"listening, (https://127\.0\.0\.1:\d+)", self.log())
        platform = Secure({"URL": wait_for(listening, 60, "streamlayerd listens").group(1),
                           "BIN": self.platform.binaries, "CONFIG": ""})
        platform.context, platform.cached_token = self.context(), "none"
        return daemon, platform

    def hang_up(self, daemon, outcome):
        """SIGHUP, until the log has one more line of that kind."""
        before = len(re.findall(outcome, self.log()))
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: len(re.findall(outcome, self.log())) > before, 30, f"the log says {outcome}: {self.log()[-2000:]}")

    def health(self, connection):
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status, answer.read()

    def shown(self, platform):
        with platform.socket() as connection:
            return connection.getpeercert(True)

    def certificate(self, name):
        return ssl.PEM_cert_to_DER_cert(streamlayer.read_text(self.at(name)))

    def ends(self, name):
        """Seconds since 1970."""
        done = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", self.at(name)], check=True,
                              capture_output=True, timeout=60)
        return ssl.cert_time_to_seconds(done.stdout.decode().strip().split("=", 1)[1])

    def test_https_reload_drops_no_connection(self):
        daemon, platform = self.start()
        kept = platform.connect()
        self.addCleanup(kept.close)
        self.assertEqual(self.health(kept)[0], 200)
        socket_before = kept.sock
        self.make("next", "ca", "IP:127.0.0.1")
        for kind in ("key", "pem"):
            os.replace(self.at("server." + kind), self.at("before." + kind))
            os.replace(self.at("next." + kind), self.at("server." + kind))
        self.hang_up(daemon, "SIGHUP: reloaded")
        self.assertEqual(self.shown(platform), self.certificate("server.pem"))
        self.assertIn(f"\nstreamlayer_tls_certificate_not_after_seconds {self.ends('server.pem')}\n",
                      platform.get("/metrics", token=None).text)
        self.assertEqual(self.health(kept)[0], 200)
        # What cannot serve changes nothing, and the log says what is wrong where.
        streamlayer.write_text(self.at("server.pem"), "garbage\n")
        self.hang_up(daemon, r"gateway\.conf:3: streamlayer\.gateway\.listen\.tls\.certificate = .*server\.pem: there is no certificate in it")
        self.assertNotEqual(self.shown(platform), self.certificate("before.pem"))
        self.assertEqual(self.health(kept)[0], 200)
        self.assertIs(kept.sock, socket_before)
        daemon.terminate()
        self.assertEqual(daemon.wait(60), 0, self.log()[-3000:])
        self.assertNotRegex(self.log(), streamlayer.SANITIZER_REPORT)

    def test_https_client_certificates(self):
        self.make_ca("clients")
        self.make_ca("others")
        self.make("edge", "clients")
        self.make("stranger", "others")
        daemon, platform = self.start()

        def served(identity):
            connection = platform.connect(self.context(identity))
            try:
                return self.health(connection)[0] == 200
            except (ssl.SSLError, ConnectionError, http.client.HTTPException):
                return False
            finally:
                connection.close()

        def outcome():
            return [served(identity) for identity in (None, "edge", "stranger")]
        self.assertEqual(outcome(), [True, True, True])
        self.configure(client_ca=self.at("clients.pem"), client_certificates="optional")
        self.hang_up(daemon, "SIGHUP: reloaded")
        self.assertEqual(outcome(), [True, True, False])
        self.configure(client_ca=self.at("clients.pem"), client_certificates="required")
        self.hang_up(daemon, "SIGHUP: reloaded")
        self.assertEqual(outcome(), [False, True, False])
        # Who was let in before the CA changed is not let in by the memory of it.
        context = self.context("edge", maximum_version=ssl.TLSVersion.TLSv1_2)
        with platform.socket(context) as connection:
            session = connection.session
        self.configure(client_ca=self.at("others.pem"), client_certificates="required")
        self.hang_up(daemon, "SIGHUP: reloaded")
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            with platform.socket(context, session) as connection:
                connection.sendall(platform.head("GET", "/health"))
                read_answer(lambda: connection.recv(65536))
        self.assertEqual(outcome(), [False, False, True])

    def test_https_client_is_told_what_is_wrong_with_its_certificate(self):
        """By an alert, and the operator by the log and the metric's reason."""
        self.make_ca("clients")
        self.make_ca("others")
        self.make("stranger", "others")
        self.make("expired", "clients", days="-1")
        self.make("server-only", "clients", usage="serverAuth")
        daemon, platform = self.start(client_ca=self.at("clients.pem"), client_certificates="required")
        rows = [(None, ("HANDSHAKE_FAILURE", "TLSV13_ALERT_CERTIFICATE_REQUIRED")), ("stranger", ("UNKNOWN_CA",) * 2),
                ("expired", ("CERTIFICATE_EXPIRED",) * 2), ("server-only", ("UNSUPPORTED_CERTIFICATE",) * 2)]
        for identity, alerts in rows:
            for newest, alert in zip((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), alerts):
                with self.assertRaisesRegex(ssl.SSLError, alert, msg=(identity, newest)):
                    with platform.socket(self.context(identity, maximum_version=newest)) as connection:
                        connection.recv(1)  # with TLS 1.3 the client is through before its certificate is looked at
        self.make("edge", "clients")
        platform.context = self.context("edge")
        self.failed(platform, {"no_certificate": 2, "bad_certificate": 6})
        for text in ("it showed no certificate, and one is required", "its certificate does not hold"):
            self.assertIn("tls: the handshake with 127.0.0.1 failed: " + text, self.log())
        daemon.terminate()
        self.assertEqual(daemon.wait(60), 0, self.log()[-3000:])

    def test_https_settings_that_cannot_serve(self):
        """It does not start, and says why and how to mend it."""
        os.chmod(self.at("server.key"), 0o644)
        cases = [({}, [r"gateway\.conf:4: streamlayer\.gateway\.listen\.tls\.key = .*: others can read the private key: chmod 600"]),
                 ({"key": self.at("ca.key")}, ["listen.tls.key", "is not that of the certificate"]),
                 ({"key": self.at("none")}, ["listen.tls.key", "No such file"]),
                 ({"client_certificates": "required"}, ["listen.tls.client-certificates", "client-ca"])]
        for settings, texts in cases:
            self.configure(**settings)
            done = subprocess.run([self.platform.binaries + "/streamlayerd", "--config", self.at("gateway.conf")],
                                  capture_output=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            for text in texts:
                self.assertRegex(done.stderr.decode(), text)
        done = subprocess.run([self.platform.binaries + "/streamlayerd", "-D", "streamlayer.gateway.listen.address=0.0.0.0",
                               "-D", f"streamlayer.gateway.data-directory={self.at('data')}",
                               "-D", f"streamlayer.gateway.kafka.brokers={self.platform.brokers}"],
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr.decode(), r"-D: streamlayer\.gateway\.listen\.address = 0\.0\.0\.0: .*plain-off-loopback = true")


if __name__ == "__main__":
    streamlayer.main()
