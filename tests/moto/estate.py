"""The AWS of an estate with backups: moto behind its layer (`server.py`), with what moto lacks of backups.

* `LatestRestorableDateTime`, which moves; on-demand backups and recovery points of any age and size, in pages; a mirror whose
  objects are old; restores that take their time and may lose what they restore.
* Every answer that is made here, or altered, is held against the service's model in botocore.

`POST /_estate` replaces what is known (every key may be absent):

    {"lag_s": 300,                            how far recovery is behind
     "backups": {"us-east-1/Users": [{"age_s": 7200, "bytes": 1000, "status": "AVAILABLE"}]},
     "points": {"us-west-2/main": [{"age_s": 7200, "bytes": 1000, "status": "COMPLETED", "days": 35}]},
                                              or the code with which the vault is refused
     "mirror": {"bucket/key": 3600},          how old objects are, in seconds
     "replication": {"bucket/key": "FAILED"},
     "restore_s": 3,                          how long a restore takes
     "loses": true}                           whether it loses what it restores
"""

import datetime
import json
import re
import time

from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends

import model
import server

ACCOUNT = "123456789012"
PAGE = 10


def conform(service, operation, answer):
    """The answer, which must be one that the service's model has."""
    wrong = model.complaints_of_answer(service, operation, answer)
    # The least numbers of a model are for what is asked: a table that was never scaled down answers with 0.
    wrong = [line for line in wrong if "valid min value" not in line]
    if wrong:
        raise AssertionError(f"{operation}: {wrong}")
    return answer


