"""Translates storage errors for people: one line each, with the setting that fixes it."""

from __future__ import annotations

from typing import Final

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from siamese.errors import SiameseError, TransientError
from siamese.store.uri import S3Uri

STORAGE_ERRORS: Final = (ClientError, BotoCoreError, ResponseParserError, S3UploadFailedError)
"""Everything that the client raises when a request fails."""
LOST_RACE: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchVersion"})

_PASSING: Final = frozenset({"429", "502", "503", "504"})
_SETTINGS = "`siamese status` shows which settings are in force"
_ACTIONS: Final = {
    "HeadObject": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "ListBuckets": "s3:ListAllMyBuckets",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
}
"""Permissions that are not named as the operation is."""


def error_code(error: Exception) -> str:
    """Returns the error code that storage answered with; empty when it did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def lacks_body(error: Exception) -> bool:
    """Returns whether the answer had no body, as for every HEAD request, so that its code is a bare HTTP status."""
    return isinstance(error, ClientError) and error.operation_name.startswith("Head") and error_code(error).isdigit()


def translated(error: Exception, uri: S3Uri) -> SiameseError:
    """Turns an exception of the storage client into an error that names the cause and what to do."""
    if isinstance(error, S3UploadFailedError) and isinstance(error.__context__, ClientError):
        error = error.__context__
    if isinstance(error, ResponseParserError) or _is_page(error):
        fix = "check AWS_ENDPOINT_URL, also whether it is http or https: it leads to a web page or a proxy"
        return SiameseError("the answer is not that of an S3 server", where=str(uri), fix=fix)
    return _answered(error, uri) if isinstance(error, ClientError) else _unanswered(error, uri)


def _is_page(error: Exception) -> bool:
    """Returns whether the answer was a web page; a gateway's page for an unreachable server does not count."""
    if not isinstance(error, ClientError) or error_code(error) in _PASSING:
        return False
    kind = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", "")
    return str(kind).startswith("text/html")


def _answered(error: ClientError, uri: S3Uri) -> SiameseError:
    said = error.response.get("Error", {})
    known = _credentials(error, str(said.get("Region") or ""))
    if known:
        what, fix = known
        return SiameseError(what, where=str(uri), fix=fix)
    match error_code(error):
        case "NoSuchBucket":
            return SiameseError("there is no such bucket", where=str(uri), fix="create it, or run `siamese up`")
        case code if code in ABSENT:
            return SiameseError("there is no such object", where=str(uri), fix="check the address")
        case "InvalidObjectState":
            return SiameseError("is in archive storage", where=str(uri), fix="restore it to a class that can be read")
        case "NotImplemented" | "501":
            fix = "use an S3 server that has it"
            what = f"storage does not support {error.operation_name} as it was asked"
            return SiameseError(what, where=str(uri), fix=fix)
        case "InternalError" | "500" | "507" | "XMinioStorageFull":
            # What servers answer when they are full: SeaweedFS then has no writable volumes.
            fix = "look whether the disk of the storage server is full, and in its log; then run again"
            return TransientError(f"the storage server failed: {error}", where=str(uri), fix=fix)
        case _:
            fix = "check the AWS settings and the network; for the local stack run `siamese up`"
            return TransientError(f"storage failed: {error}", where=str(uri), fix=fix)


def _credentials(error: ClientError, region: str) -> tuple[str, str] | None:
    """Returns what is wrong with the credentials and what to do; None when the cause is another."""
    match error_code(error):
        case "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired":
            fix = "get new credentials (e.g. `aws sso login`), and set all three of AWS_ACCESS_KEY_ID, "
            return "the token has expired", f"{fix}AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        case "InvalidToken" | "InvalidClientTokenId" | "UnrecognizedClientException":
            fix = "set AWS_SESSION_TOKEN to the one issued with this access key, or unset it for permanent keys"
            return "storage does not accept the session token", fix
        case "InvalidAccessKeyId":
            fix = f"check AWS_ACCESS_KEY_ID, and that AWS_ENDPOINT_URL is the server it belongs to; {_SETTINGS}"
            return "storage does not know this access key", fix
        case "SignatureDoesNotMatch":
            fix = f"check AWS_SECRET_ACCESS_KEY; a proxy that changes requests causes this too; {_SETTINGS}"
            return "the secret key does not belong to this access key", fix
        case "RequestTimeTooSkewed":
            return "this machine's clock differs too much from the storage server's", "set the clock (e.g. by NTP)"
        case "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "403":
            action = _ACTIONS.get(error.operation_name, f"s3:{error.operation_name}")
            return "access is denied to these credentials", f"allow them {action} here, or use others; {_SETTINGS}"
        case "PermanentRedirect" | "TemporaryRedirect" | "301" | "307" | "IllegalLocationConstraintException":
            there = f"set AWS_DEFAULT_REGION={region}" if region else "set AWS_DEFAULT_REGION to the bucket's region"
            return "the bucket lies in another region", f"{there}; with AWS_ENDPOINT_URL, to that region's endpoint"
        case "AuthorizationHeaderMalformed" if region:
            return "the requests are signed for another region", f"set AWS_DEFAULT_REGION={region}"
        case "AuthorizationHeaderMalformed":
            return "storage cannot read the login", "check AWS_ACCESS_KEY_ID and AWS_DEFAULT_REGION"
    return None


def _unanswered(error: Exception, uri: S3Uri) -> SiameseError:
    match error:
        case NoCredentialsError():
            fix = "run `siamese up`, or set AWS_* for your own"
            return SiameseError("no storage is set up", where=str(uri), fix=fix)
        case PartialCredentialsError():
            fix = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY together"
            return SiameseError("half of the credentials is missing", where=str(uri), fix=fix)
        case ProfileNotFound():
            fix = "check AWS_PROFILE against ~/.aws/config, or unset it"
            return SiameseError(f"no such AWS profile: {error}", where=str(uri), fix=fix)
        case NoRegionError():
            return SiameseError("no region is set", where=str(uri), fix="set AWS_DEFAULT_REGION")
        case SSOError() | TokenRetrievalError():
            fix = "log in again with `aws sso login`"
            return SiameseError("the token has expired or is missing", where=str(uri), fix=fix)
        case CredentialRetrievalError():
            fix = "check credential_process or role_arn of the AWS profile"
            return SiameseError(f"no credentials could be got: {error}", where=str(uri), fix=fix)
        case ProxyConnectionError():
            fix = "check HTTPS_PROXY and NO_PROXY"
            return TransientError("the proxy does not answer", where=str(uri), fix=fix)
        case SSLError():
            fix = "set AWS_CA_BUNDLE to the signer's certificate; for plain HTTP, write http:// in AWS_ENDPOINT_URL"
            return SiameseError(f"no secure connection: {error}", where=str(uri), fix=fix)
        case EndpointConnectionError() | ConnectTimeoutError() | ConnectionClosedError():
            fix = "check AWS_ENDPOINT_URL and the network; for the local stack run `siamese up`"
            return TransientError(f"the storage server does not answer: {error}", where=str(uri), fix=fix)
        case _:
            fix = "check the AWS settings and the network; for the local stack run `siamese up`"
            return TransientError(f"storage failed: {error}", where=str(uri), fix=fix)
