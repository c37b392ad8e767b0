"""Every row of tests/contract/wrong/: a request that is wrong in one way, and the answer that says so. After each the
gateway serves, and nothing is in the layers that was not there before."""
import base64
import glob
import hashlib
import json
import os
import re
import time
import urllib.parse
import uuid

import jwt
import kafka
import streamlayer
import wrong
from accounts import Accounts
from streamlayer import TestCase

LAYERS = {
    "octets": {"contentType": "application/octet-stream"},
    "text": {"contentType": "text/plain", "streamProperties": {"parallelization": 2}},
    "zipped": {"contentType": "application/json", "contentEncoding": "gzip"},
    "narrow": {"contentType": "text/plain", "streamProperties": {"parallelization": 1}},
    "sdii": {"contentType": "application/x-protobuf"},
    "zipped-sdii": {"contentType": "application/x-protobuf", "contentEncoding": "gzip"},
}


ISSUER, AUDIENCE, SUBJECT = "https://login.example/realms/fleet", "fleet-api", "7c1f"
AWAY = "https://away.example"  # an issuer that cannot be asked for its keys
OWN_ISSUER, OWN_AUDIENCE = "https://gateway.example", "platform"
KEYS_MAX = 16  # of an application
LARGE = b"x" * (1 << 20) + b"y"

# Limits that a row reaches; and what the fixture made stays however long the rows take.
SETTINGS = {
    "limits.blob": "1500000", "limits.batch-messages": "1000", "limits.application-publications": "2",
    "kafka.producer.message.max.bytes": "1040000",
    "limits.application-subscriptions": "4", "limits.group-subscriptions": "2", "limits.subscriptions": "4",
    "limits.subscription-idle": "1 d", "limits.subscription-lost": "1 d", "repeats.window": "1 h",
    "listen.trusted-proxies": "127.0.0.1",
    "token.issuer": OWN_ISSUER, "token.audience": OWN_AUDIENCE,
    "token.issuers.login.issuer": ISSUER, "token.issuers.login.audience": AUDIENCE,
    "token.issuers.away.issuer": AWAY, "token.issuers.away.audience": AUDIENCE,
    "token.issuers.away.jwks-url": "http://127.0.0.1:1/jwks",
}


def base64url_decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Gateway:
    """A `streamlayer up` of the rows' own. binaries: where it lies; client: where another does, if not there."""

    def __init__(self, binaries, brokers, directory, client=None):
        self.issuer = jwt.Key.make(directory + "/issuer.pem", "issuer's")
        streamlayer.write_text(directory + "/jwks.json", json.dumps({"keys": [self.issuer.public()]}))
        settings = {**SETTINGS, "token.issuers.login.jwks-file": directory + "/jwks.json"}
        data = directory + "/data"
        os.mkdir(data, 0o700)
        # A key of the time when keys had no names: the gateway goes on to use it.
        jwt.Key.make(data + "/token-key.pem", None)
        self.up = streamlayer.Running(binaries, data, directory + "/log", "--kafka", brokers,
                                      *(word for name, value in settings.items()
                                        for word in ("-D", f"streamlayer.gateway.{name}={value}")))
        url = self.up.ready()
        file, = glob.glob(data + "/token-keys/*.pem")
        self.own = jwt.Key(file, os.path.basename(file)[:-len(".pem")])
        self.platform = streamlayer.Platform({
            "URL": url, "BIN": client or binaries, "CONFIG": data + "/application.conf",
            "CREDENTIALS": data + "/credentials.properties", "BROKERS": brokers})


