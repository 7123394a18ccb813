"""Builds the shop's estate as `probes/estate.yaml` wants it, on an endpoint, or changes one setting of it for the worse.

    python shop.py http://127.0.0.1:PORT build        prints what leads the probes to it, as JSON
    python shop.py http://127.0.0.1:PORT worsen NAME
    python shop.py http://127.0.0.1:PORT mend NAME
"""

import io
import json
import sys
import zipfile

import boto3

REGION = "us-east-1"
STAGE = "arn:aws:apigateway:us-east-1::/restapis/a1b2c3d4e5/stages/prod"
CACHE, ORIGIN = "658327ea-f89d-4fab-a63d-7e88639e58f6", "216adef5-5c7f-47e4-b989-5492eafa07d3"
FIREWALL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop/0a1b2c3d"


def client(service):
    return boto3.client(
        service, region_name=REGION, endpoint_url=sys.argv[1], aws_access_key_id="AKIDTEST", aws_secret_access_key="x"
    )


def table(name, **more):
    client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        **more,
    )


def users(**changed):
    settings = {
        "BillingMode": "PAY_PER_REQUEST",
        "SSESpecification": {"Enabled": True, "SSEType": "KMS"},
        "DeletionProtectionEnabled": True,
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by-id",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }
    table("Users", **{**settings, **changed})


def recovery(on):
    client("dynamodb").update_continuous_backups(
        TableName="Users", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": on}
    )


def again(**changed):
    """The same table with another setting: some cannot be changed, and a new table has no recovery yet."""
    dynamodb = client("dynamodb")
    dynamodb.update_table(TableName="Users", DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName="Users")
    users(**changed)
    recovery(True)


def cleanup(on):
    client("dynamodb").update_time_to_live(
        TableName="Sessions", TimeToLiveSpecification={"Enabled": on, "AttributeName": "expires"}
    )


def bucket(name):
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    encryption(name, "aws:kms")
    versions(name, "Enabled")
    privacy(name, True)


def encryption(name, algorithm):
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]
    client("s3").put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})


def versions(name, status):
    client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})


def privacy(name, on):
    keys = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    client("s3").put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(keys, on))


def trail(**changed):
    client("cloudtrail").update_trail(Name="shop", **changed)


def distribution():
    behavior = {
        "TargetOriginId": "media",
        "ViewerProtocolPolicy": "https-only",
        "CachePolicyId": CACHE,
        "OriginRequestPolicyId": ORIGIN,
        "Compress": True,
    }
    origin = {"Id": "media", "DomainName": "shop-media.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
    config = {
        "CallerReference": "shop",
        "Comment": "the shop",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behavior,
        "WebACLId": FIREWALL,
    }
    return client("cloudfront").create_distribution(DistributionConfig=config)["Distribution"]["Id"]


def of_distribution(change):
    cloudfront = client("cloudfront")
    id = cloudfront.list_distributions()["DistributionList"]["Items"][0]["Id"]
    found = cloudfront.get_distribution_config(Id=id)
    config = found["DistributionConfig"]
    change(config)
    cloudfront.update_distribution(Id=id, IfMatch=found["ETag"], DistributionConfig=config)


def behavior(**changed):
    of_distribution(lambda config: config["DefaultCacheBehavior"].update(changed))


def function(**changed):
    client("lambda").update_function_configuration(FunctionName="shop-api", **changed)


def make_function():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("main.py", "def handle(event, context): pass\n")
    role = client("iam").create_role(RoleName="shop-api", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="shop-api",
        Runtime="python3.12",
        Role=role,
        Handler="main.handle",
        Code={"ZipFile": archive.getvalue()},
        MemorySize=1024,
        Timeout=60,
        EphemeralStorage={"Size": 512},
    )


def reserved(count):
    client("lambda").put_function_concurrency(FunctionName="shop-api", ReservedConcurrentExecutions=count)


def endpoint(service, vpc):
    made = client("ec2").create_vpc_endpoint(
        VpcId=vpc, VpcEndpointType="Gateway", ServiceName=f"com.amazonaws.{REGION}.{service}"
    )
    return made["VpcEndpoint"]["VpcEndpointId"]


def vpc():
    return client("ec2").describe_vpcs(Filters=[{"Name": "cidr", "Values": ["10.7.0.0/16"]}])["Vpcs"][0]["VpcId"]


def without_endpoint():
    found = client("ec2").describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [vpc()]}])["VpcEndpoints"]
    gone = [one["VpcEndpointId"] for one in found if one["ServiceName"].endswith(".dynamodb")]
    client("ec2").delete_vpc_endpoints(VpcEndpointIds=gone)


