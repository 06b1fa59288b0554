//! `spoolway queue`, from its arguments to its ports: what is shown, and what is done by whom.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write};

use shared::order::Hand;
use shared::wire::Needs;
use workers::deliver::Route;

use crate::args::{HandArgs, Lasting, Queue, QueueAction};
use crate::edge::{self, Stores};
use crate::exit::{Exit, Failure, Outcome};
use crate::limits::ORDER_LASTING_MAX;
use crate::queue::{self, HandPorts, Wanted, Wish, filter};
use crate::screen::Screen;
use crate::{beside_edge, environment, settings_of, trace};

pub(crate) fn run_queue(args: Queue, screen: Screen, out: &mut dyn Write) -> Outcome {
    let none = Lasting { lasting: None };
    match args.action {
        None => beside_edge(&args.place, Needs::of(edge::QUEUE), |stores| async move {
            let Stores { deliveries, inbound, outbound, clock, .. } = stores;
            let now = clock.now();
            let ports = queue::Ports { deliveries, inbound, outbound, now };
            let list = args.list.then_some((args.limit, args.after));
            let wanted = Wanted { filter: filter(args.filter, Vec::new(), now), list, json: args.json };
            queue::run(&ports, &wanted, screen, out).await
        }),
        Some(QueueAction::Retry(hand)) => lay_hands(Hand::Retry, hand, &none, screen, out),
        Some(QueueAction::Hold { hand, lasting }) => {
            lay_hands(Hand::Hold { until: None }, hand, &lasting, screen, out)
        }
        Some(QueueAction::Release(hand)) => lay_hands(Hand::Release, hand, &none, screen, out),
        Some(QueueAction::Bounce { hand, lasting, because }) => {
            lay_hands(Hand::Bounce { reason: because }, hand, &lasting, screen, out)
        }
        Some(QueueAction::Reroute { hand, lasting, route }) => {
            let settings = settings_of(&hand.place, Needs::of(edge::HANDS))?;
            let route = Route::named(&route, &settings.smart_hosts)
                .map_err(|error| Failure::new(Exit::Usage, format!("--route: {error}")))?;
            lay_hands(Hand::Reroute { route: route.to_string() }, hand, &lasting, screen, out)
        }
        Some(QueueAction::Orders { place, json }) => {
            beside_edge(&place, Needs::of(edge::DIRECTORY), |stores| async move {
                queue::list_orders(&*stores.directory, stores.clock.now(), json, screen, out).await
            })
        }
        Some(QueueAction::Revoke { order, place, json }) => {
            beside_edge(&place, Needs::of(edge::DIRECTORY), |stores| async move {
                queue::revoke(&*stores.directory, &order, json, out).await
            })
        }
    }
}

fn lay_hands(
    hand: Hand,
    args: HandArgs,
    Lasting { lasting }: &Lasting,
    screen: Screen,
    out: &mut dyn Write,
) -> Outcome {
    let HandArgs { ids, filter: named, all, dry_run, yes, place, json } = args;
    if ids.is_empty() && !all && named.is_empty() {
        let text = "say which mail: name messages, a filter such as --domain, or --all";
        return Err(Failure::new(Exit::Usage, text));
    }
    if ids.len() > shared::limits::ORDER_MESSAGES_MAX {
        let text = format!("an order is for {} messages at most", shared::limits::ORDER_MESSAGES_MAX);
        return Err(Failure::new(Exit::Usage, text));
    }
    if lasting.is_some_and(|lasting| lasting > ORDER_LASTING_MAX) {
        return Err(Failure::new(Exit::Usage, "--for takes 30d at most"));
    }
    let lasting = *lasting;
    let ask = !yes && io::stdin().is_terminal();
    beside_edge(&place, Needs::of(edge::HANDS), |stores| async move {
        let Stores { spool, deliveries, directory, clock, ids: chance, place, .. } = stores;
        let now = clock.now();
        let trace = trace::Ports { spool, deliveries, now, place };
        let ports = HandPorts { trace, directory, chance: chance.random() };
        let wish = Wish { hand, filter: filter(named, ids, now), lasting, by: operator(), dry_run, json };
        queue::lay_hands(&ports, wish, |what| if ask { confirm(what) } else { Ok(true) }, screen, out).await
    })
}

/// Asks on the terminal.
fn confirm(what: &str) -> Outcome<bool> {
    let mut errors = io::stderr();
    write!(errors, "{what}? [y/N] ")?;
    errors.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Whoever runs this, by the operating system's word; behind sudo, who asked for it.
fn operator() -> String {
    let known: HashMap<String, String> = environment().collect();
    let names = ["SUDO_USER", "USER", "LOGNAME"].into_iter().filter_map(|name| known.get(name));
    names.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_else(|| "operator".to_owned())
}
