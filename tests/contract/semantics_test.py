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


if __name__ == "__main__":
    streamlayer.main()
