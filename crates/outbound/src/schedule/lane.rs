//! One destination's part of the schedule.

use std::{
    collections::{HashSet, VecDeque},
    time::Instant,
};

use super::{Job, Suspension};
use crate::{Limits, route::Destination};

/// Connections that a destination gets without a message gone through and without a backlog (a slow start, as TCP has).
/// So many conversations may be slow before the next job waits for one of them.
const CONNECTIONS_AT_FIRST: usize = 5;

#[derive(Debug)]
pub(super) struct Lane<W> {
    pub(super) destination: Destination,
    pub(super) waiting: VecDeque<Job>,
    /// Deliveries, waiting and in flight.
    pub(super) held: usize,
    pub(super) opening: usize,
    pub(super) open: usize,
    /// Workers that wait here with a connection kept; the last one that came is woken first, so that spare ones leave.
    pub(super) idle: Vec<(u64, W)>,
    /// Workers that were woken and have not come for their job yet.
    pub(super) woken: Vec<u64>,
    /// Connections that the destination is thought to bear.
    pub(super) connections_max: usize,
    /// No further connection before this time.
    pub(super) growth_after: Option<Instant>,
    /// Failures in a row.
    pub(super) failures: u32,
    pub(super) suspended: Option<Suspension>,
    /// Whether it is among those that want a connection.
    pub(super) wanting: bool,
    /// Recipients' domains that were turned away since the window filled. Not empty: the window is full.
    pub(super) refused: HashSet<String>,
}

impl<W> Lane<W> {
    pub(super) fn new(destination: Destination, limits: &Limits) -> Self {
        Self {
            destination,
            waiting: VecDeque::new(),
            held: 0,
            opening: 0,
            open: 0,
            idle: Vec::new(),
            woken: Vec::new(),
            connections_max: CONNECTIONS_AT_FIRST.min(limits.connections),
            growth_after: None,
            failures: 0,
            suspended: None,
            wanting: false,
            refused: HashSet::new(),
        }
    }

    /// The suspension, while it lasts.
    pub(super) fn suspension(&self, now: Instant) -> Option<&Suspension> {
        self.suspended.as_ref().filter(|suspension| now < suspension.until)
    }

    /// The domain whose mail is left alone with this destination; a relay has no domain of its own.
    pub(super) fn suspended_domain(&self) -> Option<String> {
        match (&self.suspended, &self.destination) {
            (Some(_), Destination::Mx { domain, .. }) => Some(domain.to_string()),
            _ => None,
        }
    }

    /// Whether more waits than there are connections to carry it.
    pub(super) fn wants_connection(&self, limits: &Limits, now: Instant) -> bool {
        let connections = self.open + self.opening;
        let may_grow = connections == 0 || self.growth_after.is_none_or(|after| now >= after);
        let backlog = if connections < CONNECTIONS_AT_FIRST { self.opening + self.woken.len() } else { connections };
        self.waiting.len() > backlog
            && connections < self.connections_max.min(limits.connections)
            && may_grow
            && self.suspension(now).is_none()
    }

    /// Takes out an idle worker, to be woken for a job.
    pub(super) fn wake(&mut self) -> Option<W> {
        let (worker, waker) = self.idle.pop()?;
        self.woken.push(worker);
        Some(waker)
    }

    /// Notes whose job found no room.
    pub(super) fn refuse(&mut self, job: &Job, max: usize) {
        for leased in job.deliveries.iter().take(max.saturating_sub(self.refused.len())) {
            self.refused.insert(leased.delivery.recipient.domain.to_string());
        }
    }

    /// Whether the window was full and is half empty now.
    pub(super) fn has_room_again(&mut self, window: usize) -> bool {
        let again = !self.refused.is_empty() && self.held <= window / 2;
        if again {
            self.refused.clear();
        }
        again
    }

    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        self.held == 0 && self.open + self.opening == 0 && self.suspension(now).is_none() && self.is_unmarked(now)
    }

    /// A lane that failed is remembered for a while, so that its failures add up.
    fn is_unmarked(&self, now: Instant) -> bool {
        self.suspended.as_ref().is_none_or(|suspension| now >= suspension.until + super::MEMORY)
    }
}
