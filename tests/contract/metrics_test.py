"""What an operator reads: /metrics by Prometheus' conventions, and the access log. On a gateway of its own."""
import json
import re
import subprocess

import streamlayer
from streamlayer import Platform, Running, TestCase, wait_for


class Metrics(TestCase):
    def start(self, *more):
        directory = self.scratch()
        self.up = Running(self.platform.binaries, directory, directory + "/log", "--kafka", self.platform.brokers, *more)
        self.addCleanup(lambda: self.up.stop() if self.up.process.poll() is None else None)
        return Platform({"URL": self.up.ready(), "BIN": self.platform.binaries,
                         "CONFIG": directory + "/application.conf", "BROKERS": self.platform.brokers})

    def use(self, platform):
        """A bit of everything, so that every metric has a value."""
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        for _ in range(3):
            platform.publish(hrn, "layer", b"12345")
        subscription = streamlayer.Subscription(platform, hrn, "layer",
                                                properties={"auto.offset.reset": "earliest"})
        subscription.receive(3)
        self.assertEqual(platform.get("/nothing").status, 404)
        return hrn, subscription

    def test_metrics_keep_the_conventions(self):
        """As Prometheus' own checker sees it; what it says of the standard process metrics' names is not ours."""
        platform = self.start()
        self.use(platform)
        text = platform.get("/metrics", token=None).text
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, encoding="utf-8",
                              check=False, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        for name in ("http_request_duration_seconds_bucket", "http_requests_total", "http_request_bytes_total",
                     "messages_in_total", "messages_out_total", "consumer_lag_messages", "build_info"):
            self.assertRegex(text, rf"(?m)^streamlayer_{name}\b")

    def test_latency_is_a_histogram(self):
        platform = self.start()
        self.use(platform)
        text = platform.get("/metrics", token=None).text
        found = re.findall(r'^streamlayer_http_request_duration_seconds_bucket{route="ingest.post",le="([^"]+)"} (\d+)$', text,
                           re.M)
        counts = [int(count) for _, count in found]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual((found[-1][0], counts[-1]), ("+Inf", 3))
        self.assertRegex(text, r'(?m)^streamlayer_http_request_duration_seconds_count{route="ingest.post"} 3$')
        self.assertRegex(text, r'(?m)^streamlayer_http_request_bytes_total{route="ingest.post"} 15$')

    def test_metrics_for_administrators(self):
        platform = self.start("-D", "streamlayer.gateway.metrics.access=token")
        self.assertEqual(platform.get("/metrics", token=None).status, 401)
        self.assertEqual(platform.get("/metrics").status, 200)
        self.assertEqual(platform.get("/health", token=None).status, 200)

    def test_access_log_in_json(self):
        log = self.scratch() + "/access.log"
        platform = self.start("-D", f"streamlayer.gateway.access-log.file={log}",
                              "-D", "streamlayer.gateway.access-log.format=json")
        hrn, _ = self.use(platform)
        answer = platform.get("/config/v1/catalogs?limit=1", headers={"User-Agent": "me \"1\"", "Referer": "http://x/",
                                                                       "X-Correlation-Id": "mine"})
        self.assertEqual(answer.status, 200)

        def entries():
            return [json.loads(line) for line in (streamlayer.read_text(log) or "").splitlines()]
        mine = wait_for(lambda: [each for each in entries() if each.get("correlationId") == "mine"], 30, "no line")[0]
        self.assertEqual((mine["method"], mine["target"], mine["protocol"], mine["status"], mine["route"]),
                         ("GET", "/config/v1/catalogs?limit=1", "HTTP/1.1", 200, "config.list"))
        self.assertEqual((mine["client"], mine["userAgent"], mine["referer"]), ("127.0.0.1", "me \"1\"", "http://x/"))
        self.assertEqual(mine["bytes"], len(answer.body))
        self.assertEqual(mine["requestId"], answer.headers["x-request-id"])
        self.assertTrue(mine["application"] and mine["complete"])
        self.assertGreater(mine["duration"], 0)
        posts = [each for each in entries() if each.get("route") == "ingest.post"]
        self.assertEqual([each["status"] for each in posts], [200] * 3)
        self.assertTrue(all(hrn in each["target"] for each in posts))

    def test_access_log_has_no_secret(self):
        log = self.scratch() + "/access.log"
        platform = self.start("-D", f"streamlayer.gateway.access-log.file={log}")
        self.use(platform)
        self.assertEqual(self.up.stop(), 0, self.up.text()[-2000:])
        text = streamlayer.read_text(log)
        self.assertRegex(text, r'(?m)^127\.0\.0\.1 - \S+ \[.*\+0000\] "POST /ingest/v1/\S+ HTTP/1\.1" 200 \d+ "-" ".*"$')
        self.assertNotIn(platform.token, text)
        secret = streamlayer.read_credentials(self.up.data + "/credentials.properties")["here.access.key.secret"]
        self.assertNotIn(secret, text)


if __name__ == "__main__":
    streamlayer.main()
