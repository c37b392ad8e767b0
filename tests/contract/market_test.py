"""The Marketplace: who may read what is offered there, from when until when, how fast, and what is said to who may not."""
import http.client
import time
import urllib.parse

import streamlayer
from accounts import Accounts
from streamlayer import Background, Subscription, TestCase, data

TEXT = {"Content-Type": "text/plain"}
EARLIEST = {"auto.offset.reset": "earliest"}
HOUR = 3600 * 1000


def now():
    return int(time.time() * 1000)


class Market(TestCase):
    def setUp(self):
        self.hrn = self.offer()
        self.accounts = Accounts(self.platform)
        self.reader = self.account()

    def account(self, *rights):
        account = self.accounts.make()
        self.addCleanup(account.delete)
        if rights:
            account.grant(self.hrn, *rights)
        return account

    def offer(self, **more):
        hrn = self.platform.market(**more)
        self.addCleanup(self.platform.delete, f"/config/v1/catalogs/{hrn}")
        return hrn

    def give(self, account, **terms):
        return account.subscribe(self.hrn, **terms)

    def send(self, *texts):
        for text in texts:
            self.platform.publish(self.hrn, "l", text, "text/plain")

    def subscribe(self, account):
        return Subscription(account, self.hrn, "l", properties=EARLIEST)

    def refused(self, answer, code, *words, status=403):
        self.assertEqual((answer.status, answer.json().get("code")), (status, code), answer.text)
        for word in words:
            self.assertIn(word, answer.json()["cause"])
        return answer.json()

    def asked(self, account):
        """Subscribe, a blob, and what is in it: all that is delivered."""
        stream, blob = (f"/{api}/catalogs/{self.hrn}/layers/l" for api in ("stream/v2", "blob/v1"))
        return [account.post(stream + "/subscribe", b"", headers={"Content-Type": "application/json"}),
                account.get(blob + "/data/none"), account.get(stream + "/partitions?subscriptionId=none")]


