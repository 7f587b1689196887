//! What was measured, and how one server's figures compare with another's.
//!
//! A ratio is taken within each round, where both had their turns one right after the other, and the median of those is
//! told: what slows the whole machine down for a while is in both parts.

use crate::figures;
use crate::figures::Figures;
use crate::row::Row;
use crate::server::Peer;

/// What a row gave.
pub struct Measured {
    pub row: Row,
    pub servers: Vec<ByServer>,
    /// The plain system calls' processor time, nanoseconds, in each round; empty where there is nothing to compare with.
    pub plain: Vec<f64>,
}

/// What a row gave with one server.
pub struct ByServer {
    pub peer: Peer,
    /// One for each round, none if there was trouble.
    pub runs: Vec<Figures>,
    /// System calls for each operation.
    pub calls: Option<f64>,
    /// Why there are no figures.
    pub trouble: Option<String>,
    /// Why there are no calls.
    pub calls_trouble: Option<String>,
}

impl ByServer {
    /// Without figures yet.
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            runs: Vec::new(),
            calls: None,
            trouble: None,
            calls_trouble: None,
        }
    }
}

impl Measured {
    /// Without figures yet, of those servers among `peers` that the row is for.
    pub fn new(row: &Row, peers: &[Peer]) -> Self {
        let peers = peers.iter().filter(|peer| row.is_for(**peer));
        Self {
            row: row.clone(),
            servers: peers.map(|&peer| ByServer::new(peer)).collect(),
            plain: Vec::new(),
        }
    }

    /// What a server gave.
    pub fn server(&self, peer: Peer) -> Option<&ByServer> {
        self.servers.iter().find(|server| server.peer == peer)
    }

    /// The medians of a server, if it went through every round.
    pub fn of(&self, peer: Peer) -> Option<Figures> {
        Figures::median(&self.server(peer)?.runs)
    }

    /// One figure of a server in each round.
    pub fn series(&self, peer: Peer, figure: fn(&Figures) -> f64) -> Vec<f64> {
        let runs = self.server(peer).map(|server| server.runs.iter());
        runs.into_iter().flatten().map(figure).collect()
    }

    /// The plain system calls, nanoseconds.
    pub fn plain(&self) -> Option<f64> {
        figures::median(self.plain.clone())
    }

    /// The plain system calls and the null responder together, nanoseconds.
    pub fn floor(&self) -> Option<f64> {
        figures::median(self.floors())
    }

    fn floors(&self) -> Vec<f64> {
        let null = self.series(Peer::Null, |run| run.cpu);
        let parts = self.plain.iter().zip(&null);
        parts.map(|(plain, null)| plain + null).collect()
    }

    /// A figure of `one` in terms of `other`'s.
    pub fn ratio(&self, one: Peer, other: Peer, figure: fn(&Figures) -> f64) -> Option<f64> {
        figures::median_ratio(&self.series(one, figure), &self.series(other, figure))
    }

    /// A figure of `one` in terms of each of the servers that ours is compared with.
    pub fn ratios(&self, one: Peer, figure: fn(&Figures) -> f64) -> impl Iterator<Item = f64> {
        let peers = self.servers.iter().map(|server| server.peer);
        peers
            .filter(|peer| !matches!(peer, Peer::Ninefold | Peer::Null | Peer::Bare))
            .filter_map(move |peer| self.ratio(one, peer, figure))
    }

    /// The processor time of `peer` in terms of the floor.
    pub fn above_floor(&self, peer: Peer) -> Option<f64> {
        figures::median_ratio(&self.series(peer, |run| run.cpu), &self.floors())
    }

    /// The processor time of `peer` in terms of the plain system calls alone.
    pub fn above_plain(&self, peer: Peer) -> Option<f64> {
        figures::median_ratio(&self.series(peer, |run| run.cpu), &self.plain)
    }
}
