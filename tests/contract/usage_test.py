"""usage v1: who sees which part of the ledger, added up and by pages; statements, and what shows when one is changed;
volumes that are used up."""
import base64
import csv
import functools
import io
import json
import os
import re
import subprocess
import time

import streamlayer
from accounts import Accounts
from streamlayer import Platform, Running, Subscription, TestCase, data, wait_for

EARLIEST = {"auto.offset.reset": "earliest"}
FIGURES = ("callsIn", "callsOut", "messagesIn", "messagesOut", "bytesIn", "bytesOut", "blobBytesIn", "blobBytesOut")
HOUR = 3600 * 1000
ROOT = "here.platform.data-client."


def within_a_day(test):
    """A test that takes what it did for figures of one day, and of one month, by UTC: once more where one ended under it."""
    today = lambda: time.gmtime()[:3]  # noqa: E731

    @functools.wraps(test)
    def run(self):
        begun = today()
        try:
            test(self)
        except Exception:  # pylint: disable=broad-except
            if begun == today():
                raise
            test(self)
    return run


class Usage(TestCase):
    """Two catalogs on the Marketplace, and two applications that read from them."""

    def market(self, platform, *messages):
        hrn = platform.market()
        self.addCleanup(platform.delete, f"/config/v1/catalogs/{hrn}")
        for message in messages:
            platform.publish(hrn, "l", message, "text/plain")
        return hrn

    def reader(self, platform, hrn, **terms):
        account = Accounts(platform).make()
        account.subscribe(hrn, **terms)
        return account

    def credentials(self, account):
        name = self.scratch() + "/credentials.properties"
        with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as file:
            file.write(account.properties())
        return name

    def read(self, account, hrn, count, group="g"):
        subscription = Subscription(account, hrn, "l", properties={**EARLIEST, "group.id": group})
        messages = subscription.receive(count)
        subscription.delete()
        return [data(message) for message in messages]

    def consume(self, account, hrn, *arguments, **options):
        """The command line's, as the account."""
        credentials = self.credentials(account)
        return self.platform.cli("-D", f"{ROOT}request-signer.credentials.file-path={credentials}", "-D",
                                 f"{ROOT}stream.connector.consumer=http-connector", "consume", hrn, "l", *arguments,
                                 **options)

    def usage(self, account, query=""):
        """All pages of it."""
        lines, token = [], ""
        while True:
            answer = account.get("/usage/v1/usage?" + query + (f"&pageToken={token}" if token else ""))
            self.assertEqual(answer.status, 200, answer.text)
            lines += answer.json()["usage"]
            token = answer.json().get("nextPageToken")
            if not token:
                return lines

    def summed(self, lines, figure):
        return sum(line[figure] for line in lines)

    def out(self, account, query=""):
        lines = self.usage(account, query)
        return self.summed(lines, "messagesOut"), self.summed(lines, "bytesOut")


