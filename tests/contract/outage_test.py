"""Kafka is away: every request is answered, within what its client waits, and the answer names the cluster."""
import os
import re
import shutil
import signal
import tempfile

import daemon
import kafka
import streamlayer
from streamlayer import Background, Subscription, TestCase, wait_for

OCTETS = {"Content-Type": "application/octet-stream"}
PATIENCE_S = 25  # a client's; the gateway's is limits.kafka-wait
SHORT_S = 9  # where all the time there is was more once, whatever limits.kafka-wait says
SETTINGS = "limits { kafka-wait = 3 s, join-timeout = 5 minutes }\n  kafka.acls.enabled = true"


class Outage(TestCase):
    def setUp(self):
        self.place = tempfile.mkdtemp(prefix="streamlayer-outage-")
        self.addCleanup(shutil.rmtree, self.place, True)
        os.mkdir(self.place + "/kafka")
        self.kafka = kafka.Kafka(self.place + "/kafka")
        self.addCleanup(self.kafka.stop)
        self.key = daemon.make_data(self.platform, self.place)
        self.running = daemon.Daemon(self.platform, self.place, brokers=self.kafka.brokers).start()
        self.addCleanup(self.running.kill)
        self.gateway = daemon.platform_of(self.running, self.key)
        self.hrn = self.gateway.catalog()
        for layer in ("read", "written", "deleted", "changed", "kept"):
            self.gateway.layer(self.hrn, layer)
        self.gateway.publish(self.hrn, "read", b"x")
        # Kafka has all the time that it needs until then.
        self.assertEqual(self.running.stop(), 0, self.running.text())
        streamlayer.write_text(self.running.log, "")
        self.running.configure(SETTINGS)
        self.running.start()
        self.gateway = daemon.platform_of(self.running, self.key)
        self.subscription = Subscription(self.gateway, self.hrn, "read", properties={"auto.offset.reset": "earliest"})
        self.offset = self.subscription.receive(1)[0]["offset"]

    def ask(self, method, url, body=b"", patience=PATIENCE_S, **headers):
        return Background(self.gateway.request, method, url, body, headers, timeout=patience)

    def all_calls(self):
        """One of each kind that waits for Kafka, all at once."""
        ingest, publish, stream = (f"{self.gateway.base(api, version, self.hrn)}/layers" for api, version in
                                   (("ingest", "v1"), ("publish", "v2"), ("stream", "v2")))
        config, node = f"/config/v1/catalogs/{self.hrn}/layers", f"{self.subscription.node}/layers/read"
        return {
            "ingest": self.ask("POST", f"{ingest}/written", b"x", **OCTETS),
            "ingest of a layer not written before": self.ask("POST", f"{ingest}/kept", b"x", **OCTETS),
            "large": self.ask("POST", f"{ingest}/written", bytes(1 << 21), **OCTETS),
            "traced": self.ask("POST", f"{ingest}/written", b"x", **OCTETS, **{"X-HERE-TraceId": "t"}),
            "the same again": self.ask("POST", f"{ingest}/written", b"x", **OCTETS, **{"X-HERE-TraceId": "t"}),
            "publish": self.ask("POST", f"{publish}/written/partitions", {"partitions": [{"partition": "p", "data": "eA=="}]}),
            "create": self.ask("POST", config, {"id": "made", "contentType": "a/b"}),
            "delete": self.ask("DELETE", f"{config}/deleted"),
            "change": self.ask("PATCH", f"{config}/changed", {"ttl": 7200000}),
            "grow": self.ask("PATCH", f"{config}/kept", {"streamProperties": {"parallelization": 6}}),
            "subscribe": self.ask("POST", f"{stream}/kept/subscribe?mode=serial"),
            "commit": self.ask("PUT", f"{node}/offsets", {"offsets": [self.offset]}),
            "seek": self.ask("PUT", f"{node}/seek", {"to": "begin"}),
            "positions": self.ask("GET", f"{node}/positions"),
            "groups": self.ask("GET", f"{stream}/read/groups", patience=SHORT_S),
            "group": self.ask("GET", f"{stream}/read/groups/-", patience=SHORT_S),
            "reset": self.ask("PUT", f"{stream}/kept/groups/-/offsets", {"to": "begin"}, patience=SHORT_S),
            "statistics": self.ask("GET", f"{stream}/read/statistics", patience=SHORT_S),
            "ready": self.ask("GET", "/ready"),
        }

    def check_answers(self):
        for call in [self.ask(method, url, patience=SHORT_S) for method, url in (
                ("GET", "/config/v1/acls"), ("POST", "/config/v1/acls/repair"))]:
            answer = call.result(2 * PATIENCE_S)
            self.assertEqual(answer.status, 200, answer.text)
            self.assertTrue(answer.json()["clusters"][0]["error"], answer.text)
        for what, call in self.all_calls().items():
            with self.subTest(what):
                answer = call.result(2 * PATIENCE_S)
                self.assertEqual(answer.status, 503, answer.text)
                self.assertIn("retry-after", answer.headers)
                self.assertIn(f'"default" ({self.kafka.brokers})', answer.json()["cause"])
        # A batch has a result for each record, and what it has none for was not looked at.
        records = bytes.fromhex("a2016161024162") * 5000
        answer = self.ask("POST", f"{self.gateway.base('ingest', 'v1', self.hrn)}/layers/written", records,
                          **{"Content-Type": "application/cbor-seq"}).result(2 * PATIENCE_S)
        self.assertEqual(answer.status, 200, answer.text)
        self.assertIn(b"kafka-timed-out", answer.body)
        self.assertLess(answer.body.count(b"kafka-timed-out"), 5000)
        answer = self.ask("DELETE", f"{self.subscription.node}/layers/read/subscribe").result(2 * PATIENCE_S)
        self.assertIn(answer.status, (200, 503), answer.text)

    def test_requests_are_answered_while_kafka_is_silent(self):
        self.kafka.process.send_signal(signal.SIGSTOP)
        try:
            self.check_answers()
        finally:
            self.kafka.process.send_signal(signal.SIGCONT)
        # And all goes on when it speaks again.
        wait_for(lambda: self.gateway.get("/ready", token=None).status == 200, 60, "/ready")
        self.gateway.publish(self.hrn, "written", b"again")
        self.assertEqual(self.running.stop(), 0, self.running.text())
        self.assertNotRegex(self.running.text(), streamlayer.SANITIZER_REPORT)

    def test_requests_are_answered_while_kafka_is_gone(self):
        self.kafka.stop()
        self.check_answers()
        self.assertEqual(self.running.stop(), 0, self.running.text())
        # Each trouble once, however many clients of the cluster have it.
        told = re.findall(r"^\S+ (?:WARNING|ERROR) (.*127\.0\.0\.1:\d+/\w+: Connect .*?)(?: \(after .*)?$",
                          self.running.text(), re.M)
        self.assertTrue(told, self.running.text())
        self.assertEqual(sorted(told), sorted(set(told)), self.running.text())
        self.assertNotIn("FAIL:", self.running.text())
        self.assertNotRegex(self.running.text(), streamlayer.SANITIZER_REPORT)


if __name__ == "__main__":
    streamlayer.main()
