//! A test fails when a page complains: were it not so, the other tests would not notice.

use switchboard_browser::{Chat, Look};

fn do_at_the_page(script: &str) {
    let chat = Chat::open(&[]);
    chat.visitor("Ada", Look::default()).evaluate(script);
}

#[test]
#[should_panic(expected = "the pages complain")]
fn a_warning_on_the_console_is_noticed() {
    do_at_the_page("console.warn('take care')");
}

#[test]
#[should_panic(expected = "the pages complain")]
fn an_exception_that_nobody_catches_is_noticed() {
    do_at_the_page("void Promise.reject(new Error('left alone'))");
}

#[test]
#[should_panic(expected = "the pages complain")]
fn what_the_content_security_policy_forbids_is_noticed() {
    do_at_the_page("$('body').setAttribute('style', 'color: red')");
}

#[test]
#[should_panic(expected = "the pages complain")]
fn a_file_that_is_not_there_is_noticed() {
    do_at_the_page("fetch('nowhere.js').then(() => true)");
}
