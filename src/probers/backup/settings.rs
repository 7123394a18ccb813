//! The settings of kind `backup`, and the prober that they become.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::directory::Directory;
use super::drill::{RestoreSettings, read_drill};
use super::lane::Lane;
use super::mirror::{Mirror, MirrorSettings};
use super::on_demand::OnDemand;
use super::prober::{BackupProber, Source};
use super::recovery::Recovery;
use super::vault::Vault;
use crate::domain::expression::{Name, Names, Shape};
use crate::domain::time::{Length, words};
use crate::ports::{Building, BuiltProber, Implied, Kind};
use crate::probers::aws::Caller;
use crate::probers::length::Written;
use crate::probers::names::{CONNECTING, FIRST_BYTE_MS, TLS_MS, TRANSFER_MS};
use crate::settings::{Node, Problem, Problems, Span, Spanned, read};

/// The row of this kind.
pub const KIND: Kind = Kind {
    name: "backup",
    about: "looks how old, how large and how complete backups are, or restores one",
    main: "directory",
    schema: BackupSettings::json_schema,
    names: || {
        let connecting = CONNECTING.iter().filter(|name| name.name != "remote_ip").cloned();
        connecting.chain([TLS_MS, FIRST_BYTE_MS, TRANSFER_MS]).chain(NAMES.iter().cloned()).collect::<Names>()
    },
    build,
};

const NAMES: &[Name] = &[
    Name::known(
        "age_s",
        Shape::Number,
        "how old the newest backup is, in seconds; of a mirror with a `sentinel` how old that is",
    ),
    Name::known(
        "rpo_s",
        Shape::Number,
        "with `dynamodb`: how far the latest instant that can be restored is behind now, in seconds",
    ),
    Name::known(
        "rto_s",
        Shape::Number,
        "with `restore`: from the beginning until the item was there and right, in seconds",
    ),
    Name::known(
        "retention_days",
        Shape::Number,
        "for how many days recovery reaches back, or the shortest for which a recovery point is kept; absent where none has an end",
    ),
    Name::known("count", Shape::Number, "how many backups the window has, or how many objects the mirror"),
    Name::known("max_gap_h", Shape::Number, "the longest time in the window without a new backup, until now, in hours"),
    Name::known("oldest_age_s", Shape::Number, "how old the oldest backup of the window is, in seconds"),
    Name::known("size_bytes", Shape::Number, "how large the newest backup is, or the whole mirror, in bytes"),
    Name::known(
        "previous_size_bytes",
        Shape::Number,
        "how large the one before it is, in bytes; absent where there is none",
    ),
    Name::known("newest", Shape::Text, "the newest backup: its name, its ARN, its key, or its path in the directory"),
    Name::known(
        "replication",
        Shape::Text,
        "with `replication`: what S3 says of the newest object or the sentinel, e.g. `COMPLETED`; absent where it says nothing",
    ),
    Name::known("table", Shape::Text, "with `restore`: the name under which the table was restored"),
    Name::known("throttled", Shape::Number, "how often AWS asked us to come later"),
];

/// The window where none is written: what most backups are kept for.
const OVER_DEFAULT: Duration = Duration::from_secs(30 * 86_400);

/// The shortest window: backups come no more often.
const OVER_MIN: Duration = Duration::from_secs(3_600);

/// The longest window.
const OVER_MAX: Duration = Duration::from_secs(366 * 86_400);

/// How deep a pattern may reach into a directory.
const DEPTH_MAX: usize = 8;

