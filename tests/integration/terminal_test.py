"""The command line at a terminal: contexts, completions in real shells, manual pages, status, errors as JSON."""
import http.server
import json
import os
import pty
import re
import select
import shutil
import subprocess
import threading
import time

import streamlayer
from accounts import Accounts
from streamlayer import TestCase

URL = "here.platform.data-client.endpoint-locator.discovery-service-url"
CONNECTOR = "here.platform.data-client.stream.connector."
SIGNER = "here.platform.data-client.request-signer.credentials.file-path"


class Terminal(TestCase):
    """A home of its own; the platform is found only where the test says so."""

    def setUp(self):
        self.home = self.scratch()
        self.environment = {"HOME": self.home, "PATH": f"{self.platform.binaries}:{os.environ['PATH']}",
                            "LC_ALL": "C.UTF-8", "TERM": "dumb",
                            **{name: value for name, value in os.environ.items()
                               if name.endswith("SAN_OPTIONS") or name == "LD_PRELOAD"}}

    def run_it(self, *arguments, code=0, variables=None, cwd=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run([self.platform.binaries + "/streamlayer", *arguments], check=False, capture_output=True,
                              timeout=100, cwd=cwd or self.home, env={**self.environment, **(variables or {})},
                              **options)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout[-800:]} {done.stderr[-2000:]}")
        self.assertNotRegex(done.stderr.decode(errors="replace"), streamlayer.SANITIZER_REPORT)
        return done

    def out(self, *arguments, **options):
        return self.run_it(*arguments, **options).stdout.decode()

    def add_context(self, name="here", *more):
        self.run_it("context", "add", name, self.platform.config, *more)

    @property
    def contexts(self):
        return self.home + "/.config/streamlayer/contexts.conf"

    def commands(self):
        """Every command's name, from the overview."""
        overview = self.out("help").split("Commands:\n", 1)[1].split("\n\n", 1)[0]
        return [re.match(r"  (\S+(?: [a-z]\S*)?)", line).group(1) for line in overview.splitlines()
                if "[COMMAND]" not in line]


