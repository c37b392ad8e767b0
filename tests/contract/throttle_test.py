"""A layer's throughput is kept by delaying what is over it: nothing is lost for it, and only what would wait for too
long is refused, before it is read. On a gateway of its own."""
import base64
import os
import socket
import threading
import urllib.parse

import streamlayer
from accounts import Accounts
from ingest_test import cbor, uncbor
from streamlayer import Platform, Running, TestCase, wait_for

RATE = 100 * 1024
TEXT = {"Content-Type": "text/plain"}
CBOR = {"Content-Type": "application/cbor-seq"}


class Throttle(TestCase):
    def start(self, *more):
        directory = self.scratch()
        self.up = Running(self.platform.binaries, directory, directory + "/log", "--kafka", self.platform.brokers,
                          "-D", "streamlayer.gateway.limits.throughput=true", *more)
        self.addCleanup(lambda: self.up.stop() if self.up.process.poll() is None else None)
        url = self.up.ready()
        mine = Platform({"URL": url, "BIN": self.platform.binaries, "CONFIG": directory + "/application.conf",
                         "BROKERS": self.platform.brokers})
        answer = mine.post("/config/v1/catalogs", {"id": mine.name(), "layers": [
            {"id": "slow", "contentType": "text/plain", "streamProperties": {
                "dataInThroughputKbps": 100, "dataOutThroughputKbps": 100, "parallelization": 1}}]})
        self.assertEqual(answer.status, 201, answer.text)
        return mine, answer.json()["hrn"]

    def throttled(self, platform, hrn, direction, what):
        return platform.metric(f'streamlayer_throttle_{what}{{catalog="{hrn}",layer="slow",direction="{direction}"}}')

    def send(self, platform, hrn, size):
        return platform.post(f"/ingest/v1/catalogs/{hrn}/layers/slow", b"x" * size, headers=TEXT)

    def send_batch(self, platform, hrn, count, size, chunked=False):
        """Records, in a body of a length that is told, or in chunks."""
        records = [cbor({1: "k", 2: b"x" * size, 4: f"t-{number}"}) for number in range(count)]
        return platform.post(f"/ingest/v1/catalogs/{hrn}/layers/slow", iter(records) if chunked else b"".join(records),
                             headers=CBOR)

    def expect_taken_in_part(self, platform, hrn, answer, count):
        self.assertEqual(answer.status, 200, answer.text)
        results = uncbor(answer.body)
        self.assertEqual([each[2] for each in results], [f"t-{number}" for number in range(count)])
        taken = [each[1] for each in results].count(200)
        self.assertEqual([each[1] for each in results], [200] * taken + [429] * (count - taken))
        self.assertEqual({each.get(5) for each in results[taken:]}, {"throttled"})
        self.assertIn(taken, range(1, count))
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertEqual(sum(self.ends(platform, hrn)), taken)

    def test_a_batch_that_would_wait_too_long_is_refused_before_it_is_read(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=10s")
        self.assertEqual(self.send(platform, hrn, 8 * RATE).status, 200)
        for chunked in (False, True):
            if chunked:  # whose size nobody knows: what waits before it is too much by itself
                self.assertEqual(self.send_batch(platform, hrn, 1, RATE // 2).status, 200)
                self.assertEqual(self.send(platform, hrn, 19 * RATE).status, 200)
            before = sum(self.ends(platform, hrn))
            refused = self.send_batch(platform, hrn, 90, RATE // 10, chunked)
            self.assertEqual((refused.status, refused.json()["code"]), (429, "throttled"), refused.text)
            self.assertGreater(int(refused.headers["retry-after"]), 0)
            self.assertEqual(sum(self.ends(platform, hrn)), before)
        self.assertEqual(platform.metric('streamlayer_limit_reached_total{limit="throttle-wait"}'), 2)

    def test_of_a_batch_larger_than_the_layer_takes_in_time_the_rest_is_refused(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=1s")
        self.expect_taken_in_part(platform, hrn, self.send_batch(platform, hrn, 60, RATE // 10), 60)

    def test_of_a_batch_in_chunks_what_would_wait_too_long_is_refused(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=1s")
        self.expect_taken_in_part(platform, hrn, self.send_batch(platform, hrn, 60, RATE // 10, chunked=True), 60)

    def test_one_record_of_a_batch_always_goes(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=0ms")
        answer = self.send_batch(platform, hrn, 2, 9 * RATE)
        self.assertEqual([each[1] for each in uncbor(answer.body)], [200, 429])

    def test_what_waits_for_a_client_that_has_gone_is_not_written(self):
        platform, hrn = self.start()
        self.assertEqual(self.send(platform, hrn, 18 * RATE).status, 200)
        parts = urllib.parse.urlsplit(f"{platform.url}/ingest/v1/catalogs/{hrn}/layers/slow")
        for content_type, body in ((CBOR, cbor({1: "k", 2: b"gone"}) * 3), (TEXT, b"gone")):
            client = socket.create_connection((parts.hostname, parts.port))
            client.sendall(f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {platform.token}\r\n"
                           f"Content-Type: {content_type['Content-Type']}\r\nContent-Length: {len(body)}\r\n\r\n"
                           .encode() + body)
            wait_for(lambda: self.throttled(platform, hrn, "in", "waiting") == 1, 30, "nobody waits at the throttle")
            client.close()
            wait_for(lambda: self.throttled(platform, hrn, "in", "waiting") == 0, 30, "it waits for nobody")
        self.assertEqual(self.send(platform, hrn, 10).status, 200)  # behind them, had they gone on waiting
        self.assertEqual(sum(self.ends(platform, hrn)), 2)

    def test_the_client_library_keeps_to_the_layers_throughput(self):
        """A producer over HTTP that has more than the layer takes: all of it comes, once, at the layer's rate."""
        platform, hrn = self.start()
        lines = "".join(f"{number:06} {'x' * 992}\n" for number in range(3000))
        done = platform.cli("-D", "here.platform.data-client.stream.connector.producer=http-connector",
                            "produce", hrn, "slow", "-v", input=lines.encode())
        self.assertIn(b"produced 3000 messages", done.stderr)
        self.assertNotIn(b"timed out", done.stderr)
        self.assertEqual(sum(self.ends(platform, hrn)), 3000)
        self.assertEqual(platform.metric("streamlayer_repeats_answered_total"), 0)

    def test_throughput_is_kept_and_nothing_is_lost(self):
        platform, hrn = self.start()
        batch = {"partitions": [{"partition": f"p{i}", "data": "eHh4eHh4eHh4" * 500} for i in range(30)]}
        answer = platform.post(f"/publish/v2/catalogs/{hrn}/layers/slow/partitions", batch)
        self.assertEqual(answer.status, 204, answer.text)  # 135 KB: over a second's worth, by itself
        for _ in range(3):
            self.assertEqual(self.send(platform, hrn, 60 * 1024).status, 200)
        self.assertGreater(self.throttled(platform, hrn, "in", "wait_seconds_total"), 0)
        subscription = streamlayer.Subscription(platform, hrn, "slow", properties={"auto.offset.reset": "earliest"})
        messages = []

        def poll():
            found = subscription.poll()
            size = sum(len(streamlayer.data(message)) for message in found)
            self.assertLessEqual(size, RATE, "more than a second's worth in one answer")
            messages.extend(found)
            return len(messages) >= 33
        wait_for(poll, 60, "33 messages were expected")
        self.assertEqual(len(messages), 33)
        self.assertGreater(self.throttled(platform, hrn, "out", "wait_seconds_total"), 0)
        subscription.delete()

    def test_a_wait_that_would_be_too_long_is_refused(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=0ms")
        self.assertEqual(self.send(platform, hrn, 9 * RATE).status, 200)  # one goes, however large
        refused = self.send(platform, hrn, 10)
        self.assertEqual((refused.status, refused.json()["code"]), (429, "throttled"), refused.text)
        self.assertGreater(int(refused.headers["retry-after"]), 0)
        self.assertIn("100 KBps", refused.json()["cause"])
        self.assertEqual(sum(self.ends(platform, hrn)), 1)

    def test_what_is_let_in_does_not_wait_for_longer(self):
        """Of many that come at once so many are let in as go in time; the others are told when to come again."""
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=5s")
        answers, senders = [], []
        for number in range(5):
            senders.append(threading.Thread(target=lambda: answers.append(self.send(platform, hrn, 3 * RATE))))
            senders[-1].start()
            wait_for(lambda: len(answers) + self.throttled(platform, hrn, "in", "waiting") >= number + 1, 30,
                     "one is neither answered nor waits")
        for sender in senders:
            sender.join()
        statuses = sorted(answer.status for answer in answers)
        self.assertEqual(set(statuses), {200, 429}, [answer.text for answer in answers])
        self.assertGreaterEqual(statuses.count(429), 2, statuses)
        self.assertEqual(sum(self.ends(platform, hrn)), statuses.count(200))

    def ends(self, platform, hrn):
        answer = platform.get(f"/stream/v2/catalogs/{hrn}/layers/slow/statistics")
        return [each["end"] for each in answer.json()["partitions"]]

    def test_what_is_not_taken_of_a_blob_is_not_paid(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=1s")
        blobs = f"/blob/v1/catalogs/{hrn}/layers/slow/data"
        self.assertEqual(platform.put(f"{blobs}/large", b"x" * (90 * RATE)).status, 204)
        parts = urllib.parse.urlsplit(platform.url)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the kernel takes little in its place
        client.connect((parts.hostname, parts.port))
        client.sendall(f"GET {blobs}/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {platform.token}\r\n\r\n".encode())
        self.assertTrue(client.recv(1000).startswith(b"HTTP/1.1 200 "))
        self.assertEqual(platform.get(f"{blobs}/large").status, 429)
        client.close()
        wait_for(lambda: platform.get(f"{blobs}/large", headers={"Range": "bytes=0-1"}).status == 206, 30,
                 "what nobody took is paid for")

    def publication(self, platform, hrn, lists, size):
        base = f"/publish/v2/catalogs/{hrn}"
        at = f"{base}/publications/{platform.post(base + '/publications', {'layerIds': ['slow']}).json()['id']}"
        for number in range(lists):
            partition = {"partition": f"p{number}", "data": base64.b64encode(b"x" * size).decode()}
            answer = platform.post(f"{base}/layers/slow{at[len(base):]}/partitions", {"partitions": [partition]})
            self.assertEqual(answer.status, 204, answer.text)
        return lambda: platform.put(at)

    def expect_throttled(self, answer, done, count):
        self.assertEqual((answer.status, answer.json()["code"]), (429, "throttled"), answer.text)
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertIn(f"({done} of {count} messages are in their layers)", answer.json()["cause"])

    def test_a_submit_that_would_wait_too_long_is_refused_before_it_writes(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=0ms")
        submit = self.publication(platform, hrn, 2, 10)
        self.assertEqual(self.send(platform, hrn, 9 * RATE).status, 200)
        self.expect_throttled(submit(), 0, 2)
        self.assertEqual(sum(self.ends(platform, hrn)), 1)

    def test_a_submit_goes_on_where_it_was_refused(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=2s")
        submit = self.publication(platform, hrn, 5, 2 * RATE)
        self.expect_throttled(submit(), 2, 5)  # the third had to wait for more than what was left of two seconds
        self.assertEqual(sum(self.ends(platform, hrn)), 2)

        def submitted():
            answer = submit()
            self.assertIn(answer.status, (204, 429), answer.text)
            return answer.status == 204
        wait_for(submitted, 60, "the submit never came to its end")
        self.assertEqual(sum(self.ends(platform, hrn)), 5)

    def test_market_throughput_is_the_applications(self):
        """A Marketplace subscription's outboundKbps: polls and blobs, also where layers' rates are not kept."""
        platform, _ = self.start("-D", "streamlayer.gateway.limits.throttle-wait=5s", "-D",
                                 "streamlayer.gateway.limits.throughput=false")
        hrn = platform.market()
        reader = Accounts(platform).make()
        for _ in range(5):
            platform.publish(hrn, "l", b"x" * 20 * 1024, "text/plain")
        blob = f"/blob/v1/catalogs/{hrn}/layers/l/data/b"
        self.assertEqual(platform.put(blob, b"x", headers=TEXT).status, 204)
        reader.subscribe(hrn, outboundKbps=1)
        subscription = streamlayer.Subscription(reader, hrn, "l", properties={"auto.offset.reset": "earliest"})
        self.assertEqual(len(subscription.receive(1)), 1)  # one goes, however large, and the next waits for 19 s
        self.assertEqual(reader.get(subscription.url("partitions") + "?maxWaitMs=0").json()["messages"], [])
        refused = reader.get(blob)
        self.assertEqual((refused.status, refused.json()["code"]), (429, "throttled"), refused.text)
        self.assertIn("outboundKbps", refused.json()["action"])
        self.assertIn("outboundKbps", self.blob_size(platform, reader, hrn))
        provider = streamlayer.Subscription(platform, hrn, "l", properties={"auto.offset.reset": "earliest"})
        self.assertEqual(len(provider.receive(5)), 5)
        reader.subscribe(hrn, outboundKbps=50)
        rest = []
        while len(rest) < 4:
            got = subscription.receive(1)
            self.assertLessEqual(len(got), 2, "more than a second's worth in one answer")
            rest += got
        self.assertEqual(reader.get(blob).status, 200)
        for each in (subscription, provider):
            each.delete()

    def test_throttled_is_not_empty(self):
        """Who reads until nothing comes goes on while messages are there, and is told why they do not come."""
        platform, _ = self.start()
        hrn = platform.market()
        reader = Accounts(platform).make()
        for letter in "ab":
            platform.publish(hrn, "l", letter.encode() * 10 * 1024, "text/plain")
        reader.subscribe(hrn, outboundKbps=1)
        root = "here.platform.data-client."
        done = platform.cli("-D", f"{root}request-signer.credentials.file-path={self.credentials(reader)}", "-D",
                            f"{root}stream.connector.consumer=http-connector", "consume", hrn, "l", "--offset", "begin")
        self.assertEqual(done.stdout.decode().split(), ["a" * 10 * 1024, "b" * 10 * 1024])
        self.assertEqual(done.stderr.decode().count("throttled: messages wait"), 1, done.stderr)
        self.assertIn("(outboundKbps)", done.stderr.decode())

    def credentials(self, reader):
        name = self.scratch() + "/reader.properties"
        with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(reader.properties())
        return name

    def blob_size(self, platform, reader, hrn):
        """What the command line says of a refusal: it asks by HEAD, whose answer has no body."""
        root = "here.platform.data-client."
        done = platform.cli("-D", f"{root}request-signer.credentials.file-path={self.credentials(reader)}", "-D", f"{root}http.retry.attempts=0",
                            "blob", "size", hrn, "l", "b", check=False)
        self.assertIn("[throttled]", done.stderr.decode())
        return done.stderr.decode()

    def test_who_waits_goes_when_the_gateway_is_stopped(self):
        platform, hrn = self.start("-D", "streamlayer.gateway.limits.throttle-wait=29s")
        self.assertEqual(self.send(platform, hrn, 20 * RATE).status, 200)
        answers = []
        sender = threading.Thread(target=lambda: answers.append(self.send(platform, hrn, 10)))
        sender.start()
        wait_for(lambda: self.throttled(platform, hrn, "in", "waiting") == 1, 30, "nobody waits at the throttle")
        self.assertEqual(self.up.stop(), 0, self.up.text()[-2000:])
        sender.join()
        self.assertEqual([answer.status for answer in answers], [200])


if __name__ == "__main__":
    streamlayer.main()
