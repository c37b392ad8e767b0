"""What stands behind layers: several Kafka clusters, topics that are adopted, changes, SASL and TLS to the brokers."""
import concurrent.futures
import os
import shutil
import signal
import sqlite3
import tempfile

import daemon
import kafka
import streamlayer
from accounts import Accounts
from streamlayer import Subscription, TestCase, data, wait_for

EARLIEST = {"auto.offset.reset": "earliest"}


class Clusters(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = tempfile.mkdtemp(prefix="streamlayer-clusters-")
        cls.addClassCleanup(shutil.rmtree, cls.place, True)
        cls.key = daemon.make_data(cls.platform, cls.place)

    def start(self, settings="", brokers=None):
        """A gateway of the test's own, and how it is spoken to."""
        running = daemon.Daemon(self.platform, self.place, settings=settings, brokers=brokers)
        streamlayer.write_text(running.log, "")
        running.start()
        self.addCleanup(running.kill)
        running.url()
        return running, daemon.platform_of(running, self.key)

    def restart(self, running, settings=""):
        self.stop(running)
        return self.start(settings)

    def stop(self, running):
        self.assertEqual(running.stop(), 0, running.text())
        self.assertNotRegex(running.text(), streamlayer.SANITIZER_REPORT)

    def kafka(self, *settings):
        directory = self.place + "/other"
        os.mkdir(directory)
        started = kafka.Kafka(directory, *settings)
        self.addCleanup(started.stop)
        return started

    def refused(self, answer, status, code, *words):
        self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(answer.json()["code"], code, answer.text)
        for word in words:
            self.assertIn(word, answer.text)

    def through(self, platform, hrn, layer, text):
        """One message goes in and comes out."""
        platform.publish(hrn, layer, text)
        subscription = Subscription(platform, hrn, layer, properties=EARLIEST)
        wait_for(lambda: text in [data(message) for message in subscription.poll()], 30, f"{text} did not come")
        subscription.delete()

    def layers(self):
        with sqlite3.connect(self.place + "/data/catalogs.db") as store:
            return dict(store.execute("SELECT id, state FROM layers"))

    def revoked(self, platform, hrn, layer):
        """Who loses the right to read loses its subscription, too."""
        account = Accounts(platform).make()
        account.grant(hrn, "read")
        subscription = Subscription(account, hrn, layer)
        self.assertEqual(account.get(subscription.url("partitions")).status, 200)
        self.assertEqual(platform.delete(f"/config/v1/catalogs/{hrn}/grants/{account.name}").status, 204)
        self.refused(account.get(subscription.url("partitions")), 403, "forbidden")
        account.grant(hrn, "read")

        def ended():
            answer = account.get(subscription.url("partitions"))
            return answer if answer.status != 200 else None
        answer = wait_for(ended, 20, "the subscription outlives the right")
        self.assertIn(answer.status, (403, 404), answer.text)
        self.assertIn("may not read", answer.json()["cause"])

    def test_grants_that_kafka_does_not_take_are_warned_of(self):
        """They hold at the gateway, and whoever gave or took them hears that direct clients may not know."""
        running, platform = self.start("kafka.acls.enabled = true")  # and the platform's Kafka has no authorizer
        hrn, account = platform.catalog(), Accounts(platform).make()
        for words in (("grant", account.name, hrn, "read"), ("revoke", account.name, hrn),
                      ("app", "delete", account.name, "--yes")):
            complaint = platform.cli(*words).stderr.decode()
            self.assertRegex(complaint, r"warning: .*Kafka does not know of it yet.*streamlayer acl check\)\n", words)
        answer = platform.request("PUT", f"/config/v1/catalogs/{hrn}/grants/{Accounts(platform).make().name}",
                                  {"rights": ["read"]})
        self.assertRegex(answer.headers["warning"], '^199 - "this holds at the gateway, .*"$')
        self.stop(running)

    # --- Several clusters ---

    def test_layers_are_on_several_clusters(self):
        other = self.kafka()
        settings = f'kafka.clusters.eu.brokers = "{other.brokers}"'
        running, platform = self.start(settings)
        hrn = platform.catalog()
        platform.layer(hrn, "here")
        platform.cli("layer", "create", hrn, "there", "--content-type", "application/octet-stream", "--cluster", "eu")
        layers = f"/config/v1/catalogs/{hrn}/layers"
        here, there = (platform.get(f"{layers}/{layer}").json() for layer in ("here", "there"))
        self.assertEqual((here["cluster"], there["cluster"]), ("default", "eu"))
        self.assertEqual(kafka.partitions(platform.brokers, here["topic"]), 4)
        self.assertEqual(kafka.partitions(platform.brokers, there["topic"]), 0)
        self.assertEqual(kafka.partitions(other.brokers, there["topic"]), 4)
        self.through(platform, hrn, "here", b"near")
        self.through(platform, hrn, "there", b"far")
        self.assertEqual(kafka.values(other.brokers, there["topic"]), ["far"])
        endpoint = platform.get(f"{platform.base('stream', 'v2', hrn)}/layers/there/endpoint").json()
        self.assertEqual(endpoint["bootstrapServers"], [{"hostname": "127.0.0.1", "port": int(other.brokers.split(":")[1])}])
        self.assertEqual(platform.get("/ready", token=None).json()["clusters"], {"default": "ready", "eu": "ready"})
        metrics = platform.get("/metrics").text
        for cluster in ("default", "eu"):
            self.assertIn(f'streamlayer_kafka_written_messages_total{{cluster="{cluster}"}} 1\n', metrics)
        self.refused(platform.post(layers, {"id": "x", "contentType": "a/b", "cluster": "us"}), 400, "bad-request",
                     "default, eu")
        self.revoked(platform, hrn, "there")
        market = platform.post("/config/v1/catalogs", {"id": platform.name("market"), "marketplace": True, "layers": [
            {"id": "sold", "contentType": "a/b", "cluster": "eu"}]}).json()["hrn"]

        # The cluster is taken out of the settings: its layer says so, all else goes on.
        running, platform = self.restart(running)
        self.refused(platform.post(f"{platform.base('ingest', 'v1', hrn)}/layers/there", b"x",
                                   headers={"Content-Type": "application/octet-stream"}),
                     503, "cluster-not-configured", "kafka.clusters.eu")
        # Who reads what is on the Marketplace, and may not know where that lies, is not told which.
        account, subscribe = Accounts(platform).make(), f"{platform.base('stream', 'v2', market)}/layers/sold/subscribe?mode=serial"
        account.subscribe(market)
        self.refused(platform.post(subscribe), 503, "cluster-not-configured", "kafka.clusters.eu")
        answer = account.post(subscribe)
        self.refused(answer, 503, "cluster-not-configured", "the Kafka cluster of the layer sold is not configured")
        self.assertNotIn("eu", answer.json()["cause"])
        self.assertEqual(platform.delete(f"/config/v1/catalogs/{market}").status, 503)
        self.assertEqual(platform.get(f"{layers}/there").json()["cluster"], "eu")
        self.through(platform, hrn, "here", b"again")
        self.refused(platform.request("PATCH", f"{layers}/there", {"ttl": 7200000}), 503, "cluster-not-configured")
        self.refused(platform.delete(f"{layers}/there"), 503, "cluster-not-configured", there["topic"])
        self.assertEqual(platform.get(f"{layers}/there").status, 404)
        # One that cannot be deleted does not keep the next from it.
        self.assertEqual(platform.delete(f"/config/v1/catalogs/{hrn}").status, 503)
        wait_for(lambda: not kafka.partitions(platform.brokers, here["topic"]), 30, "the other layer's topic is there")
        self.assertEqual(self.layers(), {"there": 2, "sold": 2})

        # And in again: what was to be deleted is.
        running, platform = self.restart(running, settings)
        wait_for(lambda: not kafka.partitions(other.brokers, there["topic"]), 60, "the topic is still there")
        wait_for(lambda: not self.layers(), 30, "the layer is still in the store")
        self.stop(running)

    # --- Adopting ---

    def test_topics_are_adopted_and_never_deleted(self):
        other = self.kafka("auto.create.topics.enable=true", "num.partitions=3", "log.retention.ms=7200000")
        brokers, topic = other.brokers, "orders"
        running, platform = self.start(brokers=brokers)
        kafka.kcat(brokers, "-P", "-t", topic, "-k", "k", text=b"old")
        kafka.set_topic(brokers, topic, "flush.ms", "123456")
        hrn = platform.catalog()
        layers = f"/config/v1/catalogs/{hrn}/layers"
        ask = {"id": "orders", "contentType": "text/plain", "topic": topic}
        self.refused(platform.post(layers, {**ask, "topic": topic + "-none"}), 404, "topic-missing", topic + "-none")
        self.refused(platform.post(layers, {**ask, "topic": "__consumer_offsets"}), 400, "bad-request", "Kafka's own")
        self.refused(platform.post(layers, {**ask, "topic": "a/b"}), 400, "bad-request", "A-Z a-z 0-9")
        self.refused(platform.post(layers, {**ask, "streamProperties": {"parallelization": 4}}), 400, "bad-request", "must be 3")
        self.refused(platform.post(layers, {**ask, "ttl": 3600000}), 400, "bad-request", "7200000")
        self.assertEqual(platform.get(layers + "/orders").status, 404)
        self.assertEqual(kafka.partitions(brokers, topic + "-none"), 0)  # asking has not made it
        manager = Accounts(platform).make("create")  # other topics are none of its business, nor whether they are there
        manager.grant(hrn, "manage")
        for name in (topic, topic + "-none"):
            self.refused(manager.post(layers, {**ask, "topic": name}), 403, "forbidden", "may not adopt topics")
            self.refused(manager.post("/config/v1/catalogs", {"id": platform.name("c"), "layers": [{**ask, "topic": name}]}),
                         403, "forbidden", "may not adopt topics")
        before = kafka.topic_settings(brokers, topic)

        platform.cli("layer", "create", hrn, "orders", "--content-type", "text/plain", "--topic", topic)
        layer = platform.get(layers + "/orders").json()
        self.assertEqual((layer["topic"], layer["adopted"], layer["ttl"], layer["streamProperties"]["parallelization"]),
                         (topic, True, 7200000, 3))
        self.assertIn(b"adopted", platform.cli("layer", "show", hrn, "orders", "--no-rates").stdout)
        self.refused(platform.post(layers, {**ask, "id": "again"}), 409, "conflict", "orders")
        platform.publish(hrn, "orders", b"new", content_type="text/plain")
        subscription = Subscription(platform, hrn, "orders", properties=EARLIEST)
        self.assertEqual(sorted(data(message) for message in subscription.receive(2)), [b"new", b"old"])
        subscription.delete()
        self.refused(platform.request("PATCH", layers + "/orders", {"streamProperties": {"parallelization": 8}}), 400, "bad-request")
        self.assertEqual(kafka.topic_settings(brokers, topic), before)

        def still_there():
            self.assertEqual(kafka.values(brokers, topic), ["new", "old"])
            self.assertEqual(kafka.partitions(brokers, topic), 3)

        self.assertEqual(platform.delete(layers + "/orders").status, 200)
        still_there()
        self.assertEqual(platform.post(layers, ask).status, 201)  # it was let go
        self.assertEqual(platform.delete(f"/config/v1/catalogs/{hrn}").status, 200)
        still_there()
        hrn = platform.catalog()
        layers = f"/config/v1/catalogs/{hrn}/layers"
        self.assertEqual(platform.post(layers, ask).status, 201)
        # A crash half-way: begun, and never said to be there.
        self.stop(running)
        with sqlite3.connect(self.place + "/data/catalogs.db") as store:
            store.execute("UPDATE layers SET state = 0")
        running, platform = self.start(brokers=brokers)
        wait_for(lambda: not self.layers(), 30, "what was half made is still in the store")
        still_there()
        self.stop(running)

    # --- Changing ---

    def test_a_layer_is_changed(self):
        running, platform = self.start()
        brokers, hrn = platform.brokers, platform.catalog()
        platform.layer(hrn, "cars", parallelization=2)
        url = f"/config/v1/catalogs/{hrn}/layers/cars"
        topic = platform.get(url).json()["topic"]
        kafka.set_topic(brokers, topic, "flush.ms", "123456")
        platform.publish(hrn, "cars", b"before")
        subscription = Subscription(platform, hrn, "cars", properties=EARLIEST)
        self.assertEqual(len(subscription.receive(1)), 1)
        platform.cli("layer", "update", hrn, "cars", "--name", "All cars", "--ttl", "2h", "--parallelization", "5",
                     "--in-kbps", "2000", "--out-kbps", "8000")
        for again in range(2):  # as it is, and as the store has it
            layer = platform.get(url).json()
            self.assertEqual((layer["name"], layer["ttl"], layer["topic"], layer["contentType"]),
                             ("All cars", 7200000, topic, "application/octet-stream"))
            self.assertEqual(layer["streamProperties"], {"dataInThroughputKbps": 2000, "dataOutThroughputKbps": 8000,
                                                         "parallelization": 5})
            if not again:
                self.assertIn(f'streamlayer_messages_in_total{{catalog="{hrn}",layer="cars"}} 1\n', platform.get("/metrics").text)
                self.assertEqual(kafka.partitions(brokers, topic), 5)
                settings = kafka.topic_settings(brokers, topic)
                self.assertEqual((settings["flush.ms"], settings["retention.ms"], settings["message.timestamp.before.max.ms"],
                                  settings["cleanup.policy"], settings["max.message.bytes"]),
                                 ("123456", "7200000", "7200000", "delete", "2097152"))
                # Who reads goes on.
                platform.publish(hrn, "cars", b"after", X_HERE_Message_Key="k")
                subscription.delete()
                running, platform = self.restart(running)
        for change, words in (({"streamProperties": {"parallelization": 4}}, "can only grow"),
                              ({"streamProperties": {"parallelization": 33}}, "1 to 32"),
                              ({"ttl": 1000}, "10 minutes"), ({"contentType": "a/b"}, "cannot be changed"),
                              ({"cluster": "eu"}, "cannot be changed"), ({"name": ""}, "name"),
                              ({"streamProperties": {"dataOutThroughputKbps": 1000}}, "at least")):
            self.refused(platform.request("PATCH", url, change), 400, "bad-request", words)
        self.assertEqual(platform.get(url).json(), layer)
        for answer in (platform.put(url, layer), platform.request("PATCH", url, {})):
            self.assertEqual(answer.json(), {**layer, "configToken": "completed"})
        self.refused(platform.request("PATCH", url + "x", {}), 404, "no-such-layer")
        self.assertEqual(platform.cli("layer", "update", hrn, "cars", check=False).returncode, 2)
        subscription = Subscription(platform, hrn, "cars", properties=EARLIEST)
        self.assertEqual(sorted(data(message) for message in subscription.receive(2)), [b"after", b"before"])
        self.stop(running)

    def test_a_layer_is_changed_by_one_at_a_time(self):
        """While Kafka does not answer, the first change waits for it, and the second one is told so."""
        other = self.kafka()
        running, platform = self.start(brokers=other.brokers)
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        url = f"/config/v1/catalogs/{hrn}/layers/layer"

        def rename():
            return platform.request("PATCH", url, {"name": "renamed"})

        def keep_longer():
            """As soon as nobody renames it."""
            def ask():
                answer = platform.request("PATCH", url, {"ttl": 7200000})
                return answer.status != 409 and answer
            return wait_for(ask, 30, "the layer is always being changed")

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            os.kill(other.process.pid, signal.SIGSTOP)
            try:
                first = pool.submit(keep_longer)
                refusal = wait_for(lambda: (answer := rename()).status != 200 and answer, 30, "nobody changes the layer")
                self.refused(refusal, 409, "conflict", "just being changed by another request")
            finally:
                os.kill(other.process.pid, signal.SIGCONT)
            self.assertEqual(first.result().status, 200, first.result().text)
        self.assertEqual(rename().json()["ttl"], 7200000)
        self.stop(running)

    def test_what_is_left_of_a_deleted_layer_is_removed_later(self):
        """Its blobs though Kafka does not answer, and its topic once Kafka does, by the gateway that was running then."""
        other = self.kafka()
        running, platform = self.start("sweep-interval = 1 s", brokers=other.brokers)
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        topic = platform.get(f"/config/v1/catalogs/{hrn}/layers/layer").json()["topic"]
        blob = f"{platform.base('blob', 'v1', hrn)}/layers/layer/data/handle"
        self.assertEqual(platform.put(blob, b"large").status, 204)
        blobs = self.place + "/data/blobs/layers"
        self.assertEqual(len(os.listdir(blobs)), 1)
        os.kill(other.process.pid, signal.SIGSTOP)
        try:
            answer = platform.delete(f"/config/v1/catalogs/{hrn}/layers/layer")
            self.refused(answer, 503, "kafka-timed-out", f"out of sight already, but the topic {topic} is not deleted yet")
            wait_for(lambda: not os.listdir(blobs), 60, "the blobs of a deleted layer stay")
        finally:
            os.kill(other.process.pid, signal.SIGCONT)
        wait_for(lambda: not self.layers(), 60, "the layer is not forgotten")
        self.assertEqual(kafka.partitions(other.brokers, topic), 0)
        self.stop(running)

    # --- SASL and TLS to the brokers ---

    def test_brokers_that_want_sasl_and_tls(self):
        other = self.kafka()

        def client(password=kafka.PASSWORD, ca="ca"):
            return (f'kafka.client {{ security.protocol = sasl_ssl, sasl.mechanism = PLAIN, sasl.username = {kafka.USER}, '
                    f'sasl.password = "{password}", ssl.ca.location = "{other.directory}/{ca}.pem" }}\n')

        running, platform = self.start(client(), other.secure_brokers)
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        self.through(platform, hrn, "layer", b"guarded")
        self.assertEqual(platform.get("/ready", token=None).status, 200)
        url = f"{platform.base('stream', 'v2', hrn)}/layers/layer/endpoint"
        security = platform.get(url).json()["security"]
        self.assertEqual((security["protocol"], security["mechanism"]), ("sasl_ssl", "PLAIN"))
        self.assertEqual(platform.get(f"{platform.base('stream', 'v2', hrn)}/layers/layer/groups").status, 200)
        self.assertNotIn(kafka.PASSWORD, running.text())
        self.stop(running)

        # Applications are told something else than what the gateway uses.
        running, platform = self.start(client() + "kafka.advertised { brokers = \"outside.example:9999\", security-protocol = ssl, "
                                       f'ca-file = "{other.directory}/stranger.pem" }}', other.secure_brokers)
        endpoint = platform.get(url.replace(url.split("/stream/")[0], platform.url)).json()
        self.assertEqual(endpoint["bootstrapServers"], [{"hostname": "outside.example", "port": 9999}])
        with open(other.directory + "/stranger.pem", encoding="ascii") as file:
            stranger = file.read()
        self.assertEqual(endpoint["security"]["protocol"], "ssl")
        self.assertNotIn("mechanism", endpoint["security"])
        self.assertIn(stranger, endpoint["security"].values())
        self.stop(running)

        for settings, setting in ((client(password="wrong-one"), "sasl.password"), (client(ca="stranger"), "ssl.ca.location")):
            running, platform = self.start(settings, other.secure_brokers)
            self.ready_says(platform, "kafka.client", setting)
            self.assertRegex(running.text(), "(?i)sasl|certificate")
            self.assertNotIn("wrong-one", running.text())
            running.kill()

    def ready_says(self, platform, *words):
        def look():
            answer = platform.get("/ready", token=None)
            self.assertEqual(answer.status, 503, answer.text)
            return all(word in answer.json()["cause"] for word in words)
        wait_for(look, 30, f"/ready does not say {words}: {platform.get('/ready', token=None).text}")


if __name__ == "__main__":
    streamlayer.main()