class Contexts(Terminal):
    def test_context_add_use_show_remove(self):
        """Two platforms in one file: the first is current at once; each call may choose; comments by hand stay."""
        self.add_context()
        self.run_it("context", "add", "other", "-D", f"{URL}=http://127.0.0.1:9", "-D", f"{SIGNER}=/no-such")
        listed = {one["name"]: one for one in json.loads(self.out("context", "list", "--json"))}
        self.assertEqual((listed["here"]["current"], listed["other"]["current"]), (True, False))
        self.assertEqual(listed["other"]["lookupUrl"], "http://127.0.0.1:9/lookup/v1")
        self.assertTrue(listed["here"]["lookupUrl"].startswith(self.platform.url))
        self.out("catalog", "list")  # the platform under test, found by the current context alone
        with open(self.contexts, "a", encoding="utf-8") as file:
            file.write("# mine\ncontexts { third { " + URL + ' = "http://127.0.0.1:10" } }\n')
        self.assertIn("127.0.0.1:10", self.out("context", "list"))
        self.run_it("context", "use", "other")
        self.assertRegex(self.out("context", "show"), r"context +other\nchosen by +the current context")
        self.assertRegex(self.out("config", "show", "--origin", URL.rsplit(".", 1)[0]), r"url +http://127.0.0.1:9 +\S+/contexts.conf:\d+")
        self.run_it("context", "remove", "other")
        self.assertRegex(self.out("context", "show"), r"context +none")
        with open(self.contexts, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("# mine", text)
        self.assertNotIn("other", text)
        self.assertEqual(os.stat(self.contexts).st_mode & 0o777, 0o600)
        # What people have written otherwise, people change.
        done = self.run_it("context", "remove", "third", code=2)
        self.assertIn("by hand", done.stderr.decode())
        self.run_it("context", "remove", "fourth", code=3)
        for arguments in (["context", "use", "fourth"], ["--context", "fourth", "catalog", "list"],
                          ["context", "show", "fourth"], ["context", "use", "a.b"], ["--context", "a.b", "status"]):
            self.assertIn("there is no context", self.run_it(*arguments, code=3).stderr.decode())
        self.run_it("context", "add", "here", self.platform.config, code=1)
        self.run_it("context", "add", "a.b", self.platform.config, code=2)
        self.run_it("context", "add", "empty", code=2)
        self.run_it("context", "add", "wrong", "-D", CONNECTOR + "producer=htpp-connector", code=2)

    def test_context_order(self):
        """--config or --context, STREAMLAYER_CONTEXT, STREAMLAYER_CONFIG, ./application.conf, the current context."""
        def setting(name, port):
            path = f"{self.home}/{name}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(f'{URL} = "http://127.0.0.1:{port}"\n')
            return path
        here = os.path.dirname(setting("work/application.conf", 4))
        given, named = setting("given.conf", 1), setting("named.conf", 3)
        for name, port in (("current", 5), ("variable", 2), ("option", 1)):
            self.run_it("context", "add", name, setting(f"{name}.conf", port))

        def port(*arguments, cwd=None, **variables):
            shown = json.loads(self.out(*arguments, "context", "show", "--json", cwd=cwd, variables=variables))
            return int(re.search(r":(\d+)/lookup", shown["lookupUrl"]).group(1))
        everything = {"STREAMLAYER_CONTEXT": "variable", "STREAMLAYER_CONFIG": named}
        self.assertEqual(port("--config", given, cwd=here, **everything), 1)
        self.assertEqual(port("--context", "option", cwd=here, **everything), 1)
        self.assertEqual(port(cwd=here, **everything), 2)
        self.assertEqual(port(cwd=here, STREAMLAYER_CONFIG=named), 3)
        self.assertEqual(port(cwd=here), 4)
        self.assertEqual(port(), 5)
        self.run_it("--config", given, "--context", "option", "context", "show", code=2)
        done = self.run_it("--context", "optoin", "catalog", "list", code=3)
        self.assertIn('did you mean "option"', done.stderr.decode())

    def test_context_whose_file_is_gone(self):
        """It says which context names the file; others work, and the default platform is not taken instead."""
        path = self.home + "/gone.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write("a = 1\n")
        self.run_it("context", "add", "gone", path)
        self.add_context("here")
        os.remove(path)
        done = self.run_it("catalog", "list", code=3)
        for piece in ("context gone", "contexts.conf:", path):
            self.assertIn(piece, done.stderr.decode())
        self.out("--context", "here", "catalog", "list")
        self.assertIn("gone.conf", self.out("context", "list"))

    def test_context_of_up(self):
        """`up` is found without being told where; it never writes over what is somebody's."""
        def up(*arguments, variables=None):
            data = f"{self.home}/{self.platform.name('data')}"
            with open(data + ".log", "wb") as log:
                process = subprocess.Popen(
                    [self.platform.binaries + "/streamlayer", "up", "--data-dir", data, "--port", "0", "--kafka",
                     self.platform.brokers, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**self.environment, **(variables or {})}, cwd=self.home)
            self.addCleanup(lambda: (process.poll() is None and process.kill(), process.wait()))
            url = streamlayer.ready_url(data + ".log", process.poll, 60)
            return process, url, data

        def end(process):
            process.terminate()
            self.assertEqual(process.wait(60), 0)
        first, url, data = up(variables={"STREAMLAYER_CONFIG": "/no-such/application.conf"})
        self.assertIn("/no-such/application.conf", streamlayer.read_text(data + ".log"))
        self.assertIn(url, self.out("context", "show"))
        self.out("catalog", "list")
        second, _, data = up()  # a running one's name is not taken
        self.assertIn("another `streamlayer up`", streamlayer.read_text(data + ".log"))
        self.assertIn("export STREAMLAYER_CONFIG", streamlayer.read_text(data + ".log"))
        self.assertIn(url, self.out("context", "show"))
        end(second)
        end(first)
        third, url, later = up()  # one that has ended gives way, and it is told
        self.assertIn("which does not run", streamlayer.read_text(later + ".log"))
        self.assertIn(url, self.out("context", "show"))
        end(third)
        self.run_it("context", "remove", "local")
        self.run_it("context", "add", "local", "-D", f"{URL}=http://127.0.0.1:9")
        before = streamlayer.read_text(self.contexts)
        for arguments in ((), ("--no-context",)):
            fourth, _, data = up(*arguments)
            self.assertEqual("is not of `streamlayer up`" in streamlayer.read_text(data + ".log"), not arguments)
            end(fourth)
        self.assertEqual(streamlayer.read_text(self.contexts), before)
        fifth, _, data = up(variables={"HOME": "/dev/null"})  # a home that cannot be written is no obstacle
        self.assertIn("not registered", streamlayer.read_text(data + ".log"))
        end(fifth)


class Status(Terminal):
    def test_status(self):
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "layer")
        self.add_context()
        shown = json.loads(self.out("status", hrn, "layer", "--json"))
        checks = {one["check"]: one for one in shown["checks"]}
        self.assertTrue(shown["ok"], shown)
        self.assertEqual({one["state"] for one in checks.values()}, {"ok"})
        for name, piece in (("configuration", "(the current context: here)"), ("credentials", "key "), ("gateway", "/ready"),
                            ("producer", "kafka-connector"), ("consumer", "default"), ("layer", "topic "),
                            ("brokers", self.platform.brokers), ("stream v2", "http"), ("lookup", "APIs")):
            self.assertIn(piece, checks[name]["detail"])
        self.assertIn("librdkafka", checks["producer"]["detail"])
        self.assertRegex(self.out("status"), r"(?m)^ok +gateway +http")
        entry = f'here.platform.data-client.stream.layers."{hrn}".layer.connector.consumer=http-connector'
        for words, wanted in (([hrn, "layer"], "http-connector (-D, for this layer)"), ([], "kafka-connector (default)")):
            shown = json.loads(self.out("-D", entry, "status", *words, "--json"))
            self.assertIn(wanted, [one["detail"] for one in shown["checks"] if one["check"] == "consumer"][0])

    def test_status_of_a_marketplace_layer(self):
        """Read over HTTP, by subscription; Direct Kafka is refused, which matters only to who would read by it."""
        name = self.platform.name("market")
        answer = self.platform.post("/config/v1/catalogs", {"id": name, "name": "Roads", "marketplace": True})
        self.assertEqual(answer.status, 201, answer.text)
        hrn = answer.json()["hrn"]
        self.platform.layer(hrn, "layer")
        self.add_context()
        every = f'here.platform.data-client.stream.layers."{hrn}"."*".connector.'

        def layer(*arguments, code):
            shown = json.loads(self.run_it(*arguments, "status", hrn, "layer", "--json", code=code).stdout)
            return [one for one in shown["checks"] if one["check"] == "layer"][0]

        over_http = [word for side in ("producer", "consumer") for word in ("-D", f"{every}{side}=http-connector")]
        shown = layer(*over_http, code=0)
        self.assertEqual((shown["state"], "may be read" in shown["detail"]), ("ok", True), shown)
        for arguments in ([], over_http[:2]):  # the provider may write all the same
            refused = layer(*arguments, code=0)
            self.assertEqual(refused["state"], "skipped")
            self.assertIn(every + "consumer = http-connector", refused["cure"])
        reader = Accounts(self.platform).make()
        self.addCleanup(reader.delete)
        file = os.path.join(self.home, "reader.properties")
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            out.write(reader.properties())
        as_reader = ["-D", f"{SIGNER}={file}"]
        reader.subscribe(hrn, **{"from": 1000, "until": 2000})
        refused = layer(*as_reader, *over_http, code=4)
        self.assertIn("marketplace-subscription-ended", refused["detail"])
        self.assertIn("streamlayer marketplace list", refused["cure"])
        reader.subscribe(hrn)
        self.assertEqual(layer(*as_reader, *over_http, code=0)["state"], "ok")
        self.assertIn(every + "consumer = http-connector", layer(*as_reader, code=4)["cure"])
        self.assertNotIn("Kafka topic", self.run_it(*as_reader, "layer", "show", hrn, "layer").stdout.decode())

    def test_a_token_url_of_another_time_is_told(self):
        """`up --port 0` takes another port each time; credentials that were made before name the one of then."""
        self.add_context()
        file = os.path.join(self.home, "old.properties")
        own = streamlayer.read_text(self.platform.environment["CREDENTIALS"])
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            out.write(re.sub(r"(?m)^here\.token\.endpoint\.url.*$", "here.token.endpoint.url = http://127.0.0.1:9/oauth2/token", own))
        told = self.run_it("-D", f"{SIGNER}={file}", "-D", "here.platform.data-client.http.retry.attempts=0", "catalog", "list",
                           code=5).stderr.decode()
        self.assertIn(f"Tokens are asked for at http://127.0.0.1:9, by the credentials: {file}", told)
        self.assertIn("here.token.endpoint.url", told)
        self.assertNotIn("Is `streamlayer up` running", told)

    def test_status_says_what_is_wrong(self):
        """The exit code is that of the first check that failed, and each failure has a cure."""
        self.add_context()
        for arguments, code, pieces in (
                (["-D", f"{URL}=http://127.0.0.1:9"], 5, ["gateway", "127.0.0.1:9", "streamlayer up"]),
                (["-D", f"{SIGNER}=/no-such.properties"], 3, ["credentials", "/no-such.properties"]),
                (["-D", f"{URL}=http://127.0.0.1:9", "-D", f"{SIGNER}=/no-such.properties"], 5, ["gateway", "credentials"]),
                (["-D", f"here.platform.data-client.stream.kafka.plugin-directory={self.home}"], 6,
                 ["producer", "streamlayer-kafka-support"])):
            done = self.run_it(*arguments, "status", code=code)
            self.assertRegex(done.stdout.decode(), "(?m)^failed ")
            for piece in pieces:
                self.assertIn(piece, done.stdout.decode())
            # The first line of trouble is the true one: no credentials are asked for before.
            first = re.search(r"(?m)^failed +(\S+)", done.stdout.decode()).group(1)
            self.assertEqual(first, pieces[0])
        done = self.run_it("status", "hrn:here:data::local:no-such", "layer", code=3)
        self.assertIn("catalog list", done.stdout.decode())
        self.run_it("status", "hrn:here:data::local:no-such", code=2)

    def test_status_cures_what_is_ill(self):
        """Where a proxy is in the way, or the credentials are refused, it is not the platform that must be started."""
        self.add_context()
        proxy = ["-D", "here.platform.data-client.proxy.host=127.0.0.1", "-D", "here.platform.data-client.proxy.port=1"]
        out = self.run_it(*proxy, "status", code=5).stdout.decode()
        self.assertRegex(out, r"(?m)^ok +proxy +http://127.0.0.1:1 \(-D\)$")
        self.assertRegex(out, r"(?m)^failed +gateway .*the proxy http://127.0.0.1:1 .*\n +-> the proxy is asked for it")
        self.assertNotIn("streamlayer up", out)
        errors = self.run_it(*proxy, "catalog", "list", code=5).stderr.decode()
        self.assertIn("reached through the proxy http://127.0.0.1:1 (-D).", errors)
        self.assertNotIn("streamlayer up", errors)
        self.assertNotIn("proxy", self.out("status"))
        token = "here.platform.data-client.request-signer.credentials.here-token=not.a.token"
        out = self.run_it("-D", token, "status", code=4).stdout.decode()
        self.assertRegex(out, r"(?m)^failed +lookup .*\n +-> the platform answers, but refuses what it is shown: a token \(-D .*still valid\?$")
        self.assertNotIn("URL right", out)


