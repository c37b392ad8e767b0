"""What the tests in Python share: the platform under test, HTTP against its gateway, names. Standard library only."""
import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse
import uuid

READY_S = 240  # the first start of all fetches Kafka
STOP_S = 60
SANITIZER_REPORT = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:")


# --- processes ---------------------------------------------------------------------------------------------------

def processes():
    """Every process: {pid: (parent, start time, state)}."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            found[int(name)] = (int(fields[1]), fields[19], fields[0])
    return found


def descendants(pid):
    """{pid: start time} of everything that pid started, itself not included."""
    table, found, todo = processes(), {}, [pid]
    while todo:
        parent = todo.pop()
        for child, (its_parent, started, _) in table.items():
            if its_parent == parent and child not in found:
                found[child] = started
                todo.append(child)
    return found


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def left_over(known, directory):
    """Processes of those known that still run, and any other that names the directory."""
    alive = {pid: entry for pid, entry in processes().items() if entry[2] != "Z"}
    left = [pid for pid, started in known.items() if pid in alive and alive[pid][1] == started]
    here = os.getpid()
    left += [pid for pid in alive if pid not in left and pid not in (here, os.getppid())
             and (directory + "/data") in command_line(pid)]
    return left


def wait_for(condition, seconds, what):
    """Polls until the condition holds, and returns what it gave; fails after so many seconds. what: a text, or what makes it."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what() if callable(what) else what}")
        time.sleep(0.02)


# --- a platform of its own ---------------------------------------------------------------------------------------

