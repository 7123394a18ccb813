"""Whether a policy allows what a request asks.

What there is to be allowed is AWS's service authorization reference, which cfn-lint brings with it: the actions of each service, and
what they are asked of. So from the program under test comes nothing but its policy. An action that knows no resource is asked of
`*`, and a policy that allows it on anything narrower allows nothing, as with AWS. What is reckoned here to be the ARN of what an
action is asked of is held against that reference too.
"""

import functools
import importlib.resources
import json
import re

ACCOUNT = "123456789012"

# How policies call a service, where botocore calls it otherwise.
PREFIXES = {
    "apigatewayv2": "apigateway",
    "dynamodbstreams": "dynamodb",
    "efs": "elasticfilesystem",
    "elbv2": "elasticloadbalancing",
    "opensearch": "es",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
    "sesv2": "ses",
    "stepfunctions": "states",
}

# Actions that policies call otherwise than the service calls the operation.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS = {
    ("lambda", "Invoke"): "InvokeFunction",
    ("s3", "GetBucketEncryption"): "GetEncryptionConfiguration",
    ("s3", "GetBucketLifecycleConfiguration"): "GetLifecycleConfiguration",
    ("s3", "GetBucketNotificationConfiguration"): "GetBucketNotification",
    ("s3", "GetBucketReplication"): "GetReplicationConfiguration",
    ("s3", "GetPublicAccessBlock"): "GetBucketPublicAccessBlock",
    ("s3", "HeadBucket"): "ListBucket",
    ("s3", "HeadObject"): "GetObject",
    ("s3", "ListBuckets"): "ListAllMyBuckets",
    ("s3", "ListObjectVersions"): "ListBucketVersions",
    ("s3", "ListObjects"): "ListBucket",
    ("s3", "ListObjectsV2"): "ListBucket",
}


@functools.cache
def reference():
    return json.loads(importlib.resources.files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text())


def action_of(service, operation):
    prefix = PREFIXES.get(service, service)
    name = ACTIONS.get((service, operation), operation)
    known = reference()[prefix]["Actions"]
    if name.lower() not in known:
        raise LookupError(f"{prefix}:{name} is no action of AWS")
    return f"{prefix}:{name}", known[name.lower()].get("Resources") or []


def arn(service, region, resource):
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def named(text, service, region, before):
    """The ARN of what is named by it or by its name."""
    return text if text.startswith("arn:") else arn(service, region, before + text)


# What DynamoDB does in the caller's name to a table that it restores.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/backuprestore_IAM.html
RESTORED = ("BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")


def demands(service, operation, parameters, region):
    """Each action that has to be allowed, and on what."""
    action, kinds = action_of(service, operation)
    if service == "dynamodb" and operation.startswith("RestoreTable"):
        source = parameters.get("SourceTableName")
        yield action, arn("dynamodb", region, f"table/{source}") if source else parameters["BackupArn"]
        target = arn("dynamodb", region, f"table/{parameters['TargetTableName']}")
        yield from ((f"dynamodb:{name}", target) for name in RESTORED)
    else:
        yield action, held(action, kinds, resource_of(service, operation, kinds, parameters, region)) if kinds else "*"


def held(action, kinds, resource):
    """The ARN, which must be one of what the action is asked of."""
    known = reference()[action.split(":")[0]]["Resources"]
    forms = [form for kind in kinds for form in known[kind.lower()]["ARNFormats"]]
    if resource != "*" and not any(re.fullmatch(as_pattern(form), resource) for form in forms):
        raise LookupError(f"{action} is asked of one of {forms}, and not of {resource}")
    return resource


def as_pattern(form):
    form = form.replace(":*:", ":[^:]*:")
    for part, pattern in (("Partition", "aws"), ("Vendor", "[a-z0-9-]+"), ("Region", "[a-z0-9-]+"), ("Account", "[0-9]{12}")):
        form = form.replace(f"${{{part}}}", pattern)
    return form


