//! Acts "by the host" for the suites; see `ninefold-host-agent --help`.

fn main() -> std::process::ExitCode {
    ninefold_guest_tests::agent_main()
}
