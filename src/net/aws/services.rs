//! The services of AWS that are spoken to: where each is, what it speaks, and how signatures and policies call it. The rows
//! are AWS's own (its service models), and a test holds them against those.

/// What a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A POST of JSON, with the action in a header.
    Json {
        /// What stands before the action there.
        target: &'static str,
        /// `1.0` or `1.1`.
        version: &'static str,
    },
    /// Methods and paths, JSON within.
    RestJson,
    /// A POST of a form, XML in return.
    Query {
        /// The version of the API.
        version: &'static str,
    },
    /// The same in the dialect of EC2, whose lists are flat.
    Ec2 {
        /// The version of the API.
        version: &'static str,
    },
    /// Methods and paths, XML within.
    RestXml,
}

impl Protocol {
    /// Whether a call has a method and a path.
    pub fn is_rest(self) -> bool {
        matches!(self, Self::RestJson | Self::RestXml)
    }

    /// Whether it answers in XML.
    pub fn is_xml(self) -> bool {
        matches!(self, Self::Query { .. } | Self::Ec2 { .. } | Self::RestXml)
    }
}

/// Where a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// In every region.
    Regions,
    /// Once, in `us-east-1`, at a host that names no region.
    World,
    /// Once, in `us-east-1`, at a host that says so.
    One,
}

/// A service.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, that of the AWS CLI.
    pub name: &'static str,
    /// What it speaks.
    pub protocol: Protocol,
    /// How its host begins.
    pub host: &'static str,
    /// How signatures call it.
    pub signing: &'static str,
    /// How policies call it.
    pub policy: &'static str,
    reach: Reach,
}

/// The region of what AWS has only once.
const HOME: &str = "us-east-1";

/// A part of AWS that knows nothing of the others.
struct Partition {
    /// How its regions begin.
    regions: &'static str,
    /// Its name in ARNs.
    name: &'static str,
    /// How its hosts end.
    domain: &'static str,
}

/// The parts of AWS; the last one is the one that everybody means.
static PARTITIONS: [Partition; 8] = [
    Partition { regions: "cn-", name: "aws-cn", domain: "amazonaws.com.cn" },
    Partition { regions: "us-gov-", name: "aws-us-gov", domain: "amazonaws.com" },
    Partition { regions: "us-iso-", name: "aws-iso", domain: "c2s.ic.gov" },
    Partition { regions: "us-isob-", name: "aws-iso-b", domain: "sc2s.sgov.gov" },
    Partition { regions: "eu-isoe-", name: "aws-iso-e", domain: "cloud.adc-e.uk" },
    Partition { regions: "us-isof-", name: "aws-iso-f", domain: "csp.hci.ic.gov" },
    Partition { regions: "eusc-", name: "aws-eusc", domain: "amazonaws.eu" },
    Partition { regions: "", name: "aws", domain: "amazonaws.com" },
];

fn partition_of(region: &str) -> &'static Partition {
    let found = PARTITIONS.iter().find(|partition| region.starts_with(partition.regions));
    found.unwrap_or(&PARTITIONS[PARTITIONS.len() - 1])
}

/// The name that ARNs have for the part of AWS in which a region is: `aws`, `aws-cn`, …
pub fn partition(region: &str) -> &'static str {
    partition_of(region).name
}

impl Service {
    const fn new(name: &'static str, protocol: Protocol) -> Self {
        Self { name, protocol, host: name, signing: name, policy: name, reach: Reach::Regions }
    }

    /// Hosts, signatures and policies call it otherwise than the CLI.
    const fn called(self, name: &'static str) -> Self {
        Self { host: name, signing: name, policy: name, ..self }
    }

    const fn at(self, host: &'static str) -> Self {
        Self { host, ..self }
    }

    const fn in_policies(self, policy: &'static str) -> Self {
        Self { policy, ..self }
    }

    const fn of(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// The region that signatures name when it is asked in a region: what AWS has only once is signed for where it is. Of the
    /// parts of AWS beside the usual one nothing is known, so there it is as written.
    pub fn signing_region<'a>(&self, region: &'a str) -> &'a str {
        if self.is_once(region) { HOME } else { region }
    }

    /// Where it listens for a region.
    pub fn url(&self, region: &str) -> String {
        let (host, domain) = (self.host, partition_of(region).domain);
        match self.reach {
            Reach::World if self.is_once(region) => format!("https://{host}.{domain}"),
            _ => format!("https://{host}.{}.{domain}", self.signing_region(region)),
        }
    }

    fn is_once(&self, region: &str) -> bool {
        self.reach != Reach::Regions && partition(region) == "aws"
    }
}

const fn json(name: &'static str, version: &'static str, target: &'static str) -> Service {
    Service::new(name, Protocol::Json { target, version })
}

const fn query(name: &'static str, version: &'static str) -> Service {
    Service::new(name, Protocol::Query { version })
}

const fn rest_json(name: &'static str) -> Service {
    Service::new(name, Protocol::RestJson)
}

const fn rest_xml(name: &'static str) -> Service {
    Service::new(name, Protocol::RestXml)
}