def firewall(on):
    waf = client("wafv2")
    if on:
        waf.associate_web_acl(WebACLArn=waf.list_web_acls(Scope="REGIONAL")["WebACLs"][0]["ARN"], ResourceArn=STAGE)
    else:
        waf.disassociate_web_acl(ResourceArn=STAGE)


def make_firewall():
    seen = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "shop"}
    client("wafv2").create_web_acl(
        Name="shop", Scope="REGIONAL", DefaultAction={"Allow": {}}, VisibilityConfig=seen, Rules=[]
    )


def build():
    users()
    recovery(True)
    table("Sessions", BillingMode="PAY_PER_REQUEST")
    cleanup(True)
    network = client("ec2").create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    endpoint("dynamodb", network)
    endpoint("s3", network)
    bucket("shop-media")
    bucket("backup-bucket")
    client("s3").create_bucket(Bucket="trails")
    client("cloudtrail").create_trail(
        Name="shop",
        S3BucketName="trails",
        IsMultiRegionTrail=True,
        EnableLogFileValidation=True,
        IncludeGlobalServiceEvents=True,
    )
    make_function()
    reserved(100)
    make_firewall()
    firewall(True)
    print(json.dumps({"SHOP_VPC": network, "SHOP_DISTRIBUTION": distribution()}))


# What makes a setting worse, and what makes it well again.
FAULTS = {
    "encryption": (lambda: again(SSESpecification={"Enabled": False}), again),
    "billing": (
        lambda: again(
            BillingMode="PROVISIONED",
            ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-id",
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
                }
            ],
        ),
        again,
    ),
    "protection": (lambda: again(DeletionProtectionEnabled=False), again),
    "recovery": (lambda: recovery(False), lambda: recovery(True)),
    "cleanup": (lambda: cleanup(False), lambda: cleanup(True)),
    "endpoint": (without_endpoint, lambda: endpoint("dynamodb", vpc())),
    "bucket encryption": (lambda: encryption("shop-media", "AES256"), lambda: encryption("shop-media", "aws:kms")),
    "bucket versions": (lambda: versions("backup-bucket", "Suspended"), lambda: versions("backup-bucket", "Enabled")),
    "bucket privacy": (lambda: privacy("shop-media", False), lambda: privacy("shop-media", True)),
    "trail region": (lambda: trail(IsMultiRegionTrail=False), lambda: trail(IsMultiRegionTrail=True)),
    "trail validation": (lambda: trail(EnableLogFileValidation=False), lambda: trail(EnableLogFileValidation=True)),
    "distribution protocol": (
        lambda: behavior(ViewerProtocolPolicy="allow-all"),
        lambda: behavior(ViewerProtocolPolicy="https-only"),
    ),
    "distribution compression": (lambda: behavior(Compress=False), lambda: behavior(Compress=True)),
    "distribution firewall": (
        lambda: of_distribution(lambda config: config.update(WebACLId="")),
        lambda: of_distribution(lambda config: config.update(WebACLId=FIREWALL)),
    ),
    "function memory": (lambda: function(MemorySize=512), lambda: function(MemorySize=1024)),
    "function timeout": (lambda: function(Timeout=3), lambda: function(Timeout=60)),
    "function concurrency": (lambda: reserved(10), lambda: reserved(100)),
    "firewall": (lambda: firewall(False), lambda: firewall(True)),
}

if __name__ == "__main__":
    match sys.argv[2:]:
        case ["build"]:
            build()
        case ["worsen", name]:
            FAULTS[name][0]()
        case ["mend", name]:
            FAULTS[name][1]()
        case ["faults"]:
            print(json.dumps(list(FAULTS)))
