//! The actions of REST services, which on the wire are methods and paths: those that only read, and the few others that are
//! needed here. Whatever is not in this table is asked for by its method and path. The rows are AWS's own, and a test holds
//! them against its service models.

use http::Method;
use percent_encoding::percent_decode_str;

use super::services::{self, Service};

/// An action of a REST service.
#[derive(Debug, PartialEq, Eq)]
pub struct RestAction {
    /// The service.
    pub service: &'static Service,
    /// Its name.
    pub name: &'static str,
    /// Method and path. `{Field}` stands for a field of the input, and `{Field+}` for one whose slashes are the path's own.
    line: &'static str,
    /// The fields that stand in the query, where they may have another name: `Field:name`.
    query: &'static str,
}

impl RestAction {
    /// The method.
    pub fn method(&self) -> Method {
        let word = self.line.split(' ').next().unwrap_or_default();
        Method::from_bytes(word.as_bytes()).unwrap_or_default()
    }

    /// The path with the fields that are filled in, and its own part of the query.
    pub fn path(&self) -> &'static str {
        self.line.split_once(' ').map_or("/", |(_, path)| path)
    }

    /// The name that a field of the input has in the query, if it stands there.
    pub fn in_query(&self, field: &str) -> Option<&'static str> {
        self.in_queries().find(|(known, _)| *known == field).map(|(_, name)| name)
    }

    /// The fields that the path takes.
    pub fn in_path(&self) -> impl Iterator<Item = &'static str> {
        let holes = self.path().split('{').skip(1).filter_map(|rest| rest.split('}').next());
        holes.map(|hole| hole.trim_end_matches('+'))
    }

    /// The fields that the query takes, with their names there.
    pub fn in_queries(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.query.split_whitespace().map(|field| field.split_once(':').unwrap_or((field, field)))
    }

    /// The fields that a path of this action has, and its query.
    pub fn fields(&self, path: &str) -> Vec<(&'static str, String)> {
        let (own, given) = (segments(self.path()), segments(path));
        let parts = own.split('/').count();
        let decoded = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
        let holes = own.split('/').zip(given.splitn(parts, '/')).filter_map(|(hole, value)| {
            let name = hole.strip_prefix('{')?.trim_end_matches(['}', '+']);
            Some((name, decoded(value)))
        });
        let query = path.split_once('?').map_or("", |(_, query)| query).split('&');
        let asked = query.filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            self.in_queries().find(|(_, known)| *known == name).map(|(field, _)| (field, decoded(value)))
        });
        holes.chain(asked).collect()
    }

    /// Whether it is this action that a method and a path with its query ask for.
    fn is_asked_by(&self, method: &Method, path: &str) -> bool {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (own, own_query) = self.path().split_once('?').unwrap_or((self.path(), ""));
        let given: Vec<&str> = query.split('&').collect();
        // What the action has of the query is written out; `acl` and `acl=` say the same.
        let has = |wanted: &str| given.iter().any(|given| given.trim_end_matches('=') == wanted);
        self.method() == *method
            && fits(own, path)
            && own_query.split('&').all(|wanted| wanted.is_empty() || has(wanted))
    }
}

/// A path without its query and the slashes around it.
fn segments(path: &str) -> &str {
    path.split('?').next().unwrap_or_default().trim_matches('/')
}

