"""The AWS that tests talk to: moto, with what it lacks.

* CloudWatch in the protocol of today's SDKs, `smithy-rpc-v2-cbor`: requests become AWS JSON for moto, answers become CBOR,
  with numbers and times typed as the service's model says.
* The limits of PutMetricData, which moto does not check.
* What AWS's own models have against a request (`model.py`): such a request is refused, as AWS would refuse it.
* Cognito's second factor and tokens that are taken back (`cognito.py`).
* A policy of IAM, `POST /_policy` of `{"key": …, "document": …}`: of requests with that access key it refuses what the policy
  does not allow (`policy.py`).
* A log of requests, `GET /_log`, and faults, `POST /_faults` (a list, which replaces the one before):

      {"operation": "PutMetricData", "fault": "throttle", "times": 3}

  `operation`  whom it befalls
  `fault`      throttle | error | garbage | lie | forbidden | expired | reject | too_large | drop | delay
  `times`      how often; for ever when left out
  `naming`     only requests that hold this text as a metric name or a dimension's value
  `seconds`    how long `delay` lasts, after which the request is served

The first line of standard output is the port. The process ends when its standard input does, so that none is left behind.
"""

import datetime
import gzip
import html
import io
import json
import os
import socket
import sys
import threading
import time
import urllib.parse
import uuid

import cbor2
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

import cognito
import model
import policy

DATA_MAX = 1_000
VALUES_MAX = 150
DIMENSIONS_MAX = 30
REQUEST_BYTES_MAX = 1_000_000
PAST_MAX = datetime.timedelta(days=14)
FUTURE_MAX = datetime.timedelta(hours=2)

MODEL = model.model_of("cloudwatch")


