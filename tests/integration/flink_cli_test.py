"""flink ddl and flink init, as far as they go without Flink: what is asked, what is refused, and the files made."""
import json
import os
import shutil
import subprocess

import streamlayer
from streamlayer import TestCase


class FlinkCommands(TestCase):
    def setUp(self):
        self.hrn = self.platform.catalog()
        for layer, media in (("cars", "application/json"), ("bytes", "application/octet-stream"),
                             ("lines", "text/plain; charset=utf-8"), ("avro", "application/vnd.apache.avro"),
                             ("geo", "application/geo+json"), ("table", "text/csv"), ("proto", "application/x-protobuf")):
            self.platform.layer(self.hrn, layer, media, 1)
        self.platform.cli("layer", "create", self.hrn, "zipped", "-t", "application/json", "--content-encoding", "gzip")

    def ddl(self, layer, *arguments, code=0, **options):
        return self.command("ddl", self.hrn, layer, *arguments, code=code, **options)

    def command(self, *arguments, code=0, **options):
        done = self.platform.cli("flink", *arguments, check=False, **options)
        self.assertEqual(done.returncode, code, f"{arguments}: out {done.stdout!r}, err {done.stderr!r}")
        return done.stdout.decode() if not code else done.stderr.decode()

    def test_flink_ddl_is_of_the_layer(self):
        endpoint = self.platform.get(f"{self.platform.base('stream', 'v2', self.hrn)}/layers/cars/endpoint").json()
        prefix, topic = endpoint["consumerGroupPrefix"], endpoint["topic"]
        sql = self.ddl("cars", "-C", "id:STRING", "-J", "means", "--exactly-once", "-D",
                       "here.platform.data-client.stream.consumer.start=begin")
        for line in (f"-- Layer cars of {self.hrn}, application/json", "CREATE TABLE `cars` (", "  `id` STRING,",
                     f"  'topic' = '{topic}',", f"  'properties.bootstrap.servers' = '{self.platform.brokers}',",
                     f"  'properties.group.id' = '{prefix}means',", "  'value.format' = 'json',",
                     "  'scan.startup.mode' = 'group-offsets',", "  'properties.auto.offset.reset' = 'earliest',",
                     f"  'sink.transactional-id-prefix' = '{prefix}means:{self.hrn}:cars',"):
            self.assertIn(line, sql.splitlines())
        said = json.loads(self.ddl("cars", "--json", "--source", "-t", "x y"))
        self.assertEqual((said["table"], said["format"]), ("x y", "raw"))
        self.assertIn("CREATE TABLE `x y` (\n  `payload` STRING,\n", said["sql"])
        self.assertIn("'properties.auto.offset.reset' = 'latest'", said["sql"])
        self.assertNotIn("sink.", said["sql"])
        self.assertNotIn("scan.", self.ddl("cars", "--sink"))

    def test_flink_ddl_formats(self):
        for layer, column, line in (
                ("bytes", None, "  `payload` BYTES,"), ("lines", None, "  `payload` STRING,"),
                ("zipped", None, "  `payload` BYTES,"), ("geo", "a:INT", "  'value.format' = 'json',"),
                ("table", "a:INT", "  'value.format' = 'csv',"), ("avro", "a:INT", "  'value.format' = 'avro',")):
            self.assertIn(line, self.ddl(layer, *(["-C", column] if column else [])).splitlines())
        # The name ends at the last colon that is none of the type's.
        for column, line in (("p:ROW<`a:b` INT, `c:``:d` INT>", "  `p` ROW<`a:b` INT, `c:``:d` INT>,"), ("a:b:INT", "  `a:b` INT,"),
                             ("a`:b:ROW<`x:y` INT>", "  `a``:b` ROW<`x:y` INT>,")):
            self.assertIn(line, self.ddl("geo", "-C", column).splitlines())
        self.assertIn("  'value.format' = 'csv',", self.ddl("lines", "-C", "a:INT", "--format", "csv").splitlines())
        self.assertIn("  'value.protobuf.message-class-name' = 'com.Car',",
                      self.ddl("proto", "-C", "a:INT", "--message-class", "com.Car").splitlines())

    def test_flink_ddl_start_and_end(self):
        for given, lines in ((["-s", "begin"], ["'scan.startup.mode' = 'earliest-offset'"]),
                             (["-s", "end"], ["'scan.startup.mode' = 'latest-offset'"]),
                             (["-s", "@1700000000"], ["'scan.startup.mode' = 'timestamp'",
                                                      "'scan.startup.timestamp-millis' = '1700000000000'"]),
                             (["--until", "end"], ["'scan.bounded.mode' = 'latest-offset'"]),
                             (["--until", "@1700000000"], ["'scan.bounded.mode' = 'timestamp'",
                                                           "'scan.bounded.timestamp-millis' = '1700000000000'"])):
            sql = self.ddl("cars", "--source", *given)
            for line in lines:
                self.assertIn(line, sql)
        self.assertNotIn("auto.offset.reset", self.ddl("cars", "-s", "begin"))

    def test_flink_ddl_refuses(self):
        column = ["-C", "a:INT"]
        for layer, arguments, text in (
                ("cars", ["--source", "--sink"], "without either"),
                ("cars", ["--exactly-once"], "needs --job NAME"),
                ("cars", ["--exactly-once", "--job", "j", "--source"], "is of sinks"),
                ("cars", ["-J", "a:b"], "--job a:b:"), ("cars", ["-J", "-"], "--job -:"), ("cars", ["-J", ""], "--job :"),
                ("cars", ["-J", "x" * 101], "1 to 100 characters"), ("cars", ["-t", ""], "a name is needed"),
                *(("cars", ["-C", bad], "NAME:TYPE is needed") for bad in (
                    "a", ":INT", "a:", "a: ", "a:INT)", "a:ROW<b INT", "a:ROW<b INT)", "a:INT; DROP", "a:`b", "a:'b'",
                    "a:ROW<`b:c INT>", "a:ROW<`b\nc` INT>", "a:ROW<`` INT>",
                    "a:INT--", "a:" + "ARRAY<" * 17 + "INT" + ">" * 17)),
                ("cars", ["-C", "a:STRNG"], "STRNG is no type of Flink SQL; did you mean STRING?; a TYPE of Flink SQL is one of STRING, "),
                ("cars", ["-C", "sl_x:INT"], "begin with sl_"), ("cars", [*column, "-C", "a:INT"], "already"),
                ("cars", ["--format", "xml"], "--format xml"), ("cars", ["--format", "csv"], "needs the payload's fields"),
                ("cars", ["--format", "raw", *column], "has no columns"), ("bytes", column, "Flink has no format"),
                ("zipped", column, "are gzip"), ("proto", column, "--message-class is needed"),
                ("cars", ["--event-time", "at", *column], "gives no column"),
                ("cars", ["--event-time", "a", *column], "its type is INT, and TIMESTAMP(3)"),
                *(("cars", ["--sink", *some], f"{some[0]} is of sources")
                  for some in (["--start", "end"], ["--until", "end"], ["--late", "1s"], ["--event-time", "a", *column])),
                ("cars", ["-s", "now"], "--start now: group, begin, end or @TIME is needed\n"),
                ("cars", ["-s", "12"], "group, begin, end or @TIME"), ("cars", ["-s", "x"], "group, begin, end or @TIME"),
                ("cars", ["--until", "begin"], "end or @TIME"), ("cars", ["--until", "x"], "end or @TIME"),
                ("cars", ["--late", "2d"], "--late"), ("cars", ["--token-file", "x"], "an absolute name")):
            self.assertIn(text, self.ddl(layer, *arguments, code=2), (layer, arguments))
        self.assertIn("a name is not UTF-8", self.ddl("cars", "-C", b"\xff:INT", code=2))
        self.assertIn("at most 512", self.ddl("cars", *(f"-Cc{i}:INT" for i in range(513)), code=2))
        self.assertIn("has no layer", self.ddl("none", code=3))

    def test_flink_ddl_offers_a_pipe_on_the_marketplace(self):
        name = self.platform.name("market")
        made = self.platform.post("/config/v1/catalogs", {
            "id": name, "marketplace": True, "layers": [{"id": "text", "contentType": "text/plain", "streamProperties": {
                "dataOutThroughputKbps": 2000}}]})
        self.assertEqual(made.status, 201, made.text)
        hrn = made.json()["hrn"]
        text = self.command("ddl", hrn, "text", code=4)
        self.assertIn("is on the Marketplace: its consumption is counted", text)
        self.assertIn(f"streamlayer pipe {hrn} text hrn:…:MINE text --from-connector http-connector --follow", text)
        self.assertIn("streamlayer pipe", self.command("ddl", hrn, "text", "--json", code=4))
        self.command("init", self.scratch() + "/x", hrn, "text", self.hrn, "lines", code=4)
        # Writing it is not counted.
        self.assertIn("CREATE TABLE `text`", self.command("ddl", hrn, "text", "--sink"))
        self.command("init", self.scratch() + "/x", self.hrn, "lines", hrn, "text")

    def test_flink_init_makes_a_project(self):
        place = self.scratch() + "/my job"
        self.assertIn('called "my job", after its directory; --job NAME', self.command("init", place, self.hrn, "cars", self.hrn, "geo", code=2))
        said = self.command("init", place, self.hrn, "cars", self.hrn, "avro", "-J", "means", "-C", "id:STRING")
        self.assertIn(f"\n  cd '{place}' && mvn", said)
        self.assertIn("passes over messages over 1 MiB", said)
        files = sorted(os.path.relpath(os.path.join(at, name), place)
                       for at, _, names in os.walk(place) for name in names)
        java = "src/main/java/streamlayer/flink/"
        self.assertEqual(files, [".gitignore", "README.md", "pom.xml", java + "Gunzip.java", java + "Pipeline.java",
                                 java + "TokenLogin.java", "src/main/resources/log4j2.properties",
                                 "src/main/resources/pipeline.sql"])
        for name in files:
            self.assertNotRegex(streamlayer.read_text(f"{place}/{name}"), "@(JOB|DEPENDENCIES)@", name)
        pom = streamlayer.read_text(place + "/pom.xml")
        self.assertIn("<artifactId>means</artifactId>", pom)
        self.assertIn("<artifactId>flink-avro</artifactId>", pom)
        self.assertNotIn("flink-protobuf", pom)
        sql = streamlayer.read_text(place + "/src/main/resources/pipeline.sql")
        for part in ("SET 'pipeline.name' = 'means';\n", "-- SET 'table.exec.source.idle-timeout' = '30s';\n",
                     f"SET 'execution.checkpointing.dir' = 'file://{os.path.dirname(place)}/my%20job/checkpoints';\n",
                     "means:" + self.hrn + ":avro'", "'sink.delivery-guarantee' = 'exactly-once'",
                     "INSERT INTO `avro` (`id`, `sl_partition_id`, `sl_timestamp`, `sl_headers`)\n"
                     "SELECT `id`, `sl_partition_id`, `sl_timestamp`,\n"
                     "  CASE WHEN `sl_trace_id` IS NOT NULL\n"
                     "    THEN MAP['sl-trace-id', `sl_headers`['sl-trace-id']] END AS `sl_headers`\n"
                     "FROM `cars`\n-- Without messages over 1 MiB: their payloads are blobs, which belong to the layer that "
                     "they were stored in.\nWHERE `sl_data_handle` IS NULL;\n"):
            self.assertIn(part, sql)
        self.assertIn("the directory is not empty", self.command("init", place, self.hrn, "cars", self.hrn, "geo", "-J",
                                                                 "means", code=1))

    def test_flink_init_says_how_to_go_there(self):
        """The words that it prints are the shell's."""
        for name in "plain", "it's", "a;b", "-x", "~":
            place = self.scratch()
            said = self.command("init", "-J", "x", "--", name, self.hrn, "cars", self.hrn, "geo", cwd=place)
            line = next(line for line in said.splitlines() if line.startswith("  cd "))
            done = subprocess.run(["sh", "-c", line.split(" && ")[0] + " && pwd"], cwd=place, stdout=subprocess.PIPE, check=True,
                                  timeout=60)
            self.assertEqual(done.stdout.decode(), f"{os.path.realpath(place)}/{name}\n")

    def test_flink_init_here(self):
        place = self.scratch() + "/means"
        os.mkdir(place)
        self.assertIn("Made the job means in .", self.command("init", ".", self.hrn, "cars", self.hrn, "geo", cwd=place))

    def test_flink_ddl_finds_credentials_at_home(self):
        """Flink's own classes know no ~, so the file's whole name is printed."""
        secure = streamlayer.Platform(streamlayer.read_environment(os.environ["STREAMLAYER_SECURE_PLATFORM"]))
        hrn, home = secure.catalog(), os.path.realpath(self.scratch())
        secure.layer(hrn, "cars", "text/plain", 1)
        shutil.copy(secure.environment["CREDENTIALS"], home + "/mine.properties")
        sql = secure.cli("-D", "here.platform.data-client.request-signer.credentials.file-path=~/mine.properties", "flink", "ddl",
                         hrn, "cars", env={**os.environ, "HOME": home}).stdout.decode()
        self.assertIn(f' credentials="{home}/mine.properties"', sql)

    def test_flink_init_hands_payloads_on(self):
        place = self.scratch()
        other = self.platform.catalog()
        self.platform.layer(other, "zipped", "application/json", 1)
        self.command("init", place + "/a", self.hrn, "zipped", other, "zipped", "--at-least-once")
        sql = streamlayer.read_text(place + "/a/src/main/resources/pipeline.sql")
        for part in ("INSERT INTO `zipped_sink` (`payload`, ", "SELECT GUNZIP(`payload`), ", "END AS `sl_headers`\n",
                     "FROM `zipped`\n", "'sink.delivery-guarantee' = 'at-least-once'"):
            self.assertIn(part, sql)
        self.command("init", place + "/b/", self.hrn, "lines", other, "zipped")
        sql = streamlayer.read_text(place + "/b/src/main/resources/pipeline.sql")
        for part in ("SET 'pipeline.name' = 'b';\n", "SELECT `payload`, `sl_partition_id`, `sl_timestamp`,\n  `sl_headers`\n"):
            self.assertIn(part, sql)
        self.assertEqual(sql.count("`payload` STRING,"), 2)
        self.command("init", place + "/c", self.hrn, "lines", self.hrn, "bytes")
        self.assertEqual(streamlayer.read_text(place + "/c/src/main/resources/pipeline.sql").count("`payload` BYTES,"), 2)

    def test_flink_init_refuses(self):
        place = self.scratch()
        self.assertIn("never end", self.command("init", place, self.hrn, "cars", self.hrn, "cars", "-J", "x", code=2))
        self.assertIn("has no layer", self.command("init", place, self.hrn, "cars", self.hrn, "no", "-J", "x", code=3))
        self.assertEqual(os.listdir(place), [])
        with open(place + "/file", "wb"):
            pass
        self.assertIn("Not a directory", self.command("init", place + "/file", self.hrn, "cars", self.hrn, "geo", code=1))
        with open("/dev/full", "wb") as full:
            done = subprocess.run([self.platform.binaries + "/streamlayer", "--config", self.platform.config, "flink", "ddl",
                                   self.hrn, "cars"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    streamlayer.main()
