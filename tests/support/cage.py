"""A network namespace from which only a proxy is reachable, and real proxies to stand there. Needs root, as unshare does."""
import ctypes
import hashlib
import http.client
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

import streamlayer
from streamlayer import wait_for

PROXY = ("192.0.2.1", 3128)  # as programs inside the cage reach it
SILENT = "198.51.100.2"      # an address inside the cage at which nobody answers, not even with a refusal
GATEWAY = "gw.test"          # a name that only the proxy knows
USER, PASSWORD = "fleet", "ge:heim/1 %"
CLONE_NEWNET = 0x40000000
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

LAY_OUT = f"""set -e
ip link set lo up
ip addr add {PROXY[0]}/32 dev lo
ip link add silent0 type veth peer name silent1
ip addr add 198.51.100.1/24 dev silent0
ip link set silent0 up
ip link set silent1 up
ip neigh add {SILENT} lladdr 02:00:00:00:00:99 dev silent0
echo laid out
exec cat
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**variables):
    """This process's, with these proxy variables and no others."""
    clean = {name: value for name, value in os.environ.items() if name.lower() not in VARIABLES}
    return {**clean, **variables}


# --- sockets -----------------------------------------------------------------------------------------------------

def copy(source, target):
    try:
        while True:
            piece = source.recv(65536)
            if not piece:
                break
            target.sendall(piece)
    except (OSError, ValueError):
        pass
    for each in (source, target):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Relay:
    """Hands what is accepted on to an address, byte for byte. context: takes TLS off it."""

    def __init__(self, listener, target, context=None):
        self.listener, self.target, self.context, self.open = listener, target, context, []
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            onward = socket.create_connection(self.target)
        except OSError:
            connection.close()
            return
        self.open += [connection, onward]
        back = threading.Thread(target=copy, args=(onward, connection), daemon=True)
        back.start()
        copy(connection, onward)
        back.join()
        connection.close()
        onward.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


# A resolver that is asked, and never answers.
NO_ANSWER = f"""set -e
mount --make-rprivate /
mount -t tmpfs none /mnt
printf 'nameserver {SILENT}\\noptions timeout:30 attempts:3\\n' >/mnt/resolv.conf
mount --bind /mnt/resolv.conf /etc/resolv.conf
"""


class Cage:
    """The namespace. It ends with this process, whatever becomes of it."""

    def __init__(self, resolver_answers=True):
        self.spaces = ["--net"] if resolver_answers else ["--net", "--mount"]
        self.holder = subprocess.Popen(["unshare", *self.spaces, "sh", "-c",
                                        ("" if resolver_answers else NO_ANSWER) + LAY_OUT],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"laid out\n":
            self.close()
            raise AssertionError("no network namespace can be made here: that takes root")
        self.name = f"/proc/{self.holder.pid}/ns/net"

    def listen(self, address):
        """A listening socket inside, for this process, which stays outside: a thread goes in to make it."""
        made = []

        def enter():
            with open(self.name, "rb") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), CLONE_NEWNET):
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            made.append(socket.create_server(address, backlog=64))
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def command(self, *arguments):
        return ["nsenter", "--target", str(self.holder.pid), *self.spaces, *arguments]

    def reaches(self, host, port):
        """"connected", or the name of the error."""
        probe = ("import socket, sys\ntry:\n socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)\n"
                 " print('connected')\nexcept OSError as error:\n print(type(error).__name__)\n")
        return subprocess.run(self.command("python3", "-c", probe, host, str(port)), stdout=subprocess.PIPE,
                              check=True).stdout.decode().strip()

    def close(self):
        if self.holder.stdin.closed:
            return
        self.holder.stdin.close()
        self.holder.stdout.close()
        self.holder.wait()


# --- the proxies -------------------------------------------------------------------------------------------------

