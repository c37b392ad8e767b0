"""A secured Kafka: an application reaches what it was granted, by either connector, and nothing else by any client."""
import json
import os
import select
import subprocess
import threading

import kafka
import streamlayer
from accounts import Accounts
from restart_test import Load
from streamlayer import TestCase, wait_for

CONNECTORS = ("kafka", "http")
STREAM = "here.platform.data-client.stream."
TEXT = "the owner's words"
FORBIDDEN = 4  # the command line's exit code


def secure_platform():
    return streamlayer.Platform(streamlayer.read_environment(os.environ["STREAMLAYER_SECURE_PLATFORM"]))


class Application:
    """One that the command line, and any Kafka client, acts as."""

    def __init__(self, platform, account, directory):
        self.platform, self.account = platform, account
        self.file = f"{directory}/{account.name}.properties"
        streamlayer.write_text(self.file, f"here.client.id = {account.id}\nhere.access.key.id = {account.key}\n"
                               f"here.access.key.secret = {account.secret}\n"
                               f"here.token.endpoint.url = {account.token_url}\n")
        os.chmod(self.file, 0o600)

    def settings(self, connector):
        return ["-D", "here.platform.data-client.request-signer.credentials.file-path=" + self.file,
                "-D", f"{STREAM}connector.producer={connector}-connector",
                "-D", f"{STREAM}connector.consumer={connector}-connector"]

    def produce(self, connector, hrn, text):
        return self.platform.cli(*self.settings(connector), "produce", hrn, "layer", input=(text + "\n").encode(),
                                 check=False)

    def consume(self, connector, hrn):
        return self.platform.cli(*self.settings(connector), "consume", hrn, "layer", "--offset", "begin",
                                 check=False)

    def start(self, connector, *arguments, **options):
        command = [self.platform.binaries + "/streamlayer", "--config", self.platform.config,
                   *self.settings(connector), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", **options)


class Secured(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.platform = secure_platform()
        data = cls.platform.environment["DIR"] + "/data"
        cls.ca, cls.admin = data + "/kafka-tls/ca.pem", data + "/kafka-tls/admin.properties"

    def setUp(self):
        self.directory = self.scratch()
        self.accounts = Accounts(self.platform)

    def application(self, *rights):
        account = self.accounts.make(*rights)
        self.addCleanup(self.platform.delete, f"/config/v1/applications/{account.name}")
        return Application(self.platform, account, self.directory)

    def layer(self):
        """A catalog with a layer that has a message of its owner's."""
        hrn = self.platform.catalog()
        self.addCleanup(self.platform.delete, f"/config/v1/catalogs/{hrn}")
        self.platform.layer(hrn, "layer", "text/plain")
        self.platform.publish(hrn, "layer", TEXT.encode(), "text/plain")
        return hrn

    def topic(self, hrn):
        return self.platform.topic(hrn, "layer")

    def acls(self, command, *about, code=1):
        """streamlayer acl …, as the administrator: its clusters, with what is about these principals and names. Tests that run
        meanwhile make differences of their own: code 0 is no more than wished for."""
        done = self.platform.cli("acl", command, "--json", check=False)
        self.assertIn(done.returncode, (code, 1), f"{command}: out {done.stdout!r}, err {done.stderr!r}")
        return [{kind: [each for each in found if {each["principal"], each["name"]} & set(about)]
                 for kind, found in cluster.items() if isinstance(found, list)}
                for cluster in json.loads(done.stdout)["clusters"]]

    def kafka_acls(self, *arguments):
        """Kafka's lists, changed or listed past the gateway, as the administrator; arguments: words, or commands of them."""
        return kafka.acls(self.admin, *((arguments,) if isinstance(arguments[0], str) else arguments))

    def listed(self, topic):
        """Who may do what with the topic, as Kafka says: pairs of principal and operation."""
        lines = [line.split() for line in self.kafka_acls("--list").splitlines()]
        return {(words[0], words[4]) for words in lines if words[1:3] == ["TOPIC", topic]}

    def kafka_as(self, account, *arguments):
        """(exit status, output, complaint) of a Kafka client with that application's token."""
        file = self.directory + "/token"
        streamlayer.write_text(file, account.token)
        done = subprocess.run([os.path.join(os.path.dirname(self.platform.binaries), "tests/kafka_as"),
                               self.platform.brokers, self.ca, file, *arguments], capture_output=True, check=False,
                              encoding="utf-8", timeout=60)
        return done.returncode, done.stdout, done.stderr

    def refused(self, name, account, *arguments):
        code, out, complaint = self.kafka_as(account, *arguments)
        self.assertEqual((code, out), (1, ""), complaint)
        self.assertIn(name, complaint.splitlines()[-1])


class Matrix(Secured):
    def test_secure_matrix(self):
        """application × catalog × read, write, none × kafka, http."""
        hrns = {grant: self.layer() for grant in ("read", "write", "none")}
        one, other = self.application(), self.application()
        # What is one's to read is the other's to write.
        cells = {one: {"read": "read", "write": "write", "none": None}, other: {"read": "write", "write": "read", "none": None}}
        for application, grants in cells.items():
            for catalog, right in grants.items():
                if right:
                    application.account.grant(hrns[catalog], right)
        for application, grants in cells.items():
            for catalog, right in grants.items():
                for connector in CONNECTORS:
                    with self.subTest(application=application.account.name, catalog=catalog, right=right, connector=connector):
                        self.cell(application, hrns[catalog], right, connector)

    def cell(self, application, hrn, right, connector):
        done = application.produce(connector, hrn, f"by {connector}")
        self.assertEqual(done.returncode, 0 if right == "write" else FORBIDDEN, done.stderr)
        if right != "write":
            self.lacks("write", hrn, right, done.stderr.decode())
        done = application.consume(connector, hrn)
        self.assertEqual(done.returncode, 0 if right == "read" else FORBIDDEN, done.stderr)
        if right == "read":
            self.assertIn(TEXT, done.stdout.decode())
        else:
            self.lacks("read", hrn, right, done.stderr.decode())

    def lacks(self, right, hrn, has, complaint):
        """What the application lacks, and who can grant it."""
        self.assertIn(f"{right if has else 'read,write,manage'} on {hrn}", complaint)
        self.assertIn("ask whoever manages the catalog", complaint)
        self.assertIn("streamlayer grant", complaint)


class Stranger(Secured):
    def test_secure_hides_from_strangers(self):
        """With a good token of another application no topic is listed, read or written, no group joined or reset."""
        hrn = self.layer()
        topic, reader, stranger = self.topic(hrn), self.application(), self.application()
        reader.account.grant(hrn, "read")
        group = f"{reader.account.id}.group"
        self.assertEqual(self.kafka_as(reader.account, "join", topic, group)[:2], (0, TEXT + "\n"))
        self.assertEqual(self.kafka_as(reader.account, "list")[:2], (0, topic + "\n"))
        self.assertIn(group, self.kafka_as(reader.account, "groups")[1].split())
        self.assertEqual(self.kafka_as(stranger.account, "list")[:2], (0, ""))
        self.assertEqual(self.kafka_as(stranger.account, "groups")[:2], (0, ""))
        self.refused("AUTHORIZATION_FAILED", stranger.account, "consume", topic, f"{stranger.account.id}.group")
        self.refused("AUTHORIZATION_FAILED", stranger.account, "join", topic, f"{stranger.account.id}.group")
        self.refused("AUTHORIZATION_FAILED", stranger.account, "produce", topic, "not mine")
        self.refused("TOPIC_AUTHORIZATION_FAILED", stranger.account, "drop", topic)
        # Whoever may read the layer is not let into another application's group, nor may it write.
        second = self.layer()
        stranger.account.grant(hrn, "read")
        stranger.account.grant(second, "write")
        self.refused("GROUP_AUTHORIZATION_FAILED", stranger.account, "join", topic, group)
        self.refused("_WAIT_COORD", stranger.account, "reset", topic, group)  # who coordinates it is not told
        self.refused("TOPIC_AUTHORIZATION_FAILED", stranger.account, "produce", topic, "not mine")
        self.refused("TOPIC_AUTHORIZATION_FAILED", stranger.account, "consume", self.topic(second),
                     f"{stranger.account.id}.group")
        self.assertEqual(self.kafka_as(stranger.account, "produce", self.topic(second), "mine")[:2], (0, "written\n"))


class Transactions(Secured):
    def test_secure_transactions(self):
        """Their ids are the application's own, as its groups are: nobody else's can be used, nor fenced off."""
        hrn, writer, other, reader = self.layer(), self.application(), self.application(), self.application()
        topic = self.topic(hrn)
        for application, right in ((writer, "write"), (other, "write"), (reader, "read")):
            application.account.grant(hrn, right)
        mine = f"{writer.account.id}.copy"
        self.assertEqual(self.kafka_as(writer.account, "transact", topic, mine)[:2], (0, "committed\n"))
        for application in (other, reader):
            self.refused("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", application.account, "transact", topic, mine)
        self.refused("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", reader.account, "transact", topic, f"{reader.account.id}.copy")
        self.refused("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", writer.account, "transact", topic, "copy")
        self.assertEqual(self.kafka_as(writer.account, "transact", topic, mine)[:2], (0, "committed\n"))
        self.platform.cli("revoke", writer.account.name, hrn)
        self.refused("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", writer.account, "transact", topic, mine)


class Revoked(Secured):
    def hangs(self, running):
        """Fails with where it hangs."""
        threads = streamlayer.stacks(running.pid)
        running.kill()
        self.fail(f"it goes on, or cannot end; its output: {running.communicate()}; its threads:\n{threads}")

    def cut(self, running, word, hrn, code):
        """It ends by itself, saying why."""
        try:
            _, complaint = running.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.hangs(running)
        finally:
            running.kill()
        self.assertEqual(running.returncode, code, complaint)
        self.assertIn(f"lacks the right {word} on catalog {hrn}, or has lost it", complaint)
        self.assertIn("streamlayer grant", complaint)

    def test_secure_cuts_a_consumer(self):
        hrn, application = self.layer(), self.application()
        application.account.grant(hrn, "read")
        running = application.start("kafka", "consume", hrn, "layer", "--offset", "begin", "--follow")
        if not select.select([running.stdout], [], [], 60)[0] or TEXT not in running.stdout.readline():
            self.hangs(running)
        self.platform.cli("revoke", application.account.name, hrn)
        self.cut(running, "read", hrn, FORBIDDEN)

    def test_secure_cuts_a_producer(self):
        hrn, application = self.layer(), self.application()
        application.account.grant(hrn, "write")
        running = application.start("kafka", "produce", hrn, "layer", stdin=subprocess.PIPE)
        stop = threading.Event()

        def write():
            try:
                while not stop.wait(0.02):
                    running.stdin.write("again\n")
                    running.stdin.flush()
            except (BrokenPipeError, ValueError):
                pass

        writer = threading.Thread(target=write)
        before = self.written(hrn)
        writer.start()
        try:
            wait_for(lambda: self.written(hrn) > before, 30, "nothing is written")
            self.platform.cli("revoke", application.account.name, hrn)
            wait_for(lambda: running.poll() is not None, 60, "the producer goes on")
        finally:
            stop.set()
            writer.join()
        running.stdin = None  # closed by the process's end
        self.cut(running, "write", hrn, FORBIDDEN)

    def written(self, hrn):
        answer = self.platform.get(f"{self.platform.base('stream', 'v2', hrn)}/layers/layer/statistics").json()
        return sum(partition["end"] for partition in answer["partitions"])


class Ended(Secured):
    def test_secure_producer_that_ended_is_followed_by_another(self):
        """What takes its place has its certificates and tokens, too."""
        hrn = self.platform.catalog()
        self.addCleanup(self.platform.delete, f"/config/v1/catalogs/{hrn}")
        self.platform.layer(hrn, "layer")
        load = Load(self.platform, hrn, ("kafka", "kafka"), ends=2)
        self.addCleanup(load.kill)
        load.goes_on(500)
        self.assertEqual(load.settled(self)["ends"], 2)


class Drift(Secured):
    def test_secure_drift_is_told_and_mended(self):
        hrn, application = self.layer(), self.application()
        application.account.grant(hrn, "read")
        topic, principal = self.topic(hrn), "User:" + application.account.id
        one = ("--allow-principal", principal, "--topic", topic)
        self.assertEqual([], [found for cluster in self.acls("check", principal, code=0)
                              for kind in ("missing", "surplus", "beyond") for found in cluster[kind]])
        self.kafka_acls("--remove", "--force", "--operation", "Read", *one)
        self.kafka_acls("--add", "--operation", "Write", *one)
        self.kafka_acls("--add", "--operation", "Alter", *one)
        self.addCleanup(self.kafka_acls, "--remove", "--force", "--operation", "Alter", *one)
        cluster, = self.acls("check", principal)
        expected = {"principal": principal, "application": application.account.name, "resource": "topic", "name": topic,
                    "prefixed": False}
        self.assertEqual(cluster["missing"], [{**expected, "operation": "Read"}])
        self.assertEqual(cluster["surplus"], [{**expected, "operation": "Write"}])
        self.assertEqual(cluster["beyond"], [{**expected, "operation": "Alter"}])
        self.acls("repair", principal)  # what is beyond is left
        cluster, = self.acls("check", principal)
        self.assertEqual((cluster["missing"], cluster["surplus"]), ([], []))
        self.assertEqual(cluster["beyond"], [{**expected, "operation": "Alter"}])
        self.assertEqual(self.listed(topic) & {(principal, word) for word in ("READ", "WRITE", "ALTER")},
                         {(principal, "READ"), (principal, "ALTER")})

    def test_secure_what_everybody_may_is_told(self):
        """On the cluster, and on layers to come; nobody but its maker removes it."""
        everybody = ("--allow-principal", "User:*", "--cluster", "--operation", "IdempotentWrite")
        to_come = ("--allow-principal", "User:*", "--topic", f"sl.{self.platform.name()}.", "--resource-pattern-type", "prefixed",
                   "--operation", "Read")
        self.kafka_acls(("--add", *everybody), ("--add", *to_come))
        self.addCleanup(self.kafka_acls, *(("--remove", "--force", *each) for each in (everybody, to_come)))
        for command in ("repair", "check"):
            cluster, = self.acls(command, "kafka-cluster", to_come[3])
            self.assertEqual((cluster["missing"], cluster["surplus"], cluster["denied"]), ([], [], []))
            self.assertEqual(cluster["beyond"], [
                {"principal": "User:*", "resource": "topic", "name": to_come[3], "prefixed": True, "operation": "Read"},
                {"principal": "User:*", "resource": "cluster", "name": "kafka-cluster", "prefixed": False, "operation": "IdempotentWrite"}])

    def test_secure_denials_are_told(self):
        """What others deny keeps applications from what they were granted: it is told, and stays."""
        hrn, application = self.layer(), self.application()
        application.account.grant(hrn, "read")
        principal, mine = "User:" + application.account.id, application.account.id + "."
        topic = self.topic(hrn)
        deny = ("--deny-principal", principal, "--topic", topic, "--operation", "Read")
        everybody = ("--deny-principal", "User:*", "--group", mine, "--resource-pattern-type", "prefixed", "--operation", "Read")
        stranger = ("--deny-principal", "User:stranger", "--topic", topic, "--operation", "Read")
        self.kafka_acls(("--add", *deny), ("--add", *everybody), ("--add", *stranger))
        self.addCleanup(self.kafka_acls, *(("--remove", "--force", *each) for each in (deny, everybody, stranger)))
        for command in ("check", "repair", "check"):
            cluster, = self.acls(command, principal, mine, topic)
            self.assertEqual((cluster["missing"], cluster["surplus"], cluster["beyond"]), ([], [], []))
            self.assertEqual(cluster["denied"], [
                {"principal": "User:*", "resource": "group", "name": mine, "prefixed": True, "operation": "Read"},
                {"principal": principal, "application": application.account.name, "resource": "topic", "name": topic,
                 "prefixed": False, "operation": "Read"}])
        done = application.consume("kafka", hrn)
        self.assertEqual(done.returncode, FORBIDDEN, done.stderr)
        self.assertIn(b"where it is granted, Kafka denies it (streamlayer acl check)", done.stderr)
        said = self.platform.cli("acl", "check", check=False)
        self.assertIn(b"denied", said.stdout)
        self.assertIn(b"kafka-acls.sh --remove", said.stderr)
        status = self.platform.cli("status", "--json", check=False)
        told, = [each for each in json.loads(status.stdout)["checks"] if each["check"] == "grants"]
        self.assertEqual((status.returncode, told["state"]), (1, "failed"), told)
        self.assertRegex(told["detail"], " 2 that others have made and that deny what was granted$")
        self.assertIn("kafka-acls.sh --remove", told["cure"])
        # Who is no administrator is not told of others.
        shown = self.platform.cli(*application.settings("kafka"), "status", "--json")
        self.assertNotIn("grants", [each["check"] for each in json.loads(shown.stdout)["checks"]])

    def test_secure_deletion_takes_all(self):
        """Nothing of an application, nor of a layer, stays in Kafka; others' lists on the same topic do."""
        hrn, gone, stays = self.layer(), self.application(), self.application()
        for application in (gone, stays):
            application.account.grant(hrn, "read", "write")
        mine = ("--allow-principal", "User:operator", "--topic", self.topic(hrn))
        self.kafka_acls("--add", "--operation", "Read", *mine)
        self.addCleanup(self.kafka_acls, "--remove", "--force", "--operation", "Read", *mine)
        gone.account.delete()
        listed = self.kafka_acls("--list")
        self.assertNotIn(gone.account.id, listed)
        for word in (stays.account.id, "User:operator"):
            self.assertIn(word, listed)
        topic = self.topic(hrn)
        self.platform.delete(f"/config/v1/catalogs/{hrn}")
        wait_for(lambda: self.listed(topic) == {("User:operator", "READ")}, 60, "the topic's lists stay")


class Market(Secured):
    def test_secure_market_is_read_over_http_only(self):
        """A guessed topic name is of no use to who has a Marketplace subscription, nor to the provider; both write."""
        made = self.platform.post("/config/v1/catalogs", {
            "id": self.platform.name("market"), "marketplace": True,
            "layers": [{"id": "layer", "contentType": "text/plain", "streamProperties": {"parallelization": 1}}]})
        hrn = made.json()["hrn"]
        self.addCleanup(self.platform.delete, f"/config/v1/catalogs/{hrn}")
        reader, provider = self.application(), self.application()
        provider.account.grant(hrn, "read", "write", "manage")
        reader.account.grant(hrn, "read")
        url = f"/config/v1/catalogs/{hrn}/marketplace-subscriptions/{reader.account.name}"
        self.assertEqual(self.platform.put(url, {}).status, 200)
        topic = made.json()["layers"][0]["topic"]
        done = provider.produce("kafka", hrn, TEXT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.kafka_as(provider.account, "produce", topic, "direct")[:2], (0, "written\n"))
        for one in (reader, provider):
            self.refused("TOPIC_AUTHORIZATION_FAILED", one.account, "join", topic, f"{one.account.id}.group")
            done = one.consume("kafka", hrn)
            self.assertEqual(done.returncode, FORBIDDEN, done.stderr)
            self.assertIn("connector.consumer = \"http-connector\"", done.stderr.decode())
            done = one.consume("http", hrn)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(TEXT, done.stdout.decode())
        self.refused("TOPIC_AUTHORIZATION_FAILED", provider.account, "consume", topic, f"{provider.account.id}.group")
        self.assertEqual(self.kafka_as(reader.account, "list")[:2], (0, ""))
        self.assertEqual({operation for _, operation in self.listed(topic)}, {"WRITE"})


class Adopted(Secured):
    def test_secure_adoption_names_the_right_that_lacks(self):
        """A topic of another name wants rights of its own, and whoever adopts it hears which."""
        data = self.platform.environment["DIR"] + "/data"
        internal = "127.0.0.1:" + streamlayer.read_text(data + "/kafka.ports").split()[2]
        certificate = data + "/kafka-tls/broker.pem"
        as_broker = (("security.protocol", "ssl"), ("ssl.ca.location", self.ca), ("ssl.certificate.location", certificate),
                     ("ssl.key.location", certificate))
        topic = self.platform.name("orders")
        kafka.administer(internal, lambda library: library.rd_kafka_NewTopic_new(topic.encode(), 1, 1, None, 0),
                         lambda library: library.rd_kafka_CreateTopics, as_broker)
        self.addCleanup(kafka.administer, internal, lambda library: library.rd_kafka_DeleteTopic_new(topic.encode()),
                        lambda library: library.rd_kafka_DeleteTopics, as_broker)
        hrn = self.platform.catalog()
        self.addCleanup(self.platform.delete, f"/config/v1/catalogs/{hrn}")
        ask = {"id": "layer", "contentType": "text/plain", "topic": topic}

        def adopt():
            return self.platform.post(f"/config/v1/catalogs/{hrn}/layers", ask)

        def refused_for(right):
            answer = adopt()
            self.assertEqual((answer.status, answer.json()["code"]), (500, "kafka-refused"), answer.body)
            self.assertIn(f"the gateway's principal needs {right} on it", answer.json()["cause"])

        def allow(*operations):
            words = [word for operation in operations for word in ("--operation", operation)]
            one = ("--allow-principal", "User: CN=streamlayerd", "--topic", topic, *words)
            self.kafka_acls("--add", *one)
            self.addCleanup(self.kafka_acls, "--remove", "--force", *one)

        refused_for("Describe")
        allow("Describe")
        wait_for(lambda: "DescribeConfigs" in adopt().json()["cause"], 30, "the gateway sees no topic")
        refused_for("DescribeConfigs")
        allow("DescribeConfigs")
        wait_for(lambda: adopt().status == 201, 30, "the topic is not adopted")
        self.refused_without(hrn, topic)
        allow("Read", "Write")
        wait_for(lambda: self.platform.post(f"{self.platform.base('ingest', 'v1', hrn)}/layers/layer", TEXT.encode(),
                                            headers={"Content-Type": "text/plain"}).status == 200, 30, "nothing can be written")
        subscription = streamlayer.Subscription(self.platform, hrn, "layer", properties={"auto.offset.reset": "earliest"})
        self.addCleanup(subscription.delete)
        subscription.receive(1)

    def refused_without(self, hrn, topic):
        """Whoever writes and reads hears which right of the gateway's lacks, and so does the log."""
        answer = self.platform.post(f"{self.platform.base('ingest', 'v1', hrn)}/layers/layer", b"x",
                                    headers={"Content-Type": "text/plain"})
        self.assertEqual((answer.status, answer.json()["code"]), (500, "kafka-refused"), answer.text)
        self.assertIn(f"the gateway's principal needs Write on the topic {topic} ", answer.json()["cause"])
        told = [f"the gateway's principal needs Write on it (kafka-acls --add --topic {topic} --operation Write"]
        subscription = streamlayer.Subscription(self.platform, hrn, "layer", properties={"auto.offset.reset": "earliest"})

        def ended():
            answer = self.platform.get(subscription.url("partitions") + "?mode=serial")
            return answer if answer.status != 200 else None
        answer = wait_for(ended, 30, "the subscription goes on without a right to read")
        told.append(f"the gateway's principal needs Read on it (kafka-acls --add --topic {topic} --operation Read")
        self.assertEqual((answer.status, answer.json()["code"]), (404, "no-such-subscription"), answer.text)
        self.assertIn(told[1], answer.json()["cause"])
        log = streamlayer.read_text(self.platform.environment["DIR"] + "/data/gateway.log")
        for text in told:
            self.assertIn(text, log)


if __name__ == "__main__":
    streamlayer.main()
