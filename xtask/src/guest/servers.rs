//! The servers of one configuration: most suites share one, some want one that was told more.

use std::path::Path;

use anyhow::Result;

use super::server::Choice;
use super::server::Kind;
use super::server::Server;
use super::server::Task;
use super::session::Configuration;
use super::suites::Suite;
use super::transport::Mount;
use super::transport::NAME;

/// One for each kind that is needed.
pub struct Servers(Vec<(Kind, Option<Server>)>);

impl Servers {
    /// Starts what `suites` need, for `export`; `beside` is a directory for what belongs to them.
    pub fn start(
        configuration: &Configuration,
        export: &Path,
        beside: &Path,
        suites: &[Suite],
    ) -> Result<Self> {
        let mut servers = Self(Vec::new());
        for kind in suites.iter().map(|suite| suite.server()) {
            if servers.0.iter().any(|(other, _)| *other == kind) {
                continue;
            }
            let task = Task {
                export,
                beside,
                model: configuration.model,
                unprivileged: configuration.unprivileged,
                open_files_max: configuration.open_files_max,
                transport: configuration.transport,
                kind,
            };
            let server = Server::start(&configuration.server, task)?;
            servers.0.push((kind, server));
        }
        Ok(servers)
    }

    /// What a suite mounts.
    pub fn mount(&self, suite: Suite) -> Mount {
        let kind = suite.server();
        let server = self.0.iter().find(|(other, _)| *other == kind);
        let server = server.and_then(|(_, server)| server.as_ref());
        let mut mount = match server {
            Some(server) => server.door.mount(),
            None => Mount::virtio(NAME.to_owned()),
        };
        let access = if kind.is_for_users() {
            "user"
        } else {
            "client"
        };
        mount
            .options
            .push_str(&format!(",posixacl,access={access}"));
        if let Some(server) = server.filter(|server| !server.aname.is_empty()) {
            mount.options.push_str(&format!(",aname={}", server.aname));
        }
        mount
    }

    /// QEMU's arguments for the guest's ways to them.
    pub fn devices(&self) -> Vec<String> {
        let servers = self.0.iter().filter_map(|(_, server)| server.as_ref());
        servers.flat_map(|server| server.door.offered()).collect()
    }

    /// An error if one has ended.
    pub fn check(&mut self) -> Result<()> {
        self.running().try_for_each(Server::check)
    }

    /// Ends them; what they have said is in these files.
    pub fn end(mut self) -> Vec<std::path::PathBuf> {
        self.running().map(|server| server.log.clone()).collect()
    }

    fn running(&mut self) -> impl Iterator<Item = &mut Server> {
        self.0.iter_mut().filter_map(|(_, server)| server.as_mut())
    }
}

/// Why a suite cannot be asked in a configuration, if it cannot.
pub fn hindrance(configuration: &Configuration, suite: Suite) -> Option<&'static str> {
    let kind = suite.server();
    if kind == Kind::Plain {
        return None;
    }
    if !matches!(configuration.server, Choice::Ninefold) {
        return Some("only ninefold knows the options it is about");
    }
    if kind.is_for_users() && configuration.model.is_mapped() {
        return Some("the mapped models keep owners where the host's kernel does not look");
    }
    if kind.is_for_users() && configuration.unprivileged {
        return Some("only root may act as other users");
    }
    None
}