/// A place where backups are: exactly one of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BackupSettings {
    /// A DynamoDB table whose point-in-time recovery is looked at. Off is a failure.
    #[schemars(with = "Option<String>")]
    dynamodb: Option<Spanned<String>>,
    /// A DynamoDB table whose on-demand backups that are whole are looked at. `ListBackups` has none of those that AWS
    /// Backup made: they are in its `vault`.
    #[schemars(with = "Option<String>")]
    dynamodb_backups: Option<Spanned<String>>,
    /// A vault of AWS Backup whose recovery points are looked at, as far as they can be restored: `COMPLETED` or
    /// `AVAILABLE`.
    #[schemars(with = "Option<String>")]
    vault: Option<Spanned<String>>,
    /// A mirror in S3 whose objects are looked at.
    #[schemars(with = "Option<MirrorSettings>")]
    s3: Option<Spanned<MirrorSettings>>,
    /// A directory of this machine, or mounted, whose plain files are looked at; a relative path begins at the
    /// configuration. Links are not followed.
    #[schemars(with = "Option<String>")]
    directory: Option<Spanned<String>>,
    /// A DynamoDB table that is restored under another name, looked at, and deleted again: a drill.
    #[schemars(with = "Option<RestoreSettings>")]
    restore: Option<Spanned<RestoreSettings>>,
    /// With `dynamodb_backups`, `vault` and `directory`: how far back is looked, from `1h` to `366d`. What is older is not
    /// counted. Default: `30d`.
    #[schemars(with = "Option<Written>")]
    over: Option<Spanned<Written>>,
    /// With `vault`: the ARN of what its recovery points are of. Default: whatever is in the vault.
    #[schemars(with = "Option<String>")]
    resource: Option<Spanned<String>>,
    /// With `directory`: which files are backups, where `*` stands for any text; with slashes also those of directories in
    /// it, as in `*/*.dump`, at most 8 levels. Default: `*`.
    #[schemars(with = "Option<String>")]
    pattern: Option<Spanned<String>>,
    /// With `directory`: `sha256` compares the newest file with `FILE.sha256` beside it, else with its line in
    /// `SHA256SUMS`. These two are never backups themselves. Default: not compared.
    #[schemars(with = "Option<Checksum>")]
    checksum: Option<Spanned<Checksum>>,
    /// The region that is asked. For copies in a second region write another probe, or `each`. Default: that of the
    /// environment or the profile.
    #[schemars(with = "Option<String>")]
    region: Option<Spanned<String>>,
    /// Where AWS is asked instead: `http://` or `https://`, and a host. Default: the region's own address.
    #[schemars(with = "Option<String>")]
    endpoint: Option<Spanned<String>>,
}

/// How files are verified.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Checksum {
    /// By SHA-256.
    Sha256,
}

/// What is looked at, with the name of its setting.
type Place<'a> = (&'static str, &'a Span);

fn build(node: &Node, building: &Building, problems: &mut Problems) -> Option<BuiltProber> {
    let settings: BackupSettings = read(node, problems)?;
    let known = problems.len();
    let place = place(&settings, node, problems)?;
    check_fit(&settings, place, problems);
    if building.cleanup {
        problems.error(place.1.clone(), "a cleanup puts away, and a backup is only looked at").help =
            Some("make it a step".to_owned());
    }
    let over = over(settings.over.as_ref(), problems);
    if let Some(directory) = &settings.directory {
        let directory = read_directory(directory, &settings, building, problems);
        return (problems.len() == known).then(|| prober(Source::Directory(directory), over, Vec::new()));
    }
    let (region, endpoint) = (settings.region.as_ref(), settings.endpoint.as_ref());
    let caller = Caller::read(region, endpoint, building, problems);
    let is_asked_for = settings.s3.as_ref().is_some_and(|mirror| mirror.value.is_replicated());
    let source = if let Some(table) = &settings.dynamodb {
        check_table(table, problems);
        caller.map(|caller| Source::Recovery(Recovery { table: table.value.clone(), caller }))
    } else if let Some(table) = &settings.dynamodb_backups {
        check_table(table, problems);
        caller.map(|caller| Source::OnDemand(OnDemand { table: table.value.clone(), caller }))
    } else if let Some(vault) = &settings.vault {
        check_vault(vault, settings.resource.as_ref(), problems);
        let resource = settings.resource.as_ref().map(|resource| resource.value.clone());
        caller.map(|caller| Source::Vault(Vault { name: vault.value.clone(), resource, caller }))
    } else if let Some(mirror) = &settings.s3 {
        let draft = mirror.value.read(problems);
        caller.map(|caller| Source::Mirror(Mirror { draft, caller }))
    } else {
        let drill = settings.restore.as_ref().and_then(|restore| read_drill(&restore.value, caller?, problems));
        return drill
            .filter(|_| problems.len() == known)
            .map(|drill| BuiltProber { prober: Arc::new(drill), implied: Vec::new() });
    };
    let replicated = Implied { unless_mentioned: "replication", expect: REPLICATED };
    let implied = if is_asked_for { vec![replicated] } else { Vec::new() };
    source.filter(|_| problems.len() == known).map(|source| prober(source, over, implied))
}

