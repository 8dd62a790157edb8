"""JSON Schemas: of the values that a job type takes, and of the files that define types (for editors and forms).

The validator (`jobs.params`) is never more generous than the schema of values; it knows more than a schema can say
(what is hidden, sizes in bytes, which nodes there are).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jobs.jobtype import Kind, Param
from jobs.paramkinds import MAX_CHARACTERS, MAX_ITEMS, MAX_SECONDS, MAX_SECRET, MAX_WHOLE
from jobs.pattern import Pattern
from jobs.retry import OUTCOMES
from jobs.typeaction import ACTIONS
from jobs.typefields import LEFTOVERS, ON_OUTPUT_LIMIT, RLIMITS
from jobs.typefile import NAME

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def values_schema(params: Sequence[Param]) -> Schema:
    """Describe the object of values that `jobs.params.validate` takes; null is the same as not given."""
    required = [p.name for p in params if p.required and p.default is None and not p.visible_when]
    return {
        "$schema": DRAFT,
        "type": "object",
        "properties": {param.name: _described(param) for param in params},
        "required": required,
        "additionalProperties": False,
    }


def value_schema(param: Param) -> Schema:
    """Describe one value, without its label and default."""
    return _KINDS[param.kind](param)


def _described(param: Param) -> Schema:
    schema = value_schema(param)
    if not (param.required and param.default is None and not param.visible_when):
        schema = {"anyOf": [schema, {"type": "null"}]}
    schema["title"] = param.label
    if param.help:
        schema["description"] = param.help
    if param.default is not None:
        schema["default"] = param.default
    return schema


def _text(param: Param) -> Schema:
    limit = MAX_SECRET if param.kind == Kind.SECRET else MAX_CHARACTERS
    schema: Schema = {"type": "string", "maxLength": min(param.max_length or limit, limit)}
    least = max(param.min_length or 0, int(param.required))
    if least:
        schema["minLength"] = least
    if param.pattern is not None:
        schema["pattern"] = Pattern(param.pattern).portable
    if param.kind == Kind.SECRET:
        schema["writeOnly"] = True
    return schema


def _number(param: Param) -> Schema:
    whole = param.kind == Kind.INT
    schema: Schema = {"type": "integer" if whole else "number"}
    low, high = param.min, param.max
    if whole:
        low = -MAX_WHOLE if low is None else low
        high = MAX_WHOLE if high is None else high
    return schema | {key: limit for key, limit in (("minimum", low), ("maximum", high)) if limit is not None}


def _choice(param: Param) -> Schema:
    return {"type": "string"} | ({"enum": [option.value for option in param.options]} if param.options else {})


def _choices(param: Param) -> Schema:
    return _counted(param) | {"items": _choice(param), "uniqueItems": True}


def _list(param: Param) -> Schema:
    return _counted(param) | ({} if param.items is None else {"items": value_schema(param.items)})


def _counted(param: Param) -> Schema:
    most = MAX_ITEMS if param.max_length is None else min(param.max_length, MAX_ITEMS)
    return {"type": "array", "minItems": max(param.min_length or 0, int(param.required)), "maxItems": most}


def _file(_param: Param) -> Schema:
    name: Schema = {"type": "string", "pattern": "^[^/]+$", "maxLength": 255}

    def with_content(key: str, **more: str) -> Schema:
        properties = {"name": name, key: {"type": "string", **more}}
        return {"type": "object", "properties": properties, "required": ["name", key], "additionalProperties": False}

    return {"anyOf": [with_content("content"), with_content("base64", contentEncoding="base64")]}


_KINDS: Final[Mapping[Kind, Callable[[Param], Schema]]] = {
    Kind.TEXT: _text,
    Kind.TEXTAREA: _text,
    Kind.SECRET: _text,
    Kind.INT: _number,
    Kind.NUMBER: _number,
    Kind.FLAG: lambda _param: {"type": "boolean"},
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.DATETIME: lambda _param: {"type": "string", "maxLength": 40},
    Kind.DURATION: lambda _param: {
        "anyOf": [
            {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
            {"type": "string", "pattern": "^[0-9dhms.]+$"},
        ]
    },
    Kind.NODE: lambda _param: {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 253},
    Kind.FILE: _file,
    Kind.LIST: _list,
}

_TEXT: Final[Schema] = {"type": ["string", "number"]}
_TEXTS: Final[Schema] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_LENGTH: Final[Schema] = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9.dhms]+$"}]}
_ANY: Final[Schema] = {}


def _object(properties: Mapping[str, Schema], *required: str) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _named(schema: Schema) -> Schema:
    return {"type": ["object", "null"], "additionalProperties": schema}


def _param_schema() -> Schema:
    options = {"value": _TEXT, "label": _TEXT}
    asked = {
        "command": _TEXTS,
        "script": _TEXT,
        "on": {"enum": ["controller", "node"]},
        "timeout": _LENGTH,
        "cache": _LENGTH,
    }
    fields: dict[str, Schema] = {
        "kind": {"enum": [str(kind) for kind in Kind]},
        **dict.fromkeys(("label", "help", "pattern", "access"), _TEXT),
        **dict.fromkeys(("required", "implicit"), _FLAG),
        **dict.fromkeys(("min", "max"), _LENGTH),
        **dict.fromkeys(("min_length", "max_length"), _COUNT),
        "default": _ANY,
        "options": {
            "anyOf": [{"type": "array", "items": {"anyOf": [_TEXT, _object(options, "value")]}}, _object(asked)]
        },
        "visible_when": _named(_ANY),
        "of": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/param"}]},
    }
    return {**_object(fields), "type": ["object", "null"]}


def _type_schema() -> Schema:
    retry = {
        "count": {"type": "integer", "minimum": 1},
        **dict.fromkeys(("delay", "max_delay"), _LENGTH),
        "backoff": {"type": "number", "minimum": 1},
        "on": _TEXTS,
    }
    python = {key: {"type": "string"} for key in ("module", "file", "function", "root")}
    fields: dict[str, Schema] = {
        **dict.fromkeys(("label", "description", "group", "icon", "confirm", "run_as", "cwd", "umask"), _TEXT),
        **dict.fromkeys(("nodes", "except", "default_nodes", "interpreter", "args", "redact", "success_codes"), _TEXTS),
        **{key: {"type": "integer"} for key in ("order", "nice")},
        **{key: {"type": "integer", "minimum": 1} for key in ("min_nodes", "max_nodes")},
        **dict.fromkeys(("timeout", "inactivity", "start_timeout", "grace"), _LENGTH),
        **{key: {"type": "string"} for key in ("script", "script_file")},
        **dict.fromkeys(("params", "props"), _named({"$ref": "#/$defs/param"})),
        "disabled": {"type": ["string", "boolean"]},
        "command": {"type": "array", "items": _TEXT, "minItems": 1},
        "python": _object(python),
        "env": _named(_TEXT),
        "rlimits": _object({key: {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]} for key in RLIMITS}),
        "max_output": _TEXT,
        "on_output_limit": {"enum": list(ON_OUTPUT_LIMIT)},
        "leftovers": {"enum": list(LEFTOVERS)},
        "retry": {
            "anyOf": [_COUNT, _object(retry, "count")],
            "description": f"on: {', '.join(OUTCOMES)} or exit:CODE",
        },
    }
    return {**_object(fields), "oneOf": [{"required": [action]} for action in ACTIONS]}


def file_schema() -> Schema:
    """Describe a file of job types, for editors."""
    return {
        "$schema": DRAFT,
        "title": "AnyJob job types",
        "type": ["object", "null"],
        "patternProperties": {f"^{NAME.pattern}$": {"$ref": "#/$defs/type"}},
        "additionalProperties": False,
        "$defs": {"type": _type_schema(), "param": _param_schema()},
    }
