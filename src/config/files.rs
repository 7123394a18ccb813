//! The files of a configuration: which there are, and the tree of each.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::settings::source::FILE_BYTES_MAX;
use crate::settings::{Level, Node, Problem, Problems, Source, Span, parse};

/// The file that may be absent.
pub const ROOT_FILE: &str = "roundsman.yaml";

/// The trees of the files.
pub struct Files {
    /// That of `roundsman.yaml`.
    pub root: Option<Node>,
    /// Whether `roundsman.yaml` is there and could not be read, so that nobody knows what it declares.
    pub root_lost: bool,
    /// Those of `probes/`.
    pub probes: Folder,
    /// Those of `schedules/`.
    pub schedules: Folder,
}

/// The trees of a folder's files, in the order of their names.
#[derive(Default)]
pub struct Folder {
    /// The trees.
    pub trees: Vec<Node>,
    /// Whether a file could not be read, so that what is not in the trees may be in it.
    pub lost: bool,
}

impl Files {
    /// Reads the files of a directory; what cannot be read is a problem.
    pub fn read(directory: &Path, problems: &mut Problems) -> Self {
        let failed = |problems: &mut Problems, message: String, help: &str| {
            problems.push(Problem::placeless(Level::Error, message).with_help(help));
        };
        let lost = || Folder { trees: Vec::new(), lost: true };
        let none = Self { root: None, root_lost: true, probes: lost(), schedules: lost() };
        match std::fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                failed(
                    problems,
                    format!("{} is not a directory", directory.display()),
                    "`--config` names the directory that holds `probes/` and `schedules/`",
                );
                return none;
            }
            Err(error) => {
                failed(
                    problems,
                    format!("the directory {} cannot be read: {error}", directory.display()),
                    "name the configuration's directory with `--config DIR`",
                );
                return none;
            }
        }
        let root = directory.join(ROOT_FILE);
        // A link that leads nowhere is there, and a mistake.
        let is_there = root.symlink_metadata().is_ok();
        let root = is_there.then(|| tree(directory, &root, problems)).flatten();
        let other = directory.join("roundsman.yml");
        if other.exists() {
            problems.error(Span::new(&Source::new("roundsman.yml", ""), 0..0), "this file is not read").help =
                Some(format!("call it `{ROOT_FILE}`"));
        }
        let probes = folder(directory, "probes", problems);
        let schedules = folder(directory, "schedules", problems);
        let missing = match (&probes, &schedules) {
            (None, None) => Some((
                "probes",
                "name the directory that holds `probes/` and `schedules/` with `--config DIR`, or begin with `roundsman init`",
            )),
            (None, Some(_)) => Some(("probes", "what `schedules/` runs is written there")),
            (Some(_), None) => Some(("schedules", "when the probes of `probes/` run is written there")),
            (Some(_), Some(_)) => None,
        };
        if let Some((name, help)) = missing {
            failed(problems, format!("there is no file {}/{name}/*.yaml", directory.display()), help);
        }
        let root_lost = is_there && root.is_none();
        Self { root, root_lost, probes: probes.unwrap_or_else(lost), schedules: schedules.unwrap_or_else(lost) }
    }
}

/// Which files there are, and how each lies on the disk: other once somebody has written one, without reading any. Links are
/// followed, since Kubernetes changes a `ConfigMap` by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint(BTreeMap<PathBuf, Option<Lie>>);

/// The device, the file on it, and when it was changed last (seconds and nanoseconds): the kernel sets that with every write, also
/// where a program puts the time of the content back.
type Lie = (u64, u64, i64, i64);

impl Footprint {
    /// That of a directory as it is now. What cannot be looked at is a part of it too.
    pub fn of(directory: &Path) -> Self {
        let folders = ["probes", "schedules"].map(|name| directory.join(name));
        let within = folders.iter().flat_map(|folder| entries(folder).unwrap_or_default()).filter(|path| is_yaml(path));
        let lie = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).ok();
            let lie = metadata.map(|of| (of.dev(), of.ino(), of.ctime(), of.ctime_nsec()));
            (path, lie)
        };
        Self(within.chain([directory.join(ROOT_FILE)]).map(lie).collect())
    }
}

