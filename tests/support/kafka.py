"""An Apache Kafka of a test's own, of one node, with a plain listener and one of SASL_SSL; and Kafka's tools."""
import ctypes
import glob
import os
import socket
import subprocess

from streamlayer import kill_all, wait_for, write_text

USER, PASSWORD = "gateway", "a-password-of-the-test"


def jars():
    """Those that `streamlayer up` has fetched: the shared platform runs on them."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    found = sorted(glob.glob(cache + "/streamlayer/kafka-*/"))
    if not found:
        raise AssertionError(f"no Kafka in {cache}/streamlayer, where `streamlayer up` keeps it")
    return found[-1] + "*"


def java_command():
    return [os.path.join(os.environ["JAVA_HOME"], "bin/java") if os.environ.get("JAVA_HOME") else "java",
            "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", jars()]


def java(*arguments, check=True):
    command = [*java_command(), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(arguments)}: {(done.stdout + done.stderr).decode(errors='replace')[-2000:]}")
    return done.stdout.decode(errors="replace")


def acls(settings, *commands):
    """Each is the options of a kafka-acls.sh; settings: a file of an administrator's."""
    words = [word for command in commands for word in ("--", "--command-config", settings, *command)]
    return java(os.path.join(os.path.dirname(__file__), "KafkaAcls.java"), *words[1:])


def set_topic(brokers, topic, name, value):
    java("kafka.admin.ConfigCommand", "--bootstrap-server", brokers, "--alter", "--entity-type", "topics",
         "--entity-name", topic, "--add-config", f"{name}={value}")


def topic_settings(brokers, topic):
    """What was set for the topic."""
    text = java("kafka.admin.ConfigCommand", "--bootstrap-server", brokers, "--describe", "--entity-type", "topics",
                "--entity-name", topic)
    lines = [line.strip().split(" ")[0] for line in text.splitlines() if "=" in line and "sensitive=" in line]
    return dict(line.split("=", 1) for line in lines)


