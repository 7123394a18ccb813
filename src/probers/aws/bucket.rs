//! What a bucket of S3 is called.

use crate::settings::{Problems, Spanned};

/// Whether a text is the name of a bucket; another is a problem. The rules are those of general purpose buckets in the guide of S3.
pub fn check_bucket(bucket: &Spanned<String>, problems: &mut Problems) {
    let name = bucket.value.as_str();
    let is_name = (3..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
    if is_name {
        return;
    }
    let named = name.strip_prefix("s3://").and_then(|rest| rest.split('/').next()).filter(|name| !name.is_empty());
    problems.error(bucket.span.clone(), format!("`{name}` is not the name of a bucket")).help = Some(match named {
        Some(name) => format!("write `bucket: {name}`, and what stands behind it as `prefix`"),
        None => "it has 3 to 63 lower-case letters, digits, `.` and `-`".to_owned(),
    });
}
