"""Platforms as official clients meet them: over HTTPS, and behind a proxy under another address and a path."""
import http.client
import http.server
import re
import ssl
import sys
import threading
import urllib.parse

import daemon
import streamlayer
from streamlayer import Platform, Running, TestCase, read_text, write_text

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
              "expect", "host"}
TOLD = re.compile(r"(?i)forwarded|x-forwarded-.*")


class ReverseProxy(http.server.ThreadingHTTPServer):
    """Serves a gateway under a path and a host that are not the gateway's. tells: whether it says in X-Forwarded-… what it
    was asked for. What comes for another path is a failure of the test."""
    daemon_threads = True

    def __init__(self, host, tells):
        self.host, self.target, self.tells, self.path, self.strayed = host, None, tells, "/streams/eu", []
        super().__init__((host, 0), ReverseProxyHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def netloc(self):
        return f"{self.host}:{self.server_address[1]}"

    @property
    def url(self):
        return f"http://{self.netloc}{self.path}"

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that hangs up
            super().handle_error(request, client_address)

    def close(self):
        self.shutdown()
        self.server_close()


class ReverseProxyHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def forward(self):
        body = self.body()
        if not self.path.startswith(self.server.path + "/"):
            self.server.strayed.append(self.path)
            self.send_error(502)
            return
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in HOP_BY_HOP and not TOLD.fullmatch(name)}
        if self.server.tells:
            headers.update({"X-Forwarded-For": self.client_address[0], "X-Forwarded-Proto": "http",
                            "X-Forwarded-Host": self.server.netloc, "X-Forwarded-Prefix": self.server.path})
        connection = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            connection.request(self.command, self.path[len(self.server.path):], body if body or
                               self.command in ("POST", "PUT") else None, headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        if self.command == "HEAD" or response.status == 204:
            length = response.getheader("Content-Length")
        else:
            length = str(len(answer))
        if length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

    def log_message(self, *_):
        pass


class Https(Platform):
    """Whose certificate is the environment's CA."""

    def open_connection(self, parts, timeout):
        context = ssl.create_default_context(cafile=self.environment["CA"])
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)


class Clients(TestCase):
    """What the tests of official clients share. A platform's environment goes to them as the shared one's does."""

    def up(self, directory, *arguments):
        """A platform of the test's own, on the shared Kafka."""
        up = Running(self.platform.binaries, directory + "/data", directory + "/log", "--kafka", self.platform.brokers,
                     *arguments)
        self.addCleanup(self.end, up)
        return up.ready(60)

    def end(self, up):
        try:
            self.assertEqual(up.stop(), 0, up.text())
        finally:
            up.kill()
        self.assertNotRegex(up.text(), streamlayer.SANITIZER_REPORT)

    def serving(self, url, directory, kind=Platform, **more):
        """The platform at a URL, for clients."""
        credentials = directory + "/credentials.properties"
        write_text(credentials, re.sub("(?m)^(here.token.endpoint.url = ).*$", rf"\g<1>{url}/oauth2/token",
                                       read_text(directory + "/data/credentials.properties")))
        platform = kind({"URL": url, "BIN": self.platform.binaries, "BROKERS": self.platform.brokers,
                         "CONFIG": directory + "/data/application.conf", "CREDENTIALS": credentials, "DIR": directory, **more})
        streamlayer.write_environment(directory + "/env", platform.environment)
        return platform

    def https(self):
        """A platform over HTTPS; its environment's CA is what to trust."""
        directory = self.scratch()
        certificate, key = daemon.certificate(directory, "gateway")
        tls = "streamlayer.gateway.listen.tls."
        url = self.up(directory, "-D", f"{tls}certificate={certificate}", "-D", f"{tls}key={key}",
                      "-D", f"here.platform.data-client.tls.ca-file={certificate}")
        return self.serving(url, directory, Https, CA=certificate)

    def behind(self, proxy, *arguments):
        self.addCleanup(lambda: self.assertEqual(proxy.strayed, []))
        self.addCleanup(proxy.close)
        directory = self.scratch()
        arguments = [argument.replace("PROXY", proxy.url) for argument in arguments]
        url = self.up(directory, *arguments)
        proxy.target = urllib.parse.urlsplit(url).netloc
        return self.serving(proxy.url, directory)

    def behind_public_url(self):
        """Behind a proxy that says nothing of itself: the gateway has its URL in the configuration."""
        return self.behind(ReverseProxy("127.0.0.2", False), "-D", "streamlayer.gateway.public-url=PROXY")

    def behind_trusted_proxy(self):
        """Behind a proxy that says what it was asked for, and is believed."""
        return self.behind(ReverseProxy("localhost", True), "-D", "streamlayer.gateway.listen.trusted-proxies=127.0.0.1")