class Proxy:
    """A proxy in a directory of its own, on a port of loopback."""

    def __init__(self, binary):
        self.binary = shutil.which(binary, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not self.binary:
            raise AssertionError(f"{binary} is not installed: run-tests does that")
        self.directory, self.port, self.process = tempfile.mkdtemp(prefix="streamlayer-proxy-"), free_port(), None
        os.chmod(self.directory, 0o755)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def spawn(self, *arguments):
        clean = {name: value for name, value in environment().items() if name != "LD_PRELOAD"}
        with open(self.path("output"), "ab") as output:
            self.process = subprocess.Popen([self.binary, *arguments], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, env=clean)
        wait_for(self.answers, 30, f"{self.binary} does not answer")

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.binary} ended: {self.said()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def said(self):
        return "".join(streamlayer.read_text(self.path(name)) or "" for name in ("output", "cache.log", "log"))[-3000:]

    def stop(self):
        if self.process and self.process.poll() is None:
            streamlayer.kill_all(self.process.pid)
            self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Squid(Proxy):
    """squid; scheme: None, "basic" or "digest". Its name for the gateway's machine is GATEWAY."""

    def __init__(self, scheme, allowed):
        super().__init__("squid")
        shutil.chown(self.directory, "proxy", "proxy")
        helpers = "/usr/lib/squid"
        authentication = ""
        if scheme == "basic":
            entry = subprocess.run(["openssl", "passwd", "-5", PASSWORD], stdout=subprocess.PIPE,
                                   check=True).stdout.decode().strip()
            self.write("users", f"{USER}:{entry}\n")
            authentication = (f"auth_param basic program {helpers}/basic_ncsa_auth {self.path('users')}\n"
                              "auth_param basic children 2\nauth_param basic realm cage\n")
        elif scheme == "digest":
            secret = hashlib.md5(f"{USER}:cage:{PASSWORD}".encode(), usedforsecurity=False).hexdigest()
            self.write("users", f"{USER}:cage:{secret}\n")
            authentication = (f"auth_param digest program {helpers}/digest_file_auth -c {self.path('users')}\n"
                              "auth_param digest children 2\nauth_param digest realm cage\n")
        if authentication:
            authentication += "acl users proxy_auth REQUIRED\nhttp_access deny !users\n"
        self.write("hosts", f"127.0.0.1 {GATEWAY}\n")
        self.write("squid.conf", f"""http_port 127.0.0.1:{self.port}
visible_hostname proxy.test
hosts_file {self.path('hosts')}
pid_filename {self.path('squid.pid')}
coredump_dir {self.directory}
cache_log {self.path('cache.log')}
logformat short %rm %ru %>Hs %un
access_log stdio:{self.path('access.log')} short
buffered_logs off
cache deny all
cache_mem 8 MB
max_filedescriptors 1024
pinger_enable off
netdb_filename none
shutdown_lifetime 0 seconds
acl allowed port {' '.join(map(str, allowed))}
http_access deny !allowed
{authentication}http_access allow all
""")

    def start(self):
        self.spawn("-N", "-f", self.path("squid.conf"))

    def requests(self):
        """(method, URL, status, user) of each request so far."""
        lines = (streamlayer.read_text(self.path("access.log")) or "").splitlines()
        return [tuple(line.split()) for line in lines if line.split()[2] != "0"]  # else a connection, and no request


class Tinyproxy(Proxy):
    def __init__(self, password=False):
        super().__init__("tinyproxy")
        self.write("tinyproxy.conf", f"""Port {self.port}
Listen 127.0.0.1
Timeout 600
LogFile "{self.path('log')}"
LogLevel Connect
MaxClients 100
{'BasicAuth fleet geheim1' if password else ''}
""")

    def start(self):
        self.spawn("-d", "-c", self.path("tinyproxy.conf"))

    def requests(self):
        return [line for line in (streamlayer.read_text(self.path("log")) or "").splitlines() if "Request (" in line]


# --- the platform's side -----------------------------------------------------------------------------------------

class Elsewhere:
    """The gateway, but its layers' brokers are at another address."""

    def __init__(self, gateway, brokers):
        parts, host, port = urllib.parse.urlsplit(gateway), *brokers

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                text = answer.read()
                if self.path.endswith("/endpoint"):
                    document = json.loads(text)
                    for key in ("bootstrapServers", "bootstrapServersInternal"):
                        if key in document:
                            document[key] = [{"hostname": host, "port": port}]
                    text = json.dumps(document).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type", "text/plain"))
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                connection.close()

            do_GET = do_POST = do_PUT = do_DELETE = forward

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def make_certificate(directory, name, host):
    """A CA and a certificate for host, signed by it. Returns (CA file, file with certificate and key)."""
    ca, key, chain = (os.path.join(directory, f"{name}-{what}.pem") for what in ("ca", "key", "chain"))
    ca_key, request = (os.path.join(directory, f"{name}-{what}") for what in ("ca-key.pem", "request"))

    def run(*arguments, **options):
        subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL, **options)
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *ec, "-keyout", ca_key, "-out", ca, "-subj", f"/CN={name} CA", "-days", "2")
    run("req", *ec, "-keyout", key, "-out", request, "-subj", f"/CN={host}")
    with open(request + ".ext", "w", encoding="utf-8") as file:
        file.write(f"subjectAltName={'IP' if host[0].isdigit() else 'DNS'}:{host}\n")
    run("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "2", "-extfile",
        request + ".ext", "-out", chain)
    with open(chain, "a", encoding="ascii") as out, open(key, encoding="ascii") as file:
        out.write(file.read())
    return ca, chain


def tls_context(chain):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context
