"""Applications that a test makes for itself on the shared platform."""
import streamlayer


class Account:
    """An application, which asks as the platform's own does: get, post, put, delete_url, request."""

    def __init__(self, platform, made):
        self.platform, self.name, self.id = platform, made["name"], made["id"]
        self.key, self.secret = made["accessKeyId"], made["accessKeySecret"]
        self.token_url = made["tokenEndpointUrl"]
        self.cached_token = None

    def properties(self):
        """Its credentials file."""
        return (f"here.client.id = {self.id}\nhere.access.key.id = {self.key}\nhere.access.key.secret = {self.secret}\n"
                f"here.token.endpoint.url = {self.token_url}\n")

    def ask_token(self, key=None, secret=None):
        header = streamlayer.oauth_header(self.token_url, key or self.key, secret or self.secret)
        return self.platform.post(self.token_url, b'{"grantType":"client_credentials"}', token=None,
                                  headers={"Authorization": header, "Content-Type": "application/json"})

    @property
    def token(self):
        if not self.cached_token:
            answer = self.ask_token()
            if answer.status != 200:
                raise AssertionError(f"no token: {answer.status} {answer.text}")
            self.cached_token = answer.json()["accessToken"]
        return self.cached_token

    def request(self, method, url, body=None, **options):
        return self.platform.request(method, url, body, token=self.token, **options)

    def get(self, url, **options):
        return self.request("GET", url, **options)

    def post(self, url, body=b"", **options):
        return self.request("POST", url, body, **options)

    def put(self, url, body=b"", **options):
        return self.request("PUT", url, body, **options)

    def delete_url(self, url, **options):
        return self.request("DELETE", url, **options)

    def base(self, api, version, catalog):
        return self.platform.base(api, version, catalog)

    def grant(self, hrn, *rights):
        """Adds rights; hrn may be "*"."""
        url = (f"/config/v1/grants/{self.name}" if hrn == "*" else
               f"/config/v1/catalogs/{hrn}/grants/{self.name}")
        answer = self.platform.request("PATCH", url, {"rights": list(rights)})
        if answer.status != 200:
            raise AssertionError(f"grant: {answer.status} {answer.text}")

    def subscribe(self, hrn, **terms):
        """Gives it a Marketplace subscription, in the place of the one that it has there; returns that."""
        answer = self.platform.put(f"/config/v1/catalogs/{hrn}/marketplace-subscriptions/{self.name}", terms)
        if answer.status != 200:
            raise AssertionError(f"Marketplace subscription: {answer.status} {answer.text}")
        return answer.json()

    def delete(self):
        """Deletes the application."""
        self.platform.delete(f"/config/v1/applications/{self.name}")


class Accounts:
    def __init__(self, platform):
        self.platform = platform

    def make(self, *rights):
        answer = self.platform.post("/config/v1/applications",
                                    {"name": self.platform.name("app"), "rights": list(rights)})
        if answer.status != 201:
            raise AssertionError(f"application: {answer.status} {answer.text}")
        return Account(self.platform, answer.json())
