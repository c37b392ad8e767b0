"""Applications, their keys and their grants over the config API."""
import http.client
import json
import re
import urllib.parse

import daemon
import jwt
import streamlayer
from accounts import Accounts
from streamlayer import Subscription, TestCase, wait_for


class Applications(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accounts = Accounts(cls.platform)

    def make(self, *rights):
        account = self.accounts.make(*rights)
        self.addCleanup(account.delete)
        return account

    def expect(self, answer, status, code=None):
        self.assertEqual(answer.status, status, answer.text)
        if code:
            self.assertEqual(answer.json()["code"], code, answer.text)
        return answer

    def test_applications_are_made_shown_and_deleted(self):
        name = self.platform.name("app")
        answer = self.expect(self.platform.post("/config/v1/applications", {"name": name, "rights": ["create"]}), 201)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        made = answer.json()
        self.assertEqual((made["name"], made["rights"], made["grants"]), (name, ["create"], []))
        self.assertTrue(made["tokenEndpointUrl"].endswith("/oauth2/token"))
        for named in (name, made["id"]):
            shown = self.expect(self.platform.get(f"/config/v1/applications/{named}"), 200)
            self.assertNotIn(made["accessKeySecret"], shown.text)
            self.assertEqual([key["accessKeyId"] for key in shown.json()["keys"]], [made["accessKeyId"]])
        listed, token = [], ""
        while True:  # in pages
            page = self.expect(self.platform.get(f"/config/v1/applications?limit=2&pageToken={token}"), 200)
            self.assertLessEqual(len(page.json()["results"]["items"]), 2)
            self.assertNotIn("Secret", page.text)
            listed += [item["name"] for item in page.json()["results"]["items"]]
            token = page.json().get("nextPageToken")
            if not token:
                break
        self.assertIn(name, listed)
        self.assertIn("default", listed)
        self.assertEqual(listed, sorted(listed))
        self.expect(self.platform.post("/config/v1/applications", {"name": name}), 409, "application-exists")
        self.expect(self.platform.delete(f"/config/v1/applications/{name}"), 204)
        self.expect(self.platform.get(f"/config/v1/applications/{name}"), 404, "no-such-application")
        self.expect(self.platform.delete(f"/config/v1/applications/{name}"), 404, "no-such-application")

    def test_applications_that_cannot_be(self):
        for body in ({}, {"name": 5}, {"name": ""}, {"name": "a b"}, {"name": "a", "rights": "admin"},
                     {"name": "a", "rights": ["root"]}, {"name": "a", "right": ["admin"]},
                     {"name": "a", "issuer": "https://issuer.example"}, {"name": "0123456789abcdef0123"}):
            self.expect(self.platform.post("/config/v1/applications", body), 400)
        self.expect(self.platform.post("/config/v1/applications", b"[]"), 400, "bad-json")
        self.expect(self.platform.get("/config/v1/applications?limit=0"), 400, "bad-request")

    def test_keys_rotate(self):
        account = self.make()
        self.assertEqual(account.ask_token().status, 200)
        old = account.key, account.secret
        url = f"/config/v1/applications/{account.name}/keys"
        answer = self.expect(self.platform.post(url, {"graceMs": 3600000}), 201).json()
        account.key, account.secret = answer["accessKeyId"], answer["accessKeySecret"]
        self.assertEqual([("expires" in key) for key in answer["keys"]], [True, False])
        self.assertEqual(account.ask_token().status, 200)
        self.assertEqual(account.ask_token(*old).status, 200)
        answer = self.expect(self.platform.post(url, {"graceMs": 0}), 201).json()
        self.assertEqual(account.ask_token().status, 401)
        self.assertEqual(account.ask_token(*old).status, 401)
        account.key, account.secret = answer["accessKeyId"], answer["accessKeySecret"]
        self.assertEqual(account.ask_token().status, 200)
        for body in ({"graceMs": -1}, {"graceMs": "1"}, {"graceMs": 1 << 60}, {"grace": 5}):
            self.expect(self.platform.post(url, body), 400, "bad-request")
        self.expect(self.platform.post("/config/v1/applications/nobody/keys", {}), 404, "no-such-application")

    def test_keys_have_a_bound(self):
        account = self.make()
        url = f"/config/v1/applications/{account.name}/keys"
        for _ in range(15):
            self.expect(self.platform.post(url), 201)
        self.expect(self.platform.post(url), 409, "too-many-keys")
        self.expect(self.platform.post(url, {"graceMs": 0}), 201)

    def test_deleted_application_s_token_is_refused_at_once(self):
        account = self.make()
        self.expect(account.get("/config/v1/catalogs"), 200)
        account.delete()
        self.expect(account.get("/config/v1/catalogs"), 401, "unauthenticated")
        self.assertEqual(account.ask_token().status, 401)

    def test_grants_are_set_added_and_taken(self):
        account, catalog = self.make(), self.platform.catalog()
        url = f"/config/v1/catalogs/{catalog}/grants"
        one = f"{url}/{account.name}"
        answer = self.expect(self.platform.put(one, {"rights": ["read"]}), 200).json()
        self.assertEqual((answer["application"], answer["hrn"], answer["rights"]), (account.id, catalog, ["read"]))
        self.assertEqual(self.expect(self.platform.request("PATCH", one, {"rights": ["manage"]}), 200).json()["rights"],
                         ["read", "manage"])
        self.assertEqual(self.expect(self.platform.put(f"{url}/{account.id}", {"rights": ["write", "manage"]}),
                                     200).json()["rights"], ["write", "manage"])
        self.expect(self.platform.delete(one + "?rights=manage,read"), 204)
        grants = {(grant["name"], grant["hrn"]): grant
                  for grant in self.expect(self.platform.get(url), 200).json()["grants"]}
        self.assertEqual(grants[account.name, catalog]["rights"], ["write"])
        self.assertEqual(grants["default", "*"]["rights"], ["read", "write", "manage"])
        self.assertEqual(grants["default", catalog]["rights"], ["read", "write", "manage"])  # it made it
        self.expect(self.platform.delete(one), 204)
        self.expect(self.platform.delete(one), 204)
        self.expect(account.get(f"/config/v1/catalogs/{catalog}"), 403, "forbidden")
        for body in ({}, {"rights": []}, {"rights": ["admin"]}, {"rights": "read"}, {"rights": ["read"], "x": 1}):
            self.expect(self.platform.put(one, body), 400, "bad-request")
        self.expect(self.platform.delete(one + "?rights=admin"), 400, "bad-request")
        self.expect(self.platform.put(f"{url}/nobody", {"rights": ["read"]}), 404, "no-such-application")
        self.expect(self.platform.put(f"/config/v1/catalogs/hrn:here:data::local:none/grants/{account.name}",
                                      {"rights": ["read"]}), 404, "no-such-catalog")
        self.expect(self.platform.get("/config/v1/catalogs/hrn:here:data::local:none/grants"), 404, "no-such-catalog")

    def test_grants_on_the_platform(self):
        account = self.make()
        url = f"/config/v1/grants/{account.name}"
        self.expect(account.post("/config/v1/catalogs", {"id": self.platform.name()}), 403, "forbidden")
        answer = self.expect(self.platform.request("PATCH", url, {"rights": ["create", "read"]}), 200).json()
        self.assertEqual((answer["hrn"], answer["rights"]), ("*", ["read", "create"]))
        catalog = self.expect(account.post("/config/v1/catalogs", {"id": self.platform.name()}), 201).json()["hrn"]
        self.expect(account.request("PATCH", f"/config/v1/catalogs/{catalog}", {"name": "mine"}), 200)
        self.expect(account.delete_url(f"/config/v1/catalogs/{catalog}"), 200)
        self.expect(account.get("/config/v1/grants"), 403, "forbidden")
        self.expect(self.platform.request("PATCH", url, {"rights": ["admin"]}), 200)
        names = [grant["name"] for grant in self.expect(account.get("/config/v1/grants"), 200).json()["grants"]]
        self.assertIn(account.name, names)
        self.expect(self.platform.delete(url), 204)
        self.expect(account.get("/config/v1/grants"), 403, "forbidden")

    def test_a_catalog_made_again_has_no_old_grants(self):
        account, name = self.make(), self.platform.name()
        catalog = self.platform.cli("catalog", "create", name).stdout.decode().strip()
        account.grant(catalog, "read")
        self.expect(account.get(f"/config/v1/catalogs/{catalog}"), 200)
        self.platform.cli("catalog", "delete", catalog, "--yes")
        self.expect(account.get(f"/config/v1/catalogs/{catalog}"), 403, "forbidden")
        self.assertEqual(self.platform.cli("catalog", "create", name).stdout.decode().strip(), catalog)
        self.expect(account.get(f"/config/v1/catalogs/{catalog}"), 403, "forbidden")

    def test_refusals_do_not_tell_what_there_is(self):
        account, catalog = self.make(), self.platform.catalog()
        texts = set()
        for hrn in (catalog, "hrn:here:data::local:none"):
            for path in (f"/config/v1/catalogs/{hrn}", f"/lookup/v1/resources/{hrn}/apis",
                         f"/stream/v2/catalogs/{hrn}/layers/l/partitions"):
                body = self.expect(account.get(path), 403, "forbidden").json()
                texts.add((path.replace(hrn, ""), body["cause"].replace(hrn, ""), body["action"].replace(hrn, "")))
        self.assertEqual(len(texts), 3)

    def test_catalogs_are_listed_to_those_with_a_right(self):
        account = self.make()
        mine = {self.platform.catalog() for _ in range(3)}
        self.platform.catalog()
        for catalog, right in zip(sorted(mine), ("read", "write", "manage")):
            account.grant(catalog, right)
        listed, token = [], ""
        while True:
            page = self.expect(account.get(f"/config/v1/catalogs?limit=2&pageToken={token}"), 200).json()
            listed += [item["hrn"] for item in page["results"]["items"]]
            token = page.get("nextPageToken")
            if not token:
                break
        self.assertEqual(listed, sorted(mine))

    def test_revoking_ends_subscriptions_and_publications(self):
        account, catalog = self.make(), self.platform.catalog()
        self.platform.layer(catalog, "l", parallelization=1)
        self.platform.layer(catalog, "other", parallelization=1)
        account.grant(catalog, "read", "write")
        kept = self.make()
        kept.grant(catalog, "read")
        # Of parallelization 1: another's group does not stand in the way, the same one would.
        subscription, others = Subscription(account, catalog, "l"), Subscription(kept, catalog, "l")
        self.assertEqual(account.get(subscription.url("partitions")).status, 200)
        publications = f"/publish/v2/catalogs/{catalog}/publications"
        one = f"{publications}/{self.expect(account.post(publications, {'layerIds': ['l']}), 200).json()['id']}"
        self.expect(self.platform.delete(f"/config/v1/catalogs/{catalog}/grants/{account.name}?rights=write"), 204)
        self.expect(account.get(one), 403, "forbidden")
        self.assertEqual(account.get(subscription.url("partitions")).status, 200)
        account.grant(catalog, "write")
        self.expect(account.get(one), 404, "no-such-publication")
        self.expect(self.platform.delete(f"/config/v1/catalogs/{catalog}/grants/{account.name}?rights=read"), 204)
        self.expect(account.get(subscription.url("partitions")), 403, "forbidden")
        account.grant(catalog, "read")

        def gone():
            answer = account.get(subscription.url("partitions"))
            return answer if answer.status != 200 else None
        answer = wait_for(gone, 20, "the subscription outlives the right")
        self.assertIn(answer.status, (403, 404), answer.text)
        self.assertIn("may not read", answer.json()["cause"])
        self.assertEqual(kept.get(others.url("partitions")).status, 200)
        others.delete()
        Subscription(account, catalog, "l").delete()  # its place in the group is free

    def test_a_parked_poll_ends_with_its_right(self):
        account, catalog = self.make(), self.platform.catalog()
        self.platform.layer(catalog, "l", parallelization=1)
        account.grant(catalog, "read")
        subscription = Subscription(account, catalog, "l")
        parked = streamlayer.Background(account.get, subscription.url("partitions") + "?maxWaitMs=20000")
        push = Subscription(account, catalog, "l", query="mode=serial&subscriptionId=push",
                            properties={"group.id": "push"})
        parts = urllib.parse.urlsplit(push.url("partitions"))
        stream = http.client.HTTPConnection(parts.hostname, parts.port, timeout=25)
        self.addCleanup(stream.close)
        stream.request("GET", parts.path, headers={"Accept": "text/event-stream",
                                                   "Authorization": "Bearer " + account.token})
        events = stream.getresponse()
        self.assertEqual(events.status, 200)
        account.delete()
        self.assertIn(parked.result(25).status, (401, 403, 404))
        self.assertIn("event: end", events.read().decode())
        self.expect(account.get(subscription.url("partitions")), 401, "unauthenticated")

    def test_a_parked_poll_is_told_of_a_grant_that_is_taken(self):
        account, catalog = self.make(), self.platform.catalog()
        self.platform.layer(catalog, "l", parallelization=1)
        account.grant(catalog, "read")
        subscription = Subscription(account, catalog, "l")
        parked = streamlayer.Background(account.get, subscription.url("partitions") + "?maxWaitMs=20000")
        # Once another group has settled the poll has waited for long.
        Subscription(account, catalog, "l", properties={"group.id": "other"})
        self.expect(self.platform.delete(f"/config/v1/catalogs/{catalog}/grants/{account.name}"), 204)
        self.expect(parked.result(25), 403, "forbidden")

    def test_subscriptions_of_another_application_are_not_there(self):
        catalog = self.platform.catalog()
        self.platform.layer(catalog, "l", parallelization=1)
        one, other = self.make(), self.make()
        for account in (one, other):
            account.grant(catalog, "read")
        subscription = Subscription(one, catalog, "l", query="mode=serial&subscriptionId=one")
        for url in (subscription.url("partitions"),
                    f"/stream/v2/catalogs/{catalog}/layers/l/partitions?subscriptionId=one"):
            self.expect(other.get(url), 404, "no-such-subscription")
        self.expect(other.put(subscription.url("offsets"), {"offsets": [{"partition": 0, "offset": 0}]}), 404)
        self.expect(other.delete_url(subscription.url("subscribe")), 404, "no-such-subscription")
        self.assertEqual(subscription.delete().status, 200)

    def test_groups_are_the_application_s_own(self):
        catalog = self.platform.catalog()
        self.platform.layer(catalog, "l", parallelization=1)
        one, other = self.make(), self.make()
        for account in (one, other):
            account.grant(catalog, "read")
        base = f"/stream/v2/catalogs/{catalog}/layers/l/groups"
        subscription = Subscription(one, catalog, "l", properties={"group.id": "mine"})
        self.expect(one.get(f"{base}/mine"), 200)
        self.expect(other.get(f"{base}/mine"), 404, "no-such-group")
        self.expect(other.get(f"{base}/{one.id}.mine"), 404, "no-such-group")
        self.assertEqual(self.expect(other.get(base), 200).json()["groups"], [])
        # A reset makes what is not there: its own group, not the other's, which has a member.
        self.expect(other.put(f"{base}/mine/offsets?dryRun=true", {"to": "end"}), 200)
        self.expect(one.put(f"{base}/mine/offsets", {"to": "end"}), 409, "group-active")
        subscription.delete()

    def tokens_are_rationed(self, gateway, key):
        """By address, since nobody knows yet who asks; by application, when the signature is right."""
        url = gateway.url + "/oauth2/token"
        identity, secret = [re.search(f"here.access.key.{name} = (.*)", key)[1] for name in ("id", "secret")]

        def ask(address, signed):
            headers = {"X-Forwarded-For": address, "Content-Type": "application/json"}
            if signed:
                headers["Authorization"] = streamlayer.oauth_header(url, identity, secret)
            return gateway.post(url, b'{"grantType":"client_credentials"}', token=None, headers=headers)

        def refused(answer):
            return answer if answer.status == 429 else None
        answer = wait_for(lambda: refused(ask("192.0.2.1", False)), 30, "an address asks as often as it likes")
        self.expect(answer, 429, "too-many-requests")
        self.assertIn("address 192.0.2.1", answer.json()["cause"])
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.expect(ask("192.0.2.2", False), 401, "bad-signature")
        addresses = (f"198.51.100.{number}" for number in range(1, 250))
        answer = wait_for(lambda: refused(ask(next(addresses), True)), 30, "an application asks as often as it likes")
        self.expect(answer, 429, "too-many-requests")
        self.assertIn("application busy", answer.json()["cause"])

    def test_requests_a_second_are_rationed_by_application(self):
        directory = self.scratch()
        keys = [self.platform.cli("app", "create", name, "--right", "read", "--data-dir", directory + "/data",
                                  "--token-url", "http://127.0.0.1:1/oauth2/token",
                                  "-D", f"streamlayer.gateway.data-directory={directory}/data").stdout.decode()
                for name in ("busy", "calm")]
        running = daemon.Daemon(self.platform, directory, settings=(
            "limits.application-requests = 1, listen.trusted-proxies = 127.0.0.1, "
            f'access-log {{ file = "{directory}/access.log", format = json }}')).start()
        self.addCleanup(running.kill)
        busy, calm = [daemon.platform_of(running, key).token for key in keys]
        gateway = daemon.platform_of(running, keys[0])
        wait_for(lambda: gateway.get("/ready", token=None).status == 200, 60, "it is not ready")

        def refused():
            answer = gateway.get("/config/v1/catalogs", token=busy)
            return answer if answer.status != 200 else None
        self.expect(gateway.get("/config/v1/catalogs", token=busy), 200)  # the token is known from now on
        answer = wait_for(refused, 30, "nothing is refused")
        self.expect(answer, 429, "too-many-requests")
        self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
        self.assertEqual(gateway.get("/config/v1/catalogs", token=calm).status, 200)  # others are served meanwhile
        self.assertRegex(gateway.get("/metrics", token=None).text,
                         r'\nstreamlayer_limit_reached_total\{limit="application-requests"\} [1-9]')
        entries = [json.loads(line) for line in wait_for(lambda: [
            line for line in (streamlayer.read_text(directory + "/access.log") or "").splitlines(True)
            if line.endswith("\n") and '"status":429' in line], 30, "the access log has no refusal")]
        self.assertTrue(entries[0].get("application"), entries[0])
        self.tokens_are_rationed(gateway, keys[0])
        running.configure("limits.application-requests = 0")
        self.assertIn("limits.application-requests = 0", running.hup())
        for _ in range(50):
            self.expect(gateway.get("/config/v1/catalogs", token=busy), 200)
        self.assertEqual(running.stop(), 0)

    def test_the_gateways_own_user_is_nobodys_subject(self):
        """Where a cluster's brokers take the issuer's tokens, whoever has one with that subject would be the gateway."""
        place = self.scratch()
        key = daemon.make_data(self.platform, place)
        streamlayer.write_text(place + "/jwks", json.dumps({"keys": [jwt.Key.make(place + "/issuer.key", "one").public()]}))
        issuers = "\n".join(f'token.issuers.{name} {{ issuer = "https://{name}", audience = x, jwks-file = "{place}/jwks" }}'
                           for name in ("kafkas", "other"))
        running = daemon.Daemon(self.platform, place, settings=f"""{issuers}
            kafka.clusters.east {{ brokers = "127.0.0.1:1", acls.enabled = true, acls.issuer = "https://kafkas"
            client {{ security.protocol = sasl_plaintext, sasl.mechanism = PLAIN, sasl.username = gateway, sasl.password = x }} }}""")
        running.start()
        self.addCleanup(running.kill)
        platform = daemon.platform_of(running, key)

        def make(issuer, subject):
            return platform.post("/config/v1/applications", {"name": "one", "issuer": f"https://{issuer}", "subject": subject})

        answer = self.expect(make("kafkas", "gateway"), 400, "bad-request")
        for words in ("the gateway's own user on the Kafka cluster east", "docs/security.md"):
            self.assertIn(words, answer.json()["cause"])
        for issuer, subject in (("kafkas", "gateway2"), ("other", "gateway")):
            # Kafka is not there, so nothing is waited for.
            self.expect(make(issuer, subject), 201)
            platform.delete("/config/v1/applications/one")
        self.assertEqual(running.stop(), 0)

    def test_changes_are_in_the_log(self):
        """Who, what, on what, by which request; a change that was refused is none, and no secret is there."""
        place = self.scratch()
        key = daemon.make_data(self.platform, place)
        running = daemon.Daemon(self.platform, place).start()
        self.addCleanup(running.kill)
        platform = daemon.platform_of(running, key)
        me = re.search(r"(?m)^here\.client\.id = (\S+)$", key)[1]
        told = []

        def change(method, url, body, status, *words):
            answer = platform.request(method, url, body, {"X-Correlation-Id": f"change-{len(told)}"})
            self.assertEqual(answer.status, status, answer.text)
            told.append(f"audit: default (application {me}) {' '.join(words)} (correlation change-{len(told)})")
            return answer.json() if answer.body else None
        made = change("POST", "/config/v1/applications", {"name": "fleet", "rights": ["read"]}, 201,
                      "created the application fleet (ID) with the rights read")
        told[-1] = told[-1].replace("ID", made["id"])
        second = change("POST", "/config/v1/applications/fleet/keys", {"graceMs": 7}, 201,
                        "gave the application fleet the key KEY; those before end in 7 ms")
        told[-1] = told[-1].replace("KEY", second["accessKeyId"])
        hrn = change("POST", "/config/v1/catalogs", {"id": "traffic"}, 201,
                     "created the catalog hrn:here:data::local:traffic with 0 layers")["hrn"]
        change("PATCH", f"/config/v1/catalogs/{hrn}", {"name": "Jam"}, 200, f"changed the catalog {hrn}: its name is Jam")
        layers, grants = f"/config/v1/catalogs/{hrn}/layers", f"/config/v1/catalogs/{hrn}/grants/fleet"
        change("POST", layers, {"id": "cars", "contentType": "a/b"}, 201, "created the layer cars of", hrn + ":")
        change("PATCH", layers + "/cars", {"streamProperties": {"parallelization": 5}}, 200, "changed the layer cars of", hrn + ":")
        change("PUT", grants, {"rights": ["write"]}, 200, f"set the rights write on {hrn} for the application fleet")
        change("PATCH", grants, {"rights": ["read"]}, 200, f"gave the rights read on {hrn} to the application fleet")
        change("DELETE", grants + "?rights=write", b"", 204, f"took the rights write on {hrn} from the application fleet")
        change("DELETE", layers + "/cars", b"", 200, f"deleted the layer cars of {hrn}")
        change("DELETE", f"/config/v1/catalogs/{hrn}", b"", 200, f"deleted the catalog {hrn}")
        change("POST", "/config/v1/acls/repair", b"", 200, "had Kafka's access control lists repaired")
        kid = change("POST", "/config/v1/token-keys", b"", 201, "made the token key KID")["kid"]
        told[-1] = told[-1].replace("KID", kid)
        change("DELETE", f"/config/v1/token-keys/{kid}", b"", 204, f"revoked the token key {kid}")
        change("DELETE", "/config/v1/applications/fleet", b"", 204, "deleted the application fleet")
        self.assertEqual(platform.delete("/config/v1/applications/fleet").status, 404)
        self.assertEqual(platform.post("/config/v1/catalogs", {"id": "?"}).status, 400)
        self.assertEqual(running.stop(), 0, running.text())
        found = [re.sub(r'(layer cars of \S+:) name "cars", topic .* KBps', r"\1", line)
                 for line in re.findall(r"INFO (audit: .*)", running.text())]
        self.assertEqual(found, told)
        self.assertNotIn(made["accessKeySecret"], running.text())
        self.assertNotIn(second["accessKeySecret"], running.text())


if __name__ == "__main__":
    streamlayer.main()
