//! Roles: the parts of an edge, each of which can be a process of its own; and whom settings are read for.

use shared::config::Setting;
use shared::wire::Needs;

/// A part of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Takes mail in.
    Ingress,
    /// Signs and splits it.
    Prepare,
    /// Sends it on.
    Deliver,
    /// Finds what is due, and clears away what is old.
    Sweep,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Ingress, Self::Prepare, Self::Deliver, Self::Sweep];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Prepare => "prepare",
            Self::Deliver => "deliver",
            Self::Sweep => "sweep",
        }
    }
}

impl Setting for Role {
    const RIGHT: &'static str = "ingress, prepare, deliver or sweep";

    fn read(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// The roles that a process has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roles(pub(crate) Vec<Role>);

impl Roles {
    pub(crate) fn all() -> Self {
        Self(Role::ALL.into())
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| self.has(*role))
    }

    /// Whether any of them says our name to others, or writes it into mail.
    pub(crate) fn have_a_name(&self) -> bool {
        self.iter().any(|role| match role {
            Role::Ingress | Role::Prepare | Role::Deliver => true,
            Role::Sweep => false,
        })
    }
}

/// Whom settings are read for, as not all of them are asked of everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A process that has the roles that its settings say.
    Edge,
    /// A command that looks at these stores of an edge.
    Command(Needs),
    /// A function that has this role, and no folder in which anything could lie by default.
    Function(Role),
}
