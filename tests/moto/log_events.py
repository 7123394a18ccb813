"""FilterLogEvents as CloudWatch Logs answers it: newest first where that is asked for, which moto does not know."""


def asked_of_moto(parameters):
    """The question that moto understands: all events at once."""
    return {key: value for key, value in parameters.items() if key not in ("startFromHead", "limit", "nextToken")}


def page(answered, parameters):
    """The one page that was asked for, of all events as moto gave them."""
    is_newest_first = parameters.get("startFromHead") is False
    events = sorted(answered["events"], key=lambda event: event["timestamp"], reverse=is_newest_first)
    limit = parameters.get("limit", len(events))
    found = {"events": events[:limit], "searchedLogStreams": []}
    # More would come on the next page.
    return {**found, "nextToken": "1000"} if limit < len(events) else found
