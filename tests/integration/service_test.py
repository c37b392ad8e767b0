"""The systemd service that is installed with the gateway: it is right, as far as systemd can tell, and confined."""
import os
import re
import subprocess
import tempfile
import unittest

BINARIES = os.environ["STREAMLAYER_TEST_BINARIES"]


def settings(unit):
    found = {}
    with open(unit, encoding="utf-8") as file:
        for line in file:
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


class Service(unittest.TestCase):
    def setUp(self):
        self.prefix = tempfile.TemporaryDirectory(prefix="service-")
        self.addCleanup(self.prefix.cleanup)
        self.unit = self.install(self.prefix.name)

    def install(self, prefix, root=""):
        """The gateway below a prefix that is named only now; its service."""
        subprocess.run(["cmake", "--install", os.path.dirname(BINARIES), "--component", "gateway", "--prefix", prefix],
                       env={**os.environ, "DESTDIR": root}, check=True, stdout=subprocess.DEVNULL, timeout=100)
        return f"{root}{prefix}/lib/systemd/system/streamlayerd.service"

    def run_analyze(self, *arguments):
        done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_systemd_takes_the_service(self):
        with tempfile.TemporaryDirectory(prefix="service-") as place:
            with open(self.unit, encoding="utf-8") as file:
                text = file.read()
            # The system's own targets are none of this file's business, nor is the manual page.
            text = re.sub(r"(?m)^(Wants|After|Documentation)=.*$", "", text)
            with open(place + "/streamlayerd.service", "w", encoding="utf-8") as file:
                file.write(text)
            said = self.run_analyze("verify", "--man=no", "--recursive-errors=no", place + "/streamlayerd.service")
            self.assertNotIn("streamlayerd.service", said)

    def test_the_service_is_confined(self):
        """systemd's own measure, of 100: little is left exposed."""
        self.run_analyze("security", "--offline=true", "--threshold=20", "--no-pager", self.unit)

    def test_the_service_reloads_what_was_checked(self):
        found = settings(self.unit)
        self.assertEqual(found["Type"], ["notify"])
        check, signal = found["ExecReload"]
        self.assertEqual(signal, "/bin/kill -HUP $MAINPID")
        self.assertEqual(check, found["ExecStart"][0].replace("/streamlayerd ", "/streamlayerd --check-config "))

    def test_the_service_runs_what_was_installed_with_it(self):
        """Wherever that is: below /usr and /opt the settings are where the system has them."""
        found = settings(self.unit)
        program, _, file = found["ExecStart"][0].split()
        self.assertEqual(program, self.prefix.name + "/bin/streamlayerd")
        self.assertTrue(os.access(program, os.X_OK))
        self.assertEqual(file, self.prefix.name + "/etc/streamlayer/gateway.conf")
        for prefix, place in ("/usr", "/etc"), ("/opt/streamlayer", "/etc/opt/streamlayer"):
            with self.subTest(prefix), tempfile.TemporaryDirectory(prefix="service-") as root:
                found = settings(self.install(prefix, root))
                self.assertEqual(found["ExecStart"],
                                 [f"{prefix}/bin/streamlayerd --config {place}/streamlayer/gateway.conf"])

    def test_settings_come_with_the_service_and_stay(self):
        conf = settings(self.unit)["ExecStart"][0].split()[2]
        with open(conf, encoding="utf-8") as file:
            text = file.read()
        self.assertIn(f"--check-config --config {conf}\n", text)
        with open(conf, "w", encoding="utf-8") as file:  # systemd makes this directory
            file.write(text.replace("/var/log/streamlayer", self.prefix.name))
        done = subprocess.run([BINARIES + "/streamlayerd", "--check-config", "--config", conf], capture_output=True, text=True,
                              check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(conf, "w", encoding="utf-8") as file:
            file.write("# mine\n")
        self.install(self.prefix.name)
        with open(conf, encoding="utf-8") as file:
            self.assertEqual(file.read(), "# mine\n")


if __name__ == "__main__":
    unittest.main()
