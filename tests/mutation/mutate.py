#!/usr/bin/env python3
"""Deletes each check of src/hocon, src/config and of the credentials in turn, and looks which row of tests/config/wrong
notices. A check that none does is printed, unless equivalent.txt lists it with a reason.

mutate.py BUILD [--only FILE] [--sample N] [--jobs N] [--list]

BUILD is a build of the release. The sources are copied and changed in BUILD/mutation; all mutants are in one program,
and SL_MUTANT chooses one. BUILD/mutation/matrix.tsv: for each mutant its place, what was done, and the rows it turns red.
"""

import argparse
import collections
import concurrent.futures
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "config"))
import source  # noqa: E402
import wrong  # noqa: E402

SOURCES = ("src/hocon/*.c", "src/config/*.c", "src/auth/credential*.c")
SECONDS = 5

# The settings' own data: the same numbers in every build, as many as the table makes.
DATA = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config/settings.h"

int sl_mutant;

static int number = FIRST;

static int is_next(const struct sl_setting *setting, const char *what, int list)
{
    if (list)
        printf("%d\t%s\t%s\n", number, setting->path, what);
    return number++ == sl_mutant;
}

static const char *const *without(const char *const *choices, size_t left_out)
{
    const char **made = calloc(32, sizeof *made);
    for (size_t from = 0, to = 0; choices[from]; from++)
        if (from != left_out)
            made[to++] = choices[from];
    return made;
}

static void change(struct sl_setting *setting, int list)
{
    int is_text = setting->type == SL_TEXT || setting->type == SL_SECRET || setting->type == SL_FILE;
    int ranged = setting->type == SL_INTEGER || setting->type == SL_DURATION_MS || setting->type == SL_SIZE_BYTES;
    if (ranged && is_next(setting, "any minimum", list))
        setting->min = INT64_MIN;
    if (ranged && is_next(setting, "any maximum", list))
        setting->max = INT64_MAX;
    if (ranged && is_next(setting, "minimum + 1", list))
        setting->min++;
    if (ranged && is_next(setting, "maximum - 1", list))
        setting->max--;
    if (!is_text && is_next(setting, "any text", list))
        setting->type = SL_TEXT;
    for (size_t i = 0; setting->type == SL_CHOICE && setting->choices[i]; i++) {
        char what[100];
        snprintf(what, sizeof what, "without %s", setting->choices[i]);
        if (is_next(setting, what, list)) {
            setting->choices = without(setting->choices, i);
            break;
        }
    }
}

