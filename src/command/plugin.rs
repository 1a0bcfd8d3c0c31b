//! `muster plugin`.

use super::push::{find_known, push};
use crate::cli::{Language, PluginCommand, ViewArgs};
use crate::cluster::{Session, clients, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{Located, PluginFailure, PluginFile, Project, build, locate, scaffold, without_cluster};
use crate::summary::{Column, bytes, hex, list, pairs};
use crate::terminal::{self, note};
use muster_plugin_host::{F_ASYNC, F_CONCURRENT, F_THREADS_OK, Manifest, Problem};
use muster_proto::v1;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Does what a `plugin` command says.
pub async fn plugin(command: PluginCommand) -> Outcome {
    match command {
        PluginCommand::New { name, lang, is_async } => {
            if is_async && lang != Language::Rust {
                return Err(Failure::usage(
                    "--async writes a plugin in Rust, and --lang says another language",
                )
                .hint("in C and C++ an async form is muster.async/1 in muster_plugin.h"));
            }
            let folder = scaffold::scaffold(&name, lang, is_async)?;
            let flags = if is_async { "--model async" } else { "--reduce" };
            note(format_args!("wrote {0}; run it: muster run {0} {flags}", folder.display()));
            Ok(Exit::Ok)
        }
        PluginCommand::Build { folder } => {
            let file = build(&folder, &mut Interrupt::listen()?).await?;
            super::printed(terminal::print(file.display()))
        }
        PluginCommand::Check { file, timeout, json } => check(&file, timeout, json).await,
        PluginCommand::Test(args) => match args.case {
            Some(task) => Box::pin(super::replay::replay(&args, task)).await,
            None => Box::pin(super::conformance::test(&args)).await,
        },
        PluginCommand::Info { plugin, view } => info(&plugin, &view).await,
        PluginCommand::Push { files, view } => push_all(&files, &view).await,
        PluginCommand::Ls { view } => ls(&view).await,
        PluginCommand::Rm { plugin, view } => rm(&plugin, &view).await,
    }
}

async fn check(path: &Path, timeout: Duration, json: bool) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let path = if path.is_dir() { build(path, &mut interrupt).await? } else { path.to_owned() };
    let tried = async {
        let file = PluginFile::inspect(&path)?;
        file.try_out_within(timeout).await.map(|()| file)
    };
    let checked = interrupt.or(async { Ok(tried.await) }).await?;
    if json {
        let object = match &checked {
            Ok(file) => {
                let mut facts = facts(file.manifest(), &v1_info(file))?;
                facts["ok"] = true.into();
                facts
            }
            Err(problem) => serde_json::json!({"ok": false, "file": path, "problem": problem.to_string()}),
        };
        super::printed(terminal::print_json(&object))?;
    }
    let file = checked?;
    if json {
        return Ok(Exit::Ok);
    }
    super::printed(terminal::print(format_args!(
        "OK {} (it loads, and its manifest is right; no task was run)\n{}",
        path.display(),
        table(file.manifest(), &v1_info(&file))
    )))
}

async fn info(text: &str, view: &ViewArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let located = locate(text, &mut interrupt).await?;
    let (manifest, info) = match &located {
        Located::Here(file) => (file.manifest().clone(), v1_info(file)),
        Located::Registered(query) => {
            let session =
                async { session(&view.cluster).await.map_err(|failure| without_cluster(query, failure)) };
            interrupt.or(async { registered(&session.await?, query).await }).await?
        }
    };
    if view.json {
        return super::printed(terminal::print_json(&facts(&manifest, &info)?));
    }
    super::printed(terminal::print(table(&manifest, &info)))
}

async fn registered(session: &Session, query: &str) -> Outcome<(Manifest, v1::PluginInfo)> {
    let found = find_known(&session.link, query).await?;
    Ok((super::push::manifest(&found)?, found))
}

fn v1_info(file: &PluginFile) -> v1::PluginInfo {
    v1::PluginInfo {
        plugin: Some(file.reference()),
        target: file.inspection().target.clone(),
        manifest: file.manifest().json().to_owned(),
        added_s: 0.0,
    }
}

