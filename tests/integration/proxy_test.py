"""Programs in a network namespace from which only a real proxy is reachable: what each connector makes of it."""
import json
import os
import socket
import subprocess
import threading
import time
import urllib.parse

import cage
import streamlayer
from cage import GATEWAY, PASSWORD, PROXY, USER, Cage, Elsewhere, Relay, Squid, Tinyproxy
from streamlayer import Platform, Running, TestCase, wait_for

ROOT = "here.platform.data-client."
MIB = 1 << 20
PROXY_URL = f"http://{PROXY[0]}:{PROXY[1]}"
CREDENTIALS = f"credentials {{ username = {USER}, password = \"{PASSWORD}\" }}"


class ProxyCase(TestCase):
    def setUp(self):
        super().setUp()
        self.directory = self.scratch()
        os.chmod(self.directory, 0o755)
        self.cage = Cage()
        self.addCleanup(self.cage.close)
        self.origin = self.platform
        self.gateway_port = urllib.parse.urlsplit(self.platform.url).port
        self.url = f"http://{GATEWAY}:{self.gateway_port}"
        self.proxy = self.relay = None

    # --- what stands outside ---

    def behind(self, proxy):
        """The proxy is what the cage reaches, and all that it reaches."""
        self.proxy = proxy
        self.addCleanup(proxy.close)
        proxy.start()
        if not self.relay:
            self.relay = Relay(self.cage.listen(PROXY), ("127.0.0.1", proxy.port))
            self.addCleanup(self.relay.close)
        self.relay.target = ("127.0.0.1", proxy.port)
        broker = self.platform.brokers.split(",")[0].rsplit(":", 1)
        for host, port in (("127.0.0.1", self.gateway_port), tuple(broker)):
            self.assertEqual(self.cage.reaches(host, port), "ConnectionRefusedError")
        self.assertEqual(self.cage.reaches(*PROXY), "connected")
        return proxy

    def squid(self, scheme=None, *ports):
        return self.behind(Squid(scheme, [self.gateway_port, *ports]))

    def elsewhere(self, host, port=9092):
        """A gateway whose layers' brokers are at an address of the test's."""
        server = Elsewhere(self.platform.url, (host, port))
        self.addCleanup(server.close)
        self.url = f"http://{GATEWAY}:{server.port}"
        return server.port

    def over_tls(self):
        """A gateway of its own that is reached by https:// only."""
        port = cage.free_port()
        self.url = f"https://{GATEWAY}:{port}"
        up = Running(self.platform.binaries, self.directory + "/data", self.directory + "/log", "--kafka",
                     self.platform.brokers, "-D", f"streamlayer.gateway.public-url={self.url}")
        self.addCleanup(lambda: self.assertEqual(up.stop(), 0))
        inside = up.ready()
        ca, chain = cage.make_certificate(self.directory, "gateway", GATEWAY)
        relay = Relay(socket.create_server(("127.0.0.1", port)), ("127.0.0.1", urllib.parse.urlsplit(inside).port),
                      cage.tls_context(chain))
        self.addCleanup(relay.close)
        self.origin = Platform({"URL": inside, "BIN": self.platform.binaries,
                                "CONFIG": self.directory + "/data/application.conf"})
        return port, f'tls.ca-file = "{ca}"'

    # --- what runs inside ---

    def config(self, *settings, connector="http-connector", proxy=True):
        """A configuration for the cage; proxy: True, or what stands in the section."""
        data = os.path.dirname(self.origin.config)
        with open(data + "/credentials.properties", encoding="utf-8") as file:
            lines = [f"here.token.endpoint.url = {self.url}/oauth2/token" if "token.endpoint" in line else line.rstrip()
                     for line in file]
        credentials = self.directory + "/credentials.properties"
        streamlayer.write_text(credentials, "\n".join(lines) + "\n")
        os.chmod(credentials, 0o600)
        place = f"host = {PROXY[0]}, port = {PROXY[1]}"
        section = "" if proxy is False else f"proxy {{ {place}, {'' if proxy is True else proxy} }}"
        sides = [connector, connector] if isinstance(connector, str) else connector
        name = self.directory + "/app.conf"
        streamlayer.write_text(name, f"""here.platform.data-client {{
 endpoint-locator.discovery-service-url = "{self.url}/lookup/v1"
 request-signer.credentials.file-path = "{credentials}"
 stream.connector {{ producer = {sides[0]}, consumer = {sides[1]} }}
 stream.kafka.connect-timeout = 3 s
 http.connect-timeout = 2 s
 {section}
 {chr(10).join(settings)}
}}
""")
        return name

    def layer(self):
        hrn = self.origin.catalog()
        self.origin.layer(hrn, "layer")
        return hrn

    def run_it(self, *arguments, config, variables=None, data=b"", code=0):
        command = self.cage.command(self.platform.binaries + "/streamlayer", "--config", config, *arguments)
        done = subprocess.run(command, input=data, capture_output=True, timeout=120, check=False,
                              env=cage.environment(**(variables or {})))
        errors = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, errors[-3000:])
        self.assertNotRegex(errors, streamlayer.SANITIZER_REPORT)
        for secret in (PASSWORD, urllib.parse.quote(PASSWORD, safe=""), "heim"):
            self.assertNotIn(secret, errors + done.stdout.decode(errors="replace"))
        return done.stdout, errors

    def fails(self, config, *expected, arguments=("produce",), variables=None, code=5):
        """Nothing gets through, and the error says so in these words."""
        command = [*arguments, "hrn:here:data::local:none", "layer"] if len(arguments) == 1 else list(arguments)
        begin = time.monotonic()
        _, errors = self.run_it("-v", "-v", *command, config=config, variables=variables, data=b"x\n", code=code)
        for text in expected:
            self.assertIn(text, errors)
        return time.monotonic() - begin, errors

    def round_trip(self, config, count=300, variables=None):
        """Messages out and back, one of them as a blob; a commit that counts, and a seek."""
        options = {"config": config, "variables": variables}
        group = self.platform.name("g")
        made, _ = self.run_it("catalog", "create", self.platform.name(), **options)
        hrn = made.decode().strip().splitlines()[-1]
        self.run_it("layer", "create", hrn, "layer", "--content-type", "text/plain", **options)
        small = [f"message {number}" for number in range(count)]
        lines = [{"key": f"k{number % 7}", "payload": text} for number, text in enumerate(small)]
        large = "L" * (2 * MIB)
        data = "".join(json.dumps(line) + "\n" for line in [*lines, {"key": "large", "payload": large}]).encode()
        self.run_it("produce", hrn, "layer", "--ndjson", data=data, **options)
        consume = ("consume", hrn, "layer", "--group", group)
        got, _ = self.run_it(*consume, "--offset", "begin", "--count", str(count + 1), **options)
        self.assertEqual(sorted(got.decode().splitlines()), sorted([*small, large]))
        # What was read is committed: only what comes later is there.
        self.run_it("produce", hrn, "layer", "--key", "k", data=b"later\n", **options)
        got, _ = self.run_it(*consume, "--count", "1", **options)
        self.assertEqual(got, b"later\n")
        got, _ = self.run_it(*consume, "--no-commit", "--offset", "-1", "--key-delimiter", " ", "--idle", "2", **options)
        self.assertIn("k later", got.decode().splitlines())
        return hrn