macro_rules! services {
    ($($name:ident = $row:expr,)*) => {
        $(#[doc = concat!("The service `", stringify!($name), "`, whose name here is in lower case.")] pub static $name: Service = $row;)*

        /// Every service that is known.
        pub static SERVICES: &[&Service] = &[$(&$name,)*];
    };
}

services! {
    ACM = json("acm", "1.1", "CertificateManager"),
    APIGATEWAY = rest_json("apigateway"),
    APIGATEWAYV2 = rest_json("apigatewayv2").called("apigateway"),
    APPLICATION_AUTOSCALING = json("application-autoscaling", "1.1", "AnyScaleFrontendService"),
    ATHENA = json("athena", "1.1", "AmazonAthena"),
    AUTOSCALING = query("autoscaling", "2011-01-01"),
    BACKUP = rest_json("backup"),
    CE = json("ce", "1.1", "AWSInsightsIndexService").of(Reach::One),
    CLOUDFORMATION = query("cloudformation", "2010-05-15"),
    CLOUDFRONT = rest_xml("cloudfront").of(Reach::World),
    CLOUDTRAIL = json("cloudtrail", "1.1", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"),
    CLOUDWATCH = json("cloudwatch", "1.0", "GraniteServiceVersion20100801").called("monitoring").in_policies("cloudwatch"),
    CODEBUILD = json("codebuild", "1.1", "CodeBuild_20161006"),
    CODEDEPLOY = json("codedeploy", "1.1", "CodeDeploy_20141006"),
    CODEPIPELINE = json("codepipeline", "1.1", "CodePipeline_20150709"),
    COGNITO_IDENTITY = json("cognito-identity", "1.1", "AWSCognitoIdentityService"),
    COGNITO_IDP = json("cognito-idp", "1.1", "AWSCognitoIdentityProviderService"),
    CONFIG = json("config", "1.1", "StarlingDoveService"),
    DYNAMODB = json("dynamodb", "1.0", "DynamoDB_20120810"),
    DYNAMODBSTREAMS = json("dynamodbstreams", "1.0", "DynamoDBStreams_20120810").called("dynamodb").at("streams.dynamodb"),
    EC2 = Service::new("ec2", Protocol::Ec2 { version: "2016-11-15" }),
    ECR = json("ecr", "1.1", "AmazonEC2ContainerRegistry_V20150921").at("api.ecr"),
    ECS = json("ecs", "1.1", "AmazonEC2ContainerServiceV20141113"),
    EFS = rest_json("efs").called("elasticfilesystem"),
    EKS = rest_json("eks"),
    ELASTICACHE = query("elasticache", "2015-02-02"),
    ELBV2 = query("elbv2", "2015-12-01").called("elasticloadbalancing"),
    EVENTS = json("events", "1.1", "AWSEvents"),
    FIREHOSE = json("firehose", "1.1", "Firehose_20150804"),
    GLUE = json("glue", "1.1", "AWSGlue"),
    GUARDDUTY = rest_json("guardduty"),
    HEALTH = json("health", "1.1", "AWSHealth_20160804").at("global.health").of(Reach::World),
    IAM = query("iam", "2010-05-08").of(Reach::World),
    INSPECTOR2 = rest_json("inspector2"),
    KINESIS = json("kinesis", "1.1", "Kinesis_20131202"),
    KMS = json("kms", "1.1", "TrentService"),
    LAMBDA = rest_json("lambda"),
    LOGS = json("logs", "1.1", "Logs_20140328"),
    OPENSEARCH = rest_json("opensearch").called("es"),
    ORGANIZATIONS = json("organizations", "1.1", "AWSOrganizationsV20161128").of(Reach::One),
    RDS = query("rds", "2014-10-31"),
    REDSHIFT = query("redshift", "2012-12-01"),
    RESOURCEGROUPSTAGGINGAPI = json("resourcegroupstaggingapi", "1.1", "ResourceGroupsTaggingAPI_20170126").called("tagging").in_policies("tag"),
    ROUTE53 = rest_xml("route53").of(Reach::World),
    ROUTE53RESOLVER = json("route53resolver", "1.1", "Route53Resolver"),
    S3 = rest_xml("s3"),
    SCHEDULER = rest_json("scheduler"),
    SECRETSMANAGER = json("secretsmanager", "1.1", "secretsmanager"),
    SECURITYHUB = rest_json("securityhub"),
    SERVICE_QUOTAS = json("service-quotas", "1.1", "ServiceQuotasV20190624").called("servicequotas"),
    SESV2 = rest_json("sesv2").called("ses").at("email"),
    SNS = query("sns", "2010-03-31"),
    SQS = json("sqs", "1.0", "AmazonSQS"),
    SSM = json("ssm", "1.1", "AmazonSSM"),
    STEPFUNCTIONS = json("stepfunctions", "1.0", "AWSStepFunctions").called("states"),
    STS = query("sts", "2011-06-15"),
    SYNTHETICS = rest_json("synthetics"),
    WAFV2 = json("wafv2", "1.1", "AWSWAF_20190729"),
    XRAY = rest_json("xray"),
}

/// The service of that name.
pub fn find(name: &str) -> Option<&'static Service> {
    SERVICES.iter().copied().find(|service| service.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_host_and_what_is_once_has_one() {
        for (service, region, url, signed_in) in [
            (&DYNAMODB, "eu-west-1", "https://dynamodb.eu-west-1.amazonaws.com", "eu-west-1"),
            (&CLOUDWATCH, "us-east-1", "https://monitoring.us-east-1.amazonaws.com", "us-east-1"),
            (&S3, "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (&IAM, "eu-west-1", "https://iam.amazonaws.com", "us-east-1"),
            (&CLOUDFRONT, "us-east-1", "https://cloudfront.amazonaws.com", "us-east-1"),
            (&CE, "eu-west-1", "https://ce.us-east-1.amazonaws.com", "us-east-1"),
            (&STS, "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ] {
            assert_eq!((service.url(region).as_str(), service.signing_region(region)), (url, signed_in));
        }
        assert_eq!(
            [partition("us-gov-west-1"), partition("cn-north-1"), partition("eu-west-1")],
            ["aws-us-gov", "aws-cn", "aws"]
        );
    }

    #[test]
    fn names_are_in_order_and_once() {
        assert!(SERVICES.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(find("sqs"), Some(&SQS));
        assert_eq!(find("simpledb"), None);
    }
}
