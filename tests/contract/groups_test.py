"""stream v2, our extensions for those who look after a stream: consumer groups, their reset, statistics."""
import subprocess
import time

import streamlayer
from streamlayer import Subscription, TestCase, last_offsets

BEGIN = {"auto.offset.reset": "earliest"}


class Groups(TestCase):
    """A layer of two Kafka partitions, and a group, of the test's own."""

    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", parallelization=2)
        self.group = self.platform.name("g")
        self.layer = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer"

    def publish(self, count):
        for number in range(count):
            self.platform.publish(self.hrn, "layer", b"12345", X_HERE_Message_Key=f"key-{number % 9}")

    def subscribe(self, layer="layer", **properties):
        subscription = Subscription(self.platform, self.hrn, layer, "mode=serial", {**BEGIN, **properties})
        self.addCleanup(subscription.delete)
        return subscription

    def listed(self):
        answer = self.platform.get(f"{self.layer}/groups")
        self.assertEqual(answer.status, 200, answer.text)
        return {group["group"]: group for group in answer.json()["groups"]}

    def described(self, group=None):
        answer = self.platform.get(f"{self.layer}/groups/{group or self.group}")
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json()

    def reset(self, body, query="", group=None):
        answer = self.platform.put(f"{self.layer}/groups/{group or self.group}/offsets{query}", body)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json()

    def places(self, group, name="committed"):
        return {partition["partition"]: partition.get(name) for partition in group["partitions"]}

    def ends(self):
        return {each["partition"]: each["end"]
                for each in self.platform.get(f"{self.layer}/statistics").json()["partitions"]}

    def refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer.text)
        return answer.json()

    def kcat(self, group):
        """Reads the layer as a group of Kafka's, without the gateway, and commits."""
        subprocess.run(["kcat", "-q", "-b", self.platform.brokers, "-X", "auto.offset.reset=earliest", "-c", "1", "-G",
                        group, self.platform.topic(self.hrn, "layer")],
                       check=True, capture_output=True, timeout=60)

    def test_groups_come_and_stay(self):
        """None at first; then one with a member; then what it committed."""
        self.publish(20)
        self.assertEqual(self.listed(), {})
        self.refused(self.platform.get(f"{self.layer}/groups/{self.group}"), 404, "no-such-group")
        subscription = self.subscribe(**{"group.id": self.group})
        whole = subscription.answer.json()["consumerGroup"]
        self.assertEqual(self.listed(), {self.group: {"group": self.group, "kafkaGroup": whole, "state": "Stable",
                                                      "members": 1}})
        self.assertTrue(whole.endswith("." + self.group))
        group = self.described()
        self.assertEqual((group["group"], group["kafkaGroup"], group["state"]), (self.group, whole, "Stable"))
        member = group["members"][0]
        self.assertEqual(member["partitions"], [0, 1])
        self.assertTrue(member["memberId"] and member["clientId"] and member["host"])
        self.assertEqual(self.places(group), {0: None, 1: None})
        self.assertEqual(sum(self.places(group, "lag").values()), 20)
        messages = subscription.receive(20)
        self.assertEqual(subscription.commit(last_offsets(messages)).status, 200)
        self.assertEqual(subscription.delete().status, 200)
        group = self.described()
        self.assertEqual((group["state"], group["members"]), ("Empty", []))
        self.assertEqual(self.places(group), self.ends())
        self.assertEqual(self.places(group, "begin"), {0: 0, 1: 0})
        self.assertEqual(self.places(group, "end"), self.ends())
        self.assertEqual(self.places(group, "lag"), {0: 0, 1: 0})
        self.assertEqual(self.places(group, "before"), {0: None, 1: None})
        self.assertEqual(self.listed()[self.group]["members"], 0)

    def test_groups_members_share(self):
        subscriptions = [self.subscribe(**{"group.id": self.group}) for _ in range(2)]
        streamlayer.wait_for(lambda: [subscription.poll() for subscription in subscriptions] and sorted(
            member["partitions"] for member in self.described()["members"]) == [[0], [1]],
            60, "each of two members has one partition")
        self.assertEqual(self.listed()[self.group]["members"], 2)

    def test_groups_default_is_a_dash(self):
        subscription = self.subscribe()
        group = self.described("-")
        self.assertEqual(group["group"], f"{self.hrn}:layer")
        self.assertEqual(group["kafkaGroup"], subscription.answer.json()["consumerGroup"])
        self.assertEqual(self.described(f"{self.hrn}:layer")["kafkaGroup"], group["kafkaGroup"])

    def test_groups_of_others_are_not_seen(self):
        """Neither another application's, nor this one's that reads another layer; a direct reader's is."""
        self.publish(1)
        mine = self.subscribe().answer.json()["consumerGroup"]
        prefix = mine[:-len(f"{self.hrn}:layer")]
        other = self.platform.name("other")
        self.kcat(f"{other}.{self.group}")
        self.kcat(f"{prefix}{self.group}")
        self.platform.layer(self.hrn, "layer2")
        self.subscribe("layer2", **{"group.id": self.group + "2"})
        self.assertEqual(sorted(self.listed()), sorted([f"{self.hrn}:layer", self.group]))
        self.assertEqual(sum(place or 0 for place in self.places(self.described()).values()), 1)
        for group in (other, f"{other}.{self.group}", self.group + "2"):
            self.refused(self.platform.get(f"{self.layer}/groups/{group}"), 404, "no-such-group")

    def test_groups_reset_begin_end_offset(self):
        self.publish(30)
        ends = self.ends()
        group = self.reset({"to": "end"})
        self.assertEqual((self.places(group), self.places(group, "before")), (ends, {0: None, 1: None}))
        group = self.reset({"to": "begin"})
        self.assertEqual((self.places(group), self.places(group, "before")), ({0: 0, 1: 0}, ends))
        self.assertEqual(self.places(group, "lag"), ends)
        group = self.reset({"to": "offset", "offset": 2, "partitions": [1]})
        self.assertEqual((self.places(group), self.places(group, "before")), ({0: 0, 1: 2}, {0: 0, 1: 0}))
        self.assertEqual(self.places(self.described()), {0: 0, 1: 2})
        # An offset that the layer does not have is its end.
        self.assertEqual(self.places(self.reset({"to": "offset", "offset": 2 ** 62})), ends)
        self.assertEqual(self.places(self.described()), ends)
        # And the next consumer begins there.
        self.reset({"to": "offset", "offset": 1})
        messages = self.subscribe(**{"group.id": self.group}).receive(28)
        self.assertEqual({partition: min(message["offset"]["offset"] for message in messages
                                         if message["offset"]["partition"] == partition) for partition in (0, 1)},
                         {0: 1, 1: 1})

    def test_groups_reset_to_a_time(self):
        """To the first message at or after it, by the messages' own timestamps; the end where there is none."""
        now = int(time.time() * 1000)
        for number in range(10):
            self.platform.publish(self.hrn, "layer", b"x", X_HERE_Message_Key="key",
                                  X_SL_Timestamp=str(now - 100000 + 10000 * number))
        ends = self.ends()
        used = max(ends, key=ends.get)
        for timestamp, offset in ((0, 0), (now - 100000, 0), (now - 60000, 4), (now - 59999, 5), (now + 1, 10)):
            group = self.reset({"to": "time", "timestamp": timestamp})
            self.assertEqual(self.places(group), {used: offset, 1 - used: 0}, timestamp)

    def test_groups_dry_run_changes_nothing(self):
        self.publish(5)
        ends = self.ends()
        self.assertEqual(self.places(self.reset({"to": "end"}, "?dryRun=true")), ends)
        self.refused(self.platform.get(f"{self.layer}/groups/{self.group}"), 404, "no-such-group")
        self.reset({"to": "end"}, "?dryRun=false")
        group = self.reset({"to": "begin"}, "?dryRun=true")
        self.assertEqual((self.places(group), self.places(group, "before")), ({0: 0, 1: 0}, ends))
        self.assertEqual(self.places(self.described()), ends)

    def test_groups_with_members_are_not_reset(self):
        self.publish(5)
        subscription = self.subscribe(**{"group.id": self.group})
        url = f"{self.layer}/groups/{self.group}/offsets"
        for query in ("", "?dryRun=true"):
            answer = self.refused(self.platform.put(url + query, {"to": "end"}), 409, "group-active")
            self.assertIn("1 member", answer["cause"])
        # Of another layer, too: Kafka takes a commit from outside only while a group has no members.
        self.platform.layer(self.hrn, "layer2")
        base = self.layer + "2"
        self.refused(self.platform.put(f"{base}/groups/{self.group}/offsets", {"to": "end"}), 409, "group-active")
        subscription.delete()
        self.reset({"to": "end"})

    def test_groups_bad_requests(self):
        url = f"{self.layer}/groups/{self.group}/offsets"
        for body in ({}, {"to": "middle"}, {"to": 7}, {"to": "offset"}, {"to": "offset", "offset": -1},
                     {"to": "offset", "offset": "7"}, {"to": "offset", "offset": 1.5}, {"to": "time"},
                     {"to": "time", "timestamp": -1}, {"to": "begin", "offset": 7}, {"to": "begin", "dryRun": True},
                     {"to": "begin", "partitions": []}, {"to": "begin", "partitions": 0},
                     {"to": "begin", "partitions": [2]}, {"to": "begin", "partitions": [-1]},
                     {"to": "begin", "partitions": ["0"]}):
            self.refused(self.platform.put(url, body), 400, "bad-reset")
        self.refused(self.platform.put(url, b"{"), 400, "bad-json")
        self.refused(self.platform.put(url, b'{"to":"begin"}'.ljust(70000)), 413, "body-too-large")
        self.refused(self.platform.put(url + "?dryRun=perhaps", {"to": "begin"}), 400, "bad-parameter")
        for name in ("a%20b", "a%2Fb", "x" * 201, "%C3%BC"):
            self.refused(self.platform.get(f"{self.layer}/groups/{name}"), 400, "bad-parameter")
        self.refused(self.platform.get(f"{self.layer}2/groups"), 404, "no-such-layer")
        self.assertEqual(self.platform.get(f"{self.layer}/groups", token=None).status, 401)
        self.assertEqual(self.platform.post(f"{self.layer}/groups").status, 405)
        self.assertEqual(self.listed(), {})

    def test_statistics_count(self):
        before = self.platform.get(f"{self.layer}/statistics")
        self.assertEqual(before.status, 200, before.text)
        zero = {"messagesIn": 0, "bytesIn": 0, "messagesOut": 0, "bytesOut": 0}
        self.assertEqual(before.json()["partitions"], [{"partition": 0, "begin": 0, "end": 0},
                                                       {"partition": 1, "begin": 0, "end": 0}])
        self.assertEqual(before.json()["gateway"], zero)
        self.publish(7)
        # What does not come through the gateway is in Kafka's numbers only.
        subprocess.run(["kcat", "-q", "-P", "-b", self.platform.brokers, "-t", self.platform.topic(self.hrn, "layer")],
                       input=b"direct\n", check=True, timeout=60)
        self.subscribe(**{"group.id": self.group}).receive(8)
        after = self.platform.get(f"{self.layer}/statistics").json()
        self.assertEqual(sum(each["end"] for each in after["partitions"]), 8)
        self.assertEqual(after["gateway"], {"messagesIn": 7, "bytesIn": 35, "messagesOut": 8, "bytesOut": 41})
        self.assertGreaterEqual(after["time"], before.json()["time"])


if __name__ == "__main__":
    streamlayer.main()
