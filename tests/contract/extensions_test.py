"""Gateways of their own on the shared Kafka: one without our extensions, one with small limits."""
import hashlib
import http.client
import os
import re
import socket
import subprocess
import threading
import urllib.parse

import streamlayer
from accounts import Accounts
from streamlayer import Platform, Running, Subscription, TestCase, data, wait_for

OCTETS = "application/octet-stream"
MIB = 1024 * 1024


class Gateways(TestCase):
    def start(self, **settings):
        """Another gateway; its catalogs and blobs are its own. Its layer is called "layer"."""
        directory = self.scratch()
        arguments = [each for name, value in settings.items()
                     for each in ("-D", f"streamlayer.gateway.{name.replace('__', '.').replace('_', '-')}={value}")]
        up = Running(self.platform.binaries, directory + "/data", directory + "/log",
                     "--kafka", self.platform.brokers, *arguments)
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        platform = Platform({"URL": up.ready(60), "BIN": self.platform.binaries, "BROKERS": self.platform.brokers,
                             "CONFIG": directory + "/data/application.conf"})
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        return up, platform, hrn

    def messages(self, platform, hrn, count):
        subscription = Subscription(platform, hrn, "layer", properties={"auto.offset.reset": "earliest"})
        messages = subscription.receive(count)
        self.assertEqual(len(messages), count)
        subscription.delete()
        return messages

    def test_lookup_and_ingest_without_extensions(self):
        """Not told of, batches are an unknown content type, X-SL-… is not looked at, repeats are written."""
        up, platform, hrn = self.start(extensions="false")
        for entry in platform.get(f"/lookup/v1/resources/{hrn}/apis").json():
            self.assertEqual(entry["parameters"], {}, entry)
        url = f"{platform.base('ingest', 'v1', hrn)}/layers/layer"
        answer = platform.post(url, bytes.fromhex("a201616b0243616263"), headers={"Content-Type": "application/cbor-seq"})
        self.assertEqual((answer.status, answer.json()["code"]), (415, "wrong-content-type"))
        for _ in range(2):
            answer = platform.post(url, b"x", headers={
                "Content-Type": OCTETS, "X-HERE-TraceId": "t", "X-HERE-Message-Key": "k", "X-SL-Timestamp": "yesterday",
                "X-SL-Header-a": "1", "X-SL-Header-sl-b": "%ZZ"})
            self.assertEqual((answer.status, answer.json()), (200, {"TraceID": "t"}), answer.text)
        body = os.urandom(2 * MIB)
        self.assertEqual(platform.post(url, body, headers={"Content-Type": OCTETS}).status, 200)
        first, second, large = self.messages(platform, hrn, 3)
        self.assertEqual((data(first), data(second)), (b"x", b"x"))
        self.assertEqual(large["metaData"]["checksum"], hashlib.sha256(body).hexdigest())
        blob = platform.get(f"{platform.base('blob', 'v1', hrn)}/layers/layer/data/{large['metaData']['dataHandle']}")
        self.assertTrue(blob.body == body)
        kcat = subprocess.run(["kcat", "-C", "-b", platform.brokers, "-t", platform.topic(hrn, "layer"), "-o", "beginning",
                               "-c", "2", "-e", "-f", "%h\n"], capture_output=True, text=True, timeout=60, check=True)
        self.assertEqual(kcat.stdout.split(), ["sl-trace-id=t"] * 2)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_library_without_extensions(self):
        """Messages are sent and received, large ones too; what needs an extension says so."""
        up, platform, hrn = self.start(extensions="false")
        http = ("-D", "here.platform.data-client.stream.connector.producer=http-connector",
                "-D", "here.platform.data-client.stream.connector.consumer=http-connector")
        body = os.urandom(2 * MIB)
        directory = self.scratch()
        with open(f"{directory}/large", "wb") as file:
            file.write(body)
        platform.cli("produce", hrn, "layer", "--key", "k", *http, input=b"one\ntwo\n")
        platform.cli("produce", hrn, "layer", "--key", "k", "--file-per-message", *http, f"{directory}/large")
        got = platform.cli("consume", hrn, "layer", "--count", "3", "--raw", *http, "-D",
                           "here.platform.data-client.stream.consumer.start=begin").stdout
        self.assertTrue(got == b"onetwo" + body, f"{len(got)} bytes came")
        for refused in (("app", "list"), ("grant", "default", hrn, "read"),
                        ("group", "list", hrn, "layer"), ("group", "describe", hrn, "layer", "g"),
                        ("consume", hrn, "layer", "--offset", "@-10m", *http), ("consume", hrn, "layer", "--offset", "begin", *http)):
            done = platform.cli(*refused, check=False)
            self.assertNotEqual(done.returncode, 0, refused)
            self.assertRegex(done.stderr, b"(?i)extension", refused)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_small_limits(self):
        """limits.blob rules blobs whatever limits.body says; limits.body rules messages; publications are bounded."""
        up, platform, hrn = self.start(limits__blob="2 MiB", limits__body="1500000", limits__publications="2",
                                       limits__bytes_in_flight="4 MiB", repeats__window="0")
        blobs = f"{platform.base('blob', 'v1', hrn)}/layers/layer/data"
        self.assertEqual(platform.put(f"{blobs}/a", b"m" * (2 * MIB)).status, 204)
        for body in (b"m" * (2 * MIB + 1), (b"m" * MIB for _ in range(3))):
            answer = platform.put(f"{blobs}/b", body)
            self.assertEqual((answer.status, answer.json()["code"]), (413, "blob-too-large"))
        self.assertEqual(platform.get(f"{blobs}/b").status, 404)
        url = f"{platform.base('ingest', 'v1', hrn)}/layers/layer"
        self.assertEqual(platform.post(url, b"m" * 1500000, headers={"Content-Type": OCTETS}).status, 200)
        answer = platform.post(url, b"m" * 1500001, headers={"Content-Type": OCTETS})
        self.assertEqual((answer.status, answer.json()["code"]), (413, "body-too-large"))
        for _ in range(2):  # the window is 0
            headers = {"Content-Type": OCTETS, "X-HERE-TraceId": "t"}
            self.assertEqual(platform.post(url, b"x", headers=headers).status, 200)
        self.messages(platform, hrn, 3)
        base = f"{platform.base('publish', 'v2', hrn)}/publications"
        first, second = [platform.post(base, {"layerIds": ["layer"]}).json()["id"] for _ in range(2)]
        answer = platform.post(base, {"layerIds": ["layer"]})
        self.assertEqual((answer.status, answer.json()["code"]), (503, "too-many-publications"))
        self.assertIn("retry-after", answer.headers)
        self.assertEqual(platform.put(f"{base}/{first}").status, 204)  # it makes room, though its state is still told
        self.assertEqual(platform.get(f"{base}/{first}").status, 200)
        self.assertEqual(platform.post(base, {"layerIds": ["layer"]}).status, 200)
        self.assertEqual(platform.get(f"{base}/{first}").status, 404)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_publications_of_each_application(self):
        """How many there are, and what they hold: one application's are bounded, so that there is room for others'."""
        up, platform, hrn = self.start(limits__application_publications="2", limits__bytes_in_flight="4 MiB")
        others = [Accounts(platform).make() for _ in range(2)]
        for account in others:
            account.grant(hrn, "write")
        base = f"{platform.base('publish', 'v2', hrn)}/publications"

        def begin(application):
            return application.post(base, {"layerIds": ["layer"]})

        def upload(application, publication):  # 400 KB: a quarter of limits.bytes-in-flight has room for two of them
            return application.post(f"{platform.base('publish', 'v2', hrn)}/layers/layer/publications/{publication}"
                                    "/partitions", {"partitions": [{"partition": "k", "data": "A" * 400000}]})
        first, second = [begin(platform).json()["id"] for _ in range(2)]
        answer = begin(platform)
        self.assertEqual((answer.status, answer.json()["code"]), (429, "too-many-publications"))
        self.assertIn("retry-after", answer.headers)
        self.assertEqual(upload(platform, first).status, 204)
        answer = upload(platform, second)
        self.assertEqual((answer.status, answer.json()["code"]), (429, "too-many-publications"))
        theirs = [begin(account).json()["id"] for account in others]
        self.assertEqual(upload(others[0], theirs[0]).status, 204)
        answer = upload(others[1], theirs[1])
        self.assertEqual((answer.status, answer.json()["code"]), (503, "overloaded"))
        self.assertEqual(platform.delete(f"{base}/{first}").status, 204)
        self.assertEqual(upload(others[1], theirs[1]).status, 204)
        self.assertEqual(platform.put(f"{base}/{second}").status, 204)
        begin(platform)
        self.assertEqual(begin(platform).status, 200)  # what is submitted makes room
        self.assertEqual(platform.get(f"{base}/{second}").status, 404)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_results_of_a_batch_are_bounded(self):
        """They grow while its body comes: nothing is written whose result would find no room."""
        up, platform, hrn = self.start(limits__bytes_in_flight="1 MiB")
        answer = platform.post(f"{platform.base('ingest', 'v1', hrn)}/layers/layer", bytes.fromhex("a1024178") * 20000,
                               headers={"Content-Type": "application/cbor-seq"})
        self.assertEqual(answer.status, 200, answer.text[:500])
        self.assertLess(len(answer.body), MIB // 4)
        self.assertEqual(answer.body.count(b"overloaded"), 1)  # the last one's
        statistics = platform.get(f"/stream/v2/catalogs/{hrn}/layers/layer/statistics").json()
        written = sum(each["end"] for each in statistics["partitions"])
        self.assertEqual(answer.body.count(bytes.fromhex("0118c8")), written)  # status: 200
        self.assertGreater(written, 1000)
        self.assertLess(written, 20000)
        self.assertIn("streamlayer_result_bytes 0\n", platform.get("/metrics", token=None).text)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_a_batch_that_finds_no_room_is_told(self):
        """What holds the memory does not go on: the batch ends after a while, and does not wait for ever."""
        up, platform, hrn = self.start(limits__bytes_in_flight="1 MiB", limits__body_rate="0")
        parts = urllib.parse.urlsplit(platform.url)
        holder = socket.create_connection((parts.hostname, parts.port))
        self.addCleanup(holder.close)
        holder.sendall((f"POST {platform.base('publish', 'v2', hrn)}/layers/layer/partitions HTTP/1.1\r\nHost: x\r\n"
                        f"Authorization: Bearer {platform.token}\r\nContent-Type: application/json\r\n"
                        "Content-Length: 900000\r\n\r\n").encode() + b" " * 800000)
        wait_for(lambda: int(re.search(r"(?m)^streamlayer_bytes_in_flight (\d+)", platform.get("/metrics").text)[1]) >= 800000,
                 30, "the body is not held")
        record = bytes.fromhex("a1025a") + (150000).to_bytes(4, "big") + b"x" * 150000  # as it comes, and once more for Kafka
        answer = platform.post(f"{platform.base('ingest', 'v1', hrn)}/layers/layer", record,
                               headers={"Content-Type": "application/cbor-seq"})
        self.assertEqual(answer.status, 200, answer.text)
        self.assertIn(b"queue-full", answer.body)
        holder.close()
        wait_for(lambda: b"queue-full" not in platform.post(f"{platform.base('ingest', 'v1', hrn)}/layers/layer", record,
                                                            headers={"Content-Type": "application/cbor-seq"}).body,
                 60, "there is no room, though nobody has it")
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_large_message_that_kafka_refuses(self):
        """Its blob is removed again, and it may be sent again."""
        up, platform, hrn = self.start(kafka__producer__message__max__bytes="20000")
        url = f"{platform.base('ingest', 'v1', hrn)}/layers/layer"
        headers = {"Content-Type": OCTETS, "X-HERE-TraceId": "t"}
        body = os.urandom(2 * MIB)
        answer = platform.post(url, body, headers={**headers, "X-SL-Header-a": "m" * 22000})
        self.assertEqual((answer.status, answer.json()["code"]), (413, "message-too-large"))
        layers = os.path.join(os.path.dirname(platform.config), "blobs", "layers")

        def blobs():
            return [name for _, _, names in os.walk(layers) for name in names]
        streamlayer.wait_for(lambda: not blobs(), 30, "the blob is removed")
        self.assertEqual(platform.post(url, body, headers=headers).status, 200)
        self.assertEqual(len(blobs()), 1)
        self.messages(platform, hrn, 1)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_a_stop_with_uploads_under_way(self):
        """Half of a blob and half of a large message: the gateway ends, and nothing is left of either."""
        up, platform, hrn = self.start(shutdown_grace="1 s")
        for method, path in (("PUT", f"{platform.base('blob', 'v1', hrn)}/layers/layer/data/half"),
                             ("POST", f"{platform.base('ingest', 'v1', hrn)}/layers/layer")):
            parts = urllib.parse.urlsplit(path)
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
            self.addCleanup(connection.close)
            connection.putrequest(method, parts.path)
            for name, value in (("Authorization", "Bearer " + platform.token), ("Content-Type", OCTETS),
                                ("Content-Length", str(4 * MIB))):
                connection.putheader(name, value)
            connection.endheaders(b"m" * (2 * MIB))
        incoming = os.path.join(os.path.dirname(platform.config), "blobs", "incoming")
        streamlayer.wait_for(lambda: len(os.listdir(incoming)) == 2, 30, "both are under way")
        self.assertEqual(up.stop(), 0, up.text()[-3000:])
        self.assertNotRegex(up.text(), streamlayer.SANITIZER_REPORT)
        self.assertEqual(os.listdir(incoming), [])

    def test_a_stop_with_writes_that_wait(self):
        """Kafka's queue is full of a message that is not sent: publishes wait for room, and a repeat for its first."""
        up, platform, hrn = self.start(shutdown_grace="1 s", kafka__producer__linger__ms="100000",
                                       kafka__producer__delivery__timeout__ms="200000",
                                       kafka__producer__queue__buffering__max__messages="1")
        base = platform.base("publish", "v2", hrn)
        publication = platform.post(f"{base}/publications", {"layerIds": ["layer"]}).json()["id"]
        entries = {"partitions": [{"partition": "k", "data": "eA=="}]}
        self.assertEqual(platform.post(f"{base}/layers/layer/publications/{publication}/partitions", entries).status, 204)
        ingest = f"{platform.base('ingest', 'v1', hrn)}/layers/layer"
        headers = {"Content-Type": OCTETS, "X-HERE-TraceId": "t"}

        def ask(method, path, body, headers):
            try:
                self.assertEqual(platform.request(method, path, body, headers=headers).status, 503)
            except (OSError, http.client.HTTPException):
                pass  # cut off with the rest
        calls = [("POST", ingest, b"x", headers)] * 8
        calls += [("POST", f"{base}/layers/layer/partitions", entries, None)] * 4
        calls += [("PUT", f"{base}/publications/{publication}", None, None)] * 4
        threads = [threading.Thread(target=ask, args=call) for call in calls]
        for count, thread in enumerate(threads, 1):
            thread.start()  # the first message fills the queue

            def waits():
                text = platform.get("/metrics", token=None).text
                return f"streamlayer_http_requests_in_flight {count + 1}\n" in text
            streamlayer.wait_for(waits, 20, "it waits")
        self.assertEqual(up.stop(), 0, up.text()[-3000:])
        for thread in threads:
            thread.join()
        self.assertNotRegex(up.text(), streamlayer.SANITIZER_REPORT)


if __name__ == "__main__":
    streamlayer.main()
