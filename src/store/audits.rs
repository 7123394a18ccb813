//! What somebody changed, kept as long as runs are, and never more of it than anybody reads.

use rusqlite::{Connection, Result, params};

use super::columns::{from_json, json, micros};
use crate::domain::audit::{AUDITS_MAX, AuditRecord};
use crate::domain::time::Timestamp;

/// Writes one; the same a second time changes nothing. The oldest makes room.
pub fn write(connection: &Connection, record: &AuditRecord) -> Result<()> {
    let mut insert = connection
        .prepare_cached("INSERT INTO audit (id, at, body) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING")?;
    insert.execute(params![&*record.id, micros(record.at), json(record)?])?;
    let mut oldest = connection
        .prepare_cached("DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?1)")?;
    oldest.execute([i64::try_from(AUDITS_MAX).unwrap_or(i64::MAX)])?;
    Ok(())
}

/// The latest first, those before one of them where it is named.
pub fn read(connection: &Connection, before: Option<&str>, most: usize) -> Result<Vec<AuditRecord>> {
    let mut select =
        connection.prepare_cached("SELECT body FROM audit WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2")?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    select.query_map(params![before, most], |row| from_json(row, "body"))?.collect()
}

/// Erases what is older.
pub fn purge(connection: &Connection, before: Timestamp) -> Result<usize> {
    connection.prepare_cached("DELETE FROM audit WHERE at < ?1")?.execute([micros(before)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::{Author, Deed, Who};
    use crate::ports::{Commit, StatusReader as _, Store as _};
    use crate::store::testing::{kept, second};

    fn record(n: usize) -> AuditRecord {
        let author = Author { who: Who::User("ann".into()), by: None, from: Some([192, 0, 2, 1].into()) };
        let at = second(i64::try_from(n).unwrap());
        AuditRecord::new(&format!("{n:08}"), at, author, Deed::Reload, String::new(), [String::new(), "x".repeat(999)])
    }

    #[tokio::test]
    async fn what_was_changed_is_read_backwards_and_the_oldest_goes() {
        let kept = kept();
        let ids = |records: &[AuditRecord]| records.iter().map(|record| record.id.to_string()).collect::<Vec<_>>();
        let audits: Vec<_> = (0..AUDITS_MAX + 5).map(record).collect();
        for _ in 0..2 {
            let commit = Commit { audits: audits[AUDITS_MAX..].to_vec(), ..Commit::default() };
            kept.store.commit(commit.into()).await.unwrap();
        }
        let read = kept.store.audits(None, 2).await.unwrap();
        assert_eq!(read, [record(AUDITS_MAX + 4), record(AUDITS_MAX + 3)]);
        assert_eq!(read[0].after.chars().count(), crate::domain::audit::TEXT_MAX + 1);
        let next = kept.store.audits(Some(read[1].id.to_string()), 100).await.unwrap();
        assert_eq!(ids(&next), ["00010002", "00010001", "00010000"]);
        kept.store.commit(Commit { audits, ..Commit::default() }.into()).await.unwrap();
        assert_eq!(kept.number("SELECT count(*) FROM audit"), i64::try_from(AUDITS_MAX).unwrap());
        assert_eq!(kept.number("SELECT min(id) FROM audit"), 5);
        kept.store.purge(second(10_003)).await.unwrap();
        assert_eq!(ids(&kept.store.audits(None, 9).await.unwrap()), ["00010004", "00010003"]);
    }
}