class Direct(ProxyCase):
    """kafka-connector where it cannot work: it fails in time, says why, and names the way out."""

    def direct_fails(self, side, why, host=None):
        hrn = self.layer()
        proxy = f"HTTP goes through the proxy {PROXY_URL} ("
        command = ("produce", hrn, "layer") if side == "producer" else ("consume", hrn, "layer", "--count", "1")
        took, errors = self.fails(self.config(connector="kafka-connector"), "cannot be reached (tried for 3 s)", why,
                                  f"where only HTTP gets through, set {ROOT}stream.connector.{side} to http-connector",
                                  proxy, "which Direct Kafka does not pass", arguments=command)
        other = "consumer" if side == "producer" else "producer"
        self.assertNotIn(f"stream.connector.{other} to", errors)
        self.assertIn(host or self.platform.brokers.split(",")[0], errors)
        # No measure of speed, but of waiting for librdkafka's end: with a silent resolver that was 90 s.
        self.assertLess(took, 60)

    def test_direct_kafka_refused_producer(self):
        self.squid()
        self.direct_fails("producer", "Connection refused")

    def test_direct_kafka_refused_consumer(self):
        self.squid()
        self.direct_fails("consumer", "Connection refused")

    def test_direct_kafka_dropped(self):
        self.squid(None, self.elsewhere(cage.SILENT))
        self.assertEqual(self.cage.reaches(cage.SILENT, 9092), "TimeoutError")
        self.direct_fails("producer", "Connection setup timed out", host=cage.SILENT)

    def test_direct_kafka_unknown_name(self):
        self.squid(None, self.elsewhere("broker.test"))
        self.direct_fails("consumer", "broker.test", host="broker.test")

    def test_direct_kafka_silent_resolver(self):
        """librdkafka's end waits for getaddrinfo; who opens does not."""
        self.cage.close()
        self.cage = Cage(resolver_answers=False)
        self.addCleanup(self.cage.close)
        self.squid(None, self.elsewhere("broker.test"))
        for side in ("producer", "consumer"):
            self.direct_fails(side, "", host="broker.test")

    def test_each_side_for_itself(self):
        """The producer's connector gets through where the consumer's does not, and the error names its side alone."""
        self.squid()
        hrn = self.layer()
        config = self.config(connector=("http-connector", "kafka-connector"))
        self.run_it("produce", hrn, "layer", config=config, data=b"x\n")
        _, errors = self.fails(config, f"{ROOT}stream.connector.consumer to http-connector",
                               arguments=("consume", hrn, "layer", "--count", "1"))
        self.assertNotIn("connector.producer", errors)


