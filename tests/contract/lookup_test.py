"""lookup v1 and config v1, as the official SDKs call them."""
import urllib.parse

import streamlayer
from streamlayer import TestCase


class Lookup(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hrn = cls.platform.catalog()
        cls.platform.layer(cls.hrn, "layer")

    def check_list(self, answer, wanted):
        self.assertEqual(answer.status, 200, answer.text)
        self.assertRegex(answer.headers["content-type"], r"^application/json")
        self.assertRegex(answer.headers["cache-control"], r"max-age=[1-9]\d*")
        entries = answer.json()
        self.assertIsInstance(entries, list)
        found = set()
        for entry in entries:
            self.assertIsInstance(entry["parameters"], dict)
            for name in ("api", "version", "baseURL"):
                self.assertIsInstance(entry[name], str)
            self.assertRegex(entry["baseURL"], r"^http://127\.0\.0\.1:\d+")
            self.assertFalse(entry["baseURL"].endswith("/"), entry["baseURL"])
            found.add((entry["api"], entry["version"]))
        self.assertLessEqual(wanted, found)

    APIS = {("stream", "v2"), ("ingest", "v1"), ("blob", "v1"), ("publish", "v2"), ("config", "v1")}

    def test_lookup_of_a_catalog(self):
        """Under /lookup/v1 and under the root alike."""
        first = self.platform.get(f"/lookup/v1/resources/{self.hrn}/apis")
        second = self.platform.get(f"/resources/{self.hrn}/apis")
        self.check_list(first, self.APIS)
        self.assertEqual(first.json(), second.json())

    def test_lookup_of_the_platform(self):
        first = self.platform.get("/lookup/v1/platform/apis")
        second = self.platform.get("/platform/apis")
        self.check_list(first, {("config", "v1")})
        self.assertEqual(first.json(), second.json())

    def test_lookup_of_one_api(self):
        """With api and version in the path, only that entry: one SDK takes element 0 unchecked."""
        for root in ("/lookup/v1", ""):
            for api, version in self.APIS:
                answer = self.platform.get(f"{root}/resources/{self.hrn}/apis/{api}/{version}")
                self.assertEqual([(entry["api"], entry["version"]) for entry in answer.json()], [(api, version)])
            answer = self.platform.get(f"{root}/platform/apis/config/v1")
            self.assertEqual([entry["api"] for entry in answer.json()], ["config"])

    def test_lookup_base_urls_lead_there(self):
        """What stands before /layers and before /catalogs."""
        stream = self.platform.base("stream", "v2", self.hrn)
        self.assertEqual(self.platform.get(f"{stream}/layers/layer/endpoint").status, 200)
        config = self.platform.base("config", "v1", self.hrn)
        self.assertEqual(self.platform.get(f"{config}/catalogs/{self.hrn}").status, 200)
        config = self.platform.base("config", "v1")
        self.assertEqual(self.platform.get(f"{config}/catalogs/{self.hrn}").status, 200)

    def test_lookup_advertises_the_extensions(self):
        answer = self.platform.get(f"/lookup/v1/resources/{self.hrn}/apis/stream/v2")
        self.assertEqual(answer.json()[0]["parameters"].get("streamlayer"), "1")

    def test_lookup_of_an_unknown_catalog(self):
        answer = self.platform.get("/lookup/v1/resources/hrn:here:data::local:no-such/apis")
        self.assertIn(answer.status, (200, 404))  # a base URL may be given before the catalog is looked at
        if answer.status == 404:
            self.assertIn("no-such", answer.text)

    def test_lookup_of_an_unknown_api(self):
        answer = self.platform.get(f"/lookup/v1/resources/{self.hrn}/apis/no-such-api/v9")
        self.assertIn(answer.status, (200, 404))
        if answer.status == 200:
            self.assertEqual(answer.json(), [])

    def test_escaped_hrn_and_layer_in_paths(self):
        escaped = urllib.parse.quote(self.hrn, safe="")
        self.assertNotIn(":", escaped)
        for url in (f"/lookup/v1/resources/{escaped}/apis", f"/resources/{escaped}/apis"):
            self.check_list(self.platform.get(url), self.APIS)
        config = self.platform.base("config", "v1")
        self.assertEqual(self.platform.get(f"{config}/catalogs/{escaped}").json()["hrn"], self.hrn)
        stream = self.platform.base("stream", "v2", self.hrn)
        self.assertEqual(self.platform.get(f"{stream}/layers/%6cayer/endpoint").status, 200)
        self.assertEqual(self.platform.get(f"{stream.replace(self.hrn, escaped)}/layers/layer/endpoint").status, 200)


class Config(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.base = cls.platform.base("config", "v1")

    def create(self, **more):
        catalog = {"id": self.platform.name("c"), "name": "A catalog", "summary": "For a test",
                   "description": "Made by a test", "layers": [], **more}
        return catalog["id"], self.platform.post(f"{self.base}/catalogs", catalog)

    LAYER = {"id": "layer", "name": "A layer", "summary": "s", "description": "d", "layerType": "stream",
             "contentType": "application/octet-stream"}

    def no_null(self, value, path=""):
        self.assertIsNotNone(value, path)
        if isinstance(value, dict):
            for name, each in value.items():
                self.no_null(each, f"{path}.{name}")
        elif isinstance(value, list):
            for index, each in enumerate(value):
                self.no_null(each, f"{path}[{index}]")
        else:
            self.assertNotIsInstance(value, float, path)

    def test_config_shows_a_catalog(self):
        identifier, answer = self.create(layers=[self.LAYER])
        self.assertIn(answer.status, (200, 201, 202), answer.text)
        hrn = f"hrn:here:data::local:{identifier}"
        answer = self.platform.get(f"{self.base}/catalogs/{hrn}?billingTag=x&sentWith=test")
        self.assertEqual(answer.status, 200)
        catalog = answer.json()
        self.no_null(catalog)
        self.assertEqual((catalog["id"], catalog["hrn"], catalog["name"]), (identifier, hrn, "A catalog"))
        layer = catalog["layers"][0]
        self.assertEqual((layer["id"], layer["name"], layer["layerType"], layer["contentType"]),
                         ("layer", "A layer", "stream", "application/octet-stream"))
        self.assertEqual(layer["streamProperties"], {**layer["streamProperties"], "dataInThroughputKbps": 1000,
                                                     "dataOutThroughputKbps": 4000, "parallelization": 4})
        self.assertIsInstance(layer["ttl"], int)

    def test_config_ranges(self):
        """Each value just within its range is taken, just outside refused with 400 and a text that names it."""
        stream = lambda **values: {**self.LAYER, "streamProperties": values}
        hour = 3600 * 1000
        good = [stream(parallelization=1), stream(parallelization=32),
                stream(dataInThroughputKbps=100, dataOutThroughputKbps=100),
                stream(dataInThroughputKbps=32800, dataOutThroughputKbps=65500),
                {**self.LAYER, "ttl": hour // 6}, {**self.LAYER, "ttl": 72 * hour}]
        bad = [("parallelization", stream(parallelization=0)), ("parallelization", stream(parallelization=33)),
               ("parallelization", stream(parallelization="many")),
               ("dataInThroughputKbps", stream(dataInThroughputKbps=0)),
               ("dataInThroughputKbps", stream(dataInThroughputKbps=150, dataOutThroughputKbps=4000)),
               ("dataInThroughputKbps", stream(dataInThroughputKbps=32900, dataOutThroughputKbps=65500)),
               ("dataOutThroughputKbps", stream(dataInThroughputKbps=100, dataOutThroughputKbps=65600)),
               ("dataOutThroughputKbps", stream(dataInThroughputKbps=1000, dataOutThroughputKbps=900)),
               ("ttl", {**self.LAYER, "ttl": hour // 6 - 1}), ("ttl", {**self.LAYER, "ttl": 72 * hour + 1}),
               ("contentType", {**self.LAYER, "contentType": ""}),
               ("id", {**self.LAYER, "id": "not/an id"}), ("layerType", {**self.LAYER, "layerType": "index"})]
        for layer in good:
            _, answer = self.create(layers=[layer])
            self.assertIn(answer.status, (200, 201, 202), f"{layer}: {answer.text}")
        for name, layer in bad:
            identifier, answer = self.create(layers=[layer])
            self.assertEqual(answer.status, 400, f"{layer}: {answer.text}")
            self.assertIn(name, answer.text)
            hrn = f"hrn:here:data::local:{identifier}"
            self.assertEqual(self.platform.get(f"{self.base}/catalogs/{hrn}").status, 404, "nothing is left of it")

    def test_config_bad_catalogs(self):
        for identifier in ("", "Upper", "-first", "x" * 65, "a/b", "a b", 7):
            answer = self.platform.post(f"{self.base}/catalogs", {"id": identifier, "name": "n"})
            self.assertEqual(answer.status, 400, f"{identifier!r}: {answer.text}")
        for body in (b"", b"{", b"[]", b"null", b'{"id":"a","id2":', b"\xff"):
            answer = self.platform.post(f"{self.base}/catalogs", body, headers={"Content-Type": "application/json"})
            self.assertEqual(answer.status, 400, f"{body!r}: {answer.text}")

    def test_config_makes_once(self):
        identifier, answer = self.create()
        self.assertIn(answer.status, (200, 201, 202))
        answer = self.platform.post(f"{self.base}/catalogs", {"id": identifier, "name": "again"})
        self.assertEqual(answer.status, 409, answer.text)

    def test_config_deletes(self):
        identifier, _ = self.create(layers=[self.LAYER])
        url = f"{self.base}/catalogs/hrn:here:data::local:{identifier}"
        self.assertEqual(self.platform.delete(url).status, 200)
        self.assertEqual(self.platform.get(url).status, 404)
        self.assertEqual(self.platform.delete(url).status, 404)


if __name__ == "__main__":
    streamlayer.main()
