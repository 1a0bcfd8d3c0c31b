//! `muster plugin test PLUGIN`.

use super::replay::{fetched, session};
use crate::cli::PluginTestArgs;
use crate::cluster::TempFolder;
use crate::conformance::{Subject, Verdict, conformance, json, table};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::plugin::{Located, locate};
use crate::terminal::{self, note};

/// Tests whether a plugin keeps its promises.
pub async fn test(args: &PluginTestArgs) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let folder = TempFolder::new()?;
    let file = match locate(&args.plugin, &mut interrupt).await? {
        Located::Here(file) => *file,
        Located::Registered(query) => {
            let found = async {
                let session = session(&args.view.cluster).await?;
                fetched(session.as_ref(), &query, None, &folder).await
            };
            interrupt.or(found).await?
        }
    };
    interrupt.or(async { file.try_out().await.map_err(Failure::from) }).await?;
    let subject = Subject::new(file, args)?;
    let checks = Box::pin(conformance(&subject, &mut interrupt)).await?;
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
