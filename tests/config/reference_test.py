"""reference.conf, the documents and completion, held against the table of settings that all are made of."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.append(os.path.join(ROOT, "tests", "hocon"))
import oracle  # noqa: E402

BINARIES = os.environ["STREAMLAYER_TEST_BINARIES"]
ROOTS = ("here.platform.data-client.", "streamlayer.gateway.")


class Reference(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory(prefix="reference-")
        self.addCleanup(self.home.cleanup)
        self.settings = json.loads(self.out("config", "reference", "--json"))
        self.file = os.path.join(self.home.name, "reference.conf")
        self.text = self.out("config", "reference")
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(self.text)

    def out(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLAYER_")}
        environment.update(HOME=self.home.name, XDG_CONFIG_HOME=self.home.name)
        done = subprocess.run([BINARIES + "/streamlayer", *arguments], env=environment, cwd=self.home.name, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_each_setting_stands_once(self):
        """With its meaning above it, and its default; what has none is a comment."""
        self.assertGreater(len(self.settings), 70)
        lines = self.text.splitlines()
        for setting in self.settings:
            begins = [line for line in lines
                      if re.match(rf"(?:# )?{re.escape(setting['path'])} (?:=|\{{)", line)]
            self.assertEqual(len(begins), 1, setting["path"])
            named = ".NAME" in setting["path"]  # has its default once a name stands there
            self.assertEqual(begins[0].startswith("# "), setting["default"] is None or named, begins[0])
            if setting["default"] is not None:
                self.assertEqual(begins[0].split(" = ", 1)[1].strip('"'), setting["default"])
        comments = " ".join(line[2:] for line in lines if line.startswith("# "))
        for setting in self.settings:
            self.assertIn(setting["meaning"], comments)
            self.assertIn(setting["variable"] or "", comments)
        self.assertEqual([line for line in lines if len(line) > 120], [])

    def test_page_has_each_setting(self):
        with open(ROOT + "/docs/configuration.md", encoding="utf-8") as page:
            text = page.read()
        tables = self.out("config", "reference", "--markdown")
        for setting in self.settings:
            name = next(setting["path"][len(root):] for root in ROOTS if setting["path"].startswith(root))
            self.assertIn(f"| `{name}` | ", text)
            self.assertIn(f"| `{name}` | ", tables)

    def test_it_is_installed(self):
        with open(os.path.dirname(BINARIES) + "/share/reference.conf", encoding="utf-8") as file:
            self.assertEqual(file.read(), self.text)

    def test_it_passes_its_own_check(self):
        """As a file it changes nothing, and is right."""
        self.out("--config", self.file, "config", "check")
        shown = [json.loads(self.out(*more, "config", "show", "--json")) for more in ([], ["--config", self.file])]
        values = [{path: entry["value"] for path, entry in one.items()} for one in shown]
        self.assertEqual(values[0], values[1])
        self.assertEqual(set(values[0]), {setting["path"] for setting in self.settings
                                          if setting["default"] is not None and ".NAME" not in setting["path"]})

    def test_lightbend_reads_the_same(self):
        with oracle.Parser(oracle.lightbend_command(os.path.join(os.path.dirname(BINARIES), "tests", "lightbend"))) as parser:
            theirs = parser.ask([self.file])[0]
        ours = "ok " + self.out("config", "render", self.file)
        self.assertTrue(oracle.same_answer(ours, theirs), theirs)

    def test_completion_offers_each(self):
        offered = {line.split("\t")[0] for line in self.out("__complete", "-D", "").splitlines()}
        ends = {}
        for setting in self.settings:
            path = setting["path"].replace(".NAME", ".one")
            ends[path] = "." if setting["type"] in ("section", "layers", "named") else "="
            if path != setting["path"]:  # offered once a name stands there
                typed = setting["path"].split("NAME")[0] + "one."
                offered.update(line.split("\t")[0] for line in self.out("__complete", "-D", typed).splitlines())
            values = [line.split("\t")[0] for line in self.out("__complete", "-D", path + "=").splitlines()]
            if setting["allowed"] == "true or false":
                self.assertEqual(values, [f"{path}={word}" for word in ("true", "false")])
        self.assertEqual({path + end for path, end in ends.items()} - offered, set())

    def test_documents_name_settings(self):
        """Whatever a document names as a setting is one, or a section of some."""
        known = set()
        for setting in self.settings:
            known.update(setting["also"])
            names = setting["path"].replace(".NAME", ".name").split(".")
            known.update(".".join(names[:count]) for count in range(1, len(names) + 1))
        sections = {root: {path[len(root):].split(".")[0] for path in known if path.startswith(root)} for root in ROOTS}
        unknown = set()
        pages = [os.path.join(ROOT, "docs", name) for name in os.listdir(ROOT + "/docs") if name.endswith(".md")]
        for page in [*pages, ROOT + "/README.md"]:
            with open(page, encoding="utf-8") as file:
                text = re.sub(r"(?ms)^```.*?^```$", "", file.read())
            for name in re.findall(r"`([a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+)(?: ?=[^`]*)?`", text):
                if re.search(r"\.(?:md|conf|properties|ini|json|c|h|py|sh|txt|so|svg|log|pem|db|db-wal|db-shm)$", name):
                    continue
                whole = name.startswith(ROOTS)
                ways = [root for root in ROOTS if name.split(".")[0] in sections[root]]
                if whole and name not in known or not whole and ways and not any(root + name in known for root in ways):
                    unknown.add(f"{os.path.relpath(page, ROOT)}: {name}")
        self.assertEqual(unknown, set())


if __name__ == "__main__":
    unittest.main()