class Running:
    """A `streamlayer up` in the background. Its output goes to log."""

    def __init__(self, binaries, data, log, *arguments, port=0):
        self.log, self.data = log, data
        command = [os.path.join(binaries, "streamlayer"), "up", "--data-dir", data, "--port", str(port),
                   "--no-context", *arguments]
        with open(log, "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def text(self):
        return read_text(self.log) or ""

    def ready(self, seconds=READY_S):
        """Waits until it is ready and returns its URL."""
        return ready_url(self.log, self.process.poll, seconds)

    def stop(self, seconds=STOP_S):
        """SIGTERM; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"`streamlayer up` did not end within {seconds} s of SIGTERM:\n{self.text()[-3000:]}")

    def kill(self):
        """Ends it and its children by force: the way out of a failed test."""
        kill_all(self.process.pid)
        self.process.wait()


def stacks(pid):
    """What each thread of a process that hangs waits for: by gdb where there is one, else as the kernel tells."""
    if shutil.which("gdb"):
        done = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all backtrace 16"], capture_output=True,
                              text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        return done.stdout
    lines = []
    for thread in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
        about = [(read_text(f"/proc/{pid}/task/{thread}/{what}") or "?").strip() for what in ("comm", "wchan", "syscall")]
        lines.append(f"{thread} {' '.join(about)}")
    return "\n".join(lines)


def kill_all(pid):
    for each in [*descendants(pid), pid]:
        try:
            os.kill(each, signal.SIGKILL)
        except OSError:
            pass


def ready_url(log, ended, seconds=READY_S):
    """Waits for the line that begins "ready" in the log, and returns the URL in it."""
    def look():
        line = re.search(r"^ready\b.*$", read_text(log) or "", re.M)
        if line:
            return line.group(0)
        status = ended()
        if status is not None:
            raise AssertionError(f"`streamlayer up` ended with {status} and was never ready:\n{read_text(log)}")
        return None
    try:
        line = wait_for(look, seconds, "`streamlayer up` is not ready")
    except AssertionError as error:
        raise AssertionError(f"{error}; it said:\n{read_text(log)}") from None
    url = re.search(r"https?://[0-9.a-z]+:\d+", line)
    if not url:
        raise AssertionError(f"the ready line names no URL: {line}")
    return url.group(0)


# --- the shared platform -----------------------------------------------------------------------------------------

def platform_start(directory, binaries, *arguments):
    """arguments: more of them for `streamlayer up`."""
    directory = os.path.abspath(directory)
    if os.path.exists(directory + "/env"):
        platform_stop(directory)  # of a run that was cut off
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    # A process that outlives this one, to be told `up`'s exit status.
    with open(os.devnull, "r+b") as nothing:
        subprocess.Popen([sys.executable, sys.argv[0], "supervise", directory, os.path.abspath(binaries), *arguments],
                         stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    pid = int(wait_for(lambda: read_text(directory + "/pid"), 20, "the supervisor did not start"))
    try:
        url = ready_url(directory + "/log", lambda: read_text(directory + "/status"))
        environment = {
            "PID": str(pid), "URL": url, "BIN": os.path.abspath(binaries), "DIR": directory,
            "CONFIG": directory + "/data/application.conf",
            "CREDENTIALS": directory + "/data/credentials.properties",
        }
        platform = Platform(environment)
        catalog = platform.catalog()
        platform.layer(catalog, "probe")
        endpoint = platform.get(f"{platform.base('stream', 'v2', catalog)}/layers/probe/endpoint").json()
        environment["BROKERS"] = ",".join(f"{server['hostname']}:{server['port']}"
                                          for server in endpoint["bootstrapServers"])
    except BaseException:
        kill_all(pid)
        raise
    write_environment(directory + "/env", environment)
    print(f"the platform is at {url}, Kafka at {environment['BROKERS']}, its log is {directory}/log")
    return 0


def plain_start(directory, binaries):
    """A gateway without our extensions, on the shared platform's Kafka."""
    return platform_start(directory, binaries, "--kafka", shared_platform().brokers,
                          "-D", "streamlayer.gateway.extensions=false")


def supervise(directory, binaries, *arguments):
    """Runs `streamlayer up` and writes down how it ended."""
    # Idle connections end within the tests' patience: libmicrohttpd does not see an end that came with half a request.
    up = Running(binaries, directory + "/data", directory + "/log", "-D", "streamlayer.gateway.limits.idle-timeout=10s",
                 *arguments)
    write_text(directory + "/pid", str(up.process.pid))
    write_text(directory + "/status", str(up.process.wait()))
    return 0


def read_text(name):
    """What a file holds; None while it is not there."""
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write_text(name, text):
    with open(name + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(name + ".new", name)


def write_environment(name, environment):
    write_text(name, "".join(f"{key}={value}\n" for key, value in environment.items()))


def read_environment(directory):
    with open(directory + "/env", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split("=", 1) for line in file)


def platform_stop(directory):
    directory = os.path.abspath(directory)
    if not os.path.exists(directory + "/env"):
        print("the platform was not started")
        return 1
    environment = read_environment(directory)
    os.remove(directory + "/env")
    pid, faults = int(environment["PID"]), []
    known = descendants(pid)
    if read_text(directory + "/status") is not None:
        faults.append("it had ended before it was told to")
    else:
        if directory not in command_line(pid):
            raise AssertionError(f"process {pid} is not `streamlayer up`: {command_line(pid)}")
        os.kill(pid, signal.SIGTERM)
        try:
            wait_for(lambda: read_text(directory + "/status"), STOP_S, "SIGTERM did not end `streamlayer up`")
        except AssertionError as error:
            faults.append(str(error))
            os.kill(pid, signal.SIGKILL)
    status = read_text(directory + "/status")
    if status not in (None, "0"):
        faults.append(f"`streamlayer up` ended with {status}")
    for left in left_over(known, directory):
        faults.append(f"process {left} is left running: {command_line(left)[:200]}")
        os.kill(left, signal.SIGKILL)
    log = read_text(directory + "/log")
    if SANITIZER_REPORT.search(log):
        faults.append("a sanitizer reported")
    if faults:
        print("\n".join(["the platform did not end well:", *faults, "", "the end of its log:", log[-20000:]]))
        return 1
    print("the platform ended with status 0, and nothing is left running")
    return 0


# --- HTTP --------------------------------------------------------------------------------------------------------

class Answer:
    def __init__(self, response, body):
        self.status, self.body = response.status, body
        self.raw_headers = response.getheaders()
        self.headers = {name.lower(): value for name, value in self.raw_headers}

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise AssertionError(f"not JSON: status {self.status}, {self.text[:500]!r}") from None


class Platform:
    """The gateway, as a program without the library sees it."""

    counter = itertools.count()

    def __init__(self, environment):
        self.environment = environment
        self.url, self.binaries = environment["URL"], environment["BIN"]
        self.config, self.brokers = environment["CONFIG"], environment.get("BROKERS")
        self.cached_token = None

    def cli(self, *arguments, check=True, timeout=100, **options):
        """Runs `streamlayer --config CONFIG ARGUMENTS…` and returns the finished process."""
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run([self.binaries + "/streamlayer", "--config", self.config, *arguments], check=False,
                              capture_output=True, timeout=timeout, **options)
        if check and done.returncode:
            raise AssertionError(f"streamlayer {' '.join(arguments)} ended with {done.returncode}: "
                                 f"{done.stderr.decode(errors='replace')}")
        return done

    @property
    def token(self):
        if not self.cached_token:
            self.cached_token = self.cli("token").stdout.decode().strip()
        return self.cached_token

    def open_connection(self, parts, timeout):
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def request(self, method, url, body=None, headers=None, token="default", timeout=60):
        """One request on a connection of its own. token: "default", None, or the text."""
        parts = urllib.parse.urlsplit(url if "://" in url else self.url + url)
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + (self.token if token == "default" else token)
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        connection = self.open_connection(parts, timeout)
        try:
            connection.request(method, parts.path + ("?" + parts.query if parts.query else ""), body, headers)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def get(self, url, **options):
        return self.request("GET", url, **options)

    def post(self, url, body=b"", **options):
        return self.request("POST", url, body, **options)

    def put(self, url, body=b"", **options):
        return self.request("PUT", url, body, **options)

    def delete(self, url, **options):
        return self.request("DELETE", url, **options)

    # Names, unique in this run however many tests run beside each other.
    def name(self, prefix="t"):
        return f"{prefix}-{os.getpid():x}-{time.time_ns() & 0xffffffffff:x}-{next(self.counter)}"

    def catalog(self):
        return self.cli("catalog", "create", self.name()).stdout.decode().strip().splitlines()[-1]

    def market(self, **more):
        """A catalog on the Marketplace, whose layer l has text on one partition; more: of the body. Returns its HRN."""
        answer = self.post("/config/v1/catalogs", {
            "id": self.name("market"), "marketplace": True,
            "layers": [{"id": "l", "contentType": "text/plain", "streamProperties": {"parallelization": 1}}], **more})
        if answer.status != 201:
            raise AssertionError(f"catalog on the Marketplace: {answer.status} {answer.text}")
        return answer.json()["hrn"]

    def layer(self, catalog, layer, content_type="application/octet-stream", parallelization=4):
        self.cli("layer", "create", catalog, layer, "--content-type", content_type,
                 "--parallelization", str(parallelization))
        return layer

    def base(self, api, version, catalog=None):
        """The base URL that lookup gives."""
        path = f"resources/{catalog}" if catalog else "platform"
        answer = self.get(f"/lookup/v1/{path}/apis/{api}/{version}")
        if answer.status != 200:
            raise AssertionError(f"lookup of {api} {version}: {answer.status} {answer.text}")
        return answer.json()[0]["baseURL"]

    def metric(self, name):
        """A metric's value; 0 when it is not there. name: with its labels."""
        found = re.search(rf"(?m)^{re.escape(name)} ([0-9.]+)$", self.get("/metrics", token=None).text)
        return float(found[1]) if found else 0

    def topic(self, catalog, layer):
        return self.get(f"{self.base('stream', 'v2', catalog)}/layers/{layer}/endpoint").json()["topic"]

    def publish(self, catalog, layer, body, content_type="application/octet-stream", **headers):
        answer = self.post(f"{self.base('ingest', 'v1', catalog)}/layers/{layer}", body,
                           headers={"Content-Type": content_type, **{k.replace("_", "-"): v
                                                                     for k, v in headers.items()}})
        if answer.status != 200:
            raise AssertionError(f"publish: {answer.status} {answer.text}")
        return answer.json()["TraceID"]


def read_credentials(name):
    """What a credentials.properties holds."""
    with open(name, encoding="utf-8") as file:
        return dict(re.match(r"\s*([^=\s]+)\s*=\s*(.*?)\s*$", line).groups()
                    for line in file if "=" in line and not line.startswith("#"))


def quote(text):
    return urllib.parse.quote(text, safe="-._~")


def oauth_header(url, key, secret, query="", form=(), nonce=None, timestamp=None, spoil=False):
    """The Authorization of a POST that asks for a token (OAuth 1.0a, HMAC-SHA256)."""
    oauth = {"oauth_consumer_key": key, "oauth_nonce": nonce or uuid.uuid4().hex,
             "oauth_signature_method": "HMAC-SHA256",
             "oauth_timestamp": str(int(time.time()) if timestamp is None else timestamp), "oauth_version": "1.0"}
    signed = sorted([*oauth.items(), *urllib.parse.parse_qsl(query), *form])
    base = "&".join(["POST", quote(url), quote("&".join(f"{quote(k)}={quote(v)}" for k, v in signed))])
    signature = base64.b64encode(hmac.new((secret + "&").encode(), base.encode(), hashlib.sha256).digest()).decode()
    if spoil:
        signature = ("A" if signature[0] != "A" else "B") + signature[1:]
    oauth["oauth_signature"] = signature
    return "OAuth " + ", ".join(f'{name}="{quote(value)}"' for name, value in oauth.items())


class Background:
    """A call on a thread of its own."""

    def __init__(self, call, *arguments, **options):
        self.outcome = concurrent.futures.Future()

        def run():
            try:
                self.outcome.set_result(call(*arguments, **options))
            except BaseException as error:  # pylint: disable=broad-except
                self.outcome.set_exception(error)
        threading.Thread(target=run, daemon=True).start()

    def result(self, seconds):
        return self.outcome.result(seconds)


class Subscription:
    """One subscription of the stream API, used as the SDKs use it."""

    def __init__(self, platform, catalog, layer, query="mode=serial", properties=None):
        self.platform, self.layer, self.query = platform, layer, query
        url = f"{platform.base('stream', 'v2', catalog)}/layers/{layer}/subscribe?{query}"
        body = {"kafkaConsumerProperties": properties} if properties else b""
        self.answer = platform.post(url, body, headers={"Content-Type": "application/json"})
        if self.answer.status != 201:
            raise AssertionError(f"subscribe: {self.answer.status} {self.answer.text}")
        self.node = self.answer.json()["nodeBaseURL"]
        self.id = self.answer.json()["subscriptionId"]

    def url(self, what):
        return f"{self.node}/layers/{self.layer}/{what}"

    def poll(self):
        answer = self.platform.get(self.url("partitions") + "?" + self.query)
        if answer.status != 200:
            raise AssertionError(f"poll: {answer.status} {answer.text}")
        return answer.json()["messages"]

    def receive(self, count, seconds=30):
        """Polls until so many messages have come."""
        messages = []
        wait_for(lambda: messages.extend(self.poll()) or len(messages) >= count, seconds,
                 f"{count} messages were expected")
        return messages

    def commit(self, offsets):
        return self.platform.put(self.url("offsets") + "?" + self.query, {"offsets": offsets})

    def seek(self, offsets):
        return self.platform.put(self.url("seek") + "?" + self.query, {"offsets": offsets})

    def delete(self):
        return self.platform.request("DELETE", self.url("subscribe") + "?" + self.query)


def data(message):
    return base64.b64decode(message["metaData"].get("data", ""), validate=True)


def last_offsets(messages):
    last = {}
    for message in messages:
        offset = message["offset"]
        last[offset["partition"]] = max(last.get(offset["partition"], -1), offset["offset"])
    return [{"partition": partition, "offset": offset} for partition, offset in sorted(last.items())]


def shared_platform():
    """The platform that CTest started; STREAMLAYER_TEST_PLATFORM names its directory."""
    directory = os.environ.get("STREAMLAYER_TEST_PLATFORM")
    if not directory or not os.path.exists(directory + "/env"):
        raise AssertionError("no platform: these tests are run by ctest, whose test platform.start starts it "
                             "(STREAMLAYER_TEST_PLATFORM names its directory)")
    return Platform(read_environment(directory))


class TestCase(unittest.TestCase):
    """A test that uses the shared platform."""
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.platform = shared_platform()

    def scratch(self):
        """A directory of the test's own, removed with it."""
        import tempfile
        directory = tempfile.TemporaryDirectory(prefix="streamlayer-test-")
        self.addCleanup(directory.cleanup)
        return directory.name


def main():
    """Runs what the arguments name; a name that is not there, or no test run, fails."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    ran_none = program.result.testsRun == 0 or len(program.result.skipped) == program.result.testsRun
    sys.exit(0 if program.result.wasSuccessful() and not ran_none else 1)
