//! Names that Kubernetes takes, made from names that it may not take.

/// The most that a name of a namespace or member has, in characters.
const MOST: usize = 63;

/// A name for a namespace or a member: the text in lower case, with `-` for all that is no letter and no digit. Empty, if there
/// is neither in the text.
#[must_use]
pub fn label_name(text: &str) -> String {
    let kept = |it: char| if it.is_ascii_alphanumeric() { it.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(kept).collect();
    let mut name = name.trim_start_matches('-').to_owned();
    name.truncate(MOST);
    name.truncate(name.trim_end_matches('-').len());
    name
}

#[cfg(test)]
mod tests {
    use super::label_name;

    #[test]
    fn a_name_is_one_that_kubernetes_takes() {
        assert_eq!(label_name("Prod (West)"), "prod--west");
        assert_eq!(label_name("_Büro_1"), "b-ro-1");
        assert_eq!(label_name(&format!("{}!b", "a".repeat(62))), "a".repeat(62));
        assert_eq!(label_name("--"), "");
    }
}
