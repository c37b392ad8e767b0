"""The tarball: what is unpacked somewhere, and moved, works there, with its connector and for programs built against it."""
import os
import subprocess

import streamlayer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tarball(streamlayer.TestCase):
    def test_it_runs_wherever_it_lies(self):
        place, home = self.scratch(), self.scratch()
        subprocess.run(["cmake", "-D", "BUILD=" + os.path.dirname(self.platform.binaries), "-D", "NAME=streamlayer-1.2.3",
                        "-D", f"OUTPUT={place}/made.tar.gz", "-P", ROOT + "/cmake/Tarball.cmake"], check=True)
        names = subprocess.run(["tar", "-tzf", place + "/made.tar.gz"], check=True, capture_output=True, text=True).stdout
        self.assertEqual({name.split("/")[0] for name in names.splitlines()}, {"streamlayer-1.2.3"})
        subprocess.run(["tar", "-xzf", place + "/made.tar.gz", "-C", place], check=True)
        hrn = self.platform.catalog()
        self.platform.layer(hrn, "cars", "text/plain")
        prefix = place + "/streamlayer-1.2.3"
        environment = {"PATH": f"{prefix}/bin:{os.environ['PATH']}", "HOME": home, "STREAMLAYER_CONFIG": self.platform.config}

        def run(*words):
            done = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        # What was built against it has it found by its own path; the command line finds the connector beside itself.
        run("cmake", "-S", ROOT + "/examples", "-B", place + "/out", "-DCMAKE_PREFIX_PATH=" + prefix)
        run("cmake", "--build", place + "/out")
        self.assertEqual(run(place + "/out/example_hello_cpp", hrn, "cars"), "52.52,13.40\n")
        # The service's settings, and the guides.
        for name in ("etc/streamlayer/gateway.conf", "lib/systemd/system/streamlayerd.service",
                     "share/doc/streamlayer/README.md", "share/doc/streamlayer/docs/tokens.md"):
            self.assertTrue(os.path.exists(f"{prefix}/{name}"), name)
        moved = home + "/somewhere else"
        os.rename(prefix, moved)
        environment["PATH"] = f"{moved}/bin:{os.environ['PATH']}"
        got = run("streamlayer", "-D", "here.platform.data-client.stream.connector.consumer=kafka-connector", "consume", hrn, "cars",
                  "--offset", "begin", "--count", "1", "--no-commit")
        self.assertEqual(got, "52.52,13.40\n")
        environment.update(PKG_CONFIG_PATH=moved + "/lib/pkgconfig", LD_LIBRARY_PATH=moved + "/lib")
        self.assertIn("somewhere", run("pkg-config", "--cflags", "streamlayer"))
        self.assertEqual(run(place + "/out/example_hello", hrn, "cars"), "52.52,13.40\n")


if __name__ == "__main__":
    streamlayer.main()
