"""stream v2: how subscriptions end, what is too late, seeks beyond the log, and shares with members on Kafka."""
import threading

import streamlayer
from streamlayer import Subscription, TestCase, data, wait_for

WAIT_MS = 25000


class SemanticsCase(TestCase):
    """A catalog and a group of the test's own."""

    def setUp(self):
        self.hrn = self.platform.catalog()
        self.group = self.platform.name("g")
        self.subscriptions = []
        self.addCleanup(lambda: [each.delete() for each in self.subscriptions])

    def layer(self, name="layer", partitions=1):
        return self.platform.layer(self.hrn, name, parallelization=partitions)

    def subscribe(self, query="mode=serial", layer="layer", **properties):
        properties = {"auto.offset.reset": "earliest", "group.id": self.group,
                      **{name.replace("_", "."): value for name, value in properties.items()}}
        subscription = Subscription(self.platform, self.hrn, layer, query, properties)
        self.subscriptions.append(subscription)
        return subscription

    def publish(self, *bodies, layer="layer"):
        for body in bodies:
            self.platform.publish(self.hrn, layer, body)

    def assertFails(self, answer, status, code, cause=""):
        self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer.text)
        self.assertIn(cause, answer.json()["cause"])


class Background:
    """A call that waits, on a thread of its own."""

    def __init__(self, call):
        self.answer = None
        self.thread = threading.Thread(target=self.run, args=(call,))
        self.thread.start()

    def run(self, call):
        self.answer = call()

    def result(self):
        self.thread.join()
        return self.answer


class Endings(SemanticsCase):
    def members(self, layer):
        answer = self.platform.get(f"{self.platform.base('stream', 'v2', self.hrn)}/layers/{layer}/groups/{self.group}")
        self.assertEqual(answer.status, 200, answer.text)
        return len(answer.json()["members"])

    def test_a_deleted_layer_ends_its_subscriptions(self):
        """A poll that waits hears of it, and the member leaves its group at once."""
        self.layer()
        self.layer("other")
        self.subscribe(layer="other")
        gone = self.subscribe()
        wait_for(lambda: self.members("other") == 2, 60, "both are members")
        waiting = Background(lambda: self.platform.get(f"{gone.url('partitions')}?maxWaitMs={WAIT_MS}"))
        self.platform.cli("layer", "delete", self.hrn, "layer", "--yes")
        self.assertFails(waiting.result(), 404, "no-such-layer", "the layer was deleted")
        wait_for(lambda: self.members("other") == 1, 60, "it leaves the group")
        self.assertFails(gone.commit([{"partition": 0, "offset": 0}]), 404, "no-such-layer")
        self.layer()  # another one, of the same name
        answer = self.platform.get(gone.url("partitions"))
        self.assertFails(answer, 404, "no-such-subscription", "the layer was deleted")
        self.subscriptions.remove(gone)

    def test_what_ended_says_why(self):
        self.layer(partitions=2)
        first = self.subscribe("mode=serial&subscriptionId=mine")
        self.subscribe("mode=serial&subscriptionId=mine")
        self.assertFails(self.platform.get(first.url("partitions")), 404, "no-such-subscription",
                         "another subscribe with the same id took its place")
        self.subscriptions.pop().delete()
        stream = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer"
        answer = self.platform.get(f"{stream}/partitions?subscriptionId=mine")
        self.assertFails(answer, 404, "no-such-subscription", "subscription mine on layer layer ended at 20")
        self.assertIn("its client ended it", answer.json()["cause"])
        self.assertFails(self.platform.get(f"{stream}/partitions?subscriptionId=never"), 404, "no-such-subscription",
                         "there is no subscription never")


