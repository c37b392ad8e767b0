"""streamlayerd --check-config: everything that a start would stumble over, with nothing made and nobody asked."""
import os
import re
import shutil
import socket
import sqlite3
import subprocess

import daemon
import reload_test
import streamlayer
from streamlayer import TestCase, write_text

# What is set below streamlayer.gateway, and what is said about it. {d}: a directory with files, {data}: one that can
# be the data directory.
RIGHT = 'kafka.brokers = "127.0.0.1:1", data-directory = "{data}"'


def issuers(count):
    return ", token.issuers {" + ", ".join(
        f'i{each} {{ issuer = "https://{each}", audience = x, jwks-url = "https://{each}/jwks" }}' for each in range(count)) + "}"


WRONG = (
    ("no_brokers", 'data-directory = "{data}"', r"streamlayer\.gateway\.kafka\.brokers is not set"),
    ("no_directory", 'kafka.brokers = "b:1"', r"no data directory: set streamlayer\.gateway\.data-directory"),
    ("out_of_range", RIGHT + ", limits.body = 2 GiB", r"gateway\.conf:1:\d+: .*limits\.body = \"2 GiB\": out of range"),
    ("unknown", RIGHT + ", limits.bodies = 1", r"unknown setting streamlayer\.gateway\.limits\.bodies; known there"),
    ("syntax", RIGHT + "\n limits {", r"gateway\.conf:"),
    ("plain_off_loopback", RIGHT + ", listen.address = 0.0.0.0", r"listen\.address = 0\.0\.0\.0: .*without TLS"),
    ("foreign_address", RIGHT + ", listen { address = 192.0.2.1, plain-off-loopback = true }",
     r"gateway\.conf:1:\d+: .*listen\.address = 192\.0\.2\.1: it cannot be listened on: Cannot assign requested address"),
    ("unknown_address", RIGHT + ", listen.address = no-such-host.invalid", r"listen\.address = no-such-host\.invalid: no address"),
    ("no_certificate", RIGHT + ", listen.tls { certificate = {d}/none.pem, key = {d}/first.key }", r"listen\.tls\.certificate.*none\.pem"),
    ("no_key", RIGHT + ", listen.tls { certificate = {d}/first.pem }", r"listen\.tls\.certificate"),
    ("another_key", RIGHT + ", listen.tls { certificate = {d}/first.pem, key = {d}/second.key }", r"listen\.tls\.key"),
    ("no_pem", RIGHT + ", listen.tls { certificate = {d}/text, key = {d}/first.key }", r"listen\.tls\.certificate"),
    ("certificate_without_key", RIGHT + ", listen.tls { certificate = {d}/second.pem }", r"certificate = \S+: there is no private key in it"),
    ("key_alone", RIGHT + ", listen.tls.key = {d}/first.key", r"listen\.tls\.key = .*there is no streamlayer"),
    ("no_client_ca", RIGHT + ", listen.tls { certificate = {d}/first.pem, key = {d}/first.key, client-certificates = required }",
     r"client-certificates = required: there is no"),
    ("kafka_property", RIGHT + ", kafka.producer { no.such.thing = 1 }", r"kafka\.producer\.no\.such\.thing"),
    ("kafka_value", RIGHT + ", kafka.consumer { fetch.min.bytes = many }", r"kafka\.consumer\.fetch\.min\.bytes"),
    ("kafka_reserved", RIGHT + ", kafka.producer { acks = 1 }", r"kafka\.producer\.acks cannot be set"),
    ("kafka_ca", RIGHT + ', kafka.producer { security.protocol = ssl, ssl.ca.location = "{d}/none.pem" }', r"none\.pem"),
    ("quotas_alone", RIGHT + ", kafka.quotas.enabled = true",
     r"gateway\.conf:1:\d+: .*kafka\.quotas\.enabled = true takes streamlayer\.gateway\.kafka\.acls\.enabled = true"),
    ("acls_mechanism", RIGHT + ", kafka { acls.enabled = true, client { security.protocol = sasl_ssl, sasl.mechanism = GSSAPI } }",
     r"kafka\.client\.sasl\.mechanism cannot be used together with .*SCRAM-SHA-512"),
    ("acls_revocations", RIGHT + ', kafka { acls.enabled = true, client { security.protocol = ssl, ssl.crl.location = "{d}/first.pem" } }',
     r"kafka\.client\.ssl\.crl\.location cannot be used together with"),
    ("no_certificate", RIGHT + ', kafka.client { security.protocol = ssl, ssl.certificate.location = "{d}/none.pem" }',
     r"kafka\.client\.ssl\.certificate\.location: /\S+/none\.pem: No such file or directory"),
    ("no_port", 'kafka.brokers = foo, data-directory = "{data}"', r'kafka\.brokers = "foo": "foo" is no server; allowed: HOST:PORT'),
    ("acls_certificate", RIGHT + ', kafka { acls.enabled = true, client { security.protocol = ssl, ssl.certificate.location = "{d}/text" } }',
     r"kafka\.client\.ssl\.certificate\.location: /\S+/text: no start line"),
    ("ledger_size", RIGHT + ", ledger.max-size = 1 KiB",
     r"gateway\.conf:1:\d+: .*ledger\.max-size = 1 KiB: too small; allowed: 0 \(no bound\), or from 16 MiB on"),
    ("key_lead", RIGHT + ", token { key-lifetime = 59 minutes }",
     r"gateway\.conf:1:\d+: .*token\.key-lifetime = 59 minutes: a key would sign for less time .*key-lead, 3600000 ms"),
    ("issuer_audience", RIGHT + ', token.issuers.a { issuer = "https://i", jwks-url = "https://i/jwks" }',
     r"token\.issuers\.a\.audience is not set"),
    ("issuer_own", RIGHT + ', token.issuers.a { issuer = streamlayer, audience = x, jwks-url = "https://i/jwks" }',
     r"token\.issuers\.a\.issuer is the gateway's own"),
    ("issuer_plain", RIGHT + ', token.issuers.a { issuer = "https://i", audience = x, jwks-url = "http://i.example/jwks" }',
     r"token\.issuers\.a\.jwks-url is http://"),
    ("issuer_no_keys", RIGHT + ', token.issuers.a { issuer = "https://i", audience = x }', r"jwks-file or jwks-url must be set"),
    ("issuer_no_file", RIGHT + ', token.issuers.a { issuer = "https://i", audience = x, jwks-file = {d}/none.json }', r"none\.json"),
    ("issuer_large", RIGHT + ', token.issuers.a { issuer = "https://i", audience = x, jwks-file = {d}/large }', r"it is over 256 KiB"),
    ("issuer_no_jwks", RIGHT + ', token.issuers.a { issuer = "https://i", audience = x, jwks-file = {d}/text }',
     r"token\.issuers\.a\.jwks-file: .*/text: it is no JWKS"),
    ("issuer_ca", RIGHT + ', token.issuers.a { issuer = "https://i", audience = x, jwks-url = "https://i/", ca-file = {d}/text }',
     r"ca-file.*/text"),
    ("many_issuers", RIGHT + issuers(101), r"token\.issuers has 101 names: at most 100 are allowed"),
    ("cluster_property", RIGHT + ', kafka.clusters.east { brokers = "b:1", producer { no.such = 1 } }', r"no\.such"),
    ("ledger_topic", RIGHT + ', ledger { type = kafka, topic = "bad topic!" }',
     r'gateway\.conf:1:\d+: .*ledger\.topic = "bad topic!": no Kafka topic has such a name; allowed: 1 to 249 characters'),
    ("ledger_topic_dots", RIGHT + ', ledger { type = kafka, topic = ".." }', r'gateway\.conf:1:\d+: .*ledger\.topic = "\.\.": no'),
    ("ledger_topic_empty", RIGHT + ', ledger { type = kafka, topic = "" }', r'gateway\.conf:1:\d+: .*ledger\.topic = "": no'),
    ("ledger_cluster", RIGHT + ', kafka.clusters.east.brokers = "b:1", ledger { type = kafka, cluster = west }',
     r"gateway\.conf:1:\d+: .*ledger\.cluster = west: there is no streamlayer\.gateway\.kafka\.clusters\.west"),
    ("access_log", RIGHT + ", access-log.file = {d}/none/access.log",
     r"gateway\.conf:1:\d+: .*access-log\.file = .*: it cannot be written: No such file or directory"),
    ("user", RIGHT + ", user = no-such-user", r"user = no-such-user: there is no such user"),
    ("file_for_directory", 'kafka.brokers = "b:1", data-directory = "{d}/text"', r"the data directory .*/text: Not a directory"),
    ("directory_of_all", 'kafka.brokers = "b:1", data-directory = "{d}/open"', r"others may write to the data directory"),
    ("newer_store", 'kafka.brokers = "b:1", data-directory = "{d}/newer"', r"newer/catalogs\.db: .*a newer version"),
    ("no_store", 'kafka.brokers = "b:1", data-directory = "{d}/broken"', r"broken/catalogs\.db: it is no SQLite file"),
)


