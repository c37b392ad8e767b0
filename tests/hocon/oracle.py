"""The Lightbend library and our parser, both asked line by line, and how their answers are compared."""

import decimal
import fcntl
import json
import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = "1.4.10"
# What documents may refer to, besides what any environment has. (Both parsers get exactly this.)
ENVIRONMENT = {"SL_WORD": "word", "SL_EMPTY": "", "SL_NUMBER": "17", "SL_LIST_LIKE": "[1, 2]", "SL_TRUE": "true",
               "sl.dotted": "dotted", "SL_SPACES": " two  words ", "sl_shadowed": "from the environment",
               "SL_ITEMS_0": "first", "SL_ITEMS_1": "second", "SL_ITEMS_3": "fourth"}

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>streamlayer</groupId><artifactId>lightbend</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>com.typesafe</groupId><artifactId>config</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""


def cache_directory():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "streamlayer")


def fetch_library():
    """The library's jar: fetched by Maven once, kept where the command line keeps Kafka."""
    cache = cache_directory()
    jar = os.path.join(cache, f"lightbend-config-{VERSION}", f"config-{VERSION}.jar")
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "lightbend.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(jar):
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                with open(os.path.join(temporary, "pom.xml"), "w", encoding="ascii") as pom:
                    pom.write(POM)
                jars = os.path.join(temporary, "jars")
                subprocess.run(["mvn", "-B", "-q", "-f", pom.name, "dependency:copy-dependencies",
                                f"-DoutputDirectory={jars}"], check=True)
                shutil.rmtree(os.path.dirname(jar), ignore_errors=True)
                os.rename(jars, os.path.dirname(jar))
    return jar


def compile_lightbend(directory):
    """Compiles Lightbend.java into directory; returns the command that runs it."""
    jar = fetch_library()
    subprocess.run(["javac", "-cp", jar, "-d", directory, os.path.join(HERE, "Lightbend.java")], check=True)
    return lightbend_command(directory)


def lightbend_command(directory):
    jar = os.path.join(cache_directory(), f"lightbend-config-{VERSION}", f"config-{VERSION}.jar")
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss16m", "-cp", jar + ":" + directory,
            "Lightbend"]


def environment():
    kept = {key: value for key, value in os.environ.items() if key.endswith("_OPTIONS") or key in ("PATH", "HOME")}
    return {**kept, **ENVIRONMENT}


class Parser:
    """One of the two, running."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(),
                                        encoding="utf-8", errors="surrogateescape")

    def ask(self, files, verb="render"):
        """The answers, in order."""
        answers = []
        for file in files:
            self.process.stdin.write(f"{verb} {file}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if not answer:
                raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()} on {file}")
            answers.append(answer.rstrip("\n"))
        return answers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait() != 0:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.returncode}")


def read_json(text):
    return json.loads(text, parse_int=decimal.Decimal, parse_float=decimal.Decimal,
                      object_pairs_hook=_unique)


def _unique(pairs):
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key occurs twice")
    return fields


def same_value(left, right):
    """Numbers are the same when they are equal as doubles and, when both are whole, exactly."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_value(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_value, left, right))
    numbers = (decimal.Decimal, float)
    if isinstance(left, numbers) and isinstance(right, numbers):
        return left == right or (float(left) == float(right) and not _both_whole(left, right))
    return type(left) is type(right) and left == right


def _both_whole(left, right):
    return all(isinstance(n, decimal.Decimal) and n.is_finite() and n == n.to_integral_value() and abs(n) < 2**63
               for n in (left, right))


def same_answer(ours, theirs):
    if ours.startswith("ok ") and theirs.startswith("ok "):
        return same_value(read_json(ours[3:]), read_json(theirs[3:]))
    return ours.startswith("error ") and theirs.startswith("error ")
