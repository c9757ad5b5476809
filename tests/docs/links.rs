//! Links lead somewhere, and the book has every page.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use super::{Result, documents, root};

/// A text without what stands in fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// A line without what stands between backticks: there is no link in it.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// Where the links of a text lead.
fn links(text: &str) -> Vec<String> {
    let lines: Vec<String> = prose(text).map(without_code).collect();
    let lines = lines.join("\n");
    let rests = lines.split("](").skip(1);
    rests.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// What GitHub and mdBook call the anchor of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
    kept.map(|it| if it == ' ' { '-' } else { it }).flat_map(char::to_lowercase).collect()
}

/// The text of a heading that is shown: of a link its name.
fn shown(heading: &str) -> String {
    let mut parts = heading.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| shown + part.split_once(')').map_or(part, |(_, rest)| rest))
}

/// The anchors of a text: the second heading of a name has `-1` behind it.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(text).filter_map(|line| {
        let rest = line.trim_start_matches('#');
        rest.strip_prefix(' ').filter(|_| rest.len() < line.len())
    });
    let mut anchor = |heading: &str| {
        let slug = slug(&shown(heading));
        let before = seen.entry(slug.clone()).or_default();
        *before += 1;
        if *before == 1 { slug } else { format!("{slug}-{}", *before - 1) }
    };
    headings.map(&mut anchor).collect()
}

/// The documents, and what has links beside them.
fn pages() -> Result<Vec<(PathBuf, String)>> {
    let changelog = root().join("CHANGELOG.md");
    let text = fs::read_to_string(&changelog)?;
    Ok(documents()?.into_iter().chain([(changelog, text)]).collect())
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

#[test]
fn the_links_lead_to_what_is_there() -> Result {
    let (mut all, mut anchored, mut broken) = (0, 0, Vec::new());
    for (path, text) in pages()? {
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            all += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                file => plain(&path.parent().unwrap_or(root()).join(file)),
            };
            let there = target.starts_with(root()) && target.exists();
            let found = anchor.is_empty() || {
                anchored += 1;
                there && anchors(&fs::read_to_string(&target)?).iter().any(|it| it == anchor)
            };
            if !there || !found {
                broken.push(format!("{}: there is no {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(all > 50 && anchored > 5, "{all} links, {anchored} to headings");
    Ok(())
}

#[test]
fn an_anchor_is_what_github_and_mdbook_make_of_a_heading() {
    let text = "# `plan`, and [what is read](x.md)\n```\n# none\n```\n## By CPU_time - Ready?\n## Again\n## Again\n";
    let expected = ["plan-and-what-is-read", "by-cpu_time---ready", "again", "again-1"];
    assert_eq!(anchors(text), expected);
    assert_eq!(links("see [a](b.md#c), `[d](e)`\n```\n[f](g)\n```\n[h\ni](j)"), ["b.md#c", "j"]);
}

#[test]
fn the_book_has_every_page_once() -> Result {
    let summary = root().join("docs/SUMMARY.md");
    let listed = links(&fs::read_to_string(&summary)?);
    for (path, _) in documents()? {
        let Ok(page) = path.strip_prefix(root().join("docs")) else { continue };
        if path == summary {
            continue;
        }
        let times = listed.iter().filter(|link| Path::new(link) == page).count();
        assert!(times == 1, "docs/SUMMARY.md lists {} {times} times", page.display());
    }
    Ok(())
}