class Through(ProxyCase):
    """http-connector through squid: each way of asking for a password, over http and https."""

    def through(self, scheme, secure):
        settings, ports = [], []
        if secure:
            port, setting = self.over_tls()
            settings, ports = [setting], [port]
        squid = self.squid(scheme, *ports)
        self.round_trip(self.config(*settings, proxy=CREDENTIALS if scheme else True))
        requests = squid.requests()
        served = [request for request in requests if request[2] == "200"]
        if secure:
            self.assertEqual({request[0] for request in requests}, {"CONNECT"})
            self.assertTrue(served)
        else:
            self.assertTrue([request for request in served if request[:2] == ("POST", f"{self.url}/oauth2/token")])
            self.assertTrue({"GET", "POST", "PUT", "DELETE"} <= {request[0] for request in requests})
        if scheme:
            self.assertEqual({request[3] for request in served}, {USER})
        else:
            self.assertEqual([request for request in requests if request[2] == "407"], [])
        if scheme == "basic" and not secure:  # asked once an engine, then it is known
            asked = [request for request in requests if request[2] == "407"]
            self.assertLess(len(asked), len(served) / 2, requests)

    def test_http_without_password(self):
        self.through(None, False)

    def test_http_with_basic(self):
        self.through("basic", False)

    def test_http_with_digest(self):
        self.through("digest", False)

    def test_https_without_password(self):
        self.through(None, True)

    def test_https_with_basic(self):
        self.through("basic", True)

    def test_https_with_digest(self):
        self.through("digest", True)

    def test_tinyproxy(self):
        """The other proxy that there is, which knows no names but the system's."""
        self.url = f"http://127.0.0.1:{self.gateway_port}"
        self.behind(Tinyproxy())
        self.round_trip(self.config(), count=20)
        self.assertTrue(self.proxy.requests())

    def test_tinyproxy_with_basic(self):
        self.url = f"http://127.0.0.1:{self.gateway_port}"
        self.behind(Tinyproxy(password=True))
        self.round_trip(self.config(proxy="credentials { username = fleet, password = geheim1 }"), count=20)
        self.fails(self.config(proxy="credentials { username = fleet, password = geheim2 }"),
                   "refuses the user and password given for it (HTTP 401)", code=4)

    def test_proxy_spoken_to_over_tls(self):
        squid = self.squid("basic")
        ca, chain = cage.make_certificate(self.directory, "proxy", PROXY[0])
        self.relay.context = cage.tls_context(chain)
        self.round_trip(self.config(f'tls.ca-file = "{ca}"', proxy=f"scheme = https, {CREDENTIALS}"), count=20)
        self.assertTrue(squid.requests())
        self.fails(self.config(proxy=f"scheme = https, {CREDENTIALS}"),
                   f"the certificate of the proxy https://{PROXY[0]}:{PROXY[1]} (",
                   f"is signed by none of the CAs trusted here (the system's): set {ROOT}tls.ca-file")


