//! The files of the page on deployment are whole, and hold what the page promises of them: one process, a state of its own, a
//! root that nobody writes, no root's rights, and time to end.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::pages::{Block, named, root};
use crate::programs::yaml;
use crate::roundsman_process::output;

/// The user of the image.
const USER: u64 = 65_532;

/// How long the process takes to end at most, in seconds.
const GRACE_MIN: u64 = 10;

fn block(info: &str) -> Block {
    let found = named("docs/deployment.md").blocks().into_iter().find(|block| block.info == info);
    found.unwrap_or_else(|| panic!("docs/deployment.md has no block `{info}`"))
}

fn seconds(text: &Value) -> u64 {
    text.as_u64().or_else(|| text.as_str()?.trim_end_matches('s').parse().ok()).expect("seconds")
}

#[test]
fn the_image_is_as_the_page_says() {
    let image = fs::read_to_string(root().join("Dockerfile")).expect("a Dockerfile");
    for line in [
        "USER 65532:65532",
        "VOLUME /state",
        "ENV STATE_DIRECTORY=/state",
        "STOPSIGNAL SIGTERM",
        "WORKDIR /etc/roundsman",
    ] {
        assert!(image.contains(line), "{line}");
    }
    let asks = r#"CMD ["roundsman", "health", "--config", "/etc/roundsman"]"#;
    assert!(image.contains("HEALTHCHECK") && image.contains(asks));
    let own = block("dockerfile").text;
    assert!(own.lines().next().is_some_and(|line| line.starts_with("FROM ")), "{own}");
    assert!(own.lines().skip(1).all(|line| line.starts_with("COPY ") && line.contains("/etc/roundsman")), "{own}");
}

#[test]
fn the_file_for_compose_is_whole() {
    let file = &yaml(&block("yaml compose.yaml").text)[0];
    let service = &file["services"]["roundsman"];
    assert_eq!(service["user"], format!("{USER}:{USER}"));
    assert_eq!((&service["read_only"], &service["restart"]), (&true.into(), &"always".into()));
    assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]));
    assert!(seconds(&service["stop_grace_period"]) > GRACE_MIN);
    let volumes: Vec<_> = service["volumes"].as_array().expect("volumes").iter().filter_map(Value::as_str).collect();
    assert_eq!(volumes, ["./:/etc/roundsman:ro", "state:/state"]);
    assert!(file["volumes"]["state"].is_object());
    for secret in service["secrets"].as_array().expect("secrets") {
        assert!(file["secrets"][secret["source"].as_str().expect("a name")]["file"].is_string(), "{secret}");
    }
}

#[test]
fn the_file_for_kubernetes_is_whole() {
    let objects = yaml(&block("yaml kubernetes.yaml").text);
    let of = |kind: &str| {
        objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("there is no {kind}"))
    };
    let spec = &of("Deployment")["spec"];
    assert_eq!((&spec["replicas"], &spec["strategy"]["type"]), (&1.into(), &"Recreate".into()));
    let pod = &spec["template"]["spec"];
    assert!(pod["terminationGracePeriodSeconds"].as_u64().expect("seconds") > GRACE_MIN);
    let rights = &pod["securityContext"];
    assert_eq!(
        (&rights["runAsUser"], &rights["fsGroup"], &rights["runAsNonRoot"]),
        (&USER.into(), &USER.into(), &true.into())
    );
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let mounted: Vec<_> = container["volumeMounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .map(|mount| mount["mountPath"].as_str().expect("a path"))
        .collect();
    assert_eq!(mounted, ["/etc/roundsman", "/run/secrets/roundsman", "/state"]);
    let claim = pod["volumes"]
        .as_array()
        .expect("volumes")
        .iter()
        .find_map(|volume| volume["persistentVolumeClaim"]["claimName"].as_str());
    assert_eq!(claim, of("PersistentVolumeClaim")["metadata"]["name"].as_str());
    assert_eq!(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]);
    assert_eq!(of("Service")["spec"]["selector"], spec["selector"]["matchLabels"]);
    is_valid_as_a_kubelet_lays_it(of("ConfigMap"), pod);
}

/// The files of a map are links to links: `roundsman.yaml` → `..data/roundsman.yaml`, `..data` → `..2026`.
fn is_valid_as_a_kubelet_lays_it(map: &Value, pod: &Value) {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("..2026_11_26");
    let volumes = pod["volumes"].as_array().expect("volumes");
    let items = volumes.iter().find_map(|volume| volume["configMap"]["items"].as_array()).expect("items");
    assert_eq!(items.len(), map["data"].as_object().expect("data").len(), "every file of the map has its place");
    for item in items {
        let path = item["path"].as_str().expect("a path");
        let text = map["data"][item["key"].as_str().expect("a key")].as_str().expect("a text");
        let file = place.join(path);
        fs::create_dir_all(file.parent().expect("a folder")).and_then(|()| fs::write(file, text)).expect("a file");
        let first = path.split('/').next().expect("a name");
        if !directory.path().join(first).exists() {
            symlink(format!("..data/{first}"), directory.path().join(first)).expect("a link");
        }
        if !directory.path().join("..data").exists() {
            symlink("..2026_11_26", directory.path().join("..data")).expect("a link");
        }
    }
    validates(directory.path().to_str().expect("a path in UTF-8"), &[("ROUNDSMAN_LISTEN", "0.0.0.0:8080")]);
}

