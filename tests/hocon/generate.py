#!/usr/bin/env python3
"""Random HOCON documents, held against the Lightbend library as those of the corpus are.

    generate.py DIRECTORY PROGRAM [--seed N] [--count N] [--most N]

DIRECTORY has the library compiled (differential.py prepare), PROGRAM is render_each. A document that differs is cut
down, line by line and token by token, to the least that still differs, and shown.
"""

import argparse
import collections
import os
import random
import re
import shutil
import sys
import tempfile

import oracle

ROOTS = ["a", "b", "c", "d"]  # objects; a field refers to what lies in later ones, so that nothing contains itself
INNER = {"object": ["o", "q"], "list": ["l", "m"], "text": ["s", "t"]}
ODD_KEYS = ['"a"', '"a.b"', '""', "a b", "1", "0", "2", "true", "1.5", 'a"b"', "ключ", '"""c"""']
SCALARS = ["1", "2", "-3", "1.50", "007", "1e3", "true", "false", "null", "word", "x-y", '"quoted"', '""', '" "', '"1"',
           '"""triple"""', '"""a"b"""', "10s", "a/b", '"\\u0041\\n"', "5.", "'s'", "включено", "on"]
SPACES = ["", "", " ", " ", "  ", "\t"]
INCLUDES = ["one", "one.conf", "two", "none", "three.conf"]


class Writer:
    """Composes one document from the grammar. Most are tame: keys keep to one type, and nothing contains itself."""

    def __init__(self, numbers):
        self.random = numbers
        # What a document has of each, so that documents differ in more than length.
        self.references = numbers.random() < 0.8
        self.odd = numbers.random() < 0.2
        self.includes = numbers.random() < 0.2
        self.broken = numbers.random() < 0.15
        self.wild = numbers.random() < 0.15
        self.looks_back = numbers.random() < 0.5  # to what a field was; then no object comes from elsewhere
        self.root = 0  # which of ROOTS is being written
        self.lists = 0  # how many lists are open

    def space(self):
        return self.random.choice(SPACES)

    def kind(self):
        return self.random.choice(["object", "list", "text", "text"])

    def inner(self, kind):
        if self.odd and self.random.random() < 0.15:
            return self.random.choice(ODD_KEYS)
        keys = [self.random.choice(INNER[kind])]
        while self.random.random() < 0.2:
            keys.insert(0, self.random.choice(INNER["object"]))
        return ".".join(keys)

    def reference(self, kind):
        """To what is of that kind, mostly."""
        roots = ROOTS if self.wild else ROOTS[self.root + 1:]
        if self.wild and self.random.random() < 0.3:
            kind = self.kind()
        if not roots or (kind == "text" and self.random.random() < 0.1):
            path = "SL_ITEMS[]" if kind == "list" else "SL_WORD" if kind == "text" else "SL_NONE"
        else:
            path = self.random.choice(roots) + "." + self.inner(kind)
        return "${" + ("" if self.random.random() < 0.1 else "?") + path + "}"

    def piece(self, kind, depth):
        if self.references and self.random.random() < 0.3 and (kind != "object" or self.wild or not self.looks_back):
            return self.reference(kind)
        if kind == "object":
            return self.object(depth + 1) if depth < 4 else "{}"
        if kind == "list":
            return self.list(depth + 1) if depth < 4 else "[]"
        return self.random.choice(SCALARS)

    def value(self, kind, depth, own=None):
        """own: the field's path, which the value may refer to."""
        pieces = [self.piece(kind, depth) for _ in range(self.random.choice([1, 1, 1, 1, 2, 2, 3]))]
        if own and self.looks_back and kind != "object" and self.random.random() < 0.15:
            pieces.insert(self.random.randrange(len(pieces) + 1), "${?" + own + "}")
        text = pieces[0]
        for piece in pieces[1:]:
            text += self.space() + piece
        return text

    def separator(self):
        newline = "\r\n" if self.random.random() < 0.05 else "\n"
        return self.random.choice([",", newline, newline, newline, "," + newline, newline + ", ",
                                   " # comment" + newline, " // comment" + newline, newline + newline])

    def sequence(self, items):
        if not items:
            return self.space()
        text = self.space() + items[0]
        for item in items[1:]:
            text += self.separator() + self.space() + item
        return text + self.random.choice(["", "", ",", "\n", " \n"])

    def list(self, depth):
        self.lists += 1
        kind = self.kind()
        items = [self.value(kind, depth) for _ in range(self.random.choice([0, 1, 1, 2, 3]))]
        self.lists -= 1
        return "[" + self.sequence(items) + "]"

    def field(self, prefix, depth):
        if self.includes and not self.lists and self.random.random() < 0.2:
            name = f'"{self.random.choice(INCLUDES)}"'
            return "include " + (f"required({name})" if self.random.random() < 0.1 else name)
        kind = self.kind()
        if self.wild and self.random.random() < 0.2:
            path, kind = self.inner(kind), self.kind()
        else:
            path = self.inner(kind)
        if not prefix:
            self.root = self.random.randrange(len(ROOTS))
            path = ROOTS[self.root] + "." + path
            if self.random.random() < 0.2:
                path, kind = ROOTS[self.root], "object"
        own = None if self.lists else f"{prefix}.{path}" if prefix else path
        chance = self.random.random()
        if kind == "list" and chance < 0.3 and not self.lists and (self.looks_back or self.wild):
            self.lists += 1
            element = self.value(self.kind(), depth)
            self.lists -= 1
            return f"{path} {self.space()}+={self.space()}{element}"
        if kind == "object" and chance < 0.4:
            return f"{path}{self.space()}{self.object(depth + 1, own)}"
        if kind == "object" and chance < 0.5 and depth < 4:
            return f"{path}{self.space()}{self.random.choice('=:')}{self.space()}{self.object(depth + 1, own)}"
        return f"{path}{self.space()}{self.random.choice('==:')}{self.space()}{self.value(kind, depth, own)}"

    def object(self, depth, prefix="-"):
        """prefix: where it lies; "-": somewhere that nothing can refer to."""
        lists = self.lists
        self.lists += prefix in ("-", None)
        counts = [0, 1, 1, 2, 2, 3] if depth < 5 else [0]
        text = "{" + self.sequence([self.field(prefix or "-", depth) for _ in range(self.random.choice(counts))]) + "}"
        self.lists = lists
        return text

    def breaks(self, text):
        """Puts in, takes out or moves a little, anywhere."""
        at = self.random.randrange(len(text) + 1)
        end = min(len(text), at + self.random.randrange(3))
        return text[:at] + self.random.choice(list('{}[]",:=+#$\\\n /.*') + ["${", '"""', "//", ""]) + text[end:]

    def document(self):
        text = self.sequence([self.field("", 0) for _ in range(self.random.choice([1, 2, 3, 4, 5, 6, 8]))])
        if self.random.random() < 0.15:
            text = "{" + text + "}"
        return self.breaks(text) if self.broken else text + "\n"