class Reading(Usage):
    @within_a_day
    def test_usage_is_ones_own_or_ones_catalogs(self):
        first, second = self.market(self.platform, b"four", b"sixsix"), self.market(self.platform, b"x" * 10)
        one, two = self.reader(self.platform, first), self.reader(self.platform, first)
        one.subscribe(second)
        self.assertEqual(self.read(one, first, 2), [b"four", b"sixsix"])
        self.assertEqual(len(self.read(two, first, 2)), 2)
        self.assertEqual(len(self.read(one, second, 1)), 1)
        provider, stranger = Accounts(self.platform).make(), Accounts(self.platform).make()
        provider.grant(first, "manage")
        for account, out in ((one, (3, 20)), (two, (2, 10)), (provider, (4, 20)), (stranger, (0, 0))):
            self.assertEqual(self.out(account), out)
        self.assertEqual(self.out(one, f"catalog={first}"), (2, 10))
        self.assertEqual(self.out(provider, f"application={two.name}"), (2, 10))
        self.assertEqual(self.out(provider, f"application={one.id}&catalog={second}"), (0, 0))
        self.assertEqual(self.out(self.platform, f"application={one.id}"), (3, 20))
        # What the provider's application has sent is its own.
        sent, = self.usage(self.platform, f"catalog={second}&application={self.owner()}")
        self.assertEqual([sent[figure] for figure in ("messagesIn", "bytesIn", "messagesOut")], [1, 10, 0])
        line, = [line for line in self.usage(two) if line["group"] == "g"]
        self.assertEqual({key: line[key] for key in ("application", "name", "hrn", "layer")},
                         {"application": two.id, "name": two.name, "hrn": first, "layer": "l"})
        self.assertEqual(sorted(key for key in line if key in FIGURES), sorted(FIGURES))

    def test_usage_of_what_is_not_there(self):
        """A misspelt name is no usage of 0; what somebody may not know of is as if it were not there."""
        hrn, other = self.market(self.platform, b"four"), self.market(self.platform)
        reader, stranger, provider = self.reader(self.platform, hrn), Accounts(self.platform).make(), Accounts(self.platform).make()
        self.assertEqual(len(self.read(reader, hrn, 1)), 1)
        provider.grant(hrn, "manage")
        plain = self.platform.catalog()
        self.platform.layer(plain, "secret", "text/plain", 1)
        paths = ("/usage/v1/usage", "/usage/v1/unconfirmed", "/usage/v1/statements/1999-01")
        for account, query, code in (
                (self.platform, f"catalog={hrn}x", "catalog"), (self.platform, f"catalog={hrn}&layer=none", "layer"),
                (self.platform, "layer=none-at-all", "layer"), (self.platform, "application=nobody-at-all", "application"),
                (self.platform, f"catalog={plain}&application={stranger.name}", None),
                (stranger, f"application={reader.name}", "application"), (stranger, f"application={reader.id}", "application"),
                (stranger, f"catalog={plain}", "catalog"), (stranger, "layer=secret", "layer"),
                (stranger, f"catalog={hrn}&layer=l", "layer"),
                (stranger, f"application={stranger.name}", None), (stranger, f"catalog={hrn}", None),
                (reader, f"catalog={hrn}&layer=l&application={reader.name}", None),
                (provider, f"application={reader.name}&catalog={other}", None),
                (provider, f"application={stranger.name}", "application")):
            for path in paths:
                with self.subTest(path=path, query=query):
                    answer = account.get(f"{path}?{query}")
                    self.assertEqual((answer.status, answer.json().get("code")),
                                     (404, "no-such-" + code) if code else (200, None), answer.text)
                    if code and reader.id not in query:
                        self.assertNotIn(reader.id, answer.text)
        # What was used is there, when its catalog is not any more.
        self.platform.delete(f"/config/v1/catalogs/{hrn}")
        for account in (self.platform, reader):
            self.assertEqual(self.out(account, f"catalog={hrn}&layer=l"), (1, 4))

    def owner(self):
        return streamlayer.read_credentials(self.platform.environment["CREDENTIALS"])["here.client.id"]

    def test_usage_is_added_up_by_hour_day_month(self):
        hrn = self.market(self.platform, b"four")
        account = self.reader(self.platform, hrn)
        self.read(account, hrn, 1)
        for granularity, length in (("hour", HOUR), ("day", 24 * HOUR), ("month", None)):
            lines = self.usage(account, f"granularity={granularity}")
            self.assertEqual((self.summed(lines, "messagesOut"), self.summed(lines, "bytesOut")), (1, 4))
            for line in lines:
                self.assertIn(line["to"] - line["from"], [length] if length else [days * 24 * HOUR for days in range(28, 32)])
        whole = self.usage(account, "granularity=hour")
        begin = whole[0]["from"]
        self.assertEqual(self.usage(account, f"granularity=hour&to={begin}"), [])
        self.assertEqual(self.usage(account, f"granularity=hour&from={begin + 2 * HOUR}"), [])
        self.assertEqual(self.usage(account, f"granularity=hour&from={begin + 1}"), whole)  # of an hour all of it
        self.read(account, hrn, 1, group="h")
        lines = self.usage(account, "limit=1")
        self.assertEqual({line["group"] for line in lines}, {"g", "h"})
        self.assertEqual(lines, self.usage(account))

    def test_usage_is_of_what_was_asked_for(self):
        """The command line fetches nothing ahead of its seek, nor beyond --count and the end of a range."""
        hrn = self.market(self.platform, *[b"four"] * 60)
        account = self.reader(self.platform, hrn)
        read = 0
        for count, where in ((60, ("--offset", "begin", "--idle", "1s")), (1, ("--count", "1")),
                             (2, ("--count", "2", "--offset", "begin")), (7, ("--offset", "3:10"))):
            for _ in range(3):
                lines = self.consume(account, hrn, "--group", f"{where[1]}-{read}", *where).stdout.splitlines()
                self.assertEqual(lines, [b"four"] * count)
                read += count
                wait_for(lambda: self.out(account)[0] >= read, 30, "all is to be counted")
                self.assertEqual(self.out(account), (read, 4 * read), where)

    def test_usage_of_what_is_not_known_to_have_arrived(self):
        answer = Accounts(self.platform).make().get("/usage/v1/unconfirmed")
        self.assertEqual(answer.json(), {"unconfirmed": []})


