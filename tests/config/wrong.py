#!/usr/bin/env python3
"""Wrong configurations, and right ones, each with what is said of it: wrong/*.txt.

wrong.py CHECK_EACH [FILE…]      runs the rows of these files (all), and prints each that is red
wrong.py --show CHECK_EACH ID…   prints what is said of those rows
wrong.py --update CHECK_EACH     writes into the files what is said now: to be read before it is committed

A row:

    == include-cycle                          its id, used once
    -- app.conf                               a file; app.conf is the one that is loaded
    include "b.conf"
    -- b.conf
    include "app.conf"
    !! b.conf:1:9: app.conf includes itself…  a complaint, to the letter (DIRECTORY: the row's own); several in order
    => {"a":1}                                or what is made of it: "ok", the JSON, the value that was asked for

Behind a file's name, in brackets: mode=0600, hex, link=TARGET, directory, repeat=1001, bare (no newline at its end),
expand ("@{201 [}" stands for 201 times "["), chain=1200 (so many substitutions, each of the next).
Lines that begin with %%, of a row, or in front of the first row for all of the file:
    stage render                              HOCON alone; text: the same, handed over; misuse: calls that no program
                                              must make; credentials, proxy, proxy secure: what the settings lead to;
                                              without it they are loaded and checked
    limit bytes=N                             or depth=N, includes=N, resolved=N; of "stage render"
    env NAME=VALUE, set PATH=VALUE            a variable; -D. \\xNN is a byte.
    home, context NAME                        the user's files count (home/…); a context
    get KIND PATH                             a value instead of the check
    get layer PATH HRN LAYER                  that of one layer, and which path says it
"""

import glob
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROW_SECONDS = 10  # a row takes a millisecond; a mutant may not end


class Row:
    def __init__(self, name, place, asked):
        self.name, self.place = name, place
        self.asked = list(asked)
        self.files = []  # (name, attributes, lines)
        self.expected = []


def read_rows(path):
    rows, common = [], []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            place = f"{os.path.basename(path)}:{number}"
            if line.startswith("== "):
                rows.append(Row(line[3:], place, common))
            elif line.startswith("%% "):
                (rows[-1].asked if rows else common).append(line[3:])
            elif not rows:
                if line and not line.startswith("#"):
                    raise SystemExit(f"{place}: what stands before the first row is a comment or begins with %%")
            elif match := re.fullmatch(r"-- (\S+)((?: \[[^]]*\])*)", line):
                attributes = dict(word.partition("=")[::2] for word in re.findall(r"\[([^]]*)\]", match[2]))
                rows[-1].files.append((match[1], attributes, []))
            elif line.startswith(("!! ", "=> ")):
                rows[-1].expected.append(line[3:] if line.startswith("!!") else line)
            elif rows[-1].files and not rows[-1].expected:
                rows[-1].files[-1][2].append(line)
            elif line and not line.startswith("#"):
                raise SystemExit(f"{place}: this belongs to no file")
    for row in rows:
        for _, _, lines in row.files:
            while lines and not lines[-1]:
                lines.pop()
    return rows


def all_rows(paths=None):
    """The rows of these files (all); refuses an id that is used twice, and a row without an outcome."""
    rows = [row for path in paths or sorted(glob.glob(HERE + "/wrong/*.txt")) for row in read_rows(path)]
    seen = {}
    for row in rows:
        if row.name in seen:
            raise SystemExit(f"{row.place}: {row.name} is the id of {seen[row.name]} too")
        seen[row.name] = row.place
        if not row.expected:
            raise SystemExit(f"{row.place}: {row.name} says neither !! nor =>")
    return rows


def write_file(directory, name, attributes, lines):
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if "link" in attributes:
        os.symlink(attributes["link"], path)
        return
    if "directory" in attributes:
        os.mkdir(path)
        return
    text = "\n".join(lines) + ("" if "bare" in attributes or not lines else "\n")
    if "chain" in attributes:
        count = int(attributes["chain"])
        text = "".join(f"a{i} = x${{a{i + 1}}}\n" for i in range(count)) + f"a{count} = x\n"
    if "expand" in attributes:
        text = re.sub(r"@\{(\d+) ([^}]*|\})\}", lambda match: match[2] * int(match[1]), text)
    content = bytes.fromhex(text) if "hex" in attributes else text.encode()
    with open(path, "wb") as file:
        file.write(content * int(attributes.get("repeat", 1)))
    if "mode" in attributes:
        os.chmod(path, int(attributes["mode"], 8))


