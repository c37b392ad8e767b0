#!/usr/bin/env python3
"""Holds our reader of credentials files against HERE's own library for Java, on the files in corpus/.

    differential.py prepare DIRECTORY              asks the library, into DIRECTORY
    differential.py check DIRECTORY PROGRAM KIND   asks PROGRAM (read_each) and compares; KIND: properties, ini
    differential.py chain DIRECTORY PROGRAM        where each looks for credentials, and in what order

A file is the same when both read the same credentials in it, or both refuse it. What may differ is listed in
differences.txt, with the reason and what ours makes of it.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "corpus")
VERSION = "0.4.27"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>streamlayer</groupId><artifactId>official</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>com.here.account</groupId><artifactId>here-oauth-client</artifactId>
      <version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""
KEY = "here.access.key.id={0}\nhere.access.key.secret=secret\nhere.token.endpoint.url=https://a.example/{0}\n"


def library():
    """The library's jars: fetched by Maven once, kept where the command line keeps Kafka."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    cache = os.path.join(home, "streamlayer")
    jars = os.path.join(cache, f"here-oauth-client-{VERSION}")
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "here-oauth-client.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(jars):
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                with open(os.path.join(temporary, "pom.xml"), "w", encoding="ascii") as pom:
                    pom.write(POM)
                fetched = os.path.join(temporary, "jars")
                subprocess.run(["mvn", "-B", "-q", "-f", pom.name, "dependency:copy-dependencies",
                                "-DincludeScope=runtime", f"-DoutputDirectory={fetched}"], check=True)
                os.rename(fetched, jars)
    return os.path.join(jars, "*")


def official(directory):
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", library() + ":" + directory,
            "com.here.account.auth.provider.Official"]


def ask(command, questions):
    """The answers to lines, in order."""
    kept = {key: value for key, value in os.environ.items() if key.endswith("_OPTIONS") or key in ("PATH", "HOME")}
    run = subprocess.run(command, input="".join(line + "\n" for line in questions), stdout=subprocess.PIPE, check=True,
                         encoding="utf-8", env=kept)
    answers = run.stdout.splitlines()
    if len(answers) != len(questions):
        raise RuntimeError(f"{len(questions)} questions, and {len(answers)} answers")
    return answers


def documents(kind):
    return sorted(os.listdir(os.path.join(CORPUS, kind)))


def question(kind, name):
    profile = name.rsplit(".", 1)[0].partition("@")[2] or "default"
    file = os.path.join(CORPUS, kind, name)
    return f"properties\t{file}" if kind == "properties" else f"ini\t{file}\t{profile.replace('%2f', '/')}"


def homes(directory):
    """Home directories with what may lie in their .here, by name."""
    ini, properties = "[default]\n" + KEY.format("ini"), KEY.format("properties")
    made = {"nothing": {}, "ini": {"credentials.ini": ini}, "properties": {"credentials.properties": properties},
            "both": {"credentials.ini": ini, "credentials.properties": properties},
            "another-section": {"credentials.ini": ini.replace("default", "other"), "credentials.properties": properties},
            "ini-without-section": {"credentials.ini": "", "credentials.properties": properties}}
    for name, files in made.items():
        here = os.path.join(directory, "homes", name, ".here")
        shutil.rmtree(here, ignore_errors=True)
        os.makedirs(here)
        for file, text in files.items():
            with open(os.path.join(here, file), "w", encoding="ascii", opener=private) as out:
                out.write(text)
    return {name: os.path.join(directory, "homes", name) for name in made}


def private(file, flags):
    return os.open(file, flags, 0o600)


def prepare(directory):
    os.makedirs(directory, exist_ok=True)
    subprocess.run(["javac", "-cp", library(), "-d", directory, os.path.join(HERE, "Official.java")], check=True)
    command = official(directory)
    answers = {kind: dict(zip(documents(kind), ask(command, [question(kind, name) for name in documents(kind)])))
               for kind in ("properties", "ini")}
    places = homes(directory)
    # Its chain keeps what it found, so each home has a process of its own.
    answers["chain"] = {name: ask(command, [f"chain\t{home}"])[0] for name, home in places.items()}
    with open(os.path.join(directory, "official.json"), "w", encoding="utf-8") as file:
        json.dump(answers, file, indent=1)
    print(", ".join(f"{len(found)} of {kind}" for kind, found in answers.items()))


def read_differences():
    allowed, reason = {}, None
    with open(os.path.join(HERE, "differences.txt"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
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
                allowed[name] = ours
    return allowed


def words(answer):
    """An answer as differences.txt has it: an error's message, or ID SECRET."""
    kind, *parts = answer.split("\t")
    return "error: " + parts[0] if kind == "error" else " ".join(parts[:2])


def same(ours, theirs):
    return ours == theirs or (ours.startswith("error") and theirs.startswith("error"))


def load(directory, kind):
    with open(os.path.join(directory, "official.json"), encoding="utf-8") as file:
        return json.load(file)[kind]


def check(directory, program, kind):
    names = documents(kind)
    theirs = load(directory, kind)
    allowed = {name: ours for name, ours in read_differences().items() if name.startswith(kind + "/")}
    wrong = 0
    for name, ours in zip(names, ask([program], [question(kind, name) for name in names])):
        ours = ours.replace(os.path.join(CORPUS, kind) + "/", "")
        listed = allowed.pop(f"{kind}/{name}", None)
        if same(ours, theirs[name]) and listed is None:
            continue
        if listed == words(ours) and not same(ours, theirs[name]):
            continue
        wrong += 1
        print(f"{kind}/{name}:\n  the library: {theirs[name]}\n  ours:        {ours}\n  listed:      {listed}\n"
              f"{kind}/{name} {words(ours)}")
    for name in allowed:
        wrong += 1
        print(f"{name} is listed in differences.txt, and not there")
    print(f"{len(names)} files, {wrong} wrong")
    return wrong == 0


def check_chain(directory, program):
    """Each home leads both to the same file. The class that the library names is one of a file."""
    files = {"FromHereCredentialsIniFile": "credentials.ini [default]",
             "FromDefaultHereCredentialsPropertiesFile": "credentials.properties"}
    theirs = load(directory, "chain")
    right = True
    for name, home in homes(directory).items():
        ours = ask([program], [f"chain\t{home}"])[0]
        kind, found = theirs[name].split("\t", 1)
        expected = f"{home}/.here/{files[found]}" if kind == "ok" else "none"
        if ours != f"ok\t{expected}":
            right = False
            print(f"{name}: the library takes {found}, ours {ours}")
    return right


def main(arguments):
    verb = arguments[1]
    if verb == "prepare":
        prepare(os.path.abspath(arguments[2]))
        return 0
    directory = os.path.abspath(arguments[2])
    right = check(directory, *arguments[3:5]) if verb == "check" else check_chain(directory, arguments[3])
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
