"""Other ways to a secured Kafka than up's: certificates and an outside issuer's tokens for applications, SCRAM for the gateway.

Applications' principals are the same, so what was granted holds.
"""
import json
import os
import shutil
import tempfile
import time

import daemon
import jwt
import kafka
import sasl
import streamlayer
from streamlayer import TestCase, wait_for

ISSUER = "https://login.example.com"
STREAM = "here.platform.data-client.stream."
FORBIDDEN = 4  # the command line's exit code


class Ways(TestCase):
    """One Kafka with a listener for each, where nobody may do what he was not allowed."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = tempfile.mkdtemp(prefix="streamlayer-ways-")
        cls.addClassCleanup(shutil.rmtree, cls.place, True)
        cls.key = daemon.make_data(cls.platform, cls.place)
        cls.issuer = jwt.Key.make(cls.place + "/issuer.key", "one")
        streamlayer.write_text(cls.place + "/jwks", json.dumps({"keys": [cls.issuer.public()]}))
        scram, mutual, tokens = cls.ports = kafka.free_ports(3)
        oauth = "listener.name.tokens.oauthbearer.sasl."
        bearer = "org.apache.kafka.common.security.oauthbearer."
        cls.kafka = kafka.Kafka(
            cls.place,
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS;User:gateway;User: CN=gateway",
            "listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256",
            *(f"listener.name.scram.scram-sha-{bits}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
              for bits in (256, 512)),
            "listener.name.mutual.ssl.client.auth=required", "ssl.truststore.type=PEM", f"ssl.truststore.location={cls.place}/ca.pem",
            "listener.name.mutual.ssl.principal.mapping.rules=RULE:^CN=([0-9a-f]{20})$/$1/,RULE:^(.*)$/ $1/",
            "listener.name.tokens.sasl.enabled.mechanisms=OAUTHBEARER",
            f"{oauth}jaas.config={bearer}OAuthBearerLoginModule required;",
            f"{oauth}server.callback.handler.class={bearer}OAuthBearerValidatorCallbackHandler",
            f"sasl.oauthbearer.jwt.validator.class={bearer}BrokerJwtValidator",
            f"sasl.oauthbearer.jwks.endpoint.url=file://{cls.place}/jwks", f"sasl.oauthbearer.expected.issuer={ISSUER}",
            "sasl.oauthbearer.expected.audience=fleet",
            listeners=(("SCRAM", scram, "SASL_SSL"), ("MUTUAL", mutual, "SSL"), ("TOKENS", tokens, "SASL_SSL")),
            options=(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{cls.place}/jwks",))
        cls.addClassCleanup(cls.kafka.stop)
        cls.certificate("gateway")

    @classmethod
    def certificate(cls, name):
        """A file with a key and its certificate, by which Kafka knows that user."""
        file = f"{cls.place}/{name}"
        kafka.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                      "-keyout", file + ".key", "-out", file + ".csr")
        kafka.openssl("x509", "-req", "-in", file + ".csr", "-CA", cls.place + "/ca.pem", "-CAkey", cls.place + "/ca.key",
                      "-CAcreateserial", "-days", "2", "-out", file + ".crt")
        streamlayer.write_text(file + ".both", streamlayer.read_text(file + ".key") + streamlayer.read_text(file + ".crt"))
        return file + ".both"

    def gateway(self, listener, advertised, protocol, mechanism=None, more=""):
        """One that comes to Kafka by its own listener's settings, and tells applications of another."""
        mechanism = f"kafka.advertised.sasl-mechanism = {mechanism}" if mechanism else ""
        running = daemon.Daemon(self.platform, self.place, brokers=f"127.0.0.1:{self.ports[listener[0]]}", settings=f"""
            kafka.client {{ ssl.ca.location = "{self.place}/ca.pem", {listener[1]} }}
            kafka.acls.enabled = true
            kafka.advertised.brokers = "127.0.0.1:{self.ports[advertised]}"
            kafka.advertised.security-protocol = {protocol}
            {mechanism}
            {more}""")
        streamlayer.write_text(running.log, "")
        running.start()
        self.addCleanup(running.kill)
        running.url()
        return running, daemon.platform_of(running, self.key)

    def stop(self, running):
        self.assertEqual(running.stop(), 0, running.text())
        self.assertNotRegex(running.text(), streamlayer.SANITIZER_REPORT)

    def holds(self, platform, name, account, settings):
        """With these settings the application reaches what it was granted, and no more."""
        given, other = platform.catalog(), platform.catalog()
        for hrn in (given, other):
            platform.layer(hrn, "layer", "text/plain")
        platform.cli("grant", name, given, "read,write")
        words = [word for setting in settings for word in ("-D", setting)]

        def runs(*arguments, **options):
            return platform.cli(*words, *arguments, check=False, env={**os.environ, **account}, **options)

        done = runs("produce", given, "layer", "--key", "k", input=b"by its own way\n")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        done = runs("consume", given, "layer", "--offset", "begin", "--count", "1", "--no-commit")
        self.assertEqual((done.returncode, done.stdout), (0, b"by its own way\n"), done.stderr)
        self.assertEqual(runs("produce", other, "layer", "--key", "k", input=b"no\n").returncode, FORBIDDEN)
        self.assertEqual(platform.cli("acl", "check").returncode, 0)  # all that it wrote is there

    def make_account(self, platform, name):
        """The application's id, and how its programs say who they are at the gateway."""
        file = f"{self.place}/{name}.properties"
        platform.cli("app", "create", name, "--credentials", file)
        return json.loads(platform.cli("app", "show", name, "--json").stdout)["id"], {"HERE_CREDENTIALS_FILE": file}

    def sides(self, *settings):
        return [f"{STREAM}kafka.{side}.{setting}" for side in ("producer", "consumer") for setting in settings]

    def scram_way(self):
        """The gateway's own client, by either mechanism, and with a wrong password. For all else there is librdkafka, which
        before 2.6.1 fails at Kafka 4's SCRAM (its issue 4895): so only what the gateway itself speaks is asked."""
        for bits in (256, 512):
            kafka.java("kafka.admin.ConfigCommand", "--bootstrap-server", self.kafka.brokers, "--alter", "--entity-type", "users",
                       "--entity-name", "gateway", "--add-config", f"SCRAM-SHA-{bits}=[password=a-password-of-kafkas]")
        clusters = "\n".join(f"""kafka.clusters.{name} {{ brokers = "127.0.0.1:{self.ports[0]}", acls.enabled = true
            client {{ security.protocol = sasl_ssl, ssl.ca.location = "{self.place}/ca.pem", sasl.mechanism = {mechanism}
            sasl.username = gateway, sasl.password = {password} }} }}""" for name, mechanism, password in (
                ("good256", "SCRAM-SHA-256", "a-password-of-kafkas"), ("good512", "SCRAM-SHA-512", "a-password-of-kafkas"),
                ("wrong", "SCRAM-SHA-512", "another")))
        running, platform = self.gateway(self.by_certificate(), 1, "ssl", more=clusters)

        def told():
            clusters = json.loads(platform.cli("acl", "check", "--json", check=False).stdout)["clusters"]
            found.update({each["cluster"]: each.get("error", "none") for each in clusters})
            return all(found[name] == "none" for name in ("default", "good256", "good512"))

        found = {}
        wait_for(told, 60, "the gateway is not let in")
        for words in ("does not let the gateway in", "sasl.password"):
            self.assertIn(words, found["wrong"])
        self.stop(running)

    def by_certificate(self):
        """How the gateway itself comes to Kafka."""
        return (1, f'security.protocol = ssl, ssl.certificate.location = "{self.place}/gateway.both", '
                   f'ssl.key.location = "{self.place}/gateway.both"')

    def mutual_way(self):
        """Certificates, whose subjects are the applications' ids."""
        running, platform = self.gateway(self.by_certificate(), 1, "ssl")
        application, account = self.make_account(platform, "mutual")
        file = self.certificate(application)
        self.holds(platform, "mutual", account, self.sides(f"ssl.certificate.location={file}", f"ssl.key.location={file}"))
        self.stop(running)

    def outside_issuer(self):
        """Kafka takes the issuer's tokens, which name applications by their subjects."""
        running, platform = self.gateway(self.by_certificate(), 2, "sasl_ssl", "OAUTHBEARER", f"""
            token.issuers.login {{ issuer = "{ISSUER}", audience = fleet, jwks-file = "{self.place}/jwks" }}
            kafka.acls.issuer = "{ISSUER}" """)
        platform.cli("app", "create", "outside", "--issuer", ISSUER, "--subject", "car-fleet-7")
        now = int(time.time())

        def token_of(subject):
            return self.issuer.sign({"alg": "ES256", "typ": "JWT", "kid": "one"},
                                    {"iss": ISSUER, "sub": subject, "aud": "fleet", "iat": now, "exp": now + 600})

        token = token_of("car-fleet-7")
        self.holds(platform, "outside", {}, [f"here.platform.data-client.request-signer.credentials.here-token={token}"])
        self.assertEqual(len(sasl.topics(self.ports[2], self.place + "/ca.pem", token)), 1)
        for subject in ("CN=gateway", " CN=gateway"):  # the gateway's certificate makes it super user
            self.assertEqual(sasl.topics(self.ports[2], self.place + "/ca.pem", token_of(subject)), [], subject)
        listed = kafka.acls(self.plain(), ("--list",))
        self.assertIn("User:car-fleet-7 TOPIC", listed)
        self.stop(running)

    def test_secure_other_ways(self):
        for way in (self.scram_way, self.mutual_way, self.outside_issuer):
            way()

    def plain(self):
        file = self.place + "/plain.properties"
        streamlayer.write_text(file, f"bootstrap.servers={self.kafka.brokers}\n")
        return file


if __name__ == "__main__":
    streamlayer.main()
