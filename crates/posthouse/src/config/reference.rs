//! The manual's page of keys and the sample file, printed from the declarations so that they are never behind.

use std::fmt::Write as _;

use super::keys::{Key, SECTIONS, Section};

/// `docs/reference/config.md`.
pub(crate) fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         One TOML file describes the node. `posthouse serve --config FILE` runs it, `posthouse check config --config FILE` \
         checks it and says everything that is wrong at once. Without a file, `posthouse serve` is a sandbox.\n\n\
         Durations are written `30s 5m 1h 5d`, sizes `64 KB 50 MB 1 GB` (powers of 1,000). A list of one may be written \
         without brackets. Relative paths count from the folder of the file.\n\n\
         What changes daily (domains, users, aliases) is not in this file: see `posthouse domain`, `user`, `alias`.\n\n\
         This page is printed by `posthouse reference config`.\n",
    );
    for section in SECTIONS {
        let heading = if section.heading.is_empty() { "Top of the file" } else { section.heading };
        write_section(&mut page, heading, section);
    }
    page
}

fn write_section(page: &mut String, heading: &str, section: &Section) {
    let _infallible = write!(page, "\n## {heading}\n\n{}\n", section.about);
    for key in section.keys {
        let _infallible = write!(
            page,
            "\n### `{}`\n\n{}\n\n{}\n\n```toml\n{} = {}\n```\n",
            key.name,
            key.about,
            values(key),
            key.name,
            key.example
        );
    }
}

fn values(key: &Key) -> String {
    match key.default {
        "required" => format!("Takes {}. It must be there.", key.takes),
        default => format!("Takes {}. Without it: {default}.", key.takes),
    }
}

/// A file with every key, each explained, all but what must be there commented out.
pub(crate) fn sample() -> String {
    let mut file =
        String::from("# Every key of Posthouse's configuration. Lines that begin with # show values or explain.\n");
    for section in SECTIONS {
        file.push('\n');
        wrap(&mut file, section.about);
        let live = section.heading == "[[listener]]";
        if !section.heading.is_empty() {
            let _infallible = writeln!(file, "{}{}", if live { "" } else { "#" }, section.heading);
        }
        for key in section.keys {
            file.push('\n');
            wrap(&mut file, &format!("{} {}", key.about, values(key)));
            let mark = if live && key.default == "required" { "" } else { "#" };
            let _infallible = writeln!(file, "{mark}{} = {}", key.name, key.example);
        }
    }
    file
}

/// Appends a comment in lines of at most 100 letters.
fn wrap(file: &mut String, text: &str) {
    const WIDTH: usize = 100;
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _infallible = writeln!(file, "{line}");
            line = String::from("#");
        }
        let _infallible = write!(line, " {word}");
    }
    let _infallible = writeln!(file, "{line}");
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<super::super::Config, super::super::Complaints> {
        super::super::check::parse(Path::new("/etc/posthouse.toml"), text)
    }

    #[test]
    fn the_sample_is_a_configuration() {
        parse(&sample()).expect("the sample holds together");
    }

    #[test]
    fn the_sample_uncommented_has_only_known_keys() {
        let live: String = sample()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        // The files that it names do not exist here, and no filter is of all kinds: that is all that may be wrong.
        let is_expected =
            |what: &str| what.starts_with("cannot read") || what.starts_with("this means nothing for a filter");
        let complaints = parse(&live).expect_err("its files are missing").list;
        let unexpected: Vec<_> = complaints.iter().filter(|complaint| !is_expected(&complaint.what)).collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
    }

    #[test]
    fn the_manual_is_what_the_declarations_say() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("the page is there");
        assert_eq!(read("config.md"), reference(), "run `posthouse reference config > docs/reference/config.md`");
        assert_eq!(read("sample.toml"), sample(), "run `posthouse reference sample > docs/reference/sample.toml`");
    }
}