fn facts(manifest: &Manifest, info: &v1::PluginInfo) -> Result<serde_json::Value, Failure> {
    let reference = info.plugin.clone().unwrap_or_default();
    let parsed: serde_json::Value =
        serde_json::from_str(manifest.json()).map_err(|error| Failure::new(Exit::Plugin, error))?;
    Ok(serde_json::json!({
        "name": manifest.name(), "version": manifest.version(), "digest": hex(&reference.digest),
        "size": reference.size, "target": info.target, "models": models(manifest),
        "async": manifest.has(F_ASYNC), "manifest": parsed,
    }))
}

fn table(manifest: &Manifest, info: &v1::PluginInfo) -> String {
    let reference = info.plugin.clone().unwrap_or_default();
    let flags: Vec<&str> = manifest.flag_names().collect();
    let mut rows = vec![
        ("plugin", format!("{} {}", manifest.name(), manifest.version())),
        ("about", manifest.description().to_owned()),
        ("digest", hex(&reference.digest)),
        ("file", format!("{}, {}", bytes(reference.size), info.target)),
        ("tasks", format!("input {}, output {}", manifest.input().name(), manifest.output().name())),
    ];
    if manifest.reduce() {
        let kind = manifest.output_of(true).name();
        rows.push(("reduce", format!("results can be combined to {kind} (--reduce)")));
    }
    if let Some(tasks) = manifest.default_tasks() {
        rows.push(("default", format!("{} tasks", crate::summary::number(tasks))));
    }
    rows.push(("flags", flags.join(", ")));
    if !manifest.needs().is_empty() {
        rows.push((
            "needs",
            format!("{} (granted by worker start --allow, see docs/sandbox.md)", manifest.needs().join(", ")),
        ));
    }
    rows.push(("models", models_row(manifest)));
    rows.push(("async", async_row(manifest).to_owned()));
    for metric in manifest.metrics() {
        rows.push(("metric", format!("{} ({}): {}", metric.name, metric.kind.name(), metric.help)));
    }
    rows.extend(manifest.params().iter().map(|param| {
        let default = param.default().map(|value| format!("={value}")).unwrap_or_default();
        let about = param.description();
        let about = if about.is_empty() { String::new() } else { format!("; {about}") };
        ("param", format!("{}{default}: {param}{about}", param.name()))
    }));
    pairs(&rows)
}

/// The models that it may run under. One that is not for threads wants a process for each.
fn models(manifest: &Manifest) -> &'static [&'static str] {
    if manifest.has(F_THREADS_OK) {
        &["thread", "process", "hybrid", "spawn", "async", "gil"]
    } else {
        &["process", "spawn"]
    }
}

fn models_row(manifest: &Manifest) -> String {
    let why = if !manifest.has(F_THREADS_OK) {
        "; the others are not for it: tasks must not share a process (no flag threads_ok)"
    } else if !manifest.has(F_CONCURRENT) {
        "; tasks of a process run one after the other (no flag concurrent)"
    } else {
        ""
    };
    format!("{}{why}", models(manifest).join(", "))
}

fn async_row(manifest: &Manifest) -> &'static str {
    match (manifest.has(F_ASYNC), manifest.reduce()) {
        (true, false) => "yes: --model async keeps many tasks going on each thread",
        (true, true) => "yes: --model async keeps many tasks going on each thread, but not with --reduce",
        (false, _) => "no: --model async gives each task in flight a thread that stands in",
    }
}

async fn push_all(paths: &[PathBuf], view: &ViewArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let mut files = Vec::new();
    for path in paths {
        for path in plugin_paths(path, &mut interrupt).await? {
            files.push(interrupt.or(open(&path)).await?);
        }
    }
    interrupt.or(push_files(&files, view)).await
}

async fn push_files(files: &[PluginFile], view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let mut pushed = Vec::new();
    for file in files {
        let (info, known) = push(&session.link, file).await?;
        let reference = info.plugin.clone().unwrap_or_default();
        if !view.json {
            let what = if known { "known" } else { "added" };
            let line =
                format!("{} {}@{} {}", what, reference.name, reference.version, hex(&reference.digest));
            super::printed(terminal::print(line))?;
        }
        pushed.push(serde_json::json!({
            "name": reference.name, "version": reference.version, "digest": hex(&reference.digest), "known": known,
        }));
    }
    if view.json {
        return super::printed(terminal::print_json(&serde_json::json!({ "plugins": pushed })));
    }
    Ok(Exit::Ok)
}