class Statement(Usage):
    def verify(self, text, *arguments, code=0):
        file = os.path.join(self.scratch(), "statement.json")
        streamlayer.write_text(file, text)
        done = self.platform.cli("usage", "verify", file, *arguments, check=False)
        self.assertEqual(done.returncode, code, f"out {done.stdout!r}, err {done.stderr!r}")
        return (done.stderr if code else done.stdout).decode()

    def changed(self, text, change):
        value = json.loads(text)
        change(value)
        return json.dumps(value)

    @within_a_day
    def test_statement_shows_what_was_changed(self):
        hrn = self.market(self.platform, b"four", b"sixsix")
        account = self.reader(self.platform, hrn)
        self.read(account, hrn, 2)
        line = self.usage(account, "granularity=month")[0]
        month = subprocess.check_output(["date", "-u", "-d", f"@{line['from'] // 1000}", "+%Y-%m"]).decode().strip()
        made = self.platform.cli("usage", "statement", "--month", month, "--catalog", hrn)
        self.assertIn(f"{month} is not over", made.stderr.decode())
        text = made.stdout.decode()
        statement = json.loads(text)["statement"]
        own, = [line for line in statement["lines"] if line["application"] == account.id]
        self.assertEqual((own["messagesOut"], own["bytesOut"], own["name"]), (2, 10, account.name))
        self.assertEqual((statement["month"], statement["complete"], statement["catalog"]), (month, False, hrn))
        for figure in FIGURES:
            self.assertEqual(statement["sum"][figure], sum(line[figure] for line in statement["lines"]))
        told = self.verify(text)
        self.assertIn("2 messages and 10 bytes out", told)
        self.assertIn("It is no bill: the month was not over", told)
        # Each figure, shown or signed; the line as a whole; the signature.
        for at in range(len(statement["lines"])):
            for figure in FIGURES if at == 0 else FIGURES[-1:]:
                told = self.verify(self.changed(text, lambda value: value["statement"]["lines"][at].update({figure: 7777})), code=1)
                self.assertIn(f"lines[{at}].{figure} was changed", told)
        for change in (lambda value: value["statement"]["lines"].pop(), lambda value: value["statement"]["sum"].pop("bytesOut"),
                       lambda value: value["statement"].update({"more": 1})):
            self.assertIn("was changed", self.verify(self.changed(text, change), code=1))
        self.assertIn("its signature is not that of its key", self.verify(self.changed(text, self.sign_more), code=1))
        head, payload, signature = json.loads(text)["jws"].split(".")
        for jws in ("", "a.b.c", "a.b", "....", f"{head}.{payload}.{signature}.x", f"W10.{payload}.{signature}",
                    f"{head}.W10.{signature}"):
            told = self.verify(self.changed(text, lambda value: value.update({"jws": jws})), code=1)
            self.assertIn('its signature ("jws") was changed', told)
        self.assertIn("it is no statement: no JSON: line 1", self.verify("", code=1))
        for other in ("[]", "{}", '{"statement":{}}', '{"statement":[],"jws":"a.b.c"}', '{"jws":"a.b.c"}'):
            self.assertIn('it is no statement: {"statement":', self.verify(other, code=1))
        # Without the platform, by its keys.
        keys = os.path.join(self.scratch(), "keys.json")
        streamlayer.write_text(keys, self.platform.get("/usage/v1/jwks", token=None).text)
        told = self.verify(text, "--keys", keys)
        self.assertIn("Good: the statement of " + month, told)
        made = json.loads(text)["statement"]
        self.assertIn(f"It has what {made['madeFor']} may see, of the catalog {made['catalog']}.", told)
        streamlayer.write_text(keys, self.platform.get("/oauth2/jwks", token=None).text)
        self.assertIn("is none of the ", self.verify(text, "--keys", keys, code=3))
        # What is no keys is not blamed on the statement; the platform's are for everybody.
        streamlayer.write_text(keys, "no keys")
        told = self.verify(text, "--keys", keys, code=1)
        self.assertIn(f"--keys {keys}: it is no JWKS", told)
        self.assertNotIn("trusted", told)
        file, nobody = os.path.join(self.scratch(), "statement.json"), os.path.join(self.scratch(), "nobody.conf")
        streamlayer.write_text(file, text)
        streamlayer.write_text(nobody, f'{ROOT}endpoint-locator.discovery-service-url = "{self.platform.url}/lookup/v1"')
        done = subprocess.run([os.path.join(self.platform.binaries, "streamlayer"), "--config", nobody, "usage", "verify", file],
                              env={"HOME": self.scratch(), "PATH": os.environ["PATH"]}, capture_output=True, check=False)
        self.assertIn(b"Good: the statement of", done.stdout, done)

    def test_statement_of_a_month_that_is_over_or_has_not_begun(self):
        over = self.platform.cli("usage", "statement", "--month", "1999-12")
        self.assertEqual(over.stderr, b"")
        self.assertIs(json.loads(over.stdout)["statement"]["complete"], True)
        self.assertNotIn("no bill", self.verify(over.stdout.decode()))
        next_month = subprocess.check_output(["date", "-u", "-d", "35 days", "+%Y-%m"]).decode().strip()
        refused = self.platform.cli("usage", "statement", "--month", next_month, check=False)
        self.assertEqual((refused.returncode, refused.stdout), (2, b""), refused)
        self.assertIn(f"the month {next_month} has not begun: it begins at {next_month}-01T00:00:00Z".encode(), refused.stderr)

    def sign_more(self, value):
        """What would be forged: the signed payload, too."""
        head, payload, signature = value["jws"].split(".")
        signed = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        for part in (signed, value["statement"]):
            part["lines"][0]["bytesOut"] = 0
        payload = base64.urlsafe_b64encode(json.dumps(signed).encode()).decode().rstrip("=")
        value["jws"] = f"{head}.{payload}.{signature}"

    @within_a_day
    def test_usage_on_the_command_line(self):
        hrn = self.market(self.platform, b"four", b"sixsix")
        account = self.reader(self.platform, hrn)
        self.read(account, hrn, 2)
        of = ("--application", account.name, "--catalog", hrn)
        run = lambda *arguments: self.platform.cli("usage", *arguments, *of).stdout.decode()  # noqa: E731
        rows = list(csv.DictReader(io.StringIO(run("show", "--csv", "--by", "hour"))))
        self.assertEqual(sum(int(row["payload out (bytes)"]) for row in rows), 10)
        self.assertRegex(rows[0]["from (UTC)"], r"^\d{4}-\d\d-\d\d \d\d:00:00$")
        self.assertEqual({row["application id"] for row in rows}, {account.id})
        self.assertRegex(run("--chart"), r"^\d{4}-\d\d-\d\d  #{50}  10 B\n$")
        table = run().splitlines()
        self.assertTrue(table[0].startswith("FROM (UTC)"))
        self.assertTrue([row for row in table if re.search(r" l +g +\d+ +2 +10 +0 ", row)], table)
        self.assertEqual(sum(line["bytesOut"] for line in json.loads(run("--json"))["usage"]), 10)
        self.assertEqual(len(run("unconfirmed").splitlines()), 1)


    def test_usage_refuses_what_it_would_pass_over(self):
        for arguments, said in ((("--month", "2026-11"), "usage show does not take --month, which is of usage statement"),
                                (("statement", "--month", "2026-11", "--csv"), "usage statement does not take --csv"),
                                (("statement", "--month", "2026-11", "--from", "-1d"), "usage statement does not take --from"),
                                (("unconfirmed", "--csv"), "usage unconfirmed does not take --csv"),
                                (("unconfirmed", "--chart"), "usage unconfirmed does not take --chart"),
                                (("verify", "-", "--catalog", "hrn:here:data::local:x"), "usage verify does not take --catalog"),
                                (("--from", "2026-11-30", "--to", "2026-11-01"), "--from 2026-11-30: it must be before --to 2026-11-01"),
                                (("statement", "--month", "2026-13"), "--month 2026-13: a month is needed"),
                                (("statement", "--month", "2026-1"), "--month 2026-1: a month is needed"),
                                (("statement",), "needs --month")):
            with self.subTest(arguments=arguments):
                done = self.platform.cli("usage", *arguments, check=False)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(said, done.stderr.decode())