class Estate(server.Layer):
    """Stands before moto, as the layer does, and knows of backups."""

    def __init__(self):
        super().__init__()
        self.known = {}
        self.ready = {}

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/_estate":
            self.known = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            self.age_mirror()
            return server.answer(start_response, 200, "application/json", b"{}")
        return super().__call__(environ, start_response)

    def age_mirror(self):
        for place, age_s in self.known.get("mirror", {}).items():
            bucket, key = place.split("/", 1)
            made = s3_backends[ACCOUNT]["aws"].buckets[bucket].keys[key]
            made.last_modified = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(
                seconds=age_s
            )

    def serve(self, environ, request, start_response):
        service, region = request.asked.service, region_of(environ)
        own = getattr(self, request.operation, None) if service in ("dynamodb", "backup") else None
        if own is not None:
            status, answer = own(environ, request.parameters, region)
            if status == 200:
                conform(service, request.operation, answer)
            return server.answer(start_response, status, "application/x-amz-json-1.0", json.dumps(answer).encode())
        if service == "s3" and request.operation == "HeadObject":
            start_response = self.replicated(request.parameters, start_response)
        return super().serve(environ, request, start_response)

    def replicated(self, parameters, start_response):
        """Says what is known of the replication of an object."""
        status = self.known.get("replication", {}).get(f"{parameters['Bucket']}/{parameters['Key']}")
        more = [("x-amz-replication-status", status)] if status else []
        return lambda line, headers, exc_info=None: start_response(line, [*headers, *more], exc_info)

    def moto_says(self, environ, parameters):
        status, text = self.collect(environ, json.dumps(parameters).encode())
        return status, json.loads(text)

    def DescribeContinuousBackups(self, environ, parameters, region):
        status, answer = self.moto_says(environ, parameters)
        described = answer.get("ContinuousBackupsDescription", {}).get("PointInTimeRecoveryDescription", {})
        if described.get("PointInTimeRecoveryStatus") == "ENABLED":
            now = time.time()
            described["LatestRestorableDateTime"] = now - self.known.get("lag_s", 300)
            described["EarliestRestorableDateTime"] = now - described["RecoveryPeriodInDays"] * 86_400
        return status, answer

    def ListBackups(self, environ, parameters, region):
        table, now = parameters["TableName"], time.time()
        made = self.known.get("backups", {}).get(f"{region}/{table}", [])
        arn = f"arn:aws:dynamodb:{region}:{ACCOUNT}:table/{table}"
        all = [
            {
                "TableName": table,
                "TableArn": arn,
                "BackupArn": f"{arn}/backup/{number:017}-0a1b2c3d",
                "BackupName": f"nightly-{number}",
                "BackupCreationDateTime": now - backup["age_s"],
                "BackupStatus": backup.get("status", "AVAILABLE"),
                "BackupType": "USER",
                "BackupSizeBytes": backup["bytes"],
            }
            for number, backup in enumerate(made)
            if now - backup["age_s"] >= parameters.get("TimeRangeLowerBound", 0)
        ]
        after = parameters.get("ExclusiveStartBackupArn")
        start = next((at + 1 for at, backup in enumerate(all) if backup["BackupArn"] == after), 0)
        page = all[start : start + PAGE]
        answer = {"BackupSummaries": page}
        if start + PAGE < len(all):
            answer["LastEvaluatedBackupArn"] = page[-1]["BackupArn"]
        return 200, answer

    def RestoreTableToPointInTime(self, environ, parameters, region):
        table = dynamodb_backends[ACCOUNT][region].tables.get(parameters["SourceTableName"])
        described = table and table.continuous_backups["PointInTimeRecoveryDescription"]
        if described and described["PointInTimeRecoveryStatus"] != "ENABLED":
            return refusal("PointInTimeRecoveryUnavailableException", "Point in time recovery is not enabled")
        return self.restored(environ, parameters, region)

    def RestoreTableFromBackup(self, environ, parameters, region):
        source = re.search(r":table/([^/]+)/backup/", parameters["BackupArn"]).group(1)
        headers = {**environ, "HTTP_X_AMZ_TARGET": "DynamoDB_20120810.RestoreTableToPointInTime"}
        target = {"SourceTableName": source, "TargetTableName": parameters["TargetTableName"]}
        status, answer = self.restored(headers, target, region)
        if status == 200:
            answer["TableDescription"]["RestoreSummary"]["SourceBackupArn"] = parameters["BackupArn"]
        return status, answer

    def restored(self, environ, parameters, region):
        target = parameters["TargetTableName"]
        status, answer = self.moto_says(environ, parameters)
        if status == 200:
            self.ready[target] = time.monotonic() + self.known.get("restore_s", 0)
            if self.known.get("loses"):
                dynamodb_backends[ACCOUNT][region].tables[target].items.clear()
            self.unready(answer["TableDescription"])
        return status, answer

    def unready(self, table):
        """A table that is still being restored says so."""
        if time.monotonic() < self.ready.get(table["TableName"], 0):
            table["TableStatus"] = "CREATING"
            table["RestoreSummary"]["RestoreInProgress"] = True
            return True
        return False

    def DescribeTable(self, environ, parameters, region):
        status, answer = self.moto_says(environ, parameters)
        if status == 200:
            self.unready(answer["Table"])
        return status, answer

    def DeleteTable(self, environ, parameters, region):
        if time.monotonic() < self.ready.get(parameters["TableName"], 0):
            return refusal("ResourceInUseException", "Attempt to change a resource which is still in use: Table is being created")
        return self.moto_says(environ, parameters)

    def ListRecoveryPointsByBackupVault(self, environ, parameters, region):
        vault, now = parameters["BackupVaultName"], time.time()
        made = self.known.get("points", {}).get(f"{region}/{vault}")
        if made is None:
            # Its reference has ResourceNotFoundException; this is what the service is known to answer.
            return refusal("AccessDeniedException", "Insufficient privileges to perform this action.", 403)
        if isinstance(made, str):
            return refusal(made, f"Backup vault {vault} not found")
        after = parameters["ByCreatedAfter"].timestamp() if "ByCreatedAfter" in parameters else 0
        all = [
            {
                "RecoveryPointArn": f"arn:aws:backup:{region}:{ACCOUNT}:recovery-point:{number:08}",
                "BackupVaultName": vault,
                "ResourceArn": parameters.get("ByResourceArn", f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/Users"),
                "ResourceType": "DynamoDB",
                "Status": point.get("status", "COMPLETED"),
                "CreationDate": now - point["age_s"],
                "BackupSizeInBytes": point["bytes"],
                "Lifecycle": {"DeleteAfterDays": point["days"]},
            }
            for number, point in enumerate(made)
            if now - point["age_s"] >= after
        ]
        start = int(parameters.get("NextToken", 0))
        answer = {"RecoveryPoints": all[start : start + PAGE]}
        if start + PAGE < len(all):
            answer["NextToken"] = str(start + PAGE)
        return 200, answer


def region_of(environ):
    """The region that the signature names."""
    named = re.search(r"Credential=[^/]+/\d+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return named.group(1) if named else ""


def refusal(code, message, status=400):
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}


if __name__ == "__main__":
    server.main(Estate())
