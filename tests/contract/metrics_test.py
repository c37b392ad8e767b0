"""What an operator reads: /metrics by Prometheus' conventions, and the access log. On a gateway of its own."""
import json
import os
import re
import subprocess

import streamlayer
import tls_test
from streamlayer import Platform, Running, TestCase, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCUMENT = ROOT + "/docs/metrics.md"
ALERTS = ROOT + "/packaging/prometheus/alerts.yml"
TABLE = re.compile(r"(?<=\n\| name \| type \| labels \| meaning \|\n\|---\|---\|---\|---\|\n)(?:\|.*\n)*")


def families(text):
    """What /metrics gives, as the rows of a table: name, type, labels, meaning."""
    rows = {}
    for kind, name, rest in re.findall(r"(?m)^# (HELP|TYPE) (\S+) (.*)$", text):
        rows.setdefault(name, {})[kind] = rest
    for name, row in rows.items():
        suffix = "(?:_bucket|_sum|_count)" if row["TYPE"] == "histogram" else ""
        samples = re.findall(rf"(?m)^{name}{suffix}(?:{{(.*)}})? \S+$", text)
        if not samples:
            raise AssertionError(f"{name} has no value")
        row["labels"] = list(dict.fromkeys(label for labels in samples for label in re.findall(r'(\w+)="', labels)
                                           if label != "le"))
    return [f"| `{name}` | {row['TYPE']} | {', '.join(f'`{label}`' for label in row['labels'])} | {row['HELP']} |\n"
            for name, row in rows.items()]


def with_lag(platform):
    """/metrics, once a group's lag, which is asked for every now and then, is among them."""
    def look():
        text = platform.get("/metrics", token=None).text
        return "streamlayer_consumer_lag_messages{" in text and text
    return wait_for(look, 60, "no group has a lag")


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
        text = with_lag(platform)
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

    def test_metrics_are_for_the_own_machine(self):
        outside = {"X-Forwarded-For": "203.0.113.9"}
        for access, status in (("loopback", 403), ("open", 200)):
            platform = self.start("-D", "streamlayer.gateway.listen.trusted-proxies=127.0.0.1",
                                  "-D", f"streamlayer.gateway.metrics.access={access}")
            answer = platform.get("/metrics", token=None, headers=outside)
            self.assertEqual(answer.status, status, answer.text[:300])
            if status == 403:
                self.assertEqual(answer.json()["code"], "forbidden")
                self.assertIn("203.0.113.9", answer.json()["cause"])
            self.assertEqual(platform.get("/metrics", token=None).status, 200)
            self.assertEqual(self.up.stop(), 0)

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


class Documented(tls_test.Https):
    def test_metrics_are_documented(self):
        """docs/metrics.md has what /metrics gives, word for word, and nothing else."""
        _, platform = self.up("-D", f"streamlayer.gateway.access-log.file={self.at('access.log')}",
                              "-D", "streamlayer.gateway.limits.throughput=true",
                              "-D", "streamlayer.gateway.kafka.acls.enabled=true",
                              "-D", "streamlayer.gateway.kafka.quotas.enabled=true")
        answer = platform.post("/config/v1/catalogs", {"id": platform.name(), "layers": [
            {"id": "slow", "contentType": "application/octet-stream", "streamProperties": {"dataInThroughputKbps": 100}}]})
        self.assertEqual(answer.status, 201, answer.text)
        hrn = answer.json()["hrn"]
        subscription = streamlayer.Subscription(platform, hrn, "slow", properties={"auto.offset.reset": "earliest"})
        for _ in range(6):
            platform.publish(hrn, "slow", b"x" * 60 * 1024)  # more than three seconds' worth: it waits
        subscription.receive(6)
        rows = families(with_lag(platform))
        subscription.delete()
        text = streamlayer.read_text(DOCUMENT)
        if os.environ.get("STREAMLAYER_UPDATE_DOCS"):
            streamlayer.write_text(DOCUMENT, TABLE.sub(lambda _: "".join(rows), text))
            return
        self.assertEqual(TABLE.search(text).group().splitlines(True), rows)

    def test_alerts_are_documented(self):
        """Each rule is in docs/metrics.md, asks for metrics that there are, and says what to do."""
        rules = streamlayer.read_text(ALERTS)
        document = streamlayer.read_text(DOCUMENT)
        alerts = re.findall(r"(?m)^      - alert: (\w+)\n(?:.*\n)*?        labels: {severity: (\w+)}", rules)
        self.assertEqual(len(alerts), rules.count("- alert:"))
        self.assertEqual(len(alerts), rules.count("action: "))
        self.assertEqual(sorted(alerts), sorted(re.findall(r"(?m)^\| `(Streamlayer\w+)` \| (\w+) \|", document)))
        known = re.findall(r"(?m)^\| `(\w+)` \| (?:counter|gauge|histogram) \|", document)
        for used in (rules, document[document.index("Questions that are worth"):]):
            for name in re.findall(r"\b((?:streamlayer|process)_\w+)", used):
                self.assertIn(re.sub("_bucket$", "", name), known)

    def test_alerts_fire(self):
        """Each rule fires where it should and is silent else, as Prometheus' own runner of rules' tests sees it."""
        done = subprocess.run(["promtool", "test", "rules", os.path.dirname(os.path.abspath(__file__)) + "/alerts.yml"],
                              capture_output=True, encoding="utf-8", check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        cases = streamlayer.read_text(os.path.dirname(os.path.abspath(__file__)) + "/alerts.yml")
        for name in re.findall(r"- alert: (\w+)", streamlayer.read_text(ALERTS)):
            self.assertIn(f"alertname: {name}\n", cases)


if __name__ == "__main__":
    streamlayer.main()
