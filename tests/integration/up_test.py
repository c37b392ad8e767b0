"""`streamlayer up --kafka local`: its data outlives it, however it ends, and what a killed one left is cleaned up."""
import os
import shutil
import signal
import socket
import subprocess

import streamlayer
from streamlayer import Running, TestCase


class Up(TestCase):
    def setUp(self):
        self.directory = self.scratch()
        self.data = self.directory + "/data"
        self.ups = 0
        self.environment = {"HOME": self.directory, "PATH": os.environ["PATH"],
                            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME")
                                              or os.path.expanduser("~/.cache"),
                            **{name: value for name, value in os.environ.items()
                               if name.endswith("SAN_OPTIONS") or name == "LD_PRELOAD"}}

    def up(self, *arguments):
        self.ups += 1
        up = Running(self.platform.binaries, self.data, f"{self.directory}/log{self.ups}", *arguments)
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        up.ready(120)
        return up

    def run_it(self, *arguments, **options):
        done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", self.data + "/application.conf",
                               *arguments], capture_output=True, check=False, timeout=100, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def kafka_of(self):
        """The Kafka of this data directory: its process, or None."""
        found = [pid for pid in streamlayer.processes()
                 if f"kafka.Kafka {self.data}/kafka.properties" in streamlayer.command_line(pid)]
        self.assertLessEqual(len(found), 1)
        return found[0] if found else None

    def file_text(self, name):
        return streamlayer.read_text(f"{self.data}/{name}")

    @staticmethod
    def accepts(port):
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", port)) == 0

    def gone(self, pid):
        streamlayer.wait_for(lambda: pid not in streamlayer.processes()
                             or streamlayer.processes()[pid][2] == "Z", 30, f"process {pid} ends")

    def test_keeps_its_data(self):
        """Over a stop, a kill of `up`, of Kafka, and of both."""
        first = self.up()
        hrn = self.run_it("catalog", "create", "kept").strip()
        self.run_it("layer", "create", hrn, "layer", "--content-type", "text/plain", "--parallelization", "1")
        written = []

        def write(line):
            self.run_it("produce", hrn, "layer", "--key", "k", input=line.encode() + b"\n")
            written.append(line)

        def check():
            self.assertEqual(self.run_it("consume", hrn, "layer", "--offset", "begin", "--no-commit", "--count",
                                         str(len(written))).split(), written)
        write("before-stop")
        self.assertEqual(first.stop(), 0)
        self.assertIsNone(self.kafka_of())
        second = self.up()
        check()
        write("before-kill-of-up")
        kafka = self.kafka_of()
        second.process.kill()
        second.process.wait()
        self.gone(kafka)
        third = self.up()
        check()
        write("before-kill-of-kafka")
        os.kill(self.kafka_of(), signal.SIGKILL)
        streamlayer.wait_for(lambda: "it is started again" in third.text(), 60, "`up` notices that Kafka died")
        port = int(self.file_text("kafka.ports").split()[0])
        streamlayer.wait_for(lambda: self.accepts(port), 120, "Kafka is started again")
        check()
        write("before-kill-of-both")
        third.kill()
        fourth = self.up()
        check()
        self.assertEqual(fourth.stop(), 0)

    def test_ends_an_orphan(self):
        """Where java is a script, a killed `up` leaves a Kafka behind: the next one ends it, and nobody else's."""
        java = self.directory + "/java/bin"
        os.makedirs(java)
        with open(java + "/java", "w", encoding="utf-8") as script:
            script.write(f'#!/bin/sh\n"{shutil.which("java")}" "$@"\nexit $?\n')
        os.chmod(java + "/java", 0o755)
        before = os.environ.get("JAVA_HOME")
        os.environ["JAVA_HOME"] = self.directory + "/java"
        self.addCleanup(lambda: os.environ.pop("JAVA_HOME") if before is None
                        else os.environ.update(JAVA_HOME=before))
        # One that only looks like it: its words are another directory's.
        other = subprocess.Popen(["sh", "-c", "read x", "kafka.Kafka", self.data + "x/kafka.properties"],
                                 stdin=subprocess.PIPE)
        self.addCleanup(lambda: (other.stdin.close(), other.wait()))
        first = self.up()
        orphan = [pid for pid in streamlayer.descendants(first.process.pid)
                  if f"{self.data}/kafka.properties" in streamlayer.command_line(pid)
                  and not streamlayer.command_line(pid).startswith("/bin/sh")]
        self.assertEqual(len(orphan), 1)
        first.process.kill()
        first.process.wait()
        second = self.up()
        self.assertIn(f"process {orphan[0]}", second.text())
        self.gone(orphan[0])
        self.assertIsNone(other.poll())
        self.assertEqual(second.stop(), 0)
        streamlayer.wait_for(lambda: self.kafka_of() is None, 30, "with a script, too, Kafka ends with `up`")

    def refused(self, code, *arguments, **variables):
        done = subprocess.run([self.platform.binaries + "/streamlayer", "up", "--port", "0", "--data-dir", self.data,
                               "--no-context", *arguments], capture_output=True, check=False, timeout=100,
                              stdin=subprocess.DEVNULL, env={**self.environment, **variables})
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertNotRegex(done.stderr.decode(), streamlayer.SANITIZER_REPORT)
        return done.stderr.decode()

    def program(self, name, text):
        """A directory for PATH with one program in it."""
        directory = f"{self.directory}/{self.platform.name('bin')}"
        os.mkdir(directory)
        with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(f"{directory}/{name}", 0o755)
        return directory

    def test_without_java_or_maven(self):
        """It says what is missing, or too old, and what installs it here."""
        empty = self.program("nothing", "")
        said = self.refused(1, PATH=empty)
        for piece in ("no java here", "Java 17", "JAVA_HOME", "install", "--kafka"):
            self.assertIn(piece, said)
        old = self.program("java", "echo 'openjdk version \"11.0.20\" 2023-07-18' >&2\n")
        said = self.refused(1, PATH=old)
        self.assertIn(f"{old}/java is Java 11", said)
        ancient = self.program("java", "echo 'java version \"1.8.0_372\"' >&2\n")
        self.assertIn("is Java 8", self.refused(1, PATH=ancient))
        new = self.program("java", "echo 'openjdk version \"21\" 2023-09-19' >&2\n")
        said = self.refused(1, PATH=new, XDG_CACHE_HOME=self.directory + "/cache")
        self.assertIn("no mvn here", said)
        self.assertIn("maven", said)

    def test_without_a_place(self):
        """A cache that cannot be made names XDG_CACHE_HOME; data that cannot, --data-dir."""
        programs = self.program("java", "echo 'openjdk version \"21\"' >&2\n")
        shutil.copy(programs + "/java", programs + "/mvn")
        said = self.refused(1, PATH=programs, XDG_CACHE_HOME="/dev/null/cache")
        self.assertIn("set XDG_CACHE_HOME", said)
        said = self.refused(1, "--data-dir", "/dev/null/data")
        self.assertIn("--data-dir", said)

    def test_tells_how_far_the_fetch_is(self):
        """Maven may take minutes; it is not silent for so long."""
        programs = self.program("java", "echo 'openjdk version \"21\"' >&2\n")
        with open(programs + "/mvn", "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nfor i in 1 2 3; do echo \"Downloaded from central: $i.jar\"; done\n"
                       "/bin/sleep 7\nexit 1\n")
        os.chmod(programs + "/mvn", 0o755)
        done = subprocess.run([self.platform.binaries + "/streamlayer", "up", "--port", "0", "--data-dir", self.data,
                               "--no-context"], capture_output=True, check=False, timeout=100,
                              env={**self.environment, "PATH": programs, "XDG_CACHE_HOME": self.directory + "/cache"})
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("still fetching: 3 files", done.stdout.decode())

    def test_says_that_brokers_cannot_be_reached(self):
        said = self.refused(5, "--kafka", "127.0.0.1:9,no-such-host.invalid:9092")
        for piece in ("127.0.0.1:9: Connection refused", "no-such-host.invalid:9092: "):
            self.assertIn(piece, said)

    def test_what_is_no_broker_is_not_waited_for(self):
        for brokers, bad in (("foo", "foo"), ("127.0.0.1:9,nonsense", "nonsense"), ("a:1,", ""), ("", "")):
            said = self.refused(2, f"--kafka={brokers}")
            self.assertIn(f'--kafka {brokers}: "{bad}" is not of the form HOST:PORT', said)
            self.assertNotIn("cannot be reached", said)


if __name__ == "__main__":
    streamlayer.main()
