//! The rows of the registry, the README and the recorded calls name the same pipelines.

mod fixture;

use std::collections::BTreeSet;

use fixture::{fixtures, repository};
use oxidiff::DiffusionPipeline;

#[test]
fn the_readme_and_the_fixtures_know_every_class() {
    let names = DiffusionPipeline::class_names();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len(), "{names:?}");

    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let table: String = readme.lines().filter(|line| line.starts_with("| ")).collect();
    let listed: BTreeSet<&str> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.ends_with("Pipeline") && !word.contains(' '))
        .collect();
    assert_eq!(listed, unique);

    let scripts: String = std::fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for name in unique {
        assert!(scripts.contains(name), "no script in tests/fixtures records a {name}");
    }
}

#[test]
fn every_argument_is_described() {
    for argument in DiffusionPipeline::all_arguments() {
        assert!(!argument.help.trim().is_empty(), "`{}` has no documentation", argument.name);
        assert!(argument.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    }
}
