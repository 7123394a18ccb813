"""What AWS's own service models, those of botocore, say of a request and of an answer: which service and operation it is, and
what is wrong with it. A name that the model does not know, a type that it does not have, and a member that is missing are
wrong; so is a method and a path that no operation has.

`read(environ, body)` gives what was asked; `complaints_of_answer(…)` looks at what a stub answers, before it is sent.
"""

import base64
import datetime
import functools
import json
import re
import urllib.parse

import botocore.session
import botocore.validate

SESSION = botocore.session.get_session()

# How signatures call a service, where botocore calls it otherwise.
SIGNED_AS = {
    "monitoring": "cloudwatch",
    "elasticfilesystem": "efs",
    "elasticloadbalancing": "elbv2",
    "tagging": "resourcegroupstaggingapi",
    "states": "stepfunctions",
    "servicequotas": "service-quotas",
    "ses": "sesv2",
    "es": "opensearch",
}

# Services that listen to calls of everybody, by what stands before the action in their header.
TARGETS = {
    "AWSCognitoIdentityProviderService": "cognito-idp",
    "AWSCognitoIdentityService": "cognito-identity",
}


@functools.cache
def model_of(service):
    return SESSION.get_service_model(service)


class Asked:
    """What a request asks. `complaints` says what the model has against it; `operation` is absent where there is none.
    `is_unread` is one whose body is XML: only tests that set something up send such, by AWS's own library."""

    is_unread = False

    def __init__(self, service, operation=None, parameters=None, complaints=()):
        self.service, self.operation = service, operation
        self.parameters, self.complaints = parameters or {}, list(complaints)

    @property
    def protocol(self):
        return protocol_of(self.service) if self.service else None


def protocol_of(service):
    metadata = model_of(service).metadata
    protocols = metadata.get("protocols") or [metadata["protocol"]]
    return next(known for known in protocols if known != "smithy-rpc-v2-cbor")


def service_of(environ):
    """The service by the scope of the signature, by the target, or by the path of CBOR."""
    scope = re.search(r"Credential=[^/,]+/\d+/[^/]+/([^/]+)/aws4_request", environ.get("HTTP_AUTHORIZATION", ""))
    target = environ.get("HTTP_X_AMZ_TARGET", "").rsplit(".", 1)[0]
    if scope:
        name = SIGNED_AS.get(scope.group(1), scope.group(1))
        name = "apigatewayv2" if name == "apigateway" and environ["PATH_INFO"].startswith("/v2/") else name
    else:
        name = TARGETS.get(target)
    return name if name in SESSION.get_available_services() else None


def read(environ, body):
    service = service_of(environ)
    if service is None:
        return Asked(None)
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return Asked(service, environ["PATH_INFO"].rsplit("/", 1)[-1])
    try:
        if environ.get("HTTP_X_AMZ_TARGET"):
            asked = of_json(service, environ, body)
        elif "rest" in protocol_of(service):
            asked = of_rest(service, environ, body)
        else:
            asked = of_form(service, body)
    except (UnicodeDecodeError, ValueError) as error:
        return Asked(service, None, {}, [f"it cannot be read: {error}"])
    if asked.operation and not asked.complaints and not asked.is_unread:
        shape = model_of(service).operation_model(asked.operation).input_shape
        asked.complaints = complaints(asked.parameters, shape)
    return asked


def complaints(value, shape):
    """What a value has that its shape has not."""
    if shape is None:
        return [f"nothing is taken, and this came: {sorted(value)}"] if value else []
    report = botocore.validate.ParamValidator().validate(value, shape)
    return [line for line in report.generate_report().splitlines() if line]


def of_json(service, environ, body):
    target, _, operation = environ["HTTP_X_AMZ_TARGET"].rpartition(".")
    model = model_of(service)
    if target != model.metadata["targetPrefix"]:
        return Asked(service, None, {}, [f"the target is {model.metadata['targetPrefix']}, not {target}"])
    version = environ.get("CONTENT_TYPE", "").removeprefix("application/x-amz-json-")
    # Tools of tests say 1.0 to everybody, and services do not mind.
    if version not in ("1.0", "1.1"):
        return Asked(service, None, {}, [f"the type of the content is {environ.get('CONTENT_TYPE')}"])
    if operation not in model.operation_names:
        return Asked(service)
    shape = model.operation_model(operation).input_shape
    return Asked(service, operation, from_json(json.loads(body or b"{}"), shape))


