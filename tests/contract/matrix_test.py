"""Who may call what: every route of the gateway's, as `streamlayerd --routes` lists them, by every kind of caller.

A route without a row here fails, and so does a row without a route."""
import base64
import json
import os
import subprocess
import time

import streamlayer
from accounts import Accounts
from streamlayer import Subscription, TestCase

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}
CATALOG = "/config/v1/catalogs/{hrn}"
STREAM = "/stream/v2/catalogs/{hrn}"
NODE = STREAM + "/subscriptions/{subscription}"
LAYER = "/layers/{layer}"
PUBLISH = "/publish/v2/catalogs/{hrn}"
BLOB = "/blob/v1/catalogs/{hrn}/layers/{layer}/data/{handle}"
ANY_RIGHT = "read,write,manage"
GRANTS = "manage,admin"


class Row:
    """What a route asks for, and what it answers who may call it, with a body that changes nothing lasting."""

    def __init__(self, access, status, body=None, headers=None, query="", **parameters):
        self.access, self.status, self.body = access, status, body
        self.headers, self.query, self.parameters = headers or {}, query, parameters


def on_subscriptions(method, path, body=None):
    """A call on a subscription that there is not, by its two URLs."""
    return {(method, STREAM + LAYER + path): Row("read", 404, body, query="?subscriptionId=none"),
            (method, NODE + LAYER + path): Row("read", 404, body)}


def lookup(prefix):
    return {("GET", prefix + "/resources/{hrn}/apis"): Row(ANY_RIGHT, 200),
            ("GET", prefix + "/resources/{hrn}/apis/{api}/{version}"): Row(ANY_RIGHT, 200),
            ("GET", prefix + "/platform/apis"): Row("any", 200),
            ("GET", prefix + "/platform/apis/{api}/{version}"): Row("any", 200)}


