"""streamlayer marketplace, and catalogs on the Marketplace, on the command line."""
import json
import os
import re

import streamlayer
from streamlayer import TestCase

FORBIDDEN = 4


class MarketplaceOnTheCommandLine(TestCase):
    def run_it(self, *arguments, code=0):
        done = self.platform.cli(*arguments, check=False)
        self.assertEqual(done.returncode, code, f"{arguments}: out {done.stdout!r}, err {done.stderr!r}")
        return (done.stderr if code else done.stdout).decode()

    def as_reader(self, *arguments, code=0):
        return self.run_it("-D", "here.platform.data-client.request-signer.credentials.file-path=" + self.file,
                           *arguments, code=code)

    def setUp(self):
        self.name, self.file = self.platform.name("app"), os.path.join(self.scratch(), "credentials.properties")
        self.run_it("app", "create", self.name, "--credentials", self.file)
        self.addCleanup(self.platform.cli, "app", "delete", self.name, "--yes", check=False)
        self.hrn = self.run_it("catalog", "create", self.platform.name("market"), "--marketplace").strip()
        self.addCleanup(self.platform.cli, "catalog", "delete", self.hrn, "--yes", check=False)
        self.platform.layer(self.hrn, "l", "text/plain", 1)

    def test_marketplace_from_offer_to_end(self):
        self.assertIn("On the Marketplace", self.run_it("catalog", "show", self.hrn))
        self.assertRegex(self.run_it("catalog", "list"), rf"{re.escape(self.hrn)} +1 +yes ")
        self.assertIs(json.loads(self.run_it("catalog", "show", self.hrn, "--json"))["marketplace"], True)
        self.platform.publish(self.hrn, "l", b"one", "text/plain")
        consume = ("consume", self.hrn, "l", "--offset", "begin")
        over_http = ("-D", "here.platform.data-client.stream.connector.consumer=http-connector")
        self.assertIn(f"has no Marketplace subscription to it", self.as_reader(*over_http, *consume, code=FORBIDDEN))
        self.assertEqual(self.run_it("marketplace", "subscribe", self.name, self.hrn, "--from", "2020-01-01T00:00Z", "--until", "+30d",
                                     "--out-kbps", "500", "--volume", "1.5GB", "--period", "month"), "")
        told = self.as_reader(*consume, code=FORBIDDEN)  # direct, as the platform's file has it
        self.assertIn("connector.consumer = \"http-connector\"", told)
        self.assertEqual(self.as_reader(*over_http, *consume), "one\n")
        row = [cell for cell in re.split(r"  +", self.as_reader("marketplace", "list").splitlines()[1].strip()) if cell]
        self.assertEqual([*row[:4], *row[5:]], [self.name, self.hrn, "current", "2020-01-01T00:00:00Z", "500", "1.5 GB a month"])
        one, = json.loads(self.run_it("marketplace", "list", self.hrn, "--json"))["marketplaceSubscriptions"]
        self.assertEqual((one["volumeBytes"], one["period"], one["outboundKbps"]), (1500000000, "month", 500))
        self.run_it("marketplace", "unsubscribe", self.name, self.hrn)
        self.assertIn("has no Marketplace subscription", self.run_it("marketplace", "unsubscribe", self.name, self.hrn, code=3))
        self.assertEqual(len(self.run_it("marketplace", "list", self.hrn).splitlines()), 1)

    def terms(self):
        one, = json.loads(self.run_it("marketplace", "list", self.hrn, "--json"))["marketplaceSubscriptions"]
        return {name: one.get(name) for name in ("from", "until", "outboundKbps", "volumeBytes", "period")}

    def test_marketplace_keeps_the_terms_that_are_not_named(self):
        def subscribe(*arguments, code=0):
            done = self.platform.cli("marketplace", "subscribe", self.name, self.hrn, *arguments, check=False)
            self.assertEqual((done.returncode, done.stdout), (code, b""), done)
            return done.stderr.decode()
        self.assertEqual(subscribe("--from", "2020-01-01T00:00Z", "--until", "2099-01-01T00:00Z", "--out-kbps", "500",
                                   "--volume", "1000000001", "--period", "month"), "")
        before = self.terms()
        told = subscribe("--until", "2098-01-01T00:00Z")
        self.assertEqual(told, "Kept of the subscription before: --out-kbps 500 --volume 1000000001 --period month\n")
        self.assertEqual(self.terms(), {**before, "until": 4039372800000})
        told = subscribe("--volume", "2GB", "--out-kbps", "2000")
        self.assertIn("before: --until 2098-01-01T00:00:00Z --period month\n", told)
        self.assertIn("2000 KBps are kept only where the gateway keeps what layers give", told)
        self.assertEqual(self.terms(), {**before, "until": 4039372800000, "outboundKbps": 2000, "volumeBytes": 2000000000})
        subscribe("--period", "day", "--out-kbps", "7")
        self.assertEqual((self.terms()["period"], self.terms()["volumeBytes"]), ("day", 2000000000))
        self.assertEqual(subscribe("--until", "none", "--volume", "none"), "Kept of the subscription before: --out-kbps 7\n"
                         "Removed: --volume 2000000000, and with it --period day, which it was counted in.\n")
        self.assertEqual(self.terms(), {**before, "until": None, "volumeBytes": None, "outboundKbps": 7, "period": self.terms()["period"]})
        self.assertIn("--volume is counted in, which is missing", subscribe("--period", "day", code=2))
        subscribe("--until", "2021-01-01T00:00Z")
        self.assertIn("has ended, at 2021-01-01T00:00:00Z: give --until, a time or \"none\"", subscribe("--out-kbps", "8", code=2))
        self.assertEqual(self.terms()["outboundKbps"], 7)

    def test_marketplace_is_told_of_by_grants_and_usage(self):
        def told(*arguments):
            return self.platform.cli(*arguments).stderr.decode()
        plain = self.platform.catalog()
        self.addCleanup(self.platform.cli, "catalog", "delete", plain, "--yes", check=False)
        self.assertIn(f"{self.name} reads it by Marketplace subscription only", told("grant", self.name, self.hrn, "read,write"))
        self.assertEqual(told("grant", self.name, self.hrn, "write"), "")
        self.assertEqual(told("grant", self.name, plain, "read"), "")
        self.assertEqual(told("grant", self.name, self.hrn, "read,manage"), "")
        self.assertEqual(told("grant", self.name, self.hrn, "read"), "")
        self.assertIn(f"{plain} is not on the Marketplace", told("usage", "--catalog", plain))
        self.assertEqual(told("usage", "--catalog", self.hrn), "")

    def test_marketplace_says_what_is_wrong(self):
        subscribe = ("marketplace", "subscribe", self.name, self.hrn)
        for arguments, said in ((("--from", "soon"), "--from soon: a time is needed"),
                                (("--until", "+soon"), "--until +soon: a time is needed"),
                                (("--volume", "10XB"), "--volume 10XB: bytes are needed"),
                                (("--volume", "0"), "--volume 0: bytes"),
                                (("--volume", "99999999999TB"), "too much: 9000000000000000 bytes at most"), (("--out-kbps", "2001"), "from 1 to 2000"),
                                (("--volume", "1", "--period", "week"), "day, month or all"),
                                (("--period", "day"), "--volume is counted in, which is missing")):
            with self.subTest(arguments=arguments):
                text = self.run_it(*subscribe, *arguments, code=2 if said else 0)
                self.assertIn(said or "", text)
        self.run_it(*subscribe, "--volume", "10")
        self.assertIn("is not on the Marketplace", self.run_it("marketplace", "subscribe", self.name, self.platform.catalog(), code=1))
        self.assertIn("there is no application", self.run_it("marketplace", "subscribe", "nobody", self.hrn, code=3))


if __name__ == "__main__":
    streamlayer.main()
