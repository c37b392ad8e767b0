"""stream v2: subscribe, poll, commit, seek, delete, and the endpoint calls."""
import hashlib
import itertools
import json
import re
import subprocess
import tempfile
import threading
import time

import streamlayer
from streamlayer import Subscription, TestCase, data, last_offsets

BEGIN = {"auto.offset.reset": "earliest"}


class StreamCase(TestCase):
    """A catalog and a group of the test's own."""

    def setUp(self):
        self.hrn = self.platform.catalog()
        self.group = self.platform.name("g")  # a group is Kafka's, whatever it reads: no test's is another's
        self.subscriptions, self.keys = [], itertools.count()
        self.addCleanup(lambda: [each.delete() for each in self.subscriptions])

    def layer(self, partitions=1):
        return self.platform.layer(self.hrn, "layer", parallelization=partitions)

    def subscribe(self, query="mode=serial", **properties):
        subscription = Subscription(self.platform, self.hrn, "layer", query,
                                    {**BEGIN, **{k.replace("_", "."): v for k, v in properties.items()}})
        self.subscriptions.append(subscription)
        return subscription

    def publish(self, *bodies, **headers):
        """Each with a key of its own, so that some are in each partition: what has none lies in one that changes with time."""
        for body in bodies:
            self.platform.publish(self.hrn, "layer", body, **{"X_HERE_Message_Key": f"key-{next(self.keys)}", **headers})