class Offsets(SemanticsCase):
    """Commits and seeks that name what is not there, or not any more."""

    def committed(self, subscription):
        answer = self.platform.get(subscription.url("positions"))
        self.assertEqual(answer.status, 200, answer.text)
        return {each["partition"]: each.get("committed") for each in answer.json()["positions"]}

    def test_a_commit_that_is_too_late(self):
        """The group has got on since: it is not set back. A seek back is what sets it back."""
        self.layer()
        self.publish(*(b"%d" % i for i in range(10)))
        first = self.subscribe()
        first.receive(10)
        self.assertEqual(first.commit([{"partition": 0, "offset": 7}]).status, 200)
        self.assertEqual(first.commit([{"partition": 0, "offset": 5}]).status, 200)  # of its own messages
        self.assertEqual(first.commit([{"partition": 0, "offset": 7}]).status, 200)
        self.subscriptions.pop().delete()
        second = self.subscribe()
        self.assertFails(second.commit([{"partition": 0, "offset": 6}]), 409, "commit-too-late",
                         "offset 6 of Kafka partition 0 comes too late")
        self.assertEqual(self.committed(second), {0: 8})
        self.assertEqual(second.commit([{"partition": 0, "offset": 7}]).status, 200)  # as the group has it
        self.assertEqual(second.seek([{"partition": 0, "offset": 3}]).status, 200)
        self.assertEqual(data(second.receive(1)[0]), b"3")
        self.assertEqual(second.commit([{"partition": 0, "offset": 3}]).status, 200)
        self.assertEqual(self.committed(second), {0: 4})

    def test_a_commit_after_the_partition_went_and_came_back(self):
        """A rebalance while a batch is out: what another member has done meanwhile is not undone."""
        self.layer(partitions=2)
        first = self.subscribe("mode=parallel&consumerId=one")
        first.query = f"mode=parallel&subscriptionId={first.id}&consumerId=one"
        while len({each["offset"]["partition"] for each in first.poll()}) < 2:  # polled, and not committed
            first.seek([{"partition": 0, "offset": 0}, {"partition": 1, "offset": 0}])
            self.publish(*(b"%d" % i for i in range(20)))
        other = self.subscribe(f"mode=parallel&subscriptionId={first.id}&consumerId=two")
        other.query = f"mode=parallel&subscriptionId={first.id}&consumerId=two"
        partition = other.answer.json()["partitions"][0]
        offset = {"partition": partition, "offset": 0}
        self.assertFails(first.commit([offset]), 409, "partition-not-assigned")
        other.receive(2)
        self.assertEqual(other.commit([{"partition": partition, "offset": 1}]).status, 200)
        self.subscriptions.pop().delete()
        wait_for(lambda: len(self.committed(first)) == 2, 60, "it has both again")
        both = [offset, {"partition": 1 - partition, "offset": 0}]
        self.assertFails(first.commit(both), 409, "commit-too-late", f"Kafka partition {partition} ")
        self.assertEqual(self.committed(first), {partition: 2, 1 - partition: 1})  # the other one is committed

    def test_a_commit_of_what_is_not_written(self):
        self.layer(partitions=2)
        subscription = self.subscribe()
        self.publish(*(b"%d" % i for i in range(20)))
        offsets = {each["offset"]["partition"]: each["offset"]["offset"] for each in subscription.receive(20)}
        for behind in (1, 2 ** 62):
            answer = subscription.commit([{"partition": 0, "offset": offsets[0]},
                                          {"partition": 1, "offset": offsets[1] + behind}])
            self.assertFails(answer, 400, "bad-offsets", f"the next message there will have {offsets[1] + 1}")
        self.assertEqual(self.committed(subscription), {0: None, 1: None})
        last = [{"partition": partition, "offset": offset} for partition, offset in offsets.items()]
        self.assertEqual(subscription.commit(last).status, 200)

    def test_a_commit_after_subscribing_anew(self):
        """A client may commit what its subscription before got, though the new one has handed out nothing yet."""
        self.layer()
        self.publish(*(b"%d" % i for i in range(10)))
        self.subscribe().receive(10)
        self.subscriptions.pop().delete()
        anew = self.subscribe()
        self.assertEqual(anew.commit([{"partition": 0, "offset": 8}]).status, 200)
        self.assertEqual(self.committed(anew), {0: 9})

    def test_a_seek_beyond_the_log(self):
        """To its begin or its end, as auto.offset.reset says, on either side; and each partition by itself."""
        self.layer(partitions=2)
        self.publish(*(b"%d" % i for i in range(20)))
        for reset in ("earliest", "latest"):
            subscription = self.subscribe(group_id=self.platform.name("g"), auto_offset_reset=reset)
            answer = subscription.seek([{"partition": 0, "offset": 2 ** 62}, {"partition": 1, "offset": 1}])
            self.assertEqual(answer.status, 200, answer.text)
            positions = {each["partition"]: each for each in
                         self.platform.get(subscription.url("positions")).json()["positions"]}
            self.assertEqual(positions[0]["position"], positions[0]["begin" if reset == "earliest" else "end"])
            self.assertEqual(positions[1]["position"], 1)
            self.assertEqual(subscription.seek([{"partition": 0, "offset": positions[0]["end"]}]).status, 200)
            positions = {each["partition"]: each for each in
                         self.platform.get(subscription.url("positions")).json()["positions"]}
            self.assertEqual(positions[0]["position"], positions[0]["end"])


if __name__ == "__main__":
    streamlayer.main()
