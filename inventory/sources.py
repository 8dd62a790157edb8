"""Recognises sources, reads them and puts them together."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from inventory import ansible_ini, ansible_json, ansible_yaml, clustershell, dynamic, native, sshconfig
from inventory.ansible_vars import TAGS, read_directories
from inventory.draft import Draft
from inventory.effective import build
from inventory.model import Inventory
from inventory.problems import InvalidFilesError, Problem
from inventory.yamlfile import MAX_BYTES, Document, decode, parse

_NATIVE_KEYS: Final = frozenset({"nodes", "groups", "defaults"})
_IGNORED_SUFFIXES: Final = frozenset({".bak", ".cfg", ".md", ".orig", ".pyc", ".pyo", ".retry", ".swp", ".txt~"})
_VARIABLES: Final = frozenset({"group_vars", "host_vars"})
_MAX_FOLDERS: Final = 4
_PROGRAM_STARTS: Final = (b"#!", b"\x7fELF")


def load(sources: Sequence[Path], *, cache_dir: Path | None, allow_empty: bool = False) -> Inventory:
    """Read an inventory of one or several sources; a later source wins field by field.

    Args:
        sources: Files, programs and directories (see `docs/reference/inventory.md` for how each is recognised).
        cache_dir: Where the output of inventory programs is kept; None = nowhere.
        allow_empty: Whether an inventory without nodes is one.

    Raises:
        InvalidFilesError: Every mistake of every source.
    """
    draft = Draft()
    folders: dict[Path, None] = {}
    for source in sources:
        try:
            for path in _files(source, folders):
                draft.merge(_read(path, cache_dir))
        except InvalidFilesError as error:
            draft.problems += error.problems
    for folder in folders:
        read_directories(folder, draft)
    if not draft.nodes and not draft.problems and not allow_empty:
        file = ", ".join(map(str, sources)) or "inventory"
        draft.problems.append(Problem(file=file, message="has no nodes", hint="add one below 'nodes:'"))
    return build(draft)


def _files(source: Path, folders: dict[Path, None]) -> list[Path]:
    """Give the files of a source in order; `folders` collects where `group_vars/` and `host_vars/` may be."""
    if not source.exists():
        raise InvalidFilesError([Problem(file=str(source), message="does not exist")])
    if not source.is_dir():
        folders[source.parent] = None
        return [source]
    return _folder(source, folders, 1)


def _folder(folder: Path, folders: dict[Path, None], depth: int) -> list[Path]:
    folders[folder] = None
    files: list[Path] = []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") or path.name.endswith("~") or path.suffix in _IGNORED_SUFFIXES
        if hidden or path.name in _VARIABLES:
            continue
        if path.is_dir():
            files += _folder(path, folders, depth + 1) if depth < _MAX_FOLDERS else []
        elif path.is_file():
            files.append(path)
    return files


def _read(path: Path, cache_dir: Path | None) -> Draft:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
            if os.access(path, os.X_OK) and data.startswith(_PROGRAM_STARTS):
                return dynamic.read(path, cache_dir=cache_dir)
            if path.suffix == ".json" or data.lstrip().startswith(b"{"):
                return _json(data + stream.read(ansible_json.MAX_BYTES), path)
    except OSError as error:
        raise InvalidFilesError([Problem(file=str(path), message=f"cannot be read: {error.strerror}")]) from error
    text = decode(data, str(path))
    if path.suffix in (".yaml", ".yml") or (not path.suffix and text.startswith("---")):
        return _yaml(data, path)
    if sshconfig.looks_like(text) and not any(line.startswith("[") for line in text.split("\n")):
        return sshconfig.read(path)
    return ansible_ini.read(text, str(path))


def _json(data: bytes, path: Path) -> Draft:
    top = ansible_json.decode(data, str(path))
    return ansible_json.read(top, str(path)) if ansible_json.looks_like(top) else _yaml(data, path)


def _yaml(data: bytes, path: Path) -> Draft:
    document = parse(data, str(path), tags=TAGS)
    reader = _yaml_reader(document)
    if reader is not ansible_yaml.read and any(tag.encode() in data for tag in TAGS):
        document = parse(data, str(path))  # only Ansible's files may have its tags
    return reader(document)


def _yaml_reader(document: Document) -> Callable[[Document], Draft]:
    content = document.root.content
    keys = set(content) if isinstance(content, dict) else set()
    if ansible_yaml.looks_like(document.root) and not (keys <= _NATIVE_KEYS and _has_no_hosts(document)):
        return ansible_yaml.read
    if not keys & _NATIVE_KEYS and clustershell.looks_like(document.root):
        return clustershell.read
    return native.read


def _has_no_hosts(document: Document) -> bool:
    """Whether no entry at the top has `hosts:` or `children:`, as an Ansible group called `nodes` would."""
    content = document.root.content
    groups = content.values() if isinstance(content, dict) else ()
    return not any(isinstance(group.content, dict) and ansible_yaml.KEYS & set(group.content) for group in groups)
