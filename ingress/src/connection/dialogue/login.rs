//! AUTH: between the session, which reads lines, and the exchange, which knows secrets.

use shared::mail::Reply;

use super::{Dialogue, channel};
use crate::auth::{Denial, Step};
use crate::smtp::{Action, Response};

impl Dialogue {
    /// Begins an exchange.
    pub(in crate::connection) async fn authenticate(
        &mut self,
        mechanism: &str,
        initial: Option<Response>,
    ) -> Option<Action> {
        let channel = channel(self.client, self.tls.as_deref());
        self.exchange = self.edge.auth.begin(mechanism, self.client, &channel).map(Box::new);
        self.proceed(initial.map(|Response(octets)| octets)).await
    }

    /// Goes on with it.
    pub(in crate::connection) async fn respond(&mut self, Response(octets): Response) -> Option<Action> {
        self.proceed(Some(octets)).await
    }

    async fn proceed(&mut self, response: Option<Vec<u8>>) -> Option<Action> {
        let Some(mut exchange) = self.exchange.take() else {
            let reply = Reply::new(504, (5, 4), "unknown authentication mechanism");
            return self.session.denied(reply, &mut self.out);
        };
        match exchange.step(response).await {
            Step::Challenge(challenge) => {
                self.exchange = Some(exchange);
                self.session.challenge(&challenge, &mut self.out);
                None
            }
            Step::Granted(grant) => {
                self.grant = Some(grant);
                self.session.authenticated(&mut self.out);
                None
            }
            Step::Denied(Denial::AddressLimited) => {
                Some(self.session.end(Denial::AddressLimited.reply(), &mut self.out))
            }
            Step::Denied(denial) if denial.counts() => self.session.denied(denial.reply(), &mut self.out),
            Step::Denied(denial) => {
                self.session.not_known(denial.reply(), &mut self.out);
                None
            }
        }
    }
}
