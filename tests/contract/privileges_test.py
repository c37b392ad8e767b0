"""What streamlayerd gives up: root, capabilities, what it could execute; whom it lets into its data. As root."""
import os
import pwd
import shutil
import socket
import ssl
import stat
import subprocess
import urllib.request

import daemon
import reload_test
import streamlayer
from streamlayer import TestCase

USER = "nobody"


def low_port():
    """A free one that only root may bind."""
    for port in range(700, 1023):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port below 1024 is free")


class Privileges(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.geteuid() != 0:
            raise AssertionError("who is not root has nothing to give up: run these tests as root")
        cls.user = pwd.getpwnam(USER)

    def scratch(self):
        """One that the user may go into."""
        directory = super().scratch()
        os.chmod(directory, 0o755)
        return directory

    def make(self, *arguments, **options):
        running = daemon.Daemon(self.platform, self.scratch(), *arguments, **options)
        os.chmod(running.config, 0o644)
        self.addCleanup(running.kill)
        return running

    def assert_unprivileged(self, pid):
        """Every thread of the process."""
        seen = 0
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as file:
                status = dict(line.rstrip().split(":\t", 1) for line in file if ":\t" in line)
            uid, gid = self.user.pw_uid, self.user.pw_gid
            self.assertEqual(status["Uid"].split(), [str(uid)] * 4)
            self.assertEqual(status["Gid"].split(), [str(gid)] * 4)
            self.assertEqual({int(group) for group in status["Groups"].split()}, set(os.getgrouplist(USER, gid)))
            for kind in ("CapPrm", "CapEff", "CapAmb"):
                self.assertEqual(int(status[kind], 16), 0, kind)
            self.assertEqual(status["NoNewPrivs"], "1")
            seen += 1
        self.assertGreater(seen, 3)
        # Who cannot be dumped has its memory owned by root.
        if not os.environ.get("STREAMLAYER_TEST_SANITIZE"):
            self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0)

    def test_root_becomes_the_user(self):
        """Port and key are root's; the stores are opened by the user, and nobody else reads them."""
        place = self.scratch()
        certificate, key = reload_test.certificate(place, "gateway")
        os.chmod(key, 0o600)
        port = low_port()
        running = self.make("--user", USER, settings=f"listen {{ port = {port}, tls {{ certificate = {certificate}, "
                                                     f"key = {key} }} }}")
        running.start()
        self.assertEqual(running.url(), f"https://127.0.0.1:{port}")
        self.assertIn("running as nobody", running.text())
        self.assert_unprivileged(running.process.pid)
        with open(f"/proc/{running.process.pid}/status", encoding="utf-8") as file:
            bounding = next(line for line in file if line.startswith("CapBnd"))
        self.assertEqual(int(bounding.split()[1], 16), 0)
        context = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(running.url() + "/metrics", context=context, timeout=30) as answer:
            self.assertIn(b"process_resident_memory_bytes", answer.read())
        for directory, _, names in os.walk(running.data):
            for each in [directory, *(os.path.join(directory, name) for name in names)]:
                about = os.stat(each)
                self.assertEqual(about.st_uid, self.user.pw_uid, each)
                self.assertEqual(about.st_mode & 0o077, 0, each)
        # A reload has the user's rights.
        self.assertRegex(running.hup(), r"ERROR SIGHUP: nothing was changed: .*listen\.tls\.key")
        os.chown(key, self.user.pw_uid, -1)
        self.assertIn("SIGHUP: reloaded", running.hup())
        self.assertEqual(running.stop(), 0, running.text())
        self.assertNotRegex(running.text(), streamlayer.SANITIZER_REPORT)

    def test_capabilities_are_given_up(self):
        """As a service manager gives them to who is not root."""
        port = low_port()
        running = self.make(settings=f"listen.port = {port}", environment={"HOME": "/nonexistent"}, before=[
            "setpriv", "--reuid", USER, "--regid", str(self.user.pw_gid), "--init-groups",
            "--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"])
        os.mkdir(running.data, 0o700)
        os.chown(running.data, self.user.pw_uid, self.user.pw_gid)
        running.start()
        self.assertEqual(running.url(), f"http://127.0.0.1:{port}")
        self.assert_unprivileged(running.process.pid)
        self.assertEqual(running.stop(), 0, running.text())

    def refused(self, running, pattern):
        running.start()
        self.assertEqual(running.process.wait(60), 1, running.text())
        self.assertRegex(running.text(), pattern)

    def test_root_is_told_that_it_need_not(self):
        running = self.make().start()
        running.url()
        self.assertRegex(running.text(), "WARNING gateway: it runs as root, .*streamlayer.gateway.user")
        self.assertEqual(running.stop(), 0, running.text())

    def test_only_root_becomes_another(self):
        self.refused(self.make(settings="user = root", environment={"HOME": "/nonexistent"},
                               before=["setpriv", "--reuid", USER, "--clear-groups"]),
                     r"gateway\.conf:5: streamlayer\.gateway\.user = root: only root can become another user")
        self.refused(self.make("--user", "no-such-user"),
                     r"--user: streamlayer\.gateway\.user = no-such-user: there is no such user")

    def test_settings_are_the_users(self):
        """Not root's own: a reload could not read them, and would take other settings than the start."""
        running = self.make("--user", USER)
        home = os.path.dirname(running.config)
        os.makedirs(home + "/.config/streamlayer")
        with open(home + "/.config/streamlayer/application.conf", "w", encoding="utf-8") as file:
            file.write("streamlayer.gateway.limits.body = wrong\n")
        running.environment["HOME"] = home
        running.start()
        running.url()
        self.assertIn("no setting was changed", running.hup())
        self.assertEqual(running.stop(), 0, running.text())
        running.arguments = ()
        with open(home + "/.config/streamlayer/application.conf", "w", encoding="utf-8") as file:
            file.write(f"streamlayer.gateway.user = {USER}\n")
        self.refused(running, "application.conf:1: streamlayer.gateway.user = nobody: that user's gateway does not read it")

    def test_directory_that_others_write_is_refused(self):
        for mode in (0o777, 0o770, 0o1777, 0o702):
            running = self.make()
            os.mkdir(running.data)
            os.chmod(running.data, mode)
            self.refused(running, rf"others may write to the data directory .*/data \(its mode is {mode & 0o777:03o}\).*chmod go-w")
            self.assertEqual(os.listdir(running.data), [])

    def test_directory_of_somebody_elses_is_refused(self):
        running = self.make("--user", USER)
        os.mkdir(running.data, 0o700)
        self.refused(running, r"/data cannot be used by the user that the gateway runs as \(user id 65534\).*chown -R")

    def test_what_others_could_read_is_told_and_closed(self):
        running = self.make().start()
        running.url()
        self.assertEqual(running.stop(), 0, running.text())
        files = ["catalogs.db", "token-keys/" + next(name for name in os.listdir(running.data + "/token-keys")
                                                     if name.endswith(".pem"))]
        for name in files:
            os.chmod(f"{running.data}/{name}", 0o644)
        running.start()
        for name in files:
            running.said(f"WARNING .*/{name} could be read by others \\(its mode was 644\\)")
            self.assertEqual(stat.S_IMODE(os.stat(f"{running.data}/{name}").st_mode), 0o600)
        self.assertEqual(running.stop(), 0, running.text())
        # Root's files in the user's directory.
        os.chown(running.data, self.user.pw_uid, self.user.pw_gid)
        os.chown(running.data + "/gateway.lock", self.user.pw_uid, self.user.pw_gid)
        running.arguments = ("--user", USER)
        self.refused(running, r"/[a-z.-]+ belongs to another user \(user id 0\).*chown -R")
        shutil.rmtree(running.data)

    def test_check_tells_what_a_reload_could_not_read(self):
        place = self.scratch()
        certificate, key = reload_test.certificate(place, "gateway")
        os.chmod(key, 0o600)
        running = self.make(settings=f"listen.tls {{ certificate = {certificate}, key = {key} }}")
        done = subprocess.run([running.binaries + "/streamlayerd", "--check-config", "--config", running.config, "--user", USER],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "the configuration is right\n"), done.stderr)
        self.assertIn(f"note: {key}: {USER}, who the gateway becomes, may not read it", done.stderr)
        self.assertFalse(os.path.exists(running.data))

    def test_check_tells_of_a_directory_that_cannot_be_made(self):
        running = self.make(data=self.scratch() + "/not/yet/there")
        for before, code in (((), 0), (("setpriv", "--reuid", USER, "--clear-groups"), 1)):
            done = subprocess.run([*before, running.binaries + "/streamlayerd", "--check-config", "--config", running.config],
                                  capture_output=True, text=True, timeout=60, check=False,
                                  env={**os.environ, "HOME": "/nonexistent"})
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertRegex(done.stderr, r"gateway\.conf:3:\d+: streamlayer\.gateway\.data-directory: cannot make the data directory "
                                      r"\S+/not/yet/there: \S+: Permission denied; make it")


if __name__ == "__main__":
    streamlayer.main()