/// A plugin file, tried out only when it can run on this machine; other workers may be of another kind.
async fn open(path: &Path) -> Outcome<PluginFile> {
    match PluginFile::inspect(path) {
        Ok(file) => Ok(file.try_out().await.map(|()| file)?),
        Err(PluginFailure::Broken(error)) if is_for_others(error.problem()) => {
            Ok(PluginFile::inspect_any(path)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// A file, the product of a source folder, or all `.so` files of a folder.
async fn plugin_paths(path: &Path, interrupt: &mut Interrupt) -> Outcome<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    if Project::detect(path).is_some() {
        note(format_args!("building {}", path.display()));
        return Ok(vec![build(path, interrupt).await?]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| Failure::io(Exit::Plugin, "read", path, &error))?;
    let mut libraries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    libraries.retain(|path| path.extension().is_some_and(|ending| ending == "so"));
    libraries.sort();
    if libraries.is_empty() {
        return Err(Failure::new(Exit::Plugin, format_args!("no plugin file (*.so) in {}", path.display()))
            .hint("name a plugin file, or a source folder with Cargo.toml or C sources"));
    }
    Ok(libraries)
}

fn is_for_others(problem: &Problem) -> bool {
    matches!(problem, Problem::OtherMachine { .. } | Problem::NeedsGlibc { .. })
}

async fn ls(view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let reply = clients::plugins(&session.link).list(v1::ListPluginsRequest {}).await;
    let plugins =
        reply.map_err(|status| Failure::from_status("listing plugins", &status))?.into_inner().plugins;
    if view.json {
        let all = plugins.iter().map(|info| facts(&super::push::manifest(info)?, info));
        let all = all.collect::<Result<Vec<_>, Failure>>()?;
        return super::printed(terminal::print_json(&serde_json::json!({ "plugins": all })));
    }
    let columns = [
        Column::text("NAME"),
        Column::text("VERSION"),
        Column::text("DIGEST"),
        Column::number("SIZE"),
        Column::text("TARGET").wide(),
        Column::number("ADDED").wide(),
    ];
    let row = |info: &v1::PluginInfo| {
        let reference = info.plugin.clone().unwrap_or_default();
        let digest = hex(&reference.digest).chars().take(16).collect();
        let size = bytes(reference.size);
        vec![
            reference.name,
            reference.version,
            digest,
            size,
            info.target.clone(),
            super::job::ago(info.added_s),
        ]
    };
    super::printed(terminal::print(list(&columns, plugins.iter().map(row).collect())))
}

async fn rm(query: &str, view: &ViewArgs) -> Outcome {
    let session = session(&view.cluster).await?;
    let request = v1::RemovePluginRequest { query: query.to_owned() };
    let reply = clients::plugins(&session.link).remove(request).await;
    let reply = reply.map_err(|status| Failure::from_status("removing the plugin", &status))?.into_inner();
    let reference = reply.plugin.and_then(|info| info.plugin).unwrap_or_default();
    let digest = hex(&reference.digest);
    if view.json {
        let object =
            serde_json::json!({"name": reference.name, "version": reference.version, "digest": digest});
        return super::printed(terminal::print_json(&object));
    }
    super::printed(terminal::print(format_args!("removed {}@{} {digest}", reference.name, reference.version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_say_which_models_are_for_a_plugin() {
        let row = |flags: &[&str]| {
            let text = serde_json::json!({ "muster": 1, "name": "x", "version": "1.0.0", "flags": flags });
            models_row(&Manifest::parse(&text.to_string()).unwrap())
        };
        assert_eq!(row(&["concurrent", "threads_ok"]), "thread, process, hybrid, spawn, async, gil");
        assert!(
            row(&["threads_ok"])
                .ends_with("async, gil; tasks of a process run one after the other (no flag concurrent)")
        );
        assert!(row(&["concurrent"]).starts_with("process, spawn; the others are not for it"));
    }
}
