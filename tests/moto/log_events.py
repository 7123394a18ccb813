"""FilterLogEvents as CloudWatch Logs answers it: newest first where that is asked for, which moto does not know."""

import json


def newest_first(request):
    """Whether moto would answer in the wrong order."""
    return request.operation == "FilterLogEvents" and request.parameters.get("startFromHead") is False


def asked_of_moto(parameters):
    """The question that moto understands: all events at once."""
    return {key: value for key, value in parameters.items() if key not in ("startFromHead", "limit", "nextToken")}


def page(text, parameters):
    """The page that was asked for, of all events as moto gave them."""
    answered = json.loads(text)
    events = sorted(answered["events"], key=lambda event: event["timestamp"], reverse=True)
    first = int(parameters.get("nextToken", 0))
    last = first + parameters.get("limit", len(events))
    answered["events"] = events[first:last]
    answered.pop("nextToken", None)
    if last < len(events):
        answered["nextToken"] = str(last)
    return json.dumps(answered).encode()
