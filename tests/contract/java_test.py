"""HERE's authentication library for Java, unpatched, gets its tokens from the gateway."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "credentials"))
from differential import library  # noqa: E402
import streamlayer  # noqa: E402


class JavaClient(streamlayer.TestCase):
    def tokens(self, way, count=1):
        with tempfile.TemporaryDirectory() as classes:
            jars = library()
            # Nothing that a sanitizer wants of our programs.
            plain = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "JAVA_HOME")}
            subprocess.run(["javac", "-cp", jars, "-d", classes, os.path.join(HERE, "java", "Token.java")], check=True,
                           env=plain)
            run = subprocess.run(["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}:{classes}", "Token",
                                  self.platform.environment["CREDENTIALS"], way], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, encoding="utf-8", check=False, env=plain)
        self.assertEqual(run.returncode, 0, run.stdout)
        lines = run.stdout.split()
        tokens = [line for line in lines if line.count(".") == 2 and line.startswith("ey")]
        self.assertEqual(len(tokens), count, run.stdout)
        for token in tokens:
            self.assertEqual(self.platform.get("/lookup/v1/platform/apis", token=token).status, 200)
        return tokens

    def test_java_gets_a_token(self):
        self.tokens("once")

    def test_java_refreshes_its_token(self):
        self.tokens("refreshing", 2)

    def test_java_provides_a_token(self):
        self.tokens("provider")

    def test_java_mends_a_slow_clock(self):
        """The refusal's number has it ask for the time, and sign again."""
        self.tokens("late")


if __name__ == "__main__":
    streamlayer.main()
