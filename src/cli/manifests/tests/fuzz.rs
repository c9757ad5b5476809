//! Whatever comes in: no panic, no overflow of the stack, no memory without measure.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::cpu_time;

/// Documents that are read, or nearly.
static SEEDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let right = [
        include_str!("get.yaml"),
        include_str!("../../../../examples/demo.yaml"),
        include_str!("../../../../examples/weights.yaml"),
    ];
    let right = right.into_iter().flat_map(|text| text.split("\n---\n")).map(str::to_owned);
    right.chain(wrong().into_iter().flat_map(|case| case.files).map(|(_, text)| text)).collect()
});

/// Pieces of YAML and JSON that mean something to their readers.
const WORDS: [&str; 48] = [
    "---\n",
    "...\n",
    "- ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    ": ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "<<: *a\n",
    "!!binary ",
    "!!float ",
    "%YAML 9\n",
    "# ",
    "\u{feff}",
    "null",
    "~",
    "yes",
    "0644",
    "0x7fffffffffffffffff",
    "1e999",
    "-9223372036854775809",
    ".nan",
    "18446744073709551616",
    "2026-01-01",
    "\\ud800",
    "\u{2028}",
    "💥",
    "\0",
    "apiVersion: v1\n",
    "kind: List\n",
    "items:\n",
    "metadata:\n",
    "spec:\n",
    "name: ",
    "cpu: ",
    "1.5Gi",
];

/// One change of a text.
#[derive(Clone, Debug)]
enum Change {
    /// Other bits in one byte.
    Flip(Index, u8),
    /// A word in between, or instead of the line.
    Word(Index, usize, bool),
    /// Some lines once more, in another place.
    Splice(Index, Index, usize),
    /// Some lines less.
    Cut(Index, usize),
    /// Nothing after that.
    End(Index),
    /// A line further in, or further out.
    Indent(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), 1..=255u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        (any::<Index>(), 0..WORDS.len(), any::<bool>())
            .prop_map(|(at, word, instead)| Change::Word(at, word, instead)),
        (any::<Index>(), any::<Index>(), 1..20usize)
            .prop_map(|(from, to, lines)| Change::Splice(from, to, lines)),
        (any::<Index>(), 1..10usize).prop_map(|(at, lines)| Change::Cut(at, lines)),
        any::<Index>().prop_map(Change::End),
        (any::<Index>(), 0..12usize).prop_map(|(at, depth)| Change::Indent(at, depth)),
    ]
}

