//! The demo as a newcomer sees it: three minutes in which an incident opens, explains itself and resolves.

use crate::servers::roundsman::command;

#[test]
fn a_broken_database_is_noticed_explained_and_told_to_be_over() {
    let home = tempfile::tempdir().expect("a directory");
    let state = home.path().to_str().expect("a path in UTF-8");
    let arguments = ["demo", "--break", "database", "--for", "3m", "--config", env!("CARGO_MANIFEST_DIR")];
    let environment = [("STATE_DIRECTORY", state), ("ROUNDSMAN_LISTEN", "127.0.0.1:0")];
    let demo = command(&arguments, &environment).output().expect("the binary starts");
    let (out, log) = (String::from_utf8_lossy(&demo.stdout), String::from_utf8_lossy(&demo.stderr));
    assert_eq!(demo.status.code(), Some(0), "{out}\n{log}");

    let lines: Vec<_> = out.lines().filter(|line| line.starts_with("pager: ")).collect();
    let [opened, resolved] = lines.as_slice() else { panic!("one page and one resolve: {out}\n{log}") };
    assert!(opened.starts_with("pager: P1 opened: api-health is failing: "), "{opened}");
    assert!(opened.contains("`json.services.database` was `\"degraded\"`"), "{opened}");
    assert!(resolved.starts_with("pager: P1 resolved: api-health is well again after "), "{resolved}");
    assert_eq!(std::fs::read_dir(home.path()).expect("a directory").count(), 0, "the demo leaves nothing behind");
}
