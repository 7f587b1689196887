//! The host: a folder, a crew, and a device.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ninefold::{Crew, CrewOptions, Export, ExportOptions, Listener, SecurityModel, SessionOptions};
use ninefold_vhost::{Device, Tag};
use tempfile::TempDir;

use super::LIMIT;

/// A folder, a crew, and a device.
pub struct Host {
    device: Option<Device>,
    crew: Arc<Crew>,
    top: TempDir,
}

impl Host {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(set: impl FnOnce(&mut ExportOptions)) -> Self {
        let top = tempfile::tempdir().expect("a folder");
        let shared = top.path().join("shared");
        std::fs::create_dir(&shared).expect("a folder");
        let mut options = ExportOptions::new(SecurityModel::None);
        set(&mut options);
        let export = Arc::new(Export::open(&shared, &options).expect("an export"));
        let crew = Crew::start(CrewOptions {
            threads: 4,
            session: SessionOptions { msize_max: 1 << 20 },
            interrupt: true,
        });
        let crew = Arc::new(crew.expect("threads"));
        let listener = Listener::unix(&top.path().join("socket")).expect("a socket");
        let tag = Tag::new(b"share").expect("a tag");
        let device = Device::start(listener, tag, &crew, &export).expect("a device");
        Self {
            device: Some(device),
            crew,
            top,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join("shared").join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.top.path().join("socket")
    }

    /// Waits until the crew has no sessions left.
    pub fn wait_for_no_sessions(&self) {
        let until = Instant::now() + LIMIT;
        while self.crew.connections() > 0 {
            assert!(Instant::now() < until, "expected no session to be left");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn sessions(&self) -> usize {
        self.crew.connections()
    }

    pub fn stop_device(&mut self) {
        self.device = None;
    }
}
