use thiserror::Error;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a port could not do what it was asked, told by what is known of the effect.
#[derive(Debug, Error)]
pub enum PortError {
    /// It did not happen, and will not.
    #[error("{what} did not happen")]
    Refused {
        /// What was asked, as a noun phrase.
        what: &'static str,
        /// Why not.
        #[source]
        cause: Cause,
    },
    /// It may have happened: the answer was lost. Only a write needs this; a failed read is [`PortError::Refused`].
    #[error("{what} may or may not have happened")]
    Unknown {
        /// What was asked, as a noun phrase.
        what: &'static str,
        /// Why it is not known.
        #[source]
        cause: Cause,
    },
}

/// What a port answers with.
pub type PortResult<T> = Result<T, PortError>;

impl PortError {
    /// It did not happen. `what` is a noun phrase such as `"the write of a pack"`.
    pub fn refused(what: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Refused { what, cause: cause.into() }
    }

    /// It may have happened.
    pub fn unknown(what: &'static str, cause: impl Into<Cause>) -> Self {
        Self::Unknown { what, cause: cause.into() }
    }

    /// The whole chain of causes on one line, for a log.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its causes on one line, for a log or an operator.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