ROWS = {
    # ingest
    ("POST", "/ingest/v1/catalogs/{hrn}/layers/{layer}"): Row("write", 200, b"x", TEXT),
    ("POST", "/ingest/v1/catalogs/{hrn}/layers/{layer}/sdiiMessageList"):
        Row("write", 200, b"", {"Content-Type": "application/x-protobuf"}, layer="protobuf"),
    # stream
    ("POST", STREAM + LAYER + "/subscribe"): Row("read", 400, {"kafkaConsumerProperties": {"nonsense": 1}}),
    **on_subscriptions("DELETE", "/subscribe"),
    **on_subscriptions("GET", "/partitions"),
    **on_subscriptions("PUT", "/offsets", {"offsets": [{"partition": 0, "offset": 0}]}),
    **on_subscriptions("PUT", "/seek", {"offsets": [{"partition": 0, "offset": 0}]}),
    **on_subscriptions("PUT", "/pause", {}),
    **on_subscriptions("PUT", "/resume", {}),
    **on_subscriptions("GET", "/positions"),
    ("GET", STREAM + LAYER + "/endpoint"): Row(ANY_RIGHT, 200),
    ("GET", STREAM + LAYER + "/producer/endpoint"): Row("write", 200),
    ("GET", STREAM + LAYER + "/consumer/endpoint"): Row("read", 200),
    ("GET", STREAM + LAYER + "/groups"): Row("read", 200),
    ("GET", STREAM + LAYER + "/groups/{group}"): Row("read", 404),
    ("PUT", STREAM + LAYER + "/groups/{group}/offsets"): Row("read", 200, {"to": "end"}, query="?dryRun=true"),
    ("GET", STREAM + LAYER + "/statistics"): Row(ANY_RIGHT, 200),
    # config
    ("POST", "/config/v1/catalogs"): Row("create", 400, {}),
    ("GET", "/config/v1/catalogs"): Row("any", 200),
    ("GET", CATALOG): Row(ANY_RIGHT, 200),
    ("PATCH", CATALOG): Row("manage", 200, {"name": "a name"}),
    ("PUT", CATALOG): Row("manage", 200, {"name": "a name"}),
    ("DELETE", CATALOG): Row("manage", 200),
    ("POST", CATALOG + "/layers"): Row("manage", 400, {}),
    ("GET", CATALOG + LAYER): Row(ANY_RIGHT, 200),
    ("PUT", CATALOG + LAYER): Row("manage", 404, {"name": "a name"}, layer="none"),
    ("PATCH", CATALOG + LAYER): Row("manage", 404, {"name": "a name"}, layer="none"),
    ("DELETE", CATALOG + LAYER): Row("manage", 404, layer="none"),
    ("GET", "/config/v1/status/{status}"): Row("any", 404),
    # lookup, at both its places
    **lookup("/lookup/v1"),
    **lookup(""),
    # publish and blob
    ("POST", PUBLISH + "/publications"): Row("write", 200, {"layerIds": ["l"]}),
    ("GET", PUBLISH + "/publications/{id}"): Row("write", 404),
    ("PUT", PUBLISH + "/publications/{id}"): Row("write", 404),
    ("DELETE", PUBLISH + "/publications/{id}"): Row("write", 404),
    ("POST", PUBLISH + LAYER + "/publications/{id}/partitions"): Row("write", 404, {"partitions": []}),
    ("POST", PUBLISH + LAYER + "/partitions"): Row("write", 400, {"partitions": [{"partition": "p"}]}),
    ("PUT", BLOB): Row("write", 400, b"x", TEXT, handle="%20"),
    ("GET", BLOB): Row("read,write", 404),
    # applications, grants, keys of tokens
    ("GET", "/config/v1/applications"): Row("admin", 200),
    ("POST", "/config/v1/applications"): Row("admin", 400, {}),
    ("GET", "/config/v1/applications/{application}"): Row("admin", 404),
    ("DELETE", "/config/v1/applications/{application}"): Row("admin", 404),
    ("POST", "/config/v1/applications/{application}/keys"): Row("admin", 404, {}),
    ("GET", "/config/v1/grants"): Row("admin", 200),
    ("PUT", "/config/v1/grants/{application}"): Row("admin", 404, {"rights": ["admin"]}),
    ("PATCH", "/config/v1/grants/{application}"): Row("admin", 404, {"rights": ["admin"]}),
    ("DELETE", "/config/v1/grants/{application}"): Row("admin", 404),
    ("GET", CATALOG + "/grants"): Row(GRANTS, 200),
    ("PUT", CATALOG + "/grants/{application}"): Row(GRANTS, 404, {"rights": ["read"]}),
    ("PATCH", CATALOG + "/grants/{application}"): Row(GRANTS, 404, {"rights": ["read"]}),
    ("DELETE", CATALOG + "/grants/{application}"): Row(GRANTS, 404),
    ("GET", "/config/v1/marketplace-subscriptions"): Row("any", 200),
    ("GET", CATALOG + "/marketplace-subscriptions"): Row(GRANTS, 200),
    ("GET", CATALOG + "/marketplace-subscriptions/{application}"): Row(GRANTS, 404),
    ("PUT", CATALOG + "/marketplace-subscriptions/{application}"): Row(GRANTS, 404, {}),
    ("DELETE", CATALOG + "/marketplace-subscriptions/{application}"): Row(GRANTS, 404),
    ("GET", "/config/v1/acls"): Row("admin", 200),
    ("POST", "/config/v1/acls/repair"): Row("admin", 200),
    ("GET", "/config/v1/token-keys"): Row("admin", 200),
    ("POST", "/config/v1/token-keys"): Row("admin", (200, 201), {}),  # made, or made before
    ("DELETE", "/config/v1/token-keys/{kid}"): Row("admin", 404),
    # usage
    ("GET", "/usage/v1/usage"): Row("any", 200),
    ("GET", "/usage/v1/unconfirmed"): Row("any", 200),
    ("GET", "/usage/v1/statements/{month}"): Row("any", 200),
    ("GET", "/usage/v1/jwks"): Row("public", 200),
    # for everybody
    ("POST", "/oauth2/token"): Row("public", 401, {}),
    ("GET", "/oauth2/jwks"): Row("public", 200),
    ("GET", "/.well-known/jwks.json"): Row("public", 200),
    ("GET", "/timestamp"): Row("public", 200),
    ("GET", "/health"): Row("public", 200),
    ("GET", "/ready"): Row("public", 200),
    ("GET", "/metrics"): Row("public", 200),
}