/// The files of a folder; `None` when it has none.
fn folder(directory: &Path, name: &str, problems: &mut Problems) -> Option<Folder> {
    let nowhere = |path: &Path| Span::new(&Source::new(path, ""), 0..0);
    let mut paths = match entries(&directory.join(name)) {
        Ok(paths) => paths,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            problems.error(nowhere(Path::new(name)), format!("the folder cannot be read: {error}"));
            return Some(Folder { trees: Vec::new(), lost: true });
        }
    };
    for within in paths.iter().filter(|path| !is_yaml(path) && path.is_dir()) {
        let at = nowhere(within.strip_prefix(directory).unwrap_or(within));
        problems.warning(at, "what is in this folder is not read").help =
            Some(format!("put its files into `{name}/` itself"));
    }
    paths.retain(|path| is_yaml(path));
    if paths.is_empty() {
        return None;
    }
    let trees: Vec<_> = paths.iter().filter_map(|path| tree(directory, path, problems)).collect();
    Some(Folder { lost: trees.len() < paths.len(), trees })
}

/// What lies in a folder and is not hidden, in the order of the names.
fn entries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let entries = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = entries.filter(|path| !hidden(path)).collect();
    paths.sort();
    Ok(paths)
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn tree(directory: &Path, path: &Path, problems: &mut Problems) -> Option<Node> {
    let shown = path.strip_prefix(directory).unwrap_or(path);
    let mut failed = |message: String| {
        problems.error(Span::new(&Source::new(shown, ""), 0..0), message);
        None
    };
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return failed("this is not a plain file".to_owned()),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX as u64 => {
            return failed("the file is larger than 10 MiB".to_owned());
        }
        Ok(_) => {}
        Err(error) => return failed(format!("the file cannot be read: {error}")),
    }
    match std::fs::read(path) {
        Ok(bytes) => {
            let source = Source::decode(shown, &bytes, problems)?;
            parse(source, problems)
        }
        Err(error) => failed(format!("the file cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir, hard_link, remove_file, rename, write};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_footprint_is_other_when_a_file_was_written_put_in_place_added_or_removed() {
        let directory = tempfile::tempdir().unwrap();
        let of = |name: &str| directory.path().join(name);
        for folder in ["probes", "schedules", "first", "second"] {
            create_dir(of(folder)).unwrap();
        }
        write(of("probes/a.yaml"), "a").unwrap();
        write(of("first/s.yaml"), "s").unwrap();
        write(of("second/s.yaml"), "s").unwrap();
        symlink(of("first"), of("data")).unwrap();
        symlink(of("data/s.yaml"), of("schedules/s.yaml")).unwrap();
        let mut before = Footprint::of(directory.path());
        assert_eq!(before, Footprint::of(directory.path()));
        let mut is_other = |what: &str| {
            let now = Footprint::of(directory.path());
            let is_other = before != now;
            before = now;
            assert!(is_other, "{what}");
        };
        hard_link(of("probes/a.yaml"), of("kept")).unwrap();
        write(of("new"), "a").unwrap();
        rename(of("new"), of("probes/a.yaml")).unwrap();
        is_other("the same text in another file");
        write(of("roundsman.yaml"), "").unwrap();
        is_other("a file more");
        remove_file(of("roundsman.yaml")).unwrap();
        is_other("a file less");
        symlink(of("second"), of("next")).unwrap();
        rename(of("next"), of("data")).unwrap();
        is_other("a link leads elsewhere");
        write(of("probes/.a.yaml.swp"), "").unwrap();
        write(of("probes/notes.txt"), "").unwrap();
        assert_eq!(before, Footprint::of(directory.path()), "these are not read");
    }
}
