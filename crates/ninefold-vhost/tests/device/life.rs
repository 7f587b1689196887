//! VMMs and drivers that come and go.

use ninefold_wire::{Reply, Request};
use vhost::VhostBackend;
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserConfigFlags;

use crate::vm::{Host, Style, Vm};

#[test]
fn the_configuration_is_read_in_any_pieces() {
    let host = Host::new();
    let mut vm = Vm::connect(&host.socket(), Style::default());
    let mut config = |offset: u32, len: usize| {
        let flags = VhostUserConfigFlags::empty();
        let room = vec![0; len];
        let len = u32::try_from(len).expect("a length");
        let found = vm.frontend.get_config(offset, len, flags, &room);
        found.expect("the configuration").1
    };
    assert_eq!(config(0, 8), b"\x05\0share\0");
    assert_eq!(config(2, 1), b"s");
    let all = config(0, 64);
    assert_eq!(&all[..7], b"\x05\0share");
    assert_eq!(all[7..], [0; 57]);
}

#[test]
fn twenty_vms_come_and_go() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"content").expect("a file");
    for round in 0..20 {
        let mut vm = Vm::new(&host.socket(), Style::default());
        vm.mount();
        vm.open("file", 2, 0);
        let read = Request::Read {
            fid: 2,
            offset: 0,
            count: 100,
        };
        vm.ok(&read, |it| {
            matches!(it, Reply::Read { data } if data.0 == b"content").then_some(())
        });
        // Half of them say goodbye.
        if round % 2 == 0 {
            vm.stop();
        }
        drop(vm);
        host.wait_for_no_sessions();
    }
}

#[test]
fn twenty_drivers_of_one_vm_come_and_go() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"content").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    for _ in 0..20 {
        vm.mount();
        vm.open("file", 2, 0);
        vm.reboot();
        // Nothing of the one before is left.
        let clunk = Request::Clunk { fid: 2 };
        let reply = vm.ask(&clunk);
        assert_eq!(reply[4], 7, "expected an Rlerror");
        assert_eq!(host.sessions(), 1);
    }
}

#[test]
fn a_paused_guest_goes_on_with_its_files() {
    let host = Host::new();
    std::fs::write(host.path("file"), b"content").expect("a file");
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    vm.open("file", 2, 0);
    let base = vm.stop();
    assert_eq!(base, vm.offered);
    vm.share_memory();
    vm.start(base);
    let read = Request::Read {
        fid: 2,
        offset: 0,
        count: 100,
    };
    vm.ok(&read, |it| {
        matches!(it, Reply::Read { data } if data.0 == b"content").then_some(())
    });
}

#[test]
fn a_reset_device_has_no_session() {
    let host = Host::new();
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    assert_eq!(host.sessions(), 1);
    vm.frontend.reset_device().expect("a reset");
    assert_eq!(host.sessions(), 0);
    vm.reboot();
    vm.mount();
}

#[test]
fn a_device_ends_with_its_server() {
    let mut host = Host::new();
    let mut vm = Vm::new(&host.socket(), Style::default());
    vm.mount();
    host.stop_device();
    host.wait_for_no_sessions();
    vm.frontend.get_features().expect_err("nobody is there");
}
