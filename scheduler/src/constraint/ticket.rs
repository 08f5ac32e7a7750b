//! `rsc_ticket`: what may run only while this site holds a ticket
//! (Pacemaker pcmk_sched_tickets.c; Pacemaker Explained, "Multi-Site Clusters and Tickets").

use crate::cluster::{Cluster, RscId};
use crate::plan::Because;
use crate::resource::Role;
use crate::text::is_true;
use cib::Element;

/// A ticket's state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ticket {
    pub(crate) granted: bool,
    pub(crate) standby: bool,
}

impl Ticket {
    /// What needs it may run.
    fn holds(self) -> bool {
        self.granted && !self.standby
    }
}

/// What happens to active resources when the ticket is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Stop,
    Demote,
    Fence,
    Freeze,
}

/// A resource's need of a ticket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TicketNeed {
    ticket: Ticket,
    loss: Loss,
    role: Role,
}

impl Cluster<'_> {
    /// `status/tickets` (Pacemaker unpack.c:unpack_ticket_state).
    pub(crate) fn unpack_tickets(&mut self) {
        let tickets = self.status.and_then(|s| s.first("tickets"));
        for state in tickets.iter().flat_map(|t| t.all("ticket_state")) {
            let Some(id) = state.id() else {
                continue;
            };
            let ticket = Ticket {
                granted: is_true(state.attr("granted")),
                standby: is_true(state.attr("standby")),
            };
            self.tickets.insert(id.to_owned(), ticket);
        }
    }

    /// Pacemaker pcmk_sched_tickets.c:pcmk__unpack_rsc_ticket.
    pub(crate) fn unpack_ticket(&mut self, id: &str, element: &Element) {
        let Some(name) = element.attr("ticket") else {
            self.errors.push(format!(
                "rsc_ticket {id}: ignored, because it has no ticket"
            ));
            return;
        };
        let ticket = self.tickets.get(name).copied().unwrap_or_default();
        let mut needs: Vec<(RscId, Option<&str>)> = Vec::new();
        if element.first("resource_set").is_none() {
            let rsc = self.constraint_resource(id, element.attr("rsc"));
            needs.extend(rsc.map(|rsc| (rsc, element.attr("rsc-role"))));
        }
        for set in element.all("resource_set") {
            for reference in set.all("resource_ref") {
                let Some(rsc) = self.constraint_resource(id, reference.id()) else {
                    return;
                };
                needs.push((rsc, set.attr("role")));
            }
        }
        for (rsc, role) in needs {
            let role = match role.and_then(Role::parse) {
                None | Some(Role::Started) => Role::Unknown,
                Some(role) => role,
            };
            let loss = self.loss_policy(id, element.attr("loss-policy"), role);
            let need = TicketNeed { ticket, loss, role };
            self.rscs[rsc].tickets.push(need);
            if !ticket.holds() {
                self.note_ticket(rsc, name, id);
                self.apply_missing_ticket(rsc, need, id);
            }
        }
    }

    fn loss_policy(&mut self, id: &str, text: Option<&str>, role: Role) -> Loss {
        let is = |word: &str| text.is_some_and(|t| t.eq_ignore_ascii_case(word));
        if is("fence") && self.options.fencing {
            Loss::Fence
        } else if is("fence") {
            self.errors.push(format!(
                "rsc_ticket {id}: loss-policy is stop, because fencing is not enabled"
            ));
            Loss::Stop
        } else if is("freeze") {
            Loss::Freeze
        } else if is("demote") || (!is("stop") && role == Role::Promoted) {
            Loss::Demote
        } else {
            Loss::Stop
        }
    }

    /// Pacemaker pcmk_sched_tickets.c:constraints_for_ticket.
    fn apply_missing_ticket(&mut self, rsc: RscId, need: TicketNeed, id: &str) {
        if !self.rscs[rsc].children.is_empty() {
            for child in self.rscs[rsc].children.clone() {
                self.apply_missing_ticket(child, need, id);
            }
            return;
        }
        let active = self.rscs[rsc].active.clone();
        if need.ticket.granted || active.is_empty() {
            // The promotion alone may be all that needs the ticket.
            if need.role != Role::Promoted || need.loss == Loss::Stop {
                self.ban_for_ticket(rsc, id);
            }
            return;
        }
        let role_matches = need.role == Role::Unknown || need.role == self.rscs[rsc].role;
        match need.loss {
            Loss::Stop => self.ban_for_ticket(rsc, id),
            Loss::Demote if need.role != Role::Promoted => self.ban_for_ticket(rsc, id),
            Loss::Fence if role_matches => {
                self.ban_for_ticket(rsc, id);
                for node in active {
                    self.fence_node(node, "deadman ticket was lost", false);
                }
            }
            Loss::Freeze if role_matches => {
                self.rscs[rsc].flags.managed = false;
                self.rscs[rsc].flags.blocked = true;
            }
            Loss::Demote | Loss::Fence | Loss::Freeze => {}
        }
    }

    /// Of the resource and all in it, for `mainstay why`.
    fn note_ticket(&mut self, rsc: RscId, ticket: &str, id: &str) {
        let (ticket_id, constraint) = (ticket.to_owned(), id.to_owned());
        let because = Because::NeedsTicket {
            ticket: ticket_id,
            id: constraint,
        };
        self.note(rsc, None, because);
        for child in self.rscs[rsc].children.clone() {
            self.note_ticket(child, ticket, id);
        }
    }

    fn ban_for_ticket(&mut self, rsc: RscId, id: &str) {
        for node in 0..self.nodes.len() {
            self.ban(rsc, node, "ticket", id);
        }
    }

    /// Without its ticket nothing is promoted
    /// (Pacemaker pcmk_sched_tickets.c:pcmk__require_promotion_tickets).
    pub(crate) fn require_promotion_tickets(&mut self, clone: RscId) {
        let missing = self.rscs[clone]
            .tickets
            .iter()
            .any(|need| need.role == Role::Promoted && !need.ticket.holds());
        if missing {
            self.ban_for_ticket(clone, "");
        }
    }
}
