#!/usr/bin/env python3
"""Holds our HOCON parser against the Lightbend library on the documents in corpus/.

    differential.py prepare DIRECTORY         asks the library about every document, into DIRECTORY
    differential.py check DIRECTORY PROGRAM SECTION...
                                              asks PROGRAM (render_each) and compares
    differential.py cli DIRECTORY STREAMLAYER  the same documents by `streamlayer config render`
    differential.py update DIRECTORY PROGRAM  writes errors.txt anew

A document is the same when both make the same JSON value of it, or both refuse it. What may differ is listed in
differences.txt, with the reason and what ours makes of it; what ours says of invalid documents is in errors.txt.
"""

import fnmatch
import json
import os
import re
import subprocess
import sys

import oracle

CORPUS = os.path.join(oracle.HERE, "corpus")
OWN_SECTIONS = {"invalid", "limits"}  # what people write by mistake, and our own limits: of no one rule
MESSAGE = re.compile(r"[^:\n]+:[1-9][0-9]*:[1-9][0-9]*: .*\bexpected\b", re.DOTALL)


def documents(sections=None):
    """SECTION/FILE of every document; what lies deeper is for them to include."""
    for section in sorted(sections or os.listdir(CORPUS)):
        for file in sorted(os.listdir(os.path.join(CORPUS, section))):
            if os.path.isfile(os.path.join(CORPUS, section, file)):
                yield f"{section}/{file}"


def verb_of(document):
    return "convert" if document.startswith("conversions/") else "render"