def write_rows(rows, directory):
    for number, row in enumerate(rows):
        row.directory = os.path.join(directory, str(number))
        os.makedirs(row.directory)
        for name, attributes, lines in row.files:
            write_file(row.directory, name, attributes, lines)


def limit():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory():
    limit()
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


class Checker:
    """check_each, started again when a row was too much for it."""

    def __init__(self, program, environment=None, prepare=limit, seconds=ROW_SECONDS):
        self.program, self.environment, self.prepare, self.seconds = program, environment, prepare, seconds
        self.process = None

    def start(self):
        self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=self.environment, preexec_fn=self.prepare)
        self.pending = b""

    def end(self):
        """The exit code."""
        self.process.stdin.close()
        try:
            code = self.process.wait(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        self.process = None
        return code

    def ask(self, row):
        """The answer's lines."""
        if not self.process:
            self.start()
        asked = "".join(line + "\n" for line in [f"row {row.directory}", *row.asked, "go"]).encode()
        asked = re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()), asked)
        try:
            self.process.stdin.write(asked)
            self.process.stdin.flush()
        except BrokenPipeError:
            return [f"(ended with {self.end()})"]
        while not (self.pending.endswith(b"\n.\n") or self.pending == b".\n"):
            ready, _, _ = select.select([self.process.stdout], [], [], self.seconds)
            if not ready:
                self.process.kill()
                self.end()
                return ["(did not end)"]
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return [f"(ended with {self.end()})"]
            self.pending += piece
        text = self.pending.decode("utf-8", "surrogateescape").replace(row.directory, "DIRECTORY")
        lines = text.split("\n")[:-2]
        self.pending = b""
        return lines


def run(rows, program):
    """The rows that are red, with what was said."""
    checker = Checker(program)
    red = []
    for row in rows:
        said = checker.ask(row)
        if said != row.expected:
            red.append((row, said))
    code = checker.end() if checker.process else 0
    if code:
        print(f"check_each ended with {code}")
    return red, code


def outcome(line):
    return line if line.startswith("=>") else "!! " + line


def update(path, program):
    """Writes the file's outcomes anew."""
    rows = read_rows(path)
    with tempfile.TemporaryDirectory(prefix="wrong-") as directory:
        write_rows(rows, directory)
        checker = Checker(program)
        said = {row.name: checker.ask(row) for row in rows}
        checker.end()
    with open(path, encoding="utf-8") as file:
        blocks = re.split(r"(?m)^(?=== )", file.read())
    for number, block in enumerate(blocks[1:], 1):
        lines = [line for line in block.rstrip("\n").split("\n") if not line.startswith(("!! ", "=> "))]
        while not lines[-1]:
            lines.pop()
        blocks[number] = "\n".join(lines + [outcome(line) for line in said[lines[0][3:]]]) + "\n\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write("".join(blocks).rstrip("\n") + "\n")


def main(arguments):
    show = arguments[0] == "--show"
    if arguments[0] == "--update":
        for path in sorted(glob.glob(HERE + "/wrong/*.txt")):
            update(path, os.path.abspath(arguments[1]))
        return 0
    program = os.path.abspath(arguments[show])
    names = arguments[1 + show:]
    rows = all_rows(None if show else names)
    if show:
        rows = [row for row in rows if row.name in names or not names]
    with tempfile.TemporaryDirectory(prefix="wrong-") as directory:
        write_rows(rows, directory)
        red, code = run(rows, program)
    for row, said in red:
        print(f"{'' if show else 'RED '}{row.place}: {row.name}")
        if not show:
            print("".join(f"  expected: {line}\n" for line in row.expected), end="")
        print("".join(f"  {outcome(line) if show else 'said:     ' + line}\n" for line in said), end="")
    print(f"{len(rows)} rows, {len(red)} red")
    return 1 if red or code else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