class Volume(Usage):
    def refused(self, answer, *words):
        self.assertEqual((answer.status, answer.json().get("code")), (403, "marketplace-volume-used"), answer.text)
        for word in words:
            self.assertIn(word, answer.json()["cause"] + answer.json()["action"])

    @within_a_day
    def test_volume_that_is_used_up(self):
        hrn = self.market(self.platform, b"x" * 60, b"y" * 60)
        account = self.reader(self.platform, hrn, volumeBytes=100, period="day")
        subscription = Subscription(account, hrn, "l", properties=EARLIEST)
        poll = lambda: account.get(subscription.url("partitions") + "?maxMessages=1&maxWaitMs=5000")  # noqa: E731
        for _ in range(2):  # the second begins below it, and is not cut
            self.assertEqual(len(poll().json()["messages"]), 1)
        wait_for(lambda: self.out(account)[0] == 2, 30, "both are to be counted")
        self.refused(poll(), "has used 120 of the 100 bytes", "a day", "T00:00:00Z")
        self.refused(account.get(f"/blob/v1/catalogs/{hrn}/layers/l/data/none"))
        for command in ("get", "size"):  # which ask by HEAD first, whose answer has no body
            done = self.platform.cli("-D", f"{ROOT}request-signer.credentials.file-path={self.credentials(account)}", "blob",
                                     command, hrn, "l", "none", check=False)
            self.assertEqual(done.returncode, 4, done)
            self.assertIn("has used 120 of the 100 bytes", done.stderr.decode())
            self.assertIn("[marketplace-volume-used]", done.stderr.decode())
        self.assertEqual(subscription.commit([{"partition": 0, "offset": 1}]).status, 200)
        for period in ("month", "all"):
            account.subscribe(hrn, volumeBytes=100, period=period)
            self.refused(poll(), "has used 120", "a month" if period == "month" else "in all")
        account.subscribe(hrn, volumeBytes=121)
        self.assertEqual(poll().status, 200)
        subscription.delete()

    def test_volume_that_is_used_up_lets_commit(self):
        hrn = self.market(self.platform, b"one", b"two")
        account = self.reader(self.platform, hrn, volumeBytes=5)
        done = self.consume(account, hrn, "--group", "c", check=False)
        self.assertEqual((done.returncode, done.stdout), (4, b"one\ntwo\n"), done.stderr)
        self.assertNotIn(b"not committed", done.stderr)
        self.assertIn(b"marketplace-volume-used", done.stderr)
        account.subscribe(hrn, volumeBytes=1000)
        self.platform.publish(hrn, "l", b"three", "text/plain")
        self.assertEqual(self.consume(account, hrn, "--group", "c", "--count", "1").stdout, b"three\n")

    def test_volume_only_warns(self):
        directory = self.scratch()
        up = Running(self.platform.binaries, directory, directory + "/log", "--kafka", self.platform.brokers,
                     "-D", "streamlayer.gateway.marketplace.volume=warn")
        self.addCleanup(lambda: self.assertEqual(up.stop(), 0))
        mine = Platform({"URL": up.ready(), "BIN": self.platform.binaries, "CONFIG": directory + "/application.conf",
                         "BROKERS": self.platform.brokers})
        hrn = self.market(mine, b"x" * 60)
        account = self.reader(mine, hrn, volumeBytes=60)
        subscription = Subscription(account, hrn, "l", properties=EARLIEST)
        self.assertEqual(len(subscription.receive(1)), 1)
        answer = account.get(subscription.url("partitions"))
        self.assertEqual(answer.status, 200)
        self.assertRegex(answer.headers["warning"], r'^199 - "the application has used 60 of the 60 bytes .* in all"$')
        subscription.delete()


if __name__ == "__main__":
    streamlayer.main()