def kcat(brokers, *arguments, text=None):
    done = subprocess.run(["kcat", "-b", brokers, *arguments], input=text, capture_output=True, check=False, timeout=60)
    if done.returncode:
        raise AssertionError(f"kcat {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def partitions(brokers, topic):
    """How many the topic has; 0: there is none."""
    lines = kcat(brokers, "-L").splitlines()
    for line in lines:
        if f'topic "{topic}" with ' in line:
            return int(line.split(" with ")[1].split()[0])
    return 0


def administer(brokers, describe, ask, settings=()):
    """One request about topics by librdkafka: kcat makes and deletes none. settings: pairs of librdkafka's."""
    library = ctypes.CDLL("librdkafka.so.1")
    for name in ("conf_new", "new", "NewTopic_new", "DeleteTopic_new", "queue_new", "queue_poll"):
        getattr(library, "rd_kafka_" + name).restype = ctypes.c_void_p
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    for name, value in (("bootstrap.servers", brokers), *settings):
        library.rd_kafka_conf_set(conf, name.encode(), value.encode(), None, 0)
    client = ctypes.c_void_p(library.rd_kafka_new(0, conf, None, 0))  # RD_KAFKA_PRODUCER
    queue = ctypes.c_void_p(library.rd_kafka_queue_new(client))
    wanted = ctypes.c_void_p(describe(library))
    ask(library)(client, ctypes.byref(wanted), ctypes.c_size_t(1), None, queue)
    library.rd_kafka_event_destroy(ctypes.c_void_p(library.rd_kafka_queue_poll(queue, 30000)))
    library.rd_kafka_queue_destroy(queue)
    library.rd_kafka_destroy(client)


def make_topic(brokers, topic, count):
    """A topic of so many partitions that is nobody's layer, unless it is there; its name."""
    administer(brokers, lambda library: library.rd_kafka_NewTopic_new(topic.encode(), count, 1, None, 0),
               lambda library: library.rd_kafka_CreateTopics)
    wait_for(lambda: partitions(brokers, topic) == count, 60, f"there is no topic {topic}")
    return topic


def delete_topic(brokers, topic):
    administer(brokers, lambda library: library.rd_kafka_DeleteTopic_new(topic.encode()),
               lambda library: library.rd_kafka_DeleteTopics)
    wait_for(lambda: not partitions(brokers, topic), 10, f"the topic {topic} is still there")


def values(brokers, topic):
    return sorted(kcat(brokers, "-C", "-t", topic, "-e", "-q").splitlines())


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Kafka:
    """settings: lines of the broker's properties, which win over what stands here. listeners: more of them, as triples of
    name, port on 127.0.0.1 and protocol. options: Java's."""

    def __init__(self, directory, *settings, listeners=(), options=()):
        self.directory = directory
        plain, secure, controller = free_ports(3)
        self.brokers, self.secure_brokers = f"127.0.0.1:{plain}", f"127.0.0.1:{secure}"
        self.ca = directory + "/ca.pem"
        self.make_certificates()
        places = "".join(f",{name}://127.0.0.1:{port}" for name, port, _ in listeners)
        protocols = "".join(f",{name}:{protocol}" for name, _, protocol in listeners)
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        write_text(directory + "/kafka.properties", "\n".join((
            "process.roles=broker,controller", "node.id=1", f"controller.quorum.voters=1@127.0.0.1:{controller}",
            f"listeners=PLAINTEXT://{self.brokers},SECURE://{self.secure_brokers},CONTROLLER://127.0.0.1:{controller}{places}",
            f"advertised.listeners=PLAINTEXT://{self.brokers},SECURE://{self.secure_brokers}{places}",
            f"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT{protocols}",
            "inter.broker.listener.name=PLAINTEXT", "controller.listener.names=CONTROLLER",
            "listener.name.secure.sasl.enabled.mechanisms=PLAIN",
            f'listener.name.secure.plain.sasl.jaas.config={login} user_{USER}="{PASSWORD}";',
            "ssl.keystore.type=PEM", f"ssl.keystore.location={directory}/server.both",
            f"log.dirs={directory}/kafka", "auto.create.topics.enable=false", "offsets.topic.num.partitions=4",
            "offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1",
            "transaction.state.log.min.isr=1", "share.coordinator.state.topic.replication.factor=1",
            "share.coordinator.state.topic.min.isr=1", "group.initial.rebalance.delay.ms=0",
            "log.cleaner.dedupe.buffer.size=33554432", *settings, "")))
        java("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", directory + "/kafka.properties")
        self.log = directory + "/kafka.log"
        command = ["java", "-Xmx384m", *options, "-cp", jars(), "kafka.Kafka", directory + "/kafka.properties"]
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_for(self.answers, 90, "Kafka does not answer")
        except BaseException:
            self.stop()
            raise

    def make_certificates(self):
        directory = self.directory
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        for name in ("ca", "stranger"):
            openssl("req", "-x509", *curve, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{directory}/{name}.key",
                    "-out", f"{directory}/{name}.pem")
        openssl("req", *curve, "-subj", "/CN=127.0.0.1", "-keyout", directory + "/server.key", "-out", directory + "/server.csr")
        write_text(directory + "/names", "subjectAltName=IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", directory + "/server.csr", "-CA", self.ca, "-CAkey", directory + "/ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", directory + "/names", "-out", directory + "/server.pem")
        both = ""
        for name in ("server.key", "server.pem", "ca.pem"):
            with open(f"{directory}/{name}", encoding="ascii") as file:
                both += file.read()
        write_text(directory + "/server.both", both)

    def answers(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                raise AssertionError(f"Kafka ended with {self.process.returncode}:\n{file.read()[-3000:]}")
        done = subprocess.run(["kcat", "-b", self.brokers, "-L", "-m", "3"], capture_output=True, check=False)
        return done.returncode == 0

    def stop(self):
        if self.process.poll() is None:
            kill_all(self.process.pid)
        self.process.wait()
