//! What changes who the client is: TLS, and what a trusted proxy says of it.

use shared::mail::{ClientDns, Reply};

use super::{Dialogue, offer};
use crate::over_limit::Over;
use crate::places::Place;
use crate::smtp::{Action, XClient};
use crate::tls::TlsFacts;

impl Dialogue {
    /// The session goes on under TLS.
    pub(in crate::connection) fn secured(&mut self, tls: TlsFacts) {
        let offer = offer(&self.listener, self.client, Some(&tls), self.xclient, &self.edge);
        self.tls = Some(Box::new(tls));
        (self.grant, self.exchange) = (None, None);
        self.envelope_memory = None;
        self.session.secured(offer);
    }

    /// The session is that of another client from here on, which is counted like any other. Whom the proxy has authenticated is not
    /// believed: a credential is proved here or not at all.
    pub(in crate::connection) fn relocate(&mut self, said: XClient, place: &mut Place) -> Option<Action> {
        let XClient { ip, name, .. } = said;
        if let Some(ip) = ip {
            self.client = ip.to_canonical();
            self.trusted = self.edge.policy.trusts(ip);
            if let Err(over) = self.count(place) {
                self.tell(over.limit);
                return self.refuse(over.reply);
            }
        }
        self.dns = ClientDns { name: name.filter(|name| !name.is_empty()), ..ClientDns::default() };
        self.look_up();
        (self.grant, self.exchange) = (None, None);
        let offer = offer(&self.listener, self.client, self.tls.as_deref(), self.xclient, &self.edge);
        self.session.relocated(Ok(offer), &mut self.out)
    }

    fn refuse(&mut self, reply: Reply) -> Option<Action> {
        self.session.relocated(Err(reply), &mut self.out)
    }

    fn count(&self, place: &mut Place) -> Result<(), Over> {
        if self.trusted {
            place.count_for_nobody();
            return Ok(());
        }
        place.count_for(self.client)?;
        self.edge.rates.connect(self.client, self.edge.ports.clock.now())
    }
}
