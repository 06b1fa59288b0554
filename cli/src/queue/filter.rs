//! Filters, from the command line and in words.

use shared::directory::Filter;
use shared::mail::{MessageId, TenantId, Timestamp};

use crate::args::FilterArgs;
use crate::screen::{count, moment};

/// The filter that `args` name at `now`.
pub(crate) fn filter(args: FilterArgs, messages: Vec<MessageId>, now: Timestamp) -> Filter {
    let FilterArgs { tenant, domain, from, to, older, due, status, reason } = args;
    Filter {
        messages,
        tenant: tenant.map(TenantId),
        destination: domain,
        from,
        to,
        accepted_before: older.map(|older| now - older),
        due_by: due.then_some(now),
        status,
        reason,
    }
}

/// What a filter means, for a person.
pub(super) fn in_words(filter: &Filter) -> String {
    let Filter { messages, tenant, destination, from, to, accepted_before, due_by, status, reason } = filter;
    let mut words = Vec::new();
    match messages.as_slice() {
        [] => {}
        [one] => words.push(format!("message {one}")),
        many => words.push(count(many.len() as u64, "message")),
    }
    words.extend(tenant.as_ref().map(|tenant| format!("of {tenant}")));
    words.extend(destination.as_ref().map(|domain| format!("to {domain}")));
    words.extend(from.as_ref().map(|from| format!("from {from}")));
    words.extend(to.as_ref().map(|to| format!("to {to}")));
    words.extend(accepted_before.map(|at| format!("accepted by {}", moment(at))));
    words.extend(due_by.map(|at| format!("due by {}", moment(at))));
    words.extend(status.map(|status| format!("{status:?}").to_lowercase()));
    words.extend(reason.as_ref().map(|reason| format!("with `{reason}`")));
    if words.is_empty() { "all mail".to_owned() } else { words.join(", ") }
}
