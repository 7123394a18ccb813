//! What the site runs on: what is named under `estate`, and what probes ask for by its name.

use crate::domain::blueprint::Estate;
use crate::engine::plan::Plan;

/// The estate of a plan. Of what probes ask for, that of the estate's own region is shown: a second copy elsewhere has its
/// metrics there.
pub fn estate(plan: &Plan, region: &str) -> Estate {
    let mut estate = plan.blueprint.estate.clone();
    let region = estate.region.clone().unwrap_or_else(|| region.to_owned());
    let steps = plan.probes.values().flat_map(|probe| probe.steps.iter().chain(&probe.cleanup));
    for call in steps.flat_map(|step| step.action.calls()) {
        let Some(named) = Named::of(&call.resource, call.region.as_deref(), &region) else { continue };
        match named {
            Named::Function(name) => estate.functions.insert(name),
            Named::Table(name) => estate.tables.insert(name),
            Named::Bucket(name) => estate.buckets.insert(name),
            Named::Distribution(id) => estate.distributions.insert(id),
        };
    }
    estate.region = Some(region);
    estate
}

/// What an ARN names.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Function(String),
    Table(String),
    Bucket(String),
    Distribution(String),
}

impl Named {
    /// Nothing where it is of another region, of another kind, or no name. Where the ARN says no region, that of the call
    /// does; a distribution is of none, and is asked for in the one where all of them are.
    fn of(arn: &str, asked_in: Option<&str>, region: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':').skip(2);
        let (service, of_region, _, resource) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let of_region = match of_region {
            "" | "*" => asked_in,
            named => Some(named),
        };
        if service != "cloudfront" && of_region.is_some_and(|of| of != region) {
            return None;
        }
        let first = |rest: &str| rest.split(['/', ':']).next().unwrap_or_default().to_owned();
        let (name, named): (_, fn(String) -> Self) = match service {
            "lambda" => (first(resource.strip_prefix("function:")?), Self::Function),
            "dynamodb" => (first(resource.strip_prefix("table/")?), Self::Table),
            "s3" => (first(resource), Self::Bucket),
            "cloudfront" => (first(resource.strip_prefix("distribution/")?), Self::Distribution),
            _ => return None,
        };
        (!name.is_empty() && !name.contains(['*', '?'])).then(|| named(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_what_has_metrics() {
        for (arn, named) in [
            ("arn:aws:dynamodb:us-east-1:*:table/Users", Some(Named::Table("Users".to_owned()))),
            ("arn:aws:dynamodb:*:*:table/Users/backup/*", Some(Named::Table("Users".to_owned()))),
            ("arn:aws:dynamodb:us-west-2:*:table/Users", None),
            ("arn:aws:dynamodb:us-east-1:*:table/roundsman-drill-*", None),
            ("arn:aws:lambda:us-east-1:*:function:shop-api:live", Some(Named::Function("shop-api".to_owned()))),
            ("arn:aws:s3:::assets/images/*", Some(Named::Bucket("assets".to_owned()))),
            ("arn:aws:cloudfront::*:distribution/E1", Some(Named::Distribution("E1".to_owned()))),
            ("arn:aws:sns:us-east-1:123456789012:ops", None),
            ("*", None),
        ] {
            assert_eq!(Named::of(arn, None, "us-east-1"), named, "{arn}");
        }
        let assets = Some(Named::Bucket("assets".to_owned()));
        for (arn, asked_in, named) in [
            ("arn:aws:s3:::assets", "us-east-1", assets),
            ("arn:aws:s3:::assets", "us-west-2", None),
            ("arn:aws:dynamodb:*:*:table/Users", "us-west-2", None),
            ("arn:aws:cloudfront::*:distribution/E1", "us-west-2", Some(Named::Distribution("E1".to_owned()))),
        ] {
            assert_eq!(Named::of(arn, Some(asked_in), "us-east-1"), named, "{arn} in {asked_in}");
        }
    }
}
