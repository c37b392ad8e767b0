"""Every command in README.md and docs/*.md is run. tests/README.md describes the markers.

docs_test.py --list        prints the names of the scripts, for CMake
docs_test.py NAME          runs that script; "marks" checks that no block was forgotten
"""
import glob
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import kafka
import streamlayer

MARK = re.compile(r"^<!--\s*(test|output|not tested):\s*(.*?)\s*-->\s*$")
PORTS = re.compile(r"\b(8080|9090|1909\d)\b")
LANGUAGES = ("sh", "bash", "shell", "console")


class Block:
    def __init__(self, file, line, language, mark, text):
        self.file, self.line, self.language, self.mark, self.text = file, line, language, mark, text


def blocks(root):
    """Fenced blocks, each with the marker of the line before it."""
    for file in [root + "/README.md", *sorted(glob.glob(root + "/docs/*.md")), root + "/tests/README.md"]:
        if not os.path.exists(file):
            continue
        with open(file, encoding="utf-8") as source:
            lines = source.read().split("\n")
        mark, at = None, 0
        while at < len(lines):
            line = lines[at]
            if line.startswith("```"):
                end = next(i for i in range(at + 1, len(lines) + 1) if i == len(lines) or lines[i].startswith("```"))
                yield Block(os.path.relpath(file, root), at + 1, line[3:].strip(), mark, "\n".join(lines[at + 1:end]))
                at, mark = end, None
            elif line.strip():
                found = MARK.match(line)
                mark = (found.group(1), found.group(2)) if found else None
            at += 1


def scripts(root):
    """{name: blocks}, in the order of the documents."""
    found = {}
    for block in blocks(root):
        if block.mark and block.mark[0] in ("test", "output"):
            found.setdefault(block.mark[1].split()[0], []).append(block)
    return found


def check_marks(root):
    forgotten = [f"{block.file}:{block.line}" for block in blocks(root) if block.language in LANGUAGES
                 and not (block.mark and (block.mark[0] != "not tested" or block.mark[1]))]
    if forgotten:
        print("these blocks of commands have no marker (<!-- test: NAME --> or <!-- not tested: REASON -->):",
              *forgotten, sep="\n  ")
        return 1
    nothing_run = [name for name, parts in scripts(root).items()
                   if not any(part.mark[0] == "test" and part.language in LANGUAGES for part in parts)]
    if nothing_run:
        print("no commands, only files or output:", *nothing_run)
        return 1
    return 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepare(root, scratch, binaries):
    """A directory that looks like the repository after `./quickstart`, and a compiler that knows of sanitizers."""
    os.makedirs(scratch + "/build/release")
    os.symlink(binaries, scratch + "/build/release/bin")
    os.symlink(os.path.dirname(binaries) + "/lib", scratch + "/build/release/lib")
    for name in ("include", "examples", "docs", "packaging", "README.md"):
        if os.path.exists(f"{root}/{name}"):
            os.symlink(f"{root}/{name}", f"{scratch}/{name}")
    os.makedirs(scratch + "/tools")
    sanitize = os.environ.get("STREAMLAYER_TEST_SANITIZE", "")
    for tool in ("cc", "gcc", "c++", "g++"):
        if sanitize and shutil.which(tool):
            with open(f"{scratch}/tools/{tool}", "w", encoding="utf-8") as file:
                file.write(f'#!/bin/sh\nexec {shutil.which(tool)} -fsanitize={sanitize} "$@"\n')
            os.chmod(f"{scratch}/tools/{tool}", 0o755)


# Kafka's own tools, which have these names in its distribution: from the jars that `streamlayer up` has fetched.
KAFKA_TOOLS = {"kafka-storage.sh": "kafka.tools.StorageTool", "kafka-server-start.sh": "kafka.Kafka",
               "kafka-acls.sh": os.path.join(os.path.dirname(kafka.__file__), "KafkaAcls.java")}


