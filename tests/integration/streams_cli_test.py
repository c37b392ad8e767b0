"""produce, consume, pipe and blob, as a person at a terminal and a script use them."""
import gzip
import hashlib
import json
import os
import pty
import re
import select
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.parse

import streamlayer
from streamlayer import TestCase

CONNECTOR = "here.platform.data-client.stream.connector."
CONNECTORS = ("kafka-connector", "http-connector")
MIB = 1 << 20


class Streams(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        self.group = self.platform.name("g")

    def layer(self, name="layer", partitions=1, *more):
        self.platform.cli("layer", "create", self.hrn, name, "--content-type", "text/plain", "--parallelization",
                          str(partitions), *more)

    def run_it(self, *arguments, code=0, **options):
        done = self.platform.cli(*arguments, check=False, **options)
        self.assertEqual(done.returncode, code, f"{arguments}: out {done.stdout[-500:]!r}, err {done.stderr!r}")
        self.assertNotRegex(done.stderr.decode(errors="replace"), streamlayer.SANITIZER_REPORT)
        return done

    def produce(self, data, *arguments, layer="layer", code=0):
        return self.run_it("produce", self.hrn, layer, *arguments, input=data, code=code)

    def consume(self, *arguments, layer="layer", connector="kafka-connector", code=0):
        done = self.run_it("-D", f"{CONNECTOR}consumer={connector}", "consume", self.hrn, layer, "--group", self.group,
                           *arguments, code=code)
        self.errors = done.stderr
        return done.stdout

    def look(self, *arguments, **options):
        return self.consume("--no-commit", *arguments, **options)

    def records(self, *arguments, **options):
        return [json.loads(line) for line in self.look("--json", *arguments, **options).splitlines()]

    def background(self, *arguments, **options):
        process = subprocess.Popen([self.platform.binaries + "/streamlayer", "--config", self.platform.config,
                                    *arguments], **options)

        def end():
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.addCleanup(end)
        return process

    def on_terminal(self, *arguments, data=b""):
        """What a terminal gets on standard error, and the exit code."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.background(*arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=slave,
                                  env={**os.environ, "TERM": "xterm"})
        os.close(slave)
        process.stdin.write(data)
        process.stdin.close()
        seen = b""
        while True:
            if not select.select([master], [], [], 60)[0]:
                self.fail(f"nothing for a minute; so far: {seen!r}")
            try:
                piece = os.read(master, 4096)
            except OSError:  # nobody has the terminal any more
                break
            if not piece:
                break
            seen += piece
        return seen, process.wait(60)

    def test_positions_and_ranges(self):
        """A range ends by itself, in each Kafka partition; over each connector."""
        self.layer("layer", 2, "--ttl", "24h")
        minute, now = 60_000, int(time.time() * 1000)
        self.produce("".join(json.dumps({"key": "k", "payload": str(index),
                                         "timestamp": now - (100 - 10 * index) * minute}) + "\n"
                             for index in range(10)).encode(), "--ndjson")
        iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime((now - 70 * minute) / 1000))
        for connector in CONNECTORS:
            for where, expected in (("begin:end", "0123456789"), ("2:5", "234"), ("-3:end", "789"), ("-5:-2", "567"),
                                    (":-2", "01234567"), ("8:9999", "89"), ("begin:@-55m", "01234"),
                                    (f"@{now - 50 * minute}:end", "56789"), (f"@{iso}:@-55m", "34"),
                                    (":@2001-01-01", "")):
                with self.subTest(connector=connector, where=where):
                    got = self.look("--offset", where, "--delimiter", "", connector=connector).decode()
                    self.assertEqual((got, self.errors), (expected, b""))
            for where, expected in (("-4", "6789"), ("@-15m", "9"), ("7", "789"), ("end", "")):
                with self.subTest(connector=connector, where=where):
                    self.assertEqual(self.look("--offset", where, "--delimiter", "", "--idle", "2",
                                               connector=connector).decode(), expected)
            # None of that was committed, the start at the end neither.
            self.assertEqual(self.look("--offset", ":end", "--delimiter", "", connector=connector), b"0123456789")

    def test_ranges_of_partitions(self):
        """-N counts in each partition, P/WHERE is for one, --partition leaves the others alone."""
        self.layer(partitions=2)
        keys = {}
        for number in range(64):
            self.produce(b"0\n", "--key", f"key-{number}")
            keys = {record["partition"]: record["key"] for record in self.records("--offset", "begin:end")}
            if len(keys) == 2:
                break
        for partition in (0, 1):
            self.produce(b"1\n2\n3\n", "--key", keys[partition])
        for connector in CONNECTORS:
            with self.subTest(connector=connector):
                def got(*arguments):
                    lines = self.look("--format", "%p:%s ", *arguments, connector=connector).decode().split()
                    return sorted(lines)
                self.assertEqual(got("--offset", "-2:end"), ["0:2", "0:3", "1:2", "1:3"])
                self.assertEqual(got("--offset", "0/-2:end", "--offset", "1/-1:end"), ["0:2", "0:3", "1:3"])
                self.assertEqual(got("--offset", "-1:end", "--partition", "1"), ["1:3"])
                self.assertEqual(got("--offset", "-1", "--partition", "0", "--idle", "2"), ["0:3"])
        self.consume("--offset", "0", "--partition", "2", code=2)

    def test_a_range_is_committed(self):
        """:end is what the group has not read yet."""
        self.layer(partitions=4)
        self.produce(b"".join(b"%d\n" % number for number in range(40)))
        for connector in CONNECTORS:
            self.assertEqual(len(self.consume("--offset", ":end", connector=connector).split()), 40)
            self.assertEqual(self.consume("--offset", ":end", connector=connector), b"")
            self.group = self.platform.name("g")

    def test_ndjson_round_trip(self):
        """What consume --json writes, produce --ndjson reads: every byte of it."""
        self.layer()
        self.layer("copy")
        payload = bytes(range(256))
        self.produce(json.dumps({
            "key": "Zürich", "payloadBase64": "AP/+", "timestamp": int(time.time() * 1000) - 1234, "traceId": "trace-1",
            "checksum": hashlib.sha256(b"\0\xff\xfe").hexdigest(), "crc": "abc",
            "headers": [{"name": "a", "value": "1"}, {"name": "b", "valueBase64": "/w=="}, {"name": "a", "value": "2"}],
        }).encode() + b"\n", "--ndjson")
        self.produce(payload, "--delimiter", "no such text", "--key", "k")
        self.produce(b'{"payload": {"speed": 50.0, "id": 99999999999999999999}, "key": "own"}\n{"payload": "x"}\n', "--ndjson", "--key", "given",
                     "--header", "h=v")
        lines = self.look("--json", "--offset", "begin:end")
        self.produce(lines, "--ndjson", layer="copy")

        def without(records):
            return [{name: value for name, value in record.items() if name not in ("partition", "offset")}
                    for record in records]
        before = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual(without(before), without(self.records("--offset", "begin:end", layer="copy")))
        self.assertEqual([record["key"] for record in before], ["Zürich", "k", "own", "given"])
        self.assertEqual(before[2]["payload"], '{"speed": 50.0, "id": 99999999999999999999}')
        self.assertEqual(before[3]["headers"], [{"name": "h", "value": "v"}])

    def test_ndjson_faults(self):
        """FILE:LINE and what is wrong; what is before it is sent."""
        self.layer()
        for line, text in ((b"x", "no JSON"), (b'{"paylaod": 1}', 'did you mean "payload"'), (b"{}", "is missing"),
                           (b'{"payload": "x", "checksum": "' + b"0" * 64 + b'"}', "SHA-256")):
            done = self.produce(b'{"payload": "fine"}\n' + line + b"\n", "--ndjson", code=1)
            self.assertIn("standard input:2", done.stderr.decode())
            self.assertIn(text, done.stderr.decode())
        self.assertEqual(self.look("--offset", "begin:end"), b"fine\n" * 4)

    def test_ndjson_blank_lines(self):
        """Lines of white space are passed over; they count, so that a fault is found where it stands."""
        self.layer()
        text = b'\n  \n{"payload": "a"}\r\n\t\r\n\n{"payload": "b"}\n \n'
        self.assertEqual(json.loads(self.produce(text, "--ndjson", "--json").stdout)["messages"], 2)
        self.assertEqual(self.look("--offset", "begin:end").split(), [b"a", b"b"])
        done = self.produce(b'\n{"payload": "c"}\n\nx\n', "--ndjson", code=1)
        self.assertIn("standard input:4: ", done.stderr.decode())
        self.assertIn("stopped early: 1 message was delivered", done.stderr.decode())
        self.produce(b"\n\n")  # without --ndjson they are messages
        self.assertEqual(len(self.records("--offset", "begin:end")), 5)

    def test_delimiters(self):
        self.layer()
        self.produce(b"a\r\nb\r\n", "--key", "k")
        self.produce(b"c\r\nd\r\n\n", "--key", "k", "--crlf")
        self.produce(b"e\0f\ng\0", "--key", "k", "--delimiter", "\\0")
        self.produce(b"k=>h--=>i-", "--key-delimiter", "=>", "--delimiter", "--")
        self.assertEqual([record["payload"] for record in self.records("--offset", "begin:end")],
                         ["a\r", "b\r", "c", "d", "", "e", "f\ng", "h", "i-"])
        self.assertEqual(self.look("--offset", "-2:end", "--delimiter", "\\0\\n"), b"h\0\ni-\0\n")
        self.assertEqual(self.look("--offset", "-4:end", "--raw"), b"ef\nghi-")
        self.assertEqual(self.look("--offset", "-3:-1", "--key-delimiter", "\\t"), b"k\tf\ng\nk\th\n")

    def test_formats(self):
        self.layer()
        stamp = int(time.time()) * 1000 + 250
        self.produce(b"payload\n", "--key", "car-17", "--header", "source=probe", "--timestamp", str(stamp))
        iso = time.strftime("%Y-%m-%dT%H:%M:%S.250Z", time.gmtime(stamp / 1000))
        for connector in CONNECTORS:
            self.assertEqual(self.look("--offset", "begin:end", "--format", "%p/%o %t %k(%K) %T %D [%h] %s(%S)%%\\n",
                                       connector=connector).decode(),
                             f"0/0 layer car-17(6) {stamp} {iso} [source=probe] payload(7)%\n")
        self.look("--format", "%z", code=2)

    def test_output_files(self):
        """A file is never cut; names of files stay in their directory, whatever the keys are."""
        self.layer()
        scratch = self.scratch()
        for key in ("../../escape", "/absolute", ".hidden", "a"):
            self.produce(key.encode() + b"\n", "--key", key)
        self.assertEqual(self.look("--offset", "begin:end", "--file-per-message", "--output", scratch + "/files",
                                   "--name", "%k"), b"")
        names = {"%2E.%2F..%2Fescape": "../../escape", "%2Fabsolute": "/absolute", "%2Ehidden": ".hidden", "a": "a"}
        self.assertEqual(set(os.listdir(scratch + "/files")), set(names))
        self.assertEqual(os.listdir(scratch), ["files"])
        for name, content in names.items():
            with open(f"{scratch}/files/{name}", encoding="utf-8") as file:
                self.assertEqual(file.read(), content)
        # A link there is replaced, not followed.
        victim = scratch + "/victim"
        with open(victim, "w", encoding="utf-8") as file:
            file.write("untouched")
        os.unlink(scratch + "/files/a")
        os.symlink(victim, scratch + "/files/a")
        self.look("--offset", "begin:end", "-F", "--output", scratch + "/files", "--name", "%k")
        self.assertFalse(os.path.islink(scratch + "/files/a"))
        with open(victim, encoding="utf-8") as file:
            self.assertEqual(file.read(), "untouched")
        output = scratch + "/output"
        self.look("--offset", "-1:end", "--output", output)
        self.look("--offset", "-1:end", "--output", output, code=2)
        self.look("--offset", "-1:end", "--output", output, "--append")
        with open(output, encoding="utf-8") as file:
            self.assertEqual(file.read(), "a\na\n")
        self.look("-F", "--output", scratch + "/files", "--name", "../%k", code=2)

    def test_large_payloads(self):
        """Over 1 MiB: through produce, consume, NDJSON and pipe; with --no-resolve the data handle."""
        self.layer()
        self.layer("copy")
        name, content = self.scratch() + "/large", os.urandom(2 * MIB + 1)
        with open(name, "wb") as file:
            file.write(content)
        for connector in CONNECTORS:
            self.run_it("-D", f"{CONNECTOR}producer={connector}", "produce", self.hrn, "layer", "-F", name)
        self.run_it("pipe", self.hrn, "layer", self.hrn, "copy", "--offset", "begin:end", "--group", self.group)
        self.produce(self.look("--json", "--offset", "-1:end"), "--ndjson", layer="copy")
        for connector in CONNECTORS:
            self.assertEqual(self.look("--offset", "begin:end", "--raw", layer="copy", connector=connector), content * 3)
        handles = [record["dataHandle"] for record in self.records("--offset", "begin:end", "--no-resolve",
                                                                   layer="copy")]
        self.assertEqual(len(set(handles)), 3)
        self.assertEqual(self.run_it("blob", "get", self.hrn, "copy", handles[0]).stdout, content)

    def test_compress(self):
        self.layer("layer", 1, "--content-encoding", "gzip")
        self.layer("plain")
        text = b"text " * 1000
        for connector in CONNECTORS:
            done = self.run_it("-D", f"{CONNECTOR}producer={connector}", "produce", self.hrn, "layer", input=text)
            self.assertEqual(done.stderr, b"")
        everything = ["--offset", "begin:end", "--raw"]
        for connector in CONNECTORS:
            self.assertEqual(self.look(*everything, connector=connector), text * 2)
            sent = self.look(*everything, "--compressed", connector=connector)
            self.assertEqual(gzip.decompress(sent), text * 2)
        # What is gzip already goes as it is; what says so and is not is refused, whichever way it would go.
        with open(self.scratch() + "/own.gz", "wb") as file:
            file.write(gzip.compress(b"own"))
        self.run_it("produce", self.hrn, "layer", "-F", "--compressed", file.name)
        self.assertEqual(self.look("--offset", "-1:end", "--raw"), b"own")
        record = self.records("--offset", "-1:end", "--compressed")[0]
        self.assertTrue(record["compressed"])
        self.produce(json.dumps(record).encode(), "--ndjson")
        self.assertEqual(self.look("--offset", "begin:end", "--raw"), text * 2 + b"own" * 2)
        said = set()
        for connector in CONNECTORS:
            done = self.run_it("-D", f"{CONNECTOR}producer={connector}", "produce", self.hrn, "layer", "--compressed",
                               input=b"plain", code=2)
            self.assertIn(b"does not begin with 1f 8b: compress it before it is sent", done.stderr)
            said.add(done.stderr)
        self.assertEqual(len(said), 1)
        self.assertEqual(self.look("--offset", "begin:end", "--raw"), text * 2 + b"own" * 2)

    def test_pipe_compresses(self):
        """From gzip to gzip byte by byte; else what it is worth."""
        text = b"text " * 1000
        for name in ("layer", "copy"):
            self.layer(name, 1, "--content-encoding", "gzip")
        for name in ("plain", "again"):
            self.layer(name)
        self.produce(text)
        for number, (source, target) in enumerate((("layer", "copy"), ("copy", "plain"), ("plain", "again"),
                                                   ("again", "layer"))):
            self.run_it("pipe", self.hrn, source, self.hrn, target, "--offset", "-1:end", "--group",
                        f"{self.group}-{number}")
        whole = ["--offset", "begin:end", "--raw", "--compressed"]
        sent = self.look(*whole, layer="copy")
        self.assertEqual(gzip.decompress(sent), text)
        self.assertEqual(self.look(*whole, layer="plain"), text)
        self.assertEqual(self.look(*whole, layer="again"), text)
        self.assertEqual(self.look(*whole), sent * 2)

    def test_rate(self):
        """Never faster: 20 messages at 50 a second, the first at once, take 0.36 s (bursts are of 20 ms)."""
        self.layer()
        self.layer("copy")
        lines = b"line\n" * 20
        for limit in ("50", "50/s", "200B/s"):
            summary = json.loads(self.produce(lines, "--rate", limit, "--json").stdout)
            self.assertEqual((summary["messages"], summary["failed"]), (20, 0))
            self.assertGreaterEqual(summary["seconds"], 0.35)
        done = self.run_it("pipe", self.hrn, "layer", self.hrn, "copy", "--offset", "-20:end", "--rate", "50", "--json",
                           "--group", self.group)
        summary = json.loads(done.stdout)
        self.assertEqual(summary["messages"], 20)
        self.assertGreaterEqual(summary["seconds"], 0.35)
        self.produce(b"", "--rate", "fast", code=2)

    def test_progress(self):
        """A line that is rewritten, on a terminal and nowhere else."""
        self.layer()
        command = ["produce", self.hrn, "layer", "--rate", "100"]
        seen, code = self.on_terminal(*command, data=b"line\n" * 80)
        self.assertEqual(code, 0)
        self.assertRegex(seen, rb"\rproduced \d+ messages, .* msg/s, [^\n]*\x1b\[K")
        self.assertRegex(seen, rb"\r\x1b\[Kproduced 80 messages, [^\r\n]*\r?\n$")
        self.assertEqual(self.on_terminal(*command, "--quiet", data=b"line\n" * 50), (b"", 0))
        self.assertEqual(self.on_terminal(*command, "--json", data=b"line\n" * 50), (b"", 0))
        self.assertEqual(self.run_it(*command, input=b"line\n" * 50).stderr, b"")

    def test_produce_ends_with_ctrl_c(self):
        """What was read is delivered, and told."""
        self.layer()
        process = self.background("produce", self.hrn, "layer", "--json", stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"one\ntwo\n")
        process.stdin.flush()
        streamlayer.wait_for(lambda: len(self.look("--offset", "begin:end").split()) == 2, 30, "both messages arrive")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(30), 130)
        self.assertEqual(json.loads(process.stdout.read())["messages"], 2)
        error = json.loads(process.stderr.read())["error"]
        self.assertEqual(error["status"], "interrupted")
        self.assertEqual(error["text"], "interrupted: 2 messages were delivered; what is from standard input:3 on was "
                                        "not sent")

    def test_produce_and_consume_end_when_the_layer_is_gone(self):
        """Neither waits for more: produce tells what was not sent and why, consume tells why, once."""
        self.layer()
        over = [f"-Dhere.platform.data-client.stream.connector.{side}=http-connector" for side in ("producer", "consumer")]
        writing = self.background("produce", self.hrn, "layer", *over, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        reading = self.background("consume", self.hrn, "layer", "--follow", *over, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        writing.stdin.write(b"one\n")
        writing.stdin.flush()
        self.assertEqual(reading.stdout.readline(), b"one\n")
        self.platform.delete(f"/config/v1/catalogs/{self.hrn}/layers/layer")
        writing.stdin.write(b"two\n")
        writing.stdin.flush()
        self.assertEqual(writing.wait(60), 3)
        errors = writing.stderr.read().decode()
        self.assertRegex(errors, "stopped early: 1 message was delivered; what is from standard input:[0-9]+ on was not sent")
        self.assertRegex(errors, "1 message was not delivered: .*has no layer")
        self.assertEqual(reading.wait(60), 3)
        told = re.findall("(?m)^streamlayer: (?!warning: ).*$", reading.stderr.read().decode())
        self.assertEqual(len(told), 1, told)

    def test_consume_waits_out_an_outage(self):
        """With --count for as long as it lasts; --idle counts only while the platform answers."""
        self.layer()
        self.produce(b"one\n")
        proxy = CuttingProxy(after=0, times=0)
        reading = self.background(
            "-D", f"{CONNECTOR}consumer=http-connector", "-D", "here.platform.data-client.stream.http.poll.max-wait=500ms",
            "consume", self.hrn, "layer", "--offset", "begin", "--count", "2", "--idle", "4", "--no-commit", "--group", self.group,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "http_proxy": proxy.url, "no_proxy": ""})
        self.assertEqual(reading.stdout.readline(), b"one\n")
        proxy.close()
        told = b""
        for line in reading.stderr:
            told += line
            if b"Failed to connect" in line and b"trying again" not in line:  # the command's own, not the library's
                break
        self.assertIn(b"warning: ", line, told)
        self.produce(b"two\n")
        again = CuttingProxy(after=0, times=0, port=proxy.port)
        self.addCleanup(again.close)
        out, errors = reading.communicate(timeout=120)
        self.assertEqual((reading.returncode, out), (0, b"two\n"), errors)

    def test_produce_of_large_payloads_ends_with_ctrl_c(self):
        """Payloads that are being stored are given up soon; what was delivered and what was not adds up; 130."""
        self.layer()
        proxy = CuttingProxy(after=0, times=0)
        self.addCleanup(proxy.close)
        name = self.scratch() + "/large"
        with open(name, "wb") as file:
            file.write(os.urandom(2 * MIB))
        with open(self.scratch() + "/small", "wb") as file:
            file.write(b"small")
        small = file.name
        proxy.hold("PUT")
        process = self.background("produce", self.hrn, "layer", "-F", small, name, name, "--json", stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, env={**os.environ, "http_proxy": proxy.url, "no_proxy": ""})
        self.assertTrue(proxy.held.wait(60), "a payload is being stored")
        streamlayer.wait_for(lambda: self.look("--offset", "begin:end") == b"small\n", 30, "the small one arrives")
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        summary = json.loads(out)
        self.assertEqual((summary["messages"], summary["failed"]), (1, 2), errors)
        error = json.loads(errors)["error"]
        self.assertEqual(error["status"], "interrupted")
        self.assertIn("interrupted: 1 message was delivered, 2 were not", error["text"])

    def test_blob(self):
        self.layer()
        name, content = self.scratch() + "/content", os.urandom(5 * MIB)
        with open(name, "wb") as file:
            file.write(content)
        handle = self.run_it("blob", "put", self.hrn, "layer", name).stdout.decode().strip()
        self.assertEqual(self.run_it("blob", "put", self.hrn, "layer", "--handle", "mine", input=content).stdout,
                         b"mine\n")
        stored = json.loads(self.run_it("blob", "put", self.hrn, "layer", "--handle", "empty", "--json").stdout)
        self.assertEqual(stored, {"dataHandle": "empty", "size": 0})
        for each in (handle, "mine"):
            self.assertEqual(self.run_it("blob", "size", self.hrn, "layer", each).stdout, b"%d\n" % (5 * MIB))
            self.assertEqual(self.run_it("blob", "get", self.hrn, "layer", each).stdout, content)
        self.assertEqual(self.run_it("blob", "get", self.hrn, "layer", "empty").stdout, b"")
        self.assertEqual(json.loads(self.run_it("blob", "size", self.hrn, "layer", "empty", "--json").stdout),
                         {"size": 0})
        for wanted, expected in (("0-0", content[:1]), (f"{4 * MIB - 5}-{4 * MIB + 4}",
                                                        content[4 * MIB - 5:4 * MIB + 5]),
                                 (f"{5 * MIB - 3}-", content[-3:]), ("-7", content[-7:]),
                                 (f"{5 * MIB - 2}-{9 * MIB}", content[-2:])):
            self.assertEqual(self.run_it("blob", "get", self.hrn, "layer", handle, "--range", wanted).stdout, expected)
        output = self.scratch() + "/out"
        self.run_it("blob", "get", self.hrn, "layer", handle, "--output", output)
        with open(output, "rb") as file:
            self.assertEqual(file.read(), content)
        self.assertEqual(os.listdir(os.path.dirname(output)), ["out"])
        self.leaves_files_alone(handle, output, content)
        self.assertIn(b"no-such", self.run_it("blob", "get", self.hrn, "layer", "no-such", code=3).stderr)
        self.run_it("blob", "get", self.hrn, "layer", handle, "--range", f"{5 * MIB}-", code=2)
        self.run_it("blob", "get", self.hrn, "layer", handle, "--range", "5-2", code=2)
        self.run_it("blob", "put", self.hrn, "layer", "/no/such/file", code=3)
        self.run_it("blob", "put", self.hrn, "layer", name, "--handle", "no slash/es", code=2)

    def leaves_files_alone(self, handle, output, content):
        """A file that has something in it is replaced with --force only, and by what is whole only."""
        with open(output, "wb") as file:
            file.write(b"mine")
        done = self.run_it("blob", "get", self.hrn, "layer", handle, "--output", output, code=2)
        self.assertIn(b"--force", done.stderr)
        self.run_it("blob", "get", self.hrn, "layer", "no-such", "--output", output, "--force", code=3)
        with open(output, "rb") as file:
            self.assertEqual(file.read(), b"mine")
        with open(output + ".part", "wb") as file:  # whoever's it is
            file.write(b"mine, too")
        self.run_it("blob", "get", self.hrn, "layer", handle, "--output", output, "--force")
        with open(output, "rb") as file:
            self.assertEqual(file.read(), content)
        with open(output + ".part", "rb") as file:
            self.assertEqual(file.read(), b"mine, too")
        os.unlink(output + ".part")
        with open(output + "-empty", "wb"):
            pass
        self.run_it("blob", "get", self.hrn, "layer", handle, "--output", output + "-empty", "--range", "0-3")
        with open(output + "-empty", "rb") as file:
            self.assertEqual(file.read(), content[:4])
        self.run_it("blob", "get", self.hrn, "layer", handle, "--force", code=2)
        self.assertEqual(sorted(os.listdir(os.path.dirname(output))), ["out", "out-empty"])

    def test_blob_put_obeys_signals(self):
        """A put that hangs ends with the first signal."""
        name = self.scratch() + "/blob"
        with open(name, "wb") as file:
            file.write(b"x" * 100)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(60)
            for number in (signal.SIGINT, signal.SIGTERM):
                process = subprocess.Popen(
                    [self.platform.binaries + "/streamlayer", "--config", self.platform.config, "-D",
                     "here.platform.data-client.endpoint-locator.discovery-service-url="
                     f"http://127.0.0.1:{silent.getsockname()[1]}/lookup/v1",
                     "blob", "put", self.hrn, "layer", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
                self.addCleanup(lambda process=process: (process.poll() is None and process.kill(),
                                                         process.communicate()))
                with silent.accept()[0]:  # it asks, and gets no answer
                    process.send_signal(number)
                    self.assertEqual(process.wait(20), 130)
                self.assertEqual(process.stdout.read(), b"")

    def test_blob_get_goes_on(self):
        """Connections that break off in the middle: it goes on there, and what comes is whole."""
        self.layer()
        content = os.urandom(9 * MIB)
        self.run_it("blob", "put", self.hrn, "layer", "--handle", "cut", input=content)
        proxy = CuttingProxy(after=3 * MIB, times=2)
        self.addCleanup(proxy.close)
        output = self.scratch() + "/out"
        done = self.run_it("blob", "get", self.hrn, "layer", "cut", "--output", output,
                           env={**os.environ, "http_proxy": proxy.url, "no_proxy": ""})
        with open(output, "rb") as file:
            self.assertEqual(file.read(), content)
        self.assertEqual(proxy.times, 0, done.stderr)

    def test_blob_get_that_fails_leaves_nothing(self):
        """Ctrl-C in the middle: neither a file nor a part of it; a file that comes meanwhile is left alone."""
        self.layer()
        self.run_it("blob", "put", self.hrn, "layer", "--handle", "held", input=bytes(5 * MIB))
        for meanwhile in (False, True):
            proxy = CuttingProxy(after=0, times=0)
            self.addCleanup(proxy.close)
            directory = self.scratch()
            proxy.hold("GET", MIB)
            process = self.background("blob", "get", self.hrn, "layer", "held", "--output", directory + "/out",
                                      stderr=subprocess.PIPE,
                                      env={**os.environ, "http_proxy": proxy.url, "no_proxy": ""})
            self.assertTrue(proxy.held.wait(60), "an answer is under way")
            self.assertRegex(" ".join(os.listdir(directory)), r"^out\.\d+\.part$")
            if meanwhile:
                with open(directory + "/out", "wb") as file:
                    file.write(b"mine")
            else:
                process.send_signal(signal.SIGINT)
            proxy.go_on.set()
            errors = process.communicate(timeout=60)[1]
            self.assertEqual(process.returncode, 2 if meanwhile else 130, errors)
            self.assertEqual(os.listdir(directory), ["out"] if meanwhile else [])

    def test_mistakes(self):
        """2, before anything is asked of the platform."""
        self.layer()
        for arguments in (["consume", "--offset", "5:2"], ["consume", "--offset", "@yesterday"],
                          ["consume", "--offset", "x/5"], ["consume", "--partition", "-1"],
                          ["consume", "--raw", "--json"], ["consume", "--append"],
                          ["consume", "--name", "%k"], ["consume", "--file-per-message"],
                          ["produce", "--ndjson", "--key-delimiter", ":"], ["produce", "--delimiter", ""],
                          ["produce", "--delimiter", "\\q"], ["produce", "--timestamp", "soon"],
                          ["produce", "--header", "novalue"], ["produce", "--header", "sl-x=1"]):
            with self.subTest(arguments=arguments):
                done = self.run_it(arguments[0], self.hrn, "layer", *arguments[1:], code=2)
                self.assertIn(arguments[-1 if arguments[-1].startswith("--") else -2], done.stderr.decode())


class CuttingProxy:
    """An HTTP proxy that breaks off the first answers after so many bytes, or holds them up."""

    def __init__(self, after, times, port=0):
        proxy = self
        self.times = times
        self.holds = None  # the method, and how much of the answer goes before
        self.held, self.go_on = threading.Event(), threading.Event()
        lock = threading.Lock()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                first = self.rfile.readline()
                if not first:
                    return
                method, url, version = first.decode().split()
                parts = urllib.parse.urlsplit(url)
                lines, length = [], 0
                while (line := self.rfile.readline()).strip():
                    name, value = line.decode().split(":", 1)
                    if name.lower() == "content-length":
                        length = int(value)
                    if "connection" not in name.lower():
                        lines.append(line)
                target = parts.path + ("?" + parts.query if parts.query else "")
                if proxy.holds == (method, 0):
                    proxy.wait()
                with socket.create_connection((parts.hostname, parts.port)) as server:
                    server.sendall(f"{method} {target} {version}\r\n".encode() + b"".join(lines) +
                                   b"Connection: close\r\n\r\n" + self.rfile.read(length))
                    sent = 0
                    while data := server.recv(65536):
                        self.wfile.write(data)
                        sent += len(data)
                        if proxy.holds and proxy.holds[0] == method and sent > proxy.holds[1]:
                            proxy.wait()
                        with lock:
                            if sent > after and proxy.times:
                                proxy.times -= 1
                                return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = allow_reuse_address = True

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def hold(self, method, after=0):
        """From now on requests with this method wait: before they are handed on, or when so much has come back."""
        self.holds = (method, after)

    def wait(self):
        self.held.set()
        self.go_on.wait(120)

    def close(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    streamlayer.main()
