//! One stage as a function: the same stage on the same stores, fed by a cloud service in place of a poll loop.

use std::sync::Arc;

use shared::port::Queue;
use shared::system::SystemClock;
use shared::telemetry::EmfMetrics;
use workers::Stage;
use workers::deliver::Deliver;
use workers::lambda::{BatchPorts, Batches, serve_batches, serve_sweeps};

use super::{Stores, deliver, join};
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::{Reader, Role, Settings};

/// Answers events with the stage of `role` until the service ends the process. What it works with is opened before the first event,
/// and nobody is asked for anything before that. What it counts goes to `namespace` of CloudWatch.
pub(crate) async fn serve(settings: &Settings, role: Role, namespace: &str) -> Outcome {
    let reader = Reader::Function(role);
    // before the stores, which count what they ask for when they are opened
    let metrics = EmfMetrics::install(namespace, role.as_str(), Arc::new(SystemClock))
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    super::check_secrets(settings).await.map_err(|mistakes| super::refused("smart_host", &mistakes))?;
    // not taken over: many of this function run at a time, and each leaves alone what is another's
    let stores = join::set_up_stores(settings, super::needs(settings, reader)).await?;
    let ended = match role {
        Role::Prepare => serve_batches(prepare(settings, &stores), metrics).await,
        Role::Deliver => serve_batches(deliver(settings, &stores)?, metrics).await,
        Role::Sweep => {
            let sweep = join::sweep(settings, reader, &stores, &join::resolver(settings)?);
            serve_sweeps(sweep, Arc::clone(&stores.clock), metrics).await
        }
        Role::Ingress => return Err(Failure::new(Exit::Internal, "ingress is no function")),
    };
    ended.map_err(|error| Failure::new(Exit::Unavailable, format!("the runtime of Lambda failed: {error}")))
}

fn prepare(settings: &Settings, stores: &Stores) -> Batches {
    let stage: Arc<dyn Stage> = Arc::new(join::prepare(settings, stores));
    Batches::new(ports(&stores.inbound, stores), move |_| Arc::clone(&stage))
}

/// A worker for each invocation, which heeds the ending of that. What is dear to make is made once.
fn deliver(settings: &Settings, stores: &Stores) -> Outcome<Batches> {
    let tally = deliver::tls_tally(settings, stores);
    let shaper = deliver::shaper(settings, stores)?;
    let transports = deliver::transports(settings, stores, &join::resolver(settings)?, tally.as_ref())
        .shaped_by(Arc::clone(&shaper));
    let (worker, deliver) = (deliver::deliver_ports(settings, stores), deliver::deliver_settings(settings)?);
    let in_front = deliver::bounces(settings, stores, &worker);
    let (kept, places) = (transports.clone(), Arc::clone(&shaper));
    let batches = Batches::new(ports(&stores.outbound, stores), move |ending| {
        let transport = in_front(Arc::new(transports.clone().cut_by(ending.cut.clone())));
        let stage = Deliver::new(deliver.clone(), worker.clone(), transport);
        Arc::new(stage.shaped_by(Arc::clone(&shaper)).drained_by(ending.drain.clone()))
    });
    Ok(batches.resting_by(move || {
        let (kept, places, tally) = (kept.clone(), Arc::clone(&places), tally.clone());
        Box::pin(async move {
            kept.close_kept().await;
            places.rest().await;
            if let Some(tally) = tally {
                tally.flush().await;
            }
        })
    }))
}

fn ports(queue: &Arc<dyn Queue>, stores: &Stores) -> BatchPorts {
    BatchPorts { queue: Arc::clone(queue), clock: Arc::clone(&stores.clock), ids: Arc::clone(&stores.ids) }
}
