"""Telling a file from one written in its place, without reading either."""

import os

from geostat.checkpoints.paths import file_system, is_url, reading

_CHANGES = (
    "ETag",
    "etag",
    "generation",
    "VersionId",
    "blob_id",
    "md5Hash",
    "Content-MD5",
    "Digest",
    "Last-Modified",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
    "modified",
    "modificationTime",
    "modify",
    "created",
)
"""What file systems call that which a file has anew when it is written anew, the surest first."""


def version(path: str) -> str | None:
    """What a file has anew when it is written anew; None where the file system does not say."""
    with reading(path):
        try:
            return _of_url(path) if is_url(path) else str(os.stat(path).st_mtime_ns)
        except FileNotFoundError:
            return None


def _of_url(path: str) -> str | None:
    system, inner = file_system(path)
    system.invalidate_cache(inner)  # a listing from before the change would hide it
    info = system.info(inner)
    return next((f"{key} {info[key]}" for key in _CHANGES if info.get(key)), None)
