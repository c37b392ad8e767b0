"""The systemd service that is installed with the gateway: it is right, as far as systemd can tell, and confined."""
import os
import re
import subprocess
import tempfile
import unittest

BINARIES = os.environ["STREAMLAYER_TEST_BINARIES"]
UNIT = os.path.dirname(BINARIES) + "/streamlayerd.service"


def settings():
    found = {}
    with open(UNIT, encoding="utf-8") as file:
        for line in file:
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                found.setdefault(name, []).append(value)
    return found


class Service(unittest.TestCase):
    def run_analyze(self, *arguments):
        done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_systemd_takes_the_service(self):
        """With this build's program in the place of the installed one."""
        with tempfile.TemporaryDirectory(prefix="service-") as place:
            with open(UNIT, encoding="utf-8") as file:
                text = re.sub(r"(?m)^(Exec[A-Za-z]+=)\S*/streamlayerd", rf"\1{BINARIES}/streamlayerd", file.read())
            # The system's own targets are none of this file's business, nor is the manual page.
            text = re.sub(r"(?m)^(Wants|After|Documentation)=.*$", "", text)
            with open(place + "/streamlayerd.service", "w", encoding="utf-8") as file:
                file.write(text)
            said = self.run_analyze("verify", "--man=no", "--recursive-errors=no", place + "/streamlayerd.service")
            self.assertNotIn("streamlayerd.service", said)

    def test_the_service_is_confined(self):
        """systemd's own measure, of 100: little is left exposed."""
        self.run_analyze("security", "--offline=true", "--threshold=20", "--no-pager", UNIT)

    def test_the_service_reloads_what_was_checked(self):
        found = settings()
        self.assertEqual(found["Type"], ["notify"])
        check, signal = found["ExecReload"]
        self.assertEqual(signal, "/bin/kill -HUP $MAINPID")
        self.assertEqual(check, found["ExecStart"][0].replace("/streamlayerd ", "/streamlayerd --check-config "))
        self.assertRegex(found["ExecStart"][0], "^/[^ ]*/streamlayerd --config /[^ ]*/streamlayer/gateway.conf$")


if __name__ == "__main__":
    unittest.main()