class Refused(ProxyCase):
    """What a proxy refuses is told as such, once, and without the password."""

    def refuses_the_password(self, scheme):
        squid = self.squid(scheme)
        wrong = self.config(proxy=f"credentials {{ username = {USER}, password = \"geheim?\" }}")
        self.fails(wrong, f"the proxy {PROXY_URL} ({wrong}:", "refuses the user and password given for it (HTTP 407)",
                   code=4)
        requests = squid.requests()
        self.assertEqual({request[2] for request in requests}, {"407"})
        self.assertLessEqual(len(requests), 2 if scheme == "basic" else 3, requests)  # one to be asked, one with it

    def test_wrong_password_basic(self):
        self.refuses_the_password("basic")

    def test_wrong_password_digest(self):
        self.refuses_the_password("digest")

    def test_no_password(self):
        for scheme in ("basic", "digest"):
            self.squid(scheme)
            self.fails(self.config(), f"asks for a user and password (HTTP 407, {scheme.capitalize()}): set "
                       f"{ROOT}proxy.credentials.username and .password", code=4)

    def test_wrong_password_over_https(self):
        self.url = f"https://{GATEWAY}:{self.gateway_port}"
        self.squid("basic")
        self.fails(self.config(proxy=f"credentials {{ username = {USER}, password = \"geheim?\" }}"),
                   "refuses the user and password given for it (HTTP 407)", code=4)

    def test_port_not_allowed(self):
        self.squid()
        self.url = f"https://{GATEWAY}:444"
        self.fails(self.config(), f"does not allow a connection to {GATEWAY}:444 (HTTP 403)", code=4)

    def test_host_not_known(self):
        self.squid(None, 443)
        self.url = "https://nowhere.test"
        self.fails(self.config("http.retry.attempts = 1"),
                   "does not reach nowhere.test:443 (HTTP 50")

    def test_proxy_away(self):
        squid = self.squid()
        squid.stop()
        self.relay.close()
        config = self.config("http.retry.attempts = 1")
        self.fails(config, f"the proxy {PROXY_URL} ({config}:", "cannot be reached: Failed to connect")
        self.fails(self.config("http.retry.attempts = 1", 'proxy.host = "proxy.test"', proxy=False),
                   "the proxy http://proxy.test:8080 (", "cannot be reached: Could not resolve proxy: proxy.test")

    def test_no_proxy_set(self):
        self.squid()
        self.fails(self.config("http.retry.attempts = 1", proxy=False),
                   f"no proxy is set: where only one gets through, set {ROOT}proxy.host or https_proxy")


