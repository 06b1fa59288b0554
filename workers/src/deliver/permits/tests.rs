use futures::FutureExt;
use futures::future::BoxFuture;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId(name.to_owned())
}

fn now(permits: &Permits, name: &str) -> Option<Permit> {
    permits.acquire(0, &tenant(name)).now_or_never()
}

fn ask(permits: &Arc<Permits>, priority: i8, name: &str) -> BoxFuture<'static, Permit> {
    let (permits, tenant) = (Arc::clone(permits), tenant(name));
    let mut asked = async move { permits.acquire(priority, &tenant).await }.boxed();
    assert!(asked.as_mut().now_or_never().is_none(), "there is none to be had");
    asked
}

fn has(asked: &mut BoxFuture<'static, Permit>) -> Option<Permit> {
    asked.now_or_never()
}

/// The places in `asked` in the order in which they are served, one at a time.
fn served(mut held: Option<Permit>, mut asked: Vec<Option<BoxFuture<'static, Permit>>>) -> Vec<usize> {
    let mut served = Vec::new();
    while asked.iter().any(Option::is_some) {
        drop(held.take());
        for (at, one) in asked.iter_mut().enumerate() {
            if let Some(permit) = one.as_mut().and_then(has) {
                (held, *one) = (Some(permit), None);
                served.push(at);
                break;
            }
        }
        assert!(held.is_some(), "nobody is served");
    }
    served
}

#[test]
fn the_most_urgent_is_served_first_and_equals_in_their_order() {
    let permits = Arc::new(Permits::new(1));
    let held = now(&permits, "a");
    let asked = [0, -9, 9, 0].map(|priority| Some(ask(&permits, priority, "a")));
    assert_eq!(served(held, asked.into()), [2, 0, 3, 1]);
}

#[test]
fn tenants_take_turns_however_many_of_one_wait() {
    let permits = Arc::new(Permits::new(1));
    let held = now(&permits, "a");
    let mut asked: Vec<_> = (0..1000).map(|_| Some(ask(&permits, 0, "a"))).collect();
    asked.extend(["b", "c", "b"].map(|name| Some(ask(&permits, 0, name))));
    assert_eq!(served(held, asked)[..7], [0, 1000, 1001, 1, 1002, 2, 3]);
}

#[test]
fn one_tenant_cannot_have_all_of_them() {
    let permits = Arc::new(Permits::new(256));
    let mut held: Vec<Permit> = (0..192).map(|_| now(&permits, "a").unwrap()).collect();
    let mut more = ask(&permits, 9, "a");
    // another has its own at once, urgent or not
    let other = now(&permits, "b").unwrap();
    drop(other);
    assert!(has_none(&mut more), "what the other gave back is not for whoever has enough");
    held.pop();
    assert!(has(&mut more).is_some());
}

fn has_none(asked: &mut BoxFuture<'static, Permit>) -> bool {
    asked.as_mut().now_or_never().is_none()
}

#[test]
fn who_stops_waiting_takes_no_permit_along() {
    let permits = Arc::new(Permits::new(1));
    let held = now(&permits, "a").unwrap();
    let gone = ask(&permits, 9, "a");
    let mut stays = ask(&permits, 0, "a");
    drop(gone);
    drop(held);
    let permit = has(&mut stays).unwrap();
    // served, and gone before it looked
    let served = ask(&permits, 0, "b");
    drop(permit);
    drop(served);
    assert!(now(&permits, "a").is_some());
    assert!(lock(&permits.0).held.is_empty());
}
