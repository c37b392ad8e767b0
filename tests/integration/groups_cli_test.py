"""group list, describe, reset, and layer show, as a person at a terminal and a script use them."""
import concurrent.futures
import json
import os
import pty
import select
import signal
import subprocess
import time

import streamlayer
from accounts import Accounts
from restart_test import Kafka
from streamlayer import Platform, Running, Subscription, TestCase, wait_for


class GroupsOnTheCommandLine(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", "text/plain", parallelization=2)
        self.group = self.platform.name("g")

    def run_it(self, *arguments, code=0):
        done = self.platform.cli(*arguments, check=False)
        self.assertEqual(done.returncode, code, f"{arguments}: out {done.stdout!r}, err {done.stderr!r}")
        self.assertNotRegex(done.stderr.decode(errors="replace"), streamlayer.SANITIZER_REPORT)
        return done

    def on_layer(self, *arguments, code=0):
        """group list → streamlayer group list HRN layer"""
        done = self.run_it(*arguments[:2], self.hrn, "layer", *arguments[2:], code=code)
        return done.stdout.decode() if not code else done.stderr.decode()

    def publish(self, count):
        for number in range(count):
            self.platform.publish(self.hrn, "layer", b"12345", "text/plain", X_HERE_Message_Key=f"key-{number % 9}")

    def member(self):
        """One that reads the layer, until the test's end or its delete."""
        subscription = Subscription(self.platform, self.hrn, "layer", "mode=serial",
                                    {"auto.offset.reset": "earliest", "group.id": self.group})
        self.addCleanup(subscription.delete)
        return subscription

    def standing(self, group=None):
        """{Kafka partition: what the group has committed}"""
        shown = json.loads(self.on_layer("group", "describe", group or self.group, "--json"))
        return {each["partition"]: each.get("committed") for each in shown["partitions"]}

    def rows(self, text):
        """A table's lines that begin with a number, split."""
        return [line.split() for line in text.splitlines() if line[:1].isdigit()]

    def test_group_list_and_describe(self):
        self.publish(9)
        self.assertEqual(self.on_layer("group", "list").split(), ["GROUP", "STATE", "MEMBERS"])
        subscription = self.member()
        self.assertIn([self.group, "Stable", "1"],
                      [line.split() for line in self.on_layer("group", "list").splitlines()])
        listed = json.loads(self.on_layer("group", "list", "--json"))
        self.assertEqual([group["group"] for group in listed["groups"]], [self.group])
        text = self.on_layer("group", "describe", self.group)
        self.assertIn(subscription.answer.json()["consumerGroup"], text)
        self.assertIn("Stable, 1 member\n", text)
        self.assertRegex(text, r"\ntotal lag 9\n")
        rows = self.rows(text)
        self.assertEqual([row[0] for row in rows], ["0", "1"])
        for row in rows:  # begin, end, nothing committed, lag, and the one member
            self.assertEqual((row[1], row[3], row[4]), ("0", "-", row[2]))
            self.assertIn("127.0.0.1", row[6])
        self.assertIn("no-such", self.on_layer("group", "describe", "no-such", code=3))
        self.run_it("group", "list", self.hrn, "other", code=3)

    def test_group_without_a_name(self):
        """The configured one, and without it the default one."""
        self.publish(3)
        self.on_layer("group", "reset", "--to", "end", "--yes")
        self.on_layer("group", "reset", self.group, "--to", "begin", "--yes")
        self.assertIn(f"{self.hrn}:layer", self.on_layer("group", "describe"))
        self.assertIn(f"{self.hrn}:layer", self.on_layer("group", "describe", "-"))
        configured = self.run_it("-D", f"here.platform.data-client.stream.consumer.group={self.group}", "group",
                                 "describe", self.hrn, "layer").stdout.decode()
        self.assertRegex(configured, rf"^group +{self.group}\n")

    def test_group_reset(self):
        self.publish(20)
        text = self.on_layer("group", "reset", self.group, "--to", "begin", "--dry-run")
        self.assertIn("dry run", text)
        self.assertIn("new", text)
        self.assertEqual(self.on_layer("group", "list").count("\n"), 1)
        text = self.on_layer("group", "reset", self.group, "--to", "end", "--yes")
        ends = {int(row[0]): int(row[2]) for row in self.rows(text)}
        self.assertEqual((sum(ends.values()), self.standing()), (20, ends))
        text = self.on_layer("group", "reset", self.group, "--to", "1", "--partition", "1", "-y")
        self.assertEqual(self.rows(text)[1][3:6], [str(ends[1]), "1", str(1 - ends[1])])
        self.assertEqual(self.standing(), {0: ends[0], 1: 1})
        self.on_layer("group", "reset", self.group, "--to", "@-1h", "--yes")
        self.assertEqual(self.standing(), {0: 0, 1: 0})
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        answer = json.loads(self.on_layer("group", "reset", self.group, "--to", "@" + later, "--yes", "--json"))
        self.assertEqual({each["partition"]: each["before"] for each in answer["partitions"]}, {0: 0, 1: 0})
        self.assertEqual(self.standing(), ends)

    def test_group_reset_refuses(self):
        self.publish(1)
        for arguments in ((), ("--to", "begin"), ("--to", "begin", "--json"), ("--to", "middle", "-y"),
                          ("--to", "-5", "-y"), ("--to", "@noon", "-y"), ("--to", "begin", "-y", "--partition", "x"),
                          ("--to", "begin", "-y", "--partition", "-1")):
            self.assertIn("--", self.on_layer("group", "reset", self.group, *arguments, code=2))
        self.on_layer("group", "reset", self.group, "--to", "begin", "-y", "--partition", "2", code=2)
        self.on_layer("group", "reset", "no good", "--to", "begin", "-y", code=2)
        self.member()
        self.assertIn("1 member", self.on_layer("group", "reset", self.group, "--to", "begin", "--yes", code=1))

    def asked(self, answer, *command):
        """A command on a terminal of its own, given an answer, or SIGINT: (exit code, what it showed)."""
        master, slave = pty.openpty()
        process = subprocess.Popen([self.platform.binaries + "/streamlayer", "--config", self.platform.config, *command],
                                   stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.addCleanup(os.close, master)
        seen = b""

        def more():
            nonlocal seen
            if select.select([master], [], [], 0.1)[0]:
                try:
                    seen += os.read(master, 4096)
                except OSError:  # nobody has the terminal any more
                    return True
            return seen.rstrip().endswith(b"[y/N]")

        wait_for(more, 60, "the question")
        if answer:
            os.write(master, answer)
        else:
            process.send_signal(signal.SIGINT)
        code = process.wait(60)
        while select.select([master], [], [], 0)[0]:
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
        return code, seen.decode()

    def test_delete_asks_on_a_terminal(self):
        for command in (["layer", "delete", self.hrn, "layer"], ["catalog", "delete", self.hrn]):
            show = [command[0], "show", *command[2:]]
            refused = self.run_it(*command, code=2)
            self.assertIn(b"--yes", refused.stderr)
            for answer, code in ((b"n\n", 1), (None, 130)):
                exited, seen = self.asked(answer, *command)
                self.assertEqual(exited, code, seen)
                self.assertIn("Nothing was changed", seen)
                self.run_it(*show)
            self.assertEqual(self.asked(b"y\n", *command)[0], 0)
            self.run_it(*show, code=3)

    def test_group_reset_asks_on_a_terminal(self):
        self.publish(8)
        self.on_layer("group", "reset", self.group, "--to", "begin", "--yes")
        for answer, code, place in ((b"n\n", 1, 0), (b"\n", 1, 0), (b"\x04", 1, 0), (None, 130, 0), (b"y\n", 0, 8)):
            exited, seen = self.asked(answer, "group", "reset", self.hrn, "layer", self.group, "--to", "end")
            self.assertEqual((exited, sum(self.standing().values())), (code, place), seen)
            self.assertIn("total lag 0", seen)  # what would be
            self.assertIn("The group was reset." if place else "Nothing was changed.", seen)

    def test_layer_show_tells_what_it_holds(self):
        self.publish(6)
        text = self.run_it("layer", "show", self.hrn, "layer", "--no-rates").stdout.decode()
        self.assertRegex(text, r"messages held +6, of 6 ever written\n")
        self.assertNotIn("/s", text)
        self.assertRegex(self.run_it("layer", "show", self.hrn, "layer").stdout.decode(),
                         r"being written +\d+\.\d messages/s\nthrough gateway +in +\d+\.\d messages/s, .*/s\n")
        shown = json.loads(self.run_it("layer", "show", self.hrn, "layer", "--no-rates", "--json").stdout)
        self.assertEqual((shown["statistics"]["messages"], shown["statistics"]["gateway"]["bytesIn"]), (6, 30))
        self.assertNotIn("perSecond", shown)

    def test_layer_show_has_rates(self):
        """What is written between its two looks, by whomever: Kafka's numbers, and the gateway's beside them."""
        process = subprocess.Popen([self.platform.binaries + "/streamlayer", "--config", self.platform.config, "layer",
                                    "show", self.hrn, "layer", "--json"], stdout=subprocess.PIPE)
        while process.poll() is None:
            self.publish(1)
        rates = json.loads(process.communicate()[0])["perSecond"]
        self.assertGreaterEqual(rates["seconds"], 0.9)
        self.assertGreater(rates["written"], 0)
        self.assertGreater(rates["gateway"]["bytesIn"], rates["gateway"]["messagesIn"])

    def test_group_needs_our_extensions(self):
        """On a gateway that has them switched off: unsupported, and the layer is shown without its numbers."""
        directory = self.scratch()
        up = Running(self.platform.binaries, directory + "/data", directory + "/log", "--kafka", self.platform.brokers,
                     "-D", "streamlayer.gateway.extensions=false")
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        self.platform = Platform({**self.platform.environment, "URL": up.ready(60),
                                  "CONFIG": directory + "/data/application.conf"})
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", "text/plain")
        for arguments in (("list",), ("describe", "g"), ("reset", "g", "--to", "end", "--yes")):
            said = self.on_layer("group", *arguments, code=1)
            self.assertIn("streamlayer.gateway.extensions", said)
        self.assertIn("does not tell", self.run_it("layer", "show", self.hrn, "layer").stdout.decode())
        self.assertNotIn("statistics", json.loads(self.run_it("layer", "show", self.hrn, "layer", "--json").stdout))
        base = self.platform.base("stream", "v2", self.hrn)
        self.assertEqual(self.platform.get(f"{base}/layers/layer/groups").status, 404)
        self.assertEqual(up.stop(), 0, up.text()[-3000:])

    def test_groups_of_a_kafka_that_falls_silent(self):
        """
        A Kafka just started has no coordinators: the first calls wait for them. While it is silent calls end with
        503; then all is as before, and the gateway has lived through it.
        """
        directory = self.scratch()
        kafka = Kafka(directory + "/kafka")
        self.addCleanup(kafka.stop, signal.SIGKILL)
        kafka.start()
        up = Running(self.platform.binaries, directory + "/data", directory + "/log", "--kafka",
                     f"127.0.0.1:{kafka.port}")
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        self.platform = Platform({**self.platform.environment, "URL": up.ready(60),
                                  "CONFIG": directory + "/data/application.conf"})
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", "text/plain")
        url = f"{self.platform.base('stream', 'v2', self.hrn)}/layers/layer/groups"
        first = self.platform.put(f"{url}/{self.group}/offsets", {"to": "begin"})
        self.assertEqual(first.status, 200, first.text)
        readers = [Accounts(self.platform).make() for _ in range(3)]
        for each in readers:
            each.grant(self.hrn, "read")
            self.assertEqual(each.get(f"{url}/nothing").status, 404)
        kafka.process.send_signal(signal.SIGSTOP)
        try:
            answers = self.at_once(lambda: self.platform.get(f"{url}/{self.group}"),
                                   lambda: self.platform.get(f"{url}/another"),
                                   lambda: self.platform.get(url),
                                   lambda: self.platform.put(f"{url}/{self.group}/offsets", {"to": "end"}))
            self.assertEqual([answer.status for answer in answers], [503] * 4, [answer.text for answer in answers])
            self.assertTrue(all(answer.headers["retry-after"] for answer in answers))
            # More than ask Kafka at once are told so. One application alone has not so many workers.
            answers = self.at_once(*[lambda each=each: each.get(f"{url}/{self.group}") for each in readers] * 4)
            self.assertEqual({(answer.status, answer.json()["code"]) for answer in answers},
                             {(503, "kafka-timed-out"), (503, "overloaded")})
        finally:
            kafka.process.send_signal(signal.SIGCONT)
        # What had timed out inside librdkafka would fire now.
        for name, status in ((self.group, 200), ("another", 404), (self.group, 200)):
            answer = self.platform.get(f"{url}/{name}")
            self.assertEqual(answer.status, status, answer.text + up.text()[-3000:])
        self.assertEqual([group["group"] for group in self.platform.get(url).json()["groups"]], [self.group])
        self.assertEqual(up.stop(), 0, up.text()[-3000:])
        self.assertNotRegex(up.text() + streamlayer.read_text(directory + "/data/gateway.log"),
                            streamlayer.SANITIZER_REPORT)

    @staticmethod
    def at_once(*calls):
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return [each.result() for each in [pool.submit(call) for call in calls]]


if __name__ == "__main__":
    streamlayer.main()
