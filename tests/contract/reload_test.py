"""SIGHUP: a configuration applied while the gateway serves, or not at all; what a service manager is told."""
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.parse

import daemon
import streamlayer
from daemon import certificate
from streamlayer import TestCase

OCTETS = {"Content-Type": "application/octet-stream"}


def shown(url):
    """The certificate that a new connection is shown."""
    parts = urllib.parse.urlsplit(url)
    return ssl.get_server_certificate((parts.hostname, parts.port), timeout=30)


class Reload(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        import tempfile
        cls.place = tempfile.mkdtemp(prefix="streamlayer-reload-")
        cls.addClassCleanup(shutil.rmtree, cls.place)
        cls.key = daemon.make_data(cls.platform, cls.place)

    def start(self, *arguments, **options):
        directory = self.scratch()
        shutil.copytree(self.place + "/data", directory + "/data")
        running = daemon.Daemon(self.platform, directory, *arguments, **options).start()
        self.addCleanup(running.kill)
        running.url()
        return running

    def post(self, platform, url, size):
        return platform.post(url, b"x" * size, headers=OCTETS)

    def test_sighup_applies_limits(self):
        running = self.start(settings="limits.body = 1 MiB")
        platform = daemon.platform_of(running, self.key)
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        url = f"{platform.base('ingest', 'v1', hrn)}/layers/layer"
        self.assertEqual(self.post(platform, url, 5000).status, 200)
        running.configure("limits { body = 4 KiB, publications = 1, poll-wait = 2 s, idle-timeout = 61 s }\n"
                          "push.heartbeat = 3 s, token.lifetime = 2 minutes, log.level = debug")
        said = running.hup()
        for line in ("limits.body = 4 KiB", "limits.publications = 1", "limits.poll-wait = 2 s", "limits.idle-timeout = 61 s",
                     "push.heartbeat = 3 s", "token.lifetime = 2 minutes", "log.level = debug", "SIGHUP: reloaded"):
            self.assertIn(line, said)
        self.assertNotIn("restart", said)
        self.assertEqual(self.post(platform, url, 5000).status, 413)
        self.assertEqual(self.post(platform, url, 4000).status, 200)
        platform.cached_token = None
        self.assertTrue(platform.token)
        running.said(r"DEBUG POST /oauth2/token")
        # And back: what a line says no more has its default again.
        running.configure()
        self.assertIn("limits.body = 20 MiB", running.hup())
        self.assertEqual(self.post(platform, url, 5000).status, 200)
        self.assertIn("no setting was changed", running.hup())
        self.assertEqual(running.stop(), 0, running.text())
        self.assertNotRegex(running.text(), streamlayer.SANITIZER_REPORT)

    def test_sighup_names_what_needs_a_restart(self):
        running = self.start()
        running.configure("threads = 1, data-directory = /elsewhere, limits.body = 2 MiB")
        said = running.hup()
        self.assertRegex(said, r"WARNING reload: streamlayer\.gateway\.threads needs a restart.*gateway\.conf:5")
        self.assertRegex(said, r"WARNING reload: streamlayer\.gateway\.data-directory needs a restart")
        self.assertIn("limits.body = 2 MiB", said)
        # Still so at the next, until there is a restart.
        self.assertIn("threads needs a restart", running.hup())

    def test_sighup_names_of_a_new_cluster_what_was_set(self):
        running = self.start()
        running.configure('kafka.clusters.eu { brokers = "127.0.0.1:1" }')
        said = running.hup()
        self.assertRegex(said, r"reload: streamlayer\.gateway\.kafka\.clusters\.eu\.brokers needs a restart.*gateway\.conf:5")
        self.assertEqual(said.count("needs a restart"), 1, said)
        running.configure('kafka.clusters.eu { brokers = "127.0.0.1:99999" }')
        self.assertRegex(running.hup(), r"nothing was changed: .*gateway\.conf:5: streamlayer\.gateway\.kafka\.clusters\.eu\.brokers = "
                                        r'.*"127\.0\.0\.1:99999" is no server')
        running.configure('kafka.clusters.eu { brokers = "127.0.0.1:1", client { ssl.ca.location = /none } }')
        self.assertRegex(running.hup(), r"nothing was changed: .*gateway\.conf:5: streamlayer\.gateway\.kafka\.clusters\.eu\."
                                        r"client\.ssl\.ca\.location: /none: No such file")

    def test_wrong_configuration_changes_nothing(self):
        running = self.start(settings="limits.body = 8 KiB")
        platform = daemon.platform_of(running, self.key)
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        url = f"{platform.base('ingest', 'v1', hrn)}/layers/layer"
        files = certificate(running.directory, "new")
        for wrong, why in (
                ("limits { body = 64 KiB, poll-wait = 1 hour }", r"gateway\.conf:5: .*poll-wait = \"1 hour\": out of range"),
                ("limits { body = 64 KiB, bodies = 1 }", r"unknown setting streamlayer\.gateway\.limits\.bodies"),
                ("limits.body = 64 KiB\n  {", r"gateway\.conf:"),
                ("limits.body = 64 KiB, kafka.producer { no.such = 1 }", r"kafka\.producer\.no\.such"),
                ("limits.body = 64 KiB, kafka.consumer { group.id = x }", r"kafka\.consumer\.group\.id cannot be set"),
                ("limits.body = 64 KiB, kafka.brokers = \"\"", r"kafka\.brokers is not set"),
                ("limits.body = 64 KiB, listen.address = 0.0.0.0", r"listen\.address = 0\.0\.0\.0: .*without TLS"),
                (f"limits.body = 64 KiB, listen.tls {{ certificate = {files[0]}, key = {files[1]} }}",
                 "a reload cannot turn TLS on")):
            running.configure(wrong)
            said = running.hup()
            self.assertRegex(said, "ERROR SIGHUP: nothing was changed: .*" + why)
            self.assertNotIn("reload: ", said)
            self.assertEqual(self.post(platform, url, 10000).status, 413, wrong)
        os.remove(running.config)
        self.assertRegex(running.hup(), "nothing was changed: .*gateway.conf")
        self.assertEqual(self.post(platform, url, 8000).status, 200)
        running.configure("limits.body = 64 KiB")
        self.assertIn("SIGHUP: reloaded", running.hup())
        self.assertEqual(self.post(platform, url, 10000).status, 200)

    def test_sighup_under_load_loses_no_request(self):
        """Every request is answered with 200, each message is in Kafka once, and connections stay."""
        running = self.start()
        platform = daemon.platform_of(running, self.key)
        hrn = platform.catalog()
        platform.layer(hrn, "layer")
        topic = platform.topic(hrn, "layer")
        url = urllib.parse.urlsplit(f"{platform.base('ingest', 'v1', hrn)}/layers/layer")
        headers = {**OCTETS, "Authorization": "Bearer " + platform.token}
        sent, odd, lock, over = [], [], threading.Lock(), threading.Event()

        def post(who):
            connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
            self.addCleanup(connection.close)
            number = 0
            while not over.is_set():
                body = f"{who}-{number}"
                number += 1
                try:
                    connection.request("POST", url.path, body, headers)
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status != 200 or answer.will_close:
                        odd.append((body, answer.status))
                except (OSError, http.client.HTTPException) as error:
                    odd.append((body, repr(error)))
                    return
                with lock:
                    sent.append(body)

        threads = [threading.Thread(target=post, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        try:
            for number in range(12):
                before = len(sent)
                running.configure(f"limits {{ body = {8 + number} KiB, connections = {100 + number}, idle-timeout = "
                                  f"{30 + number} s, requests = {50 + number}, bytes-in-flight = {64 + number} MiB }}"
                                  if number % 3 else "limits.body = wrong")
                said = running.hup()
                self.assertIn("reloaded" if number % 3 else "nothing was changed", said)
                streamlayer.wait_for(lambda past=before: odd or len(sent) > past + 50, 60, "requests stand still")
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        self.assertEqual(odd, [])
        done = subprocess.run(["kcat", "-q", "-C", "-e", "-o", "beginning", "-b", self.platform.brokers, "-t", topic,
                               "-f", "%s\n"], check=True, capture_output=True, timeout=60)
        self.assertEqual(sorted(done.stdout.decode().split()), sorted(sent))
        self.assertEqual(running.stop(), 0, running.text())
        self.assertNotRegex(running.text(), streamlayer.SANITIZER_REPORT)

    def test_sighup_takes_the_new_certificate(self):
        """Connections that are open stay; a pair that does not fit changes nothing."""
        directory = self.scratch()
        first, second = certificate(directory, "first"), certificate(directory, "second")
        live = [directory + "/live.pem", directory + "/live.key"]
        for source, target in zip(first, live):
            shutil.copy(source, target)
        running = self.start(settings=f"listen.tls {{ certificate = {live[0]}, key = {live[1]} }}")
        url = running.url()
        self.assertTrue(url.startswith("https://"), url)
        parts = urllib.parse.urlsplit(url)
        context = ssl.create_default_context(cafile=live[0])
        kept = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=30, context=context)
        kept.request("GET", "/health")
        self.assertEqual(kept.getresponse().read() and 200, 200)
        before = shown(url)
        shutil.copy(second[0], live[0])  # its key is not there yet
        self.assertRegex(running.hup(), r"ERROR SIGHUP: nothing was changed: .*listen\.tls")
        self.assertEqual(shown(url), before)
        shutil.copy(second[1], live[1])
        said = running.hup()
        self.assertIn("the files of TLS were read again", said)
        self.assertIn("SIGHUP: reloaded", said)
        self.assertNotEqual(shown(url), before)
        kept.request("GET", "/health")
        self.assertEqual(kept.getresponse().status, 200)
        kept.close()
        running.configure()
        self.assertRegex(running.hup(), "nothing was changed: .*a reload cannot turn TLS off")

    def test_a_log_is_rotated_while_the_configuration_is_wrong(self):
        log = self.scratch() + "/access.log"
        running = self.start(settings=f"access-log.file = {log}")
        os.rename(log, log + ".1")
        running.configure("none = 1")
        self.assertRegex(running.hup(), "SIGHUP: nothing was changed")
        self.assertTrue(os.path.exists(log))
        os.rename(log, log + ".2")
        os.mkdir(log)
        self.assertRegex(running.hup(), "access-log.file: cannot open .*; lines go to the old file")

    def test_service_manager_hears_of_it(self):
        directory = self.scratch()
        for name in (directory + "/notify", "\0streamlayer-" + os.path.basename(directory)):
            manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            manager.bind(name)
            manager.settimeout(60)
            running = self.start(environment={"NOTIFY_SOCKET": name.replace("\0", "@")})
            self.assertEqual(manager.recv(1000), b"READY=1")
            running.hup()
            self.assertRegex(manager.recv(1000), rb"^RELOADING=1\nMONOTONIC_USEC=[0-9]+$")
            self.assertEqual(manager.recv(1000), b"READY=1\nSTATUS=")
            running.configure("none = 1")
            running.hup()
            self.assertRegex(manager.recv(1000), rb"^RELOADING=1\n")
            self.assertRegex(manager.recv(1000), rb"^READY=1\nSTATUS=The last reload failed")
            self.assertEqual(running.stop(), 0)
            self.assertEqual(manager.recv(1000), b"STOPPING=1")
            manager.close()


if __name__ == "__main__":
    streamlayer.main()
