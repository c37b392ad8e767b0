"""A streamlayerd of a test's own, on the shared Kafka."""
import os
import re
import signal
import subprocess

from streamlayer import STOP_S, Platform, Running, kill_all, read_text, wait_for, write_text


class Daemon:
    """Runs `streamlayerd --config DIRECTORY/gateway.conf`, whose settings are lines below streamlayer.gateway."""

    def __init__(self, platform, directory, *arguments, settings="", data=None, environment=None, before=(), brokers=None):
        self.binaries, self.directory = platform.binaries, directory
        self.brokers = brokers or platform.brokers
        self.data = data or directory + "/data"
        self.config, self.log = directory + "/gateway.conf", directory + "/daemon.log"
        self.arguments, self.before = arguments, before
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.configure(settings)

    def configure(self, settings=""):
        """Writes the configuration; a running daemon hears of it by hup()."""
        write_text(self.config, "streamlayer.gateway {\n"
                   f'  kafka.brokers = "{self.brokers}"\n  data-directory = "{self.data}"\n  listen.port = 0\n'
                   f"  {settings}\n}}\n")

    def start(self):
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen([*self.before, self.binaries + "/streamlayerd", "--config", self.config,
                                             *self.arguments], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, env=self.environment)
        return self

    def text(self):
        return read_text(self.log) or ""

    def url(self, seconds=60):
        """Waits until it listens."""
        def look():
            found = re.search(r"listening, (https?://\S+),", self.text())
            if not found and self.process.poll() is not None:
                raise AssertionError(f"streamlayerd ended with {self.process.returncode}:\n{self.text()}")
            return found
        return wait_for(look, seconds, "streamlayerd does not listen").group(1)

    def said(self, pattern, after=0, seconds=30):
        """Waits for a line of the log that matches, beyond its first so many bytes; returns it."""
        def look():
            return re.search(f"^.*(?:{pattern}).*$", self.text()[after:], re.M)
        try:
            return wait_for(look, seconds, pattern).group(0)
        except AssertionError as error:
            raise AssertionError(f"{error}; the log:\n{self.text()[after:]}") from None

    def hup(self):
        """Has it reload, and returns what it said about that."""
        before = len(self.text())
        self.process.send_signal(signal.SIGHUP)
        self.said("SIGHUP: (?:reloaded|nothing was changed)", before)
        return self.text()[before:]

    def stop(self, seconds=STOP_S):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        if self.process and self.process.poll() is None:
            kill_all(self.process.pid)
            self.process.wait()


def platform_of(daemon, key):
    """The daemon as a Platform; key: what make_data returned."""
    url = daemon.url()
    config, credentials = daemon.directory + "/application.conf", daemon.directory + "/credentials.properties"
    with open(os.open(credentials, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(re.sub("(?m)^(here.token.endpoint.url = ).*$", rf"\1{url}/oauth2/token", key))
    write_text(config, "here.platform.data-client {\n"
               f'  endpoint-locator.discovery-service-url = "{url}/lookup/v1"\n'
               f'  request-signer.credentials.file-path = "{credentials}"\n}}\n')
    return Platform({"URL": url, "BIN": daemon.binaries, "BROKERS": daemon.brokers, "CONFIG": config})


def make_data(platform, directory):
    """Makes a data directory with an application that may do everything; returns its key, as properties."""
    up = Running(platform.binaries, directory + "/data", directory + "/up.log", "--kafka", platform.brokers)
    try:
        up.ready(60)
        status = up.stop()
    finally:
        up.kill()
    if status:
        raise AssertionError(f"`streamlayer up` ended with {status}:\n{up.text()}")
    return read_text(directory + "/data/credentials.properties")


def certificate(directory, name):
    """A self-signed one for 127.0.0.1; returns its file and its key's."""
    files = [f"{directory}/{name}.pem", f"{directory}/{name}.key"]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-out", files[0], "-keyout", files[1]],
                   check=True, capture_output=True)
    return files
