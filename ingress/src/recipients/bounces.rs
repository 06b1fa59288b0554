//! Recipients at the domain of return paths: those that this edge has signed, and the address for complaints.

use shared::mail::{Domain, Mailbox};
use shared::port::PortResult;
use shared::return_path::{COMPLAINTS, ReturnPath, ReturnPaths};

use super::Known;

/// Whom mail is taken for at the domain of return paths.
pub(super) struct Bounces(ReturnPaths);

impl Bounces {
    pub(super) fn new(paths: ReturnPaths) -> Self {
        Self(paths)
    }

    /// The domain.
    pub(super) fn domain(&self) -> &Domain {
        self.0.domain()
    }

    /// Whether `recipient`, who is there, is for programs. Anybody else there is a recipient like those of other domains.
    pub(super) fn have(&self, recipient: &Mailbox) -> bool {
        ReturnPath::is_for_programs(recipient.local_part())
    }

    /// A path that is not signed is nobody's: it was made up, or is older than the keys.
    pub(super) async fn check(&self, recipient: &Mailbox) -> PortResult<Known> {
        if recipient.local_part().eq_ignore_ascii_case(COMPLAINTS) {
            return Ok(Known::Yes);
        }
        let signed = self.0.verify(recipient).await?.is_some();
        Ok(if signed { Known::Yes } else { Known::NoSuchRecipient })
    }
}