class FakePlatform(http.server.ThreadingHTTPServer):
    """A platform that has a config API only, and answers as `report` says where grants are asked for: a report, or, while that
    is None, not at all."""
    daemon_threads = True

    def __init__(self):
        self.report, self.over = None, threading.Event()
        super().__init__(("127.0.0.1", 0), FakePlatformHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.over.set()
        self.shutdown()
        self.server_close()


class FakePlatformHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        answer = {"status": "ready"}
        if self.path.endswith("/platform/apis"):
            answer = [{"api": "config", "version": "v1", "baseURL": self.server.url + "/config/v1",
                       "parameters": {"streamlayer": "1"}}]
        elif self.path.endswith("/acls"):
            answer = self.server.report
            if answer is None:
                self.server.over.wait()
                return
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *arguments):  # noqa: A002
        pass


class StatusOfGrants(Terminal):
    def grants(self, fake):
        done = subprocess.run(
            [self.platform.binaries + "/streamlayer", "-D", f"{URL}={fake.url}/lookup/v1", "-D",
             "here.platform.data-client.request-signer.credentials.here-token=token", "status", "--json"],
            check=False, capture_output=True, timeout=100, cwd=self.home, env=self.environment)
        return done.returncode, [one for one in json.loads(done.stdout)["checks"] if one["check"] == "grants"]

    def test_status_of_grants_that_are_not_all_told(self):
        """A gateway that waits for Kafka does not hold status up; one cluster's fault hides nothing of the others."""
        fake = FakePlatform()
        self.addCleanup(fake.close)
        code, (told,) = self.grants(fake)  # it ends by itself: the fake answers at the end of the test
        self.assertEqual((code, told["state"]), (5, "failed"))
        self.assertIn("waits for Kafka", told["cure"])
        finding = {"principal": "User:a", "resource": "topic", "name": "t", "operation": "Read"}
        fake.report = {"clusters": [{"cluster": "one", "missing": [finding]}, {"cluster": "two", "error": "it does not answer"},
                                    {"cluster": "three", "surplus": [finding, finding]}]}
        code, told = self.grants(fake)
        self.assertEqual((code, [one["state"] for one in told]), (5, ["failed", "failed"]), told)
        self.assertIn("Kafka cluster two: it does not answer", told[0]["detail"])
        self.assertIn("1 missing, 2 surplus", told[1]["detail"])
        fake.report["clusters"] = fake.report["clusters"][1:2]
        self.assertEqual(len(self.grants(fake)[1]), 1)  # nobody knows of any drift


