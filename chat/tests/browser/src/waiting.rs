//! Waits on a page for the value of an expression.
//!
//! Expressions are JavaScript, in which `$(selector)` is the first matching element and `$$(selector)` an array of all.
//! Nothing here sleeps: the page checks a condition at each frame until it holds or the time is up.

use serde_json::Value;

use crate::WAIT_LIMIT;

/// Waits until `accepted`, an expression about `seen`, holds for the value of `expression`. `run` runs a script on the
/// page and returns what its promise resolves to.
#[track_caller]
pub(crate) fn wait(run: impl Fn(&str) -> Value, accepted: &str, expression: &str) -> Value {
    let script = format!(
        "(async () => {{
            {PRELUDE}
            const deadline = performance.now() + {milliseconds};
            for (;;) {{
                let seen, fault = null;
                try {{ seen = await ({expression}); }} catch (error) {{ fault = String(error); }}
                if (fault === null && ({accepted})) return {{ seen }};
                if (performance.now() > deadline) return {{ seen, fault, late: true }};
                await nextFrame();
            }}
        }})()",
        milliseconds = WAIT_LIMIT.as_millis(),
    );
    let value = run(&script);
    assert!(
        value["late"] != true,
        "timed out waiting for\n    {accepted}\nof\n    {expression}\nwhich is {:#}, fault {}; {}",
        value["seen"],
        value["fault"],
        run(PAGE_TEXT),
    );
    value["seen"].clone()
}

/// Helpers for all expressions. `reachable` returns the centre of an element once it no longer moves, is not covered
/// and takes clicks.
const PRELUDE: &str = "
    const $ = (selector) => document.querySelector(selector);
    const $$ = (selector) => [...document.querySelectorAll(selector)];
    const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    const nextFrame = () => new Promise((resolve) => {
        requestAnimationFrame(resolve);
        setTimeout(resolve, 100); // a hidden page has no frames
    });
    const reachable = async (find) => {
        const element = find();
        element.scrollIntoView({ block: 'nearest', behavior: 'instant' });
        const before = element.getBoundingClientRect();
        await nextFrame();
        const box = element.getBoundingClientRect();
        const x = box.x + box.width / 2;
        const y = box.y + box.height / 2;
        const hit = document.elementFromPoint(x, y);
        return find() === element && box.width > 0 && equal(before, box) && !element.disabled
            && (element.contains(hit) || [...element.labels ?? []].some((label) => label.contains(hit))) && { x, y };
    };
";

/// The URL and visible text of the page, for the message of a failed test.
const PAGE_TEXT: &str = "
    `the page is at ${location.href}, and shows ${document.body.innerText.slice(0, 2000)}`
";
