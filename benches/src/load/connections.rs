//! Many connections from one thread, each with one request outstanding: are they served alike?

use std::io::Write;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use rustix::event::epoll;

use super::Load;
use super::Outcome;
use super::Target;
use super::Until;
use super::drive::Slot;
use super::slots;
use crate::connection::Connection;
use crate::figures;

/// Events taken at once.
const EVENTS: usize = 64;

/// Attributes, asked for on each.
pub struct Connections {
    epoll: rustix::fd::OwnedFd,
    clients: Vec<Client>,
}

struct Client {
    connection: Connection,
    slot: Slot,
    done: u32,
    busy: bool,
}

impl Client {
    /// Takes the reply that is there.
    fn take(&mut self, outcome: &mut Outcome) -> Result<()> {
        let count = self.connection.inbox.fill(&mut self.connection.stream)?;
        ensure!(count > 0, "the server closed the connection");
        if let Some(frame) = self.connection.inbox.frame() {
            self.slot.take(frame)?;
            self.done += 1;
            self.busy = false;
            outcome.operations += 1;
            outcome.times.record_span(self.slot.since.elapsed());
        }
        Ok(())
    }

    fn send(&mut self, due: &mut Vec<u8>) -> Result<()> {
        due.clear();
        self.slot.put(due);
        self.slot.since = Instant::now();
        self.connection.stream.write_all(due)?;
        self.busy = true;
        Ok(())
    }
}

impl Connections {
    /// Opens `count` connections.
    pub fn new(target: &Target<'_>, count: u16) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut clients = Vec::new();
        for index in 0..count {
            let mut connection = target.connect()?;
            let mut slots = slots::prepare(&mut connection, target)?;
            let data = epoll::EventData::new_u64(index.into());
            epoll::add(&epoll, &connection.stream, data, epoll::EventFlags::IN)?;
            clients.push(Client {
                connection,
                slot: slots.pop().context("depth 1 is one slot")?,
                done: 0,
                busy: false,
            });
        }
        Ok(Self { epoll, clients })
    }
}

impl Load for Connections {
    fn run(&mut self, until: Until) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut due = Vec::new();
        let begin = Instant::now();
        for client in &mut self.clients {
            client.done = 0;
            client.send(&mut due)?;
        }
        let mut begun = self.clients.len() as u64;
        while self.clients.iter().any(|client| client.busy) {
            let mut events = Vec::with_capacity(EVENTS);
            epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            )?;
            let over = until.is_over(begun, Instant::now());
            for event in &events {
                let index = usize::try_from(event.data.u64())?;
                let client = &mut self.clients[index];
                client.take(&mut outcome)?;
                if !client.busy && !over {
                    client.send(&mut due)?;
                    begun += 1;
                }
            }
        }
        outcome.elapsed = begin.elapsed();
        Ok(outcome)
    }

    fn extras(&self) -> Vec<(&'static str, f64)> {
        let shares: Vec<f64> = self
            .clients
            .iter()
            .map(|client| client.done.into())
            .collect();
        figures::fairness(&shares)
            .map(|index| (figures::FAIRNESS, index))
            .into_iter()
            .collect()
    }
}
