#!/usr/bin/env python3
"""Deletes each check of the gateway's network side in turn, and looks which row of tests/contract/wrong notices. A check
that none does is printed, unless equivalent-gateway.txt lists it with a reason: why nobody could, or "Noticed by FILE
CASE: …", a test of tests/contract, tests/integration or (FILE: NAME_test.c) tests/unit, which is run with that mutant.

gateway.py BUILD [--only FILE…] [--from NUMBER] [--named] [--sample N] [--list]

BUILD is a build of the release. All mutants are in one program, `streamlayer up`, which reads in a file that it shares
with this one which of them it is to be; so it need not be started anew for each. BUILD/mutation-gateway/matrix.tsv: for
each mutant its place, what was done, and the row that noticed.
"""

import argparse
import concurrent.futures
import glob
import json
import mmap
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
for folder in ("support", "contract"):
    sys.path.insert(0, os.path.join(ROOT, "tests", folder))
import source  # noqa: E402
import streamlayer  # noqa: E402
import wrong  # noqa: E402
import wrong_test  # noqa: E402
from mutate import with_keys  # noqa: E402

SOURCES = ("gateway/api/*.c", "gateway/http/framing.c", "gateway/http/rules.c", "gateway/http/request.c",
           "gateway/http/cors.c", "gateway/http/peer.c", "gateway/http/forwarded.c", "gateway/http/hold.c",
           "gateway/http/router.c", "src/wire/gzip_header.c", "src/wire/cbor.c", "src/wire/record.c")
# What no request can bring about: memory or room that is out, a stop, Kafka's own failures.
NOT_OURS = re.compile(r"out-of-memory|sl_error_oom|overloaded|shutting-down|\"starting\"|not-ready|\"internal\"|SL_INTERNAL|disk-full|"
                      r"blob-store-failed|queue-full|too-many-connections|issuer-unavailable|random")

source.MAKERS = {"gw_respond_error", "gw_respond_errorf", "gw_respond_error_after", "gw_respond_error_with", "refuse",
                 "refuse_size", "refuse_bearer", "refuse_rate", "sl_error_set", "gw_respond_failure", "fail", "no_catalog",
                 "answer_wrong_method", "stop", "forbid", "gw_stream_fail", "unknown", "unclear", "bad_parameter",
                 "refuse_market", "end_stream", "hold_back", "gw_respond_uncounted", "follow", "sl_cbor_bad"}
source.DENIERS = {"framing.c:fault_of": r'return "', "ingest.c:gw_message_fault": r'return "',
                  "token.c:fault_of": r'return "', "token.c:is_scope": r"return false;", "gzip_header.c": r"return FAULT",
                  "layer_spec.c:is_media_type": r"return false;", "request.c:check_argument": r"\*bad = true",
                  "forwarded.c:gw_forwarded_read": r'\*why = "', "forwarded.c:read_pair": r"return (?:false|NULL);",
                  "forwarded.c:read_element": r"return false;", "oauth_header.c": r"return false;",
                  "publish_write.c:may_go": r"failed\(",
                  "oauth_header.c:gw_oauth_repeated": r"return oauth", "cors.c:gw_cors_answer": r"return each",
                  "sdii_list.c:take": r"GW_SDII_TOO_MANY", "sdii_list.c:numbers_ok": r"return false;",
                  "sdii_list.c:message_fault": r'return "|fault = "',
                  "sdii_list.c:read_messages": r"return GW_SDII_TOO|return GW_SDII_MAL|has too many",
                  "sdii_list.c:read_list": r"return GW_SDII_[TM]", "stream_push.c:written_down": r"call->over = true",
                  "metering.c:answered": r"return true",
                  "hold.c": r"return false;|hold->over\(", "router.c:gw_path_split": r"return -1;"}
source.CHECKERS = r"(?:gw_check_members|read_text|check_content|take_headers)"
# What only the client library does, in files that the gateway has as well.
NOT_HERE = {"record.c": ("read_result_text", "read_result_field", "sl_result_decode")}

SECONDS = 180  # that a named test may take

# Which test does, in a reason: its file and its case.
NOTICED = re.compile(r"Noticed by ([\w.]+) ([\w.]+)")

