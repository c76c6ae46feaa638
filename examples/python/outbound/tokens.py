"""What tells the platform's APIs which customer a request is for."""

import base64
import hmac
import json
import time

from workers import env

LIFETIME = 300  # seconds


def make_jwt_for_customer(customer_name):
    """A JWT (RFC 7519, HS256) that names the customer."""
    now = int(time.time())
    header = _encoded({"alg": "HS256", "typ": "JWT"})
    claims = _encoded({"sub": customer_name, "iat": now, "exp": now + LIFETIME})
    signed = f"{header}.{claims}"
    signature = hmac.digest(env.JWT_KEY.encode(), signed.encode(), "sha256")
    return f"{signed}.{_base64url(signature)}"


def _encoded(value):
    return _base64url(json.dumps(value).encode())


def _base64url(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
