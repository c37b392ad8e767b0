"""`streamlayer up --secure`: its Kafka lets in who shows one of the gateway's tokens, and does what was granted."""
import base64
import json
import os
import re
import signal
import stat
import subprocess
import threading
import time

import daemon
import jwt
import kafka
import sasl
import streamlayer
from accounts import Accounts
from streamlayer import Platform, Running, Subscription, TestCase, data

EARLIEST = {"auto.offset.reset": "earliest"}


class SecureUp(TestCase):
    def setUp(self):
        self.directory = self.scratch()
        self.data = self.directory + "/data"
        self.tls = self.data + "/kafka-tls"
        self.ca = self.tls + "/ca.pem"
        self.ups = 0

    def up(self, *arguments, ready=True, port=0):
        self.ups += 1
        up = Running(self.platform.binaries, self.data, f"{self.directory}/log{self.ups}", *arguments, port=port)
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        if ready:
            url = up.ready(150)
            self.own = Platform({"URL": url, "BIN": self.platform.binaries, "CONFIG": self.data + "/application.conf"})
            self.clients, _, self.internal = map(int, streamlayer.read_text(self.data + "/kafka.ports").split())
            self.assertIn(f" kafka=127.0.0.1:{self.clients} security=sasl_ssl ", up.text())
        return up

    def stop(self, up):
        self.assertEqual(up.stop(), 0, up.text())
        self.assertNotRegex(up.text(), streamlayer.SANITIZER_REPORT)

    def through(self, hrn, text):
        """One message goes in and comes out by the gateway."""
        self.own.publish(hrn, "layer", text)
        subscription = Subscription(self.own, hrn, "layer", properties=EARLIEST)
        streamlayer.wait_for(lambda: text in [data(message) for message in subscription.poll()], 30, text)
        self.assertEqual(subscription.delete().status, 200)

    def fleet(self, hrn):
        """An application that may read and write the catalog; the environment of its programs."""
        credentials = self.directory + "/fleet.properties"
        self.own.cli("app", "create", "fleet", "--credentials", credentials)
        self.own.cli("grant", "fleet", hrn, "read,write")
        return {**os.environ, "HERE_CREDENTIALS_FILE": credentials}

    def start(self, *arguments, **options):
        """streamlayer, which goes on meanwhile."""
        return subprocess.Popen([self.platform.binaries + "/streamlayer", "--config", self.own.config, *arguments],
                                stderr=subprocess.PIPE, **options)

    def kcat(self, port, *settings):
        """Asks for what there is; returns the exit status and all that is said."""
        words = [word for setting in settings for word in ("-X", setting)]
        done = subprocess.run(["kcat", "-b", f"127.0.0.1:{port}", "-L", "-m", "5", *words], capture_output=True,
                              check=False, timeout=60)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")

    def nothing_listed(self, port, *settings):
        code, said = self.kcat(port, *settings)
        self.assertNotEqual(code, 0, said)
        self.assertNotIn("topic", said)

    def key(self):
        """The gateway's own, to sign tokens with that it would not make."""
        name, = [name for name in os.listdir(self.data + "/token-keys") if name.endswith(".pem")]
        return jwt.Key(f"{self.data}/token-keys/{name}", name[:-len(".pem")])

    def signed(self, subject, seconds):
        """A token of the gateway's for a subject that it need not know."""
        now, key = int(time.time()), self.key()
        return key.sign({"alg": "ES256", "typ": "JWT", "kid": key.kid},
                        {"iss": "streamlayer", "sub": subject, "aud": "streamlayer", "iat": now, "exp": now + seconds})

    def test_secure_takes_good_tokens_only(self):
        """Without a token nothing is listed; with one that is not good now, nobody is let in."""
        up = self.up("--secure")
        hrn = self.own.catalog()
        self.own.layer(hrn, "layer")
        self.through(hrn, b"first")
        # The gateway runs before Kafka does, and before it may do anything there.
        self.assertNotIn(" error ", streamlayer.read_text(self.data + "/gateway.log"))
        own = f"ssl.ca.location={self.ca}"
        self.nothing_listed(self.clients)
        self.nothing_listed(self.clients, "security.protocol=ssl", own)
        self.nothing_listed(self.clients, "security.protocol=sasl_ssl", own, "sasl.mechanism=PLAIN",
                            "sasl.username=default", "sasl.password=default")
        self.assertEqual(sasl.show(self.clients, self.ca, self.own.token)[0], None)
        self.assertEqual(sasl.topics(self.clients, self.ca, self.signed("nobody", 600)), [])
        self.nobody_is_the_super_user()

        key, now = self.key(), int(time.time())
        header = {"alg": "ES256", "typ": "JWT", "kid": key.kid}
        claims = {"iss": "streamlayer", "sub": "somebody", "aud": "streamlayer", "iat": now - 200, "exp": now + 600}
        refused, lifetime = sasl.show(self.clients, self.ca, key.sign(header, claims))
        self.assertIsNone(refused)
        self.assertTrue(0 < lifetime <= 600_000, lifetime)  # the connection ends with the token
        # And after an hour, however long the token is good for.
        refused, lifetime = sasl.show(self.clients, self.ca, key.sign(header, {**claims, "exp": now + 86400}))
        self.assertEqual((refused, lifetime), (None, 3_600_000))
        stranger = jwt.Key.make(self.directory + "/stranger.key", key.kid)
        head, body, signature = self.own.token.split(".")
        more = json.loads(base64.urlsafe_b64decode(body + "=="))
        none = ".".join(jwt.base64url(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)) + "."
        for what, token in {
                "expired": key.sign(header, {**claims, "exp": now - 100}),
                "for others": key.sign(header, {**claims, "aud": "others"}),
                "for nobody": key.sign(header, {name: value for name, value in claims.items() if name != "aud"}),
                "by others": key.sign(header, {**claims, "iss": "others"}),
                "without an end": key.sign(header, {name: value for name, value in claims.items() if name != "exp"}),
                "with another key": stranger.sign(header, claims),
                "with a key that nobody knows": jwt.Key(stranger.file, "stranger").sign(header, claims),
                "with a signature that was changed": f"{head}.{body}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
                "of what was changed": f"{head}.{jwt.base64url(json.dumps({**more, 'sub': 'root'}).encode())}.{signature}",
                "unsigned": none,
                "none at all": "x"}.items():
            with self.subTest(token=what):
                self.assertIsNotNone(sasl.show(self.clients, self.ca, token)[0])
        self.stop(up)

    def nobody_is_the_super_user(self):
        """However an issuer calls its subjects, none is the broker, the gateway or an administrator."""
        users = re.search(r"(?m)^super\.users=(.+)$", streamlayer.read_text(self.data + "/kafka.properties"))[1].split(";")
        names = [user.removeprefix("User:") for user in users] + [" CN=streamlayerd"]
        for name in names:
            self.assertTrue(name.startswith(" "), name)
            for subject in (name, name.strip(), name + " ", "\t" + name):
                with self.subTest(subject=subject):
                    self.assertEqual(sasl.topics(self.clients, self.ca, self.signed(subject, 600)), [])

    def test_secure_takes_its_own_certificates_only(self):
        """Broker and gateway have a listener to themselves; what it takes to come in, only the owner can read."""
        up = self.up("--secure")
        authority = self.directory + "/other"
        os.mkdir(authority)
        kafka.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                      "/CN=broker", "-keyout", authority + "/key", "-out", authority + "/certificate")
        own = ("security.protocol=ssl", f"ssl.ca.location={self.ca}")

        def shown(certificate, key):
            return f"ssl.certificate.location={certificate}", f"ssl.key.location={key}"

        _, controller, _ = map(int, streamlayer.read_text(self.data + "/kafka.ports").split())
        for port in (self.internal, controller):
            self.nothing_listed(port)
            self.nothing_listed(port, *own)
            self.nothing_listed(port, *own, *shown(authority + "/certificate", authority + "/key"))
        hrn = self.own.catalog()
        self.own.layer(hrn, "layer")
        self.through(hrn, b"in and out")
        topic = self.own.topic(hrn, "layer")
        for name in ("broker", "streamlayerd"):
            code, said = self.kcat(self.internal, *own, *shown(f"{self.tls}/{name}.pem", f"{self.tls}/{name}.pem"))
            self.assertEqual(code, 0, said)
            self.assertIn(f'"{topic}"', said)
            self.assertEqual("__consumer_offsets" in said, name == "broker", said)
        # A certificate is no token, and whoever has none sees nobody else's listener.
        self.nothing_listed(self.clients, *own, *shown(self.tls + "/broker.pem", self.tls + "/broker.pem"))

        modes = {name: stat.S_IMODE(os.stat(f"{self.tls}/{name}").st_mode) for name in os.listdir(self.tls)}
        self.assertEqual(modes, {"ca.pem": 0o644, "ca.key": 0o600, "admin.properties": 0o600, "broker.pem": 0o600, "streamlayerd.pem": 0o600})
        self.assertEqual(stat.S_IMODE(os.stat(self.tls).st_mode), 0o700)
        for name in ("broker", "streamlayerd"):
            kafka.openssl("verify", "-CAfile", self.ca, "-x509_strict", "-purpose", "sslclient", f"{self.tls}/{name}.pem")
        self.stop(up)

    def test_secure_stays_so(self):
        """What was open can be secured, with all that is in it; what is secured is not opened by a word forgotten."""
        up = Running(self.platform.binaries, self.data, self.directory + "/log")
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        self.own = Platform({"URL": up.ready(150), "BIN": self.platform.binaries,
                             "CONFIG": self.data + "/application.conf"})
        hrn = self.own.catalog()
        self.own.layer(hrn, "layer")
        self.through(hrn, b"in the open")
        self.stop(up)
        up = self.up("--secure")
        self.assertIn("was an open one; from now on it is secured", up.text())
        self.through(hrn, b"secured")
        subscription = Subscription(self.own, hrn, "layer", properties={**EARLIEST, "group.id": "another"})
        self.assertEqual(sorted(data(message) for message in subscription.receive(2)), [b"in the open", b"secured"])
        ports, authority = self.clients, streamlayer.read_text(self.ca)
        self.stop(up)
        up = self.up(ready=False)
        self.assertEqual(up.process.wait(60), 1, up.text())
        for words in ("is a secured one", "--secure", "--data-dir"):
            self.assertIn(words, up.text())
        up = self.up("--secure", "--json", ready=False)
        line = streamlayer.wait_for(lambda: "\"ready\"" in up.text() and up.text(), 150, "it is ready")
        self.assertEqual((json.loads(line)["secure"], json.loads(line)["kafka"]), (True, f"127.0.0.1:{ports}"))
        self.own = Platform({"URL": json.loads(line)["ready"], "BIN": self.platform.binaries,
                             "CONFIG": self.data + "/application.conf"})
        self.assertEqual(streamlayer.read_text(self.ca), authority)
        self.through(hrn, b"after that")
        self.stop(up)

    def test_secure_is_for_its_own_kafka(self):
        up = self.up("--secure", "--kafka", "127.0.0.1:9", ready=False)
        self.assertEqual(up.process.wait(60), 2, up.text())
        self.assertIn("--secure is for a Kafka of its own", up.text())
        up = self.up("--secure", "-D", "streamlayer.gateway.listen.tls.client-certificates=required", ready=False)
        self.assertEqual(up.process.wait(60), 2, up.text())
        self.assertIn("has no certificate to show", up.text())

    def test_secure_with_a_spoilt_authority(self):
        """It is not made anew over what somebody may want back."""
        os.makedirs(self.tls)
        streamlayer.write_text(self.ca, "no certificate\n")
        up = self.up("--secure", ready=False)
        self.assertEqual(up.process.wait(60), 1, up.text())
        for words in (self.ca, self.tls + "/ca.key", "remove both"):
            self.assertIn(words, up.text())

    def test_secure_behind_https(self):
        """Kafka reads the keys of a gateway that speaks HTTPS only; settings say who issues tokens, and for whom."""
        certificate, key = daemon.certificate(self.directory, "gateway")
        up = self.up("--secure", *(word for setting in (
            f"streamlayer.gateway.listen.tls.certificate={certificate}", f"streamlayer.gateway.listen.tls.key={key}",
            f"here.platform.data-client.tls.ca-file={certificate}",
            "streamlayer.gateway.token.issuer=https://streams.example.com",
            "streamlayer.gateway.token.audience=cars") for word in ("-D", setting)))
        self.assertIsNone(sasl.show(self.clients, self.ca, self.own.token)[0])
        self.assertIsNotNone(sasl.show(self.clients, self.ca, self.signed("nobody", 600))[0])
        self.stop(up)

    def test_secure_applications_reach_what_they_were_granted(self):
        """Directly, with the key that they have for the gateway, over a restart; and nothing else."""
        up = self.up("--secure")
        hrn, other = self.own.catalog(), self.own.catalog()
        for catalog in (hrn, other):
            self.own.layer(catalog, "layer")
        environment = self.fleet(hrn)

        def written(catalog, text):
            return self.own.cli("produce", catalog, "layer", "--key", "k", input=text + b"\n", check=False, env=environment)

        def read(catalog, count):
            return self.own.cli("consume", catalog, "layer", "--offset", "begin", "--no-commit", "--count", str(count),
                                check=False, env=environment).stdout.split()

        self.assertEqual(written(hrn, b"one").stderr, b"")
        self.assertEqual(read(hrn, 1), [b"one"])
        self.assertEqual(written(other, b"no").returncode, 4)
        token = self.own.cli("token", env=environment).stdout.decode().strip()
        self.assertEqual(sasl.topics(self.clients, self.ca, token), [self.own.topic(hrn, "layer")])
        self.own.cli("grant", "fleet", other, "read")
        self.assertEqual(sorted(sasl.topics(self.clients, self.ca, token)),
                         sorted(self.own.topic(catalog, "layer") for catalog in (hrn, other)))
        self.own.cli("revoke", "fleet", other)
        self.stop(up)
        up = self.up("--secure", port=self.own.url.split(":")[-1])  # where the key's file says that tokens are got
        self.assertEqual(written(hrn, b"two").stderr, b"")
        self.assertEqual(read(hrn, 2), [b"one", b"two"])
        self.own.cli("token", "rotate-key")
        token = self.own.cli("token", env=environment).stdout.decode().strip()
        self.assertEqual(sasl.topics(self.clients, self.ca, token), [self.own.topic(hrn, "layer")])
        self.stop(up)

    def tokens_given(self):
        return int(re.search(r'streamlayer_http_requests_total\{route="token",status="2xx"\} (\d+)',
                             self.own.get("/metrics").text).group(1))

    def test_secure_goes_on_while_tokens_end_and_keys_change(self):
        """A producer and a consumer outlive their tokens, the connections that were made with them, and two keys. The
        second signs at once, so that Kafka hears of it by a token only. Nothing is lost or doubled."""
        up = self.up("--secure", "-D", "streamlayer.gateway.token.lifetime=1 minute",
                     "-D", "streamlayer.gateway.token.key-lead=0")
        hrn = self.own.catalog()
        self.own.layer(hrn, "layer", "text/plain")
        output, sent, over = self.directory + "/received", [], threading.Event()

        def write():
            while not over.wait(0.02):
                sent.append(str(len(sent)))
                producer.stdin.write(sent[-1] + "\n")
                producer.stdin.flush()

        with open(output, "wb") as file:
            consumer = self.start("consume", hrn, "layer", "--offset", "begin", "--follow", stdout=file, encoding="utf-8")
        self.addCleanup(consumer.kill)
        producer = self.start("produce", hrn, "layer", "--key", "k", stdin=subprocess.PIPE, encoding="utf-8")
        self.addCleanup(producer.kill)
        writer = streamlayer.Background(write)
        received = lambda: streamlayer.read_text(output).split()
        try:
            streamlayer.wait_for(received, 60, "nothing is received")
            given = self.tokens_given()
            self.own.cli("token", "rotate-key")
            streamlayer.wait_for(lambda: self.tokens_given() >= given + 3, 120, "tokens are not renewed")
            self.own.cli("token", "rotate-key")
            streamlayer.wait_for(lambda: self.tokens_given() >= given + 6, 120, "tokens are not renewed again")
            # Both know the last key's tokens by now, and their connections of before have ended.
            before = len(received())
            streamlayer.wait_for(lambda: len(received()) > before + 100, 60, "nothing more is received")
        finally:
            over.set()
        writer.result(30)
        _, complaint = producer.communicate(timeout=120)
        self.assertEqual(producer.returncode, 0, complaint)
        streamlayer.wait_for(lambda: len(received()) >= len(sent), 60, "something is missing")
        consumer.send_signal(signal.SIGINT)
        _, complaint = consumer.communicate(timeout=60)
        self.assertEqual(consumer.returncode, 130, complaint)
        self.assertEqual(received(), sent)
        self.stop(up)

    def test_secure_keeps_throughput_over_both_ways(self):
        """What a layer gives it gives once, to direct clients and those over HTTP together, whatever client id they show."""
        up = self.up("--secure", "-D", "streamlayer.gateway.limits.throughput=true")
        http, direct = 512000, 460800  # bytes a second of 1,024,000; the rest is for other client ids
        hrn = self.own.post("/config/v1/catalogs", {"id": self.own.name(), "layers": [
            {"id": "layer", "contentType": "application/octet-stream",
             "streamProperties": {"dataInThroughputKbps": 1000, "dataOutThroughputKbps": 1000}}]}).json()["hrn"]
        environment = self.fleet(hrn)
        # Whoever asks for the endpoint has its part: the administrator is not to.
        topic = self.own.get(f"/config/v1/catalogs/{hrn}/layers/layer").json()["topic"]
        streamlayer.write_text(self.directory + "/token", self.own.cli("token", env=environment).stdout.decode().strip())

        def burden(client):
            """For how long Kafka wants to hear no more of who has written 400 kB, in ms."""
            done = subprocess.run([os.path.join(os.path.dirname(self.platform.binaries), "tests/kafka_as"),
                                   f"127.0.0.1:{self.clients}", self.ca, self.directory + "/token", "burden", topic, "400000"],
                                  env={**os.environ, "KAFKA_AS_CLIENT": client}, capture_output=True, check=True, timeout=60)
            return int(done.stdout)

        def within(name, process, there, by_http):
            """Neither goes above its part: Kafka gives up to 11 seconds' worth at once and a batch, the gateway 1 and a message."""
            began = time.monotonic()
            gone = by_http()
            took = time.monotonic() - began
            self.assertLessEqual(gone, http * (took + 1) + 500000, (name, "HTTP", took))
            _, complaint = process.communicate(timeout=120)
            took = time.monotonic() - began
            self.assertEqual(process.returncode, 0, complaint)
            self.assertLessEqual(there, direct * (took + 11) + 1048576, (name, "direct", took))

        # 25 kB/s are an unknown client's, of which Kafka gives the first 10 seconds' worth at once.
        self.assertGreater(burden("layer-of-mine"), 1000)
        self.assertGreater(burden("sl-" + topic), 1000)  # nobody has asked for it: they are counted together
        self.own.cli("produce", hrn, "layer", input=b"asks for the endpoint\n", env=environment)
        self.assertEqual(burden("sl-" + topic), 0)
        sql = self.own.cli("flink", "ddl", hrn, "layer", env=environment).stdout.decode()
        self.assertIn(f"  'properties.client.id' = 'sl-{topic}',\n", sql)
        self.assertIn("Flink's source makes ids of its own, which are slow", sql)
        self.assertGreater(burden("layer-of-mine"), 1000)
        self.assertEqual(self.own.cli("acl", "check", check=False).returncode, 0)

        count = 900
        streamlayer.write_text(self.directory + "/lines", ("x" * 10000 + "\n") * count)
        with open(self.directory + "/lines", "rb") as lines:
            process = self.start("produce", hrn, "layer", stdin=lines, env=environment)
        within("in", process, count * 10000,
               lambda: sum(len(body) for body in [b"y" * 500000] * 8 if self.own.publish(hrn, "layer", body)))

        # Asked for more at once than ten seconds' worth, Kafka answers every other time with nothing.
        process = self.start("consume", hrn, "layer", "--offset", "begin", "--count", "800", "--no-commit", "-D",
                             "here.platform.data-client.stream.kafka.consumer.max.partition.fetch.bytes=100000",
                             stdout=subprocess.DEVNULL, env=environment)
        subscription = Subscription(self.own, hrn, "layer", properties=EARLIEST)
        within("out", process, 800 * 10000, lambda: sum(len(data(message)) for message in subscription.receive(400, 120)))
        subscription.delete()
        self.sum_is_the_layers(hrn, environment)
        self.drifts(hrn, topic)
        self.stop(up)

    def sum_is_the_layers(self, hrn, environment):
        """Read both ways at once, and for longer than Kafka's window, a layer gives no more than it has, and each way's worth of
        a window once: by the gateway's count of what went over HTTP, and by what has come directly."""
        layer, at_once, enough = 1024000, 11 * 460800 + 1048576 + 512000 + 500000, 36_000_000
        over, received = threading.Event(), self.directory + "/received"
        counted = f'streamlayer_bytes_out_total{{catalog="{hrn}",layer="layer"}}'
        before = self.own.metric(counted)

        def read_http():
            while not over.is_set():
                subscription = Subscription(self.own, hrn, "layer", properties={**EARLIEST, "group.id": self.own.name()})
                there = 0
                while there < 8_000_000 and not over.is_set():
                    there += sum(len(data(message)) for message in subscription.poll())
                subscription.delete()

        def read_directly():
            with open(received, "wb") as output:
                while not over.is_set():
                    process = self.start("consume", hrn, "layer", "--offset", "begin", "--count", "800", "--no-commit", "-D",
                                         "here.platform.data-client.stream.kafka.consumer.max.partition.fetch.bytes=100000",
                                         stdout=output, env=environment)
                    self.addCleanup(process.kill)
                    while process.poll() is None and not over.wait(0.1):
                        pass
                    process.terminate()
                    process.communicate(timeout=60)

        def gone():
            return int(self.own.metric(counted) - before), os.path.getsize(received)

        streamlayer.write_text(received, "")
        began = time.monotonic()
        readers = [streamlayer.Background(read) for read in (read_http, read_directly)]
        try:
            by_http, directly = streamlayer.wait_for(lambda: sum(gone()) >= enough and gone(), 240, "too little is read")
        finally:
            over.set()
        took = time.monotonic() - began
        for reader in readers:
            reader.result(120)
        self.assertGreater(min(by_http, directly), enough // 4)  # both were there
        self.assertLessEqual(by_http + directly, layer * took + at_once, (by_http, directly, took))

    def drifts(self, hrn, topic):
        """A quota that somebody changes is told, and set again; what the layer gives, and who asks for it, moves them."""
        def quotas(command):
            cluster, = json.loads(self.own.cli("acl", command, "--json", check=False).stdout)["clusters"]
            return {kind: sorted((each["name"], each["operation"]) for each in cluster[kind])
                    for kind in ("missing", "surplus", "beyond") if cluster[kind]}

        fleet = json.loads(self.own.cli("app", "show", "fleet", "--json").stdout)["id"]
        configure = ("kafka.admin.ConfigCommand", "--bootstrap-server", f"127.0.0.1:{self.internal}", "--command-config",
                     self.tls + "/admin.properties", "--alter", "--entity-type", "users", "--entity-name", fleet)
        kafka.java(*configure, "--entity-type", "clients", "--entity-name", "sl-" + topic, "--add-config",
                   "producer_byte_rate=999999")
        kafka.java(*configure, "--entity-type", "clients", "--entity-name", "fast", "--add-config", "producer_byte_rate=88888")
        wrong = {"missing": [("sl-" + topic, "Write 460800 B/s")], "surplus": [("sl-" + topic, "Write 999999 B/s")]}
        others = {"beyond": [("fast", "Write 88888 B/s")]}
        self.assertEqual(quotas("check"), {**wrong, **others})
        self.assertEqual(quotas("repair"), {**wrong, **others})
        self.assertEqual(quotas("check"), others)
        self.own.cli("layer", "update", hrn, "layer", "--in-kbps", "2000", "--out-kbps", "2000")
        self.own.cli("consume", hrn, "layer", "--offset", "begin", "--count", "1", "--no-commit")
        self.assertEqual(quotas("check"), others)
        self.own.cli("app", "delete", "fleet", "--yes")
        self.assertEqual(quotas("check"), {})  # nobody's any more
        listed = kafka.java(*configure[:5], "--describe", "--entity-type", "users", "--entity-type", "clients")
        self.assertIn("'fast'", listed)
        self.assertNotIn(f"'{fleet}', client-id 'sl-", listed)

    def test_secure_gateway_has_the_rights_that_it_needs(self):
        """Each of them is for something that it cannot do without; with all of them it can do everything."""
        up = self.up("--secure")
        hrn = self.own.catalog()
        self.own.layer(hrn, "layer", parallelization=1)
        self.own.publish(hrn, "layer", b"there")
        counter = iter(range(2, 60))

        def acls(*commands):
            return kafka.acls(self.tls + "/admin.properties", *commands)

        def listed():
            return sorted(line for line in acls(("--list",)).splitlines() if line.startswith("User: CN="))

        def does(*arguments):
            return self.own.cli(*arguments, check=False).returncode == 0

        def changes(option, unit=""):
            return lambda: does("layer", "update", hrn, "layer", option, f"{next(counter)}{unit}")

        def publishes():
            return self.own.post(f"{self.own.base('ingest', 'v1', hrn)}/layers/layer", b"more",
                                 headers={"Content-Type": "application/octet-stream"}).status == 200

        def deletes():
            return does("layer", "delete", hrn, self.own.layer(hrn, self.own.name("l")), "--yes")

        def reads():
            try:
                subscription = Subscription(self.own, hrn, "layer", properties={**EARLIEST, "group.id": self.own.name()})
                subscription.receive(1, 5)
                return subscription.delete().status == 200
            except AssertionError:
                return False

        topics = ("--topic", "sl.", "--resource-pattern-type", "prefixed")
        # In an order in which none needs what the next one goes without.
        rows = (("Alter", ("--cluster",), lambda: b"needs Alter on" not in self.own.cli("acl", "check", check=False).stderr),
                ("AlterConfigs", ("--cluster",), lambda: does("acl", "check")),
                ("Create", topics, lambda: does("layer", "create", hrn, self.own.name("l"), "--content-type", "a/b")),
                ("Delete", topics, deletes), ("Alter", topics, changes("--parallelization")),
                ("AlterConfigs", topics, changes("--ttl", "h")), ("Read", topics, reads), ("Write", topics, publishes),
                ("Read", ("--group", "*"), reads))
        there = listed()
        self.assertEqual(len(there), len(rows), there)
        rights = [("--allow-principal", "User: CN=streamlayerd", "--operation", operation, *resource)
                  for operation, resource, _ in rows]
        account = Accounts(self.own).make()
        account.grant(hrn, "read")

        def may_read():
            return f"User:{account.id} TOPIC" in acls(("--list",))

        self.assertTrue(may_read())
        acls(("--remove", "--force", *rights[0]))
        for i, (operation, resource, call) in enumerate(rows):
            self.assertFalse(call(), f"without {operation} on {resource}")
            if (operation, resource) == ("AlterConfigs", ("--cluster",)):  # quotas that fail hold no revocation back
                self.own.cli("revoke", account.name, hrn)
                streamlayer.wait_for(lambda: not may_read(), 60, "the list of what was revoked goes")
            acls(("--add", *rights[i]), *(("--remove", "--force", *right) for right in rights[i + 1:i + 2]))
            streamlayer.wait_for(call, 60, f"the gateway can, with {operation} on {resource}")
        self.assertEqual(listed(), there)
        self.stop(up)


if __name__ == "__main__":
    streamlayer.main()
