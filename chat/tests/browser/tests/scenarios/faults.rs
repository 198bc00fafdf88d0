//! A fault on a page fails the test. Without this, the other tests would not detect faults.

use switchboard_browser::{Chat, Display};

fn run_on_page(script: &str) {
    let chat = Chat::open(&[]);
    chat.visitor("Ada", Display::default()).evaluate(script);
}

#[test]
#[should_panic(expected = "the pages report faults")]
fn a_console_warning_fails_the_test() {
    run_on_page("console.warn('take care')");
}

#[test]
#[should_panic(expected = "the pages report faults")]
fn an_uncaught_exception_fails_the_test() {
    run_on_page("void Promise.reject(new Error('left alone'))");
}

#[test]
#[should_panic(expected = "the pages report faults")]
fn a_content_security_policy_violation_fails_the_test() {
    run_on_page("$('body').setAttribute('style', 'color: red')");
}

#[test]
#[should_panic(expected = "the pages report faults")]
fn a_missing_file_fails_the_test() {
    run_on_page("fetch('nowhere.js').then(() => true)");
}
