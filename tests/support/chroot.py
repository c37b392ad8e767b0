#!/usr/bin/env python3
"""The Debian packages of this tree, and clean Debian systems to install them in.

    chroot.py start DIRECTORY    builds the packages and a system, for whoever makes Chroots of it
    chroot.py stop DIRECTORY     removes both

Needs root, as chroot does. Packages come from where this machine's apt has them from; only `start` asks there.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGES = ("libstreamlayer1", "libstreamlayer-dev", "streamlayer-kafka-support", "streamlayer-flink-support", "streamlayer",
            "streamlayerd", "streamlayer-doc")
RELEASE = "bookworm"  # what the project is built for


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def sources():
    """Debian itself, from where this machine has it."""
    found = lines("apt-get", "indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages",
                  "Origin: Debian")
    return [line for line in dict.fromkeys(found) if line.split()[2].startswith(RELEASE)]


def apt_options():
    """How this machine's apt gets there: proxies, certificates. Without a network it gives up soon."""
    set_here = [line for line in lines("apt-config", "dump", "Acquire::http", "Acquire::https") if not line.endswith('"";')]
    soon = [f'Acquire::{way}::Timeout "20";' for way in ("http", "https")] + ['Acquire::Retries "2";']
    return [word for line in soon + set_here for word in ("--aptopt", line)]


def fill(directory, root):
    """Called by mmdebstrap when the system is there: has all that the packages need lie in it, ready to be installed."""
    with open(directory + "/build.done", encoding="ascii") as done:  # a pipe: this waits for the build
        if done.readline().strip() != "0":
            sys.exit("the packages could not be built")
    packages = os.path.join(directory, "deb")
    with open(packages + "/Packages", "wb") as index:
        subprocess.run(["dpkg-scanpackages", "."], cwd=packages, stdout=index, stderr=subprocess.DEVNULL, check=True)
    with open(root + "/etc/apt/sources.list.d/streamlayer.list", "w", encoding="utf-8") as file:
        file.write(f"deb [trusted=yes] copy:{packages} ./\n")
    with open(root + "/etc/dpkg/dpkg.cfg.d/fast", "w", encoding="utf-8") as file:
        file.write("force-unsafe-io\n")
    environment = {**os.environ, "APT_CONFIG": os.environ["MMDEBSTRAP_APT_CONFIG"]}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
    subprocess.run(["apt-get", "install", "-qq", "--yes", "--download-only", "logrotate",
                    *(name for name in PACKAGES if not name.endswith("-dev"))], env=environment, check=True)
    for package in glob.glob(packages + "/*.deb"):  # which apt would have copied when it installs them
        shutil.copy(package, root + "/var/cache/apt/archives")


def start(directory):
    if os.geteuid():
        sys.exit("these tests install packages into systems of their own, which takes root")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    os.mkfifo(directory + "/build.done")
    done = os.open(directory + "/build.done", os.O_RDWR)  # so that neither end waits for the other one, which may never come
    build = subprocess.Popen(["sh", "-c", '"$1" "$2" >"$3" 2>&1; echo $? >"$4"', "sh", ROOT + "/packaging/build-deb",
                              directory + "/deb", directory + "/build.log", directory + "/build.done"],
                             env={**os.environ, "DEB_BUILD_OPTIONS": "noautodbgsym"})
    here = os.path.abspath(__file__)
    made = subprocess.run(["mmdebstrap", "--mode=root", "--variant=apt", "--quiet", "--skip=cleanup/apt", *apt_options(),
                           f'--customize-hook="{sys.executable}" "{here}" fill "{directory}" "$1"', RELEASE,
                           directory + "/system.tar", "-"], input="\n".join(sources()) + "\n", text=True, check=False)
    build.wait()
    os.close(done)
    if made.returncode:
        with open(directory + "/build.log", encoding="utf-8", errors="replace") as log:
            print(log.read()[-4000:])
    return made.returncode


class Chroot:
    """A system that has nothing but what is essential, apt, and what is installed by install()."""

    def __init__(self, test):
        self.test, self.directory = test, os.environ["STREAMLAYER_TEST_PACKAGES"]
        self.root = tempfile.mkdtemp(prefix="streamlayer-chroot-")
        test.addCleanup(shutil.rmtree, self.root)
        subprocess.run(["tar", "-xf", self.directory + "/system.tar", "-C", self.root], check=True)

    def path(self, name):
        return self.root + name

    def command(self, *words, user=None):
        return ["chroot", *([f"--userspec={user}:{user}"] if user else []), self.root, *words]

    def run(self, *words, status=0, user=None, **options):
        """Runs a command inside; its environment has nothing of this one."""
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        done = subprocess.run(self.command(*words, user=user), capture_output=True, text=True, check=False, timeout=100,
                              env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                                   "HOME": "/" if user else "/root", "LC_ALL": "C.UTF-8"}, **options)
        self.test.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done

    def apt(self, *words):
        """apt-get, which fetches nothing. Returns what it said."""
        return self.run("apt-get", "--yes", "--no-download", "-o", "APT::Sandbox::User=root", *words).stdout

    def install(self, *packages, recommended=False):
        return self.apt(*([] if recommended else ["--no-install-recommends"]), "install", *packages)

    def installed(self):
        """The names of the installed packages."""
        shown = self.run("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n").stdout
        return {line.split()[1] for line in shown.splitlines() if line.startswith("ii")}

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()


def package_file(name):
    """The file of a package of ours."""
    directory = os.environ["STREAMLAYER_TEST_PACKAGES"] + "/deb"
    return next(os.path.join(directory, file) for file in os.listdir(directory) if re.match(name + r"_.*\.deb$", file))


def newer(name, version, directory):
    """The same package with a higher version, as a file in the directory."""
    place = os.path.join(directory, name)
    subprocess.run(["dpkg-deb", "--raw-extract", package_file(name), place], check=True)
    control = place + "/DEBIAN/control"
    with open(control, encoding="utf-8") as file:
        text = file.read()
    old = re.search(r"^Version: (.*)$", text, re.M).group(1)
    with open(control, "w", encoding="utf-8") as file:
        file.write(re.sub(rf"(?m)^Version: .*$|(?<== ){re.escape(old)}(?=\))",
                          lambda found: found.group().replace(old, version), text))
    built = f"{directory}/{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", place, built], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(place)
    return built


if __name__ == "__main__":
    verb, where = sys.argv[1], os.path.abspath(sys.argv[2])
    if verb == "fill":
        fill(where, sys.argv[3])
    elif verb == "start":
        sys.exit(start(where))
    else:
        shutil.rmtree(where)