class Restarted(ProxyCase):
    def test_proxy_restarted_under_load(self):
        """Nothing is lost, and the application does nothing."""
        squid = self.squid("basic")
        hrn = self.layer()
        config = self.config("http.retry.attempts = 10", "stream.consumer.start = begin", proxy=CREDENTIALS)
        load = os.path.join(os.path.dirname(self.platform.binaries), "tests", "restart_load")
        received = [0]
        process = subprocess.Popen(self.cage.command(load, config, hrn, "layer", "http-connector", "http-connector"),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=cage.environment())
        lines = []

        def read():
            for line in process.stdout:
                lines.append(line.decode())
                if line.startswith(b"delivered"):
                    received[0] = int(line.split()[-1])
        reader = threading.Thread(target=read)
        reader.start()

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            reader.join()
            for stream in (process.stdin, process.stdout, process.stderr):
                stream.close()
        self.addCleanup(end)
        wait_for(lambda: received[0] >= 200, 60, "the load does not begin")
        for _ in range(2):
            squid.stop()
            goal = received[0] + 300
            squid.start()
            wait_for(lambda goal=goal: received[0] >= goal, 60, "the load does not go on")
        process.stdin.close()
        process.wait(120)
        reader.join()
        account = json.loads(lines[-1])
        errors = process.stderr.read().decode(errors="replace")
        self.assertEqual(process.returncode, 0, errors[-3000:])
        self.assertEqual((account["failed"], account["lost"], account["disordered"]), (0, 0, 0), account)
        self.assertEqual(account["received"], account["delivered"])
        self.assertNotIn("heim", errors)


class Environment(ProxyCase):
    def test_environment(self):
        """Which variable counts, for which URLs, and what wins over it."""
        self.squid()
        hrn = self.layer()
        works, none = "hrn:", "no proxy is set"
        wrong = "http://127.0.0.1:9"
        rows = [
            ({"http_proxy": PROXY_URL}, False, works),
            ({"http_proxy": PROXY_URL + "/"}, False, works),
            ({"http_proxy": PROXY_URL[7:]}, False, works),
            ({"HTTP_PROXY": PROXY_URL}, False, none),
            ({"https_proxy": PROXY_URL}, False, none),
            ({"all_proxy": PROXY_URL}, False, works),
            ({"ALL_PROXY": PROXY_URL}, False, works),
            ({"http_proxy": wrong, "all_proxy": PROXY_URL}, False, "the proxy http://127.0.0.1:9 (environment http_proxy)"),
            ({"http_proxy": PROXY_URL, "no_proxy": GATEWAY}, False, f"it is exempt from the proxy {PROXY_URL}"),
            ({"http_proxy": PROXY_URL, "NO_PROXY": ".test"}, False, f"it is exempt from the proxy {PROXY_URL}"),
            ({"http_proxy": PROXY_URL, "no_proxy": "other.test"}, False, works),
            ({"http_proxy": wrong}, True, works),
            ({"http_proxy": PROXY_URL}, 'host = ""', none),
        ]
        for variables, proxy, expected in rows:
            with self.subTest(variables=variables, proxy=proxy):
                config = self.config("http.retry.attempts = 0", proxy=proxy)
                if expected is works:
                    self.run_it("produce", hrn, "layer", config=config, variables=variables, data=b"x\n")
                else:
                    self.fails(config, expected, variables=variables)

    def test_environment_secure(self):
        """The same for https://: the proxy lets no port through, and its answer shows that it was asked."""
        self.squid()
        self.url = f"https://{GATEWAY}:444"
        asked, none = "does not allow a connection", "no proxy is set"
        for variables, expected in [({"https_proxy": PROXY_URL}, asked), ({"HTTPS_PROXY": PROXY_URL}, asked),
                                    ({"http_proxy": PROXY_URL}, none), ({"all_proxy": PROXY_URL}, asked)]:
            with self.subTest(variables=variables):
                self.fails(self.config("http.retry.attempts = 0", proxy=False), expected, variables=variables,
                           code=4 if expected is asked else 5)

    def test_environment_wrong(self):
        """A variable that is wrong is told without its value."""
        for value in ("foo://fleet:geheim@h:1", "http://fleet:ge heim@h:1", "http://fleet:geheim@h:x"):
            with self.subTest(value=value):
                self.fails(self.config(proxy=False), "environment https_proxy: that is no proxy's address",
                           variables={"https_proxy": value}, code=2)


if __name__ == "__main__":
    streamlayer.main()
