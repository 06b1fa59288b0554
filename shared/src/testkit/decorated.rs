//! The fault decorator before the suites: as long as it lets everything through, nobody can tell that it is there.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Faults, Faulty, Fixture, Store, Windows};
use crate::port::{Counters, Deliveries, Directory, Keys, Queue, Spool, Tallies};

/// The stores of another fixture, with a sound [`Faulty`] in front of each handle.
#[derive(Debug, Clone, Copy, Default)]
pub struct Decorated<F>(pub F);

struct DecoratedStore<S>(S);

macro_rules! decorated {
    ($($port:ident),* $(,)?) => {$(
        #[async_trait]
        impl<F: Fixture<dyn $port>> Fixture<dyn $port> for Decorated<F> {
            async fn fresh(&self) -> Box<dyn Store<dyn $port>> {
                Box::new(DecoratedStore(self.0.fresh().await))
            }

            fn windows(&self) -> Windows {
                self.0.windows()
            }
        }

        #[async_trait]
        impl Store<dyn $port> for DecoratedStore<Box<dyn Store<dyn $port>>> {
            async fn open(&self) -> Arc<dyn $port> {
                Faulty::<dyn $port>::new(self.0.open().await, &Faults::new(0))
            }
        }
    )*};
}
decorated!(Spool, Queue, Deliveries, Directory, Keys, Counters, Tallies);