/// What S3 says of an object of which there is a copy elsewhere, or that is one.
const REPLICATED: &str = r#"replication in ["COMPLETED", "REPLICA"]"#;

fn prober(source: Source, over: Duration, implied: Vec<Implied>) -> BuiltProber {
    BuiltProber { prober: Arc::new(BackupProber { source, over }), implied }
}

/// The one place; none and several are problems.
fn place<'a>(settings: &'a BackupSettings, node: &'a Node, problems: &mut Problems) -> Option<Place<'a>> {
    let BackupSettings { dynamodb, dynamodb_backups, vault, s3, directory, restore, .. } = settings;
    let places = [
        ("dynamodb", dynamodb.as_ref().map(|place| &place.span)),
        ("dynamodb_backups", dynamodb_backups.as_ref().map(|place| &place.span)),
        ("vault", vault.as_ref().map(|place| &place.span)),
        ("s3", s3.as_ref().map(|place| &place.span)),
        ("directory", directory.as_ref().map(|place| &place.span)),
        ("restore", restore.as_ref().map(|place| &place.span)),
    ];
    let mut given = places.iter().filter_map(|(name, span)| Some((*name, (*span)?)));
    let Some(first) = given.next() else {
        // One that is wrong in itself was reported.
        if places.iter().any(|(name, _)| node.get(name).is_some()) {
            return None;
        }
        let all = places.map(|(name, _)| format!("`{name}`")).join(", ");
        problems.error(node.span.clone(), "it is not said where the backups are").help =
            Some(format!("write one of {all}"));
        return None;
    };
    if let Some((second, span)) = given.next() {
        let message = format!("a step looks at one place: `{}` or `{second}`, not both", first.0);
        let problem = Problem::error(span.clone(), message).with_also(first.1.clone(), "the other one");
        problems.push(problem.with_help("make a probe of each"));
        return None;
    }
    Some(first)
}

/// What is written for another place than the one that is looked at.
fn check_fit(settings: &BackupSettings, (place, _): Place<'_>, problems: &mut Problems) {
    let BackupSettings { over, resource, pattern, checksum, region, endpoint, .. } = settings;
    let aws = ["dynamodb", "dynamodb_backups", "vault", "s3", "restore"];
    let rows: [(&str, Option<&Span>, &[&str]); 6] = [
        ("over", over.as_ref().map(|over| &over.span), &["dynamodb_backups", "vault", "directory"]),
        ("resource", resource.as_ref().map(|resource| &resource.span), &["vault"]),
        ("pattern", pattern.as_ref().map(|pattern| &pattern.span), &["directory"]),
        ("checksum", checksum.as_ref().map(|checksum| &checksum.span), &["directory"]),
        ("region", region.as_ref().map(|region| &region.span), &aws),
        ("endpoint", endpoint.as_ref().map(|endpoint| &endpoint.span), &aws),
    ];
    for (name, span, places) in rows {
        let Some(span) = span.filter(|_| !places.contains(&place)) else { continue };
        let of = places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ");
        problems.error(span.clone(), format!("`{name}` has no meaning with `{place}`")).help =
            Some(format!("it goes with {of}"));
    }
}

fn over(written: Option<&Spanned<Written>>, problems: &mut Problems) -> Duration {
    let Some(written) = written else { return OVER_DEFAULT };
    let Length(over) = written.value.0;
    if !(OVER_MIN..=OVER_MAX).contains(&over) {
        let message = format!("`over` is from {} to {}, not {}", words(OVER_MIN), words(OVER_MAX), words(over));
        problems.error(written.span.clone(), message);
    }
    over
}