def write_includes(directory):
    for name, text in (("one.conf", "s = 1, q { t = ${?o.s}, s = ${s} }\nl += 5\n"),
                       ("one.json", '{"o": {"l": [1]}, "t": "json"}'),
                       ("two.properties", "o.s=1\nt=two\nm.0=x\nm.1=y\n"),
                       ("three.conf", "l = ${?l} [3]\no { include \"two\" }\ns = ${?t}\n")):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)


class Judge:
    """Asks both about a text."""

    def __init__(self, directory, program):
        self.wild = False
        self.place = tempfile.mkdtemp(prefix="hocon-generated-")
        write_includes(self.place)
        self.file = os.path.join(self.place, "document.conf")
        self.ours = oracle.Parser([program])
        self.theirs = oracle.Parser(oracle.lightbend_command(directory))

    def answers(self, text):
        with open(self.file, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return self.ours.ask([self.file])[0], self.theirs.ask([self.file])[0]

    def differs(self, text):
        ours, theirs = self.answers(text)
        return not oracle.same_answer(ours, theirs) and not excuse(ours, theirs, self.wild)

    def close(self):
        shutil.rmtree(self.place)
        for parser in (self.ours, self.theirs):
            parser.__exit__()


# Where the two may differ, with the reason; differences.txt has documents of each. What ours answers, and what the
# library does, as regular expressions.
EXCUSES = [
    ("+= and includes inside of lists: limitations of the library",
     "", "error .*Due to current limitations of the config parser"),
    ("values after an object whose '=' was left out: the library does not put them together",
     "ok ", "error .*Expecting (close brace }|end of input) or a comma, got ('[{[]'|'\\$)"),
    ("a number before +=: the library takes the + for a part of it",
     "ok ", "error .*'\\+' \\(Reserved character '\\+'"),
    ("a list may be a document's root",
     "ok ", "error .*has type LIST rather than object at file root"),
    ("what is hidden is not evaluated: the library evaluates more",
     "ok ", "error .*(UnresolvedSubstitution|WrongType: .* not compatible)"),
    ("white space that is all that undefined values left: the library drops it beside lists and objects",
     "error .*text is put together", 'ok .*:"( |\\\\t)+"'),
    ("a sign is no hexadecimal digit: the library takes one in \\u+041",
     "error .*a broken escape", "ok "),
    ("the library gives up on its own account",
     "", "error .*BugOrBroken"),
]


def excuse(ours, theirs, wild):
    """Why the two may differ as they do; None: they may not."""
    for reason, left, right in EXCUSES:
        if re.match(left, ours) and re.match(right, theirs):
            return reason
    if wild and "$Parse" not in theirs and ("ok " in ours or re.search("cycle|put together|is not set", ours)):
        return "values that contain themselves: what is looked at first decides, and the specification leaves it open"
    return None


TOKEN = re.compile(r'"""(?s:.*?)"""|"[^"\n]*"|\$\{\??|[\w./\'-]+|\s+|.', re.DOTALL)


def without_runs(judge, parts):
    """Takes out runs of parts, long ones first."""
    size = max(1, len(parts) // 2)
    while size:
        at, cut = 0, False
        while at < len(parts):
            fewer = parts[:at] + parts[at + size:]
            if judge.differs("".join(fewer)):
                parts, cut = fewer, True
            else:
                at += size
        size = size if cut and size == 1 else size // 2
    return parts


def without_pairs(judge, parts):
    """Takes out each bracket with its partner, with what is between them and without."""
    at = 0
    while at < len(parts):
        partner = None
        if parts[at] in ("{", "[", "${", "${?"):
            depth = 0
            for end in range(at, len(parts)):
                depth += (parts[end] in ("{", "[", "${", "${?")) - (parts[end] in ("}", "]"))
                if depth == 0:
                    partner = end
                    break
        if partner:
            for fewer in (parts[:at] + parts[partner + 1:], parts[:at] + parts[at + 1:partner] + parts[partner + 1:]):
                if judge.differs("".join(fewer)):
                    parts = fewer
                    at -= 1
                    break
        at += 1
    return parts


def shrink(judge, text):
    """The least that still differs: without lines, without tokens, without pairs of brackets, until nothing goes."""
    parts = without_runs(judge, text.splitlines(keepends=True))
    parts = TOKEN.findall("".join(parts))
    while True:
        before = len(parts)
        parts = without_pairs(judge, without_runs(judge, parts))
        for gap in range(2, 5):  # a key, its '=' and its value go together only
            for at in range(len(parts) - gap, -1, -1):
                fewer = parts[:at] + parts[at + gap:]
                if judge.differs("".join(fewer)):
                    parts = fewer
        if len(parts) == before:
            return "".join(parts)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    arguments.add_argument("directory")
    arguments.add_argument("program")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--count", type=int, default=1000)
    arguments.add_argument("--most", type=int, default=5, help="differences to show before giving up")
    options = arguments.parse_args()
    judge = Judge(options.directory, options.program)
    found, valid, excused = set(), 0, collections.Counter()
    for number in range(options.seed, options.seed + options.count):
        writer = Writer(random.Random(number))
        text = writer.document()
        judge.wild = writer.wild
        ours, theirs = judge.answers(text)
        valid += theirs.startswith("ok ")
        if oracle.same_answer(ours, theirs):
            continue
        reason = excuse(ours, theirs, writer.wild)
        if reason:
            excused[reason] += 1
            continue
        least = shrink(judge, text)
        if least in found:
            continue
        found.add(least)
        ours, theirs = judge.answers(least)
        print(f"seed {number} differs:\n----\n{least}\n----\n  Lightbend: {theirs}\n  ours:      {ours}\n", flush=True)
        if len(found) == options.most:
            break
    judge.close()
    for reason, count in excused.most_common():
        print(f"{count} differ, as they may: {reason}")
    print(f"{options.count} documents from seed {options.seed}, {valid} of them valid: {len(found)} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
