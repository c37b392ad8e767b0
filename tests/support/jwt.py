"""JSON web tokens by an ES256 key of a test's own: also such as no library would make."""
import base64
import json
import subprocess


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout


def numbers_of(der):
    """The two numbers of an ECDSA signature, as 64 bytes."""
    found, at = b"", 2
    for _ in range(2):
        size = der[at + 1]
        found += int.from_bytes(der[at + 2:at + 2 + size], "big").to_bytes(32, "big")
        at += 2 + size
    return found


class Key:
    def __init__(self, file, kid):
        self.file, self.kid = file, kid

    @classmethod
    def make(cls, file, kid):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file)
        return cls(file, kid)

    def public(self):
        """Its JWK."""
        point = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")[-64:]
        return {"kty": "EC", "crv": "P-256", "x": base64url(point[:32]), "y": base64url(point[32:]), "kid": self.kid,
                "use": "sig"}

    def sign(self, header, claims, more=b""):
        """header and claims: objects, or the bytes that stand in their place; more: bytes behind the signature."""
        parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
        text = ".".join(map(base64url, parts))
        signature = numbers_of(openssl("dgst", "-sha256", "-sign", self.file, data=text.encode()))
        return f"{text}.{base64url(signature + more)}"
