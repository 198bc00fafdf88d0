//! How long a page is busy at a time: from the browser's own trace of its tasks.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{Page, WAIT_LIMIT, devtools::Event};

impl Page {
    /// Returns the milliseconds of processor time of the longest task of the page while `act` runs: script, style and
    /// layout. No other input or frame is handled before a task has ended. How busy the machine is does not matter.
    #[track_caller]
    pub fn longest_task(&self, act: impl FnOnce()) -> f64 {
        let categories = ["toplevel", "blink.user_timing"];
        self.call(
            "Tracing.start",
            json!({"transferMode": "ReportEvents", "traceConfig": {"includedCategories": categories}}),
        );
        act();
        // Names the thread of the page among those of the browser.
        self.evaluate("performance.mark('traced') && true");
        self.call("Tracing.end", json!({}));
        let traced = self.trace();
        let thread = |event: &Value| (event["pid"].clone(), event["tid"].clone());
        let of_page = traced.iter().find(|event| event["name"] == "traced").map(thread).expect("the mark");
        let tasks = traced.iter().filter(|event| {
            event["name"] == "ThreadControllerImpl::RunTask" && event["ph"] == "X" && thread(event) == of_page
        });
        // A task that is cut by an end of the trace has no time.
        let times: Vec<f64> = tasks.filter_map(|task| Some(task["tdur"].as_f64()? / 1000.0)).collect();
        times.into_iter().reduce(f64::max).expect("a task")
    }

    /// Returns the events of a trace that ends.
    #[track_caller]
    fn trace(&self) -> Vec<Value> {
        let started = Instant::now();
        let mut traced = Vec::new();
        loop {
            assert!(started.elapsed() < WAIT_LIMIT, "the trace does not end");
            let mut is_complete = false;
            for mut event in self.take_events(|Event { method, .. }| method.starts_with("Tracing.")) {
                is_complete |= event.method == "Tracing.tracingComplete";
                if let Value::Array(part) = event.params["value"].take() {
                    traced.extend(part);
                }
            }
            if is_complete {
                return traced;
            }
            self.evaluate("nextFrame()");
        }
    }
}