def from_json(value, shape):
    """JSON as botocore has it: with its own names for members, and bytes where they are."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        return {
            names.get(key, key): from_json(item, shape.members.get(names.get(key, key))) for key, item in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [from_json(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: from_json(item, shape.value) for key, item in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        return base64.b64decode(value)
    if shape.type_name == "timestamp" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    if shape.type_name in ("double", "float") and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def of_form(service, body):
    form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    operation, version = form.pop("Action", None), form.pop("Version", None)
    model = model_of(service)
    if operation not in model.operation_names:
        return Asked(service)
    # Helpers of tests leave it out, and moto does not mind.
    known = version in (None, model.metadata["apiVersion"])
    wrong = [] if known else [f"the version is {model.metadata['apiVersion']}"]
    shape = model.operation_model(operation).input_shape
    tree = {}
    for key, text in form.items():
        at = tree
        *way, last = key.split(".")
        for part in way:
            at = at.setdefault(part, {})
        at[last] = text
    is_ec2 = model.metadata["protocol"] == "ec2"
    return Asked(service, operation, from_form(tree, shape, is_ec2, wrong), wrong)


def form_name(name, member, is_ec2):
    if is_ec2:
        called = member.serialization.get("queryName")
        plain = member.serialization.get("name", name)
        return called or plain[0].upper() + plain[1:]
    if member.type_name == "list" and member.serialization.get("flattened"):
        return member.member.serialization.get("name", member.serialization.get("name", name))
    return member.serialization.get("name", name)


def from_form(value, shape, is_ec2, wrong):
    if shape is None:
        if value:
            wrong.append(f"nothing is taken, and this came: {sorted(value)}")
        return {}
    if shape.type_name == "structure" and isinstance(value, dict):
        names = {form_name(name, member, is_ec2): name for name, member in shape.members.items()}
        wrong.extend(f"nobody knows {key}" for key in value if key not in names)
        return {
            names[key]: from_form(item, shape.members[names[key]], is_ec2, wrong)
            for key, item in value.items()
            if key in names
        }
    if shape.type_name == "list" and isinstance(value, dict):
        if not is_ec2 and not shape.serialization.get("flattened"):
            member = shape.member.serialization.get("name", "member")
            wrong.extend(f"a list has {member}, not {key}" for key in value if key != member)
            value = value.get(member, {})
        if not isinstance(value, dict) or not all(key.isdigit() for key in value):
            wrong.append(f"a list is counted from 1: {value}")
            return []
        return [from_form(value[key], shape.member, is_ec2, wrong) for key in sorted(value, key=int)]
    if shape.type_name == "map" and isinstance(value, dict):
        entries = value if shape.serialization.get("flattened") else value.get("entry", {})
        key, item = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        return {
            entry.get(key): from_form(entry.get(item), shape.value, is_ec2, wrong)
            for entry in entries.values()
            if isinstance(entry, dict)
        }
    return from_text(value, shape)


def from_text(text, shape):
    """What a text of a form, a query or a header says, typed by the model; as it is where it does not say that."""
    if not isinstance(text, str):
        return text
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name in ("double", "float"):
            return float(text)
        if shape.type_name == "blob":
            return base64.b64decode(text)
        if shape.type_name == "timestamp":
            return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


@functools.cache
def routes(service):
    """The operations of a REST service: method, path as a pattern, own query, name. Those that say more come first."""
    model, found = model_of(service), []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        pattern = ""
        for part in re.split(r"(\{[^}]+\})", path.rstrip("/")):
            if part.startswith("{"):
                hole = part.strip("{}+").replace("-", "_").replace(".", "_")
                pattern += f"(?P<{hole}>{'.+' if part.endswith('+}') else '[^/]+'})"
            else:
                pattern += re.escape(part)
        wanted = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        found.append((http["method"], re.compile(pattern + "/?"), wanted, name, http["requestUri"]))
    return sorted(found, key=lambda route: (len(route[2]), len(re.sub(r"\{[^}]+\}", "", route[4]))), reverse=True)


def header_of(called):
    return "HTTP_" + called.upper().replace("-", "_")


def has_headers(service, name, environ):
    """Whether the headers are there that the operation must have: a copy differs from an upload by nothing else."""
    shape = model_of(service).operation_model(name).input_shape
    for member in shape.required_members if shape else []:
        of = shape.members[member].serialization
        if of.get("location") == "header" and header_of(of.get("name", member)) not in environ:
            return False
    return True


def of_rest(service, environ, body):
    path = environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")[0]
    given = urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query = {}
    for key, text in given:
        query.setdefault(key, []).append(text)
    for method, pattern, wanted, name, _ in routes(service):
        found = pattern.fullmatch(path)
        has = all(key in query and query[key] == [text] for key, text in wanted.items())
        if method == environ["REQUEST_METHOD"] and found and has and has_headers(service, name, environ):
            break
    else:
        return Asked(service)
    shape = model_of(service).operation_model(name).input_shape
    holes = {key: urllib.parse.unquote(text) for key, text in found.groupdict().items()}
    parameters, wrong, known = {}, [], set(wanted)
    members = shape.members if shape else {}
    for member, of in members.items():
        location, called = of.serialization.get("location"), of.serialization.get("name", member)
        if location == "uri":
            parameters[member] = holes.get(called.replace("-", "_").replace(".", "_"))
        elif location == "querystring" and called in query:
            known.add(called)
            texts = query[called]
            parameters[member] = (
                [from_text(text, of.member) for text in texts] if of.type_name == "list" else from_text(texts[0], of)
            )
        elif location in ("header", "headers"):
            header = environ.get(header_of(called))
            if header is not None:
                parameters[member] = from_text(header, of)
    # S3 takes some settings of whoever uploads in the query too.
    wrong.extend(f"the query knows no {key}" for key in query if key not in known and not key.startswith("x-"))
    payload = shape.serialization.get("payload") if shape else None
    if payload:
        parameters.setdefault(payload, body if members[payload].type_name == "blob" else {}) if body else None
    elif body and environ.get("CONTENT_TYPE", "").startswith("application/json"):
        plain = {key: of for key, of in members.items() if not of.serialization.get("location")}
        names = {of.serialization.get("name", key): key for key, of in plain.items()}
        for key, item in json.loads(body).items():
            parameters[names.get(key, key)] = from_json(item, plain.get(names.get(key, key)))
    asked = Asked(service, name, parameters, wrong)
    asked.is_unread = bool(body) and payload is not None and protocol_of(service) == "rest-xml"
    return asked


def complaints_of_answer(service, operation, answer):
    """What the model has against an answer that a stub gives, as JSON: an answer of ours must be one that AWS could give."""
    shape = model_of(service).operation_model(operation).output_shape
    return complaints(from_json(answer, shape), shape)