def resource_of(service, operation, kinds, parameters, region):
    """The ARN of what a request is asked of, as the service sees it; `*` where it names nothing."""

    def first(*names):
        return next((parameters[name] for name in names if parameters.get(name)), None)

    if service == "s3":
        bucket, key = first("Bucket"), first("Key")
        return f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "") if bucket else "*"
    if service == "sqs":
        url, name = first("QueueUrl"), first("QueueName")
        return arn("sqs", region, url.rsplit("/", 1)[-1] if url else name) if url or name else "*"
    if service == "secretsmanager":
        secret = first("SecretId")
        # AWS puts six characters behind the name.
        return named(secret, service, region, "secret:") + ("" if secret.startswith("arn:") else "-Ab12Cd") if secret else "*"
    if service == "logs":
        group = first("logGroupName", "logGroupIdentifier", "logGroupNamePrefix")
        if operation == "PutLogEvents":
            return arn("logs", region, f"log-group:{group}:log-stream:{first('logStreamName')}")
        return (group if group.startswith("arn:") else arn("logs", region, f"log-group:{group}:")) if group else "*"
    if service == "backup" and "recoveryPoint" in kinds:
        return first("RecoveryPointArn") or "*"
    if service == "cloudfront":
        found = first("Id", "DistributionId")
        return f"arn:aws:cloudfront::{ACCOUNT}:{kinds[0]}/{found}" if found else "*"
    if service == "lambda":
        found, qualifier = first("FunctionName"), first("Qualifier")
        whole = named(found, service, region, "function:") if found else "*"
        return f"{whole}:{qualifier}" if qualifier and whole.count(":") == 6 else whole
    if service == "ecs":
        kind, cluster = kinds[0], (first("cluster") or "default").rsplit("/", 1)[-1]
        one = next(iter(first(f"{kind}s") or []), None)
        return arn("ecs", region, f"{kind}/{cluster}/{one.rsplit('/', 1)[-1]}") if one else "*"
    if service == "kms" and "alias/" in (first("KeyId") or ""):
        # AWS holds a policy against the key that the alias means.
        return arn("kms", region, "key/1234abcd-12ab-34cd-56ef-1234567890ab")
    if service == "iam":
        user = first("UserName")
        return f"arn:aws:iam::{ACCOUNT}:user/{user}" if user else "*"
    for of, names, before in (
        ("backup", ("BackupVaultName",), "backup-vault:"),
        ("cloudtrail", ("Name", "TrailName"), "trail/"),
        ("cognito-idp", ("UserPoolId",), "userpool/"),
        ("dynamodb", ("BackupArn", "TableName"), "table/"),
        ("kms", ("KeyId",), "key/"),
        ("sns", ("TopicArn",), ""),
        ("ssm", ("Name",), "parameter/"),
    ):
        found = first(*names) if of == service else None
        if found:
            return named(found, service, region, before)
    return "*"


def matches(pattern, text):
    """IAM's own wildcards."""
    parts = [{"*": ".*", "?": "."}.get(part, re.escape(part)) for part in re.split(r"([*?])", pattern)]
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def listed(value):
    return value if isinstance(value, list) else [value]


class Policy:
    """A policy, and of whose key it is."""

    def __init__(self, key, document):
        self.key, self.statements = key, document["Statement"]

    def denies(self, environ, asked, operation, parameters):
        """What is not allowed of a request, in AWS's words; nothing where it is allowed or somebody else's."""
        scope = re.search(r"Credential=([^/,]+)/\d+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        if not scope or scope.group(1) != self.key or asked.service is None:
            return None
        context = {"cloudwatch:namespace": parameters.get("Namespace")}
        for action, resource in demands(asked.service, asked.operation or operation, parameters, scope.group(2)):
            if not any(self.allows(statement, action, resource, context) for statement in self.statements):
                who = f"User: arn:aws:iam::{ACCOUNT}:user/roundsman is not authorized to perform: {action}"
                return f"{who} on resource: {resource} because no identity-based policy allows the {action} action"
        return None

    @staticmethod
    def allows(statement, action, resource, context):
        if statement["Effect"] != "Allow":
            return False
        conditions = statement.get("Condition", {}).get("StringEquals", {})
        return (
            any(matches(pattern.lower(), action.lower()) for pattern in listed(statement["Action"]))
            and any(matches(pattern, resource) for pattern in listed(statement["Resource"]))
            and all(context.get(key) in listed(values) for key, values in conditions.items())
        )
