//! `muster plugin test PLUGIN`.

use crate::cli::PluginTestArgs;
use crate::cluster::{Choice, Session, TempFolder, choose};
use crate::conformance::{Subject, Verdict, conformance, json, table};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{Located, PluginFailure, Searched, locate};
use crate::replay::pull;
use crate::terminal::{self, note};
use muster_proto::link::connect;

/// Tests whether a plugin keeps its promises.
pub async fn test(args: &PluginTestArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let folder = TempFolder::new()?;
    let file = match locate(&args.plugin, &mut interrupt).await? {
        Located::Here(file) => *file,
        Located::Registered(query) => interrupt.or(fetched(args, &query, &folder)).await?,
    };
    interrupt.or(async { file.try_out().await.map_err(Failure::from) }).await?;
    let subject = Subject::new(file, args)?;
    let checks = conformance(&subject, &mut interrupt).await?;
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let failed = count(Verdict::Fail);
    super::printed(if args.view.json {
        terminal::print_json(&json(&subject, &checks))
    } else {
        terminal::print(table(&checks))
    })?;
    let (passed, others) = (count(Verdict::Pass), count(Verdict::NotChecked));
    note(format_args!("{passed} passed, {failed} failed, {others} not checked"));
    Ok(if failed > 0 { Exit::Plugin } else { Exit::Ok })
}

/// A plugin that a cluster knows.
async fn fetched(
    args: &PluginTestArgs,
    query: &str,
    folder: &TempFolder,
) -> Outcome<crate::plugin::PluginFile> {
    let Choice::Existing { name, target } = choose(&args.view.cluster)? else {
        return Err(PluginFailure::not_found(query.to_owned(), Searched::FilesWithoutCluster).into());
    };
    let session = Session { link: connect(&target).await?, name };
    let found = super::push::find_known(&session.link, query).await?;
    pull(&session.link, &found.plugin.unwrap_or_default(), folder.path()).await
}