RIGHTS = ("read", "write", "manage", "create", "admin")
ON_PLATFORM = ("create", "admin")


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Matrix(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        listed = subprocess.run([cls.platform.binaries + "/streamlayerd", "--routes"], check=True, capture_output=True)
        cls.routes = [tuple(line.split(" ")) for line in listed.stdout.decode().splitlines()]
        cls.accounts = Accounts(cls.platform)
        cls.catalog = cls.platform.catalog()
        cls.platform.layer(cls.catalog, "l", "text/plain", parallelization=1)
        cls.platform.layer(cls.catalog, "protobuf", "application/x-protobuf", parallelization=1)

    def account(self, *rights, catalog=None):
        """An application that has these rights: on the catalog, or on the platform."""
        account = self.accounts.make(*[right for right in rights if right in ON_PLATFORM])
        self.addCleanup(account.delete)
        account.rights = rights
        self.grant(account, catalog or self.catalog)
        return account

    def grant(self, account, catalog):
        rights = [right for right in account.rights if right not in ON_PLATFORM]
        if rights:
            account.grant(catalog, *rights)

    def ask(self, method, pattern, row, token, **parameters):
        values = {"hrn": self.catalog, "layer": "l", "subscription": "none", "group": "g", "id": "none",
                  "handle": "none", "application": "nobody", "api": "config" if "platform" in pattern else "stream",
                  "version": "v1" if "platform" in pattern else "v2", "kid": "none", "status": "none", "month": "1999-11", **row.parameters, **parameters}
        path = pattern.format(**values) + row.query
        return self.platform.request(method, path, row.body, headers=dict(row.headers), token=token)

    def check(self, answer, row):
        self.assertIn(answer.status, row.status if isinstance(row.status, tuple) else (row.status,), answer.text)

    def check_refused(self, answer, status, code):
        self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(answer.json()["code"], code, answer.text)

    def test_matrix_has_every_route(self):
        access = {(method, pattern): who for method, pattern, who in self.routes}
        self.assertEqual(sorted(set(access) - set(ROWS)), [], "routes without a row in matrix_test.py")
        self.assertEqual(sorted(set(ROWS) - set(access)), [], "rows without a route")
        self.assertEqual({route: row.access for route, row in ROWS.items()}, access)
        self.assertEqual(len(access), len(self.routes))

    def by_application(self, *rights):
        account = self.account(*rights)
        for method, pattern, _ in self.routes:
            row = ROWS[method, pattern]
            allowed = row.access in ("public", "any") or set(row.access.split(",")) & set(rights)
            with self.subTest(rights=rights, method=method, pattern=pattern):
                parameters = {}
                if (method, pattern) == ("DELETE", CATALOG) and allowed:
                    parameters["hrn"] = self.platform.catalog()
                    self.grant(account, parameters["hrn"])
                answer = self.ask(method, pattern, row, account.token, **parameters)
                if allowed:
                    self.check(answer, row)
                else:
                    self.check_refused(answer, 403, "forbidden")
                    self.assertIn(account.name, answer.json()["cause"])

    def test_matrix_without_rights(self):
        self.by_application()

    def test_matrix_read_only(self):
        self.by_application("read")

    def test_matrix_write_only(self):
        self.by_application("write")

    def test_matrix_manage_only(self):
        self.by_application("manage")

    def test_matrix_create_only(self):
        self.by_application("create")

    def test_matrix_admin_only(self):
        self.by_application("admin")

    def test_matrix_all_rights(self):
        self.by_application(*RIGHTS)

    def test_matrix_rights_on_another_catalog(self):
        account = self.account("read", "write", "manage", catalog=self.platform.catalog())
        for method, pattern, _ in self.routes:
            row = ROWS[method, pattern]
            if "{hrn}" in pattern:
                with self.subTest(method=method, pattern=pattern):
                    self.check_refused(self.ask(method, pattern, row, account.token), 403, "forbidden")

    def by_token(self, token, what):
        """Nobody gets in with it, whatever it is for."""
        for method, pattern, _ in self.routes:
            row = ROWS[method, pattern]
            for each in (method, "HEAD") if method == "GET" else (method,):
                with self.subTest(token=what, method=each, pattern=pattern):
                    answer = self.ask(each, pattern, row, token)
                    if row.access == "public":
                        self.check(answer, row)
                    elif each == "HEAD":
                        self.assertEqual(answer.status, 401)
                    else:
                        self.check_refused(answer, 401, "unauthenticated")
                        self.assertEqual(answer.headers["www-authenticate"], "Bearer")

    def test_matrix_without_a_token(self):
        self.by_token(None, "none")

    def test_matrix_wrong_signature(self):
        account = self.account(*RIGHTS)
        head, claims, signature = account.token.split(".")
        middle = len(signature) // 2
        other = "A" if signature[middle] != "A" else "B"
        self.by_token(f"{head}.{claims}.{signature[:middle]}{other}{signature[middle + 1:]}", "wrong signature")

    def test_matrix_claims_of_another(self):
        """A good signature, under what an application with fewer rights would like to be."""
        less, more = self.account(), self.account(*RIGHTS)
        head, claims, signature = less.token.split(".")
        wanted = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        wanted["sub"] = more.id
        self.by_token(f"{head}.{unpadded(json.dumps(wanted).encode())}.{signature}", "another's claims")

    def test_matrix_expired(self):
        """As the gateway itself would have signed it, a while ago."""
        account = self.account(*RIGHTS)
        head, claims, _ = account.token.split(".")
        kid = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
        key = os.path.join(self.platform.environment["DIR"], "data", "token-keys", kid + ".pem")
        values = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))

        def signed(expires):
            values.update(iat=expires - 3600, exp=expires)
            text = f"{head}.{unpadded(json.dumps(values).encode())}"
            der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text.encode(), check=True,
                                 capture_output=True).stdout
            numbers, at = [], 2  # SEQUENCE of two INTEGERs
            for _ in range(2):
                size = der[at + 1]
                numbers.append(der[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0"))
                at += 2 + size
            return f"{text}.{unpadded(b''.join(numbers))}"

        now = int(time.time())
        self.assertEqual(self.platform.get("/config/v1/catalogs", token=signed(now + 600)).status, 200)
        self.by_token(signed(now - 3600), "expired")

    def test_matrix_deleted_application(self):
        account = self.accounts.make(*RIGHTS)
        token = account.token
        self.assertEqual(self.platform.get("/config/v1/catalogs", token=token).status, 200)
        account.delete()
        self.by_token(token, "a deleted application's")

    def test_matrix_what_is_another_application_s(self):
        """Subscriptions, publications, groups: 404 for who has the same rights; blobs: for who may not read."""
        owner, twin, writer = self.account(*RIGHTS), self.account(*RIGHTS), self.account("write")
        subscription = Subscription(owner, self.catalog, "l", "mode=serial", {"group.id": "g"})
        created = owner.post(PUBLISH.format(hrn=self.catalog) + "/publications", {"layerIds": ["l"]}, headers=JSON)
        blob = BLOB.format(hrn=self.catalog, layer="l", handle="owners")
        self.assertEqual(owner.put(blob, b"x", headers=TEXT).status, 204)
        values = {"subscription": subscription.node.rsplit("/", 1)[1], "id": created.json()["id"], "handle": "owners"}
        tried = 0
        for method, pattern, _ in self.routes:
            row = ROWS[method, pattern]
            if "{subscription}" in pattern or "{id}" in pattern or pattern.endswith("/groups/{group}"):
                with self.subTest(method=method, pattern=pattern):
                    self.assertEqual(self.ask(method, pattern, row, twin.token, **values).status, 404)
                    tried += 1
        self.assertGreater(tried, 10)
        self.check_refused(writer.get(blob), 404, "no-such-blob")
        self.assertEqual(twin.get(blob).status, 200)
        # All of it is still there, for its owner.
        self.assertEqual(owner.get(subscription.url("partitions")).status, 200)
        self.assertEqual(owner.get(f"{PUBLISH.format(hrn=self.catalog)}/publications/{values['id']}").status, 200)
        self.assertEqual(owner.get(f"{STREAM.format(hrn=self.catalog)}/layers/l/groups/g").status, 200)
        self.assertEqual(owner.get(blob).body, b"x")
        self.assertEqual(subscription.delete().status, 200)


if __name__ == "__main__":
    streamlayer.main()