def read_differences():
    """What may differ: name -> our JSON (None: an error); those that the library is not asked about."""
    allowed, unasked = {}, set()
    reason = None
    with open(os.path.join(oracle.HERE, "differences.txt"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            if not line:
                reason = None
            elif line.startswith("#"):
                reason = line
            elif not reason:
                raise ValueError(f"differences.txt:{number}: no reason stands above it")
            else:
                name, _, ours = line.partition(" ")
                if name in allowed:
                    raise ValueError(f"differences.txt:{number}: {name} is listed twice")
                allowed[name] = oracle.read_json(ours) if ours and ours != "unasked" else None
                if ours == "unasked":
                    unasked.add(name)
    return allowed, unasked


def read_errors():
    with open(os.path.join(oracle.HERE, "errors.txt"), encoding="utf-8") as file:
        return dict(line.rstrip("\n").split("\t", 1) for line in file if not line.startswith("#"))


def ask(command, names):
    answers = {}
    with oracle.Parser(command) as parser:
        for name in names:
            answers[name] = parser.ask([name], verb_of(name))[0]
    return answers


def prepare(directory):
    os.makedirs(directory, exist_ok=True)
    command = oracle.compile_lightbend(directory)
    _, unasked = read_differences()
    answers = ask(command, [name for name in documents() if name not in unasked])
    with open(os.path.join(directory, "lightbend.json"), "w", encoding="utf-8", errors="surrogatepass") as file:
        json.dump(answers, file)
    print(f"{len(answers)} documents")


def differing(name, ours, theirs):
    """What differs: (NAME, what ours makes of it); of conversions each getter of each field by itself."""
    if oracle.same_answer(ours, theirs):
        return []
    if verb_of(name) == "render" or not (ours.startswith("ok ") and theirs.startswith("ok ")):
        return [(name, oracle.read_json(ours[3:]) if ours.startswith("ok ") else None)]
    left, right = oracle.read_json(ours[3:]), oracle.read_json(theirs[3:])
    return [(f"{name}#{key}.{getter}", left.get(key, {}).get(getter))
            for key in sorted(left.keys() | right.keys())
            for getter in ("boolean", "integer", "milliseconds", "bytes", "list")
            if not oracle.same_value(left.get(key, {}).get(getter), right.get(key, {}).get(getter))]


def check_one(name, ours, theirs, allowed, errors):
    """What is wrong with the document's outcome."""
    if ours.startswith("error "):
        if not MESSAGE.fullmatch(ours[6:] + " expected") or "expected" not in ours:
            yield f"the message is not FILE:LINE:COLUMN: what, and what was expected: {ours[6:]}"
        if errors.get(name) != ours[6:]:
            yield f"the message is:\n    {ours[6:]}\nerrors.txt has:\n    {errors.get(name)}"
    elif name in errors:
        yield f"errors.txt has, and there is no error:\n    {errors[name]}"
    if theirs is None:
        return
    found = differing(name, ours, theirs)
    for what, value in found:
        if what not in allowed:
            yield f"{what} differs:\n  Lightbend: {theirs}\n  ours:      {ours}"
        elif not oracle.same_value(value, allowed[what]):
            yield f"{what} differs as differences.txt says, but not with this: {ours}"
    names = {what for what, _ in found}
    for what in allowed:
        if (what == name or what.startswith(name + "#")) and what not in names:
            yield f"{what} is listed in differences.txt, and is the same"


def check(directory, answers, names):
    allowed, _ = read_differences()
    errors = read_errors()
    with open(os.path.join(directory, "lightbend.json"), encoding="utf-8", errors="surrogatepass") as file:
        lightbend = json.load(file)
    failures = 0
    for name in names:
        wrong = list(check_one(name, answers[name], lightbend.get(name), allowed, errors))
        known = any(what == name or what.startswith(name + "#") for what in allowed)
        print(f"{'FAILED' if wrong else 'known ' if known else 'ok    '} {name}")
        for text in wrong:
            print("    " + text.replace("\n", "\n    "))
        failures += bool(wrong)
    print(f"{len(names)} documents, {failures} failed")
    return failures


def check_stale():
    known = set(documents())
    allowed, _ = read_differences()
    return [f"{name} is listed, and there is no such document"
            for name in list(allowed) + list(read_errors()) if name.split("#")[0] not in known]


def check_cli(directory, streamlayer):
    """The command itself, on a part of the corpus: the same JSON or message, and the exit code."""
    names = [name for name in documents() if verb_of(name) == "render"][::11]
    answers = {}
    failures = 0
    for name in names:
        done = subprocess.run([streamlayer, "config", "render", name], env=oracle.environment(), check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
        if done.returncode == 0:
            answers[name] = "ok " + done.stdout
            good = not done.stderr
        else:
            answers[name] = "error " + done.stderr.strip().removeprefix("streamlayer: ")
            good = not done.stdout
        if not good:
            failures += 1
            print(f"FAILED {name}: exit code {done.returncode}, {done.stdout!r}, {done.stderr!r}")
    return failures + check(directory, answers, names)


def check_rules():
    """What is wrong with rules.txt: a rule without its documents, a section of the corpus that no rule names."""
    known, used, heading = set(documents()), set(), None
    with open(os.path.join(oracle.HERE, "rules.txt"), encoding="utf-8") as file:
        for number, line in enumerate(map(str.strip, file), 1):
            if line.startswith("## "):
                if heading:
                    yield f"rules.txt: \"{heading}\" has no rule"
                heading = line[3:]
            elif line.startswith("- "):
                rule, _, names = line[2:].partition(": ")
                heading = None
                for name in [] if rule == "none" else names.split(", ") if names else [""]:
                    found = fnmatch.filter(known, name)
                    used.update(found)
                    if not found:
                        yield f"rules.txt:{number}: {rule}: there is no document \"{name}\""
    if heading:
        yield f"rules.txt: \"{heading}\" has no rule"
    for section in sorted({name.split("/")[0] for name in known} - {name.split("/")[0] for name in used} - OWN_SECTIONS):
        yield f"rules.txt: no rule names a document of {section}/"


def update(program):
    answers = ask([program], documents())
    with open(os.path.join(oracle.HERE, "errors.txt"), "w", encoding="utf-8") as file:
        file.write("# What ours says of each document that it refuses; written by `differential.py update`.\n")
        for name, answer in answers.items():
            if answer.startswith("error "):
                file.write(f"{name}\t{answer[6:]}\n")


def main(arguments):
    os.chdir(CORPUS)  # names in messages, and what file("...") is relative to
    command, directory = arguments[0], arguments[1]
    if command == "prepare":
        stale = [*check_stale(), *check_rules()]
        print("\n".join(stale))
        prepare(directory)
        return 1 if stale else 0
    if command == "check":
        names = list(documents(arguments[3:]))
        return 1 if check(directory, ask([arguments[2]], names), names) else 0
    if command == "cli":
        return 1 if check_cli(directory, arguments[2]) else 0
    if command == "update":
        update(arguments[2])
        return 0
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
