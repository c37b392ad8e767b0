"""stream v2: how subscriptions end, what is too late, seeks beyond the log, and shares with members on Kafka."""
import http.client
import itertools
import json
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse

import daemon
import streamlayer
from streamlayer import Subscription, TestCase, data, last_offsets, wait_for

WAIT_MS = 25000


class SemanticsCase(TestCase):
    """A catalog and a group of the test's own."""

    def setUp(self):
        self.hrn = self.platform.catalog()
        self.group = self.platform.name("g")
        self.subscriptions, self.keys = [], itertools.count()
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
        """Each with a key of its own, so that some are in each partition: what has none lies in one that changes with time."""
        for body in bodies:
            self.platform.publish(self.hrn, layer, body, X_HERE_Message_Key=f"key-{next(self.keys)}")

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


class Sharing(SemanticsCase):
    """Members over HTTP and a member that talks to Kafka itself (kcat), in one group."""
    PARTITIONS = 4

    def setUp(self):
        super().setUp()
        self.lock, self.got, self.stop = threading.Lock(), [], threading.Event()  # got: (who, partition, offset)
        self.refused = []

    def poll_on(self, name, subscription):
        """Polls and commits until it is told to stop, as a client does."""
        while not self.stop.is_set():
            answer = self.platform.get(f"{subscription.url('partitions')}?{subscription.query}&maxWaitMs=500")
            messages = answer.json().get("messages", [])
            with self.lock:
                self.got.extend((name, each["offset"]["partition"], each["offset"]["offset"]) for each in messages)
            commit = subscription.commit(last_offsets(messages)) if messages else answer
            # 409: the group is sharing out anew; these come again, here or at another member.
            if answer.status != 200 or commit.status not in (200, 409):
                self.refused.append((answer.text, commit.text))

    def read_on(self, process):
        for line in process.stdout:
            partition, offset = line.split()
            with self.lock:
                self.got.append(("kcat", int(partition), int(offset)))

    def join(self, name):
        """A member over HTTP."""
        subscription = self.subscribe(f"mode=parallel&subscriptionId={self.group}&consumerId={name}")
        subscription.query = f"mode=parallel&subscriptionId={self.group}&consumerId={name}"
        thread = threading.Thread(target=self.poll_on, args=(name, subscription))
        thread.start()
        self.addCleanup(lambda: (self.stop.set(), thread.join()))
        return subscription

    def join_directly(self, group):
        process = subprocess.Popen(
            ["kcat", "-q", "-u", "-b", self.platform.brokers, "-X", "auto.offset.reset=earliest",
             "-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=300", "-X", "auto.commit.interval.ms=200",
             "-f", "%p %o\n", "-G", group, self.platform.topic(self.hrn, "layer")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        thread = threading.Thread(target=self.read_on, args=(process,))
        thread.start()

        def leave():
            process.terminate()  # it leaves the group
            process.wait()
            thread.join()
            process.stdout.close()
        self.addCleanup(lambda: process.poll() is None and leave())
        return leave

    def write(self, count):
        """Returns what was written: (partition, offset)."""
        before = self.ends()
        self.publish(*(b"%d" % i for i in range(count)))
        after = self.ends()
        return {(k, offset) for k in range(self.PARTITIONS) for offset in range(before[k], after[k])}

    def ends(self):
        answer = self.platform.get(f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/statistics")
        return {each["partition"]: each["end"] for each in answer.json()["partitions"]}

    def owners(self, written):
        """Who got each partition's messages of these, as soon as all have come."""
        def all_there():
            with self.lock:
                return written <= {(partition, offset) for _, partition, offset in self.got}
        wait_for(all_there, 60, "all messages come")
        with self.lock:
            return {k: {who for who, partition, offset in self.got
                        if partition == k and (partition, offset) in written} for k in range(self.PARTITIONS)}

    def shared_by(self, names):
        """Once the group has settled, each partition has one member, and each member has its part."""
        def settled():
            owners = self.owners(self.write(40))
            return (set().union(*owners.values()) == names and all(len(each) == 1 for each in owners.values())
                    and max(sum(1 for each in owners.values() if each == {name}) for name in names)
                    <= -(-self.PARTITIONS // len(names)))
        wait_for(settled, 90, f"{names} share the layer")

    def test_members_over_http_and_kafka_share(self):
        """They come and go while others poll; at each time every partition has one member, and nothing is lost."""
        self.layer(partitions=self.PARTITIONS)
        group = self.join("one").answer.json()["consumerGroup"]
        self.shared_by({"one"})
        leave = self.join_directly(group)
        self.shared_by({"one", "kcat"})
        self.join("two")
        self.shared_by({"one", "two", "kcat"})
        leave()
        self.shared_by({"one", "two"})
        every = {(k, offset) for k, end in self.ends().items() for offset in range(end)}
        self.owners(every)
        self.assertEqual(self.refused, [])


class Unwritten(TestCase):
    """An answer that its client did not take is given again, under TLS as without."""

    def start(self):
        """A gateway with TLS, its URL, and what speaks to it."""
        directory = self.scratch()
        files = daemon.certificate(directory, "gateway")
        key = daemon.make_data(self.platform, directory)
        running = daemon.Daemon(self.platform, directory,
                                settings=f"listen.tls {{ certificate = {files[0]}, key = {files[1]} }}").start()
        self.addCleanup(running.kill)
        platform = daemon.platform_of(running, key)
        with open(platform.config, "a", encoding="utf-8") as file:
            file.write(f'here.platform.data-client.tls.ca-file = "{files[0]}"\n')
        context = ssl.create_default_context(cafile=files[0])

        def request(method, url, body=None, headers=None):
            parts = urllib.parse.urlsplit(url if "://" in url else platform.url + url)
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60, context=context)
            connection.request(method, parts.path + "?" + parts.query, body,
                               {"Authorization": "Bearer " + platform.token, **(headers or {})})
            answer = connection.getresponse()
            return connection, answer
        return platform, request, context

    def test_an_answer_under_tls_that_nobody_takes_comes_again(self):
        platform, request, context = self.start()

        def call(method, url, body=None, **headers):
            connection, answer = request(method, url, body, {k.replace("_", "-"): v for k, v in headers.items()})
            text = answer.read()
            connection.close()
            self.assertLess(answer.status, 300, text)
            return json.loads(text) if text else None
        hrn = platform.catalog()
        platform.layer(hrn, "layer", parallelization=1)
        node = call("POST", f"/stream/v2/catalogs/{hrn}/layers/layer/subscribe?mode=serial")["nodeBaseURL"]
        self.assertTrue(node.startswith("https://"))
        poll = f"{node}/layers/layer/partitions?maxWaitMs=2000"
        for number in range(6):  # more than a connection takes that nobody reads from
            call("POST", f"/ingest/v1/catalogs/{hrn}/layers/layer", b"%d" % number * 1000000,
                 Content_Type="application/octet-stream")
        for reset in (False, True):
            parts = urllib.parse.urlsplit(poll)
            connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60, context=context)
            connection.putrequest("GET", parts.path + "?" + parts.query)
            connection.putheader("Authorization", "Bearer " + platform.token)
            connection.endheaders()
            self.assertEqual(connection.sock.recv(1), b"H")
            if reset:
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        offsets = []
        wait_for(lambda: offsets.extend(each["offset"]["offset"] for each in call("GET", poll)["messages"])
                 or len(offsets) >= 6, 30, "all come again")
        self.assertEqual(offsets, list(range(6)))


if __name__ == "__main__":
    streamlayer.main()