class Access(Market):
    def test_market_without_a_subscription(self):
        self.refused(self.reader.get(f"/lookup/v1/resources/{self.hrn}/apis"), "marketplace-not-subscribed")
        self.refused(self.reader.get(f"/stream/v2/catalogs/{self.hrn}/layers/l/producer/endpoint"), "forbidden")
        for account in (self.reader, self.account("read")):  # a grant to read is not enough
            for answer in self.asked(account):
                told = self.refused(answer, "marketplace-not-subscribed", account.name, self.hrn)
                self.assertIn(f"streamlayer marketplace subscribe {account.name} {self.hrn}", told["action"])

    def test_market_before_and_after(self):
        self.give(self.reader, **{"from": now() + HOUR})
        for answer in self.asked(self.reader):
            self.refused(answer, "marketplace-subscription-not-begun", time.strftime("begins at %Y-", time.gmtime()))
        self.give(self.reader, **{"from": 1000, "until": 86400000})
        for answer in self.asked(self.reader):
            self.refused(answer, "marketplace-subscription-ended", "ended at 1970-01-02T00:00:00Z")
        # Who had one sees the catalog all the same, and may end what it began.
        self.assertEqual(self.reader.get(f"/config/v1/catalogs/{self.hrn}").status, 200)
        listed = self.reader.get("/config/v1/catalogs").json()["results"]["items"]
        self.assertEqual([(item["hrn"], item["marketplace"]) for item in listed], [(self.hrn, True)])

    def test_market_while_it_lasts(self):
        self.send(b"one")
        self.give(self.reader)
        subscription = self.subscribe(self.reader)
        messages = subscription.receive(1)
        self.assertEqual([streamlayer.data(message) for message in messages], [b"one"])
        # It ends while a poll waits: that one is answered, and the next is refused.
        self.assertEqual(self.ends_while_it_waits(subscription), [b"two"])
        self.refused(self.reader.get(subscription.url("partitions")), "marketplace-subscription-ended")
        self.assertEqual(subscription.commit(streamlayer.last_offsets(messages)).status, 200)
        self.assertEqual(subscription.delete().status, 200)

    def ends_while_it_waits(self, subscription):
        """What a poll gets that began in time. Which one did nobody can see from outside: those that did not are refused."""
        for _ in range(100):
            waiting = Background(self.reader.get, subscription.url("partitions") + "?maxWaitMs=20000")
            streamlayer.wait_for(self.polls, 30, "no poll waits")
            self.give(self.reader, **{"from": 1000, "until": 2000})
            refused = self.reader.get(subscription.url("positions")).status == 200 and waiting.outcome.done()
            if not refused:
                self.send(b"two")
                return [streamlayer.data(message) for message in waiting.result(30).json()["messages"]]
            self.give(self.reader)
        raise AssertionError("no poll began in time")

    def polls(self):
        return self.platform.metric("streamlayer_polls_waiting")

    def test_market_taken_away(self):
        self.give(self.reader)
        subscription = self.subscribe(self.reader)
        url = f"/config/v1/catalogs/{self.hrn}/marketplace-subscriptions/{self.reader.id}"
        self.assertEqual(self.platform.delete(url).status, 204)
        self.refused(self.reader.get(subscription.url("partitions")), "marketplace-not-subscribed")
        self.refused(self.platform.delete(url), "no-such-marketplace-subscription", self.reader.id, status=404)
        self.refused(self.platform.get(url), "no-such-marketplace-subscription", status=404)

    def test_market_event_stream_ends_with_it(self):
        self.give(self.reader)
        parts = urllib.parse.urlsplit(self.subscribe(self.reader).url("partitions"))
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.addCleanup(connection.close)
        connection.request("GET", parts.path, headers={"Accept": "text/event-stream",
                                                       "Authorization": "Bearer " + self.reader.token})
        response = connection.getresponse()
        self.assertEqual(response.readline(), b":\n")
        self.give(self.reader, **{"from": 1000, "until": 2000})
        self.send(b"on its way")  # to the poll that waits
        rest = response.read().split(b"\n\n")
        self.assertIn(b"data: {\"messages\":[{", b"".join(rest))
        self.assertEqual(rest[-2:], [b"event: end\ndata: {}", b""])

    def test_market_provider_reads_without(self):
        self.send(b"one")
        provider, blind = self.account("read", "manage"), self.account("manage")
        self.assertEqual(len(self.subscribe(provider).receive(1)), 1)
        for answer in self.asked(blind):
            self.refused(answer, "forbidden", blind.name)

    def test_market_writer_has_its_own_blobs_only(self):
        writer = self.account("read", "write")
        for account, handle in ((writer, "its"), (self.platform, "others")):
            url = f"/blob/v1/catalogs/{self.hrn}/layers/l/data/{handle}"
            self.assertEqual(account.put(url, b"x", headers=TEXT).status, 204)
        read = lambda handle: writer.get(f"/blob/v1/catalogs/{self.hrn}/layers/l/data/{handle}").status  # noqa: E731
        self.assertEqual((read("its"), read("others")), (200, 404))
        self.give(writer)
        self.assertEqual((read("its"), read("others")), (200, 200))

    def test_market_endpoint_is_the_writers(self):
        layer = f"/stream/v2/catalogs/{self.hrn}/layers/l"
        self.assertIn("topic", self.platform.get(layer + "/producer/endpoint").json())
        self.give(self.reader)
        for path in ("/endpoint", "/consumer/endpoint"):
            told = self.refused(self.reader.get(layer + path), "marketplace-needs-http", "http-connector")
            self.assertIn("connector.consumer", told["action"])

    def test_market_topic_is_for_who_writes_or_manages(self):
        self.give(self.reader)
        for account, shown in ((self.reader, False), (self.account("read"), False), (self.account("write"), True),
                               (self.account("manage"), True), (self.platform, True)):
            catalog = account.get(f"/config/v1/catalogs/{self.hrn}").json()
            listed, = [one for one in account.get("/config/v1/catalogs?limit=10000").json()["results"]["items"]
                       if one["hrn"] == self.hrn]
            layer = account.get(f"/config/v1/catalogs/{self.hrn}/layers/l").json()
            for one in (catalog["layers"][0], listed["layers"][0], layer):
                self.assertEqual([name in one for name in ("id", "topic", "cluster")], [True, shown, shown], account)
        plain = self.platform.catalog()
        self.platform.layer(plain, "p", "text/plain", 1)
        self.reader.grant(plain, "read")
        self.assertIn("topic", self.reader.get(f"/config/v1/catalogs/{plain}").json()["layers"][0])

    def test_market_goes_with_catalog_and_application(self):
        self.give(self.reader)
        self.assertEqual(self.platform.delete(f"/config/v1/catalogs/{self.hrn}").status, 200)
        self.assertEqual(self.offer(id=self.hrn.rsplit(":", 1)[1]), self.hrn)
        self.refused(self.asked(self.reader)[0], "marketplace-not-subscribed")
        other = self.account()
        self.give(other)
        other.delete()
        self.assertEqual(self.listed(), [])

    def listed(self):
        answer = self.platform.get(f"/config/v1/catalogs/{self.hrn}/marketplace-subscriptions")
        return answer.json()["marketplaceSubscriptions"]


