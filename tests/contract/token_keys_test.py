"""Tokens over time and from elsewhere: keys that change, restarts, JWKS, outside issuers. Another library (jose) checks the
gateway's tokens, and makes those of the issuers."""
import base64
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time

import daemon
import streamlayer
from accounts import Accounts
from streamlayer import TestCase, wait_for

SDK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "typescript")
LOOKUP = "/lookup/v1/platform/apis"
ISSUER = "https://login.example/realms/fleet"


def jose(call, **options):
    done = subprocess.run(["node", os.path.join(SDK, "jwt.js")], input=json.dumps({"call": call, **options}), check=False,
                          capture_output=True, encoding="utf-8", timeout=60)
    if done.returncode:
        raise AssertionError(f"jwt.js {call}: {done.stderr}")
    return json.loads(done.stdout)


def part(token, index):
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


class Issuer(http.server.ThreadingHTTPServer):
    """Publishes a JWKS, unless it is away."""

    def __init__(self, jwks):
        self.jwks, self.away, self.asked = jwks, False, 0
        super().__init__(("127.0.0.1", 0), IssuerHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/jwks"

    def close(self):
        self.shutdown()
        self.server_close()


class IssuerHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        body = b"" if self.server.away else json.dumps(self.server.jwks).encode()
        self.send_response(500 if self.server.away else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Tokens(TestCase):
    """What the tests share: daemons that begin with the same data directory."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.place = tempfile.mkdtemp(prefix="streamlayer-token-keys-")
        cls.addClassCleanup(shutil.rmtree, cls.place)
        cls.key = daemon.make_data(cls.platform, cls.place)

    def start(self, settings="", directory=None):
        if not directory:
            directory = self.scratch()
            shutil.copytree(self.place + "/data", directory + "/data")
        running = daemon.Daemon(self.platform, directory, settings=settings).start()
        self.addCleanup(running.kill)
        return running, daemon.platform_of(running, self.key)

    def stop(self, running):
        self.assertEqual(running.stop(), 0, running.text())
        self.assertNotRegex(running.text(), streamlayer.SANITIZER_REPORT)

    def works(self, platform, token):
        answer = platform.get(LOOKUP, token=token)
        self.assertEqual(answer.status, 200, answer.text)

    def refused(self, platform, token, status=401, code="unauthenticated"):
        answer = platform.get(LOOKUP, token=token)
        self.assertEqual((answer.status, answer.json()["code"]), (status, code), answer.text)
        return answer

    def signed_request(self, platform):
        """A token request, as it might be captured."""
        values = dict(line.split(" = ", 1) for line in self.key.splitlines() if " = " in line)
        header = streamlayer.oauth_header(platform.url + "/oauth2/token", values["here.access.key.id"],
                                          values["here.access.key.secret"])
        return lambda: platform.post("/oauth2/token", b'{"grantType":"client_credentials"}', token=None,
                                     headers={"Authorization": header, "Content-Type": "application/json"})

    def kids(self, platform):
        answer = platform.get("/oauth2/jwks", token=None)
        self.assertEqual(answer.status, 200)
        return [key["kid"] for key in answer.json()["keys"]]


class TokenKeys(Tokens):
    def test_jwks_checks_the_tokens(self):
        running, platform = self.start("token.issuer = \"https://gateway.example\", token.audience = kafka")
        token = platform.token
        for path in ("/oauth2/jwks", "/.well-known/jwks.json"):
            answer = platform.get(path, token=None)
            self.assertEqual(answer.headers["cache-control"], "public, max-age=300")
            self.assertNotIn('"d"', answer.text)
            good, forged = jose("verify", jwks=platform.url + path, issuer="https://gateway.example", audience="kafka",
                                tokens=[token, token[:-8] + "AAAAAAAA"])
            self.assertEqual(good["header"]["alg"], "ES256", good)
            self.assertEqual([good["header"]["kid"]], self.kids(platform))
            self.assertEqual(good["payload"]["exp"] - good["payload"]["iat"], 3600)
            self.assertTrue(good["payload"]["jti"])
            self.assertEqual(forged["error"], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED")
        self.stop(running)

    def test_rotation_under_load_refuses_no_token(self):
        """Keys change all the while; every token that is live is good, each in requests of its own."""
        running, platform = self.start("token.key-lifetime = 3 s, token.key-lead = 1 s")
        tokens, faults, over = [platform.token], [], threading.Event()

        def ask():
            while not over.is_set() and not faults:
                answer = self.signed_request(platform)()
                if answer.status != 200:
                    faults.append(answer.text)
                else:
                    tokens.append(answer.json()["accessToken"])

        def use():
            while not over.is_set() and not faults:
                for token in tokens[::7]:
                    answer = platform.get(LOOKUP, token=token)
                    if answer.status != 200:
                        faults.append(f"{part(token, 0)}: {answer.text}")

        threads = [threading.Thread(target=work) for work in (ask, use, use)]
        for thread in threads:
            thread.start()
        try:
            wait_for(lambda: faults or len({part(token, 0)["kid"] for token in tokens}) >= 4, 60, "four keys in use")
        finally:
            over.set()
            for thread in threads:
                thread.join()
        self.assertEqual(faults, [])
        kids = {part(token, 0)["kid"] for token in tokens}
        self.assertLessEqual(kids, set(self.kids(platform)))
        for token in tokens:
            self.works(platform, token)
        self.stop(running)

    def test_restart_keeps_keys_and_nonces(self):
        directory = self.scratch()
        shutil.copytree(self.place + "/data", directory + "/data")
        running, platform = self.start(directory=directory)
        token, kids = platform.token, self.kids(platform)
        self.works(platform, token)
        port = platform.url.rsplit(":", 1)[1]
        captured = self.signed_request(platform)
        self.assertEqual(captured().status, 200)
        self.assertEqual(captured().json()["code"], "bad-signature")
        running.kill()  # not even told
        os.remove(running.log)
        running, platform = self.start(f"listen.port = {port}", directory=directory)
        self.assertEqual(self.kids(platform), kids)
        self.works(platform, token)
        answer = captured()
        self.assertEqual((answer.status, answer.json()["code"]), (401, "bad-signature"), answer.text)
        self.assertIn("nonce", answer.text)
        self.stop(running)

    def test_keys_are_changed_by_the_command_line(self):
        running, platform = self.start("token.key-lead = 1 ms")
        old = platform.token
        kid = part(old, 0)["kid"]
        listed = json.loads(platform.cli("token", "keys", "--json").stdout)["keys"]
        self.assertEqual([(key["kid"], key["state"], key["endsAt"]) for key in listed], [(kid, "signing", None)])
        made = json.loads(platform.cli("token", "rotate-key", "--json").stdout)
        self.assertIn(made["state"], ("next", "signing"))
        self.assertEqual(sorted(self.kids(platform)), sorted([kid, made["kid"]]))
        wait_for(lambda: f"{made['kid']}  signing" in platform.cli("token", "keys").stdout.decode(), 30, "it signs")
        new = platform.cli("token").stdout.decode().strip()
        self.assertEqual(part(new, 0)["kid"], made["kid"])
        self.works(platform, old)
        self.works(platform, new)
        self.assertEqual(platform.cli("token", "revoke-key", kid, check=False).returncode, 2)  # nobody to ask
        platform.cli("token", "revoke-key", kid, "--yes")
        self.refused(platform, old)
        self.works(platform, new)
        self.assertEqual(self.kids(platform), [made["kid"]])
        self.assertEqual(platform.cli("token", "revoke-key", kid, "--yes", check=False).returncode, 3)
        self.assertEqual(platform.cli("token", "revoke-key", "--yes", "--", "-x", check=False).returncode, 3)
        # The one that signs: the client gets a token of the next key by itself.
        platform.cli("token", "revoke-key", made["kid"], "--yes")
        self.refused(platform, new)
        self.assertNotIn(made["kid"], self.kids(platform))
        self.works(platform, platform.cli("token").stdout.decode().strip())
        self.stop(running)

    def test_keys_are_the_administrators(self):
        account = Accounts(self.platform).make()
        self.addCleanup(account.delete)
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/x")):
            url = "/config/v1/token-keys" + path
            self.assertEqual(self.platform.request(method, url, token=None).status, 401)
            answer = self.platform.request(method, url, token=account.token)
            self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"), answer.text)
        answer = self.platform.delete("/config/v1/token-keys/..%2f..%2fcatalogs.db")
        self.assertEqual((answer.status, answer.json()["code"]), (404, "no-such-token-key"), answer.text)

    def test_tokens_of_before_keys_had_names(self):
        """The one key of an earlier version, and a token that it signed."""
        directory = self.scratch()
        shutil.copytree(self.place + "/data", directory + "/data")
        shutil.rmtree(directory + "/data/token-keys")
        old = directory + "/data/token-key.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", old],
                       check=True, capture_output=True)
        values = dict(line.split(" = ", 1) for line in self.key.splitlines() if " = " in line)
        subject = values["here.client.id"]
        now = int(time.time())
        claims = {"iss": "streamlayer", "sub": subject, "iat": now, "exp": now + 600, "jti": "1"}
        header = {"alg": "ES256", "typ": "JWT"}
        token = jose("sign", pem=old, header=header, claims=claims)
        other = jose("sign", pem=old, header=header, claims={**claims, "iss": "elsewhere"})
        running, platform = self.start(directory=directory)
        self.works(platform, token)
        self.refused(platform, other)
        self.assertFalse(os.path.exists(old))
        self.assertEqual(len(os.listdir(directory + "/data/token-keys")), 2)
        self.assertEqual([part(platform.token, 0)["kid"]], self.kids(platform))
        platform.cli("token", "rotate-key")
        self.works(platform, token)
        self.stop(running)


class Issuers(Tokens):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pairs = jose("generate", algorithms=["ES256", "ES384", "RS256", "PS256", "ES256"])
        cls.jwks = {"keys": [pair["public"] for pair in cls.pairs[:4]]}

    def token(self, pair=0, kid="own", header=None, **claims):
        key = self.pairs[pair]["private"]
        now = int(time.time())
        head = {"alg": key["alg"], "kid": key["kid"] if kid == "own" else kid, **(header or {})}
        return jose("sign", key=key, header=head, claims={"iss": ISSUER, "sub": "7c1f", "aud": "fleet-api", "iat": now,
                                                          "exp": now + 600, **claims})

    def settings(self, keys):
        return (f'token.issuers.login {{ issuer = "{ISSUER}", audience = fleet-api, {keys} }}\n'
                "  log.level = debug")

    def make_application(self, platform):
        answer = platform.post("/config/v1/applications", {"name": "fleet", "issuer": ISSUER, "subject": "7c1f",
                                                           "rights": ["create"]})
        self.assertEqual(answer.status, 201, answer.text)
        made = answer.json()
        self.assertEqual((made["issuer"], made["subject"]), (ISSUER, "7c1f"))
        self.assertNotIn("accessKeyId", made)
        return made["id"]

    def check(self, platform):
        self.refused(platform, self.token(), code="unknown-application")
        self.make_application(platform)
        for pair in range(4):
            token = self.token(pair)
            self.works(platform, token)
            self.works(platform, token)  # as it is remembered
        # It has that application's rights, and no more.
        answer = platform.post("/config/v1/applications", {"name": "x"}, token=self.token())
        self.assertEqual((answer.status, answer.json()["code"]), (403, "forbidden"), answer.text)
        answer = platform.post("/config/v1/catalogs", {"id": platform.name()}, token=self.token())
        self.assertEqual(answer.status, 201, answer.text)
        self.refused(platform, self.token(aud="other-api"))
        self.refused(platform, self.token(iss="https://elsewhere.example"))
        self.refused(platform, self.token(iss="streamlayer"))
        self.refused(platform, self.token(exp=int(time.time()) - 120))
        self.refused(platform, self.token(nbf=int(time.time()) + 600))
        self.refused(platform, self.token(sub="another"), code="unknown-application")
        self.refused(platform, self.token(4, kid="key-0"))  # another's key under that name
        self.refused(platform, self.token(4, kid="key-0", header={"jwk": self.pairs[4]["public"]}))
        self.refused(platform, self.token(3, kid="key-0"))  # a key for another algorithm

    def test_issuer_by_file(self):
        directory = self.scratch()
        file = directory + "/jwks.json"
        streamlayer.write_text(file, json.dumps(self.jwks))
        running, platform = self.start(self.settings(f'jwks-file = "{file}"'))
        self.check(platform)
        # A key that the issuer begins to use, and one that it takes back.
        self.refused(platform, self.token(4))
        first = self.token(0)
        self.works(platform, first)
        streamlayer.write_text(file, json.dumps({"keys": [pair["public"] for pair in self.pairs[1:]]}))
        self.works(platform, self.token(4))
        self.refused(platform, first)
        self.stop(running)

    def test_issuer_by_url(self):
        issuer = Issuer(self.jwks)
        self.addCleanup(issuer.close)
        running, platform = self.start(self.settings(f'jwks-url = "{issuer.url}"'))
        self.check(platform)
        self.assertLessEqual(issuer.asked, 2)
        # Away, its keys stay in use.
        issuer.away = True
        self.works(platform, self.token(2, jti="later"))
        self.stop(running)

    def test_issuer_that_is_away(self):
        issuer = Issuer(self.jwks)
        self.addCleanup(issuer.close)
        issuer.away = True
        running, platform = self.start(self.settings(f'jwks-url = "{issuer.url}"'))
        self.make_application(platform)
        token = self.token()
        answer = self.refused(platform, token, status=503, code="issuer-unavailable")
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertIn("WARNING", running.text())
        self.works(platform, platform.token)  # everybody else is served
        issuer.away = False
        wait_for(lambda: platform.get(LOOKUP, token=token).status == 200, 60, "the issuer's tokens are good")
        self.stop(running)

    def test_issuer_with_a_body_and_a_wait(self):
        """The issuer is asked while the request's body waits: it is all there afterwards."""
        issuer = Issuer(self.jwks)
        self.addCleanup(issuer.close)
        running, platform = self.start(self.settings(f'jwks-url = "{issuer.url}"'))
        self.make_application(platform)
        name = platform.name()
        answer = platform.post("/config/v1/catalogs", {"id": name, "name": "x" * 500}, token=self.token())
        self.assertEqual(answer.status, 201, answer.text)
        self.assertEqual(answer.json()["name"], "x" * 500)
        self.stop(running)


if __name__ == "__main__":
    streamlayer.main()