class Stream(StreamCase):
    def test_subscribe_answers_201(self):
        self.layer()
        subscription = self.subscribe()
        self.assertEqual(subscription.answer.status, 201)
        body = subscription.answer.json()
        self.assertLessEqual({"nodeBaseURL", "subscriptionId"}, set(body))
        self.assertRegex(body["nodeBaseURL"], r"^http://127\.0\.0\.1:\d+/.*[^/]$")
        self.assertIn(body["subscriptionId"], body["nodeBaseURL"])
        self.assertTrue(body["subscriptionId"])

    def test_subscribe_without_a_body(self):
        """Content-Length: 0 with a JSON content type, and neither of them."""
        self.layer()
        base = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/subscribe"
        for query in ("?mode=serial", ""):
            for headers in ({"Content-Type": "application/json", "Content-Length": "0"}, {}):
                answer = self.platform.post(base + query, b"", headers=headers)
                self.assertEqual(answer.status, 201, answer.text)
                node = answer.json()["nodeBaseURL"]
                self.assertEqual(self.platform.delete(f"{node}/layers/layer/subscribe").status, 200)

    def test_subscribe_refuses(self):
        """An unknown or forbidden property, a wrong mode, parallel on a shared subscription without its id."""
        self.layer()
        url = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/subscribe"
        for name in ("no.such.property", "bootstrap.servers", "ssl.key.location", "plugin.library.paths"):
            answer = self.platform.post(url, {"kafkaConsumerProperties": {name: "x"}})
            self.assertEqual(answer.status, 400, f"{name}: {answer.text}")
            self.assertIn(name, answer.text)
        for body in ({"kafkaConsumerProperties": {"auto.offset.reset": "sometimes"}},
                     {"kafkaConsumerProperties": {"group.id": "not a group!"}},
                     {"kafkaConsumerProperties": []}, []):
            self.assertEqual(self.platform.post(url, body).status, 400, body)
        self.assertEqual(self.platform.post(url, b"{", headers={"Content-Type": "application/json"}).status, 400)
        self.assertEqual(self.platform.post(url + "?mode=sideways").status, 400)

    def test_property_values_may_be_strings(self):
        self.layer()
        url = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/subscribe?mode=serial"
        for value in ("true", "1", True, "false", False):
            answer = self.platform.post(url, {"kafkaConsumerProperties": {"enable.auto.commit": value}})
            self.assertEqual(answer.status, 201, answer.text)
            self.platform.delete(f"{answer.json()['nodeBaseURL']}/layers/layer/subscribe")

    def test_poll_idle_is_200_and_empty(self):
        self.layer()
        subscription = self.subscribe()
        answer = self.platform.get(subscription.url("partitions"))
        self.assertEqual((answer.status, answer.json()), (200, {"messages": []}))
        self.assertRegex(answer.headers["content-type"], r"^application/json")

    def test_poll_json(self):
        self.layer()
        subscription = self.subscribe()
        body = bytes(range(256))
        digest = hashlib.sha256(body).hexdigest()
        self.publish(body, X_HERE_Message_Key="a%20key%2f%C3%BC", X_HERE_Checksum=digest)
        self.publish(b"second")
        before = int(time.time() * 1000) - 60000
        messages = subscription.receive(2)
        self.assertEqual([data(each) for each in messages], [body, b"second"])
        self.assertEqual([each["offset"] for each in messages],
                         [{"partition": 0, "offset": 0}, {"partition": 0, "offset": 1}])
        meta = messages[0]["metaData"]
        self.assertEqual(meta["partition"], "a key/ü")
        self.assertEqual(meta["checksum"].lower(), digest)
        self.assertEqual(meta.get("dataSize", 256), 256)
        self.assertGreater(meta["timestamp"], before)
        self.assertIsInstance(meta["timestamp"], int)
        self.assertNotIn("dataHandle", meta)
        self.assertNotIn("null", json.dumps(messages))
        self.assertNotIn("checksum", messages[1]["metaData"])

    def test_poll_offsets_ascend(self):
        self.layer(partitions=4)
        subscription = self.subscribe()
        self.publish(*(str(i).encode() for i in range(60)))
        seen = {}
        for message in subscription.receive(60):
            offset = message["offset"]
            self.assertEqual(offset["offset"], seen.get(offset["partition"], 0))
            seen[offset["partition"]] = offset["offset"] + 1
        self.assertEqual(sum(seen.values()), 60)

    def test_poll_says_what_was_received(self):
        """The last answer comes again exactly when the client has not counted it."""
        self.layer()
        subscription = self.subscribe()
        self.publish(b"0", b"1")

        def poll(received, want):
            answer = self.platform.get(subscription.url("partitions") +
                                       f"?maxMessages=1&maxWaitMs=20000&received={received}")
            self.assertEqual(answer.status, 200, answer.text)
            self.assertEqual([data(each) for each in answer.json()["messages"]], [want])
        poll(0, b"0")
        poll(0, b"0")
        poll(1, b"1")
        poll(1, b"1")
        self.publish(b"2")
        poll(2, b"2")

    def said(self, subscription, query):
        answer = self.platform.get(f"{subscription.url('partitions')}?{query}")
        self.assertEqual(answer.status, 200, answer.text)
        return [data(each) for each in answer.json()["messages"]]

    def test_an_answer_given_twice_counts_as_the_smaller(self):
        """Which of the two the client has read nobody knows."""
        self.layer()
        subscription = self.subscribe()
        self.publish(b"0")
        self.assertEqual(self.said(subscription, "received=0&maxWaitMs=20000"), [b"0"])
        self.publish(b"1", b"2")
        self.assertEqual(self.said(subscription, "received=0&maxWaitMs=20000&maxMessages=2"), [b"0", b"1"])
        self.assertEqual(self.said(subscription, "received=1&maxWaitMs=20000&maxMessages=1"), [b"1"])
        # The gateway may not have fetched the last one yet: given once more, it is the same.
        streamlayer.wait_for(lambda: self.said(subscription, "received=1&maxWaitMs=20000") == [b"1", b"2"], 20, "both")
        self.assertEqual(self.said(subscription, "received=2&maxWaitMs=20000&maxMessages=2"), [b"2"])

    def test_a_count_beyond_what_was_given_is_refused(self):
        """Believed, it would make each right one that follows look overtaken."""
        self.layer()
        subscription = self.subscribe()

        def refused(received):
            answer = self.platform.get(f"{subscription.url('partitions')}?received={received}&maxWaitMs=1")
            self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-parameter"), answer.text)
            self.assertIn(f"received={received}", answer.text)
        refused(1)
        self.publish(b"0", b"1", b"2")
        self.assertEqual(self.said(subscription, "received=0&maxWaitMs=20000&maxMessages=1"), [b"0"])
        refused(99)
        refused(2)
        self.assertEqual(self.said(subscription, "received=1&maxWaitMs=20000&maxMessages=1"), [b"1"])
        self.assertEqual(self.said(subscription, "received=1&maxWaitMs=20000&maxMessages=1"), [b"1"])
        refused(3)
        self.assertEqual(self.said(subscription, "received=2&maxWaitMs=20000&maxMessages=1"), [b"2"])
        self.assertEqual(self.said(subscription, "received=3&maxWaitMs=1"), [])

    def test_no_comes_too_late_where_the_poll_before_did_not_say_ack(self):
        """Its answer counted as received once it was written."""
        self.layer()
        subscription = self.subscribe()
        self.publish(b"0", b"1")
        self.assertEqual(self.said(subscription, "maxWaitMs=20000&maxMessages=1"), [b"0"])
        self.assertEqual(self.said(subscription, "ack=false&maxWaitMs=20000&maxMessages=1"), [b"1"])
        self.assertEqual(self.said(subscription, "ack=false&maxWaitMs=20000&maxMessages=1"), [b"1"])

    def test_a_poll_that_was_overtaken_takes_nothing(self):
        """Its client does not wait for it any more, and would not count what it were given."""
        self.layer()
        subscription = self.subscribe()
        self.publish(b"0")
        self.assertEqual(self.said(subscription, "received=0&maxWaitMs=20000"), [b"0"])
        self.assertEqual(self.said(subscription, "received=1&maxWaitMs=1"), [])
        self.publish(b"1")
        self.assertEqual(self.said(subscription, "received=0&maxWaitMs=1000"), [])
        self.assertEqual(self.said(subscription, "received=1&maxWaitMs=20000"), [b"1"])

    def test_foreign_messages(self):
        """No key: "", a key that is not UTF-8: U+FFFD, a null value: no data."""
        self.layer()
        subscription = self.subscribe()
        topic = self.platform.topic(self.hrn, "layer")
        for arguments, line in ((["-K:"], b"\xffk:v\n"), ([], b"no key\n"), (["-K:", "-Z"], b"null:\n")):
            subprocess.run(["kcat", "-q", "-P", "-b", self.platform.brokers, "-t", topic, *arguments], input=line,
                           check=True, timeout=60)
        first, second, third = subscription.receive(3)
        self.assertEqual((first["metaData"]["partition"], data(first)), ("\ufffdk", b"v"))
        self.assertEqual((second["metaData"].get("partition", ""), data(second)), ("", b"no key"))
        self.assertEqual(third["metaData"]["partition"], "null")
        self.assertNotIn("data", third["metaData"])

    def test_a_message_larger_than_an_answer(self):
        """A foreign one, small in Kafka as it is compressed: it comes, alone, and what is behind it too."""
        self.layer()
        subscription = self.subscribe()
        topic, size = self.platform.topic(self.hrn, "layer"), 16 << 20
        with tempfile.NamedTemporaryFile() as file:
            file.truncate(size)
            subprocess.run(["kcat", "-q", "-P", "-b", self.platform.brokers, "-t", topic, "-z", "gzip",
                            "-X", f"message.max.bytes={2 * size}", file.name], check=True, timeout=60)
        self.publish(b"behind")
        large, small = subscription.receive(2, seconds=60)
        self.assertEqual((len(data(large)), data(small)), (size, b"behind"))

    def test_commit_names_the_last_offset(self):
        """A commit names the message's own offset; the next subscription of the group goes on behind it."""
        self.layer()
        self.publish(b"0", b"1", b"2", b"3")
        subscription = self.subscribe()
        messages = subscription.receive(4)
        answer = subscription.commit([messages[1]["offset"]])
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(subscription.delete().status, 200)
        self.assertEqual([data(each) for each in self.subscribe().receive(2)], [b"2", b"3"])

    def test_commit_of_nothing(self):
        """The TypeScript SDK commits after each poll, an idle one too."""
        self.layer()
        self.assertEqual(self.subscribe().commit([]).status, 200)

    def test_commit_refuses(self):
        self.layer()
        subscription = self.subscribe()
        foreign = subscription.commit([{"partition": 99, "offset": 0}])
        self.assertIn(foreign.status, (400, 409), "a partition that is not the subscription's")
        for offsets in ([{"partition": 0}], [{"partition": "a", "offset": 0}],
                        [{"partition": 0, "offset": -5}], [7], {}, None):
            self.assertEqual(subscription.commit(offsets).status, 400, offsets)
        self.assertEqual(self.platform.put(subscription.url("offsets"), b"{",
                                           headers={"Content-Type": "application/json"}).status, 400)

    def test_uncommitted_comes_again(self):
        self.layer()
        self.publish(b"0", b"1")
        subscription = self.subscribe()
        subscription.receive(2)
        subscription.delete()
        self.assertEqual([data(each) for each in self.subscribe().receive(2)], [b"0", b"1"])

    def test_seek_names_the_next_message(self):
        self.layer()
        self.publish(b"0", b"1", b"2", b"3")
        subscription = self.subscribe()
        subscription.receive(4)
        answer = subscription.seek([{"partition": 0, "offset": 2}])
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual([data(each) for each in subscription.receive(2)], [b"2", b"3"])
        self.assertIn(subscription.seek([{"partition": 99, "offset": 0}]).status, (400, 409))

    def test_start_at_latest_misses_nothing(self):
        """201 means that the start position is fixed."""
        self.layer()
        self.publish(b"old")
        for _ in range(3):
            subscription = self.subscribe(group_id=self.platform.name("g"), auto_offset_reset="latest")
            self.publish(b"new")
            self.assertEqual([data(each) for each in subscription.receive(1)], [b"new"])
            self.assertEqual(subscription.delete().status, 200)

    def test_groups(self):
        """One group shares, two get everything each."""
        self.layer()
        self.publish(b"0", b"1")
        for group in (self.group + "-one", self.group + "-two"):
            subscription = self.subscribe(group_id=group)
            messages = subscription.receive(2)
            self.assertEqual([data(each) for each in messages], [b"0", b"1"])
            subscription.commit(last_offsets(messages))
            subscription.delete()
            subscription = self.subscribe(group_id=group)
            self.assertEqual(subscription.poll(), [])

    def test_delete_answers_200_and_then_404(self):
        self.layer()
        subscription = self.subscribe()
        self.assertEqual(subscription.delete().status, 200)
        for answer in (self.platform.get(subscription.url("partitions")), subscription.delete(),
                       subscription.commit([{"partition": 0, "offset": 0}])):
            self.assertEqual(answer.status, 404)
            self.assertRegex(answer.text, "(?i)subscribe")
        self.subscriptions.clear()

    def test_unknown_names(self):
        """404, and which of them is not there."""
        stream = self.platform.base("stream", "v2", self.hrn)
        answer = self.platform.post(f"{stream}/layers/no-such-layer/subscribe")
        self.assertEqual(answer.status, 404)
        self.assertIn("no-such-layer", answer.text)
        other = stream.replace(self.hrn, "hrn:here:data::local:no-such-catalog")
        answer = self.platform.post(f"{other}/layers/layer/subscribe")
        self.assertEqual(answer.status, 404)
        self.assertIn("no-such-catalog", answer.text)

    def test_error_bodies(self):
        answer = self.platform.post(f"{self.platform.base('stream', 'v2', self.hrn)}/layers/no-such/subscribe")
        body = answer.json()
        self.assertEqual(body["status"], 404)
        for name in ("title", "code", "cause", "action", "correlationId"):
            self.assertIsInstance(body[name], str)
            self.assertTrue(body[name])
        self.assertEqual(body["correlationId"], answer.headers["x-correlation-id"])

    def test_refusals_of_a_subscribe_have_codes(self):
        """A group that is full, and an id that is in use in the other mode."""
        self.layer()
        first = self.subscribe(group_id=self.group)
        url = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/subscribe"
        answer = self.platform.post(url, {"kafkaConsumerProperties": {"group.id": self.group}})
        self.assertEqual((answer.status, answer.json()["code"]), (409, "group-full"))
        answer = self.platform.post(f"{url}?mode=parallel&subscriptionId={first.id}")
        self.assertEqual((answer.status, answer.json()["code"]), (409, "subscription-id-in-use"))

    def test_parallel_needs_the_subscription_id(self):
        """Two members of one group, each with its own subscription; calls of parallel mode name it."""
        self.layer(partitions=2)
        first = self.subscribe("mode=parallel&consumerId=one", group_id=self.group)
        first.query = f"mode=parallel&subscriptionId={first.id}"
        self.assertEqual(first.poll(), [])
        answer = self.platform.get(f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/partitions"
                                   "?mode=parallel")
        self.assertIn(answer.status, (400, 404), answer.text)
        self.assertRegex(answer.text, "subscriptionId|(?i:subscribe)")

    def test_parallel_members_share(self):
        self.layer(partitions=2)
        members = []
        for name in ("one", "two"):
            member = self.subscribe(f"mode=parallel&consumerId={name}", group_id=self.group)
            member.query = f"mode=parallel&subscriptionId={member.id}"
            members.append(member)
        self.assertNotEqual(members[0].id, members[1].id)
        got = {0: set(), 1: set()}
        number = 0

        def both():
            nonlocal number
            for _ in range(8):
                self.publish(str(number).encode())
                number += 1
            for which, member in enumerate(members):
                got[which].update(int(data(each)) for each in member.poll())
            return got[0] and got[1]
        streamlayer.wait_for(both, 60, "both members get messages")
        streamlayer.wait_for(lambda: [got[which].update(int(data(each)) for each in member.poll())
                                      for which, member in enumerate(members)]
                             and len(got[0] | got[1]) == number, 60, "together they get all")

    def test_parallel_members_are_bounded(self):
        """No more subscriptions in a group than the layer's parallelization."""
        self.layer(partitions=1)
        self.subscribe("mode=parallel", group_id=self.group)
        answer = self.platform.post(
            f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/subscribe?mode=parallel",
            {"kafkaConsumerProperties": {"group.id": self.group}})
        self.assertIn(answer.status, (400, 403, 409, 429), answer.text)

    def test_parallel_members_join_together_and_one_by_one(self):
        """As many members as partitions, each with its own; one more is refused; one that comes again takes its
        own place."""
        count = 4
        self.layer(partitions=count)
        name = self.platform.name("s")

        def member(which):
            return self.subscribe(f"mode=parallel&subscriptionId={name}&consumerId={which}", group_id=self.group)
        members = {0: member(0), 1: member(1)}
        threads = [threading.Thread(target=lambda which=which: members.update({which: member(which)}))
                   for which in range(2, count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        def shares():
            answers = [self.platform.get(members[which].url("partitions") + "?assignment=0&maxWaitMs=0")
                       for which in range(count)]
            return [answer.headers["x-sl-assignment"].split(";")[1] for answer in answers]
        streamlayer.wait_for(lambda: sorted(shares()) == ["0", "1", "2", "3"], 30, "each has one")
        url = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/subscribe?mode=parallel"
        answer = self.platform.post(f"{url}&subscriptionId={name}&consumerId={count}",
                                    {"kafkaConsumerProperties": {"group.id": self.group}})
        self.assertEqual((answer.status, answer.json()["code"]), (409, "group-full"))
        members[1] = member(1)
        streamlayer.wait_for(lambda: sorted(shares()) == ["0", "1", "2", "3"], 30, "each has one again")
        self.publish(*(b"%d" % i for i in range(20)))
        seen = []
        streamlayer.wait_for(lambda: [seen.extend(data(each) for each in members[which].poll())
                                      for which in range(count)] and len(seen) == 20, 30, "all messages")
        self.assertEqual(sorted(seen), sorted(b"%d" % i for i in range(20)))

    def test_sent_with_is_ignored(self):
        self.layer()
        self.publish(b"x")
        subscription = self.subscribe("mode=serial&sentWith=OLP-TS-SDK-1.12.0")
        subscription.query = "mode=serial&sentWith=OLP-TS-SDK-1.12.0"
        messages = subscription.receive(1)
        self.assertEqual(subscription.commit(last_offsets(messages)).status, 200)
        self.assertEqual(subscription.seek([{"partition": 0, "offset": 0}]).status, 200)

    def test_correlation_id(self):
        """Spelled just so on every stream call; the client's is echoed."""
        self.layer()
        subscription = self.subscribe()
        self.assertEqual([name for name, _ in subscription.answer.raw_headers if name.lower() == "x-correlation-id"],
                         ["X-Correlation-Id"])
        for answer in (self.platform.get(subscription.url("partitions")), subscription.commit([]),
                       subscription.seek([{"partition": 0, "offset": 0}])):
            self.assertIn("X-Correlation-Id", [name for name, _ in answer.raw_headers])
            self.assertTrue(answer.headers["x-correlation-id"])
        answer = self.platform.get(subscription.url("partitions"), headers={"X-Correlation-Id": "my-own-id.7"})
        self.assertEqual(answer.headers["x-correlation-id"], "my-own-id.7")

    def test_endpoints(self):
        self.layer()
        stream = self.platform.base("stream", "v2", self.hrn)
        for side in ("", "producer/", "consumer/"):
            answer = self.platform.get(f"{stream}/layers/layer/{side}endpoint")
            self.assertEqual(answer.status, 200, answer.text)
            body = answer.json()
            self.assertTrue(body["kafkaProtocolVersion"] and all(isinstance(each, str)
                                                                 for each in body["kafkaProtocolVersion"]))
            for name in ("topic", "clientId", "consumerGroupPrefix"):
                self.assertIsInstance(body[name], str)
            self.assertRegex(body["topic"], re.compile(r"^[a-zA-Z0-9._-]{1,249}$"))
            for server in body["bootstrapServers"]:
                self.assertIsInstance(server["hostname"], str)
                self.assertIsInstance(server["port"], int)

    def test_wrong_token(self):
        self.layer()
        subscription = self.subscribe()
        for token in (None, "not-a-token", self.platform.token[:-4] + "AAAA"):
            for method, url in (("GET", subscription.url("partitions")), ("PUT", subscription.url("offsets")),
                                ("DELETE", subscription.url("subscribe"))):
                answer = self.platform.request(method, url, token=token)
                self.assertEqual(answer.status, 401, f"{method} {url}: {answer.text}")
        self.assertEqual(subscription.poll(), [])


class Positions(StreamCase):
    """Our extensions: the share's partitions, seeks by place and time, pause, positions."""

    def positions(self, subscription):
        answer = self.platform.get(subscription.url("positions"))
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json()["positions"]

    def put(self, subscription, what, body=b""):
        return self.platform.put(subscription.url(what), body, headers={"Content-Type": "application/json"})

    def done(self, subscription, what, body=b""):
        answer = self.put(subscription, what, body)
        self.assertEqual((answer.status, answer.json()), (200, {}), answer.text)

    def poll(self, subscription, query="maxWaitMs=20000"):
        answer = self.platform.get(subscription.url("partitions") + "?" + query)
        self.assertEqual(answer.status, 200, answer.text)
        return answer

    def test_positions(self):
        """Begin, end, what the client was sent, what its group has committed."""
        self.layer(partitions=2)
        subscription = self.subscribe()
        empty = {"begin": 0, "end": 0, "position": 0, "lag": 0, "paused": False}
        self.assertEqual(self.positions(subscription), [{"partition": 0, **empty}, {"partition": 1, **empty}])
        self.publish(*(b"%d" % i for i in range(20)))
        messages = subscription.receive(20)
        ends = {each["partition"]: each["offset"] + 1 for each in last_offsets(messages)}
        self.assertEqual([(each["end"], each["position"], each["lag"]) for each in self.positions(subscription)],
                         [(ends[0], ends[0], 0), (ends[1], ends[1], 0)])
        self.assertEqual(subscription.commit([{"partition": 1, "offset": 1}]).status, 200)
        self.assertEqual(subscription.seek([{"partition": 0, "offset": 1}]).status, 200)
        first, second = self.positions(subscription)
        self.assertEqual((first["position"], first["lag"], "committed" in first), (1, ends[0] - 1, False))
        self.assertEqual((second["position"], second["lag"], second["committed"]), (ends[1], 0, 2))
        one = self.poll(subscription, "maxMessages=1&maxWaitMs=20000").json()["messages"]
        self.assertEqual(one[0]["offset"], {"partition": 0, "offset": 1})
        self.assertEqual(self.positions(subscription)[0]["position"], 2, "what was fetched and not sent counts as lag")

    def test_a_start_at_the_end_is_committed(self):
        self.layer()
        self.publish(b"old")
        subscription = self.subscribe(auto_offset_reset="latest")
        self.assertEqual(self.positions(subscription), [{"partition": 0, "begin": 0, "end": 1, "position": 1,
                                                         "committed": 1, "lag": 0, "paused": False}])

    def test_seek_to_a_place(self):
        """To the begin, the end, and the first message at or after a time; where there is none, the end."""
        self.layer()
        now = int(time.time() * 1000)
        for age in (3000, 2000, 1000):
            self.publish(b"%d" % age, X_SL_Timestamp=str(now - age))
        subscription = self.subscribe()
        subscription.receive(3)
        for body, want in (({"to": "begin"}, b"3000"), ({"to": "time", "timestamp": now - 2000}, b"2000"),
                           ({"to": "time", "timestamp": now - 1999}, b"1000"),
                           ({"to": "time", "timestamp": 0}, b"3000")):
            self.done(subscription, "seek", body)
            messages = self.poll(subscription, "maxMessages=1&maxWaitMs=20000").json()["messages"]
            self.assertEqual([data(each) for each in messages], [want], body)
        for end, body in ((3, {"to": "end"}), (4, {"to": "time", "timestamp": now + 60000})):
            self.done(subscription, "seek", {"to": "begin"})
            self.done(subscription, "seek", body)
            self.assertEqual(self.positions(subscription)[0]["position"], end)
            self.publish(b"new")
            self.assertEqual([data(each) for each in self.poll(subscription).json()["messages"]], [b"new"])
        for body, field in (({"to": "middle"}, "to"), ({"to": 7}, "to"), ({"to": "time"}, "timestamp"),
                            ({"to": "time", "timestamp": "now"}, "timestamp"),
                            ({"to": "time", "timestamp": -1}, "timestamp"),
                            ({"to": "time", "timestamp": 1.5}, "timestamp"),
                            ({"to": "time", "timestamp": None}, "timestamp"), ({}, "offsets")):
            answer = self.put(subscription, "seek", body)
            self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-offsets"), body)
            self.assertIn(f'"{field}"', answer.json()["cause"])

    def test_pause(self):
        """Nothing of a paused partition comes, what was written before and behind comes after the resume, once."""
        self.layer(partitions=2)
        self.publish(*(b"%d" % i for i in range(40)))
        subscription = self.subscribe()
        first = self.poll(subscription, "maxMessages=3&maxWaitMs=20000").json()["messages"]
        self.done(subscription, "pause", {"partitions": [1]})
        self.assertEqual([each["paused"] for each in self.positions(subscription)], [False, True])
        self.publish(*(b"%d" % i for i in range(40, 80)))
        ends = [each["end"] for each in self.positions(subscription)]
        seen = [(each["offset"]["partition"], each["offset"]["offset"]) for each in first]
        already = len([each for each in seen if each[0] == 1])

        def some():
            seen.extend((each["offset"]["partition"], each["offset"]["offset"]) for each in subscription.poll())
        streamlayer.wait_for(lambda: some() or len([each for each in seen if each[0] == 0]) == ends[0], 30, "all of 0")
        self.assertEqual(len([each for each in seen if each[0] == 1]), already)
        self.assertEqual(self.positions(subscription)[1]["lag"], ends[1] - already)
        self.done(subscription, "resume", {"partitions": [1]})
        streamlayer.wait_for(lambda: some() or len(seen) >= 80, 30, "the rest")
        self.assertEqual(sorted(seen), [(0, i) for i in range(ends[0])] + [(1, i) for i in range(ends[1])])
        self.assertEqual(subscription.poll(), [])
        self.assertEqual([each["paused"] for each in self.positions(subscription)], [False, False])

    def test_pause_and_resume_again_and_again(self):
        """Whatever is under way then: nothing is lost, nothing comes twice."""
        self.layer(partitions=2)
        subscription = self.subscribe()
        seen = []
        for turn in range(12):
            self.publish(*(b"%d" % i for i in range(10)))
            which = {"partitions": [turn % 2]} if turn % 3 else b""
            self.done(subscription, "pause", which)
            seen.extend((each["offset"]["partition"], each["offset"]["offset"]) for each in
                        self.poll(subscription, "maxMessages=4&maxWaitMs=10").json()["messages"])
            if turn % 4 == 3:
                self.done(subscription, "pause", which)  # is no fault
            self.done(subscription, "resume", which)
            seen.extend((each["offset"]["partition"], each["offset"]["offset"]) for each in
                        self.poll(subscription, "maxMessages=7&maxWaitMs=300").json()["messages"])
        streamlayer.wait_for(lambda: seen.extend((each["offset"]["partition"], each["offset"]["offset"])
                                                 for each in subscription.poll()) or len(seen) >= 120, 30, "the rest")
        ends = [each["end"] for each in self.positions(subscription)]
        self.assertEqual(sorted(seen), [(0, i) for i in range(ends[0])] + [(1, i) for i in range(ends[1])])

    def test_a_seek_while_paused(self):
        self.layer()
        self.publish(*(b"%d" % i for i in range(5)))
        subscription = self.subscribe()
        subscription.receive(5)
        self.done(subscription, "pause")
        self.done(subscription, "seek", {"offsets": [{"partition": 0, "offset": 3}]})
        self.assertEqual(subscription.poll(), [])
        self.assertEqual(self.positions(subscription)[0]["position"], 3)
        self.done(subscription, "resume")
        self.assertEqual([data(each) for each in subscription.receive(2)], [b"3", b"4"])

    def test_a_lost_answer_of_a_partition_that_was_paused(self):
        """It does not come again before the resume, and then it does."""
        self.layer()
        self.publish(b"0", b"1")
        subscription = self.subscribe()
        self.assertEqual(len(self.poll(subscription, "received=0&maxWaitMs=20000&maxMessages=1").json()["messages"]), 1)
        self.done(subscription, "pause")
        self.assertEqual(self.poll(subscription, "received=0&maxWaitMs=10").json()["messages"], [])
        self.done(subscription, "resume")
        answer = self.poll(subscription, "received=0&maxWaitMs=20000&maxMessages=1")
        self.assertEqual([data(each) for each in answer.json()["messages"]], [b"0"])

    def test_a_pause_outlasts_rebalances(self):
        """Another one comes and goes; the partition that comes back is still paused."""
        self.layer(partitions=2)
        subscription = self.subscribe(group_id=self.group)
        self.done(subscription, "pause", {"partitions": [1]})
        other = self.subscribe(group_id=self.group)
        self.assertEqual(len(self.positions(subscription)), 1)
        self.assertEqual([each["paused"] for each in self.positions(other)], [False], "the other's are its own")
        other.delete()
        number = streamlayer.wait_for(lambda: self.changed(subscription, "0,1"), 30, "both came back")
        self.assertGreater(number, subscription.answer.json()["assignment"] + 1)
        self.assertEqual([each["paused"] for each in self.positions(subscription)], [False, True])
        self.publish(*(b"%d" % i for i in range(20)))
        end = [each["end"] for each in self.positions(subscription)]
        got = subscription.receive(end[0])
        self.assertEqual({each["offset"]["partition"] for each in got}, {0})
        self.assertEqual(subscription.poll(), [])
        self.done(subscription, "resume", {"partitions": [1]})
        self.assertEqual([each["offset"] for each in subscription.receive(end[1])],
                         [{"partition": 1, "offset": i} for i in range(end[1])])

    def changed(self, subscription, partitions):
        """The assignment's number once it is these."""
        number, now = self.poll(subscription, "assignment=0").headers["x-sl-assignment"].split(";")
        return int(number) if now == partitions else None

    def test_assignment(self):
        """The 201 tells it, a poll that knows another one answers at once, one that knows it waits."""
        self.layer(partitions=2)
        subscription = self.subscribe(group_id=self.group)
        body = subscription.answer.json()
        number = body["assignment"]
        self.assertGreaterEqual(number, 1)
        self.assertEqual(body["partitions"], [0, 1])
        answer = self.poll(subscription, f"maxWaitMs=25000&assignment={number - 1}")
        self.assertEqual((answer.json()["messages"], answer.headers["x-sl-assignment"]), ([], f"{number};0,1"))
        self.assertEqual(self.poll(subscription, f"maxWaitMs=10&assignment={number}").headers["x-sl-assignment"],
                         f"{number};0,1")
        self.assertNotIn("x-sl-assignment", self.poll(subscription, "maxWaitMs=10").headers)
        answers = []
        thread = threading.Thread(target=lambda: answers.append(
            self.poll(subscription, f"maxWaitMs=25000&assignment={number}")))
        thread.start()
        other = self.subscribe(group_id=self.group)
        thread.join(30)
        now, partitions = answers[0].headers["x-sl-assignment"].split(";")
        self.assertGreater(int(now), number)
        self.assertIn(partitions, ("", "0", "1"))  # taken, or given anew
        self.assertEqual(len(other.answer.json()["partitions"]), 1)
        answer = self.platform.get(subscription.url("partitions") + "?assignment=x")
        self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-parameter"))
        self.assertIn("assignment", answer.json()["cause"])

    def test_pause_refuses(self):
        """A body that is none, and partitions that the layer does not have; what it has not itself is no fault."""
        self.layer(partitions=2)
        subscription = self.subscribe(group_id=self.group)
        for what in ("pause", "resume"):
            for body, field in (({"partitions": 1}, '"partitions"'), ({"partitions": []}, '"partitions"'),
                                ({"partitions": None}, '"partitions"'), ({"partitions": [0, "1"]}, "partitions[1]"),
                                ({"partitions": [-1]}, "partitions[0]"), ({"partitions": [1 << 40]}, "partitions[0]"),
                                ({"partitions": [0.5]}, "partitions[0]")):
                answer = self.put(subscription, what, body)
                self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-partitions"), body)
                self.assertIn(field, answer.json()["cause"])
            for body in (b"[", b"[]"):
                self.assertEqual(self.put(subscription, what, body).json()["code"], "bad-json")
            for partition in (2, 33, 2147483647):
                answer = self.put(subscription, what, {"partitions": [0, partition]})
                self.assertEqual((answer.status, answer.json()["code"]), (400, "bad-partitions"))
                self.assertIn(str(partition), answer.json()["cause"])
        self.assertEqual([each["paused"] for each in self.positions(subscription)], [False, False])
        self.subscribe(group_id=self.group)
        self.done(subscription, "pause", {"partitions": [0, 1]})
        self.assertEqual([each["paused"] for each in self.positions(subscription)], [True])
        self.done(subscription, "resume", {})
        self.assertEqual([each["paused"] for each in self.positions(subscription)], [False])
        subscription.delete()
        self.subscriptions.remove(subscription)
        for method, what in (("PUT", "pause"), ("PUT", "resume"), ("GET", "positions")):
            self.assertEqual(self.platform.request(method, subscription.url(what)).status, 404)


if __name__ == "__main__":
    streamlayer.main()