CHOICE = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static const volatile int none = -1;
const volatile int *sl_mutant_at = &none;
__attribute__((constructor)) static void choose(void)
{
    const char *name = getenv("SL_MUTANT_FILE");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *shared = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int), PROT_READ, MAP_SHARED, fd, 0);
    if (shared != MAP_FAILED)
        sl_mutant_at = shared;
}
"""


class Source(source.Source):
    def visit(self, statement, refused_later):
        if self.function not in NOT_HERE.get(self.name, ()):
            super().visit(statement, refused_later)

    def makes_in(self, start, end):
        for match in self.makes.finditer(self.code, start, end):
            opened = self.code.find("(", match.start())
            call = self.text[match.start():source.closing(self.code, opened) + 1] if opened >= 0 else match[0]
            if not NOT_OURS.search(call):
                return True
        return False


def commands_of(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        return {entry["file"]: entry["command"] for entry in json.load(file)}


def compile_one(command, path, out, header):
    words = [word for word in shlex.split(command) if word != "ccache" and not word.startswith(("-W", "-O", "-MD"))]
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MT", "-MF"):
            skip = True
        else:
            kept.append(word)
    subprocess.run([*kept, "-w", "-O1", "-g0", "-include", header, "-c", path, "-o", out], check=True)


def plan_mutants():
    """All of them, and the sources with them by their names."""
    mutants, sources = [], {}
    for path in sorted(path for pattern in SOURCES for path in glob.glob(os.path.join(ROOT, pattern))):
        name = os.path.relpath(path, ROOT)
        with open(path, encoding="utf-8") as file:
            one = sources[name] = Source(os.path.basename(path), file.read(), name)
        for number, (line, function, operator, what) in enumerate(one.plan(len(mutants)), len(mutants)):
            mutants.append((number, f"{name}:{line}", function, operator, what))
    return with_keys(mutants), sources


def build_mutants(sources, build, jobs):
    tree = os.path.join(build, "mutation-gateway")
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree + "/bin")
    os.symlink(os.path.join(build, "lib"), tree + "/lib")  # the connectors
    header = tree + "/mutant.h"
    with open(header, "w", encoding="utf-8") as file:
        file.write("extern const volatile int *sl_mutant_at;\n#define sl_mutant (*sl_mutant_at)\n")
    todo, commands = [], commands_of(build)
    for name, one in sources.items():
        path, changed = os.path.join(ROOT, name), os.path.join(tree, name.replace("/", "_"))
        with open(changed, "w", encoding="utf-8") as file:
            file.write(f'#line 1 "{path}"\n' + one.written())
        todo.append((commands[path], changed, changed[:-2] + ".o", header))
    choice = tree + "/choice.c"
    with open(choice, "w", encoding="utf-8") as file:
        file.write(CHOICE)
    subprocess.run(["cc", "-c", choice, "-o", tree + "/choice.o", "-fPIE"], check=True)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda each: compile_one(*each), todo))
    objects = [each[2] for each in todo]
    library = [each[2] for each in todo if os.path.basename(each[1]).startswith("src_")]
    units = {named[1] for named in map(NOTICED.match, equivalents().values()) if named and named[1].endswith(".c")}
    for program in ("bin/streamlayer", "bin/streamlayerd", *(f"tests/{unit[:-2]}" for unit in sorted(units))):
        link = subprocess.run(["ninja", "-C", build, "-t", "commands", program], check=True, capture_output=True,
                              encoding="utf-8").stdout.strip().splitlines()[-1].split("&&")[1].strip()
        out = f"{tree}/bin/{os.path.basename(program)}"
        for name in sources:  # an object that is named, and not in a library, would come first
            link = re.sub(rf"\S*/{re.escape(name.removeprefix('src/'))}\.o(?= )", "", link)
        ours = " ".join([*(objects if "lib/libgateway.a" in link else library), tree + "/choice.o"])
        link = re.sub(rf"-o {program}(?= )", f"-o {out} {ours} -Wl,--allow-multiple-definition", link)
        subprocess.run(link, shell=True, check=True, cwd=build)
    return tree


class Gateway:
    """The program with the mutants, and the fixture in it."""

    def __init__(self, tree, build, brokers):
        self.tree, self.build, self.brokers = tree, build, brokers
        self.shared = open(tree + "/chosen", "w+b")
        self.shared.write(struct.pack("i", -1))
        self.shared.flush()
        self.memory = mmap.mmap(self.shared.fileno(), 4)
        os.environ["SL_MUTANT_FILE"] = tree + "/chosen"
        self.up = self.fixture = None
        self.starts = 0

    def choose(self, number):
        self.memory[:] = struct.pack("i", number)

    def start(self):
        self.stop()
        self.starts += 1
        place = f"{self.tree}/run-{self.starts}"
        os.mkdir(place)
        gateway = wrong_test.Gateway(self.tree + "/bin", self.brokers, place, self.build + "/bin")
        self.up = gateway.up
        self.fixture = wrong_test.Fixture(gateway)
        self.before = self.state()

    def stop(self):
        if self.up and self.up.process.poll() is None:
            self.up.kill()
        self.up = None

    def state(self):
        """What rows that are answered as they are to be leave as it is."""
        names, ask = self.fixture.names, self.fixture.platform.get
        market = ask("{C}/{market}/marketplace-subscriptions".format(**names)).json()["marketplaceSubscriptions"]
        return (self.fixture.written(), [each for each in market if each["name"] != names["writer"]],
                [ask(path.format(**names)).text for path in ("{C}/{hrn}/grants", "{C}/{market}/grants", "/config/v1/applications")],
                re.findall(r"(?m)^streamlayer_subscriptions \d+", ask("/metrics").text))

    def is_sound(self):
        """Whether it is as it was when it was made."""
        try:
            fixture = self.fixture
            return (self.up.process.poll() is None and self.state() == self.before and
                    fixture.serial.poll() == [] and
                    fixture.platform.get(f"{fixture.names['U']}/publications/{fixture.names['publication']}").status == 200)
        except (AssertionError, OSError, ValueError):
            return False

    def noticed(self, rows, number):
        """The first row that notices, which no state is the reason of that a mutant before has spoilt."""
        name = self.red_row(rows, number)
        if name and not self.is_as_before(rows, name):
            self.start()
            name = self.red_row(rows, number)
            if name and not self.is_as_before(rows, name):
                self.start()
        return name

    def is_as_before(self, rows, name):
        """Whether it is sound, and the row of that name not red without a mutant."""
        return self.is_sound() and not any(row.name == name and wrong_test.fault_of(self.fixture, row) for row in rows)

    def red_row(self, rows, number):
        """The first row that notices; None: none."""
        self.choose(number)
        try:
            for row in rows:
                if wrong_test.fault_of(self.fixture, row):
                    return row.name
            self.choose(-1)
            return None if self.is_sound() else "(something was written, or broke)"
        finally:
            self.choose(-1)


class Tests:
    """Tests in Python, on a platform with the mutants, and of tests/unit."""

    def __init__(self, gateway):
        self.gateway, self.directory, self.up, self.passes = gateway, gateway.tree + "/platform", None, {}
        self.start()

    def start(self):
        """Anew where a mutant was its end."""
        gateway = self.gateway
        shutil.rmtree(self.directory, ignore_errors=True)
        os.mkdir(self.directory)
        data = self.directory + "/data"
        self.up = streamlayer.Running(gateway.tree + "/bin", data, self.directory + "/log", "--kafka", gateway.brokers)
        streamlayer.write_environment(self.directory + "/env", {
            "URL": self.up.ready(), "BIN": gateway.tree + "/bin", "BROKERS": gateway.brokers,
            "CONFIG": data + "/application.conf", "CREDENTIALS": data + "/credentials.properties"})

    def fails(self, test, number):
        if self.up.process.poll() is not None:
            self.start()
        self.gateway.choose(number)
        file, case = test
        program = [f"{self.gateway.tree}/bin/{file[:-2]}"] if file.endswith(".c") else [
            sys.executable, *glob.glob(f"{ROOT}/tests/contract/{file}"), *glob.glob(f"{ROOT}/tests/integration/{file}")]
        try:
            done = subprocess.run([*program, case], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=SECONDS, env={**os.environ, "STREAMLAYER_TEST_PLATFORM": self.directory,
                                                        "PYTHONPATH": ROOT + "/tests/support"})
            failed, said = done.returncode != 0, done.stdout
        except subprocess.TimeoutExpired:  # it waits for what the mutant never does
            failed, said = True, "no end"
        self.gateway.choose(-1)
        if failed and number < 0:
            print(f"fails without any change: {file} {case}:\n{said[-2000:]}", flush=True)
        return failed

    def notices(self, test, number):
        """Whether it fails with the mutant, and without does not; another time, should the machine be slow."""
        if test not in self.passes:
            self.passes[test] = not self.fails(test, -1) or not self.fails(test, -1)
        return self.passes[test] and self.fails(test, number)


def unproven(survivors, known, gateway):
    """Those that equivalent-gateway.txt does not list, or whose test does not notice."""
    tests, found = None, []
    try:
        for mutant in survivors:
            named = NOTICED.match(known.get(mutant.key, ""))
            if named and not tests:
                tests = Tests(gateway)
            if mutant.key not in known or named and not tests.notices(named.groups(), mutant.number):
                found.append(mutant)
            if named:
                print(f"{mutant.place}\t{mutant.operator}\t{'NOT ' * (mutant in found)}noticed by {' '.join(named.groups())}",
                      flush=True)
    finally:
        if tests:
            tests.up.kill()
    return found


def hint_of(place, *what):
    return (place.split(":")[0], *what)


def mutant_columns(mutant):
    return mutant.place, mutant.function, mutant.operator, mutant.what


def hints(file):
    """Which row noticed the last time, by hint_of."""
    if not os.path.exists(file):
        return {}
    with open(file, encoding="utf-8") as lines:
        columns = [line.rstrip("\n").split("\t") for line in lines]
    return {hint_of(*each[:-1]): each[-1] for each in columns}


def order_of(rows, place, hint):
    """Those first that are likely to notice."""
    stem = os.path.basename(place).split(":")[0].split(".")[0].split("_")[0]
    return sorted(rows, key=lambda row: (row.name != hint, not row.place.startswith(stem)))


def equivalents():
    found, reason = {}, ""
    with open(os.path.join(HERE, "equivalent-gateway.txt"), encoding="utf-8") as file:
        for line in map(str.rstrip, file):
            if line.startswith("# "):
                reason = line[2:]
            elif line:
                found[line] = reason
    return found


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("build")
    options.add_argument("--only", nargs="+", default=[""])
    options.add_argument("--sample", type=int, default=1)
    options.add_argument("--from", type=int, default=0, dest="first", metavar="NUMBER")
    options.add_argument("--named", action="store_true", help="only what the list says that a named test notices")
    options.add_argument("--list", action="store_true")
    given = options.parse_args()
    build = os.path.abspath(given.build)
    mutants, sources = plan_mutants()
    known = equivalents()
    chosen = [mutant for mutant in mutants[given.first:] if any(name in mutant.place for name in given.only) and
              (not given.named or NOTICED.match(known.get(mutant.key, "")))][::given.sample]
    if given.list:
        print("\n".join(f"{mutant.number}\t{mutant.place}\t{mutant.key}" for mutant in chosen))
        return 0
    before = hints(f"{build}/mutation-gateway/matrix.tsv")
    tree = build_mutants(sources, build, os.cpu_count())
    kafka = streamlayer.Running(build + "/bin", tree + "/kafka", tree + "/kafka.log")
    gateway = None
    results, begun = {}, time.monotonic()
    try:
        kafka.ready()
        with open(tree + "/kafka/application.conf", encoding="utf-8") as file:
            url = re.search(r"https?://[0-9.]+:\d+", file.read())[0]
        own = streamlayer.Platform({"URL": url, "BIN": build + "/bin", "CONFIG": tree + "/kafka/application.conf"})
        catalog = own.catalog()
        own.layer(catalog, "probe")
        endpoint = own.get(f"{own.base('stream', 'v2', catalog)}/layers/probe/endpoint").json()["bootstrapServers"]
        gateway = Gateway(tree, build, ",".join(f"{each['hostname']}:{each['port']}" for each in endpoint))
        gateway.start()
        rows = wrong.all_rows()
        if red := gateway.red_row(rows, -1):
            raise SystemExit(f"without any change this row is red: {red}")
        if not gateway.is_sound():
            raise SystemExit("a row that is answered as it is to be leaves something: a mutant after it would seem noticed")
        for mutant in chosen:
            hint = before.get(hint_of(*mutant_columns(mutant)))
            results[mutant.number] = gateway.noticed(order_of(rows, mutant.place, hint), mutant.number)
            print(f"{mutant.place}\t{mutant.operator}\t{results[mutant.number] or 'NOT NOTICED'}", flush=True)
        survivors = [mutant for mutant in chosen if not results[mutant.number]]
        faults = unproven(survivors, known, gateway)
    finally:
        if gateway:
            gateway.stop()
        kafka.stop()
        with open(tree + "/matrix.tsv", "w", encoding="utf-8") as file:  # of a run that was cut, too: hints for the next
            file.writelines("\t".join([*mutant_columns(mutant), found]) + "\n" for mutant in mutants
                            if (found := results.get(mutant.number) or before.get(hint_of(*mutant_columns(mutant)))))
    for mutant in faults:
        print(f"no row notices: {mutant.place}: {mutant.key}")
    wrong_entries = [key for key in known if key not in {mutant.key for mutant in mutants} or
                     any(mutant.key == key and results[mutant.number] for mutant in chosen) and "by chance" not in known[key]]
    for key in wrong_entries:
        print(f"equivalent-gateway.txt: there is no such check, or a row notices: {key}")
    print(f"{len(chosen)} mutants, {len(chosen) - len(survivors)} noticed, {len(survivors)} not, "
          f"{len(survivors) - len(faults)} of these listed; {time.monotonic() - begun:.0f} s, "
          f"the gateway was started {gateway.starts} times")
    return 1 if faults or wrong_entries else 0


if __name__ == "__main__":
    sys.exit(main())
