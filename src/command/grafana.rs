//! `muster grafana init`: a folder from which Prometheus and Grafana show a cluster.

use crate::cli::{GrafanaCommand, GrafanaInitArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::grafana::{Monitoring, files};
use crate::output::save;
use crate::terminal::note;

/// Does what a `grafana` command says.
pub fn grafana(command: GrafanaCommand) -> Outcome {
    match command {
        GrafanaCommand::Init(args) => init(&args),
    }
}

fn init(args: &GrafanaInitArgs) -> Outcome {
    let failed = |what: &str, error: &std::io::Error| Failure::io(Exit::Storage, what, &args.folder, error);
    if args.folder.is_file() {
        return Err(Failure::usage(format_args!("{} is a file", args.folder.display()))
            .hint("name a folder; it is made when it is not there"));
    }
    std::fs::create_dir_all(&args.folder).map_err(|error| failed("create", &error))?;
    let folder = args.folder.canonicalize().map_err(|error| failed("find", &error))?;
    let of = Monitoring { coordinator: args.coordinator.clone(), prometheus: args.prometheus.clone() };
    let files = files(&folder, &of);
    // Before anything is written.
    if let Some((path, _)) = files.iter().find(|(path, _)| !args.force && folder.join(path).exists()) {
        let path = args.folder.join(path);
        return Err(Failure::new(Exit::Job, format_args!("{} is there already", path.display()))
            .hint("name another folder, or replace the files with --force"));
    }
    for (path, text) in &files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| Failure::io(Exit::Storage, "create", parent, &error))?;
        }
        save(&path, text.as_bytes())?;
    }
    let shown = folder.display();
    note(format_args!("{} files in {shown}", files.len()));
    note(format_args!("prometheus --config.file={shown}/prometheus.yml"));
    note(format_args!("GF_PATHS_PROVISIONING={shown}/grafana/provisioning grafana server"));
    Ok(Exit::Ok)
}
