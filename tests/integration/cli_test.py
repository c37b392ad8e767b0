"""The command line: the fixed names that scripts rely on."""
import json
import os
import re
import signal
import subprocess
import time

import streamlayer
from streamlayer import Running, TestCase

CONNECTOR = "here.platform.data-client.stream.connector."


class CommandLine(TestCase):
    def run_it(self, *arguments, code=0, **options):
        """Runs the command and checks its exit code. A command that fails says why on standard error, once."""
        done = self.platform.cli(*arguments, check=False, **options)
        self.assertEqual(done.returncode, code,
                         f"{arguments}: out {done.stdout[-500:]!r}, err {done.stderr.decode(errors='replace')}")
        if code not in (0, 130):
            self.assertRegex(done.stderr.decode(), r"^streamlayer: \S")
        self.assertNotRegex(done.stderr.decode(errors="replace"), streamlayer.SANITIZER_REPORT)
        return done

    def out(self, *arguments, **options):
        return self.run_it(*arguments, **options).stdout.decode()

    def setUp(self):
        self.group = self.platform.name("g")  # a group is Kafka's, whatever it reads: no test's is another's

    def make_layer(self, *more):
        hrn = self.platform.catalog()
        self.run_it("layer", "create", hrn, "layer", "--content-type", "text/plain", *more)
        return hrn

    def start(self, *arguments, **options):
        """The command in the background; ended with the test."""
        process = subprocess.Popen(
            [self.platform.binaries + "/streamlayer", "--config", self.platform.config, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

        def end():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(end)
        return process

    def test_catalog_create(self):
        name = self.platform.name("cli")
        self.assertEqual(self.out("catalog", "create", name), f"hrn:here:data::local:{name}\n")
        done = self.run_it("catalog", "create", name, code=1)
        self.assertIn(name, done.stderr.decode())
        self.run_it("catalog", "create", "Not/An-Id", code=2)

    def test_catalog_list_show_delete(self):
        hrn = self.make_layer()
        self.assertIn(hrn, self.out("catalog", "list"))
        self.assertIn(hrn, json.dumps(json.loads(self.out("catalog", "list", "--json"))))
        shown = self.out("catalog", "show", hrn)
        self.assertIn(hrn, shown)
        self.assertIn("layer", shown)
        self.run_it("catalog", "delete", hrn, "--yes")
        self.run_it("catalog", "show", hrn, code=3)
        self.assertNotIn(hrn + " ", self.out("catalog", "list"))

    def test_layer_create_list_show_delete(self):
        hrn = self.make_layer("--parallelization", "7")
        self.assertIn("layer", self.out("layer", "list", hrn))
        shown = json.loads(self.out("layer", "show", hrn, "layer", "--json"))
        self.assertIn("text/plain", json.dumps(shown))
        self.assertRegex(json.dumps(shown), r"\b7\b")
        self.run_it("layer", "create", hrn, "layer", "--content-type", "text/plain", code=1)
        self.run_it("layer", "create", hrn, "other", code=2)  # no content type
        self.run_it("layer", "delete", hrn, "layer", "--yes")
        self.run_it("layer", "show", hrn, "layer", code=3)

    def test_layer_create_tells_which_ttl(self):
        done = self.run_it("layer", "create", "hrn:here:data::local:x", "layer", "--content-type", "text/plain",
                           "--ttl", "1m", code=2)
        self.assertIn("--ttl 1m: a duration from 10m to 3d is needed, such as 10m, 2h, 1d; a number alone is seconds",
                      done.stderr.decode())

    def test_layer_create_help_tells_the_defaults(self):
        hrn = self.make_layer()
        shown = json.loads(self.out("layer", "show", hrn, "layer", "--json", "--no-rates"))
        text = " ".join(self.out("layer", "create", "--help").split())
        defaults = dict(re.findall(r"--([a-z-]+) [A-Z]+ [^-]*?\(default (\w+)\)", text))
        self.assertEqual({name: int(value) for name, value in defaults.items() if name != "ttl"},
                         {"parallelization": shown["parallelization"], "in-kbps": shown["inKbps"],
                          "out-kbps": shown["outKbps"]})
        self.assertEqual(defaults["ttl"], f"{shown['ttlMs'] // 3600000}h")
        self.assertEqual(shown["ttlMs"] % 3600000, 0)

    def test_produce_and_consume(self):
        """Lines from standard input and from files; begin, count, offset, end."""
        hrn = self.make_layer("--parallelization", "1")
        scratch = self.scratch()
        for name, text in (("a", "three\nfour\n"), ("b", "five")):
            with open(f"{scratch}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        self.run_it("produce", hrn, "layer", "--key", "k", input=b"one\ntwo\n")
        self.run_it("produce", hrn, "layer", f"{scratch}/a", f"{scratch}/b", "--key", "k")
        everything = "one\ntwo\nthree\nfour\nfive\n"
        self.assertEqual(self.out("consume", hrn, "layer", "--offset", "begin", "--count", "5"), everything)
        self.assertEqual(self.out("consume", hrn, "layer", "--offset", "begin", "--count", "2", "--group", self.group),
                         "one\ntwo\n")
        self.assertEqual(self.out("consume", hrn, "layer", "--offset", "3", "--count", "2", "--group",
                                  self.group + "h"), "four\nfive\n")
        self.assertEqual(self.out("consume", hrn, "layer", "--count", "3", "--group", self.group),
                         "three\nfour\nfive\n")

    def test_consume_shows_keys_and_headers(self):
        hrn = self.make_layer("--parallelization", "1")
        self.run_it("produce", hrn, "layer", "--key", "Zürich", "--header", "source=probe", input=b"x\n")
        message = json.loads(self.out("consume", hrn, "layer", "--offset", "begin", "--count", "1", "--json"))
        text = json.dumps(message, ensure_ascii=False)
        for piece in ("Zürich", "source", "probe"):
            self.assertIn(piece, text)

    def test_consume_over_each_connector(self):
        """-D chooses the connector, with nothing else changed."""
        hrn = self.make_layer("--parallelization", "1")
        for producer in ("kafka-connector", "http-connector"):
            self.run_it("-D", f"{CONNECTOR}producer={producer}", "produce", hrn, "layer", "--key", "k",
                        input=producer.encode() + b"\n")
        for consumer in ("kafka-connector", "http-connector"):
            self.assertEqual(self.out("-D", f"{CONNECTOR}consumer={consumer}", "consume", hrn, "layer", "--offset",
                                      "begin", "--count", "2"), "kafka-connector\nhttp-connector\n")

    def test_consume_ends_with_ctrl_c_and_leaves_the_group(self):
        """130; and what it leaves is at once the other member's: it gets every message, of all partitions."""
        for connector in ("kafka-connector", "http-connector"):
            hrn = self.make_layer("--parallelization", "4")
            first = self.start("-D", f"{CONNECTOR}consumer={connector}", "consume", hrn, "layer", "--follow", "--group",
                               self.group)
            self.produce_until(hrn, lambda: bool(self.some_output(first)))
            first.send_signal(signal.SIGINT)
            rest, errors = first.communicate(timeout=30)
            self.assertEqual(first.returncode, 130, errors)
            before = time.monotonic()
            self.run_it("produce", hrn, "layer", input="".join(f"new-{i}\n" for i in range(40)).encode())
            got = self.start("-D", f"{CONNECTOR}consumer={connector}", "consume", hrn, "layer", "--follow", "--group",
                             self.group)
            lines = set()

            def all_new():
                lines.update(self.some_output(got).decode().split("\n"))
                return {f"new-{i}" for i in range(40)} <= lines
            streamlayer.wait_for(all_new, 40, "the second consumer gets all the new messages")
            self.assertLess(time.monotonic() - before, 30, "the first left the group at once")
            got.send_signal(signal.SIGTERM)
            got.communicate(timeout=30)
            self.assertIn(got.returncode, (0, 130, 143))

    def test_ctrl_c_is_told(self):
        """By pipe always, by consume to machines: with --json an error whose status is interrupted."""
        hrn = self.make_layer()
        self.run_it("produce", hrn, "layer", input=b"x\n")
        for target, arguments in ((None, ["consume", hrn, "layer", "--json"]),
                                  ("one", ["pipe", hrn, "layer", hrn, "one", "--json"]),
                                  ("two", ["pipe", hrn, "layer", hrn, "two"])):
            if target:
                self.run_it("layer", "create", hrn, target, "--content-type", "text/plain")
            process = self.start(*arguments, "--follow", "--group", self.platform.name("g"))
            if target:  # until the message is there
                self.out("consume", hrn, target, "--offset", "begin", "--count", "1", "--idle", "60")
            else:
                self.assertIn(b"payload", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 130, errors)
            text = f"interrupted: 1 message was {'delivered' if target else 'read'}"
            if target == "two":
                self.assertEqual(errors.decode(), f"streamlayer: {text}\n")
            else:
                told = json.loads(errors)["error"]
                self.assertEqual((told["status"], told["text"]), ("interrupted", text))

    def produce_until(self, hrn, condition):
        def again():
            self.run_it("produce", hrn, "layer", input=b"probe\n" * 8)
            return condition()
        streamlayer.wait_for(again, 60, "the consumer gets a message")

    @staticmethod
    def some_output(process):
        """Whole lines that are there now."""
        os.set_blocking(process.stdout.fileno(), False)
        data = process.stdout.read()
        return data or b""

    def test_pipe(self):
        """Every message with key and header, each side with its own connector; a second run copies nothing twice."""
        for source, target in (("kafka-connector", "http-connector"), ("http-connector", "kafka-connector")):
            hrn = self.make_layer("--parallelization", "2")
            self.run_it("layer", "create", hrn, "copy", "--content-type", "text/plain", "--parallelization", "1")
            lines = "".join(f"line {i}\n" for i in range(500))
            self.run_it("produce", hrn, "layer", "--key", "k", "--header", "h=v", input=lines.encode())
            pipe = ["-D", f"{CONNECTOR}consumer={source}", "-D", f"{CONNECTOR}producer={target}", "pipe",
                    hrn, "layer", hrn, "copy", "--idle", "2"]
            self.run_it(*pipe)
            self.run_it(*pipe)
            self.assertEqual(self.out("consume", hrn, "copy", "--offset", "begin", "--idle", "3"), lines)
            first = self.out("consume", hrn, "copy", "--offset", "begin", "--count", "1", "--json", "--group",
                             self.group + "j")
            for piece in ('"k"', '"h"', '"v"'):
                self.assertIn(piece, first)

    def test_token(self):
        """Works with curl, as documented."""
        token = self.out("token")
        self.assertRegex(token, r"^\S{20,}\n$")
        for given, code in ((token.strip(), "200"), ("wrong", "401")):
            done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                                   f"Authorization: Bearer {given}", f"{self.platform.url}/config/v1/catalogs"],
                                  capture_output=True, check=True, timeout=30)
            self.assertEqual(done.stdout.decode(), code)

    def test_config_render(self):
        name = self.scratch() + "/a.conf"
        with open(name, "w", encoding="utf-8") as file:
            file.write('a { b = 1, c = ${a.b}"x" }\nlist = [1, "two"] # a comment\nlist += 3\n')
        self.assertEqual(json.loads(self.out("config", "render", name)),
                         {"a": {"b": 1, "c": "1x"}, "list": [1, "two", 3]})
        with open(name, "w", encoding="utf-8") as file:
            file.write("a = 1\nb = {\n")
        done = self.run_it("config", "render", name, code=2)
        self.assertRegex(done.stderr.decode(), r"a\.conf:\d+")
        self.run_it("config", "render", name + ".no-such", code=3)

    def test_config_show(self):
        """The value in force, and where it comes from."""
        path = CONNECTOR + "producer"
        self.assertRegex(self.out("config", "show", path.rsplit(".", 1)[0]), path.replace(".", r"\."))
        section = "here.platform.data-client.stream.connector"
        shown = self.out("-D", f"{path}=http-connector", "config", "show", section)
        self.assertRegex(shown, r"(?m)^SETTING +VALUE\n.*consumer +kafka-connector\n.*producer +http-connector$")
        shown = self.out("-D", f"{path}=http-connector", "config", "show", "--origin", section)
        self.assertRegex(shown, r"(?m)^SETTING +VALUE +FROM\n.*consumer +kafka-connector +default\n.*producer +"
                         "http-connector +-D$")
        self.assertRegex(self.out("-v", "config", "show", "--origin"), r"log\.level +info +-v\n")
        with open(self.platform.environment["CREDENTIALS"], encoding="utf-8") as file:
            secret = [line.split("=", 1)[1].strip() for line in file if "access.key.secret" in line][0]
        self.assertNotIn(secret, self.out("config", "show"))
        self.run_it("config", "show", "here.platform.no-such", code=3)

    def test_config_check_original(self):
        """Files as users of the Data Client Library have them."""
        directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../config/original")
        for name in sorted(os.listdir(directory)):
            if name.endswith((".conf", ".json")):
                self.run_it("--config", os.path.join(directory, name), "config", "check")

    def test_config_show_layer(self):
        """A layer's connectors, and which setting says so."""
        hrn, layers = "hrn:here:data::local:roads.v2", "here.platform.data-client.stream.layers"
        name = self.scratch() + "/a.conf"
        with open(name, "w", encoding="utf-8") as file:
            file.write(f'{layers} {{\n "{hrn}" {{\n  "*".connector.consumer = http-connector\n'
                       '  "a.b".connector.producer = http-connector\n }\n}\n')

        def lines(*arguments):
            return [re.split(r"\s\s+", line) for line in self.out("--config", name, *arguments).splitlines()]

        every, producer = f'{layers}."{hrn}"."*".connector.consumer', f'{layers}."{hrn}"."a.b".connector.producer'
        self.assertEqual(lines("config", "show", "--layer", hrn, "a.b"),
                         [["SETTING", "VALUE", "FROM"], [producer, "http-connector", f"{name}:4"],
                          [every, "http-connector", f"{name}:3"]])
        self.assertEqual(lines("config", "show", "--origin", layers)[1:],
                         [[every, "http-connector", f"{name}:3"], [producer, "http-connector", f"{name}:4"]])
        shown = json.loads(self.out("--config", name, "-D", f'{layers}."{hrn}".c.connector.consumer=kafka-connector',
                                    "config", "show", "--layer", hrn, "c", "--json"))
        self.assertEqual(shown, {
            CONNECTOR + "producer": {"value": "kafka-connector", "origin": "default", "setBy": CONNECTOR + "producer"},
            CONNECTOR + "consumer": {"value": "kafka-connector", "origin": "-D",
                                     "setBy": f'{layers}."{hrn}".c.connector.consumer'}})
        self.assertRegex(self.out("--config", name, "context", "show"), r"(?m)^per layer  2 \(")
        for arguments, text in (
                (["config", "show", "--layer", hrn], "HRN"), (["config", "show", "--layer", "roads", "c"], '"roads"'),
                (["config", "show", "--layer", hrn, "a b"], "layer id"), (["config", "show", "a", "b"], "PATH"),
                (["-D", f"{layers}.{hrn}.c.connector.consumer=http-connector", "config", "show"],
                 "unexpected ':' (text that contains it needs quotes)"),
                (["-D", f'{layers}."{hrn}".c.connector.consumer=htp-connector', "config", "show", "--layer", hrn, "c"],
                 f'-D: {layers}."{hrn}".c.connector.consumer = "htp-connector": unknown connector; allowed: '
                 "kafka-connector, http-connector (did you mean http-connector?)")):
            self.assertIn(text, self.run_it("--config", name, *arguments, code=2).stderr.decode())

    def test_config_show_all(self):
        """What is not set is among what is, in order."""
        section = "here.platform.data-client.proxy"
        self.assertEqual(self.out("config", "show", section).split("\n")[1:],
                         [f"{section}.port    8080", f"{section}.scheme  http", ""])
        shown = json.loads(self.out("-D", f"{section}.user=me", "config", "show", "--all", "--json", section))
        self.assertEqual(list(shown), [f"{section}.{name}" for name in (
            "credentials.password", "credentials.username", "exclude", "host", "port", "scheme")])
        self.assertEqual(shown[f"{section}.credentials.username"], {"value": "me", "origin": "-D"})
        self.assertEqual(shown[f"{section}.host"], {"value": None, "origin": None})
        self.assertRegex(self.out("config", "show", "--all", "--origin", section), r"proxy\.host +\(not set\)")
        self.run_it("config", "show", f"{section}.host", code=3)
        self.run_it("config", "show", "--all", f"{section}.host")

    def findings(self, text, *arguments, code=0, **variables):
        """What `config check --json` finds in a file, as "LEVEL MESSAGE", and whether it says ok."""
        scratch = self.scratch()
        with open(scratch + "/a.conf", "w", encoding="utf-8") as file:
            file.write(text)
        done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", "a.conf", "--json", *arguments],
                              capture_output=True, check=False, cwd=scratch, timeout=60,
                              env={"HOME": scratch, "PATH": os.environ["PATH"], **variables})
        self.assertEqual((done.returncode, done.stderr), (code, b""))
        told = json.loads(done.stdout)
        return [f"{one['level']} {one['message']}" for one in told["findings"]], told["ok"]

    def test_config_check(self):
        """All that is wrong, with what kind it is; errors count, and notes where they are asked to."""
        root = "here.platform.data-client."
        note = f"note a.conf:1: {root}mine: no setting of streamlayer's: it has no effect here"
        error = f"error a.conf:2: unknown setting {CONNECTOR}producr (did you mean producer?)"
        file = f'error a.conf:3: {root}tls.ca-file = "none.pem": cannot be read: No such file or directory'
        lines = [f"{root}mine = 1\n", f"{CONNECTOR}producr = http-connector\n", f"{root}tls.ca-file = none.pem\n"]
        self.assertEqual(self.findings("", "config", "check"), ([], True))
        self.assertEqual(self.findings(lines[0], "config", "check"), ([note], True))
        self.assertEqual(self.findings(lines[0], "config", "check", "--strict", code=2), ([note], False))
        self.assertEqual(self.findings("".join(lines), "config", "check", code=2), ([note, error, file], False))
        self.assertEqual(self.findings("", "config", "check", code=2, STREAMLAYER_CONECTOR_PRODUCER="x")[0],
                         ["error environment STREAMLAYER_CONECTOR_PRODUCER: unknown variable (did you mean "
                          "STREAMLAYER_CONNECTOR_PRODUCER?)"])
        # The files of TLS, as a client asks; and a short name, which nothing reads.
        self.assertEqual(self.findings(f"{root}tls.ca-file = /etc/passwd\n", "config", "check", code=2)[0],
                         [f"error a.conf:1: {root}tls.ca-file = /etc/passwd: there is no certificate in it (PEM: "
                          "-----BEGIN CERTIFICATE-----)"])
        self.assertEqual(self.findings(f"\n{root}tls.key-file = /etc/passwd\n", "config", "check", code=2)[0],
                         [f"error a.conf:2: {root}tls.key-file is set, but no {root}tls.certificate-file"])
        self.assertEqual(self.findings("\nstream.consumer.group = mine\n", "config", "check", code=2)[0],
                         [f"error a.conf:2: unknown setting stream.consumer.group (did you mean {root}stream.consumer.group?)"])
        done = self.run_it("config", "show", "stream.connector", code=3)
        self.assertIn(f'at "stream.connector" (did you mean {CONNECTOR[:-1]}?)', done.stderr.decode())
        self.assertEqual(self.findings("", "config", "check", code=2, HERE_ACCESS_KEY_ID="i")[0],
                         ["error environment HERE_ACCESS_KEY_ID: HERE_ACCESS_KEY_SECRET is missing: credentials need "
                          "HERE_ACCESS_KEY_ID and HERE_ACCESS_KEY_SECRET"])
        # For people: on standard error, where show tells of them too.
        name = self.scratch() + "/a.conf"
        with open(name, "w", encoding="utf-8") as opened:
            opened.write("".join(lines))
        # A name that is no UTF-8 hides nothing from machines.
        odd = os.fsencode(self.scratch()) + b"/caf\xe9.conf"
        with open(odd, "w", encoding="utf-8") as opened:
            opened.write("".join(lines))
        done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", odd, "--json", "config", "check"],
                              capture_output=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual((json.loads(done.stdout)["ok"], len(json.loads(done.stdout)["findings"])), (False, 3))
        for command, code in ((["check"], 2), (["show"], 0)):
            done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", name, "config", *command],
                                  capture_output=True, check=False, timeout=60)
            self.assertEqual(done.returncode, code, done.stderr)
            told = [line.split(name)[-1] for line in done.stderr.decode().splitlines()]
            self.assertEqual(told, [one.split("a.conf", 1)[1] for one in (note, error, file)])
        done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", name, "config", "show", CONNECTOR[:-1]],
                              capture_output=True, check=False, timeout=60)
        self.assertEqual(len(done.stderr.splitlines()), 1)  # of what was asked for only
        done = self.run_it("config", "check")
        self.assertEqual(done.stdout, b"ok\n")

    def test_config_shows_no_secret(self):
        """However it is written; nor do errors."""
        scratch = self.scratch()
        kafka = "here.platform.data-client.stream.kafka.producer"
        signer = "here.platform.data-client.request-signer.credentials."
        with open(scratch + "/a.conf", "w", encoding="utf-8") as file:
            file.write(f"""
                {kafka} {{ "ssl.keystore.password" = hush1, ssl.keystore.key = hush2, passwort = hush3
                    sasl.oauthbearer.config = "principal=me secret=hush4", sasl.jaas.config = [hush5] }}
                {signer}here-account.here-access-key-secret = {{ x = hush6, y = [hush6] }}
                other.url = ["http://user:hush7@host/", {{ password: hush7 }}]
                source.v = hush8
                {signer}here-token = ${{source.v}}
                here.platform.data-client.log.level = ${{source.v}}
                here.platform.data-client.endpoint-locator.discovery-service-url = "http://user:hush9@host/"
                """)
        for command in (["show"], ["show", "--json"], ["show", "--origin", "--all"], ["show", kafka + ".sasl"],
                        ["check"], ["check", "--json"]):
            done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", scratch + "/a.conf", "config",
                                   *command], capture_output=True, check=False, timeout=60)
            self.assertIn(done.returncode, (0, 2), done.stderr)
            self.assertIn(b"********", done.stdout + done.stderr)
            self.assertNotIn(b"hush", done.stdout + done.stderr)

    def test_exit_codes(self):
        """As `streamlayer help` says."""
        hrn = self.make_layer()
        self.run_it("no-such-command", code=2)
        self.run_it("consume", code=2)
        self.run_it("consume", hrn, "layer", "--count", "many", code=2)
        self.run_it("consume", hrn, "layer", "--no-such-option", code=2)
        self.run_it("consume", hrn, "no-such-layer", "--count", "1", code=3)
        self.run_it("produce", "hrn:here:data::local:no-such-catalog", "layer", code=3, input=b"x\n")
        self.run_it("produce", hrn, "layer", "/no/such/file", code=3)
        self.run_it("-D", CONNECTOR + "producer=kafka-conector", "produce", hrn, "layer", code=2, input=b"x\n")
        url = "here.platform.data-client.endpoint-locator.discovery-service-url"
        done = self.run_it("-D", f"{url}=http://127.0.0.1:9/lookup/v1", "catalog", "list", code=5)
        self.assertIn("`streamlayer up`", done.stderr.decode())
        self.run_it("-D", f"here.platform.data-client.stream.kafka.plugin-directory={self.scratch()}", "produce", hrn,
                    "layer", code=6, input=b"x\n")

    def test_closed_standard_files(self):
        """Nothing that is opened later takes the place of a standard file that is closed: it fails, at once."""
        hrn = self.make_layer()
        self.run_it("produce", hrn, "layer", input=b"x\n")
        program = [self.platform.binaries + "/streamlayer", "--config", self.platform.config]
        for redirection, arguments, text in (
                ("<&-", ["produce", hrn, "layer"], "standard input: "),
                (">&-", ["consume", hrn, "layer", "--offset", "begin:end", "--no-commit"], "standard output: "),
                ("<&- >&- 2>&-", ["consume", hrn, "layer", "--offset", "begin:end", "--no-commit"], "")):
            done = subprocess.run(["bash", "-c", f'"$@" {redirection}', "bash", *program, *arguments],
                                  capture_output=True, check=False, timeout=60)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(text, done.stderr.decode())

    def test_a_partition_that_the_layer_lacks(self):
        hrn = self.make_layer("--parallelization", "2")
        for arguments in (["--partition", "2"], ["--offset", "2/0:1"], ["--offset", "2/5"], ["--offset", "7/begin"]):
            done = self.run_it("consume", hrn, "layer", "--no-commit", *arguments, code=2)
            self.assertIn("the layer has the Kafka partitions 0 to 1", done.stderr.decode())

    def test_errors_name_the_platform(self):
        """Its URL, and what has chosen it."""
        done = self.run_it("catalog", "show", "hrn:here:data::local:no-such-catalog", code=3)
        self.assertRegex(done.stderr.decode(), r"The platform is http://\S+ \(--config: /")
        url = "here.platform.data-client.endpoint-locator.discovery-service-url"
        done = self.run_it("-D", f"{url}=http://127.0.0.1:9/lookup/v1", "catalog", "list", code=5)
        self.assertIn("The platform is http://127.0.0.1:9/lookup/v1 (-D).", done.stderr.decode())

    def test_exit_codes_without_files(self):
        """A file that is named and not there is 3; no credentials at all are 4, with what mends it."""
        program = self.platform.binaries + "/streamlayer"
        signer = "here.platform.data-client.request-signer.credentials.file-path"
        scratch, contexts = self.scratch(), self.scratch()
        os.makedirs(contexts + "/streamlayer")
        with open(contexts + "/streamlayer/contexts.conf", "w", encoding="utf-8") as file:
            file.write('current = gone\ncontexts.gone.file = "/no-such.conf"\n')
        for arguments, variables, code, text in (
                (["--config", "/no-such.conf"], {}, 3, "/no-such.conf"),
                ([], {"STREAMLAYER_CONFIG": "/no-such.conf"}, 3, "STREAMLAYER_CONFIG"),
                (["-D", signer + "=/no-such.properties"], {}, 3, "/no-such.properties"),
                ([], {"HERE_CREDENTIALS_FILE": "/no-such.ini"}, 3, "HERE_CREDENTIALS_FILE"),
                (["--context", "gone"], {"XDG_CONFIG_HOME": contexts}, 3, "context gone, "),
                ([], {"XDG_CONFIG_HOME": contexts, "STREAMLAYER_CONTEXT": "gone"}, 3, "STREAMLAYER_CONTEXT"),
                ([], {"XDG_CONFIG_HOME": contexts}, 3, "context gone, "),
                ([], {}, 4, "No configuration file was read")):
            environment = {"HOME": scratch, "PATH": os.environ["PATH"], **variables}
            done = subprocess.run([program, *arguments, "catalog", "list"], capture_output=True, check=False,
                                  cwd=scratch, env=environment, timeout=60)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr.decode())

    def test_produce_stops_at_a_bad_line(self):
        """It says what was delivered and where it stopped; sent is what is before, and nothing behind."""
        hrn = self.make_layer("--parallelization", "1")
        bad = self.scratch() + "/bad"
        with open(bad, "w", encoding="utf-8") as file:
            file.write("k\tone\nk\ttwo\nno key\nk\tthree\n")
        done = self.run_it("produce", hrn, "layer", bad, bad + ".no-such", "--key-delimiter", "\\t", "-v", code=1)
        errors = done.stderr.decode()
        self.assertIn("stopped early: 2 messages were delivered", errors)
        self.assertIn(f"{bad}:3 on was not sent", errors)
        self.assertRegex(errors, r"(?m)^produced 2 messages")
        done = self.run_it("produce", hrn, "layer", bad + ".no-such", code=3)
        self.assertIn(f"{bad}.no-such on was not sent", done.stderr.decode())
        self.assertEqual(self.out("consume", hrn, "layer", "--offset", "begin", "--idle", "2"), "one\ntwo\n")

    def test_did_you_mean(self):
        for wrong, right in ((["cosume"], "consume"), (["catalog", "lst"], "catalog list"),
                             (["consume", "--ofset", "1"], "--offset")):
            done = self.run_it(*wrong, code=2)
            self.assertRegex(done.stderr.decode(), f'did you mean "?{right}')

    def test_an_option_is_unknown_or_ambiguous(self):
        for wrong, said in (("--co", "ambiguous option --co: --config or --context"), ("--zebra", "unknown option --zebra")):
            done = self.run_it("catalog", "list", wrong, "x", code=2)
            self.assertIn(f"streamlayer: {said}\n", done.stderr.decode())

    def test_unknown_connector_name(self):
        """File, line and the allowed names."""
        hrn = self.make_layer()
        name = self.scratch() + "/mine.conf"
        with open(name, "w", encoding="utf-8") as file:
            file.write(f'include file("{self.platform.config}")\n\n{CONNECTOR}consumer = "htpp-connector"\n')
        done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", name, "consume", hrn, "layer"],
                              capture_output=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 2, done.stderr)
        for piece in ("mine.conf:3", "htpp-connector", "kafka-connector", "http-connector"):
            self.assertIn(piece, done.stderr.decode())

    def test_version_and_help(self):
        self.assertRegex(self.out("version"), r"^streamlayer \d+\.\d+\.\d+\n$")
        overview = self.out("help")
        self.assertEqual(self.out("help", "--help"), overview)
        for command in ("up", "catalog create", "layer create", "produce", "consume", "pipe", "config show",
                        "config render", "token", "version"):
            self.assertIn(command, overview)
            self.assertIn("Usage", self.out(*command.split(), "--help"))
        self.assertIn("130", overview)

    def test_output_that_cannot_be_written(self):
        """A full disk is a failure, not a success with half the messages; a reader that has gone ends it."""
        hrn = self.make_layer("--parallelization", "1")
        self.run_it("produce", hrn, "layer", "--key", "k", input=b"line\n" * 1000)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", self.platform.config, "consume",
                                   hrn, "layer", "--offset", "begin", "--count", "1000"], stdout=full,
                                  stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        gone, ours = os.pipe()
        os.close(gone)
        done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", self.platform.config, "consume",
                               hrn, "layer", "--offset", "begin", "--group", self.group], stdout=ours,
                              stderr=subprocess.PIPE, check=False, timeout=60)
        os.close(ours)
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, b""))
        self.assertEqual(self.out("consume", hrn, "layer", "--group", self.group, "--idle", "3"), "line\n" * 1000)

    def test_up_is_refused_twice(self):
        """One platform a data directory: the second says which process has it."""
        done = subprocess.run([self.platform.binaries + "/streamlayer", "up", "--port", "0", "--data-dir",
                               self.platform.environment["DIR"] + "/data"], capture_output=True, check=False,
                              timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(self.platform.environment["PID"], done.stderr.decode())
        self.assertEqual(self.platform.get("/health", token=None).status, 200)

    def test_up_on_a_port_in_use(self):
        directory = self.scratch()
        port = self.platform.url.rsplit(":", 1)[1]
        done = subprocess.run([self.platform.binaries + "/streamlayer", "up", "--port", port, "--data-dir",
                               directory + "/data", "--kafka", self.platform.brokers],
                              capture_output=True, check=False, timeout=60)
        self.assertIn(done.returncode, (1, 5), done.stderr)
        self.assertIn(port, done.stderr.decode())
        self.assertIn("--port 0", done.stderr.decode())
        self.assertFalse(os.path.exists(directory + "/data"))

    def test_up_without_brokers(self):
        """A cluster that is not there: an error, in bounded time."""
        directory = self.scratch()
        up = Running(self.platform.binaries, directory + "/data", directory + "/log", "--kafka", "127.0.0.1:9")
        self.addCleanup(lambda: up.process.poll() is not None or up.kill())
        self.assertIn(up.process.wait(120), (1, 5), up.text())
        self.assertIn("127.0.0.1:9", up.text())
        self.assertNotRegex(up.text(), "(?m)^ready")
        self.assertIn("Kafka cannot be reached: 127.0.0.1:9: Connection refused", up.text())
        self.assertNotIn("FAIL", up.text())


if __name__ == "__main__":
    streamlayer.main()
