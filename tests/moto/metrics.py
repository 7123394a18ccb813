"""GetMetricData as CloudWatch answers it: with percentiles, metric math and pages, which moto has not.

What there is to ask for is put down with `POST /_metrics`, in place of what was there:

    {"metrics": [{"metric": "AWS/Lambda/Errors", "dimensions": {"FunctionName": "shop-api"},
                  "samples": [[90, 1.0], [150, 2.0]]}],
     "page": 1, "status": "Forbidden"}

`samples` are how many seconds ago each was, and its value. `page` is how many values a page has; with math there is only one,
which is then a part. `status` is that of the result. Without such a request moto itself answers.
"""

import ast
import datetime
import math
import operator
import re

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: operator.pow}


def statistic(name, samples):
    """One value for the samples of a period."""
    if name == "Sum":
        return sum(samples)
    if name == "Average":
        return sum(samples) / len(samples)
    if name == "SampleCount":
        return float(len(samples))
    if name in ("Minimum", "Maximum"):
        return (min if name == "Minimum" else max)(samples)
    share = float(re.fullmatch(r"p(\d+(?:\.\d+)?)", name).group(1))
    return sorted(samples)[max(0, math.ceil(share / 100 * len(samples)) - 1)]


class NoValue(Exception):
    """A metric has no value in a period."""


class Metrics:
    """What there is to ask for."""

    def __init__(self):
        self.told = None

    def put(self, told):
        self.told = told

    def answers(self):
        return self.told is not None

    def series(self, stat, start, end):
        """The values of a metric by the beginning of their period."""
        period, wanted = int(stat["Period"]), stat["Metric"]
        dimensions = {dimension["Name"]: dimension["Value"] for dimension in wanted.get("Dimensions", [])}
        now = datetime.datetime.now(datetime.timezone.utc).timestamp()
        periods = {}
        for metric in self.told["metrics"]:
            namespace, _, name = metric["metric"].rpartition("/")
            known = (namespace, name, metric.get("dimensions", {}))
            if known != (wanted["Namespace"], wanted["MetricName"], dimensions):
                continue
            for ago, value in metric["samples"]:
                at = now - ago
                if start <= at < end:
                    periods.setdefault(start + (at - start) // period * period, []).append(value)
        return {began: statistic(stat["Stat"], samples) for began, samples in periods.items()}

    def answer(self, parameters):
        """The answer to GetMetricData, with times in seconds since 1970."""
        start, end = (float(parameters[key]) for key in ("StartTime", "EndTime"))
        queries = parameters["MetricDataQueries"]
        known = {query["Id"]: self.series(query["MetricStat"], start, end) for query in queries if "MetricStat" in query}
        results, token = [], None
        for query in queries:
            if query.get("ReturnData", True) is False:
                continue
            is_math = "Expression" in query
            points, messages = calculated(query["Expression"], known) if is_math else (known[query["Id"]], [])
            points = sorted(points.items(), reverse=parameters.get("ScanBy") != "TimestampAscending")
            page, first = self.told.get("page", len(points)), int(parameters.get("NextToken", 0))
            shown, rest = points[first:first + page], points[first + page:]
            if rest and not is_math:
                token = str(first + page)
            results.append({
                "Id": query["Id"],
                "Label": query.get("Label", query["Id"]),
                "Timestamps": [began for began, _ in shown],
                "Values": [float(value) for _, value in shown],
                "StatusCode": self.told.get("status", "PartialData" if rest else "Complete"),
                "Messages": messages,
            })
        answered = {"MetricDataResults": results, "Messages": []}
        return answered if token is None else {**answered, "NextToken": token}


def calculated(expression, known):
    """The values of an expression, and what is to be said of those that are no number."""
    tree = ast.parse(expression.replace("^", "**"), mode="eval").body
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & known.keys()
    points, dropped = {}, False
    for began in sorted({began for name in named for began in known[name]}):
        try:
            points[began] = evaluate(tree, known, began)
        except NoValue:
            continue
        except ZeroDivisionError:
            dropped = True
    message = "One or more data-points have been dropped due to non-numeric values (NaN, -Infinite, +Infinite)"
    return points, [{"Code": "ArithmeticError", "Value": message}] if dropped else []


def evaluate(tree, known, began):
    """One value."""
    if isinstance(tree, ast.Constant):
        return float(tree.value)
    if isinstance(tree, ast.Name):
        if began not in known[tree.id]:
            raise NoValue
        return known[tree.id][began]
    if isinstance(tree, ast.BinOp):
        return OPERATORS[type(tree.op)](evaluate(tree.left, known, began), evaluate(tree.right, known, began))
    if isinstance(tree, ast.Call) and tree.func.id == "FILL":
        return known[tree.args[0].id].get(began, float(tree.args[1].value))
    raise ValueError(ast.dump(tree))
