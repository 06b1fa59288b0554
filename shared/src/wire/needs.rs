//! Which of the stores of an edge a process works with.

/// A store of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// The spool.
    Spool,
    /// The queue of packs to prepare.
    QueueInbound,
    /// The queue of deliveries to make.
    QueueOutbound,
    /// Delivery state and claims.
    State,
    /// Credentials, domains, suppressions, routes.
    Directory,
    /// Signing keys.
    Keys,
    /// Counters.
    Counters,
}

impl Store {
    /// Every store, in the order of their settings.
    pub const ALL: [Self; 7] = [
        Self::Spool,
        Self::QueueInbound,
        Self::QueueOutbound,
        Self::State,
        Self::Directory,
        Self::Keys,
        Self::Counters,
    ];

    /// The key of its setting, such as `stores.spool`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Spool => "stores.spool",
            Self::QueueInbound => "stores.queue_inbound",
            Self::QueueOutbound => "stores.queue_outbound",
            Self::State => "stores.state",
            Self::Directory => "stores.directory",
            Self::Keys => "stores.keys",
            Self::Counters => "stores.counters",
        }
    }
}

/// A set of stores: those that are opened. A process may lack the right to any other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Every store.
    pub fn all() -> Self {
        Self::of(&Store::ALL)
    }

    /// These stores and no others.
    pub fn of(stores: &[Store]) -> Self {
        Self(stores.iter().fold(0, |bits, store| bits | Self::bit(*store)))
    }

    /// The stores that are in either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The stores that are not in `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `store` is one of them.
    pub fn has(self, store: Store) -> bool {
        self.0 & Self::bit(store) != 0
    }

    /// Each of them, in the order of their settings.
    pub fn iter(self) -> impl Iterator<Item = Store> {
        Store::ALL.into_iter().filter(move |store| self.has(*store))
    }

    fn bit(store: Store) -> u8 {
        1 << store as u8
    }
}
