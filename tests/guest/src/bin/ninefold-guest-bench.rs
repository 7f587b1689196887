//! Measures work on several shares inside a Linux guest; see `ninefold-guest-bench --help`.

fn main() -> std::process::ExitCode {
    ninefold_guest_tests::bench_main()
}