class Large(Market):
    def test_market_large_answers_to_many(self):
        """Each of large answers is written down before the loop begins the next: nobody waits for long."""
        size, count, wait_s = 700 * 1024, 10, 25
        readers = [self.account() for _ in range(4)]
        for number in range(count):
            self.send(str(number) * size)
        for reader in readers:
            self.give(reader)
        subscriptions = [self.subscribe(reader) for reader in readers]
        for subscription in subscriptions:
            self.addCleanup(subscription.delete)
            subscription.query += f"&maxWaitMs={wait_s * 1000}&maxBytes={2 * size}"
        calls = [Background(subscription.receive, count, wait_s) for subscription in subscriptions]
        for call in calls:
            self.assertEqual([data(message).decode() for message in call.result(15)],
                             [str(number) * size for number in range(count)])


class Terms(Market):
    def test_market_terms(self):
        made = self.give(self.reader, **{"from": 1000, "until": 86400000, "outboundKbps": 500, "volumeBytes": 10 ** 12,
                                         "period": "month"})
        created, by = made.pop("created"), made.pop("subscribedBy")
        self.assertEqual(made, {"application": self.reader.id, "name": self.reader.name, "hrn": self.hrn, "from": 1000,
                                "until": 86400000, "outboundKbps": 500, "volumeBytes": 10 ** 12, "period": "month"})
        self.assertLess(abs(created - now()), HOUR)
        own = self.reader.get("/config/v1/marketplace-subscriptions").json()["marketplaceSubscriptions"]
        self.assertEqual(own, [{**made, "created": created, "subscribedBy": by}])
        self.assertEqual(self.account().get("/config/v1/marketplace-subscriptions").json(),
                         {"marketplaceSubscriptions": []})
        # What is given again begins when it began; all else is the usual.
        again = self.give(self.reader)
        self.assertEqual({key: again.get(key) for key in ("from", "until", "outboundKbps", "volumeBytes", "period")},
                         {"from": 1000, "until": None, "outboundKbps": 2000, "volumeBytes": None, "period": "all"})

    def test_market_catalog_goes_there_while_it_is_empty(self):
        made = self.platform.post("/config/v1/catalogs", {"id": self.platform.name("market")}).json()
        url = f"/config/v1/catalogs/{made['hrn']}"
        self.addCleanup(self.platform.delete, url)
        change = lambda value: self.platform.request("PATCH", url, {"marketplace": value})  # noqa: E731
        for value in (True, False, True):
            self.assertEqual(change(value).json()["marketplace"], value)
        self.reader.subscribe(made["hrn"])
        self.refused(change(False), "marketplace-is-fixed", "Marketplace subscriptions", status=409)
        self.platform.delete(f"{url}/marketplace-subscriptions/{self.reader.name}")
        self.assertEqual(change(False).status, 200)
        self.assertEqual(self.platform.post(url + "/layers", {"id": "l", "contentType": "text/plain"}).status, 201)
        self.refused(change(True), "marketplace-is-fixed", "to the Marketplace", status=409)
        self.assertEqual(self.platform.request("PATCH", url, {"marketplace": False, "name": "N"}).json()["name"], "N")


if __name__ == "__main__":
    streamlayer.main()
