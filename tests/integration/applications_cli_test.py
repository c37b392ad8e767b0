"""app, grant and revoke: over HTTP, and on a data directory whether its gateway runs or not."""
import json
import os
import re
import stat
import subprocess

import streamlayer
from streamlayer import TestCase, wait_for, write_text


class ApplicationsOnTheCommandLine(TestCase):
    def run_it(self, *arguments, code=0):
        done = self.platform.cli(*arguments, check=False)
        self.assertEqual(done.returncode, code, f"{arguments}: out {done.stdout!r}, err {done.stderr!r}")
        self.assertNotRegex(done.stderr.decode(errors="replace"), streamlayer.SANITIZER_REPORT)
        return (done.stderr if code else done.stdout).decode()

    def create(self, *arguments):
        """(name, what was printed)"""
        name = self.platform.name("app")
        text = self.run_it("app", "create", name, *arguments)
        self.addCleanup(self.platform.cli, "app", "delete", name, "--yes", check=False)
        return name, text

    def as_application(self, credentials, *arguments, code=0):
        """Runs a command with the credentials of a file."""
        return self.run_it("-D", "here.platform.data-client.request-signer.credentials.file-path=" + credentials,
                           *arguments, code=code)

    def credentials(self, text):
        self.assertRegex(text, r"(?m)^here\.access\.key\.secret = [0-9a-f]{64}$")
        file = os.path.join(self.scratch(), "credentials.properties")
        streamlayer.write_text(file, text)
        os.chmod(file, 0o600)
        return file

    def test_app_is_given_rights_step_by_step(self):
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "l", "text/plain")
        name, text = self.create()
        file = self.credentials(text)
        self.as_application(file, "produce", hrn, "l", os.devnull, code=4)
        said = json.loads(self.as_application(file, "catalog", "show", hrn, "--json", code=4))["error"]
        self.assertIn(f"has none of the rights read,write,manage on {hrn}", json.dumps(said))
        self.run_it("grant", name, hrn, "read,write")
        self.as_application(file, "catalog", "show", hrn)
        self.as_application(file, "layer", "delete", hrn, "l", "--yes", code=4)
        self.run_it("grant", name, hrn, "manage")
        listed = [line.split() for line in self.run_it("app", "list", hrn).splitlines()]
        self.assertIn([name, hrn, "read,write,manage"], [[row[0], *row[2:]] for row in listed])
        self.run_it("revoke", name, hrn, "write")
        self.assertIn(f"{hrn}  read,manage", re.sub(" +", "  ", self.run_it("app", "show", name)))
        self.as_application(file, "layer", "delete", hrn, "l", "--yes")
        self.run_it("revoke", name, hrn)
        self.as_application(file, "catalog", "show", hrn, code=4)
        self.run_it("grant", name, "*", "create")
        made = self.as_application(file, "catalog", "create", self.platform.name()).strip()
        self.as_application(file, "catalog", "delete", made, "--yes")

    def test_revoke_says_what_it_did_not_take(self):
        hrn = self.platform.catalog()
        name, _ = self.create("--right", "read")
        data = ("--data-dir", os.path.join(self.platform.environment["DIR"], "data"))
        for place in ((), data):
            def revoke(*arguments, place=place):
                done = self.platform.cli("revoke", name, *arguments, *place, check=False)
                self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
                return done.stderr.decode()
            with self.subTest(place=place):
                self.run_it("grant", name, hrn, "write,manage", *place)
                self.assertEqual(revoke(hrn, "write"), "")
                said = revoke(hrn, "write")
                self.assertIn(f"warning: {name} had no right to write on {hrn}: nothing was changed", said)
                said = revoke(hrn)
                self.assertNotIn("nothing was changed", said)
                self.assertIn(f"{name} may still read there, by what it has on every catalog: streamlayer revoke {name} '*' read", said)
                self.assertIn(f"had no right on {hrn}", revoke(hrn))
                self.assertIn("had no right to write on *", revoke("*", "write"))

    def test_produce_that_is_cut_by_a_revoke_is_not_allowed(self):
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "l", "text/plain")
        name, text = self.create()
        self.run_it("grant", name, hrn, "read,write")
        producer = subprocess.Popen(
            [self.platform.binaries + "/streamlayer", "--config", self.platform.config,
             "-D", "here.platform.data-client.request-signer.credentials.file-path=" + self.credentials(text), "-D", "here.platform.data-client.stream.connector.producer=http-connector",
             "produce", hrn, "l"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(producer.kill)
        producer.stdin.write(b"one\n")
        producer.stdin.flush()
        subscription = streamlayer.Subscription(self.platform, hrn, "l", properties={"auto.offset.reset": "earliest"})
        subscription.receive(1)
        subscription.delete()
        self.run_it("revoke", name, hrn, "write")
        producer.stdin.write(b"two\n")
        producer.stdin.flush()  # and stays open: it ends because of the refusal
        code = producer.wait(60)
        said = producer.stderr.read().decode()
        for stream in (producer.stdin, producer.stdout, producer.stderr):
            stream.close()
        self.assertEqual(code, 4, said)
        self.assertIn("stopped early: 1 message was delivered", said)

    def test_app_of_an_outside_issuer(self):
        """No key is made for it, and its issuer is one that the gateway takes tokens of."""
        known, unknown = "https://login.example/fleet", "https://login.example/flaet"
        place = self.scratch()
        data, config = place + "/data", place + "/gateway.conf"
        write_text(config, f'streamlayer.gateway {{ kafka.brokers = "127.0.0.1:1", data-directory = "{data}", '
                           f'token.issuers.fleet {{ issuer = "{known}", audience = x, jwks-url = "https://login.example/" }} }}\n')
        create = ("--config", config, "app", "create", "fleet", "--subject", "7c1f", "--data-dir", data, "--issuer")
        self.assertIn("token.issuers", self.run_it(*create, unknown, code=2))
        self.run_it(*create, known)
        self.assertIn("has no keys here", self.run_it("--config", config, "app", "rotate", "fleet", "--data-dir", data,
                                                      "--token-url", "http://127.0.0.1:1/oauth2/token", code=1))
        self.assertIn("token.issuers", self.run_it("app", "create", "x", "--issuer", unknown, "--subject", "x", code=2))

    def test_a_gateway_s_configuration_names_no_platform(self):
        """What is meant for it must not go to the default, HERE's."""
        place = self.scratch()
        write_text(place + "/gateway.conf", f'streamlayer.gateway {{ kafka.brokers = "127.0.0.1:1", data-directory = "{place}/data" }}\n')
        said = self.run_it("--config", place + "/gateway.conf", "app", "create", "x", code=2)
        self.assertRegex(said, "gateway.conf:1: streamlayer.gateway.data-directory is set: this is a gateway's configuration")
        self.assertIn(f"--data-dir {place}/data", said)
        said = self.run_it("--config", place + "/gateway.conf", "catalog", "list", code=2)
        self.assertNotIn("--data-dir", said)

    def test_status_without_a_grant_says_who_gives_one(self):
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "l", "text/plain")
        _, text = self.create()
        done = self.platform.cli("-D", "here.platform.data-client.request-signer.credentials.file-path=" + self.credentials(text),
                                 "status", hrn, "l", check=False)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertRegex(done.stdout.decode(), rf"(?m)^failed +lookup .*\n +-> .*an administrator, gives one: `streamlayer grant NAME {hrn} read`")

    def test_app_json(self):
        name, text = self.create("--right", "read", "--right", "write,create", "--json")
        made = json.loads(text)
        self.assertEqual((made["name"], made["rights"]), (name, ["read", "write", "create"]))
        self.assertIn(name, [each["name"] for each in json.loads(self.run_it("app", "list", "--json"))])
        shown = self.run_it("app", "show", made["id"], "--json")
        self.assertNotIn(made["accessKeySecret"], shown)
        self.assertEqual(json.loads(shown)["keys"][0]["accessKeyId"], made["accessKeyId"])
        rotated = json.loads(self.run_it("app", "rotate", name, "--grace", "1h", "--json"))
        self.assertEqual([("expires" in key) for key in rotated["keys"]], [True, False])
        self.assertEqual(json.loads(self.run_it("app", "rotate", name, "--now", "--json"))["keys"][0].get("expires"), None)
        self.run_it("app", "delete", name, code=2)  # nobody can be asked
        self.run_it("app", "delete", name, "--yes")
        self.assertIn("no application", self.run_it("app", "show", name, code=3))

    def test_app_credentials_go_to_a_file_once(self):
        file = os.path.join(self.scratch(), "a.properties")
        name, text = self.create("--credentials", file)
        self.assertNotIn("secret", text)
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode), 0o600)
        self.as_application(file, "token")
        before = streamlayer.read_text(file)
        self.assertIn("not overwritten", self.run_it("app", "rotate", name, "--credentials", file, code=1))
        self.assertEqual(streamlayer.read_text(file), before)
        other = file + ".2"
        self.run_it("app", "create", name, "--credentials", other, code=1)  # the name is taken
        self.assertFalse(os.path.exists(other))
        self.run_it("app", "rotate", name, "--now", "--credentials", other)
        self.as_application(other, "token")
        said = self.as_application(file, "token", code=4)
        self.assertIn(file, said)
        self.assertIn("has ended", said)
        self.assertNotIn("credentials.properties", said)
        signer = "here.platform.data-client.request-signer.credentials.file-path="
        status = self.platform.cli("-D", signer + file, "status", check=False)
        self.assertEqual(status.returncode, 4)
        self.assertRegex(status.stdout.decode(), r"(?m)^failed +credentials .*\n +-> .*`streamlayer app rotate NAME`$")

    def test_app_wrong_uses(self):
        self.assertIn("none of: read,write,manage,create,admin", self.run_it("app", "create", "x", "--right", "root", code=2))
        self.run_it("app", "create", "x", "--issuer", "https://issuer.example", code=2)
        self.run_it("app", "rotate", "x", "--now", "--grace", "1h", code=2)
        self.assertIn("--grace 367d: a duration from 0 to 366d is needed", self.run_it("app", "rotate", "x", "--grace", "367d", code=2))
        for command in ("grant", "revoke"):
            self.assertIn(f'{command} does not take "read": several rights are joined by commas, without blanks: read,write',
                          self.run_it(command, "x", "hrn:here:data::local:none", "write", "read", code=2))
        self.assertIn("none of: read,write,manage,create,admin", self.run_it("grant", "x", "hrn:here:data::local:none", "rea", code=2))
        self.run_it("grant", "default", "hrn:here:data::local:none", "read", code=3)
        self.run_it("grant", "nobody", "*", "read", code=3)
        self.run_it("app", "delete", "nobody", "--yes", code=3)
        lost = "/nonexistent/credentials.properties"
        self.assertIn("app create NAME --credentials FILE", self.as_application(lost, "app", "list", code=3))
        said = json.loads(self.as_application(lost, "app", "list", "--json", code=3))["error"]
        self.assertEqual(said["status"], "not found")
        self.assertIn(lost + ": the credentials file cannot be read", said["text"])
        self.assertIn("no gateway keeps its data", self.run_it("app", "list", "--data-dir", "/nonexistent", code=3))

    def test_app_on_the_directory_of_a_running_gateway(self):
        data = ["--data-dir", os.path.join(self.platform.environment["DIR"], "data")]
        name, text = self.create(*data, "--token-url", self.platform.url + "/oauth2/token")
        file, hrn = self.credentials(text), self.platform.catalog()
        self.as_application(file, "token")  # it is seen at once
        self.as_application(file, "catalog", "show", hrn, code=4)
        self.run_it("grant", name, hrn, "read", *data)
        wait_for(lambda: self.platform.cli(
            "-D", "here.platform.data-client.request-signer.credentials.file-path=" + file, "catalog", "show", hrn,
            check=False).returncode == 0, 20, "the grant is not seen")
        self.assertIn(hrn, self.run_it("app", "show", name, *data))
        self.assertIn(name, self.run_it("app", "list", hrn, *data))
        self.run_it("app", "delete", name, "--yes", *data)
        wait_for(lambda: self.platform.cli(
            "-D", "here.platform.data-client.request-signer.credentials.file-path=" + file, "catalog", "show", hrn,
            check=False).returncode == 4, 20, "the application outlives its deletion")

    def test_app_is_the_first_administrator_of_a_new_directory(self):
        data = os.path.join(self.scratch(), "gateway")
        create = ("app", "create", "root", "--right", "create,admin", "--data-dir", data)
        self.assertIn("give --token-url", self.run_it(*create, code=2))
        self.assertIn("no gateway keeps its data", self.run_it(*create, "--token-url", "http://127.0.0.1:1/", code=3))
        self.assertFalse(os.path.exists(data))
        config = os.path.join(self.scratch(), "gateway.conf")
        of_gateway = f'streamlayer.gateway {{ kafka.brokers = "{self.platform.brokers}", data-directory = "{data}"'
        write_text(config, of_gateway + ', listen { address = "0.0.0.0", plain-off-loopback = true } }\n')
        self.assertIn("port 8080 of 0.0.0.0", self.run_it("--config", config, *create, code=2))
        self.assertFalse(os.path.exists(data))
        write_text(config, of_gateway + ', public-url = "https://streams.example.com/" }\n')
        text = self.run_it("--config", config, *create)
        self.assertIn("here.token.endpoint.url = https://streams.example.com/oauth2/token\n", text)
        self.assertEqual(stat.S_IMODE(os.stat(data).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(data + "/catalogs.db").st_mode), 0o600)
        self.assertIn("there is an application", self.run_it("app", "create", "root", "--data-dir", data, "--token-url", "http://x/", code=1))
        self.assertIn("last application", self.run_it("app", "delete", "root", "--yes", "--data-dir", data, code=1))
        self.assertIn("last application", self.run_it("revoke", "root", "*", "--data-dir", data, code=1))
        log = os.path.join(data, "log")
        with open(log, "wb") as output:
            gateway = subprocess.Popen([self.platform.binaries + "/streamlayerd",
                                        "-D", "streamlayer.gateway.kafka.brokers=" + self.platform.brokers,
                                        "-D", "streamlayer.gateway.data-directory=" + data,
                                        "-D", "streamlayer.gateway.listen.port=0"],
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            url = wait_for(lambda: re.search(r"listening, (http://\S+?),", streamlayer.read_text(log)), 60,
                           "the gateway does not start").group(1)
            file = self.credentials(re.sub(r"(?m)^(here.token.endpoint.url = ).*$", rf"\1{url}/oauth2/token", text))
            other = ["-D", "here.platform.data-client.endpoint-locator.discovery-service-url=" + url + "/lookup/v1"]
            wait_for(lambda: self.platform.get(url + "/ready", token=None).status == 200, 60, "it is not ready")
            self.assertIn("root", self.as_application(file, *other, "app", "list"))
            hrn = self.as_application(file, *other, "catalog", "create", self.platform.name()).strip()
            self.as_application(file, *other, "catalog", "delete", hrn, "--yes")
        finally:
            gateway.terminate()
            self.assertEqual(gateway.wait(60), 0, streamlayer.read_text(log)[-3000:])


if __name__ == "__main__":
    streamlayer.main()
