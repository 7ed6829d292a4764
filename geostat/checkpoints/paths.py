"""Paths of local files and of fsspec URLs, behind the same few functions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path

import fsspec

from geostat.errors import CheckpointError


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what the operating system says while a path is read into an error that names it."""
    try:
        yield
    except PermissionError as error:
        raise CheckpointError(
            f"{path} cannot be read: permission denied. Ask its owner for access (`ls -ld` shows who that is); "
            "for a remote place check your credentials."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}. Check that it is still there and that its "
            "disk or server answers, then try again."
        ) from error


def as_path(path: str | os.PathLike[str]) -> str:
    """Path as a string, ``~`` expanded and ``file://`` taken off; other URLs stay as they are."""
    text = os.fspath(path)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if is_url(text):
        return text.rstrip("/")
    return os.path.normpath(os.path.expanduser(text))


def is_url(path: str) -> bool:
    """Whether a path is an fsspec URL, such as ``s3://bucket/run`` or ``memory://run``."""
    return "://" in path


def join(folder: str, name: str) -> str:
    """Path of an entry of a folder."""
    return f"{folder}/{name}" if is_url(folder) else os.path.join(folder, name)


def parent(path: str) -> str:
    """Folder that holds a path."""
    return path.rpartition("/")[0] if is_url(path) else os.path.dirname(path) or "."


def base_name(path: str) -> str:
    """Last part of a path."""
    return path.rstrip("/").rpartition("/")[2] if is_url(path) else os.path.basename(os.path.normpath(path))


def is_directory(path: str) -> bool:
    """Whether a path is a folder."""
    if is_url(path):
        system, inner = file_system(path)
        with reading(path):
            return bool(system.isdir(inner))
    return os.path.isdir(path)


def exists(path: str) -> bool:
    """Whether a path is there."""
    if is_url(path):
        system, inner = file_system(path)
        with reading(path):
            return bool(system.exists(inner))
    with reading(path):
        return _is_there(path)


def entries(folder: str) -> tuple[str, ...]:
    """Names in a folder, sorted."""
    if is_url(folder):
        system, inner = file_system(folder)
        with reading(folder):
            found = system.ls(inner, detail=False)
        return tuple(sorted(str(name).rstrip("/").rpartition("/")[2] for name in found))
    with reading(folder):
        return tuple(sorted(os.listdir(folder)))


def size(path: str) -> int:
    """Size of a file in bytes."""
    if is_url(path):
        system, inner = file_system(path)
        with reading(path):
            return int(system.size(inner))
    with reading(path):
        return os.path.getsize(path)


def matching(pattern: str) -> tuple[str, ...]:
    """Paths that match a glob pattern, sorted; a pattern that is itself a path matches only itself."""
    if not has_magic(pattern) or exists(pattern):
        return (pattern,) if exists(pattern) else ()
    if is_url(pattern):
        system, inner = file_system(pattern)
        return tuple(sorted(str(system.unstrip_protocol(found)) for found in system.glob(inner)))
    return tuple(sorted(glob(pattern, recursive=True)))


def real(path: str) -> str:
    """Path with symbolic links resolved: two equal ones are the same file."""
    if is_url(path):
        system, inner = file_system(path)
        return str(system.unstrip_protocol(inner))
    return os.path.realpath(path)


def local_file(path: str) -> str:
    """Local path of a file; a remote one is fetched once into the cache folder.

    The cache is ``$GEOSTAT_CACHE``, by default ``~/.cache/geostat``; a remote file that changed is
    fetched anew.
    """
    if not is_url(path):
        return path
    options = {"cache_storage": _cache_folder(), "check_files": True}
    try:
        return str(fsspec.open_local(f"filecache::{path}", mode="rb", filecache=options))
    except (ImportError, ValueError, OSError) as error:
        raise CheckpointError(f"cannot fetch {path}: {error}.") from error


def read_bytes(path: str) -> bytes:
    """Content of a small file."""
    local = local_file(path)
    with reading(path):
        return Path(local).read_bytes()


def _is_there(path: str) -> bool:
    """Whether a local path exists; unlike `os.path.exists` this does not take "not allowed" for "no"."""
    try:
        os.stat(path)
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False
    return True


def _cache_folder() -> str:
    default = os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "geostat")
    return os.path.expanduser(os.environ.get("GEOSTAT_CACHE", default))


def file_system(path: str) -> tuple["fsspec.AbstractFileSystem", str]:
    """File system of a URL, and the path inside it."""
    try:
        system, inner = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as error:
        raise CheckpointError(
            f"cannot reach {path}: {error}. Install the fsspec package for this kind of address, "
            "or copy the files to a local folder."
        ) from error
    return system, inner
