//! Tickets: what became of the wakes that they came with.

use super::Oracle;
use super::request::Request;
use crate::scenario::{Or, TicketState, Urgency};

/// A ticket, which never changes again once it has ended.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) name: String,
    or: Option<Or>,
    pub(super) state: TicketState,
}

impl Oracle {
    /// A wake (its target, reason, delay and urgency) with a ticket.
    pub(super) fn await_wake(
        &mut self,
        name: &str,
        or: Option<Or>,
        (key, reason, delay, urgency): (&str, &str, u64, Urgency),
    ) {
        let state = match or {
            _ if self.stopped => TicketState::Stopped,
            Some(Or::NoHandler) if self.installed.is_none() => TicketState::NoHandler,
            _ => TicketState::Waiting,
        };
        let ticket = Some(self.tickets.len());
        self.tickets.push(Ticket { name: name.to_owned(), or, state });
        let request = self.request(reason, delay, urgency);
        self.ask(key, Request { ticket, ..request });
    }

    /// The wake of these requests has come to its end.
    pub(super) fn end_tickets(&mut self, wake: &[Request], how: TicketState) {
        for ticket in wake.iter().filter_map(|request| request.ticket) {
            let ticket = &mut self.tickets[ticket];
            if ticket.state == TicketState::Waiting {
                ticket.state = how;
            }
        }
    }

    /// A run gives the wake of these requests back.
    pub(super) fn defer_tickets(&mut self, wake: &[Request]) {
        for ticket in wake.iter().filter_map(|request| request.ticket) {
            let ticket = &mut self.tickets[ticket];
            if ticket.or == Some(Or::Deferral) && ticket.state == TicketState::Waiting {
                ticket.state = TicketState::Deferred;
            }
        }
    }
}