class Refused(Exception):
    """An answer that is an error of the service."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Faults:
    """What goes wrong, and how often still."""

    def __init__(self):
        self.lock = threading.Lock()
        self.faults = []

    def replace(self, faults):
        with self.lock:
            self.faults = faults

    def of(self, operation, parameters):
        """The first fault that befalls this request."""
        with self.lock:
            for fault in self.faults:
                if fault["operation"] != operation or fault.get("times", 1) <= 0:
                    continue
                if "naming" in fault and not names(parameters, fault["naming"]):
                    continue
                if "times" in fault:
                    fault["times"] -= 1
                return dict(fault)
        return None


def names(parameters, text):
    """Whether a datum has this text as its name or as the value of a dimension."""
    for datum in parameters.get("MetricData", []):
        values = [dimension["Value"] for dimension in datum.get("Dimensions", [])]
        if text in [datum["MetricName"], *values]:
            return True
    return False


def check_limits(parameters, size):
    """Refuses what CloudWatch refuses."""
    if size > REQUEST_BYTES_MAX:
        raise Refused(413, "RequestEntityTooLarge", f"{size} bytes")
    namespace = parameters.get("Namespace", "")
    if not 1 <= len(namespace) <= 255 or namespace.startswith("AWS/"):
        raise Refused(400, "InvalidParameterValue", "The parameter Namespace is not valid.")
    data = parameters.get("MetricData", [])
    if not 1 <= len(data) <= DATA_MAX:
        raise Refused(400, "InvalidParameterValue", f"The collection MetricData must not have {len(data)} members.")
    now = datetime.datetime.now(datetime.timezone.utc)
    for datum in data:
        values, counts = datum.get("Values", []), datum.get("Counts", [])
        if len(values) > VALUES_MAX or (counts and len(counts) != len(values)):
            raise Refused(400, "InvalidParameterValue", "The parameters Values and Counts are not valid.")
        if any(value != value or abs(value) > 2.0**360 for value in values):
            raise Refused(400, "InvalidParameterValue", "The parameter Values holds a number that is not valid.")
        if len(datum.get("Dimensions", [])) > DIMENSIONS_MAX:
            raise Refused(400, "InvalidParameterValue", "The collection Dimensions is too large.")
        at = datum.get("Timestamp", now)
        if not now - PAST_MAX <= at <= now + FUTURE_MAX:
            raise Refused(400, "InvalidParameterValue", f"The parameter Timestamp {at} is not valid.")


def to_json(value):
    """From CBOR: times become seconds since 1970, as AWS JSON has them."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def to_cbor(value, shape):
    """From AWS JSON, typed by the model: a double that is 1 stays a double, a time gets its tag."""
    if value is None or shape is None:
        return value
    if shape.type_name == "structure":
        return {key: to_cbor(item, shape.members.get(key)) for key, item in value.items()}
    if shape.type_name == "list":
        return [to_cbor(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: to_cbor(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return cbor2.CBORTag(1, seconds(value))
    if shape.type_name in ("double", "float"):
        return float(value)
    if shape.type_name in ("integer", "long"):
        return int(value)
    return value


def seconds(value):
    """Seconds since 1970, from a number or from ISO 8601."""
    if isinstance(value, str):
        at = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        return at.replace(tzinfo=at.tzinfo or datetime.timezone.utc).timestamp()
    return float(value)


class Request:
    """What was asked, whatever the protocol."""

    def __init__(self, environ):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        self.raw = environ["wsgi.input"].read(length)
        self.is_gzip = environ.get("HTTP_CONTENT_ENCODING") == "gzip"
        self.body = gzip.decompress(self.raw) if self.is_gzip else self.raw
        self.is_cbor = environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor"
        self.asked = model.read(environ, self.body)
        self.parameters = {}
        if self.is_cbor:
            self.operation = environ["PATH_INFO"].rsplit("/", 1)[-1]
            self.parameters = cbor2.loads(self.body) if self.body else {}
        elif environ.get("HTTP_X_AMZ_TARGET"):
            self.operation = environ["HTTP_X_AMZ_TARGET"].rsplit(".", 1)[-1]
            self.parameters = json.loads(self.body) if self.body else {}
        elif self.asked.protocol and "rest" in self.asked.protocol:
            self.operation = self.asked.operation or ""
            self.parameters = self.asked.parameters
        else:
            form = urllib.parse.parse_qs(self.body.decode("utf-8", "replace"))
            self.parameters = {key: values[0] for key, values in form.items()}
            self.operation = self.parameters.get("Action", "")

    def check(self):
        """Refuses what AWS's models do not know."""
        asked = self.asked
        if asked.service is None or self.is_cbor:
            return
        is_json = asked.protocol == "json"
        if asked.complaints:
            why = "not in the model of AWS: " + "; ".join(asked.complaints)
            raise Refused(400, "ValidationException" if is_json else "ValidationError", why)
        if asked.operation is None:
            code = "UnknownOperationException" if is_json else "InvalidAction"
            raise Refused(400, code, f"Could not find operation {self.operation}")


class Layer:
    """Stands before moto."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.faults = Faults()
        self.cognito = cognito.Cognito()
        self.policy = None
        self.log = []

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/_log":
            return answer(start_response, 200, "application/json", json.dumps(self.log).encode())
        request = Request(environ)
        if path == "/_faults":
            self.faults.replace(json.loads(request.raw))
            return answer(start_response, 200, "application/json", b"{}")
        if path == "/_policy":
            given = json.loads(request.raw)
            self.policy = policy.Policy(given["key"], given["document"])
            return answer(start_response, 200, "application/json", b"{}")
        if path.startswith("/moto-api"):
            return self.to_moto(environ, request, start_response)
        entry = {
            "operation": request.operation,
            "bytes": len(request.body),
            "gzip": request.is_gzip,
            "cbor": request.is_cbor,
            "service": request.asked.service,
            "signed": "HTTP_AUTHORIZATION" in environ,
            "complaints": request.asked.complaints,
            "parameters": to_json(request.parameters),
            "denied": None,
            "status": None,
        }
        self.log.append(entry)

        def noted(status, headers, exc_info=None):
            entry["status"] = int(status.split()[0])
            return start_response(status, headers, exc_info)

        try:
            request.check()
            self.authorize(environ, request, entry)
            self.befall(environ, request)
            if request.is_cbor and request.operation == "PutMetricData":
                check_limits(request.parameters, len(request.body))
            return self.serve(environ, request, noted)
        except Refused as refused:
            return refuse(noted, request, refused)

    def authorize(self, environ, request, entry):
        """Refuses what the policy does not allow."""
        if self.policy is None:
            return
        entry["denied"] = self.policy.denies(environ, request.asked, request.operation, request.parameters)
        if entry["denied"]:
            raise Refused(400 if request.asked.protocol == "json" else 403, "AccessDeniedException", entry["denied"])

    def befall(self, environ, request):
        """Does to the request what the faults say."""
        fault = self.faults.of(request.operation, request.parameters)
        kind = fault and fault["fault"]
        if kind == "throttle":
            raise Refused(400, "Throttling", "Rate exceeded")
        if kind == "error":
            raise Refused(500, "InternalFailure", "an internal error")
        if kind == "garbage":
            raise Refused(400, None, "<html>this is a proxy</html>")
        if kind == "lie":
            raise Refused(200, None, "<html>log in to this network</html>")
        if kind == "too_large":
            raise Refused(413, None, "<html>too large</html>")
        if kind == "forbidden":
            raise Refused(403, "AccessDenied", "not authorized to perform this")
        if kind == "expired":
            raise Refused(403, "ExpiredToken", "The security token included in the request is expired")
        if kind == "reject":
            raise Refused(400, "InvalidParameterValue", "The value is not valid.")
        if kind == "drop":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionError("dropped")
        if kind == "delay":
            time.sleep(fault["seconds"])

    def serve(self, environ, request, start_response):
        if request.asked.service == "cognito-idp" and cognito.concerns(request.operation, request.parameters):
            return self.serve_cognito(environ, request, start_response)
        if not request.is_cbor:
            return self.to_moto(environ, request, start_response)
        body = json.dumps(to_json(request.parameters)).encode()
        inner = {
            **environ,
            "PATH_INFO": "/",
            "RAW_URI": "/",
            "REQUEST_URI": "/",
            "CONTENT_TYPE": "application/x-amz-json-1.0",
            "HTTP_X_AMZ_TARGET": f"GraniteServiceVersion20100801.{request.operation}",
        }
        for header in ("HTTP_SMITHY_PROTOCOL", "HTTP_CONTENT_ENCODING", "HTTP_ACCEPT"):
            inner.pop(header, None)
        status, text = self.collect(inner, body)
        answered = json.loads(text) if text else {}
        if status < 400:
            answered = to_cbor(answered, MODEL.operation_model(request.operation).output_shape)
        return cbor(start_response, status, answered)

    def serve_cognito(self, environ, request, start_response):
        kind = "application/x-amz-json-1.1"
        try:
            answered = self.cognito.before(request.operation, request.parameters)
        except cognito.Refusal as refusal:
            raise Refused(400, refusal.code, str(refusal)) from None
        if answered is not None:
            return answer(start_response, 200, kind, cognito.dumped(answered))
        status, text = self.collect(environ, request.body)
        if status < 400 and text:
            text = cognito.dumped(self.cognito.after(request.operation, json.loads(text)))
        return answer(start_response, status, kind, text)

    def to_moto(self, environ, request, start_response):
        return self.moto({**environ, "wsgi.input": io.BytesIO(request.raw)}, start_response)

    def collect(self, environ, body):
        """The answer of moto, whole."""
        seen = {}

        def start_response(status, headers, exc_info=None):
            seen["status"] = int(status.split()[0])

        inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        chunks = self.moto(inner, start_response)
        try:
            text = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return seen["status"], text


def refuse(start_response, request, refused):
    """An error as the protocol of the request has it."""
    if refused.code is None:
        return answer(start_response, refused.status, "text/html", refused.message.encode())
    if request.is_cbor:
        return cbor(start_response, refused.status, {"__type": refused.code, "message": refused.message})
    message = json.dumps({"__type": refused.code, "message": refused.message}).encode()
    error = f"<Code>{refused.code}</Code><Message>{html.escape(refused.message)}</Message>"
    match request.asked.protocol:
        case "json":
            return answer(start_response, refused.status, "application/x-amz-json-1.0", message)
        case "rest-json":
            headers = [("x-amzn-errortype", refused.code)]
            return answer(start_response, refused.status, "application/json", message, headers)
        case "ec2":
            text = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>0</RequestID></Response>"
        case "rest-xml" if request.asked.service == "s3":
            text = f"<Error>{error}<RequestId>0</RequestId></Error>"
        case _:
            text = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>0</RequestId></ErrorResponse>"
    return answer(start_response, refused.status, "text/xml", text.encode())


def cbor(start_response, status, value):
    headers = [("smithy-protocol", "rpc-v2-cbor"), ("x-amzn-requestid", str(uuid.uuid4()))]
    return answer(start_response, status, "application/cbor", cbor2.dumps(value), headers)


def answer(start_response, status, content_type, body, headers=()):
    start_response(f"{status} -", [("Content-Type", content_type), ("Content-Length", str(len(body))), *headers])
    return [body]


class QuietHandler(MotoRequestHandler):
    """Keeps the log on standard error empty."""

    def log(self, type, message, *args):
        pass


def end_with_standard_input():
    sys.stdin.buffer.read()
    os._exit(0)


def main(layer):
    server = make_server("127.0.0.1", 0, layer, threaded=True, request_handler=QuietHandler)
    os.environ["MOTO_PORT"] = str(server.server_port)
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Layer())
