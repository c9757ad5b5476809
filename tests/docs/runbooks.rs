//! `docs/runbooks.md` has a section for each alert, where the alerts' links lead.

use std::fs;

use serde_json::Value;

use super::{Result, root};

/// What each section answers, in this order.
const QUESTIONS: [&str; 3] = ["**Meaning.**", "**Diagnosis.**", "**Remedy.**"];

#[test]
fn each_alert_has_a_runbook() -> Result {
    let alerts = fs::read_to_string(root().join("charts/weighted-share/rules/alerts.yaml"))?;
    let alerts: Value = serde_yaml_ng::from_str(&alerts)?;
    let rules = alerts["groups"][0]["rules"].as_array().ok_or("no rules")?;
    let names: Vec<&str> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    let page = fs::read_to_string(root().join("docs/runbooks.md"))?;
    let sections: Vec<(&str, &str)> =
        page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let headings: Vec<&str> = sections.iter().map(|(heading, _)| *heading).collect();
    assert_eq!(headings, names, "docs/runbooks.md has other sections than there are alerts");
    for (heading, section) in sections {
        let mut rest = section;
        for question in QUESTIONS {
            let found = rest.split_once(&format!("\n{question}"));
            rest = found.ok_or(format!("{heading}: there is no {question}"))?.1;
        }
    }
    Ok(())
}

/// The link of an alert is this and its name in lower case: the anchor of its section.
#[test]
fn the_links_of_alerts_lead_to_the_page() -> Result {
    let values = fs::read_to_string(root().join("charts/weighted-share/values.yaml"))?;
    let values: Value = serde_yaml_ng::from_str(&values)?;
    let link = values["metrics"]["prometheusRule"]["runbookUrl"].as_str().ok_or("no link")?;
    assert!(link.ends_with("/runbooks.html#"), "{link}");
    Ok(())
}
