"""packaging/build-deb and the systems that its packages are tested in, with builds that take no time: Debian's tools, apt-get
and dpkg-buildpackage among them, are stood in for by scripts that write down what they were asked."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import chroot
import streamlayer

ROOT = chroot.ROOT
# What a build makes: a package of each name, in the directory above; and of what.
BUILD = """#!/bin/sh
find . -type f | sort >"$TOLD/tree"
for name in $(sed -n 's/^Package: //p' debian/control); do
    echo "$name" >"../${name}_1_all.deb"
done
echo >../streamlayer_1_all.changes
echo >../streamlayer_1_all.buildinfo
exit "${BUILD_STATUS:-0}"
"""


class BuildDeb(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="streamlayer-test-")
        self.addCleanup(place.cleanup)
        self.place = place.name
        os.mkdir(self.place + "/told")
        self.tree = self.place + "/tree"
        os.makedirs(self.tree + "/src")
        shutil.copytree(ROOT + "/packaging", self.tree + "/packaging", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT + "/CMakeLists.txt", self.tree)
        self.write(self.tree + "/src/source.c", "")
        self.stand_in("apt-get", '#!/bin/sh\necho "$@" >>"$TOLD/apt"\n')
        self.stand_in("dpkg-buildpackage", BUILD)

    def write(self, path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def stand_in(self, name, script):
        os.makedirs(self.place + "/bin", exist_ok=True)
        self.write(f"{self.place}/bin/{name}", script)
        os.chmod(f"{self.place}/bin/{name}", 0o755)

    def environment(self, **more):
        return {**os.environ, "PATH": f"{self.place}/bin:{os.environ['PATH']}", "TOLD": self.place + "/told", **more}

    def build(self, *words, where=None, status=0, **environment):
        done = subprocess.run([self.tree + "/packaging/build-deb", *words], cwd=where or self.tree, capture_output=True, text=True,
                              check=False, timeout=100, stdin=subprocess.DEVNULL, env=self.environment(**environment))
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def told(self, name):
        with open(f"{self.place}/told/{name}", encoding="utf-8") as file:
            return file.read()

    def test_a_directory_within_the_tree_is_no_part_of_it(self):
        self.build()  # into build/deb, which is no part of it anyway
        first = self.told("tree")
        self.assertIn("./src/source.c\n", first)
        for place, where in (("src/out", self.tree), ("out", self.tree + "/src"), (".", self.tree)):
            for _ in range(2):
                self.build(place, where=where)
                self.assertEqual(self.told("tree"), first)
                self.assertTrue(os.path.exists(f"{where}/{place}/streamlayer_1_all.deb"))

    def test_packages_of_others_stay(self):
        place = self.place + "/all packages"
        os.mkdir(place)
        for name in ("other_1_all.deb", "streamlayer-other_1_all.deb", "other_1_amd64.changes", "build.log",
                     "streamlayer_0_amd64.deb", "streamlayer-dbgsym_0_amd64.deb", "streamlayerd_0_amd64.deb",
                     "streamlayer_0_amd64.changes"):
            self.write(f"{place}/{name}", "earlier\n")
        earlier = sorted(os.listdir(place))
        said = self.build(place, status=1, BUILD_STATUS="1").stderr
        self.assertIn("the build failed", said)
        self.assertEqual(sorted(name for name in os.listdir(place) if not name.endswith(".build")), earlier)
        made = self.build(place).stdout.splitlines()[1:]
        self.assertEqual(sorted(made), sorted(f"{place}/{name}_1_all.deb" for name in chroot.PACKAGES))
        rest = {name for name in os.listdir(place) if name in earlier}
        self.assertEqual(rest, {"other_1_all.deb", "streamlayer-other_1_all.deb", "other_1_amd64.changes", "build.log"})
        self.assertFalse(os.path.exists(place + "/.streamlayer-build"))

    def test_it_takes_one_directory(self):
        for words in ("one", "two"), ("",), ("--checked",):
            said = self.build(*words, status=2).stderr
            self.assertRegex(said, "^build-deb: .*; --help shows the usage\n$")
        self.assertFalse(os.path.exists(self.tree + "/one"))

    def test_what_is_missing_is_found_in_every_language(self):
        control = self.tree + "/packaging/debian/control"
        with open(control, encoding="utf-8") as file:
            text = file.read()
        self.write(control, text.replace("Build-Depends: ", "Build-Depends: no-such-package (>= 1), no-such-other | nor-this,\n ", 1))
        self.build(self.place + "/out", LANG="C.UTF-8", LC_ALL="C.UTF-8", LANGUAGE="de")
        self.assertIn("install -y -qq --no-install-recommends no-such-package no-such-other\n", self.told("apt"))

    def test_a_system_that_cannot_be_made_ends_the_wait(self):
        """Without a network nobody comes to ask whether the build is done."""
        self.stand_in("mmdebstrap", "#!/bin/sh\nexit 9\n")
        done = subprocess.run([sys.executable, chroot.__file__, "start", self.place + "/clean"], capture_output=True, text=True,
                              check=False, timeout=100, env=self.environment())
        self.assertEqual(done.returncode, 9, done.stderr)


if __name__ == "__main__":
    streamlayer.main()
