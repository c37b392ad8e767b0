#!/usr/bin/env python3
"""wrong/table.txt: for each setting what lies just outside of its range, and what is not of its type; for all of them
together their least, their most, and each allowed word.

table.py STREAMLAYER                     fails on what lacks its row: a setting is new, or was changed
table.py --update STREAMLAYER CHECK_EACH writes the file anew, with what is said now: to be read before it is committed
"""

import json
import os
import subprocess
import sys
import tempfile

import wrong

FILE = os.path.join(wrong.HERE, "wrong", "table.txt")
ROOTS = ("here.platform.data-client.", "streamlayer.")
UNITS = {"integer": "", "duration": " ms", "size": " bytes"}
NOT_OF_TYPE = {"integer": "none", "duration": "none", "size": "none", "boolean": "none", "choice": "none-of-them",
               "url": "none", "servers": '"none:99999"', "section": "none", "layers": "none", "named": "none", "text": "[none]", "file": "[none]", "secret": "[none]"}
URL = 'here.platform.data-client.endpoint-locator.discovery-service-url = "http://a"'


def with_name(path):
    """A path that stands below names that people choose has such a name."""
    return path.replace(".NAME", ".one")


def short(path):
    return next(path[len(root):] for root in ROOTS if path.startswith(root))


def wanted(settings):
    """id -> the lines of app.conf."""
    rows = {}
    least, most = [], []
    for setting in settings:
        path, kind = with_name(setting["path"]), setting["type"]
        rows[f"{short(path)}: type"] = [f"{path} = {NOT_OF_TYPE[kind]}"]
        if "min" in setting:
            rows[f"{short(path)}: below"] = [f"{path} = {setting['min'] - 1}{UNITS[kind]}"]
            rows[f"{short(path)}: above"] = [f"{path} = {setting['max'] + 1}{UNITS[kind]}"]
            least.append(f"{path} = {setting['min']}{UNITS[kind]}")
            most.append(f"{path} = {setting['max']}{UNITS[kind]}")
    rows["each: least"] = least
    rows["each: most"] = most
    choices = {with_name(setting["path"]): setting["allowed"].split(", ") for setting in settings if setting["type"] == "choice"}
    for number in range(max(map(len, choices.values()))):
        rows[f"each: word {number + 1}"] = [f"{path} = {words[number % len(words)]}" for path, words in choices.items()] + [URL]
    return rows


def read_settings(streamlayer):
    done = subprocess.run([streamlayer, "config", "reference", "--json"], check=True, capture_output=True)
    return json.loads(done.stdout)


def update(rows, program):
    made = []
    for name, lines in rows.items():
        row = wrong.Row(name, "", [])
        row.files.append(("app.conf", {}, lines))
        made.append(row)
    with tempfile.TemporaryDirectory(prefix="table-") as directory, open(FILE, "w", encoding="utf-8") as file:
        wrong.write_rows(made, directory)
        checker = wrong.Checker(program)
        file.write("# Made by table.py, which also holds it against the table of settings.\n")
        for row in made:
            file.write(f"\n== {row.name}\n-- app.conf\n" + "".join(line + "\n" for line in row.files[0][2]))
            file.write("".join(wrong.outcome(line) + "\n" for line in checker.ask(row)))
        checker.end()


def main(arguments):
    if arguments[0] == "--update":
        update(wanted(read_settings(arguments[1])), os.path.abspath(arguments[2]))
        return 0
    rows = {row.name: row.files[0][2] for row in wrong.read_rows(FILE)}
    faults = []
    for name, lines in wanted(read_settings(arguments[0])).items():
        if rows.pop(name, None) != lines:
            faults.append(f"{name}: to be\n  " + "\n  ".join(lines))
    faults += [f"{name}: no setting has it" for name in rows]
    print("\n".join(faults))
    print(f"{len(faults)} rows of table.txt are missing, or not as the settings are; table.py --update writes them")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
