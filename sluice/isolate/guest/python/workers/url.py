"""URLs as a request line can carry them."""

from __future__ import annotations

from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from yarl import URL

# What stays as it is: reserved characters, and percent signs of what is encoded already.
_SAFE = "%!#$&'()*+,/:;=?@[]~|^`{}"
_SAFE_PATH = "%!$&'()*+,/:;=@[]~|^"


def parse(text: str, base: str | None = None) -> str:
    """The absolute `http` or `https` URL that `text` means, without its fragment.

    Nothing that is encoded is decoded, and nothing encoded that need not be: a URL that was signed
    stays valid. Raises `TypeError` for anything else, and for credentials in it.
    """
    joined = urljoin(base, text.strip()) if base else text.strip()
    try:
        parts = urlsplit(joined)
        scheme = parts.scheme.lower()
        if not parts.netloc or scheme not in ("http", "https"):
            raise ValueError("not an absolute http or https URL")
        if "@" in parts.netloc:
            raise ValueError("it has credentials: send an Authorization header")
        authority = URL(f"{scheme}://{parts.netloc}")
        host, port = authority.host_port_subcomponent, authority.port
    except ValueError as error:
        raise TypeError(f"Invalid URL: {joined[:200]!r}: {error}") from error
    if not host or port is None:
        raise TypeError(f"Invalid URL: {joined[:200]!r}: it has no host")
    path = quote(_without_dots(parts.path) or "/", safe=_SAFE_PATH)
    return urlunsplit((scheme, host, path, quote(parts.query, safe=_SAFE), ""))


def _without_dots(path: str) -> str:
    return urljoin("/", path) if "/." in path else path


def origin(url: str) -> tuple[str, str]:
    """What of a URL says who is asked."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
