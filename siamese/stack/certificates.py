"""Certificates that protect the internal ports of the S3 server: clients without one are refused.

SeaweedFS protects its S3 port with signatures, but its filer, master, volume and admin ports answer anyone who can
reach them, over HTTP and gRPC. With mutual TLS they answer only holders of the key, which only its owner can read.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from siamese.stack.layout import write_private
from siamese.stack.ports import LOOPBACK

SECURITY_FILE = "security.toml"
_AUTHORITY, _CERTIFICATE, _KEY = "ca.pem", "storage.pem", "storage.key"
_VALID = datetime.timedelta(days=3650)
_RENEW_BEFORE_END = datetime.timedelta(days=60)
_SKEW = datetime.timedelta(days=1)
_GRPC = ("client", "master", "volume", "filer", "s3", "admin", "worker", "msg_broker", "msg_agent", "mq")
_HTTPS = ("client", "master", "volume", "filer", "admin")


def write_security(folder: Path) -> None:
    """Writes SeaweedFS's ``security.toml`` and the certificates it refers to; keeps valid ones.

    Args:
        folder: Absolute path, readable by its owner only.
    """
    if not _valid(folder):
        authority, certificate, key = _issue()
        write_private(folder / _AUTHORITY, authority)
        write_private(folder / _KEY, key)
        write_private(folder / _CERTIFICATE, certificate)
    write_private(folder / SECURITY_FILE, _security(folder))


def _valid(folder: Path) -> bool:
    if not all((folder / name).is_file() for name in (_AUTHORITY, _CERTIFICATE, _KEY)):
        return False
    try:
        end = x509.load_pem_x509_certificate((folder / _CERTIFICATE).read_bytes()).not_valid_after_utc
    except ValueError:
        return False
    return end - _RENEW_BEFORE_END > datetime.datetime.now(datetime.UTC)


def _issue() -> tuple[str, str, str]:
    """Issues a CA certificate, one certificate signed by it for servers and clients, and that certificate's key.

    The CA's own key is discarded, so nobody can ever issue a second certificate that the servers would accept.
    """
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "siamese storage authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "siamese storage")])
    now = datetime.datetime.now(datetime.UTC)
    blank = x509.CertificateBuilder(issuer_name=issuer).not_valid_before(now - _SKEW).not_valid_after(now + _VALID)
    authority = (
        blank.subject_name(issuer)
        .serial_number(x509.random_serial_number())
        .public_key(authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = (
        blank.subject_name(subject)
        .serial_number(x509.random_serial_number())
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return authority.public_bytes(pem).decode(), certificate.public_bytes(pem).decode(), private.decode()


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Returns what a key may be used for; clients that follow RFC 5280 to the letter, e.g. Python 3.13's, want it."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _security(folder: Path) -> str:
    # TOML's literal strings can hold any path that contains no quote.
    authority, certificate, key = (f"'{folder / name}'" for name in (_AUTHORITY, _CERTIFICATE, _KEY))
    pair = f"cert = {certificate}\nkey = {key}\n"
    grpc = "".join(f"[grpc.{part}]\n{pair}" for part in _GRPC)
    https = "".join(f"[https.{part}]\n{pair}ca = {authority}\n" for part in _HTTPS)
    return f"[grpc]\nca = {authority}\n{grpc}{https}".replace("[https.client]\n", "[https.client]\nenabled = true\n")