fn validates(config: &str, environment: &[(&str, &str)]) {
    let ended = output(&["validate", "--config", config], environment);
    let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert_eq!(ended.status.code(), Some(0), "{said}");
}

#[test]
fn the_task_of_ecs_is_whole() {
    let task: Value = serde_json::from_str(&block("json task-definition.json").text).expect("JSON");
    let container = &task["containerDefinitions"][0];
    assert_eq!(container["user"], format!("{USER}:{USER}"));
    assert_eq!(container["readonlyRootFilesystem"], true);
    assert_eq!(container["linuxParameters"]["capabilities"]["drop"], serde_json::json!(["ALL"]));
    assert!(container["stopTimeout"].as_u64().expect("seconds") > GRACE_MIN);
    let asks: Vec<_> =
        container["healthCheck"]["command"].as_array().expect("a command").iter().filter_map(Value::as_str).collect();
    assert_eq!(asks, ["CMD", "roundsman", "health", "--config", "/etc/roundsman"]);
    let volume = task["volumes"][0]["name"].as_str();
    assert_eq!(
        (container["mountPoints"][0]["sourceVolume"].as_str(), &container["mountPoints"][0]["containerPath"]),
        (volume, &"/state".into())
    );
    let service = named("docs/deployment.md").text;
    assert!(
        service.contains("--desired-count 1 --deployment-configuration maximumPercent=100,minimumHealthyPercent=0")
    );
}

#[test]
fn systemd_takes_the_unit() {
    let text = block("ini roundsman.service").text;
    for line in
        ["DynamicUser=yes", "StateDirectory=roundsman", "Restart=always", "ProtectSystem=strict", "NoNewPrivileges=yes"]
    {
        assert!(text.lines().any(|known| known == line), "{line}");
    }
    // What it needs to start is put there by the commands behind it.
    let page = named("docs/deployment.md");
    let commands =
        page.blocks().into_iter().find(|block| block.text.contains("systemctl enable")).expect("commands").text;
    let credentials = text.lines().filter_map(|line| line.strip_prefix("LoadCredential=")?.split_once(':'));
    for place in credentials.map(|(_, path)| path).chain(["/etc/roundsman/", "/usr/local/bin/", "/etc/systemd/system/"])
    {
        assert!(commands.lines().any(|line| line.ends_with(place)), "nothing puts there what has to be at {place}");
    }
    let grace = text.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("a time to end");
    assert!(grace.parse::<u64>().expect("seconds") > GRACE_MIN);
    let directory = tempfile::tempdir().expect("a directory");
    let unit = directory.path().join("roundsman.service");
    fs::write(&unit, text.replace("/usr/local/bin/roundsman", env!("CARGO_BIN_EXE_roundsman"))).expect("a unit");
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() {
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let ours: Vec<_> = said.lines().filter(|line| line.contains("roundsman.service")).collect();
            assert!(ended.status.success() && ours.is_empty(), "{said}");
        }
        // A machine without systemd has no use for the unit, and nothing to read it with.
        Err(error) => println!("systemd-analyze is not here ({error}): the unit is only looked through"),
    }
}

#[test]
fn the_configuration_of_the_page_fits_each_of_them() {
    let directory = tempfile::tempdir().expect("a directory");
    crate::commands::copy(&root(), directory.path());
    let own = "\nvars: { api: \"http://127.0.0.1:1\" }\n";
    let (probes, schedules) = ("api: { http: \"${var:api}\" }\n", "often: { every: 30s, probes: [api] }\n");
    for folder in ["probes", "schedules", "runbooks"] {
        fs::remove_dir_all(directory.path().join(folder)).expect("a folder");
    }
    for (file, text) in [
        ("probes/a.yaml", probes),
        ("schedules/a.yaml", schedules),
        ("page", "0123456789abcdef"),
        ("slack", "http://127.0.0.1:1/"),
    ] {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, text)).expect("a file");
    }
    fs::write(directory.path().join("roundsman.yaml"), block("yaml roundsman.yaml").text + own).expect("a file");
    let config = directory.path().to_str().expect("a path in UTF-8");
    validates(config, &[("ROUNDSMAN_LISTEN", "0.0.0.0:8080"), ("STATE_DIRECTORY", "/state"), ("SECRETS", config)]);
}