fn read_directory(
    written: &Spanned<String>,
    settings: &BackupSettings,
    building: &Building,
    problems: &mut Problems,
) -> Directory {
    if written.value.is_empty() {
        problems.error(written.span.clone(), "the path of a directory is empty").help =
            Some("write it like `/var/backups/shop`".to_owned());
    }
    let pattern = settings.pattern.as_ref().map_or("*", |pattern| pattern.value.as_str());
    let pattern: Vec<String> = pattern.split('/').map(str::to_owned).collect();
    if let Some(written) = &settings.pattern {
        let is_strange = |part: &String| part.is_empty() || part == "." || part == "..";
        if pattern.iter().any(is_strange) {
            let message = format!("`{}` does not stay below the directory", written.value);
            problems.error(written.span.clone(), message).help =
                Some("write it like `*.dump` or `*/*.dump`".to_owned());
        } else if pattern.iter().any(|part| part == "**") {
            problems.error(written.span.clone(), "`**` would look into directories without end").help =
                Some("write a `*` for each level, like `*/*.dump`".to_owned());
        } else if pattern.len() > DEPTH_MAX {
            let message = format!("a pattern reaches {DEPTH_MAX} levels deep at most, not {}", pattern.len());
            problems.error(written.span.clone(), message);
        }
    }
    let path: PathBuf = building.directory.join(&written.value);
    Directory { path, pattern, is_verified: settings.checksum.is_some(), lane: Lane::default() }
}

/// The names that DynamoDB has for tables.
pub fn check_table(table: &Spanned<String>, problems: &mut Problems) {
    let is_name = (3..=255).contains(&table.value.len())
        && table.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !is_name {
        problems.error(table.span.clone(), format!("`{}` is not the name of a table", table.value)).help =
            Some(if table.value.starts_with("arn:") {
                "write the name that ends the ARN, and its `region`".to_owned()
            } else {
                "it has 3 to 255 letters, digits, `_`, `.` and `-`".to_owned()
            });
    }
}

fn check_vault(vault: &Spanned<String>, resource: Option<&Spanned<String>>, problems: &mut Problems) {
    let is_name = (2..=50).contains(&vault.value.len())
        && vault.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !is_name {
        problems.error(vault.span.clone(), format!("`{}` is not the name of a vault", vault.value)).help =
            Some("it has 2 to 50 letters, digits, `_` and `-`".to_owned());
    }
    if let Some(resource) = resource.filter(|resource| !resource.value.starts_with("arn:")) {
        problems.error(resource.span.clone(), format!("`{}` is not an ARN", resource.value)).help =
            Some("write it like `arn:aws:dynamodb:us-east-1:123456789012:table/Users`".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probers::testing::build;

    #[test]
    fn every_place_asks_for_what_it_looks_at_and_no_more() {
        for (yaml, asked) in [
            ("{ directory: /var/backups }", vec![]),
            (
                "{ dynamodb: Users, region: us-east-1 }",
                vec![("dynamodb:DescribeContinuousBackups", "arn:aws:dynamodb:us-east-1:*:table/Users")],
            ),
            ("{ dynamodb_backups: Users, region: us-east-1 }", vec![("dynamodb:ListBackups", "*")]),
            (
                "{ vault: main, region: us-east-1 }",
                vec![("backup:ListRecoveryPointsByBackupVault", "arn:aws:backup:us-east-1:*:backup-vault:main")],
            ),
            (
                "{ s3: { bucket: shop, prefix: a/, sentinel: a/b }, region: us-east-1 }",
                vec![
                    ("s3:ListBucket", "arn:aws:s3:::shop"),
                    ("s3:GetObject", "arn:aws:s3:::shop/a/b"),
                    // That S3 says of an object that is not there; it is not asked for.
                    ("s3:ListBucket", "arn:aws:s3:::shop"),
                ],
            ),
        ] {
            let built = build(&KIND, yaml, false).unwrap_or_else(|problems| panic!("{problems}"));
            let calls = built.prober.calls();
            let told: Vec<_> = calls.iter().map(|call| (call.action.as_str(), call.resource.as_str())).collect();
            assert_eq!(told, asked, "{yaml}");
        }
    }

    #[test]
    fn replication_is_expected_where_it_is_asked_for() {
        let implied = |yaml: &str| build(&KIND, yaml, false).unwrap_or_else(|problems| panic!("{problems}")).implied;
        assert!(implied("s3: { bucket: shop }").is_empty());
        assert_eq!(implied("s3: { bucket: shop, replication: true }")[0].unless_mentioned, "replication");
    }
}