class Json(Terminal):
    def test_json_errors(self):
        """Every error is an object on standard error; nothing else is there."""
        self.add_context()
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "layer")
        file = self.home + "/full"
        with open(file, "w", encoding="utf-8") as text:
            text.write("x")
        for arguments, code, status, http_status in (
                (["layer", "show", hrn, "no-such"], 3, "not found", 0),
                (["layer", "list", "hrn:here:data::local:no-such"], 3, "not found", 404),
                (["group", "list", hrn, "no-such"], 3, "not found", 404),
                (["group", "reset", hrn, "layer", "--to", "begin"], 2, "invalid argument", 0),
                (["consume", hrn, "no-such"], 3, "not found", None),
                (["consume", hrn, "layer", "--offset", "5:2"], 2, "invalid argument", 0),
                (["consume", hrn, "layer", "--count", "1", "--idle", "200ms"], 5, "timed out", 0),
                (["consume", hrn, "layer", "--output", file], 2, "invalid argument", 0),
                (["consume", hrn, "layer", "--output", self.home + "/no-such/file"], 3, "not found", 0),
                (["blob", "get", hrn, "layer", "no-such"], 3, "not found", 404),
                (["blob", "get", hrn, "layer", "no-such", "--output", file], 2, "invalid argument", 0),
                (["blob", "put", hrn, "layer", self.home + "/no-such"], 3, "not found", 0),
                (["context", "use", "no-such"], 3, "not found", 0),
                (["context", "remove", "no-such"], 3, "not found", 0),
                (["context", "add", "mine", self.home + "/no-such"], 3, "not found", 0),
                (["context", "add", "here", self.platform.config], 1, "conflict", 0),
                (["pipe", hrn, "layer", hrn, "no-such"], 3, "not found", None),
                (["man", "--directory", self.home + "/no-such"], 3, "not found", 0),
                (["layer"], 2, "invalid argument", 0), ([], 2, "invalid argument", 0),
                (["catalog", "show", "hrn:here:data::local:no-such"], 3, "not found", 404),
                (["catalog", "lst"], 2, "invalid argument", 0), (["consume", "--no-such-option"], 2, "invalid argument", 0),
                (["consume"], 2, "invalid argument", 0), (["--context", "no", "catalog", "list"], 3, "not found", 0),
                (["-D", f"{URL}=http://127.0.0.1:9", "catalog", "list"], 5, "unavailable", 0)):
            done = self.run_it(*arguments, "--json", code=code)
            self.assertEqual(done.stdout, b"")
            lines = [json.loads(line) for line in done.stderr.decode().splitlines()]
            errors = [line["error"] for line in lines if "error" in line]
            self.assertEqual(len(errors), 1, done.stderr)
            self.assertEqual(set(errors[0]), {"status", "text", "httpStatus", "retriable"})
            self.assertEqual(errors[0]["status"], status, done.stderr)
            if http_status is not None:
                self.assertEqual(errors[0]["httpStatus"], http_status)

    def test_json_output(self):
        """What prints, prints JSON when asked for it."""
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "layer")
        self.add_context()
        for arguments in (["catalog", "list"], ["catalog", "show", hrn], ["layer", "list", hrn],
                          ["layer", "show", hrn, "layer"], ["config", "show"], ["config", "check"], ["config", "reference"],
                          ["context", "list"],
                          ["context", "show"], ["token"], ["version"], ["status"]):
            json.loads(self.out(*arguments, "--json"))


