"""What is wrong with a bucket, in words: findings by kind, and the errors that mean them."""

from __future__ import annotations

_ACCESS = "give the key s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject there"

MESSAGES = {
    "wrong-key": (
        "{where} does not know the access key from {source}",
        "check AWS_ACCESS_KEY_ID or the profile, and that AWS_SESSION_TOKEN belongs to it",
    ),
    "wrong-secret": (
        "{where} knows the access key from {source}, but another secret for it",
        "set AWS_SECRET_ACCESS_KEY anew",
    ),
    "wrong-token": (
        "{where} refuses the session token from {source}",
        "set AWS_SESSION_TOKEN anew, or unset it for a key that has none",
    ),
    "expired-credentials": (
        "the AWS credentials from {source} have expired",
        "log in again with aws sso login, or set new ones with their AWS_SESSION_TOKEN",
    ),
    "denied": ("the key from {source} has no rights in bucket {bucket}", _ACCESS),
    "no-list": (
        "the key from {source} may not list bucket {bucket}, and without that right S3 answers"
        " with an error where nothing is in the cache yet",
        "give it s3:ListBucket",
    ),
    "no-read": ("the key from {source} may not read bucket {bucket}", "give it s3:GetObject"),
    "no-delete": (
        "the key from {source} may not delete objects of bucket {bucket}",
        "give it s3:DeleteObject",
    ),
    "read-only-key": (
        "the key from {source} may read bucket {bucket} but not write below '{prefix}/'",
        "give it s3:PutObject, or use the cache read-only",
    ),
    "no-bucket": (
        "there is no bucket {bucket} at {where}",
        "create it, or correct its name or the endpoint",
    ),
    "wrong-region": (
        "bucket {bucket} is in {right}, not in {region}",
        "set the region of the compile cache to {target}",
    ),
    "clock-skew": (
        "the clock of this machine is {off} the one of {where}, and S3 refuses more than 15 min",
        "set the clock of this machine: timedatectl set-ntp true",
    ),
    "endpoint-down": (
        "nothing answers at {where}",
        "start the server, or correct the endpoint or the region",
    ),
    "endpoint-hangs": (
        "{where} did not answer in time",
        "check the server, the endpoint, the network and the proxy",
    ),
    "endpoint-tls": (
        "{where} cannot be asked by TLS",
        "write http:// before one that speaks plain HTTP; else set AWS_CA_BUNDLE to its authority",
    ),
    "proxy-down": ("the proxy on the way to {where} does not answer", "correct HTTPS_PROXY"),
    "other-object": (
        "{where} returns another object than was written",
        "look at the server, and at proxies on the way",
    ),
    "not-s3": ("{where} does not answer as S3 does", "correct the endpoint"),
    "server-error": (
        "{where} answers with status {status}",
        "try again later; if it stays, look at the server or correct the endpoint",
    ),
}

CODES = {
    "InvalidAccessKeyId": "wrong-key",
    "InvalidClientTokenId": "wrong-key",
    "SignatureDoesNotMatch": "wrong-secret",
    "ExpiredToken": "expired-credentials",
    "ExpiredTokenException": "expired-credentials",
    "TokenRefreshRequired": "expired-credentials",
    "InvalidToken": "wrong-token",
    "RequestTimeTooSkewed": "clock-skew",
    "RequestExpired": "clock-skew",
    "NoSuchBucket": "no-bucket",
    "PermanentRedirect": "wrong-region",
    "AuthorizationHeaderMalformed": "wrong-region",
    # What boto3 makes of a page that is no XML; S3's own has a word for its code.
    "500": "not-s3",
}
STATUS = {301: "wrong-region", 307: "wrong-region", 403: "denied", 404: "no-bucket"}
ERRORS = (
    ("ConnectTimeoutError", "endpoint-hangs"),
    ("ReadTimeoutError", "endpoint-hangs"),
    ("SSLError", "endpoint-tls"),
    ("ProxyConnectionError", "proxy-down"),
    ("ConnectionError", "endpoint-down"),
    ("HTTPClientError", "endpoint-down"),
)
