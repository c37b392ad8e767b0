"""What holds for every path: methods, CORS, health, counters, hostile input, a clean end."""
import errno
import http.client
import os
import re
import signal
import socket
import threading
import urllib.parse

import streamlayer
from streamlayer import Platform, Running, TestCase

OCTETS = {"Content-Type": "application/octet-stream"}


class Server(TestCase):
    def test_health_and_readiness(self):
        for path in ("/health", "/ready"):
            self.assertEqual(self.platform.get(path, token=None).status, 200, path)

    def test_wrong_method_is_405_with_allow(self):
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "layer")
        base = self.platform.base("ingest", "v1", hrn)
        answer = self.platform.request("DELETE", f"{base}/layers/layer")
        self.assertEqual(answer.status, 405, answer.text)
        self.assertIn("POST", answer.headers["allow"])
        answer = self.platform.post("/lookup/v1/platform/apis")
        self.assertEqual(answer.status, 405)
        self.assertIn("GET", answer.headers["allow"])

    def test_unknown_path_is_404(self):
        for path in ("/", "/no/such/path", "/lookup/v9/platform/apis", "/..%2f..%2fetc%2fpasswd"):
            answer = self.platform.get(path)
            self.assertEqual(answer.status, 404, path)
            self.assertEqual(answer.json()["status"], 404)

    def test_cors_preflight(self):
        """Browsers ask without a token, of ingest above all."""
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "layer")
        url = f"{self.platform.base('ingest', 'v1', hrn)}/layers/layer"
        answer = self.platform.request("OPTIONS", url, token=None, headers={
            "Origin": "http://example.org", "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-here-traceid"})
        self.assertIn(answer.status, (200, 204), answer.text)
        self.assertIn(answer.headers["access-control-allow-origin"], ("*", "http://example.org"))
        self.assertIn("POST", answer.headers["access-control-allow-methods"])
        allowed = answer.headers["access-control-allow-headers"].lower()
        for name in ("authorization", "content-type", "x-here-traceid"):
            self.assertIn(name, allowed)
        answer = self.platform.post(url, b"x", headers={**OCTETS, "Origin": "http://example.org"})
        self.assertEqual(answer.status, 200)
        self.assertIn(answer.headers["access-control-allow-origin"], ("*", "http://example.org"))

    def counters(self):
        answer = self.platform.get("/metrics", token=None)
        self.assertEqual(answer.status, 200, answer.text)
        self.assertRegex(answer.headers["content-type"], "^text/plain")
        found = {}
        for line in answer.text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                found[name] = float(value)
        return found

    def test_metrics_count_messages(self):
        """What goes through the gateway is counted by layer, in and out."""
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "layer")
        for _ in range(3):
            self.platform.publish(hrn, "layer", b"12345")
        subscription = streamlayer.Subscription(self.platform, hrn, "layer",
                                                properties={"auto.offset.reset": "earliest"})
        subscription.receive(3)
        subscription.delete()
        ours = {name: value for name, value in self.counters().items() if hrn in name and '"layer"' in name}
        self.assertEqual(sorted(ours.values()), [3, 3, 15, 15], ours)

    def test_metrics_have_types(self):
        text = self.platform.get("/metrics", token=None).text
        names = set(re.findall(r"^([a-z_:][a-z0-9_:]*)[{ ]", text, re.M))
        typed = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge|histogram|summary)$", text, re.M))
        self.assertTrue(names)
        for name in names:
            self.assertIn(re.sub("_(bucket|sum|count)$", "", name) if name not in typed else name, typed)

    def test_public_paths_only_without_a_token(self):
        for path in ("/lookup/v1/platform/apis", "/platform/apis", "/config/v1/catalogs/hrn:here:data::local:x",
                     "/lookup/v1/resources/hrn:here:data::local:x/apis"):
            answer = self.platform.get(path, token=None)
            self.assertEqual(answer.status, 401, path)
            self.assertEqual(answer.json()["status"], 401)

    def talk(self, data):
        """Sends bytes, returns what comes back until the server closes."""
        parts = urllib.parse.urlsplit(self.platform.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
            answer = b""
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    answer += piece
            except ConnectionError:
                pass
            except OSError as error:
                if error.errno != errno.ENOTCONN:
                    raise AssertionError(f"{data[:60]!r}: {error}") from None
            return answer

    def test_hostile_requests(self):
        """Answered with 4xx or closed, and the gateway goes on."""
        for data in (b"GET\r\n\r\n", b"\0\1\2\3\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 100000,
                     b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET /x HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 1000000 + b"\r\n\r\n",
                     b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                     b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                     b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            answer = self.talk(data)
            self.assertTrue(not answer or re.match(rb"HTTP/1\.[01] [45]\d\d ", answer), (data[:60], answer[:200]))
        self.assertEqual(self.platform.get("/health", token=None).status, 200)

    def test_many_requests_on_one_connection(self):
        parts = urllib.parse.urlsplit(self.platform.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        for _ in range(300):
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, 200)
            self.assertFalse(response.will_close)
        connection.close()


class Shutdown(TestCase):
    """A gateway of its own on the shared Kafka."""

    def start(self, *arguments):
        directory = self.scratch()
        up = Running(self.platform.binaries, directory + "/data", directory + "/log",
                     "--kafka", self.platform.brokers, *arguments)
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        environment = {"URL": up.ready(60), "BIN": self.platform.binaries, "BROKERS": self.platform.brokers,
                       "CONFIG": directory + "/data/application.conf"}
        return up, Platform(environment)

    def test_sigterm_answers_what_is_in_flight(self):
        """Each request either got its 200 and is in Kafka, or was not taken; none hangs; the exit status is 0."""
        up, platform = self.start()
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=4)
        topic = platform.topic(hrn, "layer")
        url = urllib.parse.urlsplit(f"{platform.base('ingest', 'v1', hrn)}/layers/layer")
        headers = {**OCTETS, "Authorization": "Bearer " + platform.token}
        acknowledged, odd, lock = [], [], threading.Lock()
        started = threading.Barrier(9)

        def post(who):
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
            for number in range(100000):
                body = f"{who}-{number}"
                try:
                    connection.request("POST", url.path, body, headers)
                    status = connection.getresponse()
                    status.read()
                except (OSError, http.client.HTTPException) as error:
                    if isinstance(error, TimeoutError):
                        odd.append(f"{body} had no answer")
                    return
                with lock:
                    if status.status == 200:
                        acknowledged.append(body)
                    elif status.status != 503:
                        odd.append(f"{body}: {status.status}")
                    else:
                        return
                if number == 20:
                    started.wait(60)

        threads = [threading.Thread(target=post, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        started.wait(60)
        up.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])
        self.assertEqual(odd, [])
        self.assertNotRegex(up.text(), streamlayer.SANITIZER_REPORT)
        import subprocess
        done = subprocess.run(["kcat", "-q", "-C", "-e", "-o", "beginning", "-b", self.platform.brokers, "-t", topic,
                               "-f", "%s\n"], check=True, capture_output=True, timeout=60)
        written = done.stdout.decode().split()
        self.assertGreater(len(acknowledged), 8 * 20)
        self.assertLessEqual(set(acknowledged), set(written))
        self.assertEqual(len(written), len(set(written)))

    def test_sigterm_while_consumers_poll(self):
        """Subscriptions leave their groups, and the end does not wait for long polls."""
        up, platform = self.start()
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        subscription = streamlayer.Subscription(platform, hrn, "layer")
        answers = []

        def poll():
            try:
                answers.append(platform.get(subscription.url("partitions") + "?maxWaitMs=25000").status)
            except (OSError, http.client.HTTPException):
                answers.append(None)
        thread = threading.Thread(target=poll)
        thread.start()
        streamlayer.wait_for(lambda: "\nstreamlayer_polls_waiting 1\n" in platform.get("/metrics", token=None).text, 20,
                             "the poll waits in the gateway")
        self.assertEqual(up.stop(30), 0, up.text()[-3000:])
        thread.join(30)
        self.assertFalse(thread.is_alive())
        self.assertIn(answers[0], (200, 503, None))

    def test_restart_keeps_everything(self):
        """The same data directory: the same application and catalogs, and acknowledged messages."""
        directory = self.scratch()
        hrn = None
        for round_number in range(2):
            up = Running(self.platform.binaries, directory + "/data", directory + f"/log{round_number}",
                         "--kafka", self.platform.brokers)
            self.addCleanup(lambda up=up: up.process.poll() is not None or up.kill())
            environment = {"URL": up.ready(60), "BIN": self.platform.binaries,
                           "CONFIG": directory + "/data/application.conf"}
            platform = Platform(environment)
            if round_number == 0:
                hrn = platform.catalog()
                platform.layer(hrn, "layer")
                platform.publish(hrn, "layer", b"kept")
            else:
                subscription = streamlayer.Subscription(platform, hrn, "layer",
                                                        properties={"auto.offset.reset": "earliest"})
                self.assertEqual([streamlayer.data(each) for each in subscription.receive(1)], [b"kept"])
            self.assertEqual(up.stop(), 0, up.text()[-3000:])
        self.assertEqual(os.stat(directory + "/data/credentials.properties").st_mode & 0o077, 0)

    def test_without_extensions(self):
        """streamlayer.gateway.extensions = false: what is ours is not there, and is not looked at."""
        _, platform = self.start("-D", "streamlayer.gateway.extensions=false")
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        subscription = streamlayer.Subscription(platform, hrn, "layer", properties={"auto.offset.reset": "earliest"})
        self.assertEqual(set(subscription.answer.json()), {"nodeBaseURL", "subscriptionId"})
        platform.publish(hrn, "layer", b"0")
        platform.publish(hrn, "layer", b"1")
        url = subscription.url("partitions")
        query = "?maxWaitMs=x&maxMessages=0&maxBytes=x&ack=x&received=x&assignment=0"
        messages = []

        def poll():
            answer = platform.get(url + query, headers={"Accept": "application/cbor-seq, text/event-stream"})
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"), answer.text)
            self.assertNotIn("x-sl-assignment", answer.headers)
            messages.extend(answer.json()["messages"])
            return len(messages) == 2
        streamlayer.wait_for(poll, 20, "both messages")
        self.assertFalse({"traceId", "headers"} & set(messages[0]["metaData"]))
        for body in ({"to": "begin"}, {"to": "time", "timestamp": 0}):
            answer = platform.put(subscription.url("seek"), body)
            self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-offsets"))
        self.assertEqual(subscription.seek([{"partition": 0, "offset": 1}]).status, 200)
        self.assertEqual([streamlayer.data(each) for each in subscription.receive(1)], [b"1"])
        for method, what in (("PUT", "pause"), ("PUT", "resume"), ("GET", "positions")):
            answer = platform.request(method, subscription.url(what))
            self.assertEqual((answer.status, answer.json()["code"]), (404, "no-such-path"), what)

    def test_behind_a_trusted_proxy(self):
        """URLs are the client's, a token may be asked for at them, and contradictions are refused."""
        _, platform = self.start("-D", "streamlayer.gateway.listen.trusted-proxies=127.0.0.1")
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        proxied = {"Host": "inner:80", "X-Forwarded-For": "1.2.3.4, 203.0.113.5", "X-Forwarded-Proto": "https",
                   "X-Forwarded-Host": "streams.example.com", "X-Forwarded-Port": "8443", "X-Forwarded-Prefix": "/sl"}
        outside = "https://streams.example.com:8443/sl"
        answer = platform.get(f"/lookup/v1/resources/{hrn}/apis/stream/v2", headers=proxied)
        self.assertEqual(answer.json()[0]["baseURL"], f"{outside}/stream/v2/catalogs/{hrn}")
        answer = platform.post(f"/stream/v2/catalogs/{hrn}/layers/layer/subscribe?mode=serial", headers=proxied)
        self.assertTrue(answer.json()["nodeBaseURL"].startswith(outside + "/stream/v2/"), answer.text)
        self.assertIn(outside + "/oauth2/token", platform.get("/config/v1/catalogs", headers=proxied, token="x").text)
        keys = streamlayer.read_credentials(os.path.dirname(platform.config) + "/credentials.properties")
        for url, status in ((outside + "/oauth2/token", 200), ("https://other.example.com/oauth2/token", 401)):
            signed = streamlayer.oauth_header(url, keys["here.access.key.id"], keys["here.access.key.secret"])
            answer = platform.post("/oauth2/token", {"grantType": "client_credentials"}, token=None,
                                   headers={**proxied, "Authorization": signed})
            self.assertEqual(answer.status, status, answer.text)
        answer = platform.get("/health", token=None, headers={**proxied, "Forwarded": "for=198.51.100.7"})
        self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-forwarded"))
        # Others' words do not count: the shared platform trusts nobody.
        answer = self.platform.get("/lookup/v1/platform/apis/config/v1", headers={**proxied, "Host": "inner:80"})
        self.assertEqual(answer.json()[0]["baseURL"], "http://inner:80/config/v1")

    def test_a_poll_while_stopping_is_503(self):
        """Its subscription is gone, but not for a client that comes back: it is told to try again."""
        up, platform = self.start()
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        subscription = streamlayer.Subscription(platform, hrn, "layer")
        parts = urllib.parse.urlsplit(platform.url)
        held = socket.create_connection((parts.hostname, parts.port), 30)  # a request under way keeps the end open
        self.addCleanup(held.close)
        held.sendall(f"POST {urllib.parse.urlsplit(platform.base('ingest', 'v1', hrn)).path}/layers/layer HTTP/1.1\r\n"
                     f"Host: x\r\nAuthorization: Bearer {platform.token}\r\nContent-Length: 10\r\n"
                     "Content-Type: application/octet-stream\r\n\r\nfive".encode())
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        self.addCleanup(connection.close)

        def poll():
            connection.request("GET", subscription.url("partitions")[len(platform.url):],
                               headers={"Authorization": f"Bearer {platform.token}"})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Retry-After"), answer.read()
        self.assertEqual(poll()[0], 200)
        os.kill(up.process.pid, signal.SIGTERM)
        status = None
        while status in (None, 200):
            status, retry, body = poll()
        self.assertEqual((status, retry), (503, "1"), body)
        self.assertIn(b"shutting-down", body)
        held.sendall(b"-more.")
        self.assertEqual(up.stop(30), 0, up.text()[-3000:])


if __name__ == "__main__":
    streamlayer.main()
