"""What may be called what: DNS names, labels, environment names. Pure; each answers with its problems."""

import re
from collections.abc import Callable, Mapping

from lightkube.models import meta_v1

from podward.api.errors import FieldError, field_forbidden, field_invalid, field_required

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_QUALIFIED})?"


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def dns_label(text: str) -> list[str]:
    """RFC 1123 label: container and namespace names."""
    problems = []
    if len(text) > 63:
        problems.append("must be no more than 63 characters")
    if not _fits(_LABEL, text):
        problems.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
            "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
            f"for validation is '{_LABEL}')"
        )
    return problems


def dns_label_1035(text: str) -> list[str]:
    """RFC 1035 label: it begins with a letter."""
    problems = []
    if len(text) > 63:
        problems.append("must be no more than 63 characters")
    if not _fits(r"[a-z]([-a-z0-9]*[a-z0-9])?", text):
        problems.append(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
            "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
            "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        )
    return problems


def dns_subdomain(text: str) -> list[str]:
    """RFC 1123 subdomain: most object names."""
    problems = []
    if len(text) > 253:
        problems.append("must be no more than 253 characters")
    if not _fits(_SUBDOMAIN, text):
        problems.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
            "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
            r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        )
    return problems


def path_segment(text: str) -> list[str]:
    """What may stand alone in a URL's path: names of roles and bindings."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{letter}'" for letter in "/%" if letter in text]


def qualified_name(text: str) -> list[str]:
    """Label and annotation keys: `name` or `prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    problems = []
    if slash:
        if not prefix:
            problems.append("prefix part must be non-empty")
        else:
            problems += [f"prefix part {problem}" for problem in dns_subdomain(prefix)]
        if "/" in prefix:
            problems = []
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 characters")
    if not _fits(_QUALIFIED, name) or "/" in prefix:
        problems.append(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
            "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            f"validation is '{_QUALIFIED}')"
        )
    return problems


def label_value(text: str) -> list[str]:
    problems = []
    if len(text) > 63:
        problems.append("must be no more than 63 characters")
    if not _fits(_VALUE, text):
        problems.append(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
            f"'12345', regex used for validation is '({_VALUE[1:-2]})?')"
        )
    return problems


def env_name(text: str) -> list[str]:
    """Today any printable ASCII but `=` will do."""
    if not text or any(not 0x20 <= ord(c) < 0x7F or c == "=" for c in text):
        return [
            "a valid environment variable name must consist only of printable ASCII characters other "
            "than '='"
        ]
    return []


def strict_env_name(text: str) -> list[str]:
    """What a variable had to be called in Kubernetes 1.19, and still has to in a preset of that time."""
    if not _fits("[-._a-zA-Z][-._a-zA-Z0-9]*", text):
        return [
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or "
            "'.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or "
            "'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')"
        ]
    return _leads_up(text)


def config_key(text: str) -> list[str]:
    """Keys of config maps and secrets: they become file names."""
    problems = []
    if len(text) > 253:
        problems.append("must be no more than 253 characters")
    if not _fits("[-._a-zA-Z0-9]+", text):
        problems.append(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',"
            "  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )
    else:
        problems += _leads_up(text)
    return problems


def _leads_up(text: str) -> list[str]:
    """A file of that name would be another directory."""
    if text in (".", ".."):
        return [f"must not be '{text}'"]
    return ["must not start with '..'"] if text.startswith("..") else []


def port_name(text: str) -> list[str]:
    """IANA service names: every rule that is broken is said."""
    problems = []
    if len(text) > 15:
        problems.append("must be no more than 15 characters")
    if not _fits("[-a-z0-9]+", text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def labels_errors(labels: Mapping[str, str] | None, path: str) -> list[FieldError]:
    found = []
    for key, value in (labels or {}).items():
        found += [field_invalid(path, key, problem) for problem in qualified_name(key)]
        found += [field_invalid(path, value, problem) for problem in label_value(value)]
    return found


def metadata_errors(
    meta: meta_v1.ObjectMeta | None,
    *,
    namespaced: bool,
    check: Callable[[str], list[str]] = dns_subdomain,
) -> list[FieldError]:
    """`check`: what the name must be."""
    path = "metadata"
    meta = meta or meta_v1.ObjectMeta()
    found = []
    if meta.generateName:
        stem = meta.generateName.rstrip("-") or meta.generateName
        found += [field_invalid(f"{path}.generateName", meta.generateName, p) for p in check(stem)]
    if not meta.name:
        found.append(field_required(f"{path}.name", "name or generateName is required"))
    else:
        found += [field_invalid(f"{path}.name", meta.name, p) for p in check(meta.name)]
    if namespaced and not meta.namespace:
        found.append(field_required(f"{path}.namespace"))
    if not namespaced and meta.namespace:
        found.append(field_forbidden(f"{path}.namespace", "not allowed on this type"))
    found += labels_errors(meta.labels, f"{path}.labels")
    for key in meta.annotations or {}:
        problems = qualified_name(key.lower())
        found += [field_invalid(f"{path}.annotations", key, problem) for problem in problems]
    size = sum(len(k) + len(v) for k, v in (meta.annotations or {}).items())
    if size > 256 * 1024:
        detail = "may not be more than 262144 bytes"
        found.append(FieldError("FieldValueTooLong", f"{path}.annotations", detail=detail))
    for finalizer in meta.finalizers or ():
        found += [
            field_invalid(f"{path}.finalizers", finalizer, problem)
            for problem in qualified_name(finalizer)
        ]
    return found