class Manual(Terminal):
    def test_manual_pages(self):
        """A page for each command, with each option of its help, and no fault that mandoc sees."""
        directory = self.home + "/man"
        os.mkdir(directory)
        self.run_it("man", "--directory", directory)
        with open(directory + "/streamlayerd.8", "wb") as page:
            usage = subprocess.run([self.platform.binaries + "/streamlayerd", "--help"], capture_output=True, check=True)
            page.write(self.run_it("man", "--service", stdin=None, input=usage.stdout).stdout)
        pages = sorted(os.listdir(directory))
        names = self.commands()
        self.assertIn("produce", names)
        groups = {name.split()[0] for name in names if " " in name}
        self.assertEqual(pages, sorted(["streamlayer.1", "streamlayerd.8",
                                        *(f"streamlayer-{name.replace(' ', '-')}.1" for name in {*names, *groups})]))
        lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages], cwd=directory, capture_output=True, check=False)
        faults = [line for line in lint.stdout.decode().splitlines() if "missing date" not in line]
        self.assertEqual(faults, [])
        for name in names:
            shown = subprocess.run(["mandoc", "-Tutf8", "-Owidth=120", f"streamlayer-{name.replace(' ', '-')}.1"],
                                   cwd=directory, capture_output=True, check=True).stdout.decode()
            shown = re.sub(".\b", "", shown)
            for option in re.findall(r"(?m)^  (?:-\w, |    )?(--[a-z-]+)", self.out("help", *name.split())):
                self.assertIn(option, shown, name)
        overview = streamlayer.read_text(directory + "/streamlayer.1").replace("\\-", "-")
        for name in names:
            self.assertIn(name, overview)
        self.assertEqual(self.out("man", "produce"), streamlayer.read_text(directory + "/streamlayer-produce.1"))
        for page in pages:  # what it refers to is there, and is named once
            seen = re.findall(r"(?m)^\.BR (\S+) \((\d)\)", streamlayer.read_text(f"{directory}/{page}"))
            self.assertEqual(len(seen), len(set(seen)), page)
            for name, section in seen:
                self.assertIn(f"{name}.{section}".replace("\\-", "-"), pages, page)
        self.assertIn("streamlayer\\-consume (1)", streamlayer.read_text(directory + "/streamlayer-produce.1"))
        self.assertIn("streamlayer\\-catalog\\-list (1)", streamlayer.read_text(directory + "/streamlayer-catalog-show.1"))
        self.assertEqual(self.out("man", "group"), streamlayer.read_text(directory + "/streamlayer-group.1"))
        self.run_it("man", "no-such", code=2)

    def test_manual_pages_of_an_installation(self):
        """`man streamlayer-COMMAND` finds each of them."""
        prefix = self.home + "/prefix"
        subprocess.run(["cmake", "--install", os.path.dirname(self.platform.binaries), "--prefix", prefix],
                       capture_output=True, check=True)
        for name in ("streamlayer", "streamlayerd", *(f"streamlayer-{name.replace(' ', '-')}" for name in self.commands())):
            found = subprocess.run(["mman", "-w", name], capture_output=True, check=True,
                                   env={**self.environment, "MANPATH": prefix + "/share/man"}).stdout.decode().strip()
            self.assertTrue(found.startswith(prefix + "/share/man/man"), found)
            self.assertIn(name, os.path.basename(found))


