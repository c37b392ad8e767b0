"""The Debian packages, installed one by one into clean systems that share this machine's loopback: the platform is outside."""
import glob
import os
import re
import signal
import socket
import stat
import subprocess

import streamlayer
from chroot import ROOT, Chroot, newer, package_file
from streamlayer import wait_for

CONF, CLIENT = "/etc/streamlayer/gateway.conf", "/etc/streamlayer/client.conf"
DATA, LOGS = "/var/lib/streamlayer", "/var/log/streamlayer"
CONNECTOR = "here.platform.data-client.stream.connector"
ASKED = ("cmake_minimum_required(VERSION 3.16)\nproject(asked LANGUAGES NONE)\n"
         "find_package(streamlayer REQUIRED COMPONENTS kafka)\n")


class Packages(streamlayer.TestCase):
    def use_platform(self, system, connector, platform=None):
        """The system's configuration: the platform outside, both sides over the connector."""
        platform = platform or self.platform
        with open(platform.environment["CREDENTIALS"], encoding="utf-8") as file:
            system.write("/etc/streamlayer/credentials.properties", file.read())
        system.write("/etc/streamlayer/application.conf", f"""here.platform.data-client {{
  endpoint-locator {{ discovery-service-env = custom, discovery-service-url = "{platform.url}/lookup/v1" }}
  request-signer.credentials.file-path = /etc/streamlayer/credentials.properties
}}
{CONNECTOR} {{ producer = {connector}-connector, consumer = {connector}-connector }}
""")

    def unpack(self, prefix, *packages):
        """Another machine, on which programs are built."""
        for package in packages:
            subprocess.run(["dpkg-deb", "--extract", package_file(package), prefix], check=True)

    def compile(self, prefix, name, place):
        config = glob.glob(prefix + "/usr/lib/*/pkgconfig")[0]
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "streamlayer"], check=True, capture_output=True, text=True,
                               env={**os.environ, "PKG_CONFIG_PATH": config}).stdout.split()
        source = f"{prefix}/usr/share/doc/libstreamlayer-dev/examples/{name}.c"
        subprocess.run(["cc", "-std=c17", "-o", f"{place}/{name}", source, *flags], check=True)

    def ask_cmake(self, prefix):
        """What find_package(streamlayer COMPONENTS kafka) says: its status and its text."""
        place = self.scratch()
        with open(place + "/CMakeLists.txt", "w", encoding="utf-8") as file:
            file.write(ASKED)
        done = subprocess.run(["cmake", "-S", place, "-B", place + "/out", f"-DCMAKE_PREFIX_PATH={prefix}/usr",
                               "-DCMAKE_LIBRARY_ARCHITECTURE=" + os.path.basename(os.path.dirname(os.path.dirname(
                                   glob.glob(prefix + "/usr/lib/*/pkgconfig/*")[0])))],
                              capture_output=True, text=True, check=False)
        return done.returncode, " ".join(done.stderr.split())

    def test_programs_need_the_library_alone_and_kafka_is_added_without_a_build(self):
        elsewhere, system = self.scratch(), Chroot(self)
        self.unpack(elsewhere, "libstreamlayer1", "libstreamlayer-dev")
        status, said = self.ask_cmake(elsewhere)
        self.assertNotEqual(status, 0)
        self.assertIn("install the component kafka-support (package streamlayer-kafka-support)", said)
        for name in "producer", "consumer":
            self.compile(elsewhere, name, system.path("/usr/local/bin"))
        self.unpack(elsewhere, "streamlayer-kafka-support")
        self.assertEqual(self.ask_cmake(elsewhere), (0, ""))

        hrn = self.platform.catalog()
        self.platform.layer(hrn, "cars", "text/plain", parallelization=1)
        group = self.platform.name("packages")
        system.install("libstreamlayer1")
        self.assertFalse([name for name in system.installed() if "kafka" in name])
        self.assertFalse(glob.glob(system.path("/usr/lib/**/librdkafka*"), recursive=True))
        self.use_platform(system, "http")
        system.run("producer", hrn, "cars", "car-7", input="one\n")
        self.assertEqual(system.run("consumer", hrn, "cars", group, "1").stdout, "car-7\tone\n")

        self.use_platform(system, "kafka")
        for name, *rest in ("producer",), ("consumer", group, "1"):
            said = system.run(name, hrn, "cars", *rest, status=1).stderr
            self.assertIn("the kafka-connector is not installed: install the package streamlayer-kafka-support", said)
            self.assertIn(f"choose HTTP with {CONNECTOR}.{name}", said)

        system.install("streamlayer-kafka-support")
        self.assertIn("librdkafka1", system.installed())
        system.run("producer", hrn, "cars", "car-7", input="two\n")
        self.assertEqual(system.run("consumer", hrn, "cars", group, "1").stdout, "car-7\ttwo\n")

        system.apt("remove", "streamlayer-kafka-support")
        self.use_platform(system, "http")
        system.run("producer", hrn, "cars", "car-7", input="three\n")

    def test_flink_support_brings_direct_kafka_along(self):
        system = Chroot(self)
        system.install("streamlayer-flink-support")
        self.assertLessEqual({"streamlayer-kafka-support", "libstreamlayer1", "librdkafka1"}, system.installed())
        self.assertNotIn("streamlayerd", system.installed())
        self.assertTrue(os.path.exists(system.path("/usr/share/streamlayer/flink/pom.xml")))

    def test_the_command_line_is_whole(self):
        system = Chroot(self)
        self.assertIn("Inst streamlayer-kafka-support ", system.run("apt-get", "--simulate", "install",
                                                                    "streamlayer").stdout)
        system.install("streamlayer")
        self.assertNotIn("libstreamlayer1", system.installed())
        version = system.run("streamlayer", "version").stdout
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "cars", "text/plain")
        self.use_platform(system, "http")
        system.run("streamlayer", "produce", hrn, "cars", input="one\n")
        got = system.run("streamlayer", "consume", hrn, "cars", "--offset", "begin", "--count", "1")
        self.assertEqual(got.stdout, "one\n")
        # Where Debian's shells look for completions, and man for pages.
        for shell, place in (("bash", "bash-completion/completions/streamlayer"), ("fish", "fish/vendor_completions.d/streamlayer.fish"),
                             ("zsh", "zsh/vendor-completions/_streamlayer")):
            self.assertEqual(system.run("streamlayer", "completion", shell).stdout, system.read("/usr/share/" + place))
        listed = subprocess.run(["zsh", "-fc", "print -l $fpath"], capture_output=True, text=True, check=True).stdout
        self.assertIn("/usr/share/zsh/vendor-completions", listed.split())
        commands = re.findall(r"^  ([a-z]+(?: [a-z]+)*)  ", system.run("streamlayer", "--help").stdout, re.M)
        self.assertGreater(len(commands), 30)
        for command in commands:
            page = f"/usr/share/man/man1/streamlayer-{command.replace(' ', '-')}.1.gz"
            self.assertTrue(os.path.exists(system.path(page)), page)
        self.assertIn(self.packaged_version(), version)

    def test_the_documentation_lies_where_debian_users_look(self):
        system, docs = Chroot(self), "/usr/share/doc/streamlayer"
        system.install("streamlayer-doc", "streamlayerd")
        for name in ["README.md", *(f"docs/{name}" for name in os.listdir(ROOT + "/docs") if name.endswith((".md", ".svg")))]:
            self.assertEqual(system.read(f"{docs}/{name}"), streamlayer.read_text(f"{ROOT}/{name}"))
        self.assertIn("sl_producer_send", system.read(docs + "/api/producer_8h.html"))
        # What is registered is there.
        registered = system.read("/usr/share/doc-base/streamlayer-doc.streamlayer")
        self.assertTrue(os.path.exists(system.path(re.search(r"(?m)^Index: (.*)$", registered)[1])))
        self.assertTrue(os.path.exists(system.path("/usr/share/man/man8/streamlayerd.8.gz")))
        place = self.scratch()
        self.unpack(place, "libstreamlayer-dev")
        self.assertTrue(os.path.exists(place + "/usr/share/man/man3/libstreamlayer.3.gz"))

    def packaged_version(self):
        return subprocess.run(["dpkg-deb", "--field", package_file("streamlayer"), "Version"], check=True, capture_output=True,
                              text=True).stdout.strip()

    def serve(self, system):
        """The installed gateway, as systemd runs it: its user, and waits until it says that it is ready."""
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.settimeout(60)
        if os.path.exists(system.path("/notify")):
            os.remove(system.path("/notify"))
        manager.bind(system.path("/notify"))
        os.chmod(system.path("/notify"), 0o777)
        self.log = log = self.scratch() + "/log"
        with open(log, "wb") as output:
            process = subprocess.Popen(system.command("streamlayerd", "--config", CONF, user="streamlayer"), stderr=output,
                                       stdin=subprocess.DEVNULL,
                                       env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": "/notify", "HOME": DATA})
        self.addCleanup(lambda: process.poll() is None and (process.kill(), process.wait()))
        try:
            self.assertEqual(manager.recv(100), b"READY=1")
        except TimeoutError:
            self.fail(streamlayer.read_text(log))
        url = re.search(r"listening, (https?://\S+),", streamlayer.read_text(log)).group(1)
        return process, url

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0)

    def client(self, system, url, *words):
        """The command line, inside."""
        lookup = f"here.platform.data-client.endpoint-locator.discovery-service-url={url}/lookup/v1"
        return system.run("streamlayer", "--config", CLIENT, "-D", lookup, *words).stdout

    def test_the_gateway_keeps_its_data_until_it_is_purged(self):
        system = Chroot(self)
        said = system.install("streamlayerd", "streamlayer", "logrotate")
        self.assertNotIn("rror", said)
        entry = next(line for line in system.read("/etc/passwd").splitlines() if line.startswith("streamlayer:"))
        self.assertIn(":" + DATA + ":", entry)
        mode = os.stat(system.path(CONF))
        self.assertEqual((stat.S_IMODE(mode.st_mode), mode.st_uid, mode.st_gid), (0o640, 0, int(entry.split(":")[3])))
        self.assertTrue(os.path.exists(system.path("/lib/systemd/system/streamlayerd.service")))
        self.assertFalse(os.path.exists(system.path("/etc/systemd/system/multi-user.target.wants/streamlayerd.service")))
        # What is shipped is right as it is.
        system.run("streamlayerd", "--check-config", "--config", CONF, user="streamlayer")

        system.write(CONF, system.read(CONF).replace("localhost:9092", self.platform.brokers).replace("8080", "0"))
        process, url = self.serve(system)
        system.run("streamlayer", "app", "create", "root", "--right", "create,admin", "--data-dir", DATA, "--token-url",
                   url + "/oauth2/token", "--credentials", DATA + "/root.properties", user="streamlayer")
        # The port is another one at each start, the token's address with it.
        system.write(CLIENT,
                     "here.platform.data-client {\n  endpoint-locator.discovery-service-env = custom\n"
                     f"  request-signer.credentials.file-path = {DATA}/root.properties\n}}\n")
        hrn = self.client(system, url, "catalog", "create", self.platform.name("kept")).strip()
        access = LOGS + "/access.log"
        wait_for(lambda: "POST /oauth2/token" in system.read(access), 30, "a line of the access log")
        system.run("logrotate", "--force", "/etc/logrotate.d/streamlayerd")
        process.send_signal(signal.SIGHUP)  # as the script of logrotate has systemd do
        wait_for(lambda: "SIGHUP: reloaded" in streamlayer.read_text(self.log), 30, "a reload")
        self.assertTrue(os.path.exists(system.path(access)), streamlayer.read_text(self.log))
        self.assertIn("POST /oauth2/token", system.read(access + ".1"))
        self.stop(process)

        # From here on systemd seems to run, and what it is asked for is written down.
        os.makedirs(system.path("/run/systemd/system"))
        system.write("/usr/bin/deb-systemd-invoke", '#!/bin/sh\necho "$@" >>/asked\n')
        settings, made = system.read(CONF), set(os.listdir(system.path(DATA)))
        place = self.scratch()
        for name in "streamlayerd", "streamlayer":
            os.rename(newer(name, "9.0.0", place), system.path(f"/{name}.deb"))
        system.run("dpkg", "--install", "/streamlayerd.deb", "/streamlayer.deb")
        self.assertIn("9.0.0", system.run("dpkg-query", "--show", "streamlayerd").stdout)
        self.assertEqual(system.read("/asked"), "try-restart streamlayerd.service\n")
        self.assertEqual(system.read(CONF), settings)
        process, url = self.serve(system)
        credentials = system.read(DATA + "/root.properties")
        system.write(DATA + "/root.properties", re.sub(r"http://[0-9.:]+", url, credentials))
        self.assertIn(hrn, self.client(system, url, "catalog", "list"))
        self.stop(process)

        system.apt("remove", "streamlayerd")
        self.assertEqual(system.read("/asked").splitlines()[1:], ["stop streamlayerd.service"])
        self.assertFalse(os.path.exists(system.path("/usr/bin/streamlayerd")))
        self.assertEqual(system.read(CONF), settings)
        self.assertLessEqual(made, set(os.listdir(system.path(DATA))))
        self.assertTrue(os.path.exists(system.path(access + ".1")))
        system.apt("purge", "streamlayerd")
        for gone in CONF, DATA, LOGS, "/etc/logrotate.d/streamlayerd":
            self.assertFalse(os.path.exists(system.path(gone)), gone)
        # The number of a user is never given to another; what an administrator has written is no business of the package's.
        self.assertIn(entry, system.read("/etc/passwd"))
        self.assertTrue(os.path.exists(system.path(CLIENT)))

    def test_lintian_finds_nothing(self):
        changes = glob.glob(os.environ["STREAMLAYER_TEST_PACKAGES"] + "/deb/*.changes")
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *changes], capture_output=True, text=True,
                              check=False, timeout=170)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    streamlayer.main()