__attribute__((constructor)) static void choose(void)
{
    const char *chosen = getenv("SL_MUTANT");
    sl_mutant = chosen ? atoi(chosen) : -1;
    int list = chosen && !strcmp(chosen, "list");
    for (size_t i = 0; i < sl_client_setting_count; i++)
        change(&sl_client_settings[i], list);
    for (size_t i = 0; i < sl_gateway_setting_count; i++)
        change(&sl_gateway_settings[i], list);
    if (list)
        exit(0);
}
"""

Mutant = collections.namedtuple("Mutant", "number place function operator what key")


def write_if_new(path, text):
    """Whether it had another text."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return False
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def flags_of(build, name):
    """How the build compiles that source, but for what goes in and out."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for entry in json.load(file):
            if entry["file"] == os.path.join(ROOT, name):
                words = shlex.split(entry["command"])
                return [word for word in words if re.match(r"-(?:I|D|std=|isystem|pthread|f(?!sanitize))|/", word)
                        and not word.endswith((".c", ".o", "/cc", "/gcc"))] + \
                       [f"-I{words[at + 1]}" for at, word in enumerate(words) if word == "-isystem"]
    raise SystemExit(f"{build}/compile_commands.json does not have {name}: cmake --preset release")


def compile_one(build, tree, name, flags):
    out = os.path.join(tree, name.replace("/", "_")[:-2] + ".o")
    flags = [flag.replace(os.path.join(ROOT, "src"), os.path.join(tree, "src")) for flag in flags]
    subprocess.run(["cc", *flags, "-O1", "-g0", "-w", "-D_GNU_SOURCE", "-include", os.path.join(tree, "mutant.h"), "-c",
                    os.path.join(tree, name), "-o", out], check=True)
    return out


def copy_tree(tree):
    """The sources as they are; what is to be changed is written over them."""
    for folder in ("src", "include"):
        for path in glob.glob(os.path.join(ROOT, folder, "**", "*.h"), recursive=True):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if path.endswith("config/settings.h"):
                text = re.sub(r"extern const struct sl_setting ", "extern struct sl_setting ", text)
            write_if_new(os.path.join(tree, os.path.relpath(path, ROOT)), text)


def build_mutants(build, jobs):
    """The program, and every mutant that it has."""
    tree = os.path.join(build, "mutation")
    mutants, files = [], {}
    copy_tree(tree)
    for path in sorted(path for pattern in SOURCES for path in glob.glob(os.path.join(ROOT, pattern))):
        name = os.path.relpath(path, ROOT)
        with open(path, encoding="utf-8") as file:
            one = source.Source(os.path.basename(path), file.read(), name)
        for number, (line, function, operator, what) in enumerate(one.plan(len(mutants)), len(mutants)):
            mutants.append((number, f"{name}:{line}", function, operator, what))
        text = one.written()
        if "/table_" in name:
            text = re.sub(r"(?m)^const struct sl_setting ", "struct sl_setting ", text)
        files[name] = text
    files["mutants.c"] = f"#define FIRST {len(mutants)}\n" + DATA
    files["check_each.c"] = open(os.path.join(ROOT, "tests/config/check_each.c"), encoding="utf-8").read()
    write_if_new(os.path.join(tree, "mutant.h"), "extern int sl_mutant;\n")
    stamp = json.dumps(files) + "".join(open(path, encoding="utf-8").read()
                                       for path in sorted(glob.glob(tree + "/src/**/*.h", recursive=True)))
    program = os.path.join(tree, "check_each")
    if write_if_new(os.path.join(tree, "stamp"), stamp) or not os.path.exists(program):
        for name, text in files.items():
            write_if_new(os.path.join(tree, name), text)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            objects = list(pool.map(lambda name: compile_one(build, tree, name, flags_of(
                build, name if name.startswith("src/") else "src/config/config.c")), files))
        libraries = subprocess.run(["pkg-config", "--libs", "jansson", "libcbor", "libcurl", "libcrypto"], check=True,
                                   capture_output=True, encoding="utf-8").stdout.split()
        subprocess.run(["cc", "-o", program, *objects, os.path.join(build, "lib", "libstreamlayer.a"), *libraries,
                        "-lpthread", "-ldl", "-rdynamic"], check=True)
    listed = subprocess.run([program], env={"SL_MUTANT": "list"}, check=True, capture_output=True, encoding="utf-8")
    for line in listed.stdout.splitlines():
        number, path, what = line.split("\t")
        mutants.append((int(number), "src/config/table", path, "data", what))
    return program, with_keys(mutants)


def with_keys(mutants):
    """Keys hold no line numbers, so that they outlive other changes of the file."""
    seen, made = collections.Counter(), []
    for number, place, function, operator, what in mutants:
        key = f"{place.split(':')[0]} | {function} | {operator} | {what}"
        seen[key] += 1
        made.append(Mutant(number, place, function, operator, what, key + (f" #{seen[key]}" if seen[key] > 1 else "")))
    return made


def red_rows(program, rows, mutant):
    checker = wrong.Checker(program, {"SL_MUTANT": str(mutant.number)}, wrong.limit_memory, SECONDS)
    red, lost = [], 0
    for row in rows:
        said = checker.ask(row)
        if said != row.expected:
            red.append(row.name)
            lost += said[:1] != [] and said[0].startswith("(")
            if lost > 20:  # it ends at every row
                break
    if checker.process and checker.end() != 0 and not red:
        red.append("(the end)")
    return red


def read_equivalents():
    """key -> reason; one that begins "Either: " leaves it open whether a row notices."""
    found, reason = {}, ""
    with open(os.path.join(HERE, "equivalent.txt"), encoding="utf-8") as file:
        for line in map(str.rstrip, file):
            if line.startswith("# "):
                reason = line[2:]
            elif line:
                found[line] = reason
            else:
                reason = ""
    without = [key for key, reason in found.items() if not reason]
    if without:
        raise SystemExit("equivalent.txt: no reason stands above\n" + "\n".join(without))
    return found


def report(mutants, results, rows, tree, whole):
    equivalents = read_equivalents()
    with open(os.path.join(tree, "matrix.tsv"), "w", encoding="utf-8") as file:
        for mutant in mutants:
            file.write("\t".join([mutant.place, mutant.function, mutant.operator, mutant.what,
                                  ", ".join(results[mutant.number])]) + "\n")
    survivors = [mutant for mutant in mutants if not results[mutant.number]]
    faults = [f"{mutant.place}: {mutant.key}" for mutant in survivors if mutant.key not in equivalents]
    if faults:
        print("No row notices that these checks are left out:")
        print("\n".join(faults))
    keys = {mutant.key for mutant in mutants}
    killed = {mutant.key for mutant in mutants if results[mutant.number]}
    stale = [key for key, reason in equivalents.items()
             if key in killed and not reason.startswith("Either: ") or whole and key not in keys]
    if stale:
        print("equivalent.txt lists what is noticed, or is not there any more:")
        print("\n".join(stale))
    if whole:
        only = {results[mutant.number][0] for mutant in mutants if len(results[mutant.number]) == 1}
        print(f"{len(only)} of {len(rows)} rows are the only one to notice some mutant")
        with open(os.path.join(tree, "rows.txt"), "w", encoding="utf-8") as file:
            file.writelines(f"{row.place}\t{row.name}\n" for row in rows if row.name not in only)
    print(f"{len(mutants)} mutants, {len(mutants) - len(survivors)} noticed, {len(survivors)} not, "
          f"{len(survivors) - len(faults)} of these equivalent")
    return 1 if faults or stale else 0


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("build")
    options.add_argument("--only", help="mutants of this file")
    options.add_argument("--sample", type=int, default=1, help="every so many-th mutant")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options.add_argument("--list", action="store_true", help="print the mutants, and run none")
    given = options.parse_args()
    build = os.path.abspath(given.build)
    os.nice(10)
    program, mutants = build_mutants(build, given.jobs)
    chosen = [mutant for mutant in mutants if not given.only or given.only in mutant.place][::given.sample]
    if given.list:
        print("\n".join(f"{mutant.number}\t{mutant.place}\t{mutant.key}" for mutant in chosen))
        return 0
    rows = wrong.all_rows()
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        wrong.write_rows(rows, directory)
        right = Mutant(-1, "", "", "", "", "")
        if red := red_rows(program, rows, right):
            raise SystemExit(f"without any change these rows are red: {', '.join(red)}")
        with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
            results = dict(zip((mutant.number for mutant in chosen),
                               pool.map(lambda mutant: red_rows(program, rows, mutant), chosen)))
    return report(chosen, results, rows, os.path.join(build, "mutation"), len(chosen) == len(mutants))


if __name__ == "__main__":
    sys.exit(main())