class Shell:
    """A shell on a terminal of its own, with the completion loaded."""
    start = {
        "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='READY> '; bind 'set bell-style none'; "
                                                            "source <(streamlayer completion bash)\n"),
        "zsh": (["zsh", "-f", "-i"], "PS1='READY> '; unsetopt prompt_sp zle_bracketed_paste 2>/dev/null; "
                                     "unset zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; "
                                     "source <(streamlayer completion zsh)\n"),
        "fish": (["fish", "--no-config", "-i"], "function fish_prompt; echo -n 'READY> '; end; "
                                                 "streamlayer completion fish | source\n"),
    }

    def __init__(self, name, environment, directory):
        arguments, first = self.start[name]
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execvpe(arguments[0], arguments, {**environment, "TERM": "xterm"})
        os.write(self.terminal, first.encode())
        # What is typed before a shell reads its own way may come twice: only this output counts.
        os.write(self.terminal, b"echo BEG''AN\r")
        self.read(r"[\r\n]BEGAN[\r\n]")

    def read(self, until, seconds=30):
        """What comes, until the pattern has come."""
        text, end = "", time.monotonic() + seconds
        while not re.search(until, text) and time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.2)[0]:
                try:
                    text += os.read(self.terminal, 65536).decode(errors="replace")
                except OSError:
                    break
        return text

    def complete(self, line):
        """Types the line and a tab, turns it into an echo, and returns what that shows. Keys are taken in turn."""
        os.write(self.terminal, line.encode() + b"\t\x05'\x01echo 'GOT:\r")  # to its end and its begin
        text = self.read(r"[\r\n]GOT:[^\r\n]*[\r\n]")
        found = re.search(r"[\r\n]GOT:([^\r\n]*)[\r\n]", text)
        return found.group(1).rstrip() if found else text

    def end(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Completion(Terminal):
    def check(self, shell):
        if not shutil.which(shell):
            raise AssertionError(f"{shell} is not installed: run-tests installs it")
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "carpositions")
        self.add_context("mycontext")
        with open(self.home + "/somefile.txt", "wb"):
            pass
        at = Shell(shell, self.environment, self.home)
        self.addCleanup(at.end)
        for typed, wanted in (
                ("streamlayer prod", "streamlayer produce "), ("streamlayer catalog sh", "streamlayer catalog show "),
                ("streamlayer consume --foll", "streamlayer consume --follow "),
                ("streamlayer --context myc", "streamlayer --context mycontext "),
                (f"streamlayer catalog show {hrn[:-2]}", f"streamlayer catalog show {hrn} "),
                (f"streamlayer produce {hrn} carp", f"streamlayer produce {hrn} carpositions "),
                (f"streamlayer produce {hrn} carpositions somef", f"streamlayer produce {hrn} carpositions somefile.txt "),
                (f"streamlayer -D {CONNECTOR}prod", f"streamlayer -D {CONNECTOR}producer="),
                (f"streamlayer -D {CONNECTOR}producer=kaf", f"streamlayer -D {CONNECTOR}producer=kafka-connector "),
                ("streamlayer -D here.platform.data-client.stream.lay",
                 "streamlayer -D here.platform.data-client.stream.layers."),
                (f"streamlayer config show --layer {hrn} carp", f"streamlayer config show --layer {hrn} carpositions "),
                ("streamlayer completion fi", "streamlayer completion fish ")):
            self.assertEqual(at.complete(typed), wanted.rstrip(), f"{shell}: {typed!r}")

    def test_completion_bash(self):
        self.check("bash")

    def test_completion_zsh(self):
        self.check("zsh")

    def test_completion_fish(self):
        self.check("fish")

    def test_completion_is_silent(self):
        """A platform that cannot be reached, or no settings that do, cost no message and little time."""
        for arguments in (["catalog", "show", ""], ["--config", "/no-such", "catalog", "show", "h"], ["-D", "x"],
                          ["nonsense", ""], ["consume", "--offset", ""], ["produce", "a", "b", "c", "d", "e", "f", "g", "h",
                                                                         "i", "j", ""]):
            done = self.run_it("__complete", *arguments)
            self.assertEqual(done.stderr, b"", arguments)


if __name__ == "__main__":
    streamlayer.main()
