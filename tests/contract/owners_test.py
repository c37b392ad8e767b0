"""Blobs, publications and SDII lists of applications with different rights on one layer."""
import base64

import streamlayer
from accounts import Accounts
from streamlayer import Subscription, TestCase, data

OCTETS = {"Content-Type": "application/octet-stream"}


class Owners(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.accounts = Accounts(cls.platform)

    def setUp(self):
        self.hrn = self.platform.catalog()
        self.platform.layer(self.hrn, "layer", parallelization=1)
        self.blobs = f"/blob/v1/catalogs/{self.hrn}/layers/layer/data"
        self.publish = f"/publish/v2/catalogs/{self.hrn}"
        self.writer, self.reader, self.both, self.other = [self.make(*rights) for rights in (
            ["write"], ["read"], ["read", "write"], ["write"])]

    def make(self, *rights):
        account = self.accounts.make()
        self.addCleanup(account.delete)
        account.grant(self.hrn, *rights)
        return account

    def expect(self, answer, status, code=None):
        self.assertEqual(answer.status, status, answer.text)
        if code:
            self.assertEqual(answer.json()["code"], code, answer.text)
        return answer

    def test_owners_of_blobs(self):
        """A reader has them all, a writer its own; another's is not there, and is not replaced."""
        self.expect(self.writer.request("PUT", f"{self.blobs}/w", b"the writer's", headers=OCTETS), 204)
        self.expect(self.both.request("PUT", f"{self.blobs}/b", b"of both", headers=OCTETS), 204)
        self.expect(self.reader.request("PUT", f"{self.blobs}/r", b"x", headers=OCTETS), 403, "forbidden")
        for account, handle, status in ((self.writer, "w", 200), (self.reader, "w", 200), (self.both, "w", 200),
                                        (self.other, "w", 404), (self.writer, "b", 404), (self.reader, "b", 200)):
            for method in ("GET", "HEAD"):
                self.assertEqual(account.request(method, f"{self.blobs}/{handle}").status, status, (account.name, handle))
        self.expect(self.other.get(f"{self.blobs}/w"), 404, "no-such-blob")
        for account in (self.other, self.both):
            self.expect(account.request("PUT", f"{self.blobs}/w", b"stolen", headers=OCTETS), 404, "no-such-blob")
        self.assertEqual(self.reader.get(f"{self.blobs}/w").body, b"the writer's")
        self.expect(self.writer.request("PUT", f"{self.blobs}/w", b"again", headers=OCTETS), 204)
        self.assertEqual(self.reader.get(f"{self.blobs}/w").body, b"again")

    def test_owners_of_blobs_that_messages_name(self):
        self.expect(self.both.request("PUT", f"{self.blobs}/b", b"of both", headers=OCTETS), 204)
        self.expect(self.writer.request("PUT", f"{self.blobs}/w", b"the writer's", headers=OCTETS), 204)
        direct = f"{self.publish}/layers/layer/partitions"
        for account, handle, status in ((self.writer, "b", 400), (self.writer, "w", 204), (self.other, "w", 400),
                                        (self.both, "w", 204), (self.both, "none", 400)):
            answer = account.post(direct, {"partitions": [{"partition": account.name, "dataHandle": handle}]})
            self.expect(answer, status, "no-such-blob" if status == 400 else None)
        subscription = Subscription(self.reader, self.hrn, "layer", properties={"auto.offset.reset": "earliest"})
        messages = subscription.receive(2)
        subscription.delete()
        self.assertEqual([each["metaData"]["partition"] for each in messages], [self.writer.name, self.both.name])

    def test_owners_of_publications(self):
        publication = self.expect(self.writer.post(f"{self.publish}/publications", {"layerIds": ["layer"]}), 200).json()["id"]
        one = f"{self.publish}/publications/{publication}"
        parts = f"{self.publish}/layers/layer/publications/{publication}/partitions"
        body = {"partitions": [{"partition": "k", "data": base64.b64encode(b"x").decode()}]}
        self.expect(self.writer.post(parts, body), 204)
        for account in (self.other, self.both):
            for answer in (account.get(one), account.post(parts, body), account.request("PUT", one, b""),
                           account.request("DELETE", one)):
                self.expect(answer, 404, "no-such-publication")
        self.expect(self.reader.get(one), 403, "forbidden")
        self.expect(self.writer.request("PUT", one, b""), 204)
        subscription = Subscription(self.both, self.hrn, "layer", properties={"auto.offset.reset": "earliest"})
        self.assertEqual([data(each) for each in subscription.receive(1)], [b"x"])
        subscription.delete()

    def test_owners_of_sdii_lists(self):
        """Who may write; the same trace id of two applications is no repeat."""
        self.platform.layer(self.hrn, "sdii", "application/x-protobuf", parallelization=1)
        url, message = f"/ingest/v1/catalogs/{self.hrn}/layers/sdii/sdiiMessageList", b"\x0a\x04\x0a\x00\x12\x00"
        headers = {"Content-Type": "application/x-protobuf", "X-HERE-TraceId": "t"}
        self.expect(self.reader.post(url, message, headers=headers), 403, "forbidden")
        for account in (self.writer, self.writer, self.other):
            self.expect(account.post(url, message, headers=headers), 200)
        subscription = Subscription(self.reader, self.hrn, "sdii", properties={"auto.offset.reset": "earliest"})
        self.assertEqual(len(subscription.receive(2)), 2)
        self.assertEqual(subscription.poll(), [])
        subscription.delete()


if __name__ == "__main__":
    streamlayer.main()
