//! The command line of Oxidiff: images from prompts with one binary.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    oxidiff_cli::main()
}
