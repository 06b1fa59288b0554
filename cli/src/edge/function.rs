//! One stage as a function: the same stage on the same stores, fed by a cloud service in place of a poll loop.

use std::sync::Arc;

use shared::port::Queue;
use shared::system::SystemClock;
use shared::telemetry::EmfMetrics;
use workers::Stage;
use workers::deliver::Deliver;
use workers::lambda::{BatchPorts, Batches, serve_batches, serve_sweeps};

use super::{Stores, join};
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::{Reader, Role, Settings};

/// Answers events with the stage of `role` until the service ends the process. What it works with is opened before the first event,
/// and nobody is asked for anything before that. What it counts goes to `namespace` of CloudWatch.
pub(crate) async fn serve(settings: &Settings, role: Role, namespace: &str) -> Outcome {
    let reader = Reader::Function(role);
    // before the stores, which count what they ask for when they are opened
    let metrics = EmfMetrics::install(namespace, role.as_str(), Arc::new(SystemClock))
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    // not taken over: many of this function run at a time, and each leaves alone what is another's
    let stores = join::set_up_stores(settings, super::needs(settings, reader)).await?;
    let ended = match role {
        Role::Prepare => serve_batches(prepare(settings, &stores), metrics).await,
        Role::Deliver => serve_batches(deliver(settings, &stores)?, metrics).await,
        Role::Sweep => {
            serve_sweeps(join::sweep(settings, reader, &stores), Arc::clone(&stores.clock), metrics).await
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
    let shaper = join::shaper(settings, stores)?;
    let transports =
        join::transports(settings, stores, &join::resolver(settings)?).shaped_by(Arc::clone(&shaper));
    let (settings, worker) = (join::deliver_settings(settings)?, join::deliver_ports(stores));
    Ok(Batches::new(ports(&stores.outbound, stores), move |ending| {
        let transports = Arc::new(transports.clone().cut_by(ending.cut.clone()));
        let stage = Deliver::new(settings.clone(), worker.clone(), transports);
        Arc::new(stage.shaped_by(Arc::clone(&shaper)).drained_by(ending.drain.clone()))
    }))
}

fn ports(queue: &Arc<dyn Queue>, stores: &Stores) -> BatchPorts {
    BatchPorts { queue: Arc::clone(queue), clock: Arc::clone(&stores.clock), ids: Arc::clone(&stores.ids) }
}