def add_kafka_tools(scratch):
    for name, main in KAFKA_TOOLS.items():
        with open(f"{scratch}/tools/{name}", "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {shlex.join(kafka.java_command())} $KAFKA_OPTS {main} "$@"\n')
        os.chmod(f"{scratch}/tools/{name}", 0o755)


def install(root, binaries, scratch):
    """The build installed into a prefix, for pkg-config; only when a script asks for it."""
    prefix = scratch + "/prefix"
    subprocess.run(["cmake", "--install", os.path.dirname(binaries), "--prefix", prefix], check=True,
                   stdout=subprocess.DEVNULL)
    found = glob.glob(prefix + "/**/pkgconfig", recursive=True)
    libraries = os.path.dirname(found[0])
    return {"PKG_CONFIG_PATH": found[0], "LD_LIBRARY_PATH": libraries, "CMAKE_PREFIX_PATH": prefix}


def run_script(text, scratch, environment):
    """Returns its output and its exit status; what it left in the background is ended."""
    script = subprocess.Popen(["bash", "-euxo", "pipefail", "-c", text], cwd=scratch, env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    try:
        output, _ = script.communicate(timeout=300)
        return output.decode(errors="replace"), script.returncode
    finally:
        try:
            os.killpg(script.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def run(root, name):
    parts = scripts(root).get(name)
    if not parts:
        print(f"there is no script {name}")
        return 1
    platform = streamlayer.shared_platform()
    binaries = platform.binaries
    scratch = tempfile.mkdtemp(prefix="streamlayer-docs-")
    prepare(root, scratch, binaries)
    environment = {**os.environ, "HOME": scratch + "/home", "STREAMLAYER_CONFIG": platform.config,
                   "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                   "PATH": f"{scratch}/tools:{binaries}:{os.environ['PATH']}"}
    os.makedirs(environment["HOME"])
    if any(name in part.text for part in parts for name in KAFKA_TOOLS):
        add_kafka_tools(scratch)
    if any("install" in part.mark[1].split()[1:] for part in parts):
        environment.update(install(root, binaries, scratch))
    ports, own = {}, f"{scratch}/platform"
    foreground, background, wanted = [], [], []
    for part in parts:
        # What the documents start gets a place and ports of its own.
        text = part.text.replace("/tmp/streamlayer", own)
        text = PORTS.sub(lambda match: ports.setdefault(match.group(), str(free_port())), text)
        text = text.replace("kafka.example.com:9092", platform.brokers)
        options = dict(option.split("=", 1) if "=" in option else (option, "") for option in part.mark[1].split()[1:])
        if part.mark[0] == "output":
            wanted += [line.strip() for line in text.split("\n") if line.strip()]
        elif "file" in options:
            with open(f"{scratch}/{options['file']}", "w", encoding="utf-8") as file:
                file.write(text + "\n")
        elif part.language not in LANGUAGES:
            print(f"{part.file}:{part.line}: a block of {part.language} needs file=NAME in its marker")
            return 1
        elif "background" in options:
            background.append((part, text))
        else:
            foreground.append(f"# {part.file}:{part.line}\n{text}")
    running = []
    try:
        for part, text in background:
            log = f"{scratch}/background-{len(running)}"
            with open(log, "wb") as output:
                running.append(subprocess.Popen(["bash", "-c", "exec " + text.strip()], cwd=scratch, env=environment,
                                                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                                start_new_session=True))
            streamlayer.ready_url(log, running[-1].poll)
        output, code = run_script("\n".join(foreground), scratch, environment)
        print(output)
        if code:
            print(f"the commands ended with {code}")
            return 1
        rest = output
        for line in wanted:
            if line not in rest:
                print(f"the output lacks, at its place: {line}")
                return 1
            rest = rest[rest.index(line) + len(line):]
        for process in running:
            process.terminate()
            if process.wait(60):
                print(f"what ran in the background ended with {process.returncode}")
                return 1
        return 0
    finally:
        for process in running:
            if process.poll() is None:
                streamlayer.kill_all(process.pid)
                process.wait()
        shutil.rmtree(scratch)


if __name__ == "__main__":
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if sys.argv[1:] == ["--list"]:
        print("\n".join(scripts(repository)))
    elif sys.argv[1:] == ["marks"]:
        sys.exit(check_marks(repository))
    else:
        sys.exit(run(repository, sys.argv[1]))