impl Change {
    fn apply(&self, text: &str) -> String {
        if text.is_empty() {
            return text.to_owned();
        }
        let mut lines: Vec<_> = text.split_inclusive('\n').map(str::to_owned).collect();
        match self {
            Self::Flip(at, bits) => {
                let mut bytes = text.as_bytes().to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            Self::Word(at, word, true) => {
                let at = at.index(lines.len());
                lines[at] = WORDS[*word].to_owned();
            }
            Self::Word(at, word, false) => {
                let at = text.floor_char_boundary(at.index(text.len()));
                return [&text[..at], WORDS[*word], &text[at..]].concat();
            }
            Self::Splice(from, to, count) => {
                let (from, to) = (from.index(lines.len()), to.index(lines.len()));
                let copied: Vec<_> = lines.iter().skip(from).take(*count).cloned().collect();
                lines.splice(to..to, copied);
            }
            Self::Cut(at, count) => {
                let at = at.index(lines.len());
                lines.drain(at..lines.len().min(at + count));
            }
            Self::End(at) => {
                return text[..text.floor_char_boundary(at.index(text.len()))].to_owned();
            }
            Self::Indent(at, depth) => {
                let at = at.index(lines.len());
                lines[at] = format!("{}{}", " ".repeat(*depth), lines[at].trim_start());
            }
        }
        lines.concat()
    }
}

/// Reads it, and says what is wrong with it: each error in one line, with its file and document.
fn survives(text: &str) {
    for source in ["fuzz.yaml", "fuzz.json"] {
        match parse(source, text) {
            Ok(objects) => drop(Manifests::sort(objects)),
            Err(errors) => {
                assert!(!errors.0.is_empty());
                for error in errors.0.iter().map(ToString::to_string) {
                    assert!(!error.contains(char::is_control) && error.len() < 20_000, "{error:?}");
                    assert!(error.starts_with(&format!("{source}: document ")), "{error}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words(words in vec((0..WORDS.len(), "[a-z]{0,3}"), 0..60)) {
        let words: String = words.iter().map(|(word, more)| format!("{}{more}", WORDS[*word])).collect();
        survives(&words);
    }

    #[test]
    fn changed_documents(
        seeds in vec(any::<Index>(), 1..3),
        changes in vec(change(), 1..8),
    ) {
        let documents: Vec<_> = seeds.iter().map(|seed| &**seed.get(&SEEDS)).collect();
        let text = documents.join("\n---\n");
        survives(&changes.iter().fold(text, |text, change| change.apply(&text)));
    }
}

/// What is said to a text that is a trap.
fn trap(text: &str) -> String {
    let started = cpu_time::of_this_thread();
    let said = match parse("trap.yaml", text) {
        Ok(objects) => panic!("{} objects", objects.len()),
        Err(errors) => errors.to_string(),
    };
    // Seconds, where the memory of the machine would be the only other limit.
    let took = cpu_time::of_this_thread() - started;
    assert!(took.as_secs() < 20, "{took:?}: {said}");
    said
}

#[test]
fn aliases_of_aliases_do_not_multiply() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let before = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [&*before; 9].join(", "));
    }
    assert!(trap(&text).contains("alias"), "{}", trap(&text));
}

#[test]
fn aliases_of_a_long_text_do_not_multiply() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 9_000].join(", "));
    assert_eq!(
        trap(&text),
        "trap.yaml: document 1: its aliases expand to far more than the text has: write the values out"
    );
}

/// What one document may do, many of them may not do together; and it is said once.
#[test]
fn aliases_in_many_documents_do_not_add_up() {
    let document = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000), vec!["*a"; 900].join(", "));
    assert!(!trap(&document).contains("aliases"), "{}", trap(&document));
    let said = trap(&vec![document; 50].join("---\n"));
    assert_eq!(said.matches("its aliases expand to far more").count(), 1, "{said}");
}

#[test]
fn merged_aliases_do_not_multiply() {
    let mut text = "a0: &a0 {x: 1}\n".to_owned();
    for level in 1..40 {
        let before = level - 1;
        text += &format!(
            "a{level}: &a{level} {{<<: [*a{before}, *a{before}, *a{before}], k{level}: *a{before}}}\n"
        );
    }
    trap(&text);
}

#[test]
fn no_depth_overflows_the_stack() {
    let deep = 200_000;
    for text in [
        "[".repeat(deep),
        "{a: ".repeat(deep),
        "{\"a\":".repeat(deep),
        "- ".repeat(deep),
        "? ".repeat(deep),
        "!!seq [".repeat(deep),
        format!("{}1{}", "[".repeat(deep), "]".repeat(deep)),
        (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect(),
    ] {
        trap(&text);
    }
}

#[test]
fn as_deep_as_kubernetes_goes_is_not_too_deep() {
    let lists = "{kind: List, apiVersion: v1, items: [".repeat(30);
    let text = format!("{lists}{}", "]}".repeat(30));
    assert!(parse("lists.yaml", &text).unwrap().is_empty());
}

#[test]
fn a_large_dump_is_read() {
    let pod = |number: usize| {
        format!(
            "- apiVersion: v1\n  kind: Pod\n  metadata: {{name: web-{number}, namespace: shop}}\n  \
             spec:\n    containers:\n    - name: web\n      resources: {{requests: {{cpu: 100m, memory: 1Gi}}}}\n"
        )
    };
    let pods: String = (0..30_000).map(pod).collect();
    let text = format!("apiVersion: v1\nkind: List\nitems:\n{pods}");
    assert_eq!(parse("dump.yaml", &text).unwrap().len(), 30_000);
}
