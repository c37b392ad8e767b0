"""oauth2: OAuth 1.0a signed requests for a bearer token."""
import json
import time
import urllib.parse
import uuid

import streamlayer
from streamlayer import TestCase


class Token(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.credentials = streamlayer.read_credentials(cls.platform.environment["CREDENTIALS"])
        cls.url = cls.credentials["here.token.endpoint.url"]
        cls.key = cls.credentials["here.access.key.id"]
        cls.secret = cls.credentials["here.access.key.secret"]

    def ask(self, body=b'{"grantType":"client_credentials"}', content_type="application/json", query="", key=None,
            secret=None, nonce=None, timestamp=None, form=(), spoil=False):
        """A signed request; form: the body's parameters, which are signed too when it is a form."""
        header = streamlayer.oauth_header(self.url, key or self.key, secret or self.secret, query, form, nonce,
                                          timestamp, spoil)
        return self.platform.post(self.url + ("?" + query if query else ""), body, token=None,
                                  headers={"Authorization": header, "Content-Type": content_type})

    def check(self, answer):
        self.assertEqual(answer.status, 200, answer.text)
        body = answer.json()
        token = body.get("accessToken") or body.get("access_token")
        self.assertTrue(token)
        self.assertEqual((body.get("tokenType") or body.get("token_type")).lower(), "bearer")
        expires = body.get("expiresIn") or body.get("expires_in")
        self.assertIsInstance(expires, int)
        self.assertGreater(expires, 0)
        self.assertEqual(self.platform.get("/lookup/v1/platform/apis", token=token).status, 200)
        return body

    def test_token_in_json(self):
        self.check(self.ask(json.dumps({"grantType": "client_credentials", "expiresIn": 3600}).encode()))

    def test_token_lifetime_that_is_asked_for(self):
        """No more is given than the gateway's own: a client that asks for more is told by the answer."""
        longest = self.check(self.ask())["expiresIn"]
        for asked, given in ((30, 30), (600, 600), (999999999, longest), (2**63 - 1, longest), (None, longest)):
            body = json.dumps({"grantType": "client_credentials", "expiresIn": asked}).encode()
            self.assertEqual(self.check(self.ask(body))["expiresIn"], given)
        form = [("grant_type", "client_credentials"), ("expires_in", "30")]
        self.assertEqual(self.check(self.ask(urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded",
                                             form=form))["expiresIn"], 30)

    def test_token_in_a_form(self):
        form = [("grant_type", "client_credentials")]
        self.check(self.ask(urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded", form=form))

    def test_token_signs_the_query(self):
        """The TypeScript SDK adds sentWith to the URL and to what it signs."""
        self.check(self.ask(query="sentWith=OLP-TS-SDK-1.12.0"))

    def test_token_of_a_realm(self):
        """Which is not signed (RFC 5849, 3.4.1.3.1)."""
        header = streamlayer.oauth_header(self.url, self.key, self.secret).replace("OAuth ", 'OAuth Realm="here", ')
        self.check(self.platform.post(self.url, b'{"grantType":"client_credentials"}', token=None,
                                      headers={"Authorization": header, "Content-Type": "application/json"}))

    def test_token_wrong_signature(self):
        self.assertEqual(self.ask(spoil=True).status, 401)
        self.assertEqual(self.ask(secret="not-the-secret").status, 401)
        self.assertEqual(self.ask(key="not-a-key").status, 401)

    def test_token_stale_timestamp(self):
        for seconds in (-3600, 3600, -100000):
            answer = self.ask(timestamp=int(time.time()) + seconds)
            self.assertEqual(answer.status, 401, answer.text)
            self.assertRegex(answer.text, "(?i)timestamp|clock|time")
        self.assertIn(self.ask(timestamp="soon").status, (400, 401))

    def test_token_replayed_nonce(self):
        nonce, timestamp = uuid.uuid4().hex, int(time.time())
        self.check(self.ask(nonce=nonce, timestamp=timestamp))
        answer = self.ask(nonce=nonce, timestamp=timestamp)
        self.assertEqual(answer.status, 401, answer.text)
        self.assertRegex(answer.text, "(?i)nonce")

    def test_token_refuses(self):
        answer = self.platform.post(self.url, b'{"grantType":"client_credentials"}', token=None,
                                    headers={"Content-Type": "application/json"})
        self.assertEqual(answer.status, 401)
        self.assertIn(self.ask(b'{"grantType":"password"}').status, (400, 401))
        self.assertIn(self.ask(b"{").status, (400, 401))
        for header in ("OAuth", "OAuth x", 'OAuth oauth_consumer_key="', "Basic eDp5", "OAuth " + "a" * 8000):
            answer = self.platform.post(self.url, b"{}", token=None, headers={"Authorization": header})
            self.assertIn(answer.status, (400, 401, 431), header[:60])


if __name__ == "__main__":
    streamlayer.main()
