//! The files of a configuration: which there are, and the tree of each.

use std::io::ErrorKind;
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
        let mut said = false;
        for (name, found) in [("probes", &probes), ("schedules", &schedules)] {
            if found.is_none() && !said {
                said = true;
                failed(
                    problems,
                    format!("there is no file {}/{name}/*.yaml", directory.display()),
                    "name the directory that holds `probes/` and `schedules/` with `--config DIR`",
                );
            }
        }
        let root_lost = is_there && root.is_none();
        Self { root, root_lost, probes: probes.unwrap_or_else(lost), schedules: schedules.unwrap_or_else(lost) }
    }
}

/// The files of a folder; `None` when it has none.
fn folder(directory: &Path, name: &str, problems: &mut Problems) -> Option<Folder> {
    let nowhere = |path: &Path| Span::new(&Source::new(path, ""), 0..0);
    let entries = match std::fs::read_dir(directory.join(name)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => {
            problems.error(nowhere(Path::new(name)), format!("the folder cannot be read: {error}"));
            return Some(Folder { trees: Vec::new(), lost: true });
        }
    };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| !hidden(path)).collect();
    paths.sort();
    for within in paths.iter().filter(|path| !is_yaml(path) && path.is_dir()) {
        let at = nowhere(within.strip_prefix(directory).unwrap_or(within));
        problems.warning(at, "what is in this folder is not read").help =
            Some(format!("put its files into `{name}/` itself"));
    }
    paths.retain(is_yaml);
    if paths.is_empty() {
        return None;
    }
    let trees: Vec<_> = paths.iter().filter_map(|path| tree(directory, path, problems)).collect();
    Some(Folder { lost: trees.len() < paths.len(), trees })
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