class Fixture:
    """What the rows' names stand for."""

    def __init__(self, gateway):
        self.gateway, self.platform = gateway, gateway.platform
        platform = self.platform
        parts = urllib.parse.urlsplit(platform.url)
        self.address = (parts.hostname, parts.port)
        name = platform.name("wrong")
        made = self.want(platform.post("/config/v1/catalogs", {
            "id": name, "layers": [{"id": key, **value} for key, value in LAYERS.items()]}), 201)
        self.hrn = made["hrn"]
        self.market = self.want(platform.post("/config/v1/catalogs", {
            "id": name + "-market", "marketplace": True,
            "layers": [{"id": "text", "contentType": "text/plain",
                        "streamProperties": {"dataOutThroughputKbps": 2000}}]}), 201)["hrn"]
        paths = {key: f"/{api}/catalogs/{self.hrn}" for key, api in
                 {"I": "ingest/v1", "S": "stream/v2", "B": "blob/v1", "U": "publish/v2"}.items()}
        self.names = {
            "hrn": self.hrn, "market": self.market, "catalog": name, "C": "/config/v1/catalogs", **paths,
            "no_hrn": "hrn:here:data::local:" + platform.name("nowhere"),
        }
        self.names["M"] = f"/stream/v2/catalogs/{self.market}"
        self.serial = streamlayer.Subscription(platform, self.hrn, "text")
        self.names["N"] = urllib.parse.urlsplit(self.serial.node).path
        self.names["subscription"] = self.serial.id
        self.narrow = streamlayer.Subscription(platform, self.hrn, "narrow")
        shared = platform.name("shared")
        self.parallel = [streamlayer.Subscription(
            platform, self.hrn, "octets", f"mode=parallel&subscriptionId={shared}&consumerId={consumer}")
            for consumer in ("c1", "c2")]
        self.names["parallel"] = shared
        self.names["closed"] = self.publication(["text"])
        self.want(platform.put(f"{paths['U']}/publications/{self.names['closed']}"), 204)
        self.names["publication"] = self.publication(["text"])
        self.want(platform.put(f"{paths['B']}/layers/text/data/stored", b"0123456789"), 204)
        token = platform.token
        head, payload, signature = token.split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        changed = payload[:-3] + ("A" if payload[-3] != "A" else "B") + payload[-2:]
        self.credentials = streamlayer.read_credentials(platform.environment["CREDENTIALS"])
        other = jwt.Key.make(gateway.issuer.file + ".other", None)
        self.names.update({
            "cut_token": token[:-20], "changed_token": f"{head}.{changed}.{signature}",
            "unsigned_token": f"{none}.{payload}.", "long": "a" * 40000,
            **{f"a{count}": "a" * count for count in (32, 129, 256, 257, 500, 501, 16384, 16385)},
            "longer_token": self.gateway.own.sign(json.loads(base64url_decode(head)), base64url_decode(payload), b"x"),
            "forged_token": other.sign(
                {"alg": "ES256", "kid": "issuer's"}, {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": 1 << 33}),
            "forged_own_token": other.sign(json.loads(base64url_decode(head)), base64url_decode(payload)),
            "cr": "\r", "owner": self.credentials["here.client.id"], "key": self.credentials["here.access.key.id"],
            "topic": platform.topic(self.hrn, "text")})
        platform.layer(self.hrn, "gone")
        kafka.delete_topic(platform.brokers, platform.topic(self.hrn, "gone"))
        for count in (32, 33):
            self.names[f"topic{count}"] = kafka.make_topic(platform.brokers, f"partitions-{count}", count)
        self.names["sha"] = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"  # of 0123456789
        self.names["large_sha"] = hashlib.sha256(LARGE).hexdigest()
        self.names["sha62"] = self.names["sha"][2:]
        self.tokens = {"owner": token}
        self.want(platform.post("/config/v1/applications", {"name": "outside", "issuer": ISSUER, "subject": SUBJECT}), 201)
        # What comes a second time is not written again.
        platform.publish(self.hrn, "octets", LARGE, X_HERE_TraceId="large")
        accounts = Accounts(platform)
        manager = accounts.make("manage")  # of every catalog
        self.tokens["manager"], self.names["manager"] = manager.token, manager.name
        self.names["keyed"] = accounts.make().name
        for _ in range(KEYS_MAX - 1):
            self.want(platform.post(f"/config/v1/applications/{self.names['keyed']}/keys"), 201)
        for name, rights in (("reader", ["read"]), ("writer", ["write"]), ("stranger", [])):
            account = accounts.make()
            if rights:
                self.want(platform.put(f"/config/v1/catalogs/{self.hrn}/grants/{account.name}", {"rights": rights}),
                          200)
            self.tokens[name], self.names[name] = account.token, account.name
            for _ in range(2 if name == "writer" else 0):
                self.want(account.post(f"{paths['U']}/publications", {"layerIds": ["text"]}), 200)
        for name, terms in (("early", {"from": 4102444800000}), ("late", {"from": 1, "until": 86400000})):
            account = accounts.make()
            self.tokens[name], self.names[name] = account.token, account.name
            account.subscribe(self.market, **terms)

    def token(self, by, header, claims):
        """A token that is good but for what is given, and new: by the outside issuer's key, or the gateway's own."""
        now = int(time.time())
        key, issuer, audience, subject = {
            "issuer": (self.gateway.issuer, ISSUER, AUDIENCE, SUBJECT),
            "gateway": (self.gateway.own, OWN_ISSUER, OWN_AUDIENCE, self.credentials["here.client.id"]),
        }[by]
        claims = {"iss": issuer, "aud": audience, "sub": subject, "exp": now + 3600, "jti": str(uuid.uuid4()),
                  **{name.rstrip("+"): now + value if name.endswith("+") else value for name, value in claims.items()}}
        header = {"alg": "ES256", "typ": "JWT", "kid": key.kid, **header}
        return key.sign(*({name: value for name, value in part.items() if value is not None} for part in (header, claims)))

    def authorization(self, row):
        """The header's value; None: none."""
        if row.signed:
            url, key, secret = (self.credentials[name] for name in (
                "here.token.endpoint.url", "here.access.key.id", "here.access.key.secret"))
            return streamlayer.oauth_header(url, *((key, secret) if row.signed is True else (row.signed, "")))
        if row.token:
            return "Bearer " + self.token(*wrong.token_of(wrong.fill(row.token, self.names)))
        return None if row.application == "nobody" else f"Bearer {self.tokens[row.application]}"

    def want(self, answer, status):
        if answer.status != status:
            raise AssertionError(f"the fixture: {answer.status} {answer.text}")
        return answer.json() if answer.body else None

    def publication(self, layers):
        return self.want(self.platform.post(f"/publish/v2/catalogs/{self.hrn}/publications", {"layerIds": layers}),
                         200)["id"]

    def written(self):
        """How far each layer's partitions go, and which catalogs and layers there are."""
        found = {}
        for hrn, layers in ((self.hrn, LAYERS), (self.market, ("text",))):
            for layer in layers:
                answer = self.platform.get(f"/stream/v2/catalogs/{hrn}/layers/{layer}/statistics")
                found[hrn, layer] = [each["end"] for each in self.want(answer, 200)["partitions"]]
            found[hrn] = self.platform.get(f"/config/v1/catalogs/{hrn}").text
        return found

    def close(self):
        for each in (self.serial, self.narrow, *self.parallel):
            each.delete()
        for hrn in (self.hrn, self.market):
            self.platform.delete(f"/config/v1/catalogs/{hrn}")


def fault_of(fixture, row):
    """What is wrong with the answer to a row; None: nothing."""
    try:
        fixture.names["now"] = str(int(time.time()))
        status, headers, body = wrong.send(row, fixture)
    except (OSError, ValueError) as error:
        return f"no answer: {type(error).__name__} {error}"
    if row.code.startswith("in-results "):
        wanted = row.code.split(" ", 1)[1]
        found, texts = wrong.results_of(body) if status == 200 else (body[:300], "")
        if status != row.status or found != wanted:
            return f"{status} {found!r} in the place of a result {wanted}"
        return None if not row.cause or re.search(row.cause, texts) else f"no text says {row.cause}: {texts}"
    if row.code == "-":  # one of libmicrohttpd's own pages, HEAD, or what is right
        return None if status == row.status else f"{status} in the place of {row.status}"
    try:
        answer = json.loads(body)
    except ValueError:
        return f"{status}, and no JSON: {body[:200]!r}"
    if not isinstance(answer, dict):
        return f"{status}, and no object: {body[:200]!r}"
    if status != row.status or answer.get("code") != row.code:
        return f"{status} {answer.get('code')} in the place of {row.status} {row.code}: {answer.get('cause')}"
    for member in ("title", "cause", "action", "correlationId"):
        if not isinstance(answer.get(member), str) or not answer[member]:
            return f"no {member} in {body!r}"
    if row.cause and not re.search(wrong.fill(row.cause, fixture.names), answer["cause"]):
        return f"the cause does not say {row.cause}: {answer['cause']}"
    if status in (429, 503) and "Retry-After" not in headers:
        return "no Retry-After"
    return None


class Wrong(TestCase):
    def test_wrong_requests(self):
        rows = [row for row in wrong.all_rows() if os.environ.get("ROW", "") in row.name]
        gateway = Gateway(self.platform.binaries, self.platform.brokers, self.scratch())
        self.addCleanup(gateway.up.kill)
        fixture = Fixture(gateway)
        faults = []
        try:
            before = fixture.written()
            for row in rows:
                fault = fault_of(fixture, row)
                if not fault and fixture.platform.get("/health", token=None).status != 200:
                    fault = "the gateway does not serve any more"
                after = fixture.written()
                if after != before:
                    fault = f"{fault or ''}; something was written: {before} {after}"
                    before = after
                if fault:
                    faults.append(f"{row.place}: {row.name}: {fault}")
            reached = re.findall(r'(?m)^streamlayer_limit_reached_total\{limit="(\S+)"\} [1-9]', fixture.platform.get("/metrics").text)
            for limit in ("blob", "body", "group-subscriptions", "subscriptions") if "ROW" not in os.environ else ():
                self.assertIn(limit, reached)
        finally:
            fixture.close()
        self.assertFalse(faults, f"{len(faults)} of {len(rows)} rows:\n" + "\n".join(faults))
        self.assertTrue(rows)
        self.assertEqual(gateway.up.stop(), 0, gateway.up.text())
        self.assertNotRegex(gateway.up.text(), streamlayer.SANITIZER_REPORT)


if __name__ == "__main__":
    streamlayer.main()
