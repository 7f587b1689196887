//! Runs one suite inside a Linux guest; see `ninefold-suite --help`.

fn main() -> std::process::ExitCode {
    ninefold_guest_tests::suite_main()
}