def contents(directory):
    """Names, sizes, modes and times of all that is in it."""
    found = {}
    for place, directories, files in os.walk(directory):
        for name in directories + files:
            about = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (about.st_size, about.st_mode, about.st_mtime_ns)
    return found


def store(directory, version, name="catalogs.db"):
    os.mkdir(directory, 0o700)
    with sqlite3.connect(f"{directory}/{name}") as db:
        db.execute(f"PRAGMA user_version = {version}")
    db.close()


class CheckConfig(TestCase):
    def setUp(self):
        self.place = self.scratch()
        for name in ("first", "second"):
            reload_test.certificate(self.place, name)
        write_text(self.place + "/text", "no certificate\n")
        write_text(self.place + "/large", " " * 300000)
        os.mkdir(self.place + "/open")
        os.chmod(self.place + "/open", 0o777)
        store(self.place + "/newer", 1000)
        store(self.place + "/older", 1)
        store(self.place + "/newer_ledger", 1000, "ledger.db")
        store(self.place + "/older_ledger", 1, "ledger.db")
        for log in ("sqlite", "kafka"):
            store(f"{self.place}/{log}?%41", 2, "ledger.db")
            with sqlite3.connect(f"{self.place}/{log}?%41/ledger.db") as db:
                db.execute("PRAGMA journal_mode = WAL")  # as the gateway has it
                db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER)")
                db.execute("INSERT INTO meta VALUES ('log', ?, 0)", (log,))
            db.close()
        os.mkdir(self.place + "/broken", 0o700)
        write_text(self.place + "/broken/catalogs.db", "x" * 200)
        os.chmod(self.place + "/broken/catalogs.db", 0o600)

    def check(self, settings, *arguments, data=None):
        """Exit status, standard output, standard error; nothing is made or changed."""
        config = self.place + "/gateway.conf"
        text = settings.replace("{data}", data or self.place + "/data").replace("{d}", self.place)
        write_text(config, f"streamlayer.gateway {{ {text}\n}}\n")
        before = contents(self.place)
        done = subprocess.run([self.platform.binaries + "/streamlayerd", "--check-config", "--config", config, *arguments],
                              capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(contents(self.place), before)
        self.assertNotRegex(done.stderr, streamlayer.SANITIZER_REPORT)
        return done.returncode, done.stdout, done.stderr

    def test_wrong_ones_are_told(self):
        for name, settings, told in WRONG:
            with self.subTest(name):
                code, out, err = self.check(settings)
                self.assertEqual((code, out), (1, ""), err)
                faults = [line for line in err.splitlines() if not line.startswith("note: ")]
                self.assertEqual(len(faults), 1, err)
                self.assertRegex(faults[0], told)
                self.assertRegex(faults[0], r"^\S*gateway\.conf:\d+(:\d+)?: ")

    def test_a_start_stumbles_over_the_same(self):
        """Each is refused by the start, too: the check is no stricter."""
        for name, settings, told in WRONG:
            with self.subTest(name):
                text = settings.replace("{data}", self.place + "/data").replace("{d}", self.place)
                write_text(self.place + "/gateway.conf", f"streamlayer.gateway {{ listen.port = 0\n {text}\n}}\n")
                done = subprocess.run([self.platform.binaries + "/streamlayerd", "--config", self.place + "/gateway.conf"],
                                      capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, 1, done.stderr)

    def test_right_ones_pass(self):
        tls = ", listen.tls { certificate = {d}/first.pem, key = {d}/first.key }"
        self.assertEqual(os.stat(self.place + "/first.pem").st_mode & 0o777, 0o644)
        for settings, note in (
                (RIGHT, r"^note: .*/data is not there: the start makes it$"),
                (RIGHT + tls, ""),
                (RIGHT + issuers(100), ""),
                (RIGHT + ", token.key-lifetime = 0", ""),  # never a next one, so nothing is published before it
                (RIGHT + ", token { key-lifetime = 2 h, key-lead = 2 h }", ""),
                (RIGHT + tls + ", listen.address = 0.0.0.0", ""),
                (RIGHT + ', kafka.producer { security.protocol = ssl, ssl.ca.location = "{d}/first.pem" }', ""),
                (RIGHT + ', kafka { acls.enabled = true, quotas.enabled = true, client { security.protocol = ssl, ssl.ca.location = "{d}/first.pem", '
                 'ssl.certificate.location = "{d}/first.pem", ssl.key.location = "{d}/first.key" } }', ""),
                ('kafka.brokers = "b:1", data-directory = "{d}/older"', r"^note: .*/older/catalogs\.db has schema 1: the start upgrades"),
                ('kafka.brokers = "b:1", data-directory = "{d}/older_ledger"',
                 r"^note: .*/older_ledger/ledger\.db has schema 1: the start upgrades"),
                ('kafka.brokers = "b:1", data-directory = "{d}/newer_ledger"',
                 r"^note: .*/newer_ledger/ledger\.db has schema 1000, this one knows 2: what is used of the Marketplace is refused"),
                ('kafka.brokers = "b:1", data-directory = "{d}/sqlite?%41", ledger.type = kafka',
                 r"^note: .*/sqlite\?%41/ledger\.db was begun with streamlayer\.gateway\.ledger\.type = sqlite: what is used"),
                ('kafka.brokers = "b:1", data-directory = "{d}/kafka?%41"',
                 r"^note: .*/kafka\?%41/ledger\.db was begun with streamlayer\.gateway\.ledger\.type = kafka: what is used"),
                ('kafka.brokers = "b:1", data-directory = "{d}/kafka?%41", ledger.type = kafka', r"\A\Z")):
            code, out, err = self.check(settings)
            self.assertEqual((code, out), (0, "the configuration is right\n"), err)
            self.assertTrue(re.search(note, err, re.M), err)

    def test_files_that_others_can_read_are_told(self):
        os.makedirs(self.place + "/data/token-keys", 0o700)
        for name, mode in (("catalogs.db", 0o644), ("nonces.db", 0o640), ("token-keys/one.json", 0o604), ("gateway.lock", 0o644)):
            write_text(f"{self.place}/data/{name}", "")
            os.chmod(f"{self.place}/data/{name}", mode)
        os.chmod(self.place + "/data", 0o700)
        code, out, err = self.check(RIGHT)
        self.assertEqual((code, out), (0, "the configuration is right\n"), err)
        told = re.findall(r"^note: \S*/data/(\S+) can be read by others \(its mode is (\d+)\): the start makes it", err, re.M)
        self.assertEqual(sorted(told), [("catalogs.db", "644"), ("nonces.db", "640"), ("token-keys/one.json", "604")], err)

    def start(self, settings):
        """What a start that fails says."""
        write_text(self.place + "/gateway.conf", "streamlayer.gateway {\n" + settings.replace("{data}", self.place + "/data") + "\n}\n")
        done = subprocess.run([self.platform.binaries + "/streamlayerd", "--config", self.place + "/gateway.conf"],
                              capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr.splitlines()[-1]

    def test_a_start_says_how_a_damaged_store_is_mended(self):
        os.mkdir(self.place + "/data", 0o700)
        file = self.place + "/data/catalogs.db"
        for damage in (lambda good: os.urandom(5000), lambda good: good[:100] + os.urandom(3000) + good[3100:],
                       lambda good: good[:len(good) // 2]):
            store(self.place + "/good", 0)
            with sqlite3.connect(self.place + "/good/catalogs.db") as db:
                db.executescript("CREATE TABLE a (b); INSERT INTO a VALUES (zeroblob(20000));")
            db.close()
            with open(self.place + "/good/catalogs.db", "rb") as good, open(file, "wb") as bad:
                bad.write(damage(good.read()))
            shutil.rmtree(self.place + "/good")
            os.chmod(file, 0o600)
            self.assertRegex(self.start(RIGHT + ", listen.port = 0"),
                             f"{re.escape(file)}: it is damaged .*a copy from a backup in its place.*Backup and restore")
            for each in os.listdir(self.place + "/data"):
                if each.startswith("catalogs.db"):
                    os.remove(f"{self.place}/data/{each}")

    def test_a_start_says_who_has_its_port(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.assertRegex(self.start(f"{RIGHT}\nlisten.port = {port}"),
                             rf"gateway\.conf:3: streamlayer\.gateway\.listen\.port = {port}: cannot listen on 127\.0\.0\.1 port "
                             rf'{port}: Address already in use: stop the program .*"ss -ltnp sport = :{port}".*another port')

    def test_several_faults_are_told_at_once(self):
        """Each with its place and its setting, whatever else is wrong, and once."""
        _, _, err = self.check("""
          kafka { brokers = "b:1", producer { acks = 1, no.such = 2, linger.ms = many }, client.nothing = 1
            clusters { default.brokers = "b:1", east { consumer { nix = 1, group.id = x } } } }
          data-directory = "{d}/open"
          user = no-such-user
          limits { body = none, header = none, bodies = 1 }
          listen { address = 192.0.2.1, trusted-proxies = "10.0.0.0/99", plain-off-loopback = maybe
            tls { certificate = {d}/none.pem, key = {d}/text, client-certificates = required, min-version = 1.1 } }
          cors.origins = "ftp://x"
          token.issuers { a { issuer = "https://i", jwks-url = "http://i.example/jwks" }
            b { issuer = "https://i", audience = x, jwks-file = {d}/none.json } }
          access-log.file = {d}/none/access.log
        """)
        faults, places = [], []
        for line in err.splitlines():
            found = re.match(r".*gateway\.conf:(\d+)(?::(\d+))?: (?:unknown setting )?streamlayer\.gateway\.([^ :=;]+)", line)
            self.assertTrue(found, line)
            faults.append((int(found[1]), found[3]))
            places.append((int(found[1]), int(found[2] or 0)))
        self.assertEqual(places, sorted(places), err)
        # Only what is not set at all has no column.
        self.assertEqual([each for each, (_, column) in zip(faults, places) if not column],
                         [(3, "kafka.clusters.east.brokers"), (10, "token.issuers.a.audience")], err)
        self.assertEqual(sorted(faults), sorted([
            (2, "kafka.producer.acks"), (2, "kafka.producer.no.such"), (2, "kafka.producer.linger.ms"), (2, "kafka.client.nothing"),
            (3, "kafka.clusters.default"), (3, "kafka.clusters.east.brokers"), (3, "kafka.clusters.east.consumer.nix"),
            (3, "kafka.clusters.east.consumer.group.id"), (4, "data-directory"), (5, "user"),
            (6, "limits.body"), (6, "limits.header"), (6, "limits.bodies"),
            (7, "listen.address"), (7, "listen.trusted-proxies"), (7, "listen.plain-off-loopback"),
            (8, "listen.tls.certificate"), (8, "listen.tls.key"), (8, "listen.tls.client-certificates"),
            (8, "listen.tls.min-version"), (9, "cors.origins"),
            (10, "token.issuers.a.audience"), (10, "token.issuers.a.jwks-url"), (11, "token.issuers.b.issuer"),
            (11, "token.issuers.b.jwks-file"), (12, "access-log.file")]), err)

    def test_each_missing_file_is_told_where_it_is_named(self):
        names = ("ca", "certificate", "key")
        for acls in ("true", "false"):
            for kind in ("client", "producer", "consumer"):
                lines = "".join(f"\n  ssl.{name}.location = {{d}}/none.{name}" for name in names)
                code, _, err = self.check(f"{RIGHT}, kafka.acls.enabled = {acls}, kafka.{kind} {{ security.protocol = ssl{lines} }}")
                self.assertEqual(code, 1, err)
                told = [line for line in err.splitlines() if not line.startswith("note: ")]
                self.assertEqual(len(told), len(names), err)
                for number, (line, name) in enumerate(zip(told, names), 2):
                    self.assertRegex(line, rf"gateway\.conf:{number}:\d+: streamlayer\.gateway\.kafka\.{kind}\.ssl\.{name}\.location: "
                                           rf"/\S+/none\.{name}: No such file or directory$")

    def test_no_secret_is_told(self):
        _, _, err = self.check(RIGHT + ', kafka.producer { sasl.password = "hunter2hunter2", sasl.mechanisms = hunter2hunter2, no.such = 1 }')
        self.assertNotIn("hunter2", err)

    def test_beside_a_running_gateway(self):
        """Its port, and its data directory, are in use."""
        directory = self.scratch()
        running = daemon.Daemon(self.platform, directory).start()
        self.addCleanup(running.kill)
        port = running.url().rsplit(":", 1)[1]
        before = sorted(os.listdir(running.data))
        code, out, err = self.check(RIGHT + f", listen.port = {port}", data=running.data)
        self.assertEqual((code, out, err), (0, "the configuration is right\n", ""))
        self.assertEqual(sorted(os.listdir(running.data)), before)
        self.assertEqual(running.stop(), 0, running.text())
        shutil.rmtree(running.data)

    def test_called_wrongly(self):
        code, _, err = self.check(RIGHT, "more")
        self.assertEqual(code, 2, err)
        code, _, err = self.check(RIGHT, "-D", "nothing")
        self.assertEqual(code, 2, err)
        code, _, err = self.check(RIGHT, "--config", self.place + "/none.conf")
        self.assertEqual(code, 1, err)
        self.assertIn("none.conf", err)


if __name__ == "__main__":
    streamlayer.main()