/// Whether a path is one of those that a path with holes stands for.
fn fits(own: &str, path: &str) -> bool {
    let (mut own, mut path) = (own.trim_matches('/').split('/'), path.trim_matches('/').split('/'));
    loop {
        match (own.next(), path.next()) {
            (None, None) => return true,
            (Some(part), Some(given)) if part.ends_with("+}") => return !given.is_empty(),
            (Some(part), Some(given)) if part == given || (part.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

/// The action of that name.
pub fn find(service: &Service, name: &str) -> Option<&'static RestAction> {
    of(service).find(|action| action.name == name)
}

/// The actions of a service.
pub fn of(service: &Service) -> impl Iterator<Item = &'static RestAction> {
    ACTIONS.iter().filter(move |action| action.service.name == service.name)
}

/// The action that a method and a path with its query ask for; the one that says most of the query.
pub fn asked_by(service: &Service, method: &Method, path: &str) -> Option<&'static RestAction> {
    of(service).filter(|action| action.is_asked_by(method, path)).max_by_key(|action| action.path().len())
}

const fn row(service: &'static Service, name: &'static str, line: &'static str, query: &'static str) -> RestAction {
    RestAction { service, name, line, query }
}

/// Every action that has a name here.
#[rustfmt::skip]
pub static ACTIONS: &[RestAction] = &[
    // apigateway
    row(&services::APIGATEWAY, "GetAuthorizers", "GET /restapis/{restApiId}/authorizers", "position limit"),
    row(&services::APIGATEWAY, "GetDomainName", "GET /domainnames/{domainName}", "domainNameId"),
    row(&services::APIGATEWAY, "GetRestApi", "GET /restapis/{restApiId}", ""),
    row(&services::APIGATEWAY, "GetRestApis", "GET /restapis", "position limit"),
    row(&services::APIGATEWAY, "GetStage", "GET /restapis/{restApiId}/stages/{stageName}", ""),
    row(&services::APIGATEWAY, "GetStages", "GET /restapis/{restApiId}/stages", "deploymentId"),
    row(&services::APIGATEWAY, "GetUsagePlans", "GET /usageplans", "position keyId limit"),
    // apigatewayv2
    row(&services::APIGATEWAYV2, "GetApi", "GET /v2/apis/{ApiId}", ""),
    row(&services::APIGATEWAYV2, "GetApis", "GET /v2/apis", "MaxResults:maxResults NextToken:nextToken"),
    row(&services::APIGATEWAYV2, "GetStage", "GET /v2/apis/{ApiId}/stages/{StageName}", ""),
    row(&services::APIGATEWAYV2, "GetStages", "GET /v2/apis/{ApiId}/stages", "MaxResults:maxResults NextToken:nextToken"),
    // backup
    row(&services::BACKUP, "DescribeBackupJob", "GET /backup-jobs/{BackupJobId}", ""),
    row(&services::BACKUP, "DescribeBackupVault", "GET /backup-vaults/{BackupVaultName}", "BackupVaultAccountId:backupVaultAccountId"),
    row(&services::BACKUP, "DescribeRecoveryPoint", "GET /backup-vaults/{BackupVaultName}/recovery-points/{RecoveryPointArn}", "BackupVaultAccountId:backupVaultAccountId"),
    row(&services::BACKUP, "DescribeRegionSettings", "GET /account-settings", ""),
    row(&services::BACKUP, "DescribeRestoreJob", "GET /restore-jobs/{RestoreJobId}", ""),
    row(&services::BACKUP, "GetBackupPlan", "GET /backup/plans/{BackupPlanId}/", "VersionId:versionId MaxScheduledRunsPreview"),
    row(&services::BACKUP, "GetRecoveryPointRestoreMetadata", "GET /backup-vaults/{BackupVaultName}/recovery-points/{RecoveryPointArn}/restore-metadata", "BackupVaultAccountId:backupVaultAccountId"),
    row(&services::BACKUP, "ListBackupJobs", "GET /backup-jobs/", "NextToken:nextToken MaxResults:maxResults ByResourceArn:resourceArn ByState:state ByBackupVaultName:backupVaultName ByCreatedBefore:createdBefore ByCreatedAfter:createdAfter ByResourceType:resourceType ByAccountId:accountId ByCompleteAfter:completeAfter ByCompleteBefore:completeBefore ByParentJobId:parentJobId ByMessageCategory:messageCategory"),
    row(&services::BACKUP, "ListBackupPlans", "GET /backup/plans/", "NextToken:nextToken MaxResults:maxResults IncludeDeleted:includeDeleted"),
    row(&services::BACKUP, "ListBackupVaults", "GET /backup-vaults/", "ByVaultType:vaultType ByShared:shared NextToken:nextToken MaxResults:maxResults"),
    row(&services::BACKUP, "ListCopyJobs", "GET /copy-jobs/", "NextToken:nextToken MaxResults:maxResults ByResourceArn:resourceArn ByState:state ByCreatedBefore:createdBefore ByCreatedAfter:createdAfter ByResourceType:resourceType ByDestinationVaultArn:destinationVaultArn ByAccountId:accountId ByCompleteBefore:completeBefore ByCompleteAfter:completeAfter ByParentJobId:parentJobId ByMessageCategory:messageCategory BySourceRecoveryPointArn:sourceRecoveryPointArn"),
    row(&services::BACKUP, "ListProtectedResources", "GET /resources/", "NextToken:nextToken MaxResults:maxResults"),
    row(&services::BACKUP, "ListRecoveryPointsByBackupVault", "GET /backup-vaults/{BackupVaultName}/recovery-points/", "BackupVaultAccountId:backupVaultAccountId NextToken:nextToken MaxResults:maxResults ByResourceArn:resourceArn ByResourceType:resourceType ByBackupPlanId:backupPlanId ByCreatedBefore:createdBefore ByCreatedAfter:createdAfter ByParentRecoveryPointArn:parentRecoveryPointArn"),
    row(&services::BACKUP, "ListRecoveryPointsByResource", "GET /resources/{ResourceArn}/recovery-points/", "NextToken:nextToken MaxResults:maxResults ManagedByAWSBackupOnly:managedByAWSBackupOnly"),
    row(&services::BACKUP, "ListRestoreJobs", "GET /restore-jobs/", "NextToken:nextToken MaxResults:maxResults ByAccountId:accountId ByResourceType:resourceType ByCreatedBefore:createdBefore ByCreatedAfter:createdAfter ByStatus:status ByCompleteBefore:completeBefore ByCompleteAfter:completeAfter ByRestoreTestingPlanArn:restoreTestingPlanArn ByParentJobId:parentJobId"),
    row(&services::BACKUP, "PutRestoreValidationResult", "PUT /restore-jobs/{RestoreJobId}/validations", ""),
    row(&services::BACKUP, "StartRestoreJob", "PUT /restore-jobs", ""),
    // cloudfront
    row(&services::CLOUDFRONT, "GetCachePolicy", "GET /2020-05-31/cache-policy/{Id}", ""),
    row(&services::CLOUDFRONT, "GetDistribution", "GET /2020-05-31/distribution/{Id}", ""),
    row(&services::CLOUDFRONT, "GetDistributionConfig", "GET /2020-05-31/distribution/{Id}/config", ""),
    row(&services::CLOUDFRONT, "GetOriginAccessControl", "GET /2020-05-31/origin-access-control/{Id}", ""),
    row(&services::CLOUDFRONT, "ListDistributions", "GET /2020-05-31/distribution", "Marker MaxItems"),
    row(&services::CLOUDFRONT, "ListInvalidations", "GET /2020-05-31/distribution/{DistributionId}/invalidation", "Marker MaxItems"),
    // efs
    row(&services::EFS, "DescribeBackupPolicy", "GET /2015-02-01/file-systems/{FileSystemId}/backup-policy", ""),
    row(&services::EFS, "DescribeFileSystems", "GET /2015-02-01/file-systems", "MaxItems Marker CreationToken FileSystemId"),
    row(&services::EFS, "DescribeMountTargets", "GET /2015-02-01/mount-targets", "MaxItems Marker FileSystemId MountTargetId AccessPointId"),
    // eks
    row(&services::EKS, "DescribeCluster", "GET /clusters/{name}", ""),
    row(&services::EKS, "ListClusters", "GET /clusters", "maxResults nextToken include"),
    // guardduty
    row(&services::GUARDDUTY, "GetDetector", "GET /detector/{DetectorId}", ""),
    row(&services::GUARDDUTY, "ListDetectors", "GET /detector", "MaxResults:maxResults NextToken:nextToken"),
    // inspector2
    row(&services::INSPECTOR2, "BatchGetAccountStatus", "POST /status/batch/get", ""),
    row(&services::INSPECTOR2, "ListCoverage", "POST /coverage/list", ""),
    row(&services::INSPECTOR2, "ListCoverageStatistics", "POST /coverage/statistics/list", ""),
    row(&services::INSPECTOR2, "ListFindingAggregations", "POST /findings/aggregation/list", ""),
    row(&services::INSPECTOR2, "ListFindings", "POST /findings/list", ""),
    // lambda
    row(&services::LAMBDA, "GetAccountSettings", "GET /2016-08-19/account-settings", ""),
    row(&services::LAMBDA, "GetAlias", "GET /2015-03-31/functions/{FunctionName}/aliases/{Name}", ""),
    row(&services::LAMBDA, "GetFunction", "GET /2015-03-31/functions/{FunctionName}", "Qualifier"),
    row(&services::LAMBDA, "GetFunctionConcurrency", "GET /2019-09-30/functions/{FunctionName}/concurrency", ""),
    row(&services::LAMBDA, "GetFunctionConfiguration", "GET /2015-03-31/functions/{FunctionName}/configuration", "Qualifier"),
    row(&services::LAMBDA, "GetFunctionEventInvokeConfig", "GET /2019-09-25/functions/{FunctionName}/event-invoke-config", "Qualifier"),
    row(&services::LAMBDA, "GetFunctionUrlConfig", "GET /2021-10-31/functions/{FunctionName}/url", "Qualifier"),
    row(&services::LAMBDA, "GetPolicy", "GET /2015-03-31/functions/{FunctionName}/policy", "Qualifier"),
    row(&services::LAMBDA, "GetProvisionedConcurrencyConfig", "GET /2019-09-30/functions/{FunctionName}/provisioned-concurrency", "Qualifier"),
    row(&services::LAMBDA, "ListEventSourceMappings", "GET /2015-03-31/event-source-mappings", "EventSourceArn FunctionName Marker MaxItems"),
    row(&services::LAMBDA, "ListFunctions", "GET /2015-03-31/functions", "MasterRegion FunctionVersion Marker MaxItems"),
    // opensearch
    row(&services::OPENSEARCH, "DescribeDomain", "GET /2021-01-01/opensearch/domain/{DomainName}", ""),
    row(&services::OPENSEARCH, "DescribeDomains", "POST /2021-01-01/opensearch/domain-info", ""),
    row(&services::OPENSEARCH, "ListDomainNames", "GET /2021-01-01/domain", "EngineType:engineType"),
    // route53
    row(&services::ROUTE53, "GetHealthCheck", "GET /2013-04-01/healthcheck/{HealthCheckId}", ""),
    row(&services::ROUTE53, "GetHealthCheckStatus", "GET /2013-04-01/healthcheck/{HealthCheckId}/status", ""),
    row(&services::ROUTE53, "GetHostedZone", "GET /2013-04-01/hostedzone/{Id}", ""),
    row(&services::ROUTE53, "ListHealthChecks", "GET /2013-04-01/healthcheck", "Marker:marker MaxItems:maxitems"),
    row(&services::ROUTE53, "ListHostedZones", "GET /2013-04-01/hostedzone", "Marker:marker MaxItems:maxitems DelegationSetId:delegationsetid HostedZoneType:hostedzonetype"),
    row(&services::ROUTE53, "ListResourceRecordSets", "GET /2013-04-01/hostedzone/{HostedZoneId}/rrset", "StartRecordName:name StartRecordType:type StartRecordIdentifier:identifier MaxItems:maxitems"),
    // s3
    row(&services::S3, "GetBucketAcl", "GET /{Bucket}?acl", ""),
    row(&services::S3, "GetBucketCors", "GET /{Bucket}?cors", ""),
    row(&services::S3, "GetBucketEncryption", "GET /{Bucket}?encryption", ""),
    row(&services::S3, "GetBucketLifecycleConfiguration", "GET /{Bucket}?lifecycle", ""),
    row(&services::S3, "GetBucketLocation", "GET /{Bucket}?location", ""),
    row(&services::S3, "GetBucketLogging", "GET /{Bucket}?logging", ""),
    row(&services::S3, "GetBucketNotificationConfiguration", "GET /{Bucket}?notification", ""),
    row(&services::S3, "GetBucketOwnershipControls", "GET /{Bucket}?ownershipControls", ""),
    row(&services::S3, "GetBucketPolicy", "GET /{Bucket}?policy", ""),
    row(&services::S3, "GetBucketPolicyStatus", "GET /{Bucket}?policyStatus", ""),
    row(&services::S3, "GetBucketReplication", "GET /{Bucket}?replication", ""),
    row(&services::S3, "GetBucketTagging", "GET /{Bucket}?tagging", ""),
    row(&services::S3, "GetBucketVersioning", "GET /{Bucket}?versioning", ""),
    row(&services::S3, "GetBucketWebsite", "GET /{Bucket}?website", ""),
    row(&services::S3, "GetObject", "GET /{Bucket}/{Key+}", "ResponseCacheControl:response-cache-control ResponseContentDisposition:response-content-disposition ResponseContentEncoding:response-content-encoding ResponseContentLanguage:response-content-language ResponseContentType:response-content-type ResponseExpires:response-expires VersionId:versionId PartNumber:partNumber"),
    row(&services::S3, "GetObjectLockConfiguration", "GET /{Bucket}?object-lock", ""),
    row(&services::S3, "GetObjectTagging", "GET /{Bucket}/{Key+}?tagging", "VersionId:versionId"),
    row(&services::S3, "GetPublicAccessBlock", "GET /{Bucket}?publicAccessBlock", ""),
    row(&services::S3, "HeadBucket", "HEAD /{Bucket}", ""),
    row(&services::S3, "HeadObject", "HEAD /{Bucket}/{Key+}", "ResponseCacheControl:response-cache-control ResponseContentDisposition:response-content-disposition ResponseContentEncoding:response-content-encoding ResponseContentLanguage:response-content-language ResponseContentType:response-content-type ResponseExpires:response-expires VersionId:versionId PartNumber:partNumber"),
    row(&services::S3, "ListBuckets", "GET /", "MaxBuckets:max-buckets ContinuationToken:continuation-token Prefix:prefix BucketRegion:bucket-region"),
    row(&services::S3, "ListMultipartUploads", "GET /{Bucket}?uploads", "Delimiter:delimiter EncodingType:encoding-type KeyMarker:key-marker MaxUploads:max-uploads Prefix:prefix UploadIdMarker:upload-id-marker"),
    row(&services::S3, "ListObjectVersions", "GET /{Bucket}?versions", "Delimiter:delimiter EncodingType:encoding-type KeyMarker:key-marker MaxKeys:max-keys Prefix:prefix VersionIdMarker:version-id-marker"),
    row(&services::S3, "ListObjectsV2", "GET /{Bucket}?list-type=2", "Delimiter:delimiter EncodingType:encoding-type MaxKeys:max-keys Prefix:prefix ContinuationToken:continuation-token FetchOwner:fetch-owner StartAfter:start-after"),
    // scheduler
    row(&services::SCHEDULER, "GetSchedule", "GET /schedules/{Name}", "GroupName:groupName"),
    row(&services::SCHEDULER, "ListSchedules", "GET /schedules", "GroupName:ScheduleGroup NamePrefix State NextToken MaxResults"),
    // securityhub
    row(&services::SECURITYHUB, "DescribeHub", "GET /accounts", "HubArn"),
    row(&services::SECURITYHUB, "GetFindings", "POST /findings", ""),
    // sesv2
    row(&services::SESV2, "GetAccount", "GET /v2/email/account", ""),
    row(&services::SESV2, "GetEmailIdentity", "GET /v2/email/identities/{EmailIdentity}", ""),
    // synthetics
    row(&services::SYNTHETICS, "DescribeCanaries", "POST /canaries", ""),
    row(&services::SYNTHETICS, "DescribeCanariesLastRun", "POST /canaries/last-run", ""),
    // xray
    row(&services::XRAY, "GetSamplingRules", "POST /GetSamplingRules", ""),
    row(&services::XRAY, "GetServiceGraph", "POST /ServiceGraph", ""),
    row(&services::XRAY, "GetTraceSummaries", "POST /TraceSummaries", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_and_a_path_are_an_action() {
        for (service, method, path, action) in [
            (&services::S3, Method::GET, "/bucket", None),
            (&services::S3, Method::GET, "/bucket?list-type=2&prefix=a", Some("ListObjectsV2")),
            (&services::S3, Method::GET, "/bucket?encryption=", Some("GetBucketEncryption")),
            (&services::S3, Method::HEAD, "/bucket", Some("HeadBucket")),
            (&services::S3, Method::HEAD, "/bucket/a/b", Some("HeadObject")),
            (&services::S3, Method::GET, "/bucket/a/b?tagging", Some("GetObjectTagging")),
            (&services::S3, Method::GET, "/", Some("ListBuckets")),
            (&services::S3, Method::DELETE, "/bucket", None),
            (&services::LAMBDA, Method::GET, "/2015-03-31/functions/", Some("ListFunctions")),
            (&services::LAMBDA, Method::GET, "/2015-03-31/functions/f/policy", Some("GetPolicy")),
            (&services::LAMBDA, Method::GET, "/2015-03-31/functions/f/code", None),
        ] {
            assert_eq!(asked_by(service, &method, path).map(|action| action.name), action, "{method} {path}");
        }
        let vault = find(&services::BACKUP, "ListRecoveryPointsByBackupVault").unwrap();
        assert_eq!(vault.in_query("NextToken"), Some("nextToken"));
        assert_eq!(vault.in_path().collect::<Vec<_>>(), ["BackupVaultName"]);
    }
}
