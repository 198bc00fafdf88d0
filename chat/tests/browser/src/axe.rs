//! Checks a page with axe-core, the rules of the Web Content Accessibility Guidelines as a program.

use std::{env, fs};

use serde_json::json;

use crate::Page;

impl Page {
    /// Checks the page as it is now against WCAG 2.2, levels A and AA, and axe's best practices, and the contrast of
    /// its texts in both themes.
    #[track_caller]
    pub fn assert_accessible(&self, what: &str) {
        self.assert_legible(what);
        let path = env::var("AXE").expect("AXE is the path of axe.min.js: chat/tests/browser/run sets it");
        let axe = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        // Not by the page itself: its security policy allows no script of others.
        self.call("Runtime.evaluate", json!({"expression": axe}));
        let violations = self.evaluate(VIOLATIONS);
        assert_eq!(violations.as_array().map(Vec::len), Some(0), "{what}: {violations:#}");
    }
}

const VIOLATIONS: &str = "axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
    resultTypes: ['violations'],
}).then(({ violations }) => violations.map(({ id, help, nodes }) =>
    ({ id, help, nodes: nodes.map(({ html, failureSummary }) => [html, failureSummary]) })))";
