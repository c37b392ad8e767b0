"""The disk of the data directory is full: what needs it says so, the rest goes on, and so does all once there is room.
Mounts a small one, so as root."""
import errno
import os
import re
import subprocess

import daemon
import streamlayer
from streamlayer import Subscription, TestCase, data

OCTETS = {"Content-Type": "application/octet-stream"}


class Disk(TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            raise AssertionError("only root may mount a small disk: run this test as root")
        self.place = self.scratch()
        os.mkdir(self.place + "/data")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m,mode=0700", "tmpfs", self.place + "/data"], check=True)
        self.addCleanup(subprocess.run, ["umount", self.place + "/data"], check=True)
        self.key = daemon.make_data(self.platform, self.place)
        self.running = daemon.Daemon(self.platform, self.place)
        self.running.start()
        self.addCleanup(self.running.kill)
        self.gateway = daemon.platform_of(self.running, self.key)

    def ask_for_token(self):
        key, secret = (re.search(rf"(?m)^here\.access\.key\.{name} = (\S+)$", self.key)[1] for name in ("id", "secret"))
        url = self.gateway.url + "/oauth2/token"
        header = streamlayer.oauth_header(url, key, secret)
        return self.gateway.post(url, b'{"grantType":"client_credentials"}', token=None,
                                 headers={"Authorization": header, "Content-Type": "application/json"})

    def fill(self):
        """To the last byte: of a disk with a little room SQLite's journal may have its pages already."""
        with open(self.place + "/data/full", "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)

    def test_a_full_disk_is_told_by_what_needs_it(self):
        gateway, name = self.gateway, self.gateway.name("disk")
        layer = {"id": "data", "name": "data", "layerType": "stream", "contentType": "application/octet-stream"}
        answer = gateway.post("/config/v1/catalogs", {"id": name, "name": name, "layers": [layer]})
        self.assertLess(answer.status, 300, answer.text)
        hrn = answer.json()["hrn"]
        self.assertEqual(gateway.post("/config/v1/applications", {"name": name + "-0"}).status, 201)
        calls = {
            "token": self.ask_for_token,
            "catalog": lambda: gateway.post("/config/v1/catalogs", {"id": name + "-2", "name": "second"}),
            "application": lambda: gateway.post("/config/v1/applications", {"name": name}),
            "grant": lambda: gateway.put(f"/config/v1/catalogs/{hrn}/grants/{name}-0", {"rights": ["read"]}),
            "key of tokens": lambda: gateway.post("/config/v1/token-keys"),
            "blob": lambda: gateway.put(f"{gateway.base('blob', 'v1', hrn)}/layers/data/data/h", b"x" * 5000, headers=OCTETS),
        }
        self.fill()
        for what, call in calls.items():
            with self.subTest(what):
                answer = call()
                self.assertEqual((answer.status, answer.json().get("code")), (507, "disk-full"), answer.text)
        status = gateway.cli("status", check=False).stdout.decode()
        self.assertRegex(status, r"failed +credentials .*nonces\.db cannot grow: the disk is full")
        self.assertIn("-> whoever operates the platform makes room on the disk of its data directory\n", status)
        gateway.publish(hrn, "data", b"goes on")
        os.remove(self.place + "/data/full")
        for what, call in calls.items():
            with self.subTest(what + " again"):
                answer = call()
                self.assertLess(answer.status, 300, answer.text)
        subscription = Subscription(gateway, hrn, "data", properties={"auto.offset.reset": "earliest"})
        self.assertEqual(data(subscription.receive(1)[0]), b"goes on")
        self.assertEqual(self.running.stop(), 0, self.running.text())
        self.assertNotRegex(self.running.text(), streamlayer.SANITIZER_REPORT)


if __name__ == "__main__":
    streamlayer.main()
