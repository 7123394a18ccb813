"""The AWS of a whole account: that of an estate with backups (`estate.py`), and what moto lacks of metrics, logs and settings.

* GetMetricData with percentiles, math and pages (`metrics.py`), told by `POST /_metrics`.
* FilterLogEvents newest first (`log_events.py`), with empty pages; events that are rejected, and events that are never found.
* Findings of Inspector, provisioned concurrency of Lambda, and the status of flow logs and trails that are not delivered.
* Every answer that is made here, or altered, is held against the service's model in botocore.

`POST /_estate` knows these keys beside those of `estate.py`:

    {"logs": {"loses": true,                  nothing that is written is found
              "rejects": "tooNewLogEventStartIndex",
              "empty_pages": 3,               before what is found
              "hides": ["/ecs/shop"]},        groups in which nothing is found
     "findings": [{…}],                       what Inspector has found
     "provisioned": {"Status": "READY", …},   the answer of GetProvisionedConcurrencyConfig
     "trail": {"LatestDeliveryTime": 240, …}, put over what GetTrailStatus says; times are seconds ago
     "flow_logs": {"deliverLogsStatus": "FAILED", "deliverLogsErrorMessage": "Access error"}}
"""

import json
import re
import time

import log_events
import metrics
import server
from estate import Estate, conform


class Account(Estate):
    """Stands before moto, as the estate does, and knows of metrics, logs and settings."""

    def __init__(self):
        super().__init__()
        self.metrics = metrics.Metrics()

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/_metrics":
            self.metrics.put(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
            return server.answer(start_response, 200, "application/json", b"{}")
        return super().__call__(environ, start_response)

    def of_monitoring(self, environ, request, region, start_response):
        if request.operation != "GetMetricData" or not self.metrics.answers():
            return None
        answer = conform("cloudwatch", "GetMetricData", self.metrics.answer(request.parameters))
        return server.answer(start_response, 200, "application/x-amz-json-1.0", json.dumps(answer).encode())

    def of_logs(self, environ, request, region, start_response):
        known = self.known.get("logs", {})
        if request.operation == "PutLogEvents" and "rejects" in known:
            answer = {"rejectedLogEventsInfo": {known["rejects"]: 0}}
        elif request.operation == "FilterLogEvents":
            status, answer = self.found(environ, request.parameters, known)
            if status != 200:
                return server.answer(start_response, status, "application/x-amz-json-1.1", json.dumps(answer).encode())
        else:
            return None
        conform("logs", request.operation, answer)
        return server.answer(start_response, 200, "application/x-amz-json-1.1", json.dumps(answer).encode())

    def found(self, environ, parameters, known):
        """What a search finds, after as many empty pages as there should be."""
        page, wanted = int(parameters.get("nextToken", 0)), known.get("empty_pages", 0)
        if page < wanted:
            return 200, {"events": [], "searchedLogStreams": [], "nextToken": str(page + 1)}
        status, answer = self.moto_says(environ, log_events.asked_of_moto(parameters))
        if status != 200:
            return status, answer
        if known.get("loses") or parameters["logGroupName"] in known.get("hides", []):
            answer["events"] = []
        return status, log_events.page(answer, parameters)

    def of_cloudtrail(self, environ, request, region, start_response):
        if request.operation != "GetTrailStatus" or "trail" not in self.known:
            return None
        status, answer = self.moto_says(environ, request.parameters)
        if status == 200:
            now = time.time()
            answer.update({key: now - value if key.endswith("Time") else value for key, value in self.known["trail"].items()})
            conform("cloudtrail", "GetTrailStatus", answer)
        return server.answer(start_response, status, "application/x-amz-json-1.1", json.dumps(answer).encode())

    def of_ec2(self, environ, request, region, start_response):
        if request.operation != "DescribeFlowLogs" or "flow_logs" not in self.known:
            return None
        status, text = self.collect(environ, request.body)
        for field, value in self.known["flow_logs"].items():
            text = with_element(text.decode(), field, value).encode()
        return server.answer(start_response, status, "text/xml", text)

    def of_inspector2(self, environ, request, region, start_response):
        if environ["PATH_INFO"] != "/findings/list":
            return None
        answer = conform("inspector2", "ListFindings", {"findings": self.known.get("findings", [])})
        return server.answer(start_response, 200, "application/json", json.dumps(answer).encode())

    def of_lambda(self, environ, request, region, start_response):
        if not environ["PATH_INFO"].endswith("/provisioned-concurrency") or "provisioned" not in self.known:
            return None
        answer = conform("lambda", "GetProvisionedConcurrencyConfig", self.known["provisioned"])
        return server.answer(start_response, 200, "application/json", json.dumps(answer).encode())


def with_element(text, name, value):
    """The same document, with this in each item."""
    without = re.sub(f"<{name}>[^<]*</{name}>", "", text)
    return without.replace("<flowLogId>", f"<{name}>{value}</{name}><flowLogId>")


if __name__ == "__main__":
    server.main(Account())
